//! Where services may run and would rather run, as the operator wrote it: rules of placement.
//!
//! | rule | a line that says it |
//! |---|---|
//! | there, or nowhere | `only = ["rack=r1", "node7"]` |
//! | not there | `never = ["node3"]` |
//! | rather there | `prefer = ["node1", "site=east"]` |
//! | where both run, on one node | `together = ["cache"]`; rather so: `{ cache = 30 }` |
//! | never on one node, or one rack | `apart = ["db2"]`, `apart-by = "rack"` |
//! | there by night | `[times.night]`, `[services.db.during.night]` with `prefer = ["node2"]` |
//! | back by night | `failback = "night"` |
//! | so much of what nodes have | `uses = { memory = 8 }`; nodes: `capacity = { memory = 64 }` |
//!
//! Both sides of `together` and `apart` are the same: it is enough that one of the two says it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::expects::Expectation;
use crate::id::ServiceId;

/// The label that every node with a `site` has.
pub const SITE: &str = "site";

/// What a configuration has in the tail of that of 0.6. Only members from 0.7 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesConfig {
    /// What is said of nodes, by their names; only of those of which anything is.
    pub nodes: BTreeMap<String, NodeRules>,
    /// What is said of services; only of those of which anything is.
    pub services: BTreeMap<ServiceId, ServiceRules>,
    /// Times of the week that services' rules name.
    pub times: BTreeMap<String, TimeConfig>,
    /// What shall come of failures by all of that, in the order of the file.
    pub expects: Vec<Expectation>,
}

/// A time that comes again every week.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeConfig {
    /// The days on which it begins: 0 is Monday, 6 is Sunday. Every day if nothing stands here.
    pub days: BTreeSet<u8>,
    /// When it begins: minutes since midnight.
    pub from: u16,
    /// When it ends: minutes since midnight, of the next day if that is not after `from`.
    pub to: u16,
    /// By which clock: a name of the time zone database, such as `Europe/Berlin`.
    pub zone: String,
}

/// What is said of a service for a time, in the place of what is said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct During {
    /// Rather there, best first.
    pub prefer: Option<Vec<String>>,
    /// Only there.
    pub only: Option<Vec<Place>>,
    /// Not there.
    pub never: Option<Vec<Place>>,
}

/// What a node is and has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRules {
    /// Labels, with their values; `site` is not among them.
    pub labels: BTreeMap<String, String>,
    /// How much it has of each quantity that services use, in units of the operator's.
    pub capacity: BTreeMap<String, u64>,
}

/// Where a service may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRules {
    /// Only there; everywhere if nothing stands here.
    pub only: Vec<Place>,
    /// Not there.
    pub never: Vec<Place>,
    /// How much it uses of each quantity, where it runs and where it has a copy.
    pub uses: BTreeMap<String, u64>,
    /// With these on one node, where both run.
    pub together: BTreeMap<ServiceId, Strength>,
    /// With none of these on one node.
    pub apart: BTreeMap<ServiceId, Strength>,
    /// What else of a node counts as the same place, where it is apart from others: a label.
    pub apart_by: Option<String>,
    /// The time at which it goes back to a better node of `prefer`.
    pub failback_at: Option<String>,
    /// What is said for times instead, by their names. Where several are open, by the first name
    /// that says something.
    pub during: BTreeMap<String, During>,
}

/// A node, or all nodes with a label: `node1`, `rack=r1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// That node.
    Node(String),
    /// All with that label.
    Label {
        /// The label.
        label: String,
        /// Its value.
        value: String,
    },
}

/// How much a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Strength {
    /// From 1 to 100: it is followed where nothing that counts for more speaks against it.
    Rather(u8),
    /// It is never broken. What can't be had without breaking it is not had.
    Must,
}

impl Place {
    /// What such a text means.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.split_once('=') {
            Some((label, value)) => {
                Self::Label { label: label.trim().into(), value: value.trim().into() }
            }
            None => Self::Node(text.into()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => f.write_str(name),
            Self::Label { label, value } => write!(f, "{label}={value}"),
        }
    }
}

impl Config {
    /// The rules of a service, if it has any beside `prefer`.
    #[must_use]
    pub fn rules(&self, service: &ServiceId) -> Option<&ServiceRules> {
        self.later.fencing.rules.services.get(service)
    }

    /// The value of a node's label.
    #[must_use]
    pub fn label<'a>(&'a self, node: &str, label: &str) -> Option<&'a str> {
        if label == SITE {
            return self.nodes.get(node)?.site.as_deref();
        }
        self.later.fencing.rules.nodes.get(node)?.labels.get(label).map(String::as_str)
    }

    /// Whether a node is meant.
    #[must_use]
    pub fn is_there(&self, node: &str, place: &Place) -> bool {
        match place {
            Place::Node(name) => name == node,
            Place::Label { label, value } => self.label(node, label) == Some(value),
        }
    }

    /// How much a node has of a quantity.
    #[must_use]
    pub fn capacity(&self, node: &str, quantity: &str) -> u64 {
        let rules = self.later.fencing.rules.nodes.get(node);
        rules.and_then(|it| it.capacity.get(quantity)).copied().unwrap_or_default()
    }

    /// Whether a service prefers nodes by a label, which members of before 0.7 take for a name.
    #[must_use]
    pub fn prefers_labels(&self) -> bool {
        let is_label = |text: &String| matches!(Place::of(text), Place::Label { .. });
        self.services.values().flat_map(|it| &it.prefer).any(is_label)
    }
}
