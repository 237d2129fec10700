//! The file: two tables, one transaction per commit.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, TableDefinition, TableError,
};
use serde::de::DeserializeOwned;
use stead_core::id::{ClusterId, NodeId};

use super::writer::{Op, Writing};
use super::{Disk, StoreError, make_directory, stall, sync_directory};
use crate::codec::{decode, encode};
use crate::record;
use crate::types::Entry;

/// Entries by index.
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Everything there is one of.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

const OWNER: &str = "owner";
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";
const SNAPSHOT: &str = "snapshot";

/// The whole store is read once and then only written; this is for the pages of one transaction.
const CACHE_BYTES: usize = 4 << 20;

pub(crate) struct StoreFile {
    database: Database,
}

/// What the file held when it was opened.
#[derive(Default)]
pub(crate) struct Loaded {
    pub vote: Option<record::Vote>,
    pub committed: Option<record::Position>,
    pub purged: Option<record::Position>,
    pub entries: BTreeMap<u64, Entry>,
    pub snapshot: Option<record::Snapshot>,
}

/// Turns a panic of the code underneath (a damaged file may cause one) into an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(StoreError::Panicked(text.unwrap_or_else(|| "no reason given".into())))
    })
}

impl StoreFile {
    /// Opens the store, or makes it, and reads all of it. A store of another node is refused, and
    /// one that should hold something and doesn't.
    pub fn open(
        disk: Disk,
        node: NodeId,
        cluster: ClusterId,
    ) -> Result<(Self, Loaded, Writing), StoreError> {
        guarded(move || {
            let (disk, used) = match disk {
                Disk::Used(disk) => (*disk, true),
                other @ (Disk::Directory(_) | Disk::Backend { .. } | Disk::Paced { .. }) => {
                    (other, false)
                }
            };
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            let (database, writing) = match disk {
                Disk::Directory(path) => {
                    (in_directory(&builder, &path, used)?, Writing::Thread(stall::PATIENCE))
                }
                Disk::Backend { backend, threaded } => {
                    let writing =
                        if threaded { Writing::Thread(stall::PATIENCE) } else { Writing::Caller };
                    (builder.create_with_backend(Boxed(backend)), writing)
                }
                Disk::Paced { backend, pace } => {
                    (builder.create_with_backend(Boxed(backend)), Writing::Task(pace))
                }
                // Known twice is known.
                Disk::Used(disk) => return Self::open(Disk::Used(disk), node, cluster),
            };
            let file = Self { database: database.map_err(StoreError::open)? };
            if used && file.is_blank()? {
                return Err(StoreError::Lost);
            }
            file.claim(node, cluster)?;
            let loaded = file.load()?;
            Ok((file, loaded, writing))
        })
    }

    /// Whether no log was ever in here: no vote, no entry, no snapshot.
    fn is_blank(&self) -> Result<bool, StoreError> {
        let transaction = self.database.begin_read().map_err(StoreError::disk)?;
        let blank = match transaction.open_table(META) {
            Ok(meta) => {
                let mut blank = true;
                for key in [VOTE, PURGED, SNAPSHOT] {
                    blank &= meta.get(key).map_err(StoreError::disk)?.is_none();
                }
                blank
            }
            Err(TableError::TableDoesNotExist(_)) => true,
            Err(error) => return Err(StoreError::open(error)),
        };
        Ok(blank
            && match transaction.open_table(LOG) {
                Ok(log) => log.is_empty().map_err(StoreError::disk)?,
                Err(TableError::TableDoesNotExist(_)) => true,
                Err(error) => return Err(StoreError::open(error)),
            })
    }

    /// Writes the owner into a new store and compares it in an old one.
    fn claim(&self, node: NodeId, cluster: ClusterId) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(StoreError::disk)?;
        let fresh = {
            transaction.open_table(LOG).map_err(StoreError::open)?;
            let mut meta = transaction.open_table(META).map_err(StoreError::open)?;
            let owner = meta.get(OWNER).map_err(StoreError::disk)?;
            let owner = owner.map(|bytes| bytes.value().to_vec());
            if let Some(bytes) = &owner {
                let owner = read::<(NodeId, ClusterId)>("the owner", bytes)?;
                if owner != (node, cluster) {
                    return Err(StoreError::Foreign { node: owner.0, cluster: owner.1 });
                }
            } else {
                let bytes = encode(&(node, cluster));
                meta.insert(OWNER, bytes.as_slice()).map_err(StoreError::disk)?;
            }
            owner.is_none()
        };
        if fresh {
            transaction.commit().map_err(StoreError::disk)
        } else {
            transaction.abort().map_err(StoreError::disk)
        }
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        let transaction = self.database.begin_read().map_err(StoreError::disk)?;
        let meta = transaction.open_table(META).map_err(StoreError::disk)?;
        let mut loaded = Loaded {
            vote: one(&meta, VOTE, "the vote")?,
            committed: one(&meta, COMMITTED, "the commit mark")?,
            purged: one(&meta, PURGED, "the purge mark")?,
            snapshot: one(&meta, SNAPSHOT, "the snapshot")?,
            entries: BTreeMap::new(),
        };
        let log = transaction.open_table(LOG).map_err(StoreError::disk)?;
        let mut next = loaded.purged.map_or(0, |purged| purged.index + 1);
        for row in log.iter().map_err(StoreError::disk)? {
            let (index, bytes) = row.map_err(StoreError::disk)?;
            let entry: record::Entry = read("an entry", bytes.value())?;
            let index = index.value();
            if index != entry.position.index || index != next {
                return Err(StoreError::Hole { missing: next });
            }
            next = index + 1;
            let entry = entry
                .into_entry()
                .map_err(|source| StoreError::Decode { what: "an entry", source })?;
            loaded.entries.insert(index, entry);
        }
        Ok(loaded)
    }

    /// Applies all of `ops`, or nothing. Returns after the disk has it, if any of them asks for it.
    pub fn commit<'a>(&self, ops: impl Iterator<Item = &'a Op>) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(StoreError::disk)?;
        let mut durable = false;
        {
            let mut log = transaction.open_table(LOG).map_err(StoreError::disk)?;
            let mut meta = transaction.open_table(META).map_err(StoreError::disk)?;
            let mut set =
                |key, bytes: &[u8]| meta.insert(key, bytes).map(drop).map_err(StoreError::disk);
            for op in ops {
                durable |= op.durable();
                match op {
                    Op::Append(entries) => {
                        for (index, bytes) in entries {
                            log.insert(index, bytes.as_slice()).map_err(StoreError::disk)?;
                        }
                    }
                    Op::TruncateFrom(first) => {
                        log.retain_in(*first.., |_, _| false).map_err(StoreError::disk)?;
                    }
                    Op::Purge(upto) => {
                        log.retain_in(..=upto.index, |_, _| false).map_err(StoreError::disk)?;
                        set(PURGED, &encode(upto))?;
                    }
                    Op::Vote(bytes) => set(VOTE, bytes)?,
                    Op::Committed(bytes) => set(COMMITTED, bytes)?,
                    Op::Snapshot(bytes) => set(SNAPSHOT, bytes)?,
                }
            }
        }
        let durability = if durable { Durability::Immediate } else { Durability::None };
        transaction.set_durability(durability).map_err(StoreError::disk)?;
        transaction.commit().map_err(StoreError::disk)
    }
}

/// The file in its directory; one that was used before is not made anew.
fn in_directory(
    builder: &Builder,
    path: &Path,
    used: bool,
) -> Result<Result<Database, DatabaseError>, StoreError> {
    let file = path.join("log.redb");
    if used {
        return if file.exists() { Ok(builder.open(file)) } else { Err(StoreError::Lost) };
    }
    make_directory(path)?;
    let database = builder.create(file);
    sync_directory(path)?;
    Ok(database)
}

fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    decode(bytes).map_err(|source| StoreError::Decode { what, source })
}

fn one<T: DeserializeOwned>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &'static str,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    let bytes = meta.get(key).map_err(StoreError::disk)?;
    bytes.map(|bytes| read(what, bytes.value())).transpose()
}

/// redb takes a backend by value; this is one that is already in a box.
#[derive(Debug)]
struct Boxed(Box<dyn redb::StorageBackend>);

impl redb::StorageBackend for Boxed {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.0.close()
    }
}
