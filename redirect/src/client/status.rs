//! What an agent says of itself: a file for people, for `trace`, and for whoever observes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::knowledge::{Document, KeyDigest, Order, Stamp};
use crate::notify::WayState;

/// The file in the folder for the state.
const FILE: &str = "status.json";
/// The longest, in bytes: all services with all that a document may hold.
const LONGEST: u64 = 16 * 1024 * 1024;

/// There is no status.
#[derive(Debug, Error)]
pub enum StatusError {
    /// It can't be read.
    #[error("can't read {}; is an agent running with that configuration?", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is of another version, or damaged.
    #[error("{} is not what an agent of this version writes", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// How an agent hears of a service from one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// It was not reached yet.
    Trying,
    /// A stream is open.
    Stream,
    /// It is asked now and then.
    Poll,
    /// It can't be reached, or says nothing of use.
    Away,
}

/// One server and one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The server.
    pub url: String,
    /// The service.
    pub service: String,
    /// How it is heard.
    pub state: SourceState,
    /// Since when that is so.
    pub since: Stamp,
    /// What is wrong, if it is away.
    pub error: Option<String>,
    /// Why its last document was refused, if it was.
    pub refused: Option<String>,
}

/// What is known of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The newest document that is believed.
    pub document: Document,
    /// Where it came from: a server, or `kept` from before the agent's start.
    pub from: String,
    /// When it came.
    pub received: Stamp,
    /// Its time is over, and nothing newer came.
    pub expired: bool,
}

/// How it stands with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// Not all of its services are known.
    Waiting,
    /// It says what is known, and its program has read it.
    Current,
    /// It could not be made or did not pass its check, so the old one stays.
    Stays,
    /// It was made, its program did not take it, and the old one is back.
    RolledBack,
    /// It was made, its program did not take it, and the old one could not be brought back.
    Broken,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// The file.
    pub target: PathBuf,
    /// How it stands.
    pub state: FileState,
    /// Since when.
    pub at: Stamp,
    /// What was wrong with the last attempt.
    pub error: Option<String>,
    /// Attempts that failed, one after the other.
    pub failures: u32,
    /// The documents of the last attempt, by service.
    pub tried: BTreeMap<String, Order>,
}

/// All that an agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of this form: 1.
    pub version: u32,
    /// The cluster, as it is configured.
    pub cluster: String,
    /// The agent's process.
    pub process: u32,
    /// When this was written.
    pub at: Stamp,
    /// The keys that are believed.
    pub trust: Vec<KeyDigest>,
    /// The servers, for each service.
    pub sources: Vec<SourceStatus>,
    /// What is known, by service.
    pub services: BTreeMap<String, ServiceStatus>,
    /// The files.
    pub files: Vec<FileStatus>,
    /// The ways of messages.
    pub ways: Vec<WayState>,
}

/// Where an agent with that folder for its state writes its status.
#[must_use]
pub(super) fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// What the agent with that folder for its state said last. Whether it still runs, its `process`
/// tells, and `at` how old this is at most.
///
/// # Errors
/// See [`StatusError`].
pub fn status(state: &Path) -> Result<Status, StatusError> {
    let path = file(state);
    let failed = |source| StatusError::Read { path: path.clone(), source };
    if fs::metadata(&path).map_err(failed)?.len() > LONGEST {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read(&path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|source| StatusError::Form { path, source })
}
