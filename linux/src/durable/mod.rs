//! Files that are whole after a power loss: replaced at once, or counted up in place.
//!
//! [`write_atomically`] for what is written now and then: a reader sees the old content or the new
//! one. [`Counter`] for the number that must grow with every start of the guard, also when the disk
//! is full: it never allocates. Whether the disk keeps its word about `fsync` is not ours to prove.

mod counter;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
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
    let name = path.file_name().ok_or_else(|| WriteError::Unchanged {
        step: "name",
        path: path.to_owned(),
        source: io::Error::from(io::ErrorKind::InvalidInput),
    })?;
    let folder = folder_of(path);
    let mut new_name = std::ffi::OsString::from(".");
    new_name.push(name);
    new_name.push(".new");
    let new = folder.join(new_name);
    if let Err((step, source)) = prepare(&new, bytes, mode) {
        // What is left of it does not matter: the next attempt removes it first.
        let _ = fs::remove_file(&new);
        return Err(WriteError::Unchanged { step, path: new, source });
    }
    if let Err(source) = fs::rename(&new, path) {
        let _ = fs::remove_file(&new);
        return Err(WriteError::Unchanged { step: "replace", path: path.to_owned(), source });
    }
    sync_folder(folder).map_err(|source| WriteError::Unsure { path: path.to_owned(), source })
}

fn prepare(new: &Path, bytes: &[u8], mode: u32) -> Result<(), (&'static str, io::Error)> {
    match fs::remove_file(new) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(("remove", error)),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(new).map_err(|error| ("create", error))?;
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
