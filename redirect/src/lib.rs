//! What lies between clients and a service beyond the segment: name servers, routing daemons, what
//! clients know.
//!
//! What it is for: when a service moves, more than neighbours have to learn it. This crate talks to
//! those others, one folder for each. It decides nothing: which layer says what, and when, is the
//! core's (`core/src/redirect`); the daemon asks here and hands the answers back.
//!
//! Nothing in it knows a cluster from inside, so that each part is tried against the real thing
//! alone: BIND and Knot, BIRD and FRR, a web server, a mail server.
//!
//! Deliberately absent: the segment itself (ARP, neighbour discovery, macvlan), which needs the
//! guard's gate and stands in the daemon; any decision.

pub mod client;
pub mod dns;
mod growing;
pub mod knowledge;
pub mod lasting;
pub mod notify;
pub mod probe;
pub mod program;
pub mod routing;
