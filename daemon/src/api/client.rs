//! The other end of the API: what the command line uses. It blocks, with a bound.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::message::{Answer, Changed, Failure, Request, encode};

/// How long an answer may take: longer than any change.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line that is read.
const LONGEST_ANSWER: u64 = 64 << 20;

/// The daemon did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It does not run.
    #[error(
        "the daemon does not answer at {}; nothing was changed. Start it: systemctl start \
         stead-guard stead-daemon",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// Its socket may not be used.
    #[error(
        "no permission to use {}; nothing was changed. Run this as root, or as a member of the \
         group stead",
        .0.display()
    )]
    Denied(PathBuf),
    /// The socket can't be used.
    #[error("can't talk to the daemon at {}; nothing was changed", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The connection ended before the answer came.
    #[error(
        "the daemon did not answer to the end; what was asked may have been done: look at `stead \
         status` before you repeat it"
    )]
    Broken(#[source] io::Error),
    /// The answer can't be understood.
    #[error(
        "the daemon's answer can't be understood; is it of another version? Restart it after an \
         upgrade, and look at `stead status` before you repeat anything"
    )]
    Answer(#[source] serde_json::Error),
    /// It refused, or failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl CallError {
    /// Whether something may have changed all the same.
    #[must_use]
    pub fn changed(&self) -> Changed {
        match self {
            Self::NotRunning(_) | Self::Denied(_) | Self::Socket { .. } => Changed::No,
            Self::Broken(_) | Self::Answer(_) => Changed::Unknown,
            Self::Failed(failure) => failure.changed,
        }
    }
}

/// A connection to the daemon.
pub struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Client {
    /// Connects to the daemon behind a socket.
    ///
    /// # Errors
    /// It does not run, or may not be talked to.
    pub fn connect(path: &Path) -> Result<Self, CallError> {
        let failed = |source: io::Error| {
            let (kind, path) = (source.kind(), path.to_owned());
            if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
                CallError::NotRunning(path)
            } else if kind == io::ErrorKind::PermissionDenied {
                CallError::Denied(path)
            } else {
                CallError::Socket { path, source }
            }
        };
        let writer = UnixStream::connect(path).map_err(failed)?;
        writer.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        writer.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let reader = BufReader::new(writer.try_clone().map_err(failed)?);
        Ok(Self { reader, writer })
    }

    /// Asks for one answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, CallError> {
        self.send(request)?;
        let answer = self.next()?;
        let value = answer.ok.unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(CallError::Answer)
    }

    /// Asks for many answers, and hands each to `take` until that returns false or there are no
    /// more. They may be as far apart as they like.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn stream<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        mut take: impl FnMut(Streamed<T>) -> bool,
    ) -> Result<(), CallError> {
        self.writer.set_read_timeout(None).map_err(CallError::Broken)?;
        self.send(request)?;
        loop {
            let answer = self.next()?;
            if answer.end {
                return Ok(());
            }
            let more = match (answer.item, answer.skipped) {
                (Some(item), _) => {
                    take(Streamed::Item(serde_json::from_value(item).map_err(CallError::Answer)?))
                }
                (None, Some(skipped)) => take(Streamed::Skipped(skipped)),
                (None, None) => true,
            };
            if !more {
                return Ok(());
            }
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), CallError> {
        let mut line = encode(request).map_err(CallError::Answer)?;
        line.push('\n');
        self.writer.write_all(line.as_bytes()).map_err(CallError::Broken)
    }

    fn next(&mut self) -> Result<Answer, CallError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LONGEST_ANSWER);
        limited.read_until(b'\n', &mut line).map_err(CallError::Broken)?;
        if line.is_empty() {
            return Err(CallError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Answer = serde_json::from_slice(&line).map_err(CallError::Answer)?;
        match answer.error {
            Some(failure) => Err(failure.into()),
            None => Ok(answer),
        }
    }
}

/// One of many answers.
#[derive(Debug)]
pub enum Streamed<T> {
    /// It.
    Item(T),
    /// That many were left out, since they were not read in time.
    Skipped(u64),
}
