//! A busy machine: loops on its processors and a file on its disk.

use std::path::Path;

use stead_lab::{Bed, Process};

use crate::error::BenchError;
use crate::tools::{Folder, Tools};

/// How many busy loops there are.
pub const LOOPS: usize = 4;

/// Processes of ordinary priority that use all that they get. They end when this is dropped.
pub struct Load {
    // first the processes end, then the file's folder goes
    bed: Bed,
    processes: Vec<Process>,
    folder: Folder,
}

impl Load {
    /// Starts [`LOOPS`] busy loops and one writer that makes the disk take 32 MiB again and again,
    /// on the disk that temporary folders are on: that of the clusters' own files.
    ///
    /// # Errors
    /// One of them can't be started.
    pub fn start(tools: &Tools) -> Result<Self, BenchError> {
        let folder = Folder::create()?;
        let bed = Bed::new("load")?;
        let mut load = Self { bed, processes: Vec::new(), folder };
        let host = load.bed.host("load")?;
        let nowhere = Path::new("/dev/null");
        for _ in 0..LOOPS {
            load.processes.push(host.spawn(tools.part(&["spin"]), nowhere)?);
        }
        let file = load.folder.path().join("file").display().to_string();
        let log = load.folder.path().join("writer.log");
        load.processes.push(host.spawn(tools.part(&["write", &file]), &log)?);
        Ok(load)
    }

    /// Whether all of it still runs.
    ///
    /// # Errors
    /// That can't be seen.
    pub fn runs(&self) -> Result<bool, BenchError> {
        for process in &self.processes {
            if process.ended()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
