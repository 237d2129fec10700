//! What an agent must not forget: the newest documents, and whom it believes.
//!
//! ```text
//! state/lock              one agent at a time
//! state/trust.json        the keys that are believed
//! state/known/SERVICE     the newest envelope of a service
//! state/files/            what was written and reloaded (see `file`)
//! ```
//! Nothing in the folder is secret, and nobody else may write there: whoever may could make the
//! agent forget.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stead_linux::durable::{WriteError, write_atomically};
use stead_linux::lock::{Lock, LockError};
use thiserror::Error;

use crate::knowledge::{Envelope, Expected, LONGEST, Novelty, Refusal, Stamp, Trust};

const LOCK: &str = "lock";
const TRUST: &str = "trust.json";
const KNOWN: &str = "known";
const FILES: &str = "files";
const MODE: u32 = 0o644;

/// What is known can't be kept.
#[derive(Debug, Error)]
pub enum KnownError {
    /// Another agent has the folder.
    #[error("another agent keeps its state there")]
    Lock(#[from] LockError),
    /// A file can't be used.
    #[error("can't use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("what is known was not kept, so a restart might believe something older")]
    Write(#[from] WriteError),
    /// What was kept can't be read.
    #[error(
        "{} is damaged: {said}; remove it, if you are sure that no old document can be served",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
}

/// What is known, and its folder.
#[derive(Debug)]
pub(super) struct Known {
    folder: PathBuf,
    trust: Trust,
    documents: BTreeMap<String, Arc<Envelope>>,
    _lock: Lock,
}

/// What came of a document.
#[derive(Debug)]
pub(super) enum Learned {
    /// It is what is known already.
    Nothing,
    /// It is news, and kept.
    News {
        envelope: Arc<Envelope>,
        /// Others are believed from now on.
        rolled: bool,
    },
}

/// Why nothing came of it.
#[derive(Debug, Error)]
pub(super) enum LearnError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Kept(#[from] KnownError),
}

impl Known {
    /// Opens the folder, or makes it. `written` is whom the operator believes.
    pub(super) fn open(folder: &Path, written: Trust) -> Result<Self, KnownError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KnownError::File { path, source }
        };
        for made in [folder.to_owned(), folder.join(KNOWN), folder.join(FILES)] {
            let result = DirBuilder::new().recursive(true).mode(0o755).create(&made);
            result.map_err(failed(&made))?;
        }
        let lock = Lock::acquire(&folder.join(LOCK))?;
        let path = folder.join(TRUST);
        let trust = match fs::read(&path) {
            Ok(text) => {
                let kept: Trust = serde_json::from_slice(&text).map_err(|error| {
                    KnownError::Damaged { path: path.clone(), said: error.to_string() }
                })?;
                written.or_kept(kept)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => written,
            Err(error) => return Err(failed(&path)(error)),
        };
        let mut known =
            Self { folder: folder.to_owned(), trust, documents: BTreeMap::new(), _lock: lock };
        known.read_documents()?;
        // What the operator wrote is kept at once: only then can it be seen that he changed it.
        known.keep_trust(&known.trust)?;
        Ok(known)
    }

    fn read_documents(&mut self) -> Result<(), KnownError> {
        let folder = self.folder.join(KNOWN);
        let failed = |source| KnownError::File { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') {
                // The beginning of a write that a power loss ended.
                continue;
            }
            let damaged = |said: String| KnownError::Damaged { path: path.clone(), said };
            let length = fs::metadata(&path).map_err(failed)?.len();
            if length > LONGEST as u64 {
                return Err(damaged(format!("it has {length} bytes")));
            }
            let text = fs::read_to_string(&path).map_err(failed)?;
            let envelope: Envelope = text.parse().map_err(|error| damaged(format!("{error}")))?;
            let service = envelope.document().service.clone();
            if service != name {
                return Err(damaged(format!("it is about {service}")));
            }
            self.documents.insert(service, Arc::new(envelope));
        }
        // What is believed no more, as the operator changed whom he believes, binds nobody.
        let (trust, now) = (self.trust.clone(), Stamp::now());
        self.documents.retain(|service, envelope| {
            let expected = Expected { service, known: None, now };
            match trust.verify(envelope, expected) {
                Ok(_) | Err(Refusal::Expired { .. } | Refusal::NotYet { .. }) => true,
                // Its signer left the cluster since: what it said was true.
                Err(Refusal::Untrusted { .. }) => trust.has_rolled_on(),
                Err(
                    Refusal::Malformed(_)
                    | Refusal::BadSignature
                    | Refusal::OtherCluster { .. }
                    | Refusal::OtherService { .. }
                    | Refusal::Older { .. },
                ) => false,
            }
        });
        // A crash may have come between a document and the keys that it brought.
        for envelope in self.documents.values().filter(|it| trust.has(it.signer())) {
            self.trust.roll_on(envelope);
        }
        Ok(())
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = &Arc<Envelope>> {
        self.documents.values()
    }

    /// The folder in which a writer of files keeps what it did.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Takes what a server said of a service. What is news is on the disk when this returns.
    pub(super) fn learn(&mut self, service: &str, bytes: &[u8]) -> Result<Learned, LearnError> {
        let known = self.documents.get(service);
        if known.is_some_and(|known| known.text().as_bytes() == bytes) {
            return Ok(Learned::Nothing);
        }
        let known = known.map(|envelope| envelope.document().order);
        let expected = Expected { service, known, now: Stamp::now() };
        let (envelope, novelty) = self.trust.read(bytes, expected)?;
        match novelty {
            Novelty::Same => return Ok(Learned::Nothing),
            Novelty::New => {}
        }
        // The document first: the keys that it brings are found in it again.
        let path = self.folder.join(KNOWN).join(service);
        write_atomically(&path, envelope.text().as_bytes(), MODE).map_err(KnownError::from)?;
        let mut next = self.trust.clone();
        let rolled = next.roll_on(&envelope);
        if next != self.trust {
            self.keep_trust(&next)?;
            self.trust = next;
        }
        let envelope = Arc::new(envelope);
        self.documents.insert(service.to_owned(), envelope.clone());
        Ok(Learned::News { envelope, rolled })
    }

    fn keep_trust(&self, trust: &Trust) -> Result<(), KnownError> {
        let path = self.folder.join(TRUST);
        // Names and digests have a form in JSON.
        let text = serde_json::to_vec_pretty(trust).unwrap_or_default();
        Ok(write_atomically(&path, &text, MODE)?)
    }
}
