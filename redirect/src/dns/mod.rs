//! Name servers: where a service is, written by dynamic updates (RFC 2136) and looked at afterwards.
//!
//! What it is for: a service that moves to another network takes another address with it, and its
//! name has to say so. [`update`] writes the records of one name into its zone, signed (TSIG, RFC
//! 8945) with a [`Key`] that the zone's server knows; [`verify`] asks each authoritative server
//! what it says by now; [`look`] asks any server, a cache as well, as a client would.
//!
//! Happy path: one connection to the primary. What stands there is read, the update is sent under
//! the condition that it still stands there, and what stands then is read again.
//!
//! Two writers never cross. Beside each name stands a [`Marker`] at `_stead.<name>`: who wrote it,
//! under which epoch. Each update names the marker as it was read as its prerequisite (RFC 2136
//! section 2.4) and writes its own, so that of two updates from the same state the server takes
//! one; whoever comes second reads anew, and gives way to a higher epoch. Records without a marker
//! were made by a person and are left alone unless the [`Writer`] may adopt them. Of a name we own
//! the records of the kinds in [`Kind::OWNED`]; mail, text and others of a person stay.
//!
//! Failures: [`DnsError`]. A server that can't be reached or does not take the update is passed
//! over for the next one; what each of them said is in [`DnsError::Untaken`]. An update whose
//! answer was lost may have been carried out; it is the same update when it is sent again.
//! [`verify`] shows a dead server for what it is.
//!
//! Updates need TCP to port 53 of the server (RFC 7766 requires it of servers): answers can't be
//! forged by strangers there, and nothing has to be sent twice. What is only looked at is asked by
//! UDP, and by TCP when the answer is too long for it. Each question has a random number and a
//! random port; answers from elsewhere, to other questions, or with a wrong signature are ignored.
//!
//! Deliberately absent: a cache; the search for a zone's servers, which the operator names, since
//! a zone whose servers are found by asking DNS can't be mended when DNS is wrong; a memory of
//! names that were removed (to withdraw records and keep the epoch, write none: [`Wanted`]);
//! signing of zones, which is the server's; servers that speak something else than RFC 2136.

mod data;
mod error;
#[cfg(test)]
mod fuzz;
mod key;
mod look;
mod marker;
mod name;
mod state;
mod transport;
mod update;
mod verify;
mod wire;

use std::net::SocketAddr;

pub use data::{Binding, Data, Kind, KindError, Wanted, WantedError};
pub use error::{Attempt, DnsError, Fault, KeyError};
pub use key::{Algorithm, Key};
pub use look::{Answer, Look, look};
pub use marker::{Marker, Writer, WriterError};
pub use name::{Name, NameError};
pub use update::{Updated, remove, update};
pub use verify::{Seen, verify};

/// A zone and who answers for it.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name.
    pub name: Name,
    /// All its authoritative servers, as `stead` reaches them. Updates go to the first that takes
    /// them: the primary stands first.
    pub servers: Vec<SocketAddr>,
    /// What updates are signed with.
    pub key: Key,
}
