//! The log's file, damaged: a store or an error, and never anything else.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use stead_core::id::NodeId;
use stead_fuzz::{Sample, target};
use stead_log::network::inproc::Hub;
use stead_log::{Disk, Log, NoListener, Options, Snapshots};

use crate::disk::Memory;
use crate::support::{Book, CLUSTER, PATIENCE, Recipe, open, quick, wait};

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// What there is one of, as the store calls it.
const KEYS: [&str; 5] = ["owner", "vote", "purged", "committed", "snapshot"];

/// Opens a log on that disk, and whether that went well. It is closed again.
async fn opens(disk: Disk) -> bool {
    let options = Options {
        node: NodeId(1),
        cluster: CLUSTER,
        disk,
        timers: quick(),
        snapshots: Snapshots::default(),
        machine: Box::new(Book::default()),
        listener: Arc::new(NoListener),
        network: Hub::new().port(NodeId(1)),
    };
    match Log::open(options).await {
        Ok((log, _events)) => {
            log.shutdown().await;
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The disk of a member that led, snapshotted and went on.
async fn used() -> Vec<u8> {
    let memory = Memory::default();
    let snapshots = Snapshots { every: 8, keep: 2 };
    let recipe = Recipe { disk: memory.disk(), snapshots, ..Recipe::new("unused".into()) };
    let member = open(NodeId(1), Hub::new().port(NodeId(1)), recipe).await;
    member.log.initialize([NodeId(1)]).await.unwrap();
    for number in 0..12 {
        let change = format!("change {number}");
        wait("a change to be committed", || async {
            member.log.propose(change.clone().into_bytes(), PATIENCE).await.ok()
        })
        .await;
    }
    member.log.shutdown().await;
    memory.bytes()
}

/// Where the file holds anything: changes elsewhere would change nothing.
fn interesting(bytes: &[u8]) -> Vec<usize> {
    let blocks = bytes.chunks(64).enumerate();
    blocks.filter(|(_, block)| block.iter().any(|byte| *byte != 0)).map(|(at, _)| at * 64).collect()
}

/// The input says where the file is damaged and how: two bytes each of where and what.
fn damaged(file: &[u8], places: &[usize], input: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for change in input.chunks_exact(4) {
        let block = usize::from(u16::from_le_bytes([change[0], change[1]])) % places.len();
        let at = places[block] + usize::from(change[2] % 64);
        match change[2] / 64 {
            0 => file.iter_mut().skip(at).take(1).for_each(|byte| *byte = change[3]),
            1 => file.iter_mut().skip(at).take(8).for_each(|byte| *byte = change[3]),
            2 => file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (change[3] % 8)),
            _ => file.truncate(at.max(1) + usize::from(change[3])),
        }
        if file.len() < 4096 {
            break;
        }
    }
    file
}

#[test]
fn a_damaged_file_is_a_store_or_an_error() {
    let runtime = runtime();
    let file = runtime.block_on(used());
    let places = interesting(&file);
    let samples =
        || vec![("sound", vec![]), ("one-byte", vec![0, 0, 9, 1]), ("cut", vec![9, 0, 255, 1])];
    let told = Cell::new(0);
    let target = target!("log-file").samples(samples).count(400).longest(24);
    silent(|| {
        target.run(|input| {
            let disk = Memory::with(damaged(&file, &places, input)).inline();
            let opened = runtime.block_on(opens(disk));
            told.set(told.get() + usize::from(!opened));
            opened
        });
    });
    assert!(told.get() > 20, "hardly any damage was noticed: {}", told.get());
}

/// The store catches panics of the database beneath it, whose words would fill the output.
fn silent(run: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let ours = info.location().is_some_and(|place| place.file().starts_with("log/"));
        let fuzz = info.location().is_some_and(|place| place.file().starts_with("fuzz/"));
        if ours || fuzz {
            hook(info);
        }
    }));
    run();
    // What panics after this is told in the usual way.
    drop(std::panic::take_hook());
}

/// Every record of a file: its key, and what it says.
struct Records {
    meta: Vec<(&'static str, Vec<u8>)>,
    entries: Vec<(u64, Vec<u8>)>,
}

impl Records {
    fn of(file: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        std::fs::write(&path, file).unwrap();
        let transaction = Database::open(&path).unwrap();
        let transaction = transaction.begin_read().unwrap();
        let meta = transaction.open_table(META).unwrap();
        let log = transaction.open_table(LOG).unwrap();
        let meta = KEYS.iter().filter_map(|key| {
            let value = meta.get(key).unwrap()?;
            Some((*key, value.value().to_vec()))
        });
        let meta = meta.collect();
        let entries = log.iter().unwrap().map(|row| {
            let (index, bytes) = row.unwrap();
            (index.value(), bytes.value().to_vec())
        });
        Self { meta, entries: entries.collect() }
    }

    /// A sound database whose records are whatever they are.
    fn write(&self) -> Memory {
        let memory = Memory::default();
        let database = redb::Builder::new().create_with_backend(memory.clone()).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut meta = transaction.open_table(META).unwrap();
            for (key, value) in &self.meta {
                meta.insert(key, value.as_slice()).unwrap();
            }
            let mut log = transaction.open_table(LOG).unwrap();
            for (index, value) in &self.entries {
                log.insert(index, value.as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
        drop(database);
        memory
    }

    fn samples(&self) -> Vec<Sample> {
        let meta = self.meta.iter().map(|(key, value)| (*key, value));
        let names = ["entry-first", "entry-second"];
        let entries = names.iter().zip(&self.entries).map(|(name, (_, it))| (*name, it));
        let numbered = |(number, (name, value)): (u8, (&'static str, &Vec<u8>))| {
            (name, [&[number], &value[..]].concat())
        };
        (0..).zip(meta.chain(entries)).map(numbered).collect()
    }
}

/// A checksum keeps changed bytes from ever being read as a record; what writes records wrongly
/// does not. So here the file is sound and one record in it is not.
#[test]
fn a_wrong_record_is_a_store_or_an_error() {
    let runtime = runtime();
    let sound = Records::of(runtime.block_on(used()));
    assert!(sound.meta.len() >= 4 && sound.entries.len() >= 2, "too little to be wrong");
    let target = target!("log-record").samples(|| sound.samples()).count(800).longest(400);
    let kinds = Cell::new(BTreeSet::new());
    target.run(|bytes| {
        // The first byte says which record is the wrong one.
        let (which, value) = bytes.split_first().unwrap_or((&0, &[]));
        let mut records = Records { meta: sound.meta.clone(), entries: sound.entries.clone() };
        let which = usize::from(*which) % (sound.meta.len() + 2);
        match records.meta.get_mut(which) {
            Some((_, wrong)) => *wrong = value.to_vec(),
            None => records.entries[which - sound.meta.len()].1 = value.to_vec(),
        }
        let accepted = runtime.block_on(opens(records.write().inline()));
        let mut seen = kinds.take();
        seen.insert((which, accepted));
        kinds.set(seen);
        accepted
    });
    assert!(kinds.take().len() > 4, "only a few kinds of records were tried");
}
