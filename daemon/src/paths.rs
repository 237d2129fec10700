//! Where a node keeps what.

use std::path::{Path, PathBuf};

/// Where programs of services, and agents, look for others (PATH): nothing of the daemon's own
/// environment is passed on.
pub(crate) const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The three folders of a node. Several nodes on one machine (demo, tests) have three each.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Wanted state, for people: `/etc/stead`.
    pub etc: PathBuf,
    /// What must survive a reboot: `/var/lib/stead`.
    pub state: PathBuf,
    /// What must not: `/run/stead`.
    pub run: PathBuf,
}

impl Paths {
    /// The folders of one node below a common one.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { etc: root.join("etc"), state: root.join("state"), run: root.join("run") }
    }

    /// The wanted state.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.etc.join("cluster.toml")
    }

    /// Which node of which cluster this is.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.state.join("node.json")
    }

    /// The folder of the node's own key and certificate.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.state.join("keys")
    }

    /// The secret that heartbeats are sealed with.
    #[must_use]
    pub fn heartbeat_secret(&self) -> PathBuf {
        self.state.join("heartbeat.key")
    }

    /// The folder of the replicated log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The wanted state that a cluster begins with, until its log has it.
    #[must_use]
    pub fn founding(&self) -> PathBuf {
        self.state.join("founding.toml")
    }

    /// Says that the log had something in it once.
    #[must_use]
    pub fn log_began(&self) -> PathBuf {
        self.state.join("log-began")
    }

    /// Says that this node put itself on standby, because it goes away, and takes that back.
    #[must_use]
    pub fn departed(&self) -> PathBuf {
        self.state.join("departed")
    }

    /// The counter of the guard's starts.
    #[must_use]
    pub fn incarnation(&self) -> PathBuf {
        self.state.join("incarnation")
    }

    /// The folder of the configurations that were in force.
    #[must_use]
    pub fn revisions(&self) -> PathBuf {
        self.state.join("revisions")
    }

    /// The journal of events.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state.join("events.jsonl")
    }

    /// The lock that two guards can't both hold.
    #[must_use]
    pub fn guard_lock(&self) -> PathBuf {
        self.run.join("guard.lock")
    }

    /// The guard's door for the daemon.
    #[must_use]
    pub fn guard_socket(&self) -> PathBuf {
        self.run.join("guard.sock")
    }

    /// The lock that two daemons can't both hold.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.run.join("daemon.lock")
    }

    /// The local API.
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        self.run.join("stead.sock")
    }

    /// Which fence devices have let this node in since it booted.
    #[must_use]
    pub fn let_in(&self) -> PathBuf {
        self.run.join("let-in")
    }

    /// Notes about running programs, and their output.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.run.join("programs")
    }
}
