//! What was asked of a device, and what it said: the history of an attempt.

use std::fmt;

use serde::{Deserialize, Serialize};
use stead_core::state::config::Plug;
use stead_core::time::Span;

use super::devices::Question;

/// What a device is asked for. `reboot` is none of it: whether a machine that boots was off in
/// between is the agent's word alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Switch it off, or cut it off.
    Off,
    /// Switch it on, or let it in.
    On,
    /// Whether it is on. Changes nothing.
    Status,
    /// Whether the device works. Changes nothing.
    Monitor,
    /// Which outlets it has. Changes nothing.
    List,
}

impl Action {
    /// Its name for agents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Status => "status",
            Self::Monitor => "monitor",
            Self::List => "list",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a device said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It is done; of `monitor` and `list`: it works.
    Done,
    /// Of `status`: it is on.
    On,
    /// Of `status`: it is off.
    Off,
    /// It failed, or gave no answer that can be believed.
    Failed(String),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// One question to a device, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Of which level it was, from 1; nothing if of none.
    pub level: Option<usize>,
    /// The device's name.
    pub device: String,
    /// Which outlet was meant.
    pub plug: Option<String>,
    /// What was asked.
    pub action: Action,
    /// How long it took, waiting for the device included.
    pub took: Span,
    /// What was said.
    pub said: Said,
    /// The last lines that were printed, oldest first, without secrets.
    pub output: Vec<String>,
}

impl Step {
    /// The device, with its outlet, that was asked.
    #[must_use]
    pub fn asked_at(&self) -> Plug {
        Plug { device: self.device.clone(), plug: self.plug.clone() }
    }

    /// One that failed before the device was asked anything.
    pub(super) fn not_asked(question: &Question<'_>, reason: String) -> Self {
        Self {
            level: question.level,
            device: question.device.to_owned(),
            plug: question.plug.map(str::to_owned),
            action: question.action,
            took: Span::ZERO,
            said: Said::Failed(reason),
            output: Vec::new(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plug, took) = (self.asked_at(), self.took.in_words());
        write!(f, "{plug} {}: {} ({took})", self.action, self.said)
    }
}

/// How a node was fenced, or was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which.
    pub node: String,
    /// Which level proved that it is off, from 1; or why none did.
    pub outcome: Result<usize, String>,
    /// The devices of that level leave its machine on, and cut it off from a storage or a network.
    pub cut_off: bool,
    /// It was ended before it came to that: the outcome says why, and nothing about the devices.
    pub given_up: bool,
    /// What was asked, and said, in the order of the answers.
    pub steps: Vec<Step>,
}
