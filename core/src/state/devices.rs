//! By what nodes are fenced, as the operator wrote it: devices, and which of them cut which node.
//!
//! A device is asked to cut a node off from what its services could write to: to switch its power
//! off, or to shut it out of a storage or a network. Each node has *levels*: the first one is
//! tried, then the next. All plugs of one level are needed, as with a machine of two power
//! supplies.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::redirect::RedirectConfig;
use super::rules::RulesConfig;
use crate::tail::Tailed;
use crate::time::Span;

/// What a configuration has behind the tail of 0.5. Only members from 0.6 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencingConfig {
    /// The devices, by name.
    pub devices: BTreeMap<String, DeviceConfig>,
    /// How each node is fenced, by its name; only those that can be.
    pub nodes: BTreeMap<String, NodeFencing>,
    /// What 0.6 knows nothing of.
    #[serde(skip)]
    pub rules: RulesConfig,
    /// What 0.7 knows nothing of.
    #[serde(skip)]
    pub redirect: RedirectConfig,
}

impl Tailed for FencingConfig {
    type More = RulesConfig;
    type Later = RedirectConfig;

    fn more(&self) -> RulesConfig {
        self.rules.clone()
    }

    fn later(&self) -> RedirectConfig {
        self.redirect.clone()
    }

    fn add(&mut self, more: RulesConfig) {
        self.rules = more;
    }

    fn add_later(&mut self, later: RedirectConfig) {
        self.redirect = later;
    }
}

/// What can cut nodes off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConfig {
    /// By what it is asked.
    pub agent: FenceAgent,
    /// How long one run of the agent may take; then it is killed, and has failed.
    pub timeout: Span,
    /// How often a run that failed is repeated before the device counts as failed.
    pub retries: u32,
}

/// By what a device is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FenceAgent {
    /// A program of fence-agents, unchanged.
    Agent {
        /// Its name, such as `fence_ipmilan`.
        name: String,
        /// What it is told on its standard input, beside `action` and `plug`.
        parameters: BTreeMap<String, String>,
        /// What it is told that nobody else may read: the absolute path, on each node, of a file
        /// whose first line is the value.
        secrets: BTreeMap<String, String>,
    },
    /// A program of the operator's. It is told the action and the plug in its environment
    /// (`STEAD_FENCE_ACTION`, `STEAD_FENCE_NODE`, `STEAD_FENCE_PLUG`), and says by its exit status
    /// what agents say: 0 done or on, 2 off, anything else failed.
    Exec {
        /// The file to run, by its absolute path, and its arguments.
        command: Vec<String>,
    },
    /// A server of HTTP that takes the same three as JSON by POST, and answers with
    /// `{"state": "on"}` or `{"state": "off"}`.
    Webhook {
        /// Its URL.
        url: String,
        /// The absolute path, on each node, of a file with the value of the header `Authorization`.
        secret: Option<String>,
    },
}

/// How a node is fenced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFencing {
    /// The levels, in the order in which they are tried.
    pub levels: Vec<Vec<Plug>>,
    /// What becomes of the machine once it is proven to be off.
    pub after: AfterFence,
    /// How often the way to it is proven; never by itself if nothing.
    pub rehearse: Option<Span>,
    /// Whether it is enough, where devices can't be reached, that the node's armed watchdog has
    /// certainly reset it.
    pub watchdog: bool,
}

/// One outlet of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Plug {
    /// The device's name.
    pub device: String,
    /// What the device calls the node, or its outlet; nothing if the device is for this node alone.
    pub plug: Option<String>,
}

/// As the configuration has it: `DEVICE`, or `DEVICE:OUTLET`.
impl fmt::Display for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plug {
            Some(outlet) => write!(f, "{}:{outlet}", self.device),
            None => f.write_str(&self.device),
        }
    }
}

/// What becomes of a machine once it is proven to be off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AfterFence {
    /// It is switched on again.
    #[default]
    On,
    /// It stays off until somebody has looked at it.
    StayOff,
}

impl Config {
    /// How that node is fenced, if it can be.
    #[must_use]
    pub fn fencing(&self, node: &str) -> Option<&NodeFencing> {
        self.later.fencing.nodes.get(node)
    }
}
