//! Names of a service that is about to move: how long clients may go on with what they looked up,
//! and keeping that short in time.
//!
//! The happy path of a planned move: the time to live of the service's names is lowered by a
//! committed change, its holder writes them anew, `stead move --prepare` asks until all name
//! servers say so and waits until nobody keeps what they said before, and moves the service. Once
//! name servers lead to the new holder that ends it.
//!
//! Failures: who never moves the service leaves it lowered for an hour at most ([`LOWERED_FOR`]). A
//! name server that does not follow is named.
//!
//! Deliberately absent: services that have to be together with this one. Their names are prepared
//! by themselves.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::id::{NodeId, ServiceId};
use stead_core::redirect::Seen;
use stead_core::state::config::Caching;
use stead_core::state::{Change, Holder, LOWERED_FOR, Lowered, RegisterChange, State};
use stead_core::time::Span;
use tokio::time::Instant;

use super::message::{ChangeAnswer, Failure};
use super::requests::{Answered, json, submit};
use super::{Desk, moves, services};
use crate::journal::{stamp_of, wall};
use crate::layers::names::{self, Changed};

/// How long all name servers may take to answer.
const LOOK: Duration = Duration::from_secs(5);

/// What can be asked. On the line its name stands in `act`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LowerRequest {
    /// Names may be kept for a short time only, since the service is about to move there: a
    /// [`PreparedAnswer`].
    Prepare {
        /// The service.
        service: String,
        /// Where to.
        node: String,
    },
    /// Whether all name servers say so: a [`LookAnswer`].
    Look {
        /// The service.
        service: String,
    },
    /// Names may be kept as usual again: a [`ChangeAnswer`].
    End {
        /// The service.
        service: String,
    },
}

/// What was done before a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedAnswer {
    /// The names of which something else will be said after the move, and that are kept for longer
    /// than that; none if nothing had to be done.
    pub names: Vec<String>,
    /// For how many seconds what was said before may be kept, once all name servers say it no more.
    pub usual_s: u32,
    /// For how many seconds what they say now may be kept.
    pub lowered_s: u32,
    /// When that ends though the service was not moved: RFC 3339, UTC; nothing if nothing was done.
    pub until: Option<String>,
}

/// Whether all name servers say the low time to live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAnswer {
    /// It is lowered.
    pub lowered: bool,
    /// All of them say it.
    pub everywhere: bool,
    /// What is in the way, if anything is.
    pub trouble: Option<String>,
}

/// A service is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAnswer {
    /// What was committed.
    #[serde(flatten)]
    pub change: ChangeAnswer,
    /// Clients that know the service by name may go to the old node for so many seconds.
    #[serde(default)]
    pub late_s: Option<u64>,
    /// The same in words, with what makes it so; nothing if they are not late.
    #[serde(default)]
    pub late: Option<String>,
}

/// Carries one out.
pub(super) async fn carry_out(desk: &Desk, request: LowerRequest) -> Answered<Value> {
    match request {
        LowerRequest::Prepare { service, node } => json(&prepare(desk, &service, &node).await?),
        LowerRequest::Look { service } => json(&look(desk, &service).await?),
        LowerRequest::End { service } => json(&end(desk, &service).await?),
    }
}

async fn prepare(desk: &Desk, service: &str, node: &str) -> Answered<PreparedAnswer> {
    let view = desk.handle.view();
    let wanted = moves::wanted(&view, service, node)?;
    let state = &view.state;
    let changed = match wanted.holder {
        Holder::Node(from) => changed(state, &wanted.service, from, wanted.to)?,
        // It is nowhere: nobody has to wait for names to bring it up.
        Holder::Never | Holder::Stopped { .. } | Holder::Stopping { .. } => Vec::new(),
    };
    let longer: Vec<_> = changed.iter().filter(|it| it.usual > it.moving).collect();
    let usual_s = longer.iter().map(|it| it.usual).max().unwrap_or_default();
    let lowered_s = longer.iter().map(|it| it.moving).max().unwrap_or_default();
    let names: Vec<_> = longer.iter().map(|it| it.name.clone()).collect();
    if names.is_empty() {
        return Ok(PreparedAnswer { names, usual_s, lowered_s, until: None });
    }
    let epoch = state.assignments.get(&wanted.service).map(|it| it.epoch).unwrap_or_default();
    let until = wall().saturating_add(u64::from(usual_s)).saturating_add(LOWERED_FOR);
    // Within one second the same is the same.
    let known = state.redirect().lowered.get(&wanted.service);
    if known.is_none_or(|it| it.epoch != epoch || it.until != until) {
        let lowered = Some(Lowered { until, epoch });
        let change = RegisterChange::Lower { service: wanted.service, lowered };
        submit(desk, Change::Register(change)).await?;
    }
    Ok(PreparedAnswer { names, usual_s, lowered_s, until: Some(stamp_of(until)) })
}

fn changed(state: &State, service: &ServiceId, from: NodeId, to: NodeId) -> Answered<Vec<Changed>> {
    names::changed(state, service, from, to).map_err(|why| {
        Failure::unchanged(
            format!("can't tell what names of {service} will say: {why}; nothing was changed"),
            "mend `names` in cluster.toml, or move it without --prepare",
        )
    })
}

async fn look(desk: &Desk, service: &str) -> Answered<LookAnswer> {
    let view = desk.handle.view();
    let state = &view.state;
    let id = services::known(state, service)?;
    let lowered = state.redirect().lowered.contains_key(&id);
    let holder = state.assignments.get(&id).and_then(|it| it.holder.node());
    let Some(holder) = holder.filter(|_| lowered) else {
        let trouble = Some("nobody has it".to_owned()).filter(|_| lowered);
        return Ok(LookAnswer { lowered, everywhere: false, trouble });
    };
    let seen = names::verify(state, &id, holder, Instant::now() + LOOK).await;
    let trouble = match seen {
        Seen::Yes(_) => None,
        Seen::No(why) => Some(why),
        Seen::Nobody => Some("there is nobody to ask".to_owned()),
    };
    Ok(LookAnswer { lowered, everywhere: trouble.is_none(), trouble })
}

async fn end(desk: &Desk, service: &str) -> Answered<ChangeAnswer> {
    let view = desk.handle.view();
    let id = services::known(&view.state, service)?;
    if !view.state.redirect().lowered.contains_key(&id) {
        return Ok(ChangeAnswer { index: None, node: None, next: None });
    }
    let change = RegisterChange::Lower { service: id, lowered: None };
    let index = submit(desk, Change::Register(change)).await?;
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: None })
}

/// For how long clients may be late that know a service by name and move from one node to another,
/// in seconds, and why; nothing if what names say stays as it is. The seconds are nothing where no
/// time is enough.
pub(super) fn lateness(
    state: &State,
    service: &ServiceId,
    from: NodeId,
    to: NodeId,
) -> Option<(Option<u64>, String)> {
    // Names that can't be told are told of by the layer itself, in `stead status`.
    let changed = names::changed(state, service, from, to).ok().filter(|it| !it.is_empty())?;
    let now = changed.iter().map(|it| u64::from(it.now)).max().unwrap_or_default();
    let first = changed.iter().max_by_key(|it| it.now).map(|it| it.name.as_str());
    let name = first.unwrap_or_default();
    // Until then somebody may have what was said before it was lowered.
    let before = state.redirect().lowered.get(service);
    let before = before.map_or(0, |it| it.until.saturating_sub(LOWERED_FOR));
    let kept = now.max(before.saturating_sub(wall()));
    let clients = state.config.as_ref().and_then(|it| it.redirect().services.get(service));
    let words = |seconds: u64| Span::from_millis(seconds.saturating_mul(1_000)).in_words();
    Some(match clients.map(|it| it.clients).unwrap_or_default() {
        Caching::Ttl => (Some(kept), format!("for up to {}: so long {name} is kept", words(kept))),
        Caching::AtLeast(span) if span > Span::from_millis(kept.saturating_mul(1_000)) => {
            let seconds = span.as_micros().div_ceil(1_000_000);
            let words = span.in_words();
            (Some(seconds), format!("for at least {words}: so long they keep what they looked up"))
        }
        Caching::AtLeast(_) => {
            (Some(kept), format!("for up to {}: so long {name} is kept", words(kept)))
        }
        Caching::UntilRestart => {
            let text = "until they are restarted: so long they keep what they looked up";
            (None, text.to_owned())
        }
    })
}

/// That a service's names are kept for a short time only, if so, for whoever looks at it.
pub(super) fn in_words(state: &State, service: &ServiceId) -> Option<String> {
    let lowered = state.redirect().lowered.get(service)?;
    let until = stamp_of(lowered.until);
    Some(format!("kept for a short time only, since it is about to move; until {until} at most"))
}
