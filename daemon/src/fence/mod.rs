//! Fence devices: what they are called, what they take, and how they are asked.
//!
//! # What it is for
//! What a lost node may still write to is started elsewhere only once that node is proven to be
//! off. Here is who switches it off and looks whether it is: agents of Debian's package
//! fence-agents, run as they are; programs of the operator's; servers of HTTP. Everything that has
//! to be known of FenceAgentAPI stands here.
//!
//! # Happy path
//! ```text
//! Devices::fence: level 1: off for each plug ─▶ status of each, until it says off ─▶ proven
//!                          │ one failed            │ one says on for as long as a run may take
//!                          ▼                       ▼
//!                 level 2: …                                                   ─▶ or why not
//! ```
//! Plugs of different devices at the same time, one run at a time on each device. An agent reads
//! `action=off` and its parameters on standard input, secrets among them, and says by its exit
//! status what became of it. [`Devices::switch_on`] is asked once the proof is committed.
//! [`Devices::status_of`] asks through every way and switches nothing. [`MetaData`] is what an
//! agent says of itself, [`check`] compares with it what an operator wrote.
//!
//! # Failures
//! A device proves something only by two answers that agree: that it is done, and a status after
//! that. One that fails, says that the node is on, contradicts itself or does not end in its time
//! proves nothing, and the next level is tried. What runs too long is killed, with all that it
//! started: by its control group, or where there is none by its session and a variable of its
//! environment. So is what is dropped, and what a former daemon left. What a device was told
//! already nobody can take back.
//!
//! A secret is read from its file when it is needed, and told on standard input: it stands in no
//! command line, environment or log of ours. Agents hand some to tools of theirs as those have it
//! (fence_ipmilan to ipmitool, on its command line). It is blanked out of all that comes back.
//!
//! # Deliberately absent
//! Every decision: whom to fence, when, and whether what was found is a proof. An agent's own
//! `reboot`, whose success does not say that the machine was off.

mod agent;
mod attempt;
mod check;
mod describe;
mod devices;
mod entry;
mod explain;
#[cfg(test)]
mod fuzz;
mod hidden;
mod lacks;
mod look;
mod meta;
mod name;
mod output;
mod process;
mod step;
mod surroundings;
mod trial;
mod webhook;

pub use check::{check, outlet_mistake, unable};
pub use describe::{DescribeError, describe};
pub use devices::Devices;
pub use explain::explain;
pub use lacks::lacks;
pub use look::{Listed, Listing, Way, list_all, ways_through, ways_to};
pub use meta::{Ability, MetaData, Outlet};
pub use name::{AgentName, FOLDERS, NameError, folders, installed, nearest};
pub use step::{Action, Attempt, Said, Step};
pub use trial::Trial;

/// How many of the last lines of a run are kept.
const LINES: usize = 10;
