//! Rules of placement: `labels` and `capacity` of `[nodes.NAME]`; `only`, `never`, `uses`,
//! `together`, `apart` and `apart-by` of `[services.NAME]`. What is said for times is in `timed`.
//!
//! Here they are read, each with its place. Whether what they name is there, and whether all of
//! them can be followed, is looked at once the whole file is known.

use std::collections::BTreeMap;

use stead_core::id::ServiceId;
use stead_core::state::config::{NodeRules, Place, RulesConfig, SITE, ServiceRules, Strength};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Draft;
use super::expects;
use super::name;
use super::problem::Findings;
use super::section::{Section, shown};
use super::timed::{self, OfTime};

/// The most labels of a node, and the most quantities of a node or a service.
const MOST_ENTRIES: usize = 32;
/// The most of a quantity. A sum of as many as fit into a file is far from the end of a number.
const MOST: u64 = 1_000_000_000_000;
/// The word for a rule that is never broken.
const MUST: &str = "must";
/// The most that a rule can count which may be broken.
const STRONGEST: u8 = 100;

/// What is said of a node.
pub(super) struct OfNode {
    pub(super) labels: Vec<(Spanned<String>, Spanned<String>)>,
    pub(super) capacity: Vec<(Spanned<String>, u64)>,
}

/// What is said of a service.
pub(super) struct OfService {
    pub(super) only: Option<Spanned<Places>>,
    pub(super) never: Option<Spanned<Places>>,
    pub(super) uses: Vec<(Spanned<String>, u64)>,
    pub(super) together: Vec<(Spanned<String>, Strength)>,
    pub(super) apart: Vec<(Spanned<String>, Strength)>,
    pub(super) apart_by: Option<Spanned<String>>,
    pub(super) failback_at: Option<Spanned<String>>,
    pub(super) during: Vec<OfTime>,
}

/// A list of nodes and labels.
pub(super) type Places = Vec<Spanned<Place>>;

/// Reads what is said of a node.
pub(super) fn of_node(section: &Section<'_, '_>, findings: &mut Findings) -> OfNode {
    OfNode { labels: labels(section, findings), capacity: amounts("capacity", section, findings) }
}

/// Reads what is said of a service.
pub(super) fn of_service(section: &Section<'_, '_>, findings: &mut Findings) -> OfService {
    let only = places("only", section, findings);
    not_empty("only", only.as_ref(), section, findings);
    let apart = others("apart", section, findings);
    let apart_by = section.text("apart-by", findings);
    if let Some(by) = &apart_by
        && section.get("apart").is_none()
    {
        let message = format!("{} has `apart-by` and no `apart`", section.place);
        let help = format!("say which services it is apart from:  {}", section.example("apart"));
        findings.error(&by.span(), message, help);
    }
    let never = places("never", section, findings);
    OfService {
        only: spanned("only", only, section),
        never: spanned("never", never, section),
        uses: amounts("uses", section, findings),
        together: others("together", section, findings),
        apart,
        apart_by,
        failback_at: timed::failback_at(section),
        during: timed::during(section, findings),
    }
}

/// A list in which nothing stands is noted, where it would leave nothing.
pub(super) fn not_empty(
    key: &str,
    places: Option<&Places>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) {
    if places.is_some_and(Vec::is_empty) && section.list(key, findings).is_some_and(<[_]>::is_empty)
    {
        let message = format!("`{key}` of {} is empty", section.place);
        let help = format!(
            "it would run nowhere: name where it may, or remove the line:  {}",
            section.example(key)
        );
        findings.error(&section.at(key), message, help);
    }
}

/// A list that says something, with the place at which it stands.
pub(super) fn spanned(
    key: &str,
    places: Option<Places>,
    section: &Section<'_, '_>,
) -> Option<Spanned<Places>> {
    places.filter(|places| !places.is_empty()).map(|it| Spanned::new(section.at(key), it))
}

/// Reads a list of nodes and labels; what is neither is noted and left out.
pub(super) fn places(
    key: &str,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Option<Places> {
    let mut places = Vec::new();
    for text in section.texts(key, findings)? {
        let place = Place::of(text.get_ref());
        let odd = match &place {
            Place::Node(_) => false,
            Place::Label { label, value } => [label, value].into_iter().any(|it| is_no_name(it)),
        };
        if odd {
            let message = format!(
                "`{}` in `{key}` of {} is no label with a value",
                shown(text.get_ref()),
                section.place
            );
            let help = format!("write a node or a label:  {key} = [\"node1\", \"rack=r1\"]");
            findings.error(&text.span(), message, help);
        } else {
            places.push(Spanned::new(text.span(), place));
        }
    }
    Some(places)
}

fn is_no_name(text: &str) -> bool {
    name::refusal(text).is_some()
}

/// A table in a key; what is none is noted, and so is one that is too long.
fn table<'a, 'i>(
    key: &str,
    section: &Section<'a, 'i>,
    findings: &mut Findings,
) -> Vec<(Spanned<String>, &'a Spanned<DeValue<'i>>)> {
    let Some(value) = section.get(key) else { return Vec::new() };
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch(key, value, "a table in { }", findings);
        return Vec::new();
    };
    if table.len() > MOST_ENTRIES {
        let message = format!("{} entries in `{key}` of {}", table.len(), section.place);
        findings.error(&value.span(), message, format!("{MOST_ENTRIES} is the most"));
        return Vec::new();
    }
    entries(table)
}

/// The entries of a table in the order of the file.
fn entries<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(Spanned<String>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (Spanned::new(key.span(), key.get_ref().to_string()), value))
        .collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Whether a name can be one; if not, that is noted.
fn check_name(whose: &str, name: &Spanned<String>, findings: &mut Findings) -> bool {
    let Some(reason) = name::refusal(name.get_ref()) else { return true };
    let help = format!("for example  {}", name::usable_name(name.get_ref()));
    findings.error(&name.span(), format!("{whose} {reason}"), help);
    false
}

fn labels(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<(Spanned<String>, Spanned<String>)> {
    let mut labels = Vec::new();
    for (label, value) in table("labels", section, findings) {
        if label.get_ref() == SITE {
            let message = format!("`{SITE}` in `labels` of {} has a key of its own", section.place);
            let help = format!(
                "write it beside `labels`:  {}  ; rules name it like any label, \"{SITE}=east\"",
                section.example(SITE)
            );
            findings.error(&label.span(), message, help);
            continue;
        }
        let Some(text) = value.get_ref().as_str() else {
            section.entry_mismatch("labels", value, "a text in quotes", findings);
            continue;
        };
        let text = Spanned::new(value.span(), text.to_owned());
        let whose = format!("the value of label `{}`", shown(label.get_ref()));
        if check_name("the name of a label", &label, findings)
            && check_name(&whose, &text, findings)
        {
            labels.push((label, text));
        }
    }
    labels
}

/// Quantities, each with how much of it.
fn amounts(
    key: &str,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<(Spanned<String>, u64)> {
    let mut amounts = Vec::new();
    for (name, value) in table(key, section, findings) {
        let Some(integer) = value.get_ref().as_integer() else {
            let wanted = "a whole number, without quotes and unit";
            section.entry_mismatch(key, value, wanted, findings);
            continue;
        };
        let amount = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let Some(amount) = amount.filter(|amount| *amount <= MOST) else {
            let message = format!(
                "`{} = {}` in `{key}` of {} is out of range",
                shown(name.get_ref()),
                shown(&integer.to_string()),
                section.place
            );
            let help = format!("it goes from 0 to {MOST}: choose a larger unit, such as GiB");
            findings.error(&value.span(), message, help);
            continue;
        };
        if check_name("the name of a quantity", &name, findings) {
            amounts.push((name, amount));
        }
    }
    amounts
}

/// Other services, each with how much that counts: `["cache"]`, `{ cache = 30 }`.
fn others(
    key: &str,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<(Spanned<String>, Strength)> {
    let Some(value) = section.get(key) else { return Vec::new() };
    let Some(table) = value.get_ref().as_table() else {
        if value.get_ref().as_array().is_none() {
            section.mismatch(key, value, "a list in [ ] or a table in { }", findings);
            return Vec::new();
        }
        let names = section.texts(key, findings).unwrap_or_default();
        return names.into_iter().map(|name| (name, Strength::Must)).collect();
    };
    let mut others = Vec::new();
    for (name, value) in entries(table) {
        match strength(value.get_ref()) {
            Some(strength) => others.push((name, strength)),
            None => {
                let message = format!(
                    "`{}` in `{key}` of {} has neither a number from 1 to {STRONGEST} nor \
                     \"{MUST}\"",
                    shown(name.get_ref()),
                    section.place
                );
                let name =
                    if is_no_name(name.get_ref()) { "NAME" } else { name.get_ref().as_str() };
                let help = format!(
                    "write  {key} = {{ {name} = 50 }}  for what is followed where nothing that \
                     counts more speaks against it, or  {key} = {{ {name} = \"{MUST}\" }}  for \
                     what is never broken"
                );
                findings.error(&value.span(), message, help);
            }
        }
    }
    others
}

fn strength(value: &DeValue<'_>) -> Option<Strength> {
    if value.as_str() == Some(MUST) {
        return Some(Strength::Must);
    }
    let integer = value.as_integer()?;
    let number = u8::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (1..=STRONGEST).contains(&number).then_some(Strength::Rather(number))
}

/// All of them as they are configured, once there are no problems.
pub(super) fn config(draft: &Draft) -> RulesConfig {
    let node = |it: &super::draft::Node| (it.name.get_ref().clone(), it.rules.config());
    let service =
        |it: &super::draft::Service| (ServiceId(it.name.get_ref().clone()), it.rules.config());
    let (nodes, services) = (draft.nodes.iter().map(node), draft.services.iter().map(service));
    let times = draft.times.iter().map(|it| (it.name.get_ref().clone(), it.time.clone()));
    RulesConfig {
        times: times.collect(),
        nodes: nodes.filter(|(_, it)| *it != NodeRules::default()).collect(),
        services: services.filter(|(_, it)| *it != ServiceRules::default()).collect(),
        expects: expects::config(draft),
    }
}

impl OfNode {
    fn config(&self) -> NodeRules {
        let label = |(label, value): &(Spanned<String>, Spanned<String>)| {
            (label.get_ref().clone(), value.get_ref().clone())
        };
        NodeRules {
            labels: self.labels.iter().map(label).collect(),
            capacity: by_name(&self.capacity),
        }
    }
}

impl OfService {
    fn config(&self) -> ServiceRules {
        let places = |places: &Option<Spanned<Places>>| {
            let places = places.iter().flat_map(|it| it.get_ref());
            places.map(|it| it.get_ref().clone()).collect()
        };
        let others = |others: &[(Spanned<String>, Strength)]| {
            others
                .iter()
                .map(|(it, strength)| (ServiceId(it.get_ref().clone()), *strength))
                .collect()
        };
        ServiceRules {
            only: places(&self.only),
            never: places(&self.never),
            uses: by_name(&self.uses),
            together: others(&self.together),
            apart: others(&self.apart),
            apart_by: self.apart_by.as_ref().map(|it| it.get_ref().clone()),
            failback_at: self.failback_at.as_ref().map(|it| it.get_ref().clone()),
            during: self.during.iter().map(OfTime::config).collect(),
        }
    }
}

fn by_name(amounts: &[(Spanned<String>, u64)]) -> BTreeMap<String, u64> {
    amounts.iter().map(|(name, amount)| (name.get_ref().clone(), *amount)).collect()
}
