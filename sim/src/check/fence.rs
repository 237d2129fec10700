//! Nobody is switched off without the right to (rules X1 to X6).
//!
//! A coordinator has a node switched off only under an attempt that the log knows of, while a
//! majority carries it. A half that breaks a tie has neither; that no more than one half ever goes
//! on is judged by all the others.

use stead_core::id::NodeId;

use crate::world::World;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Fence {
    /// How often a machine was switched off by its device.
    pub cut: u64,
    /// How often a tie was broken so.
    pub ties: u64,
}

impl World {
    /// A device is about to cut the power of a node's machine, for that machine's daemon.
    pub(crate) fn judge_fence(&mut self, host: usize, node: NodeId, number: u64, of_tie: bool) {
        self.judges.fence.cut += 1;
        if of_tie {
            self.judges.fence.ties += 1;
            return;
        }
        // A machine that stood still, unknown to its clocks, goes on with what it had begun, and so
        // does what a daemon began that stands still now (rule X2). Who is switched off by that is
        // lost like anybody.
        let still = self.hosts[host].daemon_waits(self.now).is_some();
        if still || self.excused(&[host]).is_some() {
            return;
        }
        let name = self.hosts[host].name;
        let state = &self.judges.durable.state;
        let begun = state.later.fencing.under_way.get(&node);
        let known = begun.is_some_and(|begun| begun.number.0 == number);
        if !known {
            let what = format!("{name} has node {} switched off, and nobody decided that", node.0);
            self.fail("fence", &what);
        } else if state.view.contains_key(&node) {
            let what = format!("{name} has node {} switched off, which is in the view", node.0);
            self.fail("fence", &what);
        }
        let carried = self.uncarried(host, self.longest_ordinary_lease());
        if let Some(why) = carried {
            let what = format!("{name} has node {} switched off, and {why}", node.0);
            self.fail("fence", &what);
        }
    }
}
