//! A copy of everything that can't be made anew: the server's key, and each cluster's record.
//!
//! It is text, so that people can see what is in it, with a digest, so that a damaged one is not
//! taken. Tokens are not in it: one that was used would be open again.
//!
//! A register that comes back from a copy does not know what was granted since. Each of them is
//! given a new challenge, and grants nothing until a coordinator with quorum has answered it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use stead_core::id::ClusterId;
use stead_linux::durable::{WriteError, write_atomically};
use stead_linux::lock::{Lock, LockError};
use stead_log::transport::Identity;

use super::ledger::Stopped;
use super::record::{Cause, Moment, Record, Seen};
use super::server::challenge;
use super::store::{self, Store, StoreError};
use super::table::Write;
use super::{KEYS, LOCK};

const FORM: &str = "backup of a stead quorum server";
const VERSION: u32 = 1;
/// The largest file that is read, in bytes. A cluster takes about one kilobyte.
const LARGEST: u64 = 512 << 20;

/// What is in it.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    taken: String,
    /// The server's private key, in PEM.
    key: String,
    clusters: Vec<(ClusterId, Record, Seen)>,
}

/// What is around it.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    form: String,
    version: u32,
    sha256: String,
    content: String,
}

/// A backup can't be made, or not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file can't be read.
    #[error("can't read {}; nothing was changed", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no backup, or a damaged one.
    #[error("{0} is no whole backup of a quorum server: {1}; nothing was changed")]
    Damaged(PathBuf, String),
    /// The server runs.
    #[error(
        "the quorum server runs; nothing was changed. First: systemctl stop stead-quorum-server"
    )]
    Running(#[source] LockError),
    /// Whether the server runs can't be found out.
    #[error("can't see whether the quorum server runs; nothing was changed")]
    Lock(#[source] LockError),
    /// There is something that would be replaced.
    #[error(
        "{} has {clusters} clusters, which the backup would replace; nothing was changed. If that \
         is meant: --replace",
        path.display()
    )]
    InTheWay {
        /// The server's file.
        path: PathBuf,
        /// How many clusters are in it.
        clusters: usize,
    },
    /// The store can't be written.
    #[error("can't write the registers; the former ones are still in place")]
    Store(#[source] StoreError),
    /// A file can't be written.
    #[error("can't write the server's files; run this again before the server is started")]
    Write(#[source] WriteError),
    /// A file can't be put in place.
    #[error("can't {step} {}; run this again before the server is started", path.display())]
    Place {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What was put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the backup was made.
    pub taken: String,
    /// How many clusters came back. Each is distrusted.
    pub clusters: usize,
}

/// The text of a backup: of these clusters, and of the key in that folder.
///
/// # Errors
/// The key can't be read.
pub(super) fn text(
    folder: &Path,
    mut clusters: Vec<(ClusterId, Record, Seen)>,
) -> Result<String, BackupError> {
    let path = Identity::file(&folder.join(KEYS));
    let key = fs::read_to_string(&path).map_err(|source| BackupError::Read { path, source })?;
    clusters.sort_by_key(|(id, ..)| *id);
    let content = Content { taken: Moment::now().stamp(), key, clusters };
    let json = |error: serde_json::Error| {
        BackupError::Damaged(folder.to_owned(), format!("it can't be written down: {error}"))
    };
    let content = serde_json::to_string(&content).map_err(json)?;
    let (form, sha256) = (FORM.to_owned(), hex(content.as_bytes()));
    let envelope = Envelope { form, version: VERSION, sha256, content };
    serde_json::to_string(&envelope).map_err(json)
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<Content, BackupError> {
    let cant = |source| BackupError::Read { path: path.to_owned(), source };
    let damaged = |why: String| BackupError::Damaged(path.to_owned(), why);
    if fs::metadata(path).map_err(cant)?.len() > LARGEST {
        return Err(damaged(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    let text = fs::read_to_string(path).map_err(cant)?;
    let envelope: Envelope =
        serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if envelope.form != FORM {
        return Err(damaged("it is something else".to_owned()));
    }
    if envelope.version != VERSION {
        let version = envelope.version;
        return Err(damaged(format!("it is of version {version}, this one reads {VERSION}")));
    }
    if envelope.sha256 != hex(envelope.content.as_bytes()) {
        return Err(damaged("its digest does not agree with it".to_owned()));
    }
    serde_json::from_str(&envelope.content).map_err(|error| damaged(error.to_string()))
}

/// Puts a backup in the place of the server's files; the server must not run. Every register is
/// distrusted afterwards. Clusters that are there already are replaced only if that is meant.
///
/// # Errors
/// See [`BackupError`]; it says what is in place then.
pub fn restore(folder: &Path, from: &Path, replace: bool) -> Result<Restored, BackupError> {
    let content = read(from)?;
    store::make_folder(folder).map_err(BackupError::Store)?;
    let lock = Lock::acquire(&folder.join(LOCK)).map_err(|error| match error {
        held @ LockError::Held { .. } => BackupError::Running(held),
        file @ LockError::File { .. } => BackupError::Lock(file),
    })?;
    let path = store::file(folder);
    if path.exists() && !replace {
        // One that can't be read is no reason to keep it.
        let known = Store::open(&path).map_or(0, |(_, loaded)| loaded.clusters.len());
        if known > 0 {
            return Err(BackupError::InTheWay { path, clusters: known });
        }
    }
    let new = path.with_extension("new");
    if new.exists() {
        fs::remove_file(&new).map_err(place("remove", &new))?;
    }
    write(&new, &content)?;
    fs::rename(&new, &path).map_err(place("replace", &path))?;
    let keys = folder.join(KEYS);
    store::make_folder(&keys).map_err(BackupError::Store)?;
    write_atomically(&Identity::file(&keys), content.key.as_bytes(), 0o600)
        .map_err(BackupError::Write)?;
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(place("sync", folder))?;
    hand_over(folder)?;
    drop(lock);
    Ok(Restored { taken: content.taken, clusters: content.clusters.len() })
}

fn place(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Place { step, path, source }
}

/// Writes the registers of a backup to a file of their own, each with a new challenge.
fn write(path: &Path, content: &Content) -> Result<(), BackupError> {
    let mut writes = Vec::new();
    for (id, record, seen) in &content.clusters {
        let mut record = record.clone();
        record.register.distrust_anew(challenge()?);
        record.cause = Cause::Restored;
        writes.push(Write::Cluster(*id, Some(Box::new(record))));
        writes.push(Write::Seen(*id, Some(*seen)));
    }
    let (store, _) = Store::open(path).map_err(BackupError::Store)?;
    store.commit(&writes).map_err(BackupError::Store)
}

/// Gives everything in the folder to its owner: root puts a backup in place, and the server runs as
/// a user of its own.
fn hand_over(folder: &Path) -> Result<(), BackupError> {
    const STEP: &str = "give its owner";
    let owner = fs::metadata(folder).map_err(place(STEP, folder))?;
    let mut folders = vec![folder.to_owned()];
    while let Some(within) = folders.pop() {
        for entry in fs::read_dir(&within).map_err(place(STEP, &within))? {
            let entry = entry.map_err(place(STEP, &within))?;
            let path = entry.path();
            chown_to(&path, &owner).map_err(place(STEP, &path))?;
            if entry.file_type().map_err(place(STEP, &path))?.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

fn chown_to(path: &Path, owner: &fs::Metadata) -> io::Result<()> {
    let is = fs::symlink_metadata(path)?;
    if (is.uid(), is.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    lchown(path, Some(owner.uid()), Some(owner.gid()))
}
