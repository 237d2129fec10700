//! Whether what is expected of failures would come: asked of the planner, for each failure that an
//! expectation names, on what this node sees.
//!
//! What would not come as things are now, while something is down or withdrawn already, may come
//! once that is over: it is told, and not held against the file.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{NodeId, ServiceId};
use stead_core::placement::{
    self, Able, Decision, Obstacle, Paper, Plan, Sight, Verdict, Why, settled, without,
};
use stead_core::points::Seen;
use stead_core::state::config::{Config, Expectation, Expected, Fate, Place, Safety};
use stead_core::state::{Refusal, State};
use stead_core::time::Span;
use stead_core::timers::{Timers, UNKNOWN_SLACK};

use super::message::{Comes, ExpectAnswer};
use super::placed::{able, under, words};
use super::requests::slack;
use crate::config::{Checked, in_words};
use crate::driver::view::View;

/// How much is planned for it: each plan counts nodes times services. What is beyond is told to be
/// unclear: the daemon has better things to do for seconds.
const MOST: usize = 5_000_000;

/// A cluster in which nothing has failed yet, with everything where it stays by a configuration.
struct Scene<'a> {
    state: &'a State,
    able: &'a Able,
    seen: &'a Seen,
    voters: BTreeSet<NodeId>,
    slack: Option<Span>,
}

/// What would come of what a file expects, were it applied now.
///
/// # Errors
/// Every member would refuse it at this moment.
pub(super) fn by_file(view: &View, checked: &Checked) -> Result<Vec<ExpectAnswer>, Refusal> {
    if checked.config.later.fencing.rules.expects.is_empty() {
        return Ok(Vec::new());
    }
    let able = able(view);
    let state = under(&view.state, &checked.config)?;
    let plan = placement::plan(Sight::new(&state, &able, &view.seen));
    let state = settled(&state, &plan);
    Ok(Scene::of(view, &state, &able).judge(&checked.expect_lines, |_| true))
}

/// What is expected of just that failure, in a state in which everything is where it stays.
pub(super) fn of_failure(
    view: &View,
    state: &State,
    able: &Able,
    gone: &BTreeSet<NodeId>,
    lines: &[usize],
) -> Vec<ExpectAnswer> {
    Scene::of(view, state, able).judge(lines, |nodes| nodes == gone)
}

/// What would come of what a file expects of a cluster of which nothing else is known: every node
/// is up, and everything was started from nothing.
pub(crate) fn on_paper(checked: &Checked) -> Vec<ExpectAnswer> {
    let mut paper = Paper::new(&checked.config);
    paper.settle();
    let Sight { state, able, seen } = paper.sight();
    let votes = |name: &String| !checked.config.later.satellites.contains(name);
    let voters = state.members.iter().filter(|(_, member)| votes(&member.name));
    let voters = voters.map(|(node, _)| *node).collect();
    Scene { state, able, seen, voters, slack: None }.judge(&checked.expect_lines, |_| true)
}

/// A failure that has been planned.
struct Failure {
    after: State,
    able: Able,
    plan: Plan,
    waits: BTreeMap<ServiceId, NodeId>,
    quorum: Quorum,
}

/// Whether those that are left go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quorum {
    GoesOn,
    Tie,
    Stops,
}

/// What would come of one word: whether it is met, and what is told of it.
struct Found {
    comes: Comes,
    instead: Option<String>,
    why: Option<String>,
    note: Option<String>,
}

impl Found {
    fn met(note: Option<String>) -> Self {
        Self { comes: Comes::Met, instead: None, why: None, note }
    }

    fn unmet(instead: String, why: String) -> Self {
        let why = Some(why).filter(|it| !it.is_empty());
        Self { comes: Comes::Unmet, instead: Some(instead), why, note: None }
    }

    fn unclear(why: String) -> Self {
        Self { comes: Comes::Unclear, instead: None, why: Some(why), note: None }
    }
}

impl<'a> Scene<'a> {
    fn of(view: &'a View, state: &'a State, able: &'a Able) -> Self {
        let voters = view.log.membership.voters.iter().copied().collect();
        Self { state, able, seen: &view.seen, voters, slack: slack(view) }
    }

    /// Every word of every expectation about a failure that is asked for. `lines` is where each
    /// stands, if that is known.
    fn judge(
        &self,
        lines: &[usize],
        asked: impl Fn(&BTreeSet<NodeId>) -> bool,
    ) -> Vec<ExpectAnswer> {
        let Some(config) = &self.state.config else { return Vec::new() };
        let cost = (config.nodes.len() * config.services.len()).max(1);
        let mut left = MOST / cost;
        let mut planned: BTreeMap<BTreeSet<NodeId>, Failure> = BTreeMap::new();
        let mut lines = lines.iter().copied();
        let mut answers = Vec::new();
        for expectation in &config.later.fencing.rules.expects {
            let gone = self.meant(config, expectation);
            let is_asked = asked(&gone);
            if is_asked && left > 0 && !planned.contains_key(&gone) {
                left -= 1;
                planned.insert(gone.clone(), self.fail(config, &gone));
            }
            let failure = planned.get(&gone);
            for expected in &expectation.then {
                let line = lines.next();
                if is_asked {
                    let found = match failure {
                        Some(failure) => self.found(config, expectation, expected, failure, &gone),
                        None => Found::unclear("too much would have to be planned".to_owned()),
                    };
                    answers.push(answer(line, expectation, expected, found));
                }
            }
        }
        answers
    }

    /// The members that are meant to fail.
    fn meant(&self, config: &Config, expectation: &Expectation) -> BTreeSet<NodeId> {
        let meant = |name: &str| expectation.fail.iter().any(|it| config.is_there(name, it));
        let members = self.state.members.iter();
        members.filter(|(_, member)| meant(&member.name)).map(|(node, _)| *node).collect()
    }

    fn fail(&self, config: &Config, gone: &BTreeSet<NodeId>) -> Failure {
        let (after, waits) = without(self.state, gone);
        let mut able = self.able.clone();
        able.nodes.retain(|node| !gone.contains(node));
        let plan = placement::plan(Sight::new(&after, &able, self.seen));
        let after = settled(&after, &plan);
        let is_left = |node: &&NodeId| after.view.contains_key(node);
        let twice = 2 * self.voters.iter().filter(is_left).count();
        let breaks = config.later.quorum.chain.modules().iter().any(|it| it.breaks_ties());
        let quorum = match twice.cmp(&self.voters.len()) {
            std::cmp::Ordering::Greater => Quorum::GoesOn,
            std::cmp::Ordering::Equal if breaks && twice > 0 => Quorum::Tie,
            std::cmp::Ordering::Equal | std::cmp::Ordering::Less => Quorum::Stops,
        };
        Failure { after, able, plan, waits, quorum }
    }

    fn found(
        &self,
        config: &Config,
        expectation: &Expectation,
        expected: &Expected,
        failure: &Failure,
        gone: &BTreeSet<NodeId>,
    ) -> Found {
        let found = self.on_paper(config, expected, failure, gone);
        if found.comes != Comes::Unmet {
            return found;
        }
        match self.doubt(config, expectation, &expected.service, gone) {
            Some(doubt) => Found { comes: Comes::Unclear, why: Some(doubt), ..found },
            None => found,
        }
    }

    /// What the planner says, as things are.
    fn on_paper(
        &self,
        config: &Config,
        expected: &Expected,
        failure: &Failure,
        gone: &BTreeSet<NodeId>,
    ) -> Found {
        let Expected { service, fate, within } = expected;
        if failure.quorum == Quorum::Tie {
            let why = "half of the voters are left: whether they go on hangs on what breaks the \
                       tie (stead quorum)";
            return Found::unclear(why.to_owned());
        }
        let Some(decision) = failure.plan.decisions.get(service) else {
            return Found::unclear(format!("{service} is not there yet"));
        };
        let to = decision.to.map(|node| self.state.name(node));
        let stopped = self.stopped(config, service, failure);
        let runs = to.as_deref().filter(|_| stopped.is_none());
        let met = match (fate, runs) {
            (Fate::Nowhere, None) | (Fate::Runs, Some(_)) => true,
            (Fate::On(place), Some(node)) => config.is_there(node, place),
            (Fate::Nowhere, Some(_)) | (Fate::Runs | Fate::On(_), None) => false,
        };
        if met {
            return match within {
                Some(within) => self.in_time(config, expected, *within, gone, decision),
                None => Found::met(None),
            };
        }
        if let Some(why) = stopped {
            return Found::unmet(format!("{service} nowhere"), why);
        }
        let mut why = vec![words(&failure.after, decision)];
        why.extend(self.not_there(config, expected, decision, failure));
        why.retain(|it| !it.is_empty());
        let at = to.map_or("nowhere".to_owned(), |node| format!("on {node}"));
        Found::unmet(format!("{service} {at}"), why.join("; "))
    }

    /// Why a service runs nowhere though the planner may have a node for it.
    fn stopped(&self, config: &Config, service: &ServiceId, failure: &Failure) -> Option<String> {
        if failure.quorum == Quorum::Stops {
            return Some("no majority of the voters is left: everything stops".to_owned());
        }
        if let Some(node) = failure.waits.get(service) {
            let node = self.state.name(*node);
            return Some(format!("it waits for {node}: nothing can prove that it is off"));
        }
        let is_down = |other: &ServiceId| {
            let decision = failure.plan.decisions.get(other);
            failure.waits.contains_key(other) || decision.is_none_or(|it| it.to.is_none())
        };
        let down = placement::stands_on(config, service).into_iter().find(|it| is_down(it));
        down.map(|other| format!("it needs {other}, which is nowhere"))
    }

    /// What speaks against each node that is left and where it shall be.
    fn not_there(
        &self,
        config: &Config,
        expected: &Expected,
        decision: &Decision,
        failure: &Failure,
    ) -> Vec<String> {
        /// Nobody reads more.
        const TOLD: usize = 3;
        let Failure { after, able, .. } = failure;
        let verdicts = placement::verdicts(Sight::new(after, able, self.seen), &expected.service);
        let there = verdicts.into_iter().map(|(node, it)| (after.name(node), it));
        let there = there.filter(|(name, _)| match &expected.fate {
            Fate::On(place) => config.is_there(name, place),
            Fate::Runs => true,
            Fate::Nowhere => false,
        });
        // Why another is better is said where one was chosen.
        let chosen = matches!(decision.why, Why::Better { .. });
        let why = there.filter_map(|(name, verdict)| match verdict {
            Verdict::Barred(Obstacle::Away) | Verdict::Best => None,
            Verdict::Barred(obstacle) => Some(format!("not on {name}: {obstacle}")),
            Verdict::Worse(_) if chosen => None,
            Verdict::Worse(factor) => Some(format!("another is better than {name}: {factor}")),
        });
        why.take(TOLD).collect()
    }

    /// Whether a service that is where it shall be is there in time, as far as timers say.
    fn in_time(
        &self,
        config: &Config,
        expected: &Expected,
        within: Span,
        gone: &BTreeSet<NodeId>,
        decision: &Decision,
    ) -> Found {
        let Expected { service, fate, .. } = expected;
        let held = self.state.assignments.get(service).and_then(|it| it.holder.node());
        let Some(lost) = held.filter(|node| gone.contains(node)) else {
            return match decision.is_change() {
                true => Found::unclear(
                    "it moves in order, and how long its stop takes is not \
                                        known"
                        .to_owned(),
                ),
                false => Found::met(None),
            };
        };
        let Ok(timers) = Timers::derive(config.ride_out, config.round_trip) else {
            return Found::unclear("no timers follow from its ride-out".to_owned());
        };
        // Others act after D; that they do has to be agreed on.
        let mut most = timers.wait(self.slack.unwrap_or(UNKNOWN_SLACK)) + timers.round_trip;
        let mut what = "others act (D, see `stead timers`) and have agreed on it";
        let bound = config.safety(service) == Safety::Fence;
        if let (true, Some((_, timeout))) = (bound, self.state.relied_on(lost)) {
            most = most + Timers::reset_within(timeout);
            what = "its watchdog has reset the lost node";
        }
        if most > within {
            let instead = format!("{service} {fate} within {}", in_ms(most));
            return Found::unmet(instead, format!("by then {what}"));
        }
        if bound && self.state.relied_on(lost).is_none() {
            let why = "it waits for the fence devices, and how long they take is not known";
            return Found::unclear(why.to_owned());
        }
        let plain = config.services.get(service).is_none_or(|it| it.program.is_none());
        let starts = !plain || !config.resources(service).is_empty();
        let note = "that is for its addresses: the start of its program is not counted";
        Found::met(starts.then(|| note.to_owned()))
    }

    /// Why what would not come now may come another time.
    fn doubt(
        &self,
        config: &Config,
        expectation: &Expectation,
        service: &ServiceId,
        gone: &BTreeSet<NodeId>,
    ) -> Option<String> {
        let state = self.state;
        if state.is_disarmed() {
            return Some("the cluster is disarmed, and nothing moves".to_owned());
        }
        if state.is_stopped(service) {
            return Some(format!("an operator stopped {service}"));
        }
        if state.is_maintained(service) {
            return Some(format!("{service} is in maintenance"));
        }
        let meant = |name: &str| expectation.fail.iter().any(|it| config.is_there(name, it));
        for name in config.nodes.keys() {
            let Some(node) = state.node(name) else {
                return Some(format!("{name} has not joined yet"));
            };
            if !state.view.contains_key(&node) || !self.able.nodes.contains(&node) {
                return Some(format!("{name} is away or suspected already"));
            }
            let fails = gone.contains(&node) || meant(name);
            if !fails && !state.takes(node) {
                return Some(format!("{name} is on standby, stopped, or in maintenance"));
            }
        }
        None
    }
}

fn in_ms(span: Span) -> String {
    format!("{} ms", span.as_micros().div_ceil(1_000))
}

fn answer(
    line: Option<usize>,
    expectation: &Expectation,
    expected: &Expected,
    found: Found,
) -> ExpectAnswer {
    let fail: Vec<_> = expectation.fail.iter().map(Place::to_string).collect();
    let Found { comes, instead, why, note } = found;
    let (fail, then) = (fail.join(", "), in_words(expected));
    ExpectAnswer { line, fail, then, comes, instead, why, note }
}
