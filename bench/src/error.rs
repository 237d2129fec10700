//! What can go wrong with a bench.

use std::io;
use std::path::PathBuf;

use stead::demo::fleet::FleetError;
use stead_lab::LabError;

/// Failure of a step. Rows that were written before it stay; the cluster that was measured ends.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A cluster of stead.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The network underneath.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file, thread or process.
    #[error("{what}")]
    Io {
        /// The step.
        what: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A command of a peer refused.
    #[error("`{command}` on {node} ended with {status}: {said}")]
    Command {
        /// What was typed.
        command: String,
        /// Where.
        node: String,
        /// How it ended.
        status: String,
        /// What it printed.
        said: String,
    },
    /// Something did not come about in time.
    #[error("in vain for {seconds} s: {what}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// Why it could not be seen, at last.
        #[source]
        last: Option<Box<BenchError>>,
    },
    /// A program of a peer is not installed.
    #[error(
        "--peers needs programs that are not here: {programs}. Nothing was started. Install them \
         (Debian: apt-get install {packages}), see that their services do not run on this \
         machine, and try again; or leave --peers out"
    )]
    Missing {
        /// The programs.
        programs: String,
        /// The Debian packages that bring them.
        packages: String,
    },
    /// There is nothing to measure, or not what was to be measured.
    #[error("{0}")]
    Nothing(String),
    /// A line of a file of results is none.
    #[error("{}, line {line}: not a result; repair or remove it", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Somebody asked for the end.
    #[error("ended on request; rows of finished trials are kept")]
    Interrupted,
}

impl BenchError {
    /// The end was asked for: no further trial shall begin.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Fleet(FleetError::Interrupted))
    }

    /// The error and its causes in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            next = cause.source();
        }
        text
    }
}

/// Names the step that failed.
pub(crate) trait Step<T> {
    /// The same result; an error tells what was being done.
    fn step(self, what: impl FnOnce() -> String) -> Result<T, BenchError>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, BenchError> {
        self.map_err(|source| BenchError::Io { what: what(), source })
    }
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, BenchError> {
        self.map_err(|errno| BenchError::Io { what: what(), source: errno.into() })
    }
}
