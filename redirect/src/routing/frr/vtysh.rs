//! Running `vtysh`, FRR's shell, one process for each question.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::super::{ANSWER_WITHIN, LONGEST_ANSWER};

/// What is kept of a complaint, in characters.
const LONGEST_WORDS: usize = 400;

/// Where FRR's shell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vtysh {
    /// The program, `/usr/bin/vtysh`.
    pub program: PathBuf,
    /// The folder of the daemons' sockets, if not the one that the program was built with.
    pub sockets: Option<PathBuf>,
}

/// FRR was not asked, or did not answer.
#[derive(Debug, Error)]
pub enum VtyshError {
    /// The program can't be run.
    #[error("can't run {}; is FRR installed? nothing was changed", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// None of FRR's daemons listens, or none listens to us.
    #[error(
        "FRR's shell reaches none of its daemons: FRR is not running, or this process may not open \
         its sockets (they belong to group frrvty); nothing was changed; it said: {words}"
    )]
    Unreached {
        /// What the program said.
        words: String,
    },
    /// The daemon of BGP does not listen.
    #[error("FRR's bgpd is not running, so nothing is announced from this node; start it")]
    NoBgp,
    /// It said no.
    #[error("FRR refused `{question}`: {words}")]
    Refused {
        /// What was asked.
        question: String,
        /// What it said.
        words: String,
    },
    /// No answer came.
    #[error(
        "FRR did not answer `{question}` within {} s: one of its daemons is stopped or overloaded",
        ANSWER_WITHIN.as_secs()
    )]
    Late {
        /// What was asked.
        question: String,
    },
    /// The answer makes no sense.
    #[error("what FRR prints for `{question}` is not understood: {reason}")]
    Unreadable {
        /// What was asked.
        question: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Vtysh {
    /// Debian's.
    #[must_use]
    pub fn debian() -> Self {
        Self { program: PathBuf::from("/usr/bin/vtysh"), sockets: None }
    }

    /// Runs these commands one after the other; the first refusal ends it. What it prints.
    pub(super) async fn run(&self, commands: &[&str]) -> Result<String, VtyshError> {
        debug_assert!(commands.iter().all(|it| !it.contains('\n')), "one line is one command");
        let question = commands.last().copied().unwrap_or_default().to_owned();
        let run = |source| VtyshError::Run { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        if let Some(sockets) = &self.sockets {
            command.arg("--vty_socket").arg(sockets);
        }
        for words in commands {
            command.arg("-c").arg(words);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // It pages, and writes a history, for people only.
        command.env("VTYSH_PAGER", "cat").env_remove("HOME").kill_on_drop(true);
        let mut child = command.spawn().map_err(run)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let all = async {
            let (printed, complaint) = tokio::join!(bounded(out), bounded(err));
            Ok::<_, io::Error>((printed?, complaint?, child.wait().await?))
        };
        let Ok(ended) = timeout(ANSWER_WITHIN, all).await else {
            return Err(VtyshError::Late { question });
        };
        let (printed, complaint, status) = ended.map_err(run)?;
        if printed.len() > LONGEST_ANSWER {
            let reason = format!("more than {LONGEST_ANSWER} bytes");
            return Err(VtyshError::Unreadable { question, reason });
        }
        if status.success() {
            return Ok(printed);
        }
        Err(refusal(question, &printed, &complaint))
    }

    /// Runs a question and reads what it prints.
    pub(super) async fn read<T>(
        &self,
        question: &str,
        read: impl FnOnce(&str) -> Result<T, serde_json::Error>,
    ) -> Result<T, VtyshError> {
        let printed = self.run(&[question]).await?;
        read(&printed).map_err(|error| VtyshError::Unreadable {
            question: question.to_owned(),
            reason: error.to_string(),
        })
    }
}

fn refusal(question: String, printed: &str, complaint: &str) -> VtyshError {
    let words = words(&format!("{} {}", printed.trim(), complaint.trim()));
    if words.contains("failed to connect to any daemons") {
        VtyshError::Unreached { words }
    } else if words.contains("bgpd is not running") {
        VtyshError::NoBgp
    } else {
        VtyshError::Refused { question, words }
    }
}

fn words(text: &str) -> String {
    let all: Vec<_> = text.split_whitespace().collect();
    all.join(" ").chars().filter(|it| !it.is_control()).take(LONGEST_WORDS).collect()
}

/// One byte more than may be, so that too much is seen.
async fn bounded(from: Option<impl tokio::io::AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(LONGEST_ANSWER as u64 + 1).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
