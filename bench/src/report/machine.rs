//! The machine on which a session ran.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Packages whose versions are noted where they are installed.
const PACKAGES: [&str; 9] = [
    "keepalived",
    "corosync",
    "pacemaker",
    "resource-agents",
    "corosync-qdevice",
    "corosync-qnetd",
    "exabgp",
    "bird2",
    "bind9",
];

/// What has to be known of a machine to judge its figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The bench.
    pub bench: String,
    /// When the session began: RFC 3339 in UTC.
    pub began: String,
    /// How many processors this process may use.
    pub cores: usize,
    /// Their model, as the kernel says it.
    pub processor: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Mean number of runnable processes before: over 1, 5 and 15 minutes.
    pub load_before: String,
    /// The step of the kernel's timers in milliseconds, where it is known.
    pub tick_ms: Option<f64>,
    /// Of the programs; peers where they are installed.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn here(bench: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            bench: bench.to_owned(),
            began: stead::journal::stamp(SystemTime::now()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            memory_mib: memory(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            tick_ms: stead_linux::clock::jiffy().map(crate::measure::ms),
            versions: versions(),
        }
    }

    /// In a sentence, for the head of a table.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { began, cores, processor, memory_mib, kernel, load_before, .. } = self;
        let gib = memory_mib / 1024;
        let versions = self.versions.iter().map(|(name, version)| format!("{name} {version}"));
        let versions = versions.collect::<Vec<_>>().join(", ");
        format!(
            "{cores} cores ({processor}), {gib} GiB, Linux {kernel}; load before: {load_before}; \
             begun {began}; {versions}."
        )
    }
}

/// The value behind a key in `key : value`.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory(text: &str) -> u64 {
    let kib = value(text, "MemTotal").and_then(|it| it.split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn versions() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    versions.insert("stead".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let output = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
    };
    // so that a figure can be traced to the code that made it
    let commit = output("git", &["describe", "--always", "--dirty"]);
    versions.insert("commit".to_owned(), commit.unwrap_or_else(|| "unknown".to_owned()));
    for package in PACKAGES {
        let format = "${db:Status-Status} ${Version}";
        let says = output("dpkg-query", &["-W", "-f", format, package]);
        if let Some(version) = says.as_deref().and_then(|it| it.strip_prefix("installed ")) {
            versions.insert(package.to_owned(), version.to_owned());
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_behind_their_keys() {
        assert_eq!(value("a : b\nmodel name\t: X 3\n", "model name").as_deref(), Some("X 3"));
        assert_eq!(value("a : b\n", "model name"), None);
        assert_eq!(memory("MemTotal:       2097152 kB\n"), 2048);
        assert_eq!(memory(""), 0);
    }

    #[test]
    fn this_machine_is_described_in_full() {
        let here = Machine::here("failover");
        assert!(here.cores > 0 && here.memory_mib > 0 && !here.load_before.is_empty());
        assert!(here.told().contains("stead"), "{}", here.told());
    }
}
