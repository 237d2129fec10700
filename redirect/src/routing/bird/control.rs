//! A conversation over BIRD's control socket: a line as the question, numbered lines as the answer.
//!
//! ```text
//! 1000-BIRD 2.0.12      more lines follow, of any number
//!  Hostname is a        another line of the same number
//! 0013 Daemon is up     the last one; 8xxx and 9xxx: refused
//! ```

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::{ANSWER_WITHIN, LONGEST_ANSWER};

/// Answers with this number or a higher one are refusals.
const REFUSED: u16 = 8000;
/// A line that is longer is not BIRD's, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;

/// BIRD was not asked, or did not answer.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody made the socket.
    #[error(
        "there is no control socket {}: BIRD is not running, or has its socket elsewhere; nothing \
         was changed",
        path.display()
    )]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is there, and nobody listens.
    #[error("nobody listens at {}: BIRD has ended; nothing was changed", path.display())]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// It is there, and not for us.
    #[error(
        "this process may not open {}; it belongs to BIRD's group, so add stead's user to that; \
         nothing was changed",
        path.display()
    )]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The conversation broke.
    #[error("the conversation with BIRD broke at `{question}`; ask again")]
    Broken {
        /// What was being asked.
        question: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// No answer came.
    #[error(
        "BIRD did not answer `{question}` within {} s: it is stopped or overloaded",
        ANSWER_WITHIN.as_secs()
    )]
    Late {
        /// What was asked.
        question: String,
    },
    /// The answer makes no sense.
    #[error("what answers `{question}` does not speak as BIRD 2 does: {reason}")]
    Unreadable {
        /// What was asked.
        question: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It said no.
    #[error("BIRD refused `{question}`: {words} ({code:04})")]
    Refused {
        /// What was asked.
        question: String,
        /// Its number for that.
        code: u16,
        /// Its words.
        words: String,
    },
}

/// One line of an answer, without what frames it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What kind of line it is.
    pub code: u16,
    /// What it says.
    pub text: String,
}

/// Puts an answer together, line by line.
#[derive(Debug, Default)]
pub struct Reader {
    lines: Vec<Line>,
}

impl Reader {
    /// Takes a line without its end; `true` once it was the last one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, line: &str) -> Result<bool, &'static str> {
        if line.starts_with('+') {
            // An echo of the log, which may come at any time.
            return Ok(false);
        }
        if let Some(text) = line.strip_prefix(' ') {
            let code = self.lines.last().ok_or("its first line has no number")?.code;
            self.lines.push(Line { code, text: text.to_owned() });
            return Ok(false);
        }
        let (digits, rest) = line.split_at_checked(4).ok_or("a line is too short")?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err("a line has no number");
        }
        let code = digits.parse().map_err(|_| "a line has no number")?;
        let (last, text) = match rest.split_at_checked(1) {
            Some(("-", text)) => (false, text),
            Some((" ", text)) => (true, text),
            None => (true, ""),
            Some(_) => return Err("a number is followed by neither a space nor a dash"),
        };
        self.lines.push(Line { code, text: text.to_owned() });
        Ok(last)
    }

    /// All lines so far.
    #[must_use]
    pub fn finish(self) -> Vec<Line> {
        self.lines
    }
}

/// An open conversation. After an error other than a refusal it is of no more use.
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Connects, and waits until BIRD says hello.
    pub async fn open(path: &Path) -> Result<Self, ControlError> {
        let stream = match timeout(ANSWER_WITHIN, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unopened(path, error)),
            Err(_) => return Err(ControlError::Late { question: "connect".to_owned() }),
        };
        let mut control = Self { stream: BufReader::new(stream) };
        control.answer("hello").await?;
        Ok(control)
    }

    /// Asks, and waits for the whole answer.
    pub async fn ask(&mut self, question: &str) -> Result<Vec<Line>, ControlError> {
        debug_assert!(!question.contains('\n'), "one line is one question");
        let sent = self.stream.get_mut().write_all(format!("{question}\n").as_bytes()).await;
        sent.map_err(|source| ControlError::Broken { question: question.to_owned(), source })?;
        self.answer(question).await
    }

    async fn answer(&mut self, question: &str) -> Result<Vec<Line>, ControlError> {
        let read = timeout(ANSWER_WITHIN, self.read(question)).await;
        let late = || ControlError::Late { question: question.to_owned() };
        let lines = read.map_err(|_| late())??;
        match lines.iter().find(|line| line.code >= REFUSED) {
            None => Ok(lines),
            Some(Line { code, text }) => Err(ControlError::Refused {
                question: question.to_owned(),
                code: *code,
                words: text.chars().filter(|it| !it.is_control()).take(400).collect(),
            }),
        }
    }

    async fn read(&mut self, question: &str) -> Result<Vec<Line>, ControlError> {
        let broken = |source| ControlError::Broken { question: question.to_owned(), source };
        let unreadable =
            |reason| ControlError::Unreadable { question: question.to_owned(), reason };
        let mut reader = Reader::default();
        let mut total = 0;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let mut line = (&mut self.stream).take(LONGEST_LINE);
            let length = line.read_until(b'\n', &mut bytes).await.map_err(broken)?;
            if bytes.pop() != Some(b'\n') {
                let whole = length as u64 == LONGEST_LINE;
                return Err(if whole {
                    unreadable("a line does not end")
                } else {
                    broken(ErrorKind::UnexpectedEof.into())
                });
            }
            total += length;
            if total > LONGEST_ANSWER {
                return Err(unreadable("it does not end"));
            }
            let line = String::from_utf8_lossy(&bytes);
            if reader.take(&line).map_err(unreadable)? {
                return Ok(reader.finish());
            }
        }
    }
}

fn unopened(path: &Path, error: io::Error) -> ControlError {
    let path = path.to_owned();
    let kind = error.kind();
    if kind == ErrorKind::NotFound {
        ControlError::Absent { path }
    } else if kind == ErrorKind::ConnectionRefused {
        ControlError::Ended { path }
    } else if kind == ErrorKind::PermissionDenied {
        ControlError::Denied { path }
    } else {
        ControlError::Broken { question: "connect".to_owned(), source: error }
    }
}
