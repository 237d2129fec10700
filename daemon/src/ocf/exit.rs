//! How an agent's action ended: OCF Resource Agent API 1.0 and 1.1, "Exit status codes", and those
//! that Pacemaker added.

use std::fmt;

/// What an agent says by the status that it ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done; of a monitor: it runs, and is not promoted.
    Success,
    /// 1: it failed; of a monitor: it runs and does not work, or nobody knows.
    Generic,
    /// 2: called in a way that it does not understand.
    Arguments,
    /// 3: it can't do this action.
    Unimplemented,
    /// 4: it may not do this.
    Permission,
    /// 5: a program that it needs is not on this node.
    NotInstalled,
    /// 6: the configuration is wrong, on every node.
    NotConfigured,
    /// 7: of a monitor: it is stopped, in good order.
    NotRunning,
    /// 8: of a monitor: it runs and is promoted.
    RunningPromoted,
    /// 9: of a monitor: it is promoted and does not work.
    FailedPromoted,
    /// 190: it runs, not as well as it should.
    Degraded,
    /// 191: it runs and is promoted, not as well as it should.
    DegradedPromoted,
    /// No code of OCF: a failure.
    Other(i32),
}

impl From<i32> for ExitCode {
    fn from(code: i32) -> Self {
        match code {
            0 => Self::Success,
            1 => Self::Generic,
            2 => Self::Arguments,
            3 => Self::Unimplemented,
            4 => Self::Permission,
            5 => Self::NotInstalled,
            6 => Self::NotConfigured,
            7 => Self::NotRunning,
            8 => Self::RunningPromoted,
            9 => Self::FailedPromoted,
            190 => Self::Degraded,
            191 => Self::DegradedPromoted,
            other => Self::Other(other),
        }
    }
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::Generic => 1,
            Self::Arguments => 2,
            Self::Unimplemented => 3,
            Self::Permission => 4,
            Self::NotInstalled => 5,
            Self::NotConfigured => 6,
            Self::NotRunning => 7,
            Self::RunningPromoted => 8,
            Self::FailedPromoted => 9,
            Self::Degraded => 190,
            Self::DegradedPromoted => 191,
            Self::Other(code) => code,
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Success => "it is done, or runs",
            Self::Generic => "it failed; the agent's own lines say why",
            Self::Arguments => "the agent does not take a parameter or its value as it is written",
            Self::Unimplemented => "the agent can't do this",
            Self::Permission => "the agent may not do this on this node",
            Self::NotInstalled => "a program or file that the agent needs is not on this node",
            Self::NotConfigured => "what is configured can't work, on any node",
            Self::NotRunning => "it does not run",
            Self::RunningPromoted => "it runs and is promoted",
            Self::FailedPromoted => "it is promoted and does not work",
            Self::Degraded => "it runs, not as well as it should",
            Self::DegradedPromoted => "it runs and is promoted, not as well as it should",
            Self::Other(code) => {
                return write!(f, "the agent ended with {code}, which means nothing");
            }
        };
        write!(f, "{words} (OCF code {})", self.code())
    }
}
