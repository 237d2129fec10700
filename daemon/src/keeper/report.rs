//! What a keeper tells: the daemon at the start, and the note at the end.
//!
//! At the start a line for each thing on a pipe that closes when the program runs. At the end one
//! line in the note, since the daemon that reads it may be another than the one that started it.

use std::fs::File;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use stead_linux::process::may_unshare_processes;

use super::Form;

/// No report is longer. Bytes.
const LONGEST: u64 = 16 * 1024;

/// What a keeper has of what it wants; each refusal in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How it holds its program together.
    pub form: Form,
    /// Why not in the better form.
    pub fallback: Option<String>,
    /// Why the program sees a /proc that is not its own namespace's.
    pub proc_refused: Option<String>,
    /// Why it has no real-time priority.
    pub realtime_refused: Option<String>,
    /// Why its memory is not locked.
    pub lock_refused: Option<String>,
}

/// How a node's programs are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// By what they are held together; nothing if nobody keeps them.
    pub form: Option<Form>,
    /// Why not better.
    pub reason: Option<String>,
    /// What keepers lack besides, in words.
    pub lacks: Vec<String>,
}

impl Keeping {
    /// Nobody keeps them.
    #[must_use]
    pub fn none(reason: &str) -> Self {
        Self { form: None, reason: Some(reason.to_owned()), lacks: Vec::new() }
    }

    /// What is to be had here, before any program was started.
    #[must_use]
    pub fn expected(wanted: Option<Form>) -> Self {
        let refused = match wanted {
            Some(_) => None,
            None => may_unshare_processes().err().map(|it| format!("no process namespace: {it}")),
        };
        let fallback = if refused.is_some() { Form::Group } else { Form::Namespace };
        Self { form: Some(wanted.unwrap_or(fallback)), reason: refused, lacks: Vec::new() }
    }
}

impl From<&Kept> for Keeping {
    fn from(kept: &Kept) -> Self {
        let lacks = [&kept.realtime_refused, &kept.lock_refused, &kept.proc_refused];
        let lacks = lacks.into_iter().flatten().cloned().collect();
        Self { form: Some(kept.form), reason: kept.fallback.clone(), lacks }
    }
}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The kernel's number for why the program can't be run.
    Program(i32),
    /// The lease ended before.
    Lease,
    /// The keeper could not do its own part.
    Keeper(String),
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Line {
    Kept(Kept),
    /// The program sees a /proc that is not its own namespace's, and why.
    ForeignProc(String),
    Failed(Failure),
}

/// Tells one thing. A daemon that is gone does not read it, and finds the program by its note.
pub(super) fn tell(mut to: &File, line: &Line) {
    if let Ok(mut bytes) = serde_json::to_vec(line) {
        bytes.push(b'\n');
        let _ = to.write_all(&bytes);
    }
}

/// Reads what a keeper told, up to its end.
///
/// # Errors
/// Why nothing was started.
pub fn read(from: impl Read) -> Result<Kept, Failure> {
    let broken = |detail: &str| Failure::Keeper(detail.to_owned());
    let mut bytes = Vec::new();
    let read = from.take(LONGEST).read_to_end(&mut bytes);
    read.map_err(|error| broken(&format!("it can't be heard: {error}")))?;
    let mut kept = None;
    let mut proc_refused = None;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Line::Kept(it)) => kept = Some(it),
            Ok(Line::ForeignProc(why)) => proc_refused = Some(why),
            Ok(Line::Failed(failure)) => return Err(failure),
            Err(_) => return Err(broken("what it says is damaged")),
        }
    }
    let kept: Kept = kept.ok_or_else(|| broken("it broke down"))?;
    Ok(Kept { proc_refused: proc_refused.or(kept.proc_refused), ..kept })
}

/// Adds to a note by which number the inner process is known outside.
pub(super) fn note_inner(mut note: &File, inner: i32) -> io::Result<()> {
    note.write_all(format!("inner {inner}\n").as_bytes())
}

/// That number, from a note's last part.
#[must_use]
pub fn read_inner(text: &[u8]) -> Option<i32> {
    let lines = text.split(|byte| *byte == b'\n');
    let mut lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    lines.find_map(|line| line.strip_prefix("inner ")?.parse().ok())
}

/// How a program ended that had a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with that status.
    Exit(i32),
    /// By a signal.
    Signal(i32),
    /// With the lease.
    Lease,
}

impl End {
    /// Adds the line to a note.
    pub(super) fn note(self, mut note: &File) -> io::Result<()> {
        let line = match self {
            Self::Exit(status) => format!("end exit {status}\n"),
            Self::Signal(number) => format!("end signal {number}\n"),
            Self::Lease => "end lease\n".to_owned(),
        };
        note.write_all(line.as_bytes())
    }

    /// The first such line of a note's last part.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let lines = text.split(|byte| *byte == b'\n');
        let mut lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
        lines.find_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["end", "lease"] => Some(Self::Lease),
                ["end", "exit", status] => status.parse().ok().map(Self::Exit),
                ["end", "signal", number] => number.parse().ok().map(Self::Signal),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_nothing_else() {
        let kept = Kept {
            form: Form::Namespace,
            fallback: None,
            proc_refused: Some("no".to_owned()),
            realtime_refused: None,
            lock_refused: None,
        };
        let mut file = tempfile::tempfile().expect("a file");
        let again = |file: &mut File| {
            io::Seek::rewind(file).expect("rewound");
            read(file)
        };
        assert_eq!(again(&mut file), Err(Failure::Keeper("it broke down".to_owned())));
        tell(&file, &Line::Kept(kept.clone()));
        assert_eq!(again(&mut file), Ok(kept));
        tell(&file, &Line::Failed(Failure::Program(2)));
        assert_eq!(again(&mut file), Err(Failure::Program(2)));
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"{\"Kept\":").expect("written");
        assert!(matches!(again(&mut file), Err(Failure::Keeper(_))));
    }

    #[test]
    fn the_first_end_of_a_note_counts() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"{}\n1 (end exit 9) S\n").expect("written");
        for end in [End::Exit(3), End::Lease, End::Signal(9)] {
            end.note(&file).expect("written");
            let mut one = tempfile::tempfile().expect("a file");
            end.note(&one).expect("written");
            let mut text = Vec::new();
            io::Seek::rewind(&mut one).and_then(|()| one.read_to_end(&mut text)).expect("read");
            assert_eq!(End::read(&text), Some(end));
        }
        let mut text = Vec::new();
        io::Seek::rewind(&mut file).and_then(|()| file.read_to_end(&mut text)).expect("read");
        assert_eq!(End::read(&text), Some(End::Exit(3)));
        assert_eq!(End::read(b"end exit\nend of it\n\xff"), None);
    }
}
