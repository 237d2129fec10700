//! The processes of this machine, as /proc shows them at one moment.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use stead_linux::process::{Identity, Process, ProcessError, Signal};

/// What is asked of one line of /proc/PID/stat (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) identity: Identity,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Nothing of it runs any more.
    pub(crate) ended: bool,
}

impl Stat {
    /// The second field is a name in parentheses and may contain anything, so the fields are
    /// counted from the last closing one. `None`: no such line.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|byte| *byte == b'(')?;
        let close = line.iter().rposition(|byte| *byte == b')')?;
        let pid = std::str::from_utf8(line.get(..open)?).ok()?.trim().parse().ok()?;
        let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
        let id = |at: usize| number(at).and_then(|it| i32::try_from(it).ok());
        let threads = number(17)?;
        // A first thread that ended alone looks like a zombie while the others still run.
        let ended = matches!(*fields.first()?, "Z" | "X" | "x") && threads <= 1;
        let start = fields.get(19)?.parse().ok()?;
        let identity = Identity { pid, start };
        Some(Self { identity, parent: id(1)?, group: id(2)?, session: id(3)?, ended })
    }
}

/// All processes that still run.
pub(crate) fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_none_or(|name| name.parse::<i32>().is_err()) {
            continue;
        }
        if let Some(line) = gone_is_none(fs::read(entry.path().join("stat")))? {
            found.extend(Stat::parse(&line).filter(|stat| !stat.ended));
        }
    }
    Ok(found)
}

/// Those of them that are of it, and all that these started.
pub(crate) fn with_descendants(all: Vec<Stat>, is_of_it: impl Fn(&Stat) -> bool) -> Vec<Stat> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let first = all.iter().filter(|stat| stat.identity.pid != own && is_of_it(stat));
    let mut found: BTreeSet<i32> = first.map(|stat| stat.identity.pid).collect();
    loop {
        let born =
            |stat: &&Stat| found.contains(&stat.parent) && !found.contains(&stat.identity.pid);
        let more: Vec<i32> = all.iter().filter(born).map(|stat| stat.identity.pid).collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    all.into_iter().filter(|stat| found.contains(&stat.identity.pid)).collect()
}

/// Sends a signal to that very process, so that nobody else is hit. Who has just ended has what was
/// wanted.
///
/// # Errors
/// The kernel refused.
pub(crate) fn signal(stat: &Stat, signal: Signal) -> Result<(), ProcessError> {
    let sent = match Process::find(stat.identity)? {
        Some(process) => process.signal(signal),
        None => Ok(()),
    };
    match sent {
        Err(ProcessError::Gone(_)) => Ok(()),
        sent => sent,
    }
}

/// Whether a process was started (itself or a forebear of it) with all these variables.
pub(crate) fn has_variables(pid: i32, wanted: &[Vec<u8>]) -> bool {
    // What is gone, or may not be looked into, was not started by us with them.
    let Ok(environment) = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")) else {
        return false;
    };
    wanted.iter().all(|one| environment.split(|byte| *byte == 0).any(|it| it == one))
}

/// A process may end between the listing and the look at it.
fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_the_name_is() {
        let line = b"42 (a (b) R 9 9) S 1 40 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 9876 1 2";
        let identity = Identity { pid: 42, start: 9876 };
        let wanted = Stat { identity, parent: 1, group: 40, session: 7, ended: false };
        assert_eq!(Stat::parse(line), Some(wanted));
        for cut in 0..line.len() {
            let _ = Stat::parse(&line[..cut]);
        }
        let own = all().expect("readable").into_iter().find(|stat| {
            u32::try_from(stat.identity.pid).is_ok_and(|pid| pid == std::process::id())
        });
        assert_eq!(own.map(|own| own.identity), Identity::own().ok());
    }
}
