//! What rules of placement name is there: nodes, labels, services and quantities.
//!
//! Whether all rules can be followed at once is looked at only where nothing else is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use stead_core::state::config::{Place, SITE};
use toml::Spanned;

use super::draft::{Draft, Node, Service};
use super::expects;
use super::keys::nearest;
use super::problem::Findings;
use super::redirect;
use super::rule_clashes::{self, and};
use super::rule_crowds;
use super::rules::Places;
use super::section::shown;

/// Nobody reads more, and looking for what was meant takes its time.
const ENOUGH: usize = 100;

/// The nodes of a file, by number, and what they are and have.
pub(super) struct Names<'d> {
    pub(super) nodes: Vec<&'d str>,
    /// Of each label the values, and which nodes have them.
    pub(super) labels: BTreeMap<&'d str, BTreeMap<&'d str, BTreeSet<usize>>>,
    /// How much nodes have of each quantity; nothing of those that don't say it.
    pub(super) capacity: BTreeMap<&'d str, Vec<Option<u64>>>,
    numbers: BTreeMap<&'d str, usize>,
    pub(super) services: BTreeSet<&'d str>,
}

impl<'d> Names<'d> {
    fn new(draft: &'d Draft) -> Self {
        let nodes: Vec<&str> = draft.nodes.iter().map(|it| it.name.get_ref().as_str()).collect();
        let numbers = nodes.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let mut labels: BTreeMap<&str, BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
        let mut capacity: BTreeMap<&str, Vec<Option<u64>>> = BTreeMap::new();
        for (number, node) in draft.nodes.iter().enumerate() {
            let own = node.rules.labels.iter();
            let own =
                own.map(|(label, value)| (label.get_ref().as_str(), value.get_ref().as_str()));
            for (label, value) in own.chain(node.site.as_deref().map(|site| (SITE, site))) {
                labels.entry(label).or_default().entry(value).or_default().insert(number);
            }
            for (quantity, amount) in &node.rules.capacity {
                let all = capacity.entry(quantity.get_ref());
                let all = all.or_insert_with(|| vec![None; draft.nodes.len()]);
                if let Some(it) = all.get_mut(number) {
                    *it = Some(*amount);
                }
            }
        }
        let services = draft.services.iter().map(|it| it.name.get_ref().as_str()).collect();
        Self { nodes, labels, capacity, numbers, services }
    }

    /// The nodes that are meant.
    pub(super) fn of(&self, place: &Place) -> BTreeSet<usize> {
        match place {
            Place::Node(name) => self.numbers.get(name.as_str()).copied().into_iter().collect(),
            Place::Label { label, value } => {
                let values = self.labels.get(label.as_str());
                values.and_then(|it| it.get(value.as_str())).cloned().unwrap_or_default()
            }
        }
    }
}

/// Holds rules against what there is, and then against each other.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let names = Names::new(draft);
    for service in &draft.services {
        if findings.errors() > ENOUGH {
            return;
        }
        wishes(&names, service, findings);
        let (name, rules) = (shown(service.name.get_ref()), &service.rules);
        for (key, says, list) in
            [("only", "is only on", &rules.only), ("never", "is never on", &rules.never)]
        {
            let Some(list) = list else { continue };
            places(&names, &Listed { service: &name, key, says }, list.get_ref(), findings);
        }
        if let Some(by) = &rules.apart_by {
            apart_by(&names, &name, by, findings);
        }
        timed(draft, &names, service, findings);
        for (others, says) in [(&rules.together, "together with"), (&rules.apart, "apart from")] {
            let others = others.iter().map(|(name, _)| name);
            pairs(&names, service, says, others, findings);
        }
    }
    quantities(draft, &names, findings);
    redirect::check(draft, &names, findings);
    expects::check(draft, &names, findings);
    if findings.errors() == 0 {
        rule_clashes::check(draft, &names, findings);
    }
    if findings.errors() == 0 {
        rule_crowds::check(draft, &names, findings);
    }
}

const ONCE: &str = "once is enough: remove one of the two";

/// What a service would rather have.
fn wishes(names: &Names<'_>, service: &Service, findings: &mut Findings) {
    let name = shown(service.name.get_ref());
    let listed = Listed { service: &name, key: PREFER, says: "prefers" };
    places(names, &listed, &service.prefer, findings);
    let by_times = service.rules.during.iter().any(|it| it.prefer.is_some());
    if let (Some(failback), []) = (&service.failback, service.prefer.as_slice())
        && *failback.get_ref()
        && !by_times
    {
        let message = format!("`failback` of service {name} has no effect");
        let help = "it goes back to the nodes that `prefer` lists, and there is no `prefer`";
        findings.warning(&failback.span(), message, help);
    }
}

/// Words for true and false; a time has another name.
const TRUTHS: [&str; 6] = ["true", "false", "yes", "no", "on", "off"];

/// What is said of a service for times: those are there, and leave it somewhere to be.
fn timed(draft: &Draft, names: &Names<'_>, service: &Service, findings: &mut Findings) {
    let (name, rules) = (shown(service.name.get_ref()), &service.rules);
    let during = rules.during.iter().map(|it| &it.name);
    for time in during.chain(&rules.failback_at) {
        if draft.times.iter().any(|it| it.name.get_ref() == time.get_ref()) {
            continue;
        }
        let known = || draft.times.iter().map(|it| it.name.get_ref().as_str());
        let help = match nearest(time.get_ref(), known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if TRUTHS.contains(&time.get_ref().as_str()) => {
                "write true or false, without quotes".to_owned()
            }
            None => format!(
                "say when that is, in a table  [times.{}]",
                super::usable_name(time.get_ref())
            ),
        };
        let text = shown(time.get_ref());
        let message =
            format!("service {name} goes by the time `{text}`, and there is no such time");
        findings.error(&time.span(), message, help);
    }
    for of_time in &rules.during {
        let time = shown(of_time.name.get_ref());
        let listed = |key, says| Listed { service: &name, key, says };
        if let Some(list) = &of_time.prefer {
            places(names, &listed(PREFER, "prefers"), list, findings);
        }
        for (key, says, list) in
            [("only", "is only on", &of_time.only), ("never", "is never on", &of_time.never)]
        {
            let Some(list) = list else { continue };
            places(names, &listed(key, says), list.get_ref(), findings);
        }
        let only = of_time.only.as_ref().or(rules.only.as_ref());
        let never = of_time.never.as_ref().or(rules.never.as_ref());
        let meant = |list: &Spanned<Places>| -> BTreeSet<usize> {
            list.get_ref().iter().flat_map(|place| names.of(place.get_ref())).collect()
        };
        let mut left: BTreeSet<usize> = only.map_or((0..names.nodes.len()).collect(), meant);
        let gone = never.map(meant).unwrap_or_default();
        left.retain(|node| !gone.contains(node));
        if left.is_empty() && findings.errors() == 0 {
            let message = format!("service {name} may be nowhere during {time}");
            let help = "what is said for a time stands in the place of `only` and `never` of the \
                        service: leave it a node";
            let problem = findings.error(&of_time.name.span(), message, help);
            if let Some(other) = never.or(only) {
                problem.compare("at this time", &other.span(), "this leaves it none");
            }
        }
    }
}

/// A list of places: whose it is, under which key, and what it says of the service.
pub(super) struct Listed<'l> {
    pub(super) service: &'l str,
    pub(super) key: &'l str,
    pub(super) says: &'l str,
}

const PREFER: &str = "prefer";

/// The nodes and labels of a list are there, and stand in it once.
pub(super) fn places(
    names: &Names<'_>,
    listed: &Listed<'_>,
    list: &Places,
    findings: &mut Findings,
) {
    let Listed { service, key, says } = listed;
    let mut seen: BTreeMap<&Place, Range<usize>> = BTreeMap::new();
    for place in list {
        if findings.errors() > ENOUGH {
            return;
        }
        let text = shown(&place.get_ref().to_string());
        if let Some((what, help)) = unknown(names, place.get_ref()) {
            let message = format!("service {service} {says} `{text}`, and {what}");
            findings.error(&place.span(), message, help);
        }
        if let Some(first) = seen.get(place.get_ref()) {
            let message = format!("`{key}` of service {service} names {text} twice");
            let help = match *key {
                PREFER => "the list is in order, best first: remove one of the two",
                _ => ONCE,
            };
            let problem = findings.error(&place.span(), message, help);
            problem.compare("again here", first, "first here");
        } else {
            seen.insert(place.get_ref(), place.span());
        }
    }
}

/// What is wrong with a place, and what to write.
pub(super) fn unknown(names: &Names<'_>, place: &Place) -> Option<(String, String)> {
    match place {
        Place::Node(name) => unknown_node(names, name),
        Place::Label { label, value } => unknown_label(names, label, value),
    }
}

/// What is wrong with a node's name, and what to write.
fn unknown_node(names: &Names<'_>, name: &str) -> Option<(String, String)> {
    if names.numbers.contains_key(name) {
        return None;
    }
    let all = || names.nodes.iter().copied();
    let labelled = names.labels.iter().find(|(_, values)| values.contains_key(name));
    let help = match (nearest(name, all()), labelled) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some((label, _))) => format!("did you mean the label `{label}={name}`?"),
        (None, None) => format!("the nodes are: {}", shown(&all().collect::<Vec<_>>().join(", "))),
    };
    Some(("there is no such node".to_owned(), help))
}

/// What is wrong with a label and its value, and what to write.
fn unknown_label(names: &Names<'_>, label: &str, value: &str) -> Option<(String, String)> {
    let Some(values) = names.labels.get(label) else {
        let (what, known) = no_label(names, label, value);
        let help = match known {
            Ok(near) => format!("did you mean `{near}={value}`?"),
            Err(help) => help,
        };
        return Some((what, help));
    };
    if values.contains_key(value) {
        return None;
    }
    let help = match nearest(value, values.keys().copied()) {
        Some(near) => format!("did you mean `{label}={near}`?"),
        None => {
            let all: Vec<_> = values.keys().copied().collect();
            format!("what nodes have there: {}", shown(&all.join(", ")))
        }
    };
    Some((format!("no node has that value of `{label}`"), help))
}

/// That no node has such a label, and which one was meant, or what to do.
fn no_label<'n>(
    names: &'n Names<'_>,
    label: &str,
    value: &str,
) -> (String, Result<&'n str, String>) {
    let what = format!("no node has a label `{}`", shown(label));
    let all = || names.labels.keys().copied();
    if let Some(near) = nearest(label, all()) {
        return (what, Ok(near));
    }
    let example = match label {
        SITE => format!("{SITE} = \"{value}\""),
        _ => format!("labels = {{ {} = \"{value}\" }}", super::usable_name(label)),
    };
    let known = match all().collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        all => format!(", or use one that there is: {}", shown(&all.join(", "))),
    };
    (what, Err(format!("write it into nodes' tables:  {example}{known}")))
}

fn apart_by(names: &Names<'_>, service: &str, by: &Spanned<String>, findings: &mut Findings) {
    let label = by.get_ref();
    if names.labels.contains_key(label.as_str()) {
        return;
    }
    let (what, known) = no_label(names, label, "a");
    let help = match known {
        Ok(near) => format!("did you mean `{near}`?"),
        Err(help) => help,
    };
    let message =
        format!("service {service} is apart from others by `{}`, and {what}", shown(label));
    findings.error(&by.span(), message, help);
}

/// The services that one is together with, or apart from, are there, and others than itself.
fn pairs<'d>(
    names: &Names<'_>,
    service: &Service,
    says: &str,
    others: impl Iterator<Item = &'d Spanned<String>>,
    findings: &mut Findings,
) {
    let own = service.name.get_ref().as_str();
    let name = shown(own);
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for other in others {
        if findings.errors() > ENOUGH {
            return;
        }
        let (at, other) = (other.span(), other.get_ref().as_str());
        let text = shown(other);
        if other == own {
            let message = format!("service {name} is {says} itself");
            findings.error(&at, message, "name another service, or remove it");
        } else if !names.services.contains(other) {
            let all = || names.services.iter().copied().filter(|it| *it != own);
            let help = match nearest(other, all()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if all().next().is_none() => "there is no other service: remove it".to_owned(),
                None => {
                    let all: Vec<_> = all().collect();
                    format!("the other services are: {}", shown(&all.join(", ")))
                }
            };
            let message =
                format!("service {name} is {says} `{text}`, and there is no such service");
            findings.error(&at, message, help);
        }
        if let Some(first) = seen.get(other) {
            let message = format!("service {name} is {says} {text} twice");
            findings.error(&at, message, ONCE).compare("again here", first, "first here");
        } else {
            seen.insert(other, at);
        }
    }
}

/// What services use nodes have, or say that they have none of it; and the other way round.
fn quantities(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for service in &draft.services {
        for (quantity, _) in &service.rules.uses {
            if used.insert(quantity.get_ref()) {
                unsaid(draft, names, service, quantity, findings);
            }
        }
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (quantity, _) in draft.nodes.iter().flat_map(|node| &node.rules.capacity) {
        let name = quantity.get_ref().as_str();
        if !used.contains(name) && told.insert(name) {
            let message = format!("nodes have `{name}`, and no service uses it");
            let help = format!(
                "it has no effect: say how much services use, with  uses = {{ {name} = 8 }}  in \
                 their tables, or remove it"
            );
            findings.warning(&quantity.span(), message, help);
        }
    }
}

/// Which nodes say nothing of what a service uses.
fn unsaid(
    draft: &Draft,
    names: &Names<'_>,
    service: &Service,
    quantity: &Spanned<String>,
    findings: &mut Findings,
) {
    let (service, name) = (shown(service.name.get_ref()), quantity.get_ref().as_str());
    let add = format!("  capacity = {{ {name} = 64 }}");
    let Some(known) = names.capacity.get(name) else {
        let help = match nearest(name, names.capacity.keys().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("say it in each node's table, 0 if there is none of it:{add}"),
        };
        let message =
            format!("service {service} uses `{name}`, and no node says how much it has of that");
        findings.error(&quantity.span(), message, help);
        return;
    };
    let unsaid = |(node, has): (&'_ Node, &Option<u64>)| {
        has.is_none().then(|| (shown(node.name.get_ref()), node.name.span()))
    };
    let unsaid: Vec<_> =
        draft.nodes.iter().zip(known).filter_map(|(node, has)| unsaid((node, has))).collect();
    let Some((_, first)) = unsaid.first() else { return };
    let all: Vec<_> = unsaid.iter().map(|(name, _)| name.clone()).collect();
    let (says, own) = match all.len() {
        1 => ("says nothing of how much it has", "its table"),
        _ => ("say nothing of how much they have", "the table of each"),
    };
    let message = format!("service {service} uses `{name}`, and {} {says}", and(&all));
    let help = format!("add it to {own}, 0 if there is none of it:{add}");
    let problem = findings.error(&quantity.span(), message, help);
    problem.compare("used here", first, "nothing of it is said here");
}
