//! Documents as files, for a web server that knows nothing of any of this.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stead_linux::durable::{WriteError, write_atomically};
use thiserror::Error;

use super::shelf::Shelf;

/// The folder in the folder: the path of a URL begins with it.
const WHERE: &str = "where";
/// Others may read them; that is what they are for.
const MODE: u32 = 0o644;

/// Not all documents were written. Those that were are whole; the others stand as they did.
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

/// Writes each document on the shelf to `folder/where/SERVICE`, each at once and each only if it
/// differs, so that a web server with that folder as its root answers `GET /where/SERVICE`. Blocks.
/// How many were written.
///
/// # Errors
/// See [`FilesError`]: of the first file that failed, after all were tried.
pub fn write_files(shelf: &Shelf, folder: &Path) -> Result<usize, FilesError> {
    let folder = folder.join(WHERE);
    fs::create_dir_all(&folder)
        .map_err(|source| FilesError::Folder { path: folder.clone(), source })?;
    let (mut written, mut failed) = (0, None);
    for envelope in shelf.all() {
        let service = &envelope.document().service;
        let path = folder.join(service);
        let text = envelope.text().as_bytes();
        if fs::read(&path).is_ok_and(|there| there == text) {
            continue;
        }
        match write_atomically(&path, text, MODE) {
            Ok(()) => written += 1,
            Err(source) => {
                let error = FilesError::File { service: service.clone(), source };
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(written), Err)
}
