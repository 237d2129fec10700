//! Documents as files, for a web server that knows nothing of any of this.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stead_linux::durable::{WriteError, write_atomically};
use thiserror::Error;

use super::envelope::Envelope;

/// The folder in the folder: the path of a URL begins with it.
const WHERE: &str = "where";
/// Others may read them; that is what they are for.
const MODE: u32 = 0o644;

/// A document was not written. What was there stands as it did.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The folder can't be made.
    #[error("can't make {}; no document was written", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be replaced.
    #[error("can't write the document of {service}")]
    File {
        /// The service.
        service: String,
        /// Why not.
        #[source]
        source: WriteError,
    },
}

/// Writes a document to `folder/where/SERVICE`, whole, and only if it differs, so that a web server
/// with that folder as its root answers `GET /where/SERVICE`. Blocks. Whether it was written.
///
/// # Errors
/// See [`FilesError`].
pub fn write_file(envelope: &Envelope, folder: &Path) -> Result<bool, FilesError> {
    let folder = folder.join(WHERE);
    fs::create_dir_all(&folder)
        .map_err(|source| FilesError::Folder { path: folder.clone(), source })?;
    let service = &envelope.document().service;
    let path = folder.join(service);
    let text = envelope.text().as_bytes();
    if fs::read(&path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    let written = write_atomically(&path, text, MODE);
    written.map_err(|source| FilesError::File { service: service.clone(), source })?;
    Ok(true)
}
