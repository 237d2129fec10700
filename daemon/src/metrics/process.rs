//! What a process uses, as /proc tells it.

use std::fs;

/// Ticks per second in /proc/PID/stat: the kernel's `USER_HZ`, which is 100 for programs on every
/// machine that stead runs on, whatever the kernel itself counts by.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Processor time since it started, in seconds.
    pub(crate) cpu: f64,
    /// Its memory in RAM, in bytes.
    pub(crate) resident: u64,
    /// Its threads.
    pub(crate) threads: u64,
}

/// What the process with that number uses; nothing if there is none, or it can't be looked at.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    parse(&stat, &status)
}

/// The name of the program stands in parentheses and may contain anything, so the fields of `stat`
/// are counted from the last closing one. It is cut to 15 bytes: `status` has no line of its own
/// making.
fn parse(stat: &str, status: &str) -> Option<Usage> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc(5), and the first one here is the third.
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok().map(f64::from);
    let line = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Usage {
        cpu: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        resident: line("VmRSS:")?.checked_mul(1_024)?,
        threads: line("Threads:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (evil) R 1) S 1 42 42 0 -1 4194304 90 0 0 0 250 150 0 0 20 0 3 0 9876 1";
    const STATUS: &str = "Name:\tevil\nVmRSS:\t   2048 kB\nThreads:\t3\n";

    #[test]
    fn time_and_memory_are_in_base_units() {
        let wanted = Usage { cpu: 4.0, resident: 2_097_152, threads: 3 };
        assert_eq!(parse(STAT, STATUS), Some(wanted));
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for cut in 0..STAT.len() - 24 {
            assert_eq!(parse(&STAT[..cut], STATUS), None, "{cut}");
        }
        assert_eq!(parse(STAT, "Name:\tkthread\nThreads:\t1\n"), None);
        assert_eq!(usage(0), None);
    }

    #[test]
    fn this_very_process_can_be_looked_at() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.resident > 0 && own.threads > 0 && own.cpu >= 0.0, "{own:?}");
    }
}
