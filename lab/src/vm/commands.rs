//! What a guest is asked to do: shell by a port of its own, so that a network that is cut, or a
//! daemon that hangs, is in nobody's way. What is said there stands in `guest/commands`.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{LabError, Step};

use super::qmp::dial;

/// How often a guest that has not answered yet is asked again: a question that came while it booted
/// may be lost.
const AGAIN: Duration = Duration::from_millis(500);
/// What a guest may take for its answer beyond the time of the script itself.
const SLACK: Duration = Duration::from_secs(30);
/// The most that a guest may print: far more than any command of ours does.
const ANSWER_MAX: u64 = 64 << 20;

/// What became of a script in a guest.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit status; 137 if it took too long and was killed.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said about errors.
    pub stderr: String,
}

/// The port of a guest, from outside.
#[derive(Debug)]
pub(super) struct Commands {
    lines: BufReader<UnixStream>,
    /// What came of a line so far.
    begun: Vec<u8>,
    number: u64,
}

impl Commands {
    pub(super) fn connect(path: &Path) -> io::Result<Commands> {
        let socket = dial(path)?;
        socket.set_write_timeout(Some(SLACK))?;
        Ok(Commands { lines: BufReader::new(socket), begun: Vec::new(), number: 0 })
    }

    /// Waits until the guest answers; which of its boots that is.
    pub(super) fn wait_up(&mut self, guest: &str, within: Duration) -> Result<String, LabError> {
        let deadline = Instant::now() + within;
        let what = || format!("cannot ask {guest} whether it is there");
        let first = self.number + 1;
        while Instant::now() < deadline {
            let number = self.ask("any", Duration::ZERO, "").step(what)?;
            let until = deadline.min(Instant::now() + AGAIN);
            while let Some(line) = self.line(until).step(what)? {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["up", to, boot] if number_in(to, first..=number) => {
                        return Ok(boot.to_owned());
                    }
                    ["done", _, _, out, err] => self.skip(out, err, until).step(what)?,
                    // of an earlier question, or what a guest that was reset left half said
                    _ => {}
                }
            }
        }
        let what = format!("an answer of {guest}");
        Err(LabError::Late { what, seconds: within.as_secs() })
    }

    /// Runs a script in the guest that answers now. It is killed after that time.
    pub(super) fn run(
        &mut self,
        guest: &str,
        script: &str,
        within: Duration,
    ) -> Result<Answer, LabError> {
        let what = || format!("cannot run on {guest}: {script}");
        let boot = self.wait_up(guest, within)?;
        let number = self.ask(&boot, within, script).step(what)?;
        let until = Instant::now() + within + SLACK;
        while let Some(line) = self.line(until).step(what)? {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["done", to, status, out, err] if number_in(to, number..=number) => {
                    let stdout = self.text(out, until).step(what)?;
                    let stderr = self.text(err, until).step(what)?;
                    let status = status.parse().map_err(io::Error::other).step(what)?;
                    return Ok(Answer { status, stdout, stderr });
                }
                ["done", _, _, out, err] => self.skip(out, err, until).step(what)?,
                ["stale", to, _] if number_in(to, number..=number) => {
                    let cause = io::Error::other("it has booted anew meanwhile");
                    return Err(cause).step(what);
                }
                _ => {}
            }
        }
        let what = format!("the end on {guest} of: {script}");
        Err(LabError::Late { what, seconds: (within + SLACK).as_secs() })
    }

    /// Runs a script in the guest that answers now, and does not wait for what becomes of it.
    pub(super) fn send(
        &mut self,
        guest: &str,
        script: &str,
        within: Duration,
    ) -> Result<(), LabError> {
        let boot = self.wait_up(guest, within)?;
        let sent = self.ask(&boot, within, script);
        sent.map(drop).step(|| format!("cannot run on {guest}: {script}"))
    }

    fn ask(&mut self, boot: &str, limit: Duration, script: &str) -> io::Result<u64> {
        self.number += 1;
        let (number, seconds) = (self.number, limit.as_secs().max(1));
        let question = format!("{number} {boot} {seconds} {}\n{script}", script.len());
        self.lines.get_mut().write_all(question.as_bytes())?;
        Ok(number)
    }

    /// The next line, if one comes in time.
    fn line(&mut self, until: Instant) -> io::Result<Option<String>> {
        self.may_wait(until)?;
        match self.lines.read_until(b'\n', &mut self.begun) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof)),
            Ok(_) => {
                let line = std::mem::take(&mut self.begun);
                Ok(Some(String::from_utf8_lossy(&line).into_owned()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn text(&mut self, length: &str, until: Instant) -> io::Result<String> {
        let length: u64 = length.parse().map_err(io::Error::other)?;
        if length > ANSWER_MAX {
            return Err(io::Error::other(format!("it printed {length} bytes")));
        }
        self.may_wait(until)?;
        let mut bytes = Vec::new();
        let read = (&mut self.lines).take(length).read_to_end(&mut bytes)?;
        if read as u64 != length {
            return Err(io::Error::from(ErrorKind::UnexpectedEof));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn skip(&mut self, out: &str, err: &str, until: Instant) -> io::Result<()> {
        self.text(out, until)?;
        self.text(err, until).map(drop)
    }

    fn may_wait(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        // nothing would mean: for ever
        self.lines.get_mut().set_read_timeout(Some(left.max(Duration::from_millis(1))))
    }
}

fn number_in(word: &str, numbers: std::ops::RangeInclusive<u64>) -> bool {
    word.parse().is_ok_and(|number| numbers.contains(&number))
}
