//! What the daemon tells an executor, in a file that only root reads: parameters may be secrets.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stead_core::id::{Epoch, ServiceId};
use stead_core::state::config::{ResourceConfig, Safety};
use thiserror::Error;

/// How the names of these files end.
const ENDING: &str = "wanted";

/// Everything that an executor has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The service.
    pub service: ServiceId,
    /// The assignment under which it runs.
    pub epoch: Epoch,
    /// The node's name.
    pub node: String,
    /// What it consists of, in the order of the file.
    pub resources: Vec<ResourceConfig>,
    /// Which of them can be promoted, by name, if this is one of several copies.
    #[serde(default)]
    pub copies: Option<BTreeSet<String>>,
    /// The folder for sockets and output.
    pub folder: PathBuf,
    /// The note of the service's program, which is part of the environment of all that belongs to
    /// it.
    pub note: PathBuf,
    /// The control group of the whole service; none where there can't be one.
    pub group: Option<PathBuf>,
    /// Nothing is started: what is there of it is stopped.
    #[serde(default)]
    pub ending: bool,
}

/// What is wanted can't be told or read. Nothing was started.
#[derive(Debug, Error)]
#[error("can't {step} {}", path.display())]
pub struct WantedError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Wanted {
    /// Where it is told.
    #[must_use]
    pub fn path(folder: &Path, service: &ServiceId) -> PathBuf {
        folder.join(format!("{service}.{ENDING}"))
    }

    /// The socket of a service's executor.
    #[must_use]
    pub fn socket(folder: &Path, service: &ServiceId) -> PathBuf {
        folder.join(format!("{service}.sock"))
    }

    /// Where one of its resources prints.
    #[must_use]
    pub fn output(&self, resource: &str) -> PathBuf {
        // Names have no dots, so no two are alike.
        self.folder.join(format!("{}.{resource}.log", self.service))
    }

    /// What agents know it by.
    #[must_use]
    pub fn instance(&self, resource: &str) -> String {
        format!("{}.{resource}", self.service)
    }

    /// Whether the agent of a resource is told of other copies: of what is promoted only. What else
    /// the service consists of is there once, where it serves, and `heartbeat:Filesystem` refuses
    /// to mount what it takes for one of several.
    pub(super) fn has_copies(&self, resource: &str) -> bool {
        self.copies.as_ref().is_some_and(|names| names.contains(resource))
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`WantedError`]
    pub fn write(&self) -> Result<PathBuf, WantedError> {
        let path = Self::path(&self.folder, &self.service);
        let failed = |source| WantedError { step: "write", path: path.clone(), source };
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        // In one step: what an earlier one says of what is left is not lost in between.
        let new = path.with_extension(format!("{ENDING}.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&new);
        file.and_then(|mut file| file.write_all(&bytes)).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        Ok(path)
    }

    /// Whether the end of processes does not undo all that its agents do.
    #[must_use]
    pub fn binds(&self) -> bool {
        self.resources.iter().any(|it| it.safety == Safety::Fence)
    }

    /// What an executor in that folder may have left of a service: it ended before everything had
    /// stopped, and the end of its processes does not undo all that its agents did. Nothing if
    /// nothing is to be done about it.
    ///
    /// # Errors
    /// [`WantedError`]: it can't be said.
    pub fn left(folder: &Path, service: &ServiceId) -> Result<Option<Self>, WantedError> {
        match Self::read(&Self::path(folder, service)) {
            Ok(wanted) => Ok(Some(wanted).filter(Self::binds)),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The services of which something may be left in that folder, and under which assignment.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn all_left(folder: &Path) -> io::Result<Vec<(ServiceId, Epoch)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING)
                && let Some(service) = path.file_stem().and_then(|stem| stem.to_str())
            {
                match Self::left(folder, &ServiceId::from(service)) {
                    Ok(Some(left)) => all.push((left.service, left.epoch)),
                    Ok(None) => {}
                    // Its service is not told to have stopped before it can be read.
                    Err(error) => tracing::error!("{}", stead_edge::chain(&error)),
                }
            }
        }
        Ok(all)
    }

    /// Everything has stopped: nothing has to be known of it any more, and parameters may be
    /// secrets.
    pub fn forget(folder: &Path, service: &ServiceId) {
        let path = Self::path(folder, service);
        match fs::remove_file(&path) {
            // It is stopped once more than need be.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!("can't remove {}: {error}", path.display());
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// [`WantedError`]
    pub fn read(path: &Path) -> Result<Self, WantedError> {
        let failed = |source| WantedError { step: "read", path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(failed)?;
        serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_on_what_is_promoted_is_told_of_no_copies() {
        let mut wanted: Wanted = serde_json::from_value(serde_json::json!({
            "service": "web", "epoch": 1, "node": "node1", "resources": [], "copies": ["drbd"],
            "folder": "/run/stead/programs", "note": "/run/stead/programs/web.note",
        }))
        .expect("it can be read");
        assert!(wanted.has_copies("drbd") && !wanted.has_copies("disk"));
        wanted.copies = None;
        assert!(!wanted.has_copies("drbd"));
    }
}
