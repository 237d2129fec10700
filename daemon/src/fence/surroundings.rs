//! Where programs of fence devices run: their environment, their control groups, and how those are
//! found that a former daemon left.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stead_linux::process::Signal;

use crate::agent::cgroup::{self, Group, Groups};
use crate::agent::proc;
use crate::paths::SEARCH;

/// The variable by which a run's processes are found where there is no control group.
const RUN: &str = "STEAD_FENCE_RUN";

/// Shared by all runs of one daemon.
#[derive(Clone, Debug)]
pub(super) struct Surroundings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    groups: Option<Groups>,
    /// The beginning of the names of all groups: no two folders of one machine have the same.
    prefix: String,
    /// How the variables of all runs begin.
    before: OsString,
    runs: AtomicU64,
}

/// By what one run is found.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) group: Option<Group>,
    pub(super) variable: OsString,
}

impl Surroundings {
    /// Of the daemon with that folder for what must not survive a reboot.
    pub(super) fn of_daemon(run: &Path) -> Self {
        let path = fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
        let id = fs::metadata(&path).map_or((0, 0), |meta| (meta.dev(), meta.ino()));
        Self::new(Groups::detect(), &format!("{:x}-{:x}", id.0, id.1), path.into())
    }

    /// Of this process, beside a daemon that may run as well.
    pub(super) fn of_process() -> Self {
        let name = format!("pid{}", std::process::id());
        Self::new(Groups::detect(), &name, name.clone().into())
    }

    /// The same without control groups, as on a machine that has none.
    pub(super) fn without_groups(self) -> Self {
        let Shared { prefix, before, .. } = &*self.0;
        let (prefix, before) = (prefix.clone(), before.clone());
        Self(Arc::new(Shared { groups: None, prefix, before, runs: AtomicU64::new(0) }))
    }

    fn new(groups: Option<Groups>, name: &str, mark: OsString) -> Self {
        let prefix = format!("{}fence-{name}-", cgroup::PREFIX);
        let mut before = OsString::from(RUN);
        before.push("=");
        before.push(mark);
        before.push("#");
        Self(Arc::new(Shared { groups, prefix, before, runs: AtomicU64::new(0) }))
    }

    /// The marks of the next run. Blocks for a moment.
    pub(super) fn next(&self) -> Marks {
        let number = self.0.runs.fetch_add(1, Ordering::Relaxed);
        let made = |groups: &Groups| groups.create(&format!("{}{number}", self.0.prefix));
        let group = match self.0.groups.as_ref().map(made).transpose() {
            Ok(group) => group,
            Err(error) => {
                tracing::warn!("no control group for a fence agent: {error}");
                None
            }
        };
        let mut variable = self.0.before.clone();
        variable.push(number.to_string());
        Marks { group, variable }
    }

    /// Kills what a former daemon had run: an agent that goes on would switch a node off for a
    /// reason that nobody knows any more.
    pub(super) fn end_left(&self) {
        let left = self.0.groups.as_ref().map(|it| it.beginning_with(&self.0.prefix));
        for group in left.unwrap_or_default() {
            group.kill();
            // The kernel keeps it until its last process is gone, and it is made anew if needed.
            let _ = group.remove();
        }
        let before = &self.0.before;
        for stat in marked(|variable| variable.starts_with(before.as_bytes())).unwrap_or_default() {
            if let Err(error) = proc::signal(&stat, Signal::SIGKILL) {
                tracing::warn!("{}", stead_edge::chain(&error));
            }
        }
    }
}

/// The processes that have such a variable, and all that these started.
pub(super) fn marked(is_it: impl Fn(&[u8]) -> bool) -> io::Result<Vec<proc::Stat>> {
    let has = |stat: &proc::Stat| {
        let path = format!("/proc/{}/environ", stat.identity.pid);
        // What is gone, or may not be looked into, is none that we started.
        let Ok(environment) = fs::read(path) else { return false };
        environment.split(|byte| *byte == 0).any(&is_it)
    };
    Ok(proc::with_descendants(proc::all()?, has))
}

impl Marks {
    /// The variable as a name and a value.
    pub(super) fn pair(&self) -> (OsString, OsString) {
        let bytes = self.variable.as_bytes();
        let value = bytes.get(RUN.len() + 1..).unwrap_or_default();
        (RUN.into(), OsStr::from_bytes(value).to_owned())
    }
}

/// What all programs of devices have in their environment: nothing of the daemon's own.
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    [("PATH", SEARCH), ("LC_ALL", "C.UTF-8")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}
