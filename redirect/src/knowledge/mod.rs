//! The fifth layer: what clients are told, as documents that prove themselves.
//!
//! # What it is for
//! Where neither neighbours, switches, routers nor names carry a service's move (another site,
//! another address, a load balancer that is configured by a file), clients have to know. A
//! [`Document`] says where one service is; an [`Envelope`] is that with the signature of a node, in
//! one text. Nodes serve it; so does any web server that was given the files; and whoever carries
//! it, its reader believes the signature alone ([`Trust`]).
//!
//! # Happy path
//! ```text
//! Document ─ sign(Key) ─▶ Envelope ─▶ Shelf ─▶ serve: GET /where/web, /where/web/stream
//!                                       └────▶ write_file: where/web, for another web server
//!                                                      │
//!                             Trust::read ◀────────────┘ (the client, folder `client`)
//! ```
//! A node makes a new document whenever the core tells of an assignment, and the same anew, with
//! later times, long before `valid_until`. [`Shelf::put`] wakes whoever watches.
//!
//! # Failures
//! An old document comes from a server that was left behind, or from an attacker: it is refused by
//! its [`Order`] by those who know better, and by `valid_until` for those who know nothing. A
//! document of a node that was removed is refused once a document without its key was seen. If all
//! servers are away, clients go on with what they know, and see that it is expired.
//!
//! # Deliberately absent
//! Secrecy: whoever can reach a server (and has its token, where one is set) may read where
//! services are. TLS: it would prove the server, and it is the document that has to be proved.
//! Whom to ask: clients watch several servers at once and take the newest.

mod document;
mod envelope;
mod files;
#[cfg(test)]
mod fuzz;
mod key;
mod serve;
mod shelf;
#[cfg(test)]
mod tests;
mod trust;

pub(crate) use document::is_name;
pub use document::{Cluster, Document, Order, Stamp, VERSION, Whereabouts};
pub use envelope::{Envelope, LONGEST, Malformed, SignError};
pub use files::{FilesError, write_file};
pub(crate) use key::hex;
pub use key::{Key, KeyDigest, KeyError, NotADigest};
pub use serve::{HEARTBEAT, Settings, USUAL_PORT, serve, serve_on};
pub use shelf::{Shelf, ShelfError};
pub use trust::{CLOCK_TOLERANCE, Expected, Novelty, Refusal, Trust};

/// A document of service `web`, for tests of other folders.
#[cfg(test)]
pub(crate) fn sample() -> Document {
    tests::document(1)
}
