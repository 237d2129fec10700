//! One file brought up to date: rendered, checked, put in place, read by its program; and back, if
//! that fails.
//!
//! ```text
//! rendered ─▶ draft beside it ─▶ check ─▶ old one kept ─▶ in place ─▶ reload ─▶ noted as read
//!    │             │              │                                    │
//!    ▼             ▼              ▼                                    ▼
//!  the old file stays as it is                        the old one in place ─▶ reload
//! ```
//! What was read last is noted by its digest: a file that says the right thing, and that nobody is
//! known to have read, is read again. The old file is kept beside that note until then, so that it
//! also comes back after a crash in between.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use stead_edge::chain;
use stead_linux::durable::{Draft, WriteError, write_atomically};
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::config::FileSettings;
use super::status::FileState;
use super::template::{TemplateError, render};
use crate::knowledge::{Document, hex};
use crate::program::{RunError, run};

/// What stands for the path of the draft in a check.
const PLACE: &str = "{file}";
/// The longest old file that can be kept, in bytes.
const OLD: u64 = 16 * 1024 * 1024;
/// How many digits of a digest name a file's notes.
const DIGITS: usize = 32;
const MODE: u32 = 0o644;
const SECRET_MODE: u32 = 0o600;

/// A file does not say what is known.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// It can't be made; the old one stays.
    #[error("the old file stays")]
    Template(#[from] TemplateError),
    /// It can't be written; the old one stays.
    #[error("{} can't be written; the old file stays", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: WriteError,
    },
    /// Its surroundings refuse; the old one stays.
    #[error("can't {step} {}; the old file stays", path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its check refuses it; the old one stays.
    #[error("the check refused the new file; the old one stays")]
    Check(#[source] RunError),
    /// Its program did not take it; the old one is back.
    #[error("the program did not take the new file; the old one is back, and {back}")]
    RolledBack {
        /// What became of the second reload.
        back: String,
        /// What was wrong with the first.
        #[source]
        source: RunError,
    },
    /// Its program did not take it, and the old one can't be brought back.
    #[error("the program did not take the new file, which stays: {why}")]
    Broken {
        /// Why the old one is not back.
        why: String,
        /// What was wrong with the reload.
        #[source]
        source: RunError,
    },
    /// A thread broke off.
    #[error("a step broke off; see the log")]
    Thread,
}

impl ApplyError {
    /// How it stands with the file then.
    pub(super) fn state(&self) -> FileState {
        match self {
            Self::Template(_)
            | Self::Write { .. }
            | Self::File { .. }
            | Self::Check(_)
            | Self::Thread => FileState::Stays,
            Self::RolledBack { .. } => FileState::RolledBack,
            Self::Broken { .. } => FileState::Broken,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was so already.
    Already,
    /// It is so now.
    Now,
}

/// A file and the notes about it.
#[derive(Clone, Debug)]
pub(super) struct Applier {
    settings: FileSettings,
    /// The digest of what its program has read.
    read: PathBuf,
    /// The file as it was before what is being tried.
    old: PathBuf,
}

impl Applier {
    /// `notes` is the folder for notes about files.
    pub(super) fn new(settings: FileSettings, notes: &Path) -> Self {
        let target = settings.target.as_os_str().as_encoded_bytes();
        let name: String = hex(digest(&SHA256, target).as_ref()).chars().take(DIGITS).collect();
        let (read, old) = (notes.join(format!("{name}.read")), notes.join(format!("{name}.old")));
        Self { settings, read, old }
    }

    pub(super) fn settings(&self) -> &FileSettings {
        &self.settings
    }

    /// Brings it up to date.
    pub(super) async fn apply(
        &self,
        documents: BTreeMap<String, Document>,
    ) -> Result<Applied, ApplyError> {
        let this = self.clone();
        let prepared = blocking(move || this.prepare(&documents)).await?;
        let (digest, draft) = match prepared {
            Prepared::Nothing => return Ok(Applied::Already),
            Prepared::Unread(digest) => (digest, None),
            Prepared::Draft(digest, draft) => (digest, Some(draft)),
        };
        if let Some(draft) = draft {
            if let Some(check) = &self.settings.check {
                let check = check.with(PLACE, &draft.file().to_string_lossy());
                let checked = run(&check, Vec::new(), b"", self.settings.timeout).await;
                checked.map_err(ApplyError::Check)?;
            }
            let this = self.clone();
            blocking(move || this.place(draft)).await?;
        }
        match self.reload().await {
            Ok(()) => {
                let this = self.clone();
                blocking(move || this.note(&digest)).await?;
                Ok(Applied::Now)
            }
            Err(error) => Err(self.back(error).await),
        }
    }

    async fn reload(&self) -> Result<(), RunError> {
        match &self.settings.reload {
            Some(reload) => run(reload, Vec::new(), b"", self.settings.timeout).await,
            None => Ok(()),
        }
    }

    fn prepare(&self, documents: &BTreeMap<String, Document>) -> Result<Prepared, ApplyError> {
        let target = &self.settings.target;
        let text = render(&self.settings.template, documents)?;
        let digest = hex(digest(&SHA256, text.as_bytes()).as_ref());
        let is_read = fs::read(&self.read).is_ok_and(|read| read == digest.as_bytes());
        let failed = |step| {
            let path = target.clone();
            move |source| ApplyError::File { step, path, source }
        };
        match fs::symlink_metadata(target) {
            // To replace a link would leave what it leads to as it was, for those who read that.
            Ok(meta) if !meta.is_file() => {
                let said = "it is no file, or a link: name the file itself as `target`";
                return Err(failed("replace")(io::Error::other(said)));
            }
            Ok(_) => {
                let is_same = fs::read(target).is_ok_and(|there| there == text.as_bytes());
                if is_same {
                    return Ok(if is_read { Prepared::Nothing } else { Prepared::Unread(digest) });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at")(error)),
        }
        let owner = self.settings.owner.as_ref().map(|owner| owner.numbers()).transpose();
        let owner = owner.map_err(failed("find the owner of"))?;
        let draft = Draft::write(target, text.as_bytes(), self.settings.mode, owner)
            .map_err(|source| ApplyError::Write { path: target.clone(), source })?;
        Ok(Prepared::Draft(digest, draft))
    }

    /// Keeps the old one and puts the new one in its place.
    fn place(&self, draft: Draft) -> Result<(), ApplyError> {
        let target = &self.settings.target;
        let failed = |step, path: &Path| {
            let path = path.to_owned();
            move |source| ApplyError::File { step, path, source }
        };
        match fs::metadata(target) {
            Ok(meta) if meta.len() > OLD => {
                return Err(failed("keep the old", target)(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(meta) => {
                let bytes = fs::read(target).map_err(failed("keep the old", target))?;
                let owner = Some((meta.uid(), meta.gid()));
                let mode = meta.permissions().mode() & 0o777;
                // It is as secret as it was, beside notes that all may read.
                let kept = Draft::write(&self.old, &bytes, mode & SECRET_MODE, owner)
                    .and_then(Draft::place);
                kept.map_err(|source| ApplyError::Write { path: self.old.clone(), source })?;
                let known = format!("{mode:o}");
                let kept = write_atomically(&self.old_mode(), known.as_bytes(), MODE);
                kept.map_err(|source| ApplyError::Write { path: self.old.clone(), source })?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                forget(&self.old).map_err(failed("forget", &self.old))?;
            }
            Err(error) => return Err(failed("look at", target)(error)),
        }
        // What was read before is not what is there.
        forget(&self.read).map_err(failed("forget", &self.read))?;
        draft.place().map_err(|source| ApplyError::Write { path: target.clone(), source })
    }

    fn old_mode(&self) -> PathBuf {
        self.old.with_extension("mode")
    }

    fn note(&self, digest: &str) -> Result<(), ApplyError> {
        let noted = write_atomically(&self.read, digest.as_bytes(), MODE);
        noted.map_err(|source| ApplyError::Write { path: self.read.clone(), source })?;
        // What is left of the old one is replaced before it is needed.
        let _ = forget(&self.old);
        let _ = forget(&self.old_mode());
        Ok(())
    }

    /// Brings the old one back, after a reload that failed.
    async fn back(&self, source: RunError) -> ApplyError {
        let this = self.clone();
        let restored = spawn_blocking(move || this.restore()).await;
        let why = match restored {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some("there was none before".to_owned()),
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("a step broke off".to_owned()),
        };
        if let Some(why) = why {
            return ApplyError::Broken { why, source };
        }
        let back = match self.reload().await {
            Ok(()) => "was reloaded".to_owned(),
            Err(error) => format!("its reload failed as well: {}", chain(&error)),
        };
        ApplyError::RolledBack { back, source }
    }

    /// Whether there was one.
    fn restore(&self) -> Result<bool, WriteError> {
        let target = &self.settings.target;
        let read = |source| WriteError::Unchanged { step: "read", path: self.old.clone(), source };
        let bytes = match fs::read(&self.old) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(read(error)),
        };
        let meta = fs::metadata(&self.old).map_err(read)?;
        let mode = fs::read_to_string(self.old_mode()).ok();
        let mode = mode.and_then(|mode| u32::from_str_radix(mode.trim(), 8).ok());
        let mode = mode.map_or(SECRET_MODE, |mode| mode & 0o777);
        Draft::write(target, &bytes, mode, Some((meta.uid(), meta.gid())))?.place()?;
        Ok(true)
    }
}

enum Prepared {
    Nothing,
    Unread(String),
    Draft(String, Draft),
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn blocking<R: Send + 'static>(
    step: impl FnOnce() -> Result<R, ApplyError> + Send + 'static,
) -> Result<R, ApplyError> {
    spawn_blocking(step).await.unwrap_or(Err(ApplyError::Thread))
}
