//! Files that are whole after a power loss: replaced at once, or counted up in place.
//!
//! [`write_atomically`] for what is written now and then: a reader sees the old content or the new
//! one; a [`Draft`] where somebody looks at the new one first. [`Counter`] for the number that must
//! grow with every start of the guard, also when the disk is full: it never allocates. Whether the
//! disk keeps its word about `fsync` is not ours to prove.

mod counter;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use counter::{Counter, CounterError};

/// A file was not replaced.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Before the replacement: the old content stands.
    #[error("can't {step} {}; the old content stands", path.display())]
    Unchanged {
        /// What was being done.
        step: &'static str,
        /// The file it was done to.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// After it: readers see the new content, but a power loss may bring the old one back.
    #[error(
        "can't make the replacement of {} last; it is new now, and may be old again after a power \
         loss; write it again",
        path.display()
    )]
    Unsure {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Replaces a file's content as a whole, with this mode; on the disk when it returns. One writer at
/// a time.
///
/// # Errors
/// See [`WriteError`].
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    Draft::write(path, bytes, mode, None)?.place()
}

/// A file's next content, beside it and on the disk. It is gone when this is, unless it was put in
/// the file's place. One writer at a time.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    new: PathBuf,
}

impl Draft {
    /// Writes it, with this mode, and with this user and group where they are given.
    ///
    /// # Errors
    /// [`WriteError::Unchanged`].
    pub fn write(
        path: &Path,
        bytes: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> Result<Self, WriteError> {
        let name = path.file_name().ok_or_else(|| WriteError::Unchanged {
            step: "name",
            path: path.to_owned(),
            source: io::Error::from(io::ErrorKind::InvalidInput),
        })?;
        let mut new_name = std::ffi::OsString::from(".");
        new_name.push(name);
        new_name.push(".new");
        let new = folder_of(path).join(new_name);
        // What is left of it after a failure does not matter: the next one removes it first.
        let draft = Self { path: path.to_owned(), new };
        match prepare(&draft.new, bytes, mode, owner) {
            Ok(()) => Ok(draft),
            Err((step, source)) => {
                Err(WriteError::Unchanged { step, path: draft.new.clone(), source })
            }
        }
    }

    /// Where it is until then.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.new
    }

    /// Puts it in the file's place.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn place(self) -> Result<(), WriteError> {
        if let Err(source) = fs::rename(&self.new, &self.path) {
            return Err(WriteError::Unchanged { step: "replace", path: self.path.clone(), source });
        }
        sync_folder(folder_of(&self.path))
            .map_err(|source| WriteError::Unsure { path: self.path.clone(), source })
    }
}

impl Drop for Draft {
    /// After it was put in its place there is nothing of that name.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.new);
    }
}

fn prepare(
    new: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<(), (&'static str, io::Error)> {
    match fs::remove_file(new) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(("remove", error)),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(new).map_err(|error| ("create", error))?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group)).map_err(|error| ("set the owner of", error))?;
    }
    // The mode above is cut by the umask.
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(|error| ("set the mode of", error))?;
    file.write_all(bytes).map_err(|error| ("write", error))?;
    file.sync_all().map_err(|error| ("flush", error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
