//! The other copies of a service: who has one, which is promoted, and what became of them since
//! agents were last told (`notify` of OCF).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The most events that are kept for agents that are not told, as they do not work: the newest.
const KEPT: usize = 32;
/// What stands for nobody: agents compare with it.
const NOBODY: &str = " ";

/// The nodes whose copies run, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// Those that are not promoted.
    pub unpromoted: BTreeSet<String>,
    /// Those that are.
    pub promoted: BTreeSet<String>,
    /// How many nodes are to have one.
    pub wanted: usize,
}

/// Something that became of copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    operation: &'static str,
    nodes: BTreeSet<String>,
}

/// What is known of the copies, shared by all agents of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    others: Option<Others>,
    /// What each resource has not been told yet, by its name.
    untold: BTreeMap<String, VecDeque<Happened>>,
}

impl Known {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These resources are to be told of changes.
    pub(super) fn tell<'a>(&self, resources: impl Iterator<Item = &'a String>) {
        let mut inner = self.inner();
        for name in resources {
            inner.untold.entry(name.clone()).or_default();
        }
    }

    /// Takes how the copies are now; says whether there is anything to be told.
    pub(super) fn set(&self, others: Others) -> bool {
        let mut inner = self.inner();
        // What was so before this copy began is nothing that happened to it.
        let happened = inner.others.as_ref().map(|old| changes(old, &others)).unwrap_or_default();
        inner.others = Some(others);
        for queue in inner.untold.values_mut() {
            queue.extend(happened.iter().cloned());
            while queue.len() > KEPT {
                queue.pop_front();
            }
        }
        !happened.is_empty()
    }

    /// The next thing that a resource has to be told.
    pub(super) fn next(&self, resource: &str) -> Option<Happened> {
        self.inner().untold.get_mut(resource)?.pop_front()
    }

    /// What an agent of copies is told with every action, and in a `notify` of what happened.
    pub(super) fn meta(&self, happened: Option<&Happened>) -> BTreeMap<String, String> {
        let others = self.inner().others.clone().unwrap_or_default();
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: &str, value: String| drop(all.insert(name.to_owned(), value));
        for (name, value) in [("notify", "true"), ("globally_unique", "false")] {
            set(name, value.to_owned());
        }
        for name in ["master_max", "promoted_max", "clone_node_max", "promoted_node_max"] {
            set(name, "1".to_owned());
        }
        set("clone_max", others.wanted.max(1).to_string());
        let list = |names: &BTreeSet<String>| match names.len() {
            0 => NOBODY.to_owned(),
            _ => names.iter().cloned().collect::<Vec<_>>().join(" "),
        };
        // Both the words of before and those of API 1.1.
        for name in ["slave", "unpromoted"] {
            set(&format!("notify_{name}_uname"), list(&others.unpromoted));
        }
        for name in ["master", "promoted"] {
            set(&format!("notify_{name}_uname"), list(&others.promoted));
        }
        let active = others.unpromoted.union(&others.promoted).cloned().collect();
        set("notify_active_uname", list(&active));
        for operation in ["start", "stop", "promote", "demote"] {
            let of = happened.filter(|it| it.operation == operation);
            let nodes = of.map(|it| it.nodes.clone()).unwrap_or_default();
            set(&format!("notify_{operation}_uname"), list(&nodes));
        }
        if let Some(happened) = happened {
            set("notify_type", "post".to_owned());
            set("notify_operation", happened.operation.to_owned());
        }
        all
    }
}

/// What led from one to the other, in the order in which it must have been.
fn changes(old: &Others, new: &Others) -> Vec<Happened> {
    let all = |others: &Others| -> BTreeSet<String> {
        others.unpromoted.union(&others.promoted).cloned().collect()
    };
    let less = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect();
    let (before, after) = (all(old), all(new));
    let happened: [(&'static str, BTreeSet<String>); 4] = [
        ("demote", less(&old.promoted, &new.promoted)),
        ("stop", less(&before, &after)),
        ("start", less(&after, &before)),
        ("promote", less(&new.promoted, &old.promoted)),
    ];
    let happened = happened.into_iter().filter(|(_, nodes)| !nodes.is_empty());
    happened.map(|(operation, nodes)| Happened { operation, nodes }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(unpromoted: &[&str], promoted: &[&str]) -> Others {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Others { unpromoted: set(unpromoted), promoted: set(promoted), wanted: 3 }
    }

    #[test]
    fn a_failover_is_told_in_its_order_and_nobody_is_a_space() {
        let known = Known::default();
        known.tell([&"db".to_owned()].into_iter());
        assert!(!known.set(others(&["b", "c"], &["a"])), "what was so is nothing that happened");
        assert_eq!(known.next("db"), None);
        assert!(known.set(others(&["c"], &["b"])));
        let told: Vec<_> = std::iter::from_fn(|| known.next("db")).collect();
        let words: Vec<_> = told.iter().map(|it| it.operation).collect();
        assert_eq!(words, ["demote", "stop", "promote"]);
        let meta = known.meta(told.last());
        let of = |name: &str| meta.get(name).map(String::as_str);
        assert_eq!(of("notify_type"), Some("post"));
        assert_eq!(of("notify_operation"), Some("promote"));
        assert_eq!(of("notify_promote_uname"), Some("b"));
        assert_eq!(of("notify_demote_uname"), Some(" "));
        assert_eq!((of("notify_slave_uname"), of("notify_master_uname")), (Some("c"), Some("b")));
        assert_eq!((of("clone_max"), of("master_max")), (Some("3"), Some("1")));
        assert_eq!(known.meta(None).get("notify_type"), None);
    }
}
