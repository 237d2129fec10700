//! Which layers could lead clients to a service: the question, and the answer as it stands on the
//! line. All lengths are in milliseconds.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use stead_core::id::ServiceId;
use stead_core::redirect::advise::{
    self as decided, Advice, Cost, LayerAdvice, Line, Outage, Part, Permission, Ranked, Verdict,
};
use stead_core::time::Span;
use stead_core::timers::UNKNOWN_SLACK;

use super::super::Desk;
use super::super::message::Failure;
use super::super::placed::no_such_service;
use super::super::requests::{Answered, config_of, slack};
use crate::layers::advise::{Said, facts};
use crate::layers::lookout::Lookout;

/// The longest time that a reload may be said to take: an hour.
const LONGEST_RELOAD: u64 = 3_600_000;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Advise {
    /// Which service.
    pub service: String,
    /// Where a client is; anywhere if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// How long clients take to take up what `stead client` told them, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_ms: Option<u64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdviseAnswer {
    /// The service.
    pub service: String,
    /// The node that found it out.
    pub asked: String,
    /// Each layer, from the lowest up.
    pub layers: Vec<LayerAnswer>,
    /// All of them, the best first.
    pub ranking: Vec<RankAnswer>,
    /// What doesn't work as it is configured, or could be better.
    pub warnings: Vec<String>,
    /// What permissions would be worth.
    pub permissions: Vec<PermissionAnswer>,
    /// What no figure has in it.
    pub notes: Vec<String>,
    /// What all of it is made from.
    pub facts: Vec<FactAnswer>,
}

/// Whether a layer is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Possible {
    /// It is.
    Yes,
    /// It is, and somebody doesn't permit it.
    NotPermitted,
    /// Something that would decide it isn't known.
    Unknown,
    /// It isn't.
    No,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayerAnswer {
    /// Which: `mac`, `arp`, `route`, `dns` or `knowledge`.
    pub layer: String,
    /// Whether it is possible.
    pub possible: Possible,
    /// Who doesn't permit it, if somebody doesn't.
    pub not_permitted_by: Option<String>,
    /// Why, or what is missing.
    pub reasons: Vec<String>,
    /// The service is led by it now.
    pub used: bool,
    /// It leads from each node to each other, as it is configured now.
    pub leads: bool,
    /// What to do to have it, if it is not configured.
    pub to_have_it: Option<String>,
    /// For how long clients are without the service when it is moved; nothing if not known.
    pub planned: Option<OutageAnswer>,
    /// The same when its node falls silent.
    pub unplanned: Option<OutageAnswer>,
    /// What else it brings.
    pub effects: Vec<String>,
}

/// An outage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutageAnswer {
    /// The whole, for most clients; nothing if some never come back by this layer alone.
    pub total_ms: Option<f64>,
    /// The whole, for those who wait longest.
    pub longest_ms: Option<f64>,
    /// What takes its time one after the other.
    pub parts: Vec<PartAnswer>,
    /// What some clients wait for beyond that, for one of these at most.
    pub some: Vec<PartAnswer>,
    /// Something that isn't known comes on top of both: they are as long at least.
    pub open: bool,
    /// Why some never come back, if so.
    pub never: Option<String>,
}

/// A piece of an outage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartAnswer {
    /// What takes the time.
    pub name: String,
    /// How long, at most.
    pub ms: f64,
    /// Where the figure comes from.
    pub reason: String,
}

/// A place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RankAnswer {
    /// Which layer.
    pub layer: String,
    /// Its rank, from 1; nothing if it can't be had as things are.
    pub rank: Option<usize>,
    /// Why there.
    pub why: String,
}

/// What a permission would be worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PermissionAnswer {
    /// For which layer.
    pub layer: String,
    /// Who would have to give it.
    pub who: String,
    /// By how much shorter an unplanned outage would be for most clients.
    pub saved_ms: f64,
    /// The whole of it, to forward as it is.
    pub words: String,
}

/// Something that is known, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FactAnswer {
    /// What it is about.
    pub what: String,
    /// What is known of it; nothing if it isn't.
    pub value: Option<String>,
    /// From whom, or why it isn't known.
    pub source: String,
}

/// Finds out and judges. Changes nothing.
///
/// # Errors
/// There is no such service, or what was said of its clients can't be.
pub(in crate::api) async fn advise(desk: &Desk, asked: Advise) -> Answered<AdviseAnswer> {
    let view = desk.handle.view();
    let state = &view.state;
    let config = config_of(state)?;
    let service = ServiceId::from(asked.service.as_str());
    if !config.services.contains_key(&service) {
        return Err(no_such_service(config, &asked.service));
    }
    if asked.reload_ms.is_some_and(|it| it > LONGEST_RELOAD) {
        let message = "a reload of more than an hour is none; nothing was changed";
        return Err(Failure::unchanged(message, "say how long clients really take"));
    }
    let said = Said {
        client: asked.client,
        reload: asked.reload_ms.map(Span::from_millis),
        slack: slack(&view).unwrap_or(UNKNOWN_SLACK),
    };
    let lookout = Lookout::new(view.identity.node, desk.eyes.clone(), desk.observers.clone());
    let facts = facts(&lookout, state, config, (&service, said)).await;
    Ok(answer(&asked.service, &view.identity.name, &decided::advise(&facts)))
}

pub(crate) fn answer(service: &str, asked: &str, advice: &Advice) -> AdviseAnswer {
    AdviseAnswer {
        service: service.to_owned(),
        asked: asked.to_owned(),
        layers: advice.layers.iter().map(layer).collect(),
        ranking: advice.ranking.iter().map(ranked).collect(),
        warnings: advice.warnings.clone(),
        permissions: advice.permissions.iter().map(permission).collect(),
        notes: advice.notes.clone(),
        facts: advice.facts.iter().map(fact).collect(),
    }
}

fn layer(it: &LayerAdvice) -> LayerAnswer {
    let (possible, by) = match &it.verdict {
        Verdict::Possible => (Possible::Yes, None),
        Verdict::NotPermitted { by } => (Possible::NotPermitted, Some(by.clone())),
        Verdict::Unknown => (Possible::Unknown, None),
        Verdict::NotPossible => (Possible::No, None),
    };
    let outages = it.cost.as_ref().map(|Cost { planned, unplanned }| (planned, unplanned));
    LayerAnswer {
        layer: it.layer.name().to_owned(),
        possible,
        not_permitted_by: by,
        reasons: it.reasons.clone(),
        used: it.used,
        leads: it.leads,
        to_have_it: it.to_have_it.clone(),
        planned: outages.map(|(it, _)| outage(it)),
        unplanned: outages.map(|(_, it)| outage(it)),
        effects: it.effects.clone(),
    }
}

fn outage(it: &Outage) -> OutageAnswer {
    OutageAnswer {
        total_ms: it.total().map(Span::as_millis_f64),
        longest_ms: it.longest().map(Span::as_millis_f64),
        parts: it.parts.iter().map(part).collect(),
        some: it.some.iter().map(part).collect(),
        open: it.open,
        never: it.never.clone(),
    }
}

fn part(it: &Part) -> PartAnswer {
    let (name, reason) = (it.name.to_owned(), it.reason.clone());
    PartAnswer { name, ms: it.length.as_millis_f64(), reason }
}

fn ranked(it: &Ranked) -> RankAnswer {
    RankAnswer { layer: it.layer.name().to_owned(), rank: it.rank, why: it.why.clone() }
}

fn permission(it: &Permission) -> PermissionAnswer {
    PermissionAnswer {
        layer: it.layer.name().to_owned(),
        who: it.who.clone(),
        saved_ms: it.saved.as_millis_f64(),
        words: it.words.clone(),
    }
}

fn fact(it: &Line) -> FactAnswer {
    FactAnswer { what: it.what.clone(), value: it.value.clone(), source: it.source.clone() }
}
