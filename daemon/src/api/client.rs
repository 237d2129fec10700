//! The other end of the API: what the command line uses. It blocks, with a bound.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::message::{Answer, Changed, Failure, Request, encode};

/// How long an answer may take: longer than any change.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line that is read.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The daemon of this node.
    Daemon,
    /// The quorum server of this machine.
    QuorumServer,
}

impl Whom {
    /// As sentences name it.
    fn name(self) -> &'static str {
        match self {
            Self::Daemon => "the daemon",
            Self::QuorumServer => "the quorum server",
        }
    }

    /// Its units.
    fn units(self) -> &'static str {
        match self {
            Self::Daemon => "stead-guard stead-daemon",
            Self::QuorumServer => "stead-quorum-server",
        }
    }

    /// Who may ask.
    fn allowed(self) -> &'static str {
        match self {
            Self::Daemon => "root, or as a member of the group stead",
            Self::QuorumServer => "root",
        }
    }

    /// What shows whether something was done.
    fn look(self) -> &'static str {
        match self {
            Self::Daemon => "stead status",
            Self::QuorumServer => "stead quorum-server list",
        }
    }
}

/// It was not done.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Who was asked does not run.
    #[error(
        "{} does not answer at {}; nothing was changed. Start it: systemctl start {}",
        whom.name(), path.display(), whom.units()
    )]
    NotRunning {
        /// Who.
        whom: Whom,
        /// Its socket.
        path: PathBuf,
    },
    /// Its socket may not be used.
    #[error(
        "no permission to use {}; nothing was changed. Run this as {}",
        path.display(), whom.allowed()
    )]
    Denied {
        /// Who.
        whom: Whom,
        /// Its socket.
        path: PathBuf,
    },
    /// The socket can't be used.
    #[error("can't talk to {} at {}; nothing was changed", whom.name(), path.display())]
    Socket {
        /// Who.
        whom: Whom,
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The connection ended before the answer came.
    #[error(
        "{} did not answer to the end; what was asked may have been done: look at `{}` before you \
         repeat it",
        whom.name(), whom.look()
    )]
    Broken {
        /// Who.
        whom: Whom,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The answer can't be understood.
    #[error(
        "the answer of {} can't be understood; is it of another version? Restart it after an \
         upgrade, and look at `{}` before you repeat anything",
        whom.name(), whom.look()
    )]
    Answer {
        /// Who.
        whom: Whom,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// It refused, or failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl CallError {
    /// Whether something may have changed all the same.
    #[must_use]
    pub fn changed(&self) -> Changed {
        match self {
            Self::NotRunning { .. } | Self::Denied { .. } | Self::Socket { .. } => Changed::No,
            Self::Broken { .. } | Self::Answer { .. } => Changed::Unknown,
            Self::Failed(failure) => failure.changed,
        }
    }
}

/// A connection to the daemon, or to a quorum server.
pub struct Client {
    whom: Whom,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Client {
    /// Connects to the daemon behind a socket.
    ///
    /// # Errors
    /// It does not run, or may not be talked to.
    pub fn connect(path: &Path) -> Result<Self, CallError> {
        Self::connect_to(Whom::Daemon, path)
    }

    /// Connects to that process behind a socket.
    ///
    /// # Errors
    /// It does not run, or may not be talked to.
    pub fn connect_to(whom: Whom, path: &Path) -> Result<Self, CallError> {
        let failed = |source: io::Error| {
            let (kind, path) = (source.kind(), path.to_owned());
            if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
                CallError::NotRunning { whom, path }
            } else if kind == io::ErrorKind::PermissionDenied {
                CallError::Denied { whom, path }
            } else {
                CallError::Socket { whom, path, source }
            }
        };
        let writer = UnixStream::connect(path).map_err(failed)?;
        writer.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        writer.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let reader = BufReader::new(writer.try_clone().map_err(failed)?);
        Ok(Self { whom, reader, writer })
    }

    /// Asks for one answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T, CallError> {
        self.send(request)?;
        let answer = self.next()?;
        let value = answer.ok.unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(self.answer())
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
        self.writer.set_read_timeout(None).map_err(self.broken())?;
        self.send(request)?;
        loop {
            let answer = self.next()?;
            if answer.end {
                return Ok(());
            }
            let more = match (answer.item, answer.skipped) {
                (Some(item), _) => {
                    take(Streamed::Item(serde_json::from_value(item).map_err(self.answer())?))
                }
                (None, Some(skipped)) => take(Streamed::Skipped(skipped)),
                (None, None) => true,
            };
            if !more {
                return Ok(());
            }
        }
    }

    fn broken(&self) -> impl Fn(io::Error) -> CallError + use<> {
        let whom = self.whom;
        move |source| CallError::Broken { whom, source }
    }

    fn answer(&self) -> impl Fn(serde_json::Error) -> CallError + use<> {
        let whom = self.whom;
        move |source| CallError::Answer { whom, source }
    }

    fn send(&mut self, request: &impl Serialize) -> Result<(), CallError> {
        let mut line = encode(request).map_err(self.answer())?;
        line.push('\n');
        let broken = self.broken();
        self.writer.write_all(line.as_bytes()).map_err(broken)
    }

    fn next(&mut self) -> Result<Answer, CallError> {
        let mut line = Vec::new();
        let broken = self.broken();
        let mut limited = (&mut self.reader).take(LONGEST_ANSWER);
        limited.read_until(b'\n', &mut line).map_err(broken)?;
        if line.is_empty() {
            return Err(self.broken()(io::ErrorKind::UnexpectedEof.into()));
        }
        let answer: Answer = serde_json::from_slice(&line).map_err(self.answer())?;
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
