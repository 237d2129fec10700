//! `stead fence rehearse`: the ways to a node are tried, and what came of that is kept with the
//! cluster; on demand its machine is really switched off and on.
//!
//! Happy path: [`begin`] checks (`refusal`), gets the right to it where a machine is to be switched
//! off, and tells each step as [`RehearseNews`], to the machine's return into the view.
//!
//! Failures: a device that fails is what was asked for, not an error. Who goes away in the middle
//! ends nothing.
//!
//! Deliberately absent: asking devices, and the right to switch off ([`Rehearsals`]).

mod refusal;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stead_core::id::{Incarnation, NodeId};
use stead_edge::chain;
use tokio::sync::mpsc;
use tokio::time::timeout;

use refusal::{cuts_off, refusal};

use super::Desk;
use super::fence::{WayReport, ways};
use super::message::{Changed, Failure, Rehearse};
use super::requests::{Answered, config_of, member};
use crate::driver::handle::Handle;
use crate::driver::rehearse::{Cycled, NoTurn, Rehearsals};
use crate::driver::view::View;
use crate::fence::{Step, Trial};

/// How many answers wait for a client that is slow.
const WAITING: usize = 64;
/// The longest that a client may have it waited for a machine's return.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// One of the answers: what happens, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RehearseNews {
    /// It would begin, or begins.
    Begins(RehearsePlan),
    /// What a device was asked, and said.
    Way(WayReport),
    /// What came of it.
    Ended(RehearseReport),
    /// The machine that was switched off and on is back in the view, or not in time.
    Back(BackReport),
}

/// What is about to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsePlan {
    /// Which node.
    pub node: String,
    /// From which.
    pub from: String,
    /// Its devices, level by level; of a power cycle by one level the others are empty.
    pub levels: Vec<Vec<String>>,
    /// It is in the view, on standby and empty; or else it is out of the view.
    pub in_view: bool,
    /// What waits for it to be back, or off.
    pub waiting: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RehearseReport {
    /// Which node.
    pub node: String,
    /// From which.
    pub from: String,
    /// It was to be switched off and on.
    pub power_cycle: bool,
    /// It succeeded.
    pub ok: bool,
    /// How, or why not.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// Some device said that it had switched it off.
    pub off: bool,
    /// Every device that was asked to switch it on again said that it had.
    pub on: bool,
    /// It was heard before, and fell silent when its devices said that it is off.
    pub seen: bool,
    /// Its devices said that it is off, and it was heard all the same.
    pub lie: bool,
    /// Why it is not kept with the cluster; nothing if it is.
    pub not_kept: Option<String>,
}

/// Whether it came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackReport {
    /// It is in the view, by another start of its guard.
    pub back: bool,
    /// How long that took since it was switched on, in milliseconds; or how long was waited.
    pub took_ms: f64,
}

/// Answers come here until there are no more, or one is a failure.
pub(super) type News = mpsc::Receiver<Answered<RehearseNews>>;
type Tell = mpsc::Sender<Answered<RehearseNews>>;

/// Begins what was asked for. A power cycle goes on when nobody takes its answers any more.
pub(super) fn begin(desk: &Desk, request: Rehearse) -> News {
    let (tell, news) = mpsc::channel(WAITING);
    let (handle, rehearsals) = (desk.handle.clone(), desk.rehearsals.clone());
    tokio::spawn(async move {
        let done = if request.power_cycle {
            power_cycle(&handle, &rehearsals, &request, &tell).await
        } else {
            look(&handle, &rehearsals, &request, &tell).await
        };
        if let Err(failure) = done {
            say(&tell, Err(failure)).await;
        }
    });
    news
}

/// Nobody may be listening any more, which changes nothing.
async fn say(tell: &Tell, news: Answered<RehearseNews>) {
    drop(tell.send(news).await);
}

async fn look(
    handle: &Handle,
    rehearsals: &Rehearsals,
    request: &Rehearse,
    tell: &Tell,
) -> Answered<()> {
    let view = handle.view();
    let id = asked(&view, request)?;
    say(tell, Ok(RehearseNews::Begins(plan(&view, id, None)))).await;
    if request.only_say {
        return Ok(());
    }
    let began = Instant::now();
    let (steps, kept) = rehearsals.look(id).await;
    let ways = tell_ways(&view, &request.node, steps, tell).await;
    let failed = ways.iter().filter(|it| !it.answered).count();
    let outcome = match &kept {
        Ok(said) => said.outcome.clone().unwrap_or_else(|why| why),
        Err(_) if failed == 0 => "every device answered".to_owned(),
        Err(_) => format!("{failed} of {} did not answer", ways.len()),
    };
    let report = RehearseReport {
        node: request.node.clone(),
        from: view.identity.name.clone(),
        power_cycle: false,
        ok: failed == 0,
        outcome,
        took_ms: began.elapsed().as_secs_f64() * 1_000.0,
        off: false,
        on: false,
        seen: false,
        lie: false,
        not_kept: kept.err().map(|error| chain(&error)),
    };
    say(tell, Ok(RehearseNews::Ended(report))).await;
    Ok(())
}

async fn power_cycle(
    handle: &Handle,
    rehearsals: &Rehearsals,
    request: &Rehearse,
    tell: &Tell,
) -> Answered<()> {
    let view = handle.view();
    let id = asked(&view, request)?;
    let config = config_of(&view.state)?.later.fencing.clone();
    if let Some(refusal) = refusal(&view, id, request) {
        return Err(refusal);
    }
    if let Some(refusal) = cuts_off(rehearsals, &config, request).await {
        return Err(refusal);
    }
    say(tell, Ok(RehearseNews::Begins(plan(&view, id, request.level)))).await;
    if request.only_say {
        return Ok(());
    }
    let before = newest_start(&view, id);
    let turn = rehearsals.turn(id).await.map_err(|error| no_turn(&request.node, &error))?;
    let cycled = turn.carry_out(request.level).await;
    let switched_on = Instant::now();
    tell_ways(&view, &request.node, cycled.steps.clone(), tell).await;
    // What never went off need not come back.
    let wait = cycled.on && !cycled.lie && request.wait_s > 0;
    say(tell, Ok(RehearseNews::Ended(ended(&view, request, cycled)))).await;
    if wait {
        let within = Duration::from_secs(request.wait_s).min(LONGEST_WAIT);
        let returned = returned(handle.clone(), id, before);
        let back = tokio::select! {
            back = timeout(within, returned) => back == Ok(true),
            // Nobody waits for it any more.
            () = tell.closed() => return Ok(()),
        };
        let took_ms = switched_on.elapsed().as_secs_f64() * 1_000.0;
        say(tell, Ok(RehearseNews::Back(BackReport { back, took_ms }))).await;
    }
    Ok(())
}

fn ended(view: &View, request: &Rehearse, cycled: Cycled) -> RehearseReport {
    let ok = cycled.outcome.is_ok();
    let (Ok(outcome) | Err(outcome)) = cycled.outcome;
    RehearseReport {
        node: request.node.clone(),
        from: view.identity.name.clone(),
        power_cycle: true,
        ok,
        outcome,
        took_ms: cycled.took.as_millis_f64(),
        off: cycled.off,
        on: cycled.on,
        seen: cycled.seen,
        lie: cycled.lie,
        not_kept: cycled.kept.err(),
    }
}

/// Tells what each device said, with what that means.
async fn tell_ways(view: &View, node: &str, steps: Vec<Step>, tell: &Tell) -> Vec<WayReport> {
    let config = view.state.config.as_ref().map(|config| &config.later.fencing);
    let Some(config) = config else { return Vec::new() };
    let ways = steps.into_iter().map(|step| WayReport::from(Trial::of(config, node, step)));
    let ways: Vec<_> = ways.collect();
    for way in &ways {
        say(tell, Ok(RehearseNews::Way(way.clone()))).await;
    }
    ways
}

/// The node that is meant, with devices of its own, and nobody switches it off just now.
fn asked(view: &View, request: &Rehearse) -> Answered<NodeId> {
    let (state, node) = (&view.state, &request.node);
    let config = config_of(state)?;
    let id = member(state, node)?;
    // A device of the same name is not meant.
    if !state.has_ways(id) {
        ways(config, node)?;
        let message = format!("{node} is fenced by no device; nothing was asked");
        return Err(Failure::unchanged(message, "fence = [\"DEVICE\"] in its table"));
    }
    let levels = config.fencing(node).map_or(0, |fencing| fencing.levels.len());
    if let Some(level) = request.level.filter(|level| *level == 0 || *level > levels) {
        let message = format!("{node} has no level {level}; nothing was asked");
        return Err(Failure::unchanged(message, format!("its levels are 1 to {levels}")));
    }
    let fencing = &state.later.fencing;
    let busy = if let Some(cycle) = state.cycle(id) {
        let by = state.name(cycle.by);
        Some(format!("{node} is being switched off and on from {by}, for another rehearsal"))
    } else {
        fencing
            .under_way
            .get(&id)
            .map(|it| format!("{node} is being fenced from {}, as it was lost", state.name(it.by)))
    };
    match busy {
        Some(busy) => Err(Failure::unchanged(
            format!("{busy}; nothing was asked"),
            format!("what comes of that: stead fence history {node}"),
        )),
        None => Ok(id),
    }
}

fn plan(view: &View, id: NodeId, level: Option<usize>) -> RehearsePlan {
    let (state, name) = (&view.state, view.state.name(id));
    let config = state.config.as_ref().and_then(|config| config.fencing(&name));
    let levels = config.map_or(&[][..], |fencing| &fencing.levels);
    let levels = (1..).zip(levels).map(|(number, plugs)| {
        let meant = level.is_none_or(|level| level == number);
        plugs.iter().filter(|_| meant).map(ToString::to_string).collect()
    });
    RehearsePlan {
        from: view.identity.name.clone(),
        levels: levels.collect(),
        in_view: state.view.contains_key(&id),
        waiting: state.waiting_for(id).map(|service| service.0.clone()).collect(),
        node: name,
    }
}

fn no_turn(node: &str, error: &NoTurn) -> Failure {
    let (changed, next) = match error {
        NoTurn::Already => (Changed::No, format!("what comes of that: stead fence history {node}")),
        NoTurn::Refused(_) => (Changed::No, "look at `stead status`, and try again".to_owned()),
        NoTurn::NotCommitted(_) => {
            (Changed::No, format!("look at `stead fence history {node}`, and try again"))
        }
    };
    let message = format!("{node} was not switched off: {}", chain(error));
    Failure { message, changed, next, problems: Vec::new() }
}

/// The newest start of that node's guard that is known.
fn newest_start(view: &View, id: NodeId) -> Incarnation {
    let heard = view.report.as_ref().and_then(|report| report.peers.get(&id));
    let admitted = view.state.view.get(&id).map(|it| it.incarnation);
    heard.map(|peer| peer.incarnation).max(admitted).unwrap_or_default()
}

/// Waits until it is in the view by a later start. False when the daemon ends.
async fn returned(mut handle: Handle, id: NodeId, before: Incarnation) -> bool {
    loop {
        if handle.view().state.view.get(&id).is_some_and(|it| it.incarnation > before) {
            return true;
        }
        if !handle.changed().await {
            return false;
        }
    }
}
