//! `copies` of a service and `promotable` of its resources: on which nodes it runs, and what of it
//! is promoted on one of them.

use stead_core::state::MOST_NODES;
use stead_core::state::config::{Agent, Place, ResourceConfig, SITE};
use toml::Spanned;

use super::draft::{Copies, Draft, Node, Service};
use super::keys::nearest;
use super::problem::Findings;
use super::section::{Section, shown};
use crate::ocf;

/// The word for all nodes.
const ALL: &str = "all";

/// Reads `copies`.
pub(super) fn copies(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Copies> {
    let value = section.get("copies")?;
    let at = section.at("copies");
    if let Some(word) = value.get_ref().as_str() {
        if word == ALL {
            return Some(Copies { at, nodes: None, labels: Vec::new() });
        }
        let message = format!("`copies` of {} is the text `{}`", section.place, shown(word));
        let help = "write the nodes that shall have one:  copies = [\"node1\", \"node2\"],  \
                    or  copies = \"all\"";
        findings.error(&value.span(), message, help);
        return None;
    }
    let nodes = section.texts("copies", findings)?;
    Some(Copies { at, nodes: Some(nodes), labels: Vec::new() })
}

/// Whether a resource can be promoted: the file says so, or its agent is known to be.
pub(super) fn is_promotable(
    resource: &ResourceConfig,
    said: Option<&Spanned<bool>>,
    findings: &mut Findings,
) -> bool {
    let Agent::Ocf { provider, kind, .. } = &resource.agent else {
        if let Some(said) = said.filter(|said| *said.get_ref()) {
            let message = format!("`{}` is no OCF agent, and can't be promoted", resource.name);
            let help = "only an OCF agent with the actions promote and demote can: remove the line";
            findings.error(&said.span(), message, help);
        }
        return false;
    };
    said.map_or_else(|| ocf::is_promotable(provider, kind), |said| *said.get_ref())
}

/// Puts in the place of each label (`site=east`) the nodes that have it: who has a copy is decided
/// when the file is read, so that no copy comes and goes as a label does somewhere else.
pub(super) fn spread(draft: &mut Draft) {
    let has = |node: &Node, place: &Place| match place {
        Place::Node(_) => false,
        Place::Label { label, value } if label == SITE => node.site.as_ref() == Some(value),
        Place::Label { label, value } => {
            let mut labels = node.rules.labels.iter();
            labels.any(|(own, its)| own.get_ref() == label && its.get_ref() == value)
        }
    };
    for copies in draft.services.iter_mut().filter_map(|it| it.copies.as_mut()) {
        let Some(nodes) = &mut copies.nodes else { continue };
        let mut names: Vec<Spanned<String>> = Vec::new();
        for text in nodes.drain(..) {
            let place = Place::of(text.get_ref());
            let meant = draft.nodes.iter().filter(|node| has(node, &place));
            let meant: Vec<_> = meant.map(|node| node.name.get_ref()).collect();
            let known = |name: &String| names.iter().any(|it| it.get_ref() == name);
            if let Place::Label { label, .. } = &place {
                copies.labels.push(label.clone());
            }
            if meant.is_empty() {
                names.push(text);
            } else {
                let new: Vec<_> = meant.into_iter().filter(|it| !known(it)).cloned().collect();
                names.extend(new.into_iter().map(|name| Spanned::new(text.span(), name)));
            }
        }
        *nodes = names;
    }
}

/// Holds the copies of a service against its resources and the nodes of the file.
pub(super) fn check(draft: &Draft, service: &Service, findings: &mut Findings) {
    let Some(copies) = &service.copies else { return };
    let name = shown(service.name.get_ref());
    if service.promotable.is_empty() {
        let message = format!("service `{name}` has `copies`, and nothing of it can be promoted");
        let help = "copies are for what replicates its data by itself, through an agent with the \
                    actions promote and demote, such as  ocf = \"heartbeat:pgsql\"  or  \
                    \"heartbeat:redis\"; if yours is another one, say  promotable = true  in it; \
                    if there is none, remove `copies`";
        findings.error(&copies.at, message, help);
    }
    let known = || draft.nodes.iter().map(|node| node.name.get_ref().as_str());
    let Some(nodes) = &copies.nodes else { return };
    let mut seen: Vec<&str> = Vec::new();
    for node in nodes.iter().take(2 * MOST_NODES) {
        let text = node.get_ref().as_str();
        if seen.contains(&text) {
            let message = format!("service `{name}` has two copies on {}", shown(text));
            findings.error(&node.span(), message, "a node has one: remove this one");
        } else if !known().any(|known| known == text) {
            let none = if text.contains('=') { "no node with that label" } else { "no such node" };
            let message =
                format!("service `{name}` has a copy on `{}`, and there is {none}", shown(text));
            let help = match nearest(text, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the nodes are: {}", known().collect::<Vec<_>>().join(", ")),
            };
            findings.error(&node.span(), message, help);
        }
        seen.push(text);
    }
    if nodes.len() < 2 {
        let message = format!("service `{name}` has {} copy", nodes.len());
        let help = "name two nodes or more: one is promoted, another takes over; without copies \
                    the whole service moves";
        findings.error(&copies.at, message, help);
    }
}
