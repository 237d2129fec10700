//! Rules of placement as text again: in the file's form, and in words where they change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use stead_core::id::ServiceId;
use stead_core::state::config::{Config, NodeRules, Place, ServiceRules, Strength};

use super::render::{list, quoted, write_texts};
use super::{redirect, timed};

/// The keys of a node.
pub(super) fn write_node(out: &mut String, rules: &NodeRules) -> fmt::Result {
    let NodeRules { labels, capacity } = rules;
    write_texts(out, "labels", labels)?;
    write_amounts(out, "capacity", capacity)
}

/// The keys of a service.
pub(super) fn write_service(
    out: &mut String,
    config: &Config,
    service: &ServiceId,
    rules: &ServiceRules,
) -> fmt::Result {
    let ServiceRules { only, never, uses, together, apart, apart_by, failback_at, during: _ } =
        rules;
    if let Some(time) = failback_at {
        writeln!(out, "failback = {}", quoted(time))?;
    }
    for (key, places) in [("only", only), ("never", never)] {
        if !places.is_empty() {
            let places: Vec<_> = places.iter().map(Place::to_string).collect();
            writeln!(out, "{key} = {}", list(&places))?;
        }
    }
    write_amounts(out, "uses", uses)?;
    let mut together = together.clone();
    together.retain(|other, it| !redirect::is_implied(config, service, other, *it));
    write_others(out, "together", &together)?;
    write_others(out, "apart", apart)?;
    apart_by.as_ref().map_or(Ok(()), |label| writeln!(out, "apart-by = {}", quoted(label)))
}

fn write_amounts(out: &mut String, key: &str, amounts: &BTreeMap<String, u64>) -> fmt::Result {
    if amounts.is_empty() {
        return Ok(());
    }
    let amounts: Vec<_> = amounts.iter().map(|(name, it)| format!("{name} = {it}")).collect();
    writeln!(out, "{key} = {{ {} }}", amounts.join(", "))
}

/// A list where none of them may be broken, else a table.
fn write_others(
    out: &mut String,
    key: &str,
    others: &BTreeMap<ServiceId, Strength>,
) -> fmt::Result {
    if others.is_empty() {
        return Ok(());
    }
    if others.values().all(|strength| *strength == Strength::Must) {
        let names: Vec<_> = others.keys().map(|other| other.0.clone()).collect();
        return writeln!(out, "{key} = {}", list(&names));
    }
    let one = |(other, strength): (&ServiceId, &Strength)| match strength {
        Strength::Must => format!("{other} = \"must\""),
        Strength::Rather(number) => format!("{other} = {number}"),
    };
    let others: Vec<_> = others.iter().map(one).collect();
    writeln!(out, "{key} = {{ {} }}", others.join(", "))
}

/// Every change between two, in the operator's words; none of what is gone altogether.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let [was, is] = [old, new].map(|config| &config.later.fencing.rules);
    let names: BTreeSet<&String> = was.times.keys().chain(is.times.keys()).collect();
    for name in names {
        let [was, is] = [was, is].map(|it| it.times.get(name).map(timed::in_words));
        let [was, is] = [was, is].map(|it| [("open", or("never", it))]);
        tell(&mut all, &format!("time {name}"), was, is);
    }
    let usual = NodeRules::default();
    for name in new.nodes.keys() {
        let [was, is] = [was, is].map(|it| of_node(it.nodes.get(name).unwrap_or(&usual)));
        tell(&mut all, &format!("node {name}"), was, is);
    }
    let usual = ServiceRules::default();
    for name in new.services.keys() {
        let [was, is] = [was, is].map(|it| of_service(it.services.get(name).unwrap_or(&usual)));
        tell(&mut all, &format!("service {name}"), was, is);
    }
    all
}

/// What something is called, and what it is.
type Words = (&'static str, String);

fn tell<const N: usize>(all: &mut Vec<String>, whose: &str, was: [Words; N], is: [Words; N]) {
    for ((what, was), (_, is)) in was.into_iter().zip(is).filter(|(was, is)| was != is) {
        all.push(format!("{whose}: {what}: {was} -> {is}"));
    }
}

fn of_node(rules: &NodeRules) -> [Words; 2] {
    let labels = rules.labels.iter().map(|(label, value)| format!("{label}={value}"));
    [("labels", or("none", labels)), ("capacity", or("none", amounts(&rules.capacity)))]
}

fn of_service(rules: &ServiceRules) -> [Words; 8] {
    let places = |places: &[Place]| places.iter().map(Place::to_string).collect::<Vec<_>>();
    let others = |others: &BTreeMap<ServiceId, Strength>| {
        let one = |(other, strength): (&ServiceId, &Strength)| match strength {
            Strength::Must => other.to_string(),
            Strength::Rather(number) => format!("{other} (rather, {number})"),
        };
        others.iter().map(one).collect::<Vec<_>>()
    };
    [
        ("only on", or("any node", places(&rules.only))),
        ("never on", or("none", places(&rules.never))),
        ("uses", or("nothing", amounts(&rules.uses))),
        ("together with", or("none", others(&rules.together))),
        ("apart from", or("none", others(&rules.apart))),
        ("apart by", or("node", rules.apart_by.clone())),
        ("failback at", or("no time of its own", rules.failback_at.clone())),
        ("by times", or("the same", rules.during.iter().map(timed::during_in_words))),
    ]
}

fn amounts(amounts: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    amounts.iter().map(|(name, amount)| format!("{amount} of {name}"))
}

/// All of them in one line, or the word for none.
fn or(none: &str, all: impl IntoIterator<Item = String>) -> String {
    let all: Vec<_> = all.into_iter().collect();
    if all.is_empty() { none.to_owned() } else { all.join(", ") }
}
