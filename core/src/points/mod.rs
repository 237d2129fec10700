//! Reference points: who sees the networks that carry the services' addresses.
//!
//! The heartbeats' links may be fine while the network of a service is dead on its holder: a cable,
//! a port of a switch, a VLAN. So every node asks machines on that network that are no nodes (a
//! gateway, addresses that were declared) whether they answer, many times a second, and tells the
//! others. The rules and their reasons stand in `docs/protocol.md`, section 14.
//!
//! ```text
//!   daemon asks ─▶ Watched ─▶ guard ─▶ Told ─▶ heartbeats ─▶ Report ─▶ Seen ─▶ placement
//! ```
//!
//! Happy path: all see the same, and nothing follows. A node that asks a point in vain for a
//! ride-out, while another node had answers all the time, is *behind* at that point. What it holds
//! goes to a node that is behind at fewer points of that network.
//!
//! Failures: a point that dies is lost by all at about the same time, so nobody is behind. A daemon
//! that stands still neither asks nor reads: that time counts for no loss ([`Watch::missed`]), and
//! what it heard before gets old all the same ([`Watch::answered`]).
//!
//! Absent on purpose: frames, interfaces and routes, which are the daemon's (`daemon/src/points`).

mod list;
mod seen;
mod told;

pub use list::{Point, What, of_config, of_service};
pub use seen::{Seen, View};
pub use told::{Age, MOST, Told, ToldPoint, Watch, Watched};
