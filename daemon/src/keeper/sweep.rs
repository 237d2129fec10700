//! Ending a program without a process namespace: its control group, and whatever can be found.
//!
//! What it can't reach is what a stop can't reach either (see [`crate::agent`]): without a control
//! group a process that left the session, threw its environment away and found another parent. And
//! without a group a program that forks faster than this looks is never caught up with.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead_core::id::Epoch;

use crate::agent::{proc, variables};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Kills the control group, and with it whoever asks, if it is in there.
pub(super) fn kill_group(group: Option<&Path>) {
    if let Some(group) = group {
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
}

/// Kills all of a program until nothing of it is found, except the keeper's own two processes.
pub(super) fn sweep(group: Option<&Path>, note: &Path, epoch: Epoch, keeper: [i32; 2]) {
    kill_group(group);
    let wanted = variables(note, epoch);
    loop {
        // Who can't see must not say that nothing is left.
        let found = proc::all().map(|all| {
            let mine = |stat: &&proc::Stat| {
                let pid = stat.identity.pid;
                let of_it = keeper.contains(&stat.parent) || proc::has_variables(pid, &wanted);
                of_it && !keeper.contains(&pid)
            };
            all.iter().filter(mine).map(|stat| stat.identity.pid).collect::<Vec<_>>()
        });
        for pid in found.iter().flatten() {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if found.is_ok_and(|found| found.is_empty()) {
            return;
        }
        thread::sleep(PAUSE);
    }
}
