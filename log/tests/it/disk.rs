//! A disk in memory that fails on purpose, and remembers how it got to where it is.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use stead_log::Disk;

/// One thing that was done to the disk.
#[derive(Clone, Debug)]
pub enum Step {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
}

/// What the disk does from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Every sync fails.
    Sync,
    /// Every write and every growth fails: the disk is full.
    Full,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    steps: Vec<Step>,
    fault: Fault,
    record: bool,
}

/// The disk; copies are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

impl Memory {
    pub fn with(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { bytes, ..State::default() })))
    }

    pub fn disk(&self) -> Disk {
        Disk::Backend { backend: Box::new(self.clone()), threaded: true }
    }

    pub fn inline(&self) -> Disk {
        Disk::Backend { backend: Box::new(self.clone()), threaded: false }
    }

    pub fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }

    /// Keeps every step from now on, and returns what is on the disk.
    pub fn record(&self) -> Vec<u8> {
        let mut state = self.0.lock().unwrap();
        state.record = true;
        state.bytes.clone()
    }

    pub fn steps(&self) -> Vec<Step> {
        self.0.lock().unwrap().steps.clone()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }
}

/// Does one step to an image of the disk; of a write only the first `part` bytes.
pub fn perform(image: &mut Vec<u8>, step: &Step, part: usize) {
    match step {
        Step::Write(offset, data) => {
            let data = &data[..part.min(data.len())];
            let start = usize::try_from(*offset).unwrap();
            if image.len() < start + data.len() {
                image.resize(start + data.len(), 0);
            }
            image[start..start + data.len()].copy_from_slice(data);
        }
        Step::Resize(len) => image.resize(usize::try_from(*len).unwrap(), 0),
        Step::Sync => {}
    }
}

impl State {
    fn step(&mut self, step: Step) {
        perform(&mut self.bytes, &step, usize::MAX);
        if self.record {
            self.steps.push(step);
        }
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let bytes = state.bytes.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.fault == Fault::Full && len as usize > state.bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.step(Step::Resize(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.fault == Fault::Sync {
            return Err(io::Error::other("this disk does not sync"));
        }
        state.step(Step::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.fault == Fault::Full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.step(Step::Write(offset, data.to_vec()));
        Ok(())
    }
}
