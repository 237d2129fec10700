//! What processes cost, from /proc.

use std::fs;
use std::path::PathBuf;

use crate::error::{BenchError, Step};

/// Ticks per second as the kernel's interfaces count them, whatever it really uses.
const USER_HZ: f64 = 100.0;
const KIB_PER_MIB: f64 = 1024.0;

/// What a process has used so far, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Time on a processor, its threads' included, in seconds.
    pub cpu_s: f64,
    /// Memory that is mapped and present, in MiB; pages shared with others count in full.
    pub rss_mib: f64,
    /// The same, shared pages divided among those who share them.
    pub pss_mib: f64,
}

/// What a process has used.
///
/// # Errors
/// It has ended, or /proc is not readable.
pub fn of_process(pid: i32) -> Result<Usage, BenchError> {
    let read = |name: &str| {
        let path = PathBuf::from(format!("/proc/{pid}/{name}"));
        fs::read_to_string(&path).step(|| format!("cannot read {}", path.display()))
    };
    let cpu_s = cpu_seconds(&read("stat")?);
    let memory = read("smaps_rollup")?;
    let cpu_s = cpu_s
        .ok_or_else(|| std::io::Error::other("a form that is not known"))
        .step(|| format!("cannot read /proc/{pid}/stat"))?;
    let (rss_mib, pss_mib) = (mib(&memory, "Rss:"), mib(&memory, "Pss:"));
    Ok(Usage { cpu_s, rss_mib, pss_mib })
}

/// What was used between two looks, as percent of one processor; memory is that of the second.
#[must_use]
pub fn between(first: Usage, second: Usage, seconds: f64) -> (f64, Usage) {
    ((second.cpu_s - first.cpu_s) / seconds * 100.0, second)
}

/// utime and stime of /proc/PID/stat. The name before them may hold any character.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / USER_HZ)
}

fn mib(rollup: &str, key: &str) -> f64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / KIB_PER_MIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_moves_no_field() {
        let stat = "17 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("17 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_mib_and_what_is_absent_is_none() {
        let rollup = "00400000-7fff [rollup]\nRss:   2048 kB\nPss:   512 kB\nPss_Dirty: 1 kB\n";
        assert_eq!((mib(rollup, "Rss:"), mib(rollup, "Pss:")), (2.0, 0.5));
        assert_eq!(mib(rollup, "Swap:"), 0.0);
    }

    #[test]
    fn this_process_uses_memory_and_time_goes_forward() {
        let us = std::process::id().cast_signed();
        let first = of_process(us).expect("our own");
        let second = of_process(us).expect("our own");
        let (percent, usage) = between(first, second, 1.0);
        assert!(percent >= 0.0 && usage.rss_mib >= usage.pss_mib && usage.pss_mib > 0.0);
    }
}
