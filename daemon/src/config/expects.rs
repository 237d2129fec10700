//! `[[expect]]`: what shall come of failures.
//!
//! Whether it would come is nothing that the file alone tells: the planner is asked, by `plan` and
//! `apply`. Here it is seen that what is named is there, and that an entry is not against itself.

use std::collections::BTreeMap;
use std::ops::Range;

use stead_core::id::ServiceId;
use stead_core::state::config::{Expectation, Expected, Fate, Place};
use stead_core::time::Span;
use toml::Spanned;
use toml::de::DeTable;

use super::draft::{Draft, Expect};
use super::duration;
use super::keys::{self, nearest};
use super::problem::Findings;
use super::rule_checks::{Names, unknown};
use super::rules::Places;
use super::section::{Section, shown};

/// The most entries: for each of them a failure is planned.
const MOST: usize = 256;
/// The most that one entry says.
const MOST_SAID: usize = 100;
/// What stands between a fate and its time.
const WITHIN: &str = " within ";
const FORMS: &str = "write it like  \"db on node2\",  \"db on site=west\",  \"db runs\"  or  \
                     \"db nowhere\", \
                     and a time behind it where it counts:  \"db on node2 within 2 s\"";

/// Reads all of them.
pub(super) fn expects(file: &Section<'_, '_>, findings: &mut Findings) -> Vec<Expect> {
    let Some(value) = file.get("expect") else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        file.mismatch("expect", value, "tables, each begun with [[expect]]", findings);
        return Vec::new();
    };
    if list.len() > MOST {
        let message = format!("{} expectations, and {MOST} is the most", list.len());
        let help = "one that names several nodes in `fail`, or services in `then`, is one";
        findings.error(&value.span(), message, help);
        return Vec::new();
    }
    let mut all = Vec::new();
    for entry in list {
        match entry.get_ref().as_table() {
            Some(table) => all.extend(expect(table, entry.span(), findings)),
            None => file.entry_mismatch("expect", entry, "a table", findings),
        }
    }
    all
}

fn expect(table: &DeTable<'_>, at: Range<usize>, findings: &mut Findings) -> Option<Expect> {
    let section = Section::new(table, at, "an [[expect]]".to_owned(), keys::EXPECT, findings);
    let fail = said(&section, "fail", findings);
    let then = said(&section, "then", findings);
    let place = |it: Spanned<String>| Spanned::new(it.span(), Place::of(it.get_ref()));
    let fail: Places = fail?.into_iter().map(place).collect();
    let mut all = Vec::new();
    for text in then? {
        match expected(text.get_ref()) {
            Ok(expected) => all.push(Spanned::new(text.span(), expected)),
            Err((message, help)) => drop(findings.error(&text.span(), message, help)),
        }
    }
    Some(Expect { fail, then: all })
}

/// The texts of a key, which is one or a list of them; nothing if that was told to be wrong.
fn said(
    section: &Section<'_, '_>,
    key: &str,
    findings: &mut Findings,
) -> Option<Vec<Spanned<String>>> {
    let Some(value) = section.get(key) else {
        section.missing(key, findings);
        return None;
    };
    if let Some(text) = value.get_ref().as_str() {
        return Some(vec![Spanned::new(value.span(), text.to_owned())]);
    }
    if value.get_ref().as_array().is_none() {
        section.mismatch(key, value, "a text in quotes or a list in [ ]", findings);
        return None;
    }
    let texts = section.texts(key, findings)?;
    let (count, whole) = (texts.len(), section.list(key, findings).map_or(0, <[_]>::len));
    let message = match whole {
        0 => format!("`{key}` of {} is empty", section.place),
        _ if count > MOST_SAID => format!("{count} entries in `{key}` of {}", section.place),
        _ => return Some(texts),
    };
    let help = match whole {
        0 => format!("name something, or remove the whole entry:  {}", section.example(key)),
        _ => format!("{MOST_SAID} is the most: make several of it"),
    };
    findings.error(&value.span(), message, help);
    None
}

/// What one text says, or what is wrong with it and what to write.
fn expected(text: &str) -> Result<Expected, (String, String)> {
    let (fate, within) = match text.split_once(WITHIN) {
        Some((fate, span)) => (fate, Some(within(span)?)),
        None => (text, None),
    };
    let words: Vec<&str> = fate.split_whitespace().collect();
    let (service, fate) = match words.as_slice() {
        [service, "runs"] => (service, Fate::Runs),
        [service, "nowhere"] => (service, Fate::Nowhere),
        [service, "on", place @ ..] if !place.is_empty() => {
            (service, Fate::On(Place::of(&place.concat())))
        }
        _ => {
            let message = format!("`{}` does not say what shall become of a service", shown(text));
            return Err((message, FORMS.to_owned()));
        }
    };
    if fate == Fate::Nowhere && within.is_some() {
        let message = format!("`{}` has a time for what shall be nowhere", shown(text));
        return Err((message, "write it without `within`".to_owned()));
    }
    Ok(Expected { service: ServiceId((*service).to_owned()), fate, within })
}

fn within(text: &str) -> Result<Span, (String, String)> {
    const HELP: &str = "write a time such as  within 2 s";
    match duration::parse(text, "s") {
        Ok(Span::ZERO) => Err(("`within` can't be zero".to_owned(), HELP.to_owned())),
        Ok(span) => Ok(span),
        Err(wrong) => {
            let help = wrong.meant.map(|meant| format!("did you mean `within {meant}`?"));
            Err((wrong.message, help.unwrap_or_else(|| HELP.to_owned())))
        }
    }
}

/// Holds them against what there is.
pub(super) fn check(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    for expect in &draft.expects {
        let before = findings.errors();
        for place in &expect.fail {
            if let Some((what, help)) = unknown(names, place.get_ref()) {
                let text = shown(&place.get_ref().to_string());
                let message = format!("an expectation has `{text}` fail, and {what}");
                findings.error(&place.span(), message, help);
            }
        }
        for expected in &expect.then {
            named(names, expected, findings);
        }
        if findings.errors() == before {
            against_itself(names, expect, findings);
        }
    }
}

/// The service and the place that one names are there.
fn named(names: &Names<'_>, expected: &Spanned<Expected>, findings: &mut Findings) {
    let Expected { service, fate, .. } = expected.get_ref();
    let name = shown(&service.0);
    if !names.services.contains(service.0.as_str()) {
        let all = || names.services.iter().copied();
        let help = match nearest(&service.0, all()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.services.is_empty() => "there is no service at all".to_owned(),
            None => {
                let all: Vec<_> = all().collect();
                format!("the services are: {}", shown(&all.join(", ")))
            }
        };
        let message = format!("an expectation is about `{name}`, and there is no such service");
        findings.error(&expected.span(), message, help);
    }
    if let Fate::On(place) = fate
        && let Some((what, help)) = unknown(names, place)
    {
        let text = shown(&place.to_string());
        let message = format!("an expectation has {name} on `{text}`, and {what}");
        findings.error(&expected.span(), message, help);
    }
}

/// What can't come, whatever the rules are.
fn against_itself(names: &Names<'_>, expect: &Expect, findings: &mut Findings) {
    let gone = |node: &usize| expect.fail.iter().any(|it| names.of(it.get_ref()).contains(node));
    let all: Vec<usize> = (0..names.nodes.len()).collect();
    if let (true, Some(first)) = (all.iter().all(gone), expect.fail.first()) {
        let message = "an expectation has every node fail: nothing is anywhere then";
        findings.error(&first.span(), message, "leave a node, or remove it");
        return;
    }
    let mut seen: BTreeMap<&ServiceId, Range<usize>> = BTreeMap::new();
    for it in &expect.then {
        let Expected { service, fate, .. } = it.get_ref();
        if let Fate::On(place) = fate
            && names.of(place).iter().all(gone)
        {
            let message = format!("an expectation has {service} on {place}, which fails");
            let help = "name where it shall be instead, or write  \"SERVICE runs\"";
            findings.error(&it.span(), message, help);
        }
        if let Some(first) = seen.get(service) {
            let message = format!("an expectation says twice what shall become of {service}");
            let problem = findings.error(&it.span(), message, "remove one of the two");
            problem.compare("again here", first, "first here");
        } else {
            seen.insert(service, it.span());
        }
    }
}

/// All of them as they are configured, once there are no problems.
pub(super) fn config(draft: &Draft) -> Vec<Expectation> {
    let one = |it: &Expect| Expectation {
        fail: it.fail.iter().map(|place| place.get_ref().clone()).collect(),
        then: it.then.iter().map(|it| it.get_ref().clone()).collect(),
    };
    draft.expects.iter().map(one).collect()
}

/// Where each word of them stands, in their order.
pub(super) fn places(draft: &Draft) -> Vec<Range<usize>> {
    draft.expects.iter().flat_map(|it| &it.then).map(Spanned::span).collect()
}
