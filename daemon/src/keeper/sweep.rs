//! Ending a program without a process namespace: its control group, and whatever can be found.
//!
//! What it can't reach is what a stop can't reach either (see [`crate::agent`]): without a control
//! group a process that left the session, threw its environment away and found another parent. And
//! without a group a program that forks faster than this looks is never caught up with.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use stead_core::id::Epoch;
use stead_linux::process::{Process, Signal};

use crate::agent::{proc, variables};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Kills the control group, and with it whoever asks, if it is in there.
pub(super) fn kill_group(group: Option<&Path>) {
    if let Some(group) = group {
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
}

/// What tells a program's processes from everybody else's.
pub(super) struct Mark<'a> {
    pub(super) group: Option<&'a Path>,
    pub(super) note: &'a Path,
    pub(super) epoch: Epoch,
    /// The keeper's own two processes, which are spared.
    pub(super) keeper: [i32; 2],
}

/// Kills all of a program until nothing of it is found.
///
/// `parent` tells whose children are the program's: a process that certainly is the keeper's. Its
/// number alone is no proof of that: another may have it by now, and the parent of one whose own
/// parent has ended is the machine's init, whose children are everybody.
pub(super) fn sweep(mark: &Mark<'_>, parent: impl Fn() -> Option<i32>) {
    kill_group(mark.group);
    let wanted = variables(mark.note, mark.epoch);
    loop {
        let parent = parent();
        // Who can't see must not say that nothing is left.
        let found = proc::all().map(|all| {
            let mine = |stat: &proc::Stat| {
                let pid = stat.identity.pid;
                let of_it = parent == Some(stat.parent) || proc::has_variables(pid, &wanted);
                of_it && !mark.keeper.contains(&pid)
            };
            all.into_iter().filter(mine).map(|stat| stat.identity).collect::<Vec<_>>()
        });
        for identity in found.iter().flatten() {
            if let Ok(Some(process)) = Process::find(*identity) {
                // Gone is what it shall be; what was refused is found again.
                let _ = process.signal(Signal::SIGKILL);
            }
        }
        if found.is_ok_and(|found| found.is_empty()) {
            return;
        }
        thread::sleep(PAUSE);
    }
}
