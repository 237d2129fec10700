//! Scenarios: one failure each, as a text that a person can read and the world can play.
//!
//! ```text
//! # A node that holds a service dies: its address is back after D and a few milliseconds.
//! nodes 3
//! power-off holder
//! run 1000
//! ----
//!        0.0 - [power-off holder]
//!      317.4 b a is suspected: not heard for 316.000 ms
//!      ...
//! ```
//!
//! Above the rule: the intent in a sentence, what the cluster is like, and a script. Below it: what
//! happens, in virtual milliseconds. `UPDATE=1` has the tests write that part.
//!
//! | word | meaning |
//! |---|---|
//! | `nodes N`, `members N`, `services N`, `links N` | how many; members join at the start |
//! | `satellites N` | so many of the nodes, the last ones, have no vote |
//! | `initial-ride-out MS`, `round-trip MS`, `grace MS` | the timers |
//! | `gates relative`, `absolute`, `both` | what the kernels enforce leases by |
//! | `quorum-server` | a register breaks ties |
//! | `fenced` | services with a program have something that no lease's end undoes |
//! | `devices` | every machine has a fence device |
//! | `fence-ties` | the same, and a half goes on once it has had the rest switched off |
//! | `copies` | services with a program have a copy on each machine, promoted on one |
//! | `named` | services have names, and clients are told where they are |
//! | `seed N`, `rough` | what chance decides by; bad weather, clocks that drift, slow hands |
//! | `start-behind N` | how much that is committed a starting daemon's snapshot does not have |
//! | `snapshot-gap N`, `unsettled` | when snapshots are sent; the script begins with the machines |
//! | `resources sN A B:A C:A,B` | that service consists of resources; what each needs |
//! | `restarts N`, `forget-after MS` | of each resource: tries in place; failures are forgotten |
//! | `agent-timeout MS`, `monitor-interval MS` | of all agents |
//! | `run MS`, `until MS` | time passes; up to that moment of the script |
//! | `await MS` and `healthy`, `served sN`, `silent sN` or `said WORDS` | it has to come by then |
//! | `lull MS` | if a whole partition is quorate, it has to serve within that time |
//! | `heal` | all faults end, and everything has to become well |
//!
//! Everything else is an act ([`crate::fault`]). Machines are named `a` to `i`, or by what they are
//! at that moment: `coordinator`, `holder` (of s0), `other` (neither). Failures: what can't be read
//! names line and column, and an `await` that waits in vain ends with the last notices.

mod play;
mod script;

pub use play::{PlayError, Played, play, play_steps};
pub use script::{Script, Step, Wanted};
