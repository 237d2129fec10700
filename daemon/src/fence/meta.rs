//! What a fence agent says of itself: its parameters and its actions, out of XML.
//!
//! The form is that of fence-agents ("FenceAgentAPI"), which is that of OCF's resource agents but
//! for the actions and for how old names are told (`obsoletes`, `deprecated`): `crate::ocf::meta`
//! reads both.

use roxmltree::Node;
use serde::Serialize;

use crate::ocf::meta::{attribute, document, entries, flag, line, parameters, words};
use crate::ocf::{MetaDataError, Parameter};

/// What the parameter is called that says which outlet is meant, and what it was called before.
const PLUG: [&str; 2] = ["plug", "port"];

/// What a fence agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetaData {
    /// The agent's name for itself. Not always the name of its file.
    pub name: String,
    /// What it is for, in a line.
    pub shortdesc: String,
    /// What it is for.
    pub longdesc: String,
    /// What may be told to it, in its own order.
    pub parameters: Vec<Parameter>,
    /// What may be asked of it, in its own order.
    pub actions: Vec<Ability>,
}

/// What may be asked of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// Its name, such as `off`.
    pub name: String,
    /// Of `on`: a node that comes up has to have this done to it.
    pub automatic: bool,
    /// It works only on the machine that it is about.
    pub on_target: bool,
}

/// Whether an agent is told which outlet is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet<'a> {
    /// It is for one machine, and takes no such parameter.
    None,
    /// It may be told, by this parameter.
    Optional(&'a str),
    /// It does nothing without this parameter.
    Required(&'a str),
}

impl MetaData {
    /// Reads what an agent printed when asked for `metadata`.
    ///
    /// # Errors
    /// See [`MetaDataError`].
    pub fn read(xml: &[u8]) -> Result<Self, MetaDataError> {
        let document = document(xml)?;
        let root = document.root_element();
        let mut actions: Vec<Ability> = Vec::new();
        for action in entries(root, "actions", "action").filter_map(ability) {
            if !actions.iter().any(|it| it.name == action.name) {
                actions.push(action);
            }
        }
        let short = attribute(root, "shortdesc").unwrap_or_else(|| line(root, "shortdesc"));
        Ok(Self {
            name: attribute(root, "name").unwrap_or_default(),
            shortdesc: short.split_whitespace().collect::<Vec<_>>().join(" "),
            longdesc: words(root, "longdesc"),
            parameters: parameters(root),
            actions,
        })
    }

    /// What it says of an action; nothing if it can't do that.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Ability> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// How it is told which outlet is meant.
    #[must_use]
    pub fn outlet(&self) -> Outlet<'_> {
        match PLUG.into_iter().find_map(|name| self.parameter(name)) {
            None => Outlet::None,
            Some(it) if it.required => Outlet::Required(&it.name),
            Some(it) => Outlet::Optional(&it.name),
        }
    }

    /// Whether it cuts a node off from a storage or a network, and leaves its power on. Such a node
    /// may be let in again only when it has booted: until then it may have something left to write.
    #[must_use]
    pub fn cuts_off(&self) -> bool {
        self.action("on").is_some_and(|on| on.automatic || on.on_target)
    }
}

fn ability(node: Node) -> Option<Ability> {
    Some(Ability {
        name: attribute(node, "name").filter(|name| !name.is_empty())?,
        automatic: flag(node, "automatic"),
        on_target: flag(node, "on_target"),
    })
}
