//! The disk: one redb file, and what every commit of it promises.
//!
//! A commit is on the disk when [`Store::commit`] returns. It is made in two phases: keys, names
//! and halves come from clients, and one who can choose the bytes of a page must not be able to
//! make a torn commit look whole (redb's checksum is no cryptographic one).

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use stead_core::id::ClusterId;
use stead_core::state::Digest;
use stead_log::codec::{DecodeError, decode_as, encode_as};

use super::record::{Record, Seen, TokenRecord};
use super::table::Write;

/// The version of what is in the tables.
const VERSION: u8 = 1;
const CLUSTERS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("clusters");
const SEEN: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("seen");
const TOKENS: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("tokens");
/// Everything is read once, and then only written.
const CACHE_BYTES: usize = 8 << 20;
/// The file in the server's folder.
const FILE: &str = "registers.redb";

/// The file can't be used, or holds what it can't hold.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder can't be made or entered; nothing was changed.
    #[error("can't use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file can't be opened: another process has it, or it is damaged.
    #[error(
        "can't open the registers; if they are damaged, `stead quorum-server restore` puts a \
         backup in their place"
    )]
    Open(#[source] Box<redb::Error>),
    /// The disk failed. What was to be written may be there or not.
    #[error("the disk under the registers failed")]
    Disk(#[source] Box<redb::Error>),
    /// Something in the file can't be read; nothing was changed.
    #[error("{what} in the registers can't be read; `stead quorum-server restore` takes a backup")]
    Decode {
        /// What.
        what: &'static str,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// The code underneath gave up on the file.
    #[error(
        "the registers are damaged; `stead quorum-server restore` puts a backup in their place"
    )]
    Panicked,
}

fn open_error(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Open(Box::new(error.into()))
}

fn disk(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Disk(Box::new(error.into()))
}

/// What was on the disk.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every cluster.
    pub clusters: Vec<(ClusterId, Record, Seen)>,
    /// Every token.
    pub tokens: Vec<(Digest, TokenRecord)>,
}

/// The open file.
pub struct Store {
    database: Database,
}

/// Turns a panic of the code underneath (a damaged file may cause one) into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(StoreError::Panicked))
}

/// Where the file is.
#[must_use]
pub fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Makes the folder, for its owner alone.
///
/// # Errors
/// It can't be made.
pub fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}

impl Store {
    /// Opens the file, or makes it, and reads all of it. The caller holds the server's lock.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(path: &Path) -> Result<(Self, Loaded), StoreError> {
        guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            let database = builder.create(path).map_err(open_error)?;
            let secured = fs::set_permissions(path, Permissions::from_mode(0o600))
                .and_then(|()| File::open(path.parent().unwrap_or(path))?.sync_all());
            secured.map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
            let store = Self { database };
            // The tables are there from now on.
            store.commit(&[])?;
            let loaded = store.load()?;
            Ok((store, loaded))
        })
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        let transaction = self.database.begin_read().map_err(disk)?;
        let clusters = transaction.open_table(CLUSTERS).map_err(open_error)?;
        let seen = transaction.open_table(SEEN).map_err(open_error)?;
        let tokens = transaction.open_table(TOKENS).map_err(open_error)?;
        let mut loaded = Loaded::default();
        for row in clusters.iter().map_err(disk)? {
            let (id, bytes) = row.map_err(disk)?;
            let record = read("a cluster", bytes.value())?;
            let seen = seen.get(id.value()).map_err(disk)?;
            let seen = seen.map(|it| read("a note", it.value())).transpose()?.unwrap_or_default();
            loaded.clusters.push((ClusterId(id.value()), record, seen));
        }
        for row in tokens.iter().map_err(disk)? {
            let (digest, bytes) = row.map_err(disk)?;
            loaded.tokens.push((digest.value(), read("a token", bytes.value())?));
        }
        Ok(loaded)
    }

    /// Writes all of it or nothing; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk failed: nothing may be answered any more, since nobody knows what is on it.
    pub fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        guarded(|| {
            let mut transaction = self.database.begin_write().map_err(disk)?;
            transaction.set_durability(Durability::Immediate).map_err(disk)?;
            transaction.set_two_phase_commit(true);
            {
                let mut clusters = transaction.open_table(CLUSTERS).map_err(disk)?;
                let mut seen = transaction.open_table(SEEN).map_err(disk)?;
                let mut tokens = transaction.open_table(TOKENS).map_err(disk)?;
                for write in writes {
                    match write {
                        Write::Cluster(id, record) => {
                            put(&mut clusters, id.0, record.as_deref())?;
                        }
                        Write::Seen(id, note) => put(&mut seen, id.0, note.as_ref())?,
                        Write::Token(digest, token) => put(&mut tokens, *digest, token.as_ref())?,
                    }
                }
            }
            transaction.commit().map_err(disk)
        })
    }
}

fn put<const N: usize, T: serde::Serialize>(
    table: &mut redb::Table<'_, [u8; N], &'static [u8]>,
    key: [u8; N],
    value: Option<&T>,
) -> Result<(), StoreError> {
    match value {
        Some(value) => table.insert(key, encode_as(VERSION, value).as_slice()).map_err(disk)?,
        None => table.remove(key).map_err(disk)?,
    };
    Ok(())
}

fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    decode_as(VERSION, bytes).map_err(|source| StoreError::Decode { what, source })
}
