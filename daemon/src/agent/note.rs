//! Notes about running programs, for the next run of the daemon.
//!
//! A note is written in two parts. The daemon writes the first line (whose program, under which
//! epoch, in which control group) before it forks; the child appends its own line of
//! /proc/self/stat before it becomes the program. So a note without a second line means that the
//! program never ran, and no program runs without a note. A keeper signs for its program, and adds
//! how that ended. Notes lie below /run: they survive the daemon, and need not survive the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stead_core::id::{Epoch, ServiceId};
use stead_linux::process::Identity;

use super::proc::Stat;
use crate::keeper::report::{End, read_inner};

/// How the names of notes end.
pub(super) const ENDING: &str = "note";
/// No note is longer. Bytes.
const LONGEST: u64 = 256 * 1024;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) service: ServiceId,
    pub(super) epoch: Epoch,
    pub(super) command: Vec<String>,
    /// The start of the machine in which it was written.
    pub(super) boot: String,
    /// How long it may take to end before it is killed. Microseconds.
    pub(super) patience: u64,
    /// The control group's folder.
    pub(super) group: Option<PathBuf>,
    /// It is an executor, which stops by its own order.
    #[serde(default)]
    pub(super) executor: bool,
    /// It is one of several copies of a service.
    #[serde(default)]
    pub(super) copy: bool,
}

/// A note that was read. What a program's keeper adds comes after the process's line, which older
/// daemons read up to its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) header: Header,
    /// The process that became the program, or was about to.
    pub(super) process: Option<Identity>,
    /// The number of the keeper's inner process, whose rooms are the program's.
    pub(super) inner: Option<i32>,
    /// How the program ended, as its keeper saw it.
    pub(super) end: Option<End>,
}

/// Writes the first line and returns the file, open for the child to append to.
pub(super) fn create(path: &Path, header: &Header) -> io::Result<File> {
    remove(path)?;
    let mut line = serde_json::to_vec(header).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&line)?;
    Ok(file)
}

/// Reads a note; `None` if it is not whole.
pub(super) fn read(path: &Path) -> io::Result<Option<Note>> {
    if fs::metadata(path)?.len() > LONGEST {
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let Ok(header) = serde_json::from_slice(&bytes[..end]) else { return Ok(None) };
    let rest = &bytes[end + 1..];
    let line = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let process = Stat::parse(line).map(|stat| stat.identity);
    let (inner, end) = (read_inner(rest), End::read(rest));
    Ok(Some(Note { header, process, inner, end }))
}

/// Removes a note; none there is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The identity of this start of the machine; empty where the kernel does not tell.
pub(super) fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_cut_short_is_no_note() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("web.note");
        let header = Header {
            service: "web".into(),
            epoch: Epoch(7),
            command: vec!["/bin/a\nb".to_owned()],
            boot: boot(),
            patience: 1,
            group: None,
            executor: false,
            copy: false,
        };
        let mut file = create(&path, &header).expect("written");
        let unborn = Note { header: header.clone(), process: None, inner: None, end: None };
        assert_eq!(read(&path).expect("readable"), Some(unborn));
        let line = fs::read("/proc/self/stat").expect("readable");
        file.write_all(&line).expect("written");
        let whole = fs::read(&path).expect("readable");
        let process = Identity::own().ok();
        let signed = Note { header, process, inner: None, end: None };
        assert_eq!(read(&path).expect("readable"), Some(signed.clone()));
        file.write_all(b"inner 17\nend exit 3\n").expect("written");
        let ended = Note { inner: Some(17), end: Some(End::Exit(3)), ..signed };
        assert_eq!(read(&path).expect("readable"), Some(ended));
        for cut in 0..whole.len() - line.len() {
            fs::write(&path, &whole[..cut]).expect("written");
            assert_eq!(read(&path).expect("readable"), None, "{cut}");
        }
    }
}
