//! Whether a segment honours takeovers: tried on the real one, with a throw-away address.
//!
//! # What it is for
//! That a service's address moves to another port looks like an attack, and switches can be told to
//! refuse it: port security, ARP inspection, no gratuitous ARP. Nobody sees that before the first
//! failover. A trial shows it before, in seconds, for each [`Form`] of takeover: the address moves
//! to another MAC (ARP, ND), or its MAC moves to another port (MAC).
//!
//! # Who plays what
//! Two nodes are holders. They answer ARP, neighbour discovery and echoes for the address out of a
//! packet socket: the kernel never has the address, and when the process dies nothing is left of
//! it. Other nodes are observers. They send echoes by an ordinary socket, so that it is their
//! kernel's neighbour table that follows or does not; the answers say which holder they come from.
//! [`run`] leads them by plain [`Order`]s, which [`Roles::perform`] carries out on each node; how
//! these travel is the caller's ([`Nodes`]). [`judge`] then reads the [`Findings`].
//!
//! # Happy path
//! ```text
//! holder 1   asks: in use?  4 s │ claims, announces ──────────▶ silent, counts what still comes
//! holder 2   asks: in use?  4 s │ waits                            claims, announces ──────────▶
//! observer                        echoes every 10 ms, sees 1 ──▶ mark ──▶ sees 2: honoured after X
//!                                                                then asks everybody once
//! ```
//! Holder 1 says nothing when it ends, as after a crash. Times are the observers' own: from the
//! mark, which is set between silence and claim, so that no two clocks are compared; a span is too
//! long by the way of two orders at most. Announcements follow the schedule of real ones
//! (`core/src/redirect`). What the observers are asked after the bound (a question to everybody, an
//! echo to the holder's MAC) mends neighbour tables, and so comes last.
//!
//! # What protects others
//! An address of a node or a service is refused by whoever leads and by each role; what anybody
//! else uses is found by three probes (RFC 5227, RFC 4862) from both holders, and a stranger that
//! turns up later ends the trial. Who probes for the address meanwhile (a DHCP client, say) is told
//! that it is taken. A throw-away MAC is locally administered and drawn from 46 bits. Every role
//! ends by itself: after the bound and half a minute in any case ([`Trial::end`]), and ten seconds
//! after it was last told or asked anything. The order has no random pauses: a trial is made by a
//! person.
//!
//! # Failures
//! [`TrialError`] and [`RoleError`] say what was sent and what not. An echo that could not be sent,
//! or a frame that the kernel dropped, is counted in the findings and ends nothing.
//!
//! # Deliberately absent
//! The gateway as an observer: an echo to something behind it, with the throw-away address as its
//! sender, would come back by the gateway's table. But no answer may mean its table as well as
//! a firewall, a filter on sources, or a far end that does not answer echoes: the holders can't
//! tell. Aim an observer at it where it is a node of ours. A holder as an observer: its own kernel
//! does not hear itself. What a service's own static entries are: the address is another one.

mod drive;
mod frames;
#[cfg(test)]
mod fuzz;
mod holder;
mod identity;
mod judge;
mod leash;
mod observer;
mod order;
mod role;
mod text;
mod trial;

pub use drive::{Cast, Findings, Nodes, Place, Reached, TrialError, View, run};
pub use judge::{AT_ONCE, Honoured, Suspicion, Verdict, judge, judge_all};
pub use order::{Answer, Entry, Held, Order, Phase, Seen};
pub use role::{RoleError, Roles};
pub use trial::{
    BOUND, Form, LONGEST, Saying, Station, Trial, Unfit, throw_away_address, throw_away_mac,
};
