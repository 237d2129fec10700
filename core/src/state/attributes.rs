//! What agents remember of nodes and of the cluster: Pacemaker's attributes, and among them the
//! scores by which copies say how fit they are to be promoted.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::{Outcome, Refusal, State};
use crate::id::{NodeId, ServiceId};

/// The most that one node has of each kind, and the cluster.
pub const ATTRIBUTES_KEPT: usize = 200;
/// The longest name, in bytes.
pub const LONGEST_ATTRIBUTE_NAME: usize = 200;
/// The longest value, in bytes.
pub const LONGEST_ATTRIBUTE: usize = 1_024;
/// What agents call infinite.
const INFINITE: i32 = 1_000_000;
/// How the names of scores begin.
pub const SCORE: &str = "master-";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Of nodes, for as long as they are in the view.
    pub transient: BTreeMap<NodeId, BTreeMap<String, String>>,
    /// Of nodes, for as long as they are members.
    pub permanent: BTreeMap<NodeId, BTreeMap<String, String>>,
    /// Of the cluster.
    pub cluster: BTreeMap<String, String>,
}

/// Of what an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AttributeScope {
    /// A node, for as long as it is in the view.
    Transient(NodeId),
    /// A node, for as long as it is a member.
    Permanent(NodeId),
    /// The cluster.
    Cluster,
}

impl Attributes {
    /// All of a scope.
    #[must_use]
    pub fn of(&self, scope: AttributeScope) -> Option<&BTreeMap<String, String>> {
        match scope {
            AttributeScope::Transient(node) => self.transient.get(&node),
            AttributeScope::Permanent(node) => self.permanent.get(&node),
            AttributeScope::Cluster => Some(&self.cluster),
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, scope: AttributeScope, name: &str) -> Option<&str> {
        self.of(scope)?.get(name).map(String::as_str)
    }

    /// What a node's copy of a service said of itself ends with it.
    pub(super) fn forget_scores(&mut self, service: &ServiceId, node: NodeId) {
        let begins = score_of(service, "");
        if let Some(all) = self.transient.get_mut(&node) {
            all.retain(|name, _| !name.starts_with(&begins));
        }
    }
}

/// The name under which a resource's copy says how fit it is to be promoted: agents know the
/// resource as SERVICE.RESOURCE.
#[must_use]
pub fn score_of(service: &ServiceId, resource: &str) -> String {
    alloc::format!("{SCORE}{service}.{resource}")
}

/// A score in an agent's words; what is no number counts as none.
fn score(text: &str) -> i32 {
    match text.trim() {
        "INFINITY" | "+INFINITY" => INFINITE,
        "-INFINITY" => -INFINITE,
        number => number.parse().map_or(0, |it: i64| {
            let most = i64::from(INFINITE);
            i32::try_from(it.clamp(-most, most)).unwrap_or(0)
        }),
    }
}

impl State {
    /// What agents remember.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.later.next.attributes
    }

    /// How fit a node's copy of a service is to be promoted, by its agents' words: the least of
    /// what they say of what can be promoted; nothing as long as one says nothing.
    #[must_use]
    pub fn score(&self, service: &ServiceId, node: NodeId) -> Option<i32> {
        let copies = self.config.as_ref()?.copies(service)?;
        let of = self.attributes().transient.get(&node);
        let one = |resource: &String| Some(score(of?.get(&score_of(service, resource))?));
        let all: Option<alloc::vec::Vec<i32>> = copies.promotable.iter().map(one).collect();
        all?.into_iter().min()
    }

    pub(super) fn set_attribute(
        &mut self,
        scope: AttributeScope,
        name: String,
        value: Option<String>,
    ) -> Applied {
        let long = value.as_ref().is_some_and(|it| it.len() > LONGEST_ATTRIBUTE);
        if long || name.is_empty() || name.len() > LONGEST_ATTRIBUTE_NAME {
            return Err(Refusal::AttributeTooLong);
        }
        match scope {
            // It would outlive the view that it belongs to.
            AttributeScope::Transient(node) if !self.view.contains_key(&node) => {
                return Err(Refusal::NoSuchNode);
            }
            AttributeScope::Permanent(node) if !self.members.contains_key(&node) => {
                return Err(Refusal::NoSuchNode);
            }
            AttributeScope::Transient(_)
            | AttributeScope::Permanent(_)
            | AttributeScope::Cluster => {}
        }
        let attributes = &mut self.later.next.attributes;
        let all = match scope {
            AttributeScope::Transient(node) => attributes.transient.entry(node).or_default(),
            AttributeScope::Permanent(node) => attributes.permanent.entry(node).or_default(),
            AttributeScope::Cluster => &mut attributes.cluster,
        };
        match value {
            Some(_) if !all.contains_key(&name) && all.len() >= ATTRIBUTES_KEPT => {
                return Err(Refusal::TooManyAttributes);
            }
            Some(value) => drop(all.insert(name, value)),
            None => drop(all.remove(&name)),
        }
        attributes.transient.retain(|_, all| !all.is_empty());
        attributes.permanent.retain(|_, all| !all.is_empty());
        Ok(Outcome::Done)
    }
}
