//! What in a file deserves a second look though nothing is wrong with it: rules that change
//! nothing, services that hang on one node, labels and quantities without effect.
//!
//! The planner is asked, on paper: of the file alone, with every node up. It takes seconds where
//! the file is large, so only `lint` looks; what was left out for that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use stead_core::id::ServiceId;
use stead_core::placement::{self, Alone, LINTED, Narrow, Rule};
use stead_core::state::config::{Config, Expected, Fate, Place, SITE, ServiceRules};

use super::draft::Draft;
use super::problem::{Findings, Problem};
use super::rule_clashes::and;
use super::{Ask, Checked, FileError, drafted, text_of};

/// What makes a rule idle, and what to do about it.
const IDLE: &str = "without it all would start where it does, go where it goes when any one node \
                    fails, and do the same when that is back: remove it, or keep it for the day on \
                    which more is away";

/// A file that was looked through.
#[derive(Clone, Debug)]
pub struct Linted {
    /// What it says.
    pub checked: Checked,
    /// What deserves a second look, in the order of the file.
    pub advice: Vec<Problem>,
    /// What was not looked at, or is not listed, in sentences.
    pub left_out: Vec<String>,
}

/// Reads a configuration from a file, asks others as well, and looks through it.
///
/// # Errors
/// As [`super::read_file`].
pub fn lint_file(path: &Path, ask: Ask) -> Result<Linted, FileError> {
    let (name, text) = text_of(path)?;
    Ok(lint(&name, &text, Some(ask))?)
}

/// The same of a text.
///
/// # Errors
/// As [`super::read`].
pub fn lint(name: &str, text: &str, ask: Option<Ask>) -> Result<Linted, super::Rejected> {
    let (draft, findings) = drafted(name, text, ask.map(Ask::asking))?;
    let places = Where::of(&draft);
    let checked = super::checked(draft, findings)?;
    let mut advice = Advice { config: &checked.config, places, found: Findings::new(name, text) };
    let mut left_out: Vec<String> = advice.idle().into_iter().collect();
    left_out.extend(advice.alone());
    left_out.extend(advice.timed());
    advice.unused_labels();
    advice.empty_quantities();
    let (advice, unlisted) = advice.found.advised();
    if unlisted > 0 {
        left_out.push(format!("{unlisted} more like these are not listed"));
    }
    Ok(Linted { checked, advice, left_out })
}

/// Where in the file things stand that advice is about.
struct Where {
    rules: BTreeMap<Rule, Range<usize>>,
    services: BTreeMap<ServiceId, Range<usize>>,
    /// Labels, with a value that a node has.
    labels: BTreeMap<String, (String, Range<usize>)>,
    /// Labels that say where copies are.
    of_copies: BTreeSet<String>,
}

impl Where {
    fn of(draft: &Draft) -> Self {
        let (mut rules, mut services) = (BTreeMap::new(), BTreeMap::new());
        for service in &draft.services {
            let id = ServiceId(service.name.get_ref().clone());
            let says = &service.rules;
            let mut note = |rule: Rule, at: Range<usize>| {
                rules.entry(rule).or_insert(at);
            };
            if let Some(only) = &says.only {
                note(Rule::Only(id.clone()), only.span());
            }
            for place in says.never.iter().flat_map(|it| it.get_ref()) {
                note(Rule::Never(id.clone(), place.get_ref().clone()), place.span());
            }
            for (other, _) in &says.together {
                let rule = Rule::Together(id.clone(), ServiceId(other.get_ref().clone()));
                note(rule, other.span());
            }
            for (other, _) in &says.apart {
                let rule = Rule::Apart(id.clone(), ServiceId(other.get_ref().clone()));
                note(rule, other.span());
            }
            if let Some(by) = &says.apart_by {
                note(Rule::ApartBy(id.clone()), by.span());
            }
            if let Some(first) = service.prefer.first() {
                note(Rule::Prefer(id.clone()), first.span());
            }
            if let Some(failback) = &service.failback {
                note(Rule::Failback(id.clone()), failback.span());
            }
            if let Some(importance) = &service.importance {
                note(Rule::Importance(id.clone()), importance.span());
            }
            for (quantity, _) in &says.uses {
                note(Rule::Quantity(quantity.get_ref().clone()), quantity.span());
            }
            services.insert(id, service.name.span());
        }
        let mut labels = BTreeMap::new();
        for (label, value) in draft.nodes.iter().flat_map(|node| &node.rules.labels) {
            let known = || (value.get_ref().clone(), label.span());
            labels.entry(label.get_ref().clone()).or_insert_with(known);
        }
        let copies = draft.services.iter().filter_map(|it| it.copies.as_ref());
        let of_copies = copies.flat_map(|it| it.labels.iter().cloned()).collect();
        Self { rules, services, labels, of_copies }
    }

    fn rule(&self, rule: &Rule) -> Range<usize> {
        self.rules.get(rule).cloned().unwrap_or_default()
    }

    fn service(&self, service: &ServiceId) -> Range<usize> {
        self.services.get(service).cloned().unwrap_or_default()
    }
}

struct Advice<'c> {
    config: &'c Config,
    places: Where,
    found: Findings,
}

impl Advice<'_> {
    /// Rules that change nothing; says what was not tried.
    fn idle(&mut self) -> Option<String> {
        let idle = placement::idle(self.config, LINTED);
        for rule in &idle.rules {
            // That is told of by itself.
            if let Rule::Quantity(quantity) = rule
                && is_empty(self.config, quantity)
            {
                continue;
            }
            let help = match rule {
                Rule::Importance(_) => format!("{IDLE}; it still says what is started first"),
                Rule::Quantity(_) => format!("{IDLE}, or for services to come"),
                Rule::Only(_)
                | Rule::Never(..)
                | Rule::Prefer(_)
                | Rule::Failback(_)
                | Rule::Together(..)
                | Rule::Apart(..)
                | Rule::ApartBy(_) => IDLE.to_owned(),
            };
            self.found.advice(&self.places.rule(rule), said(rule), help);
        }
        let untried = |it: usize| format!("{it} rules were not tried, it would take too long");
        (idle.untried > 0).then(|| untried(idle.untried))
    }

    /// Services that hang on one node; says what was not planned.
    fn alone(&mut self) -> Option<String> {
        let lonely = placement::alone(self.config, LINTED);
        for it in &lonely.all {
            if !self.is_expected(it) {
                let at = self.place_of(it);
                let (message, help) = hangs(it);
                self.found.advice(&at, message, help);
            }
        }
        lonely.unplanned.then(|| {
            "the failure of each node was not planned, it would take too long: what has no place \
             then is not told"
                .to_owned()
        })
    }

    /// Says of which services the rules were not tried, since others hold for a time.
    fn timed(&self) -> Option<String> {
        let rules = &self.config.later.fencing.rules.services;
        let timed = |it: &ServiceRules| !it.during.is_empty() || it.failback_at.is_some();
        let timed =
            rules.iter().filter(|(_, it)| timed(it)).map(|(service, _)| service.to_string());
        let timed: Vec<String> = timed.collect();
        (!timed.is_empty()).then(|| {
            let names = and(&timed);
            format!(
                "the rules of {names} were not tried: others hold for a time, and all of this \
                     is as if none was open"
            )
        })
    }

    /// The rule that makes it so, or else the service.
    fn place_of(&self, it: &Alone) -> Range<usize> {
        let only = self.places.rules.get(&Rule::Only(it.service.clone()));
        let only = only.filter(|_| it.by == Narrow::Places).cloned();
        only.unwrap_or_else(|| self.places.service(&it.service))
    }

    /// Whether the file says itself that the service is nowhere without each of those nodes.
    fn is_expected(&self, it: &Alone) -> bool {
        let expects = &self.config.later.fencing.rules.expects;
        it.nodes.iter().all(|node| {
            expects.iter().any(|expectation| {
                let nowhere =
                    |then: &Expected| then.service == it.service && then.fate == Fate::Nowhere;
                expectation.fail.iter().any(|place| self.config.is_there(node, place))
                    && expectation.then.iter().any(nowhere)
            })
        })
    }

    /// Labels that no rule names.
    fn unused_labels(&mut self) {
        let rules = &self.config.later.fencing.rules;
        let mut used: BTreeSet<&str> = BTreeSet::from([SITE]);
        let label = |place: &Place| match place {
            Place::Label { label, .. } => Some(label.clone()),
            Place::Node(_) => None,
        };
        let mut named: BTreeSet<String> = BTreeSet::new();
        for service in rules.services.values() {
            named.extend(service.only.iter().chain(&service.never).filter_map(label));
            for during in service.during.values() {
                let places = during.only.iter().chain(&during.never).flatten();
                named.extend(places.filter_map(label));
                let prefer = during.prefer.iter().flatten().map(|text| Place::of(text));
                named.extend(prefer.filter_map(|place| label(&place)));
            }
            used.extend(service.apart_by.as_deref());
        }
        for expectation in &rules.expects {
            named.extend(expectation.fail.iter().filter_map(label));
            named.extend(expectation.then.iter().filter_map(|it| match &it.fate {
                Fate::On(place) => label(place),
                Fate::Runs | Fate::Nowhere => None,
            }));
        }
        for text in self.config.services.values().flat_map(|it| &it.prefer) {
            named.extend(label(&Place::of(text)));
        }
        used.extend(named.iter().chain(&self.places.of_copies).map(String::as_str));
        for (label, (value, at)) in &self.places.labels {
            if !used.contains(label.as_str()) {
                let message = format!("no rule names the label `{label}`");
                let help = format!(
                    "it has no effect: remove it, or keep it for  stead simulate --fail \
                     {label}={value}"
                );
                self.found.advice(at, message, help);
            }
        }
    }

    /// Quantities of which no service uses anything.
    fn empty_quantities(&mut self) {
        let config = self.config;
        let services = config.later.fencing.rules.services.values();
        let all: BTreeSet<&String> = services.flat_map(|it| it.uses.keys()).collect();
        for quantity in all.into_iter().filter(|it| is_empty(config, it)) {
            let at = self.places.rule(&Rule::Quantity(quantity.clone()));
            let has = |node: &String| config.capacity(node, quantity) > 0;
            let nodes = match config.nodes.keys().any(has) {
                true => "",
                false => ", and no node has any",
            };
            let message = format!("no service uses any of `{quantity}`{nodes}");
            let help = "0 is as good as nothing: say how much it is, or remove it";
            self.found.advice(&at, message, help);
        }
    }
}

/// Whether no service uses anything of a quantity.
fn is_empty(config: &Config, quantity: &str) -> bool {
    let services = config.later.fencing.rules.services.values();
    services.filter_map(|it| it.uses.get(quantity)).all(|amount| *amount == 0)
}

/// What it is that changes nothing.
fn said(rule: &Rule) -> String {
    let what = match rule {
        Rule::Only(service) => format!("`only` of service {service}"),
        Rule::Never(service, place) => format!("`never` of service {service} with {place}"),
        Rule::Prefer(service) => format!("`prefer` of service {service}"),
        Rule::Failback(service) => format!("`failback` of service {service}"),
        Rule::Together(service, other) => format!("`together` of service {service} with {other}"),
        Rule::Apart(service, other) => format!("`apart` of service {service} from {other}"),
        Rule::ApartBy(service) => format!("`apart-by` of service {service}"),
        Rule::Importance(service) => format!("`importance` of service {service}"),
        Rule::Quantity(quantity) => format!("how much services use of `{quantity}`"),
    };
    format!("{what} changes nothing, even if any one node fails")
}

/// That a service hangs on a node, and what to do about it.
fn hangs(it: &Alone) -> (String, String) {
    let Alone { service, nodes, by } = it;
    let names = and(nodes);
    let (why, help) = match by {
        Narrow::Places => {
            ("`only` and `never` leave it no other".to_owned(), "let it run elsewhere")
        }
        Narrow::Copies => {
            ("no other one has a copy that it may be promoted on".to_owned(), "add a copy")
        }
        Narrow::Capacity(quantity) => (
            format!("no other one that it may be on has enough `{quantity}`"),
            "give another one that much, or have it use less",
        ),
        Narrow::Together(other) => {
            let message =
                format!("services {service} and {other} can run together on {names} only");
            return (message, "let both run elsewhere, or give `together` a number".to_owned());
        }
        Narrow::Room(obstacle) => {
            let one = match nodes.len() {
                1 => format!("if {names} fails"),
                _ => format!("if one of {names} fails"),
            };
            let why = obstacle.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            let message = format!("service {service} has no place {one}{why}");
            return (message, meant("make room, or let it wait for less", it));
        }
    };
    (format!("service {service} can run on {names} only: {why}"), meant(help, it))
}

/// What to do, or how to say that it is meant so.
fn meant(help: &str, it: &Alone) -> String {
    let fail = it.nodes.first().map_or("", String::as_str);
    format!(
        "{help}; if it is meant so, say it:  [[expect]]  fail = \"{fail}\"  then = \"{} nowhere\"",
        it.service
    )
}
