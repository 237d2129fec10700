//! Clusters whose nodes are machines with kernels of their own, for what namespaces can't show.
//!
//! What it is for: the pause that no clock of the node shows, the loss of a machine's power, a
//! kernel that panics, and disks that two machines reach. Two nodes are QEMU machines of the lab
//! ([`stead_lab::vm`]); the third votes and serves nothing, and its processes run as in all other
//! tests, so that there is always somebody to ask who answers at once.
//!
//! ```text
//!   node1 (QEMU)   node2 (QEMU)   node3   client
//!      └──────┬───────────┴─────────┴───────┘
//!          front, which carries no heartbeats, and ring, without the client
//! ```
//!
//! Processors are emulated, so everything takes ten times as long: the ride-out is four seconds,
//! and no test asserts how long anything took. A test that fails prints the last words of every
//! node.
//!
//! Deliberately absent: what can be shown without machines. A guest costs ten seconds to boot.

mod bed;
mod database;
mod drbd;
mod made;
mod pause;
mod power;
mod reserved;
mod shared;
mod watchdog;

use std::path::Path;
use std::time::Duration;

use stead::demo::fleet::{Family, ServicePlan};
use stead_lab::vm::Kernel;

use crate::cluster::{WEB, stead};

/// How long anything may take that is only waited for.
const PATIENCE: Duration = Duration::from_secs(240);
/// The ride-out of these clusters: guests stall where nothing is wrong.
const RIDE_OUT: Duration = Duration::from_secs(4);
/// The longest round trip between guests.
const ROUND_TRIP: Duration = Duration::from_millis(500);
/// The program under test, in a guest.
const PROGRAM: &str = "/opt/stead";

/// The kernel that `tests/guest-kernel` lays down beside the program.
fn kernel() -> Kernel {
    let stead = stead();
    let target = stead.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    Kernel::at(&target.join("guests/kernel")).expect("a kernel for the guests")
}

/// The small web service, which would rather run on node1. Clients monitor it.
fn web() -> ServicePlan {
    let web = ServicePlan::web("web", Path::new(PROGRAM), Family::V4, WEB);
    ServicePlan { monitor: Vec::new(), ..web.prefer(&["node1"]) }
}
