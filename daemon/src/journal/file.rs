//! The journal's file and the thread that writes it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

use stead_core::notice::Severity;

use super::{Entry, stamp};

const MODE: u32 = 0o640;

/// Where the lines before the present file's are.
pub(super) fn predecessor(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The file that lines are added to.
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
    most: u64,
    /// The last write may have left half a line.
    torn: bool,
}

impl Lines {
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Self> {
        let mut file = create(path)?;
        let bytes = file.metadata()?.len();
        let mut torn = false;
        if bytes > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            torn = last != *b"\n";
        }
        Ok(Self { torn, ..Self::on(path, file, bytes, most) })
    }

    /// Adds to a file that was opened elsewhere.
    pub(super) fn on(path: &Path, file: File, bytes: u64, most: u64) -> Self {
        Self { path: path.to_owned(), file, bytes, most, torn: false }
    }

    pub(super) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = Vec::new();
        if self.torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.most {
            self.rotate()?;
        }
        // One call for the whole line, so that a kill of the process can't tear it.
        let written = self.file.write_all(&line);
        self.torn = written.is_err();
        if written.is_ok() {
            self.bytes += length;
        }
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.path, predecessor(&self.path))?;
        self.file = create(&self.path)?;
        (self.bytes, self.torn) = (0, false);
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(MODE).open(path)?;
    // The mode above is cut by the umask.
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// The newest lines of both files, oldest first. What can't be read is not there.
pub(super) fn read_back(path: &Path, most: usize) -> Vec<Arc<Entry>> {
    let mut lines = Vec::new();
    for path in [predecessor(path), path.to_owned()] {
        let Ok(file) = File::open(&path) else { continue };
        lines.extend(BufReader::new(file).split(b'\n').map_while(Result::ok));
    }
    let start = lines.len().saturating_sub(most);
    let lines = lines.get(start..).unwrap_or_default();
    lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).map(Arc::new).collect()
}

/// Writes what comes in until nothing more can come.
pub(super) struct Writer {
    lines: Lines,
    node: String,
    lost: Arc<AtomicU64>,
    /// The disk was told to have refused a line; said once until it takes one again.
    refused: bool,
}

impl Writer {
    pub(super) fn new(lines: Lines, node: String, lost: Arc<AtomicU64>) -> Self {
        Self { lines, node, lost, refused: false }
    }

    pub(super) fn run(&mut self, coming: &Receiver<Arc<Entry>>) {
        while let Ok(entry) = coming.recv() {
            let written = self.confess(&entry).and_then(|()| self.lines.add(&entry));
            match written {
                Ok(()) => self.refused = false,
                Err(error) => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut self.refused, true) {
                        tracing::error!(%error, "the journal can't be written: lines are lost");
                    }
                }
            }
        }
    }

    /// Says how many lines are missing before the next one that is there.
    fn confess(&mut self, next: &Entry) -> io::Result<()> {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == 0 {
            return Ok(());
        }
        self.lines.add(&Entry {
            time: stamp(SystemTime::now()),
            boot: next.boot,
            node: self.node.clone(),
            severity: Severity::Warning,
            text: format!("{lost} lines before this one are lost: the file could not be written"),
            notice: None,
        })?;
        self.lost.fetch_sub(lost, Ordering::Relaxed);
        Ok(())
    }
}
