//! A disk that loses power: what was synced stays, of what was not each write stays, tears or goes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use stead_log::Disk;

use super::rng::Rng;
use crate::disk::{Memory, Step, perform};
use crate::wire::{Entry, Position, Snapshot, Vote, read};

/// Copies are the same disk, until the power goes: then the old handles reach nothing any more.
#[derive(Clone, Debug)]
pub struct Drive(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What a power cut can't touch.
    synced: Vec<u8>,
    /// What the program sees.
    seen: Vec<u8>,
    /// The steps from the one to the other.
    open: Vec<Step>,
    /// Steps until the power goes in the middle of one.
    until_cut: Option<u64>,
    /// Every step, if they are to be remembered.
    kept: Option<Vec<Step>>,
    dead: bool,
    sync_fails: bool,
    /// Milliseconds that a transaction takes, from and to.
    pace: (u64, u64),
    rng: Rng,
}

impl Drive {
    pub fn new(seed: u64, stream: u64) -> Self {
        Self::with(Vec::new(), Rng::new(seed, stream))
    }

    fn with(image: Vec<u8>, rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(State {
            synced: image.clone(),
            seen: image,
            open: Vec::new(),
            until_cut: None,
            kept: None,
            dead: false,
            sync_fails: false,
            pace: (0, 1),
            rng,
        })))
    }

    /// What a power cut left.
    pub fn with_image(image: Vec<u8>, stream: u64) -> Self {
        Self::with(image, Rng::new(0, stream))
    }

    /// Remembers every step from now on.
    pub fn keep_steps(&self) {
        self.state().kept = Some(Vec::new());
    }

    pub fn steps(&self) -> Vec<Step> {
        self.state().kept.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn disk(&self) -> Disk {
        let drive = self.clone();
        let pace = move || {
            let mut state = drive.state();
            let (from, to) = state.pace;
            state.rng.millis(from, to)
        };
        Disk::Paced { backend: Box::new(self.clone()), pace: Box::new(pace) }
    }

    /// From now on a transaction takes this many milliseconds, from and to.
    pub fn pace(&self, pace: (u64, u64)) {
        self.state().pace = pace;
    }

    /// Cuts the power in the middle of the write or sync after so many.
    pub fn cut_after(&self, steps: u64) {
        self.state().until_cut = Some(steps);
    }

    /// No cut any more that was meant to come.
    pub fn stay_on(&self) {
        self.state().until_cut = None;
    }

    pub fn fail_syncs(&self) {
        self.state().sync_fails = true;
    }

    /// Whether it has power and takes what is written.
    pub fn works(&self) -> bool {
        let state = self.state();
        !state.dead && !state.sync_fails
    }

    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// What a power cut now would leave at least: vote and log.
    pub fn contents(&self) -> Contents {
        contents(self.state().synced.clone())
    }

    /// Cuts the power, unless that happened before, and returns the disk as it is found afterwards.
    pub fn power_cut(&self) -> Self {
        let mut state = self.state();
        state.dead = true;
        let mut image = std::mem::take(&mut state.synced);
        for step in std::mem::take(&mut state.open) {
            let length = if let Step::Write(_, data) = &step { data.len() as u64 } else { 0 };
            let part = match state.rng.below(4) {
                0 => 0,
                1 => state.rng.below(length + 1),
                2 => state.rng.below(length / 512 + 1) * 512,
                _ => length,
            };
            perform(&mut image, &step, usize::try_from(part).unwrap());
        }
        let rng = Rng::new(state.rng.next(), 0);
        Self::with(image, rng)
    }
}

impl State {
    /// Counts one step; at the last the power goes.
    fn step(&mut self) -> io::Result<()> {
        if self.until_cut == Some(0) {
            self.dead = true;
        }
        if self.dead {
            return Err(io::Error::other("no power"));
        }
        self.until_cut = self.until_cut.map(|steps| steps - 1);
        Ok(())
    }

    fn change(&mut self, step: Step) -> io::Result<()> {
        let power = self.step();
        // The write during which the power went may be there, torn.
        if power.is_ok() || self.until_cut.take().is_some() {
            perform(&mut self.seen, &step, usize::MAX);
            if let Some(kept) = &mut self.kept {
                kept.push(step.clone());
            }
            self.open.push(step);
        }
        power
    }
}

impl StorageBackend for Drive {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = usize::try_from(offset).unwrap();
        let bytes = state.seen.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state().change(Step::Resize(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.sync_fails {
            return Err(io::Error::other("this disk does not sync"));
        }
        for step in std::mem::take(&mut state.open) {
            perform(&mut state.synced, &step, usize::MAX);
        }
        if let Some(kept) = &mut state.kept {
            kept.push(Step::Sync);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state().change(Step::Write(offset, data.to_vec()))
    }
}

/// How long a slow disk takes.
pub const SLOW: (u64, u64) = (5, 120);

/// What stands on a disk.
#[derive(Debug, Default)]
pub struct Contents {
    pub vote: Option<Vote>,
    pub purged: Option<Position>,
    pub snapshot: Option<Snapshot>,
    pub log: BTreeMap<u64, Entry>,
}

impl Contents {
    /// The last entry that is on the disk, or was before it was purged.
    pub fn last(&self) -> Option<Position> {
        let last = self.log.last_key_value().map(|(_, entry)| entry.position);
        last.max(self.purged).max(self.snapshot.as_ref().and_then(|it| it.last))
    }
}

/// Reads the image of a disk as the store lays it out.
pub fn contents(image: Vec<u8>) -> Contents {
    let mut contents = Contents::default();
    if image.is_empty() {
        return contents;
    }
    let database = redb::Builder::new().create_with_backend(Memory::with(image)).unwrap();
    let read_all = database.begin_read().unwrap();
    let meta: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
    let Ok(meta) = read_all.open_table(meta) else { return contents };
    let one = |key| meta.get(key).unwrap().map(|bytes| bytes.value().to_vec());
    contents.vote = one("vote").map(|bytes| read(&bytes));
    contents.purged = one("purged").map(|bytes| read(&bytes));
    contents.snapshot = one("snapshot").map(|bytes| read(&bytes));
    let log: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
    for row in read_all.open_table(log).unwrap().iter().unwrap() {
        let (index, bytes) = row.unwrap();
        contents.log.insert(index.value(), read(bytes.value()));
    }
    contents
}
