//! For how long clients are without the service, by which layer.
//!
//! Every layer begins with what the cluster itself takes. An unplanned move is never shorter than a
//! planned one: it has the same parts or longer ones, and the wait for the lease before them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::facts::{Clients, Facts};
use super::told::length;
use super::{Cost, Outage, Part, plus};
use crate::redirect::{Layer, announcement};
use crate::state::config::Caching;
use crate::time::Span;

/// A neighbour that changed its entry within the last second drops the next change (Linux:
/// `locktime`); the first announcement beyond that second is number 5.
const BEYOND_LOCK: u32 = 5;
/// Until a neighbour that ignores announcements has asked anew: an entry is good for up to 45 s
/// (RFC 4861, 6.3.2: REACHABLE_TIME of 30 s, times 1.5), then waits 5 s for a sign
/// (DELAY_FIRST_PROBE_TIME), then asks three times a second apart.
const IGNORED: Span = Span::from_millis(53_000);
/// An update is a connection, a question, the update, and the question again.
const TRIPS_OF_AN_UPDATE: u64 = 4;
/// What a secondary server waits for before it has an update: BIND tells its secondaries no earlier
/// than 5 s after the last time (`notify-delay`); others at once.
const SECONDARIES: Span = Span::from_millis(5_000);

/// What a layer would cost; nothing if too little is known to say.
pub(super) fn of(facts: &Facts, layer: Layer) -> Option<Cost> {
    let mut cost = match layer {
        Layer::Mac => both(facts, |_| (vec_of(switch()), Vec::new())),
        Layer::Arp => both(facts, |_| (vec_of(frames()), caches(facts))),
        Layer::Route => route(facts)?,
        Layer::Dns => dns(facts)?,
        Layer::Knowledge => both(facts, |_| (documents(facts), Vec::new())),
    };
    let own = match layer {
        Layer::Mac | Layer::Arp | Layer::Route => true,
        Layer::Dns => primary(facts).is_some(),
        Layer::Knowledge => facts.reload.value().is_some(),
    };
    let open = !own || facts.start.value().is_none();
    (cost.planned.open, cost.unplanned.open) = (open, open);
    Some(cost)
}

/// What the figures leave out.
pub(super) fn notes(facts: &Facts) -> Vec<String> {
    let mut notes = Vec::new();
    if facts.start.value().is_none() {
        let what = "the start of the program comes on top of every figure: it was not measured \
                    yet, `stead plan` and this advice know it after the first move";
        notes.push(what.to_string());
    }
    if facts.reload.value().is_none() {
        let what = "what clients take to take up what they were told comes on top of knowledge: \
                    say it with --reload";
        notes.push(what.to_string());
    }
    let what = "how long the program takes to stop comes on top of a planned move";
    notes.push(what.to_string());
    notes
}

/// What the cluster takes before anybody can be told.
fn takeover(facts: &Facts, planned: bool) -> Vec<Part> {
    let trips = facts.timers.round_trip.times(2);
    let mut parts = Vec::new();
    if planned {
        let reason = "given up there, committed, claimed here: two round trips";
        parts.push(part("hand-over", trips, reason));
    } else {
        let wait = facts.timers.wait(facts.slack);
        let reason = "D of `stead timers`: by then the lease of a node that fell silent is over";
        parts.push(part("detection", wait, reason));
        parts.push(part("decision", trips, "committed by a majority: two round trips"));
    }
    if let Some(start) = facts.start.value() {
        parts.push(part(
            "start",
            *start,
            "the program, until it works: the longest that was measured",
        ));
    }
    parts
}

/// The same for both kinds of move: `beyond` says what a layer adds, and what to some clients.
fn both(facts: &Facts, beyond: impl Fn(bool) -> (Vec<Part>, Vec<Part>)) -> Cost {
    let outage = |planned| {
        let mut parts = takeover(facts, planned);
        let (more, some) = beyond(planned);
        parts.extend(more);
        Outage { parts, some, open: false, never: None }
    };
    Cost { planned: outage(true), unplanned: outage(false) }
}

fn frames() -> Part {
    part("announcement", Span::ZERO, "gratuitous frames leave at once, in both forms")
}

fn switch() -> Part {
    part("switch", Span::ZERO, "it learns the port from the first frame; no client's cache changes")
}

/// What neighbours' caches may add.
fn caches(facts: &Facts) -> Vec<Part> {
    let whose = match facts.clients.value() {
        Some(Clients::Behind { gateways, .. }) if !gateways.is_empty() => {
            let gateways: Vec<_> = gateways.iter().map(ToString::to_string).collect();
            format!("the gateway {}, if it", super::facts::listed(&gateways))
        }
        Some(Clients::Beside(client)) => format!("{client}, if it"),
        Some(Clients::Anywhere | Clients::Behind { .. }) | None => {
            "a client or gateway on the segment that".to_string()
        }
    };
    let locked = format!("{whose} changed its entry within the second before (locktime)");
    let ignored = format!(
        "{whose} ignores gratuitous frames, and can't be told alone since the new node never spoke \
         to it: until it asks anew by itself (45 s, 5 s and three questions)"
    );
    [part("locked entry", announcement(BEYOND_LOCK), locked), part("own refresh", IGNORED, ignored)]
        .into()
}

/// Of the nodes whose routing is known the slowest counts: any of them may fall silent.
fn route(facts: &Facts) -> Option<Cost> {
    let known = facts.nodes.iter().filter_map(|it| Some((&it.name, it.routing.value()?)));
    let known: Vec<_> = known.filter(|(_, it)| !it.sessions.is_empty()).collect();
    let (node, slowest) = known.iter().max_by_key(|(_, it)| it.notices)?;
    let spread = known.iter().map(|(_, it)| it.spread).max()?;
    let covered = takeover(facts, false).iter().fold(Span::ZERO, |sum, it| plus(sum, it.length));
    let late = slowest.notices.saturating_sub(covered);
    let lifetime = facts.timers.ordinary_lease().times(2) + Span::from_millis(1_000);
    Some(both(facts, |planned| {
        let spread = part("spread", spread, "from daemon to daemon into routers' tables");
        let mut parts = Vec::new();
        let mut some = Vec::new();
        if !planned {
            let reason = format!(
                "{} (of {node}), of which {} pass before the route is elsewhere",
                slowest.why,
                length(covered.min(slowest.notices))
            );
            parts.push(part("old route", late, reason));
            let why = "where a node hangs and its kernel still speaks to routers: until its \
                       address ends by itself";
            let hung = lifetime.saturating_sub(plus(covered, late));
            if hung > Span::ZERO {
                some.push(part("hung node", hung, why));
            }
        }
        parts.push(spread);
        (parts, some)
    }))
}

fn dns(facts: &Facts) -> Option<Cost> {
    let ttl = facts.names.iter().map(|it| it.ttl).max()?;
    let moving = facts.names.iter().map(|it| it.moving_ttl.min(it.ttl)).max()?;
    let trip = primary(facts);
    let update = trip.unwrap_or(Span::ZERO).times(TRIPS_OF_AN_UPDATE);
    let more = facts.servers.iter().any(|it| !it.first);
    let mut cost = both(facts, |planned| {
        let reason = match trip {
            Some(_) => "four round trips to the primary server",
            None => "four round trips to the primary server, which did not answer now",
        };
        let mut parts = vec_of(part("update", update, reason));
        if more {
            let reason = "until the other servers have it; BIND waits so long (notify-delay)";
            parts.push(part("servers", SECONDARIES, reason));
        }
        parts.push(kept(facts.caching, if planned { moving } else { ttl }, planned));
        (parts, Vec::new())
    });
    if facts.caching == Caching::UntilRestart {
        let why = "clients keep the address until they are started anew: DNS alone never \
                   converges; pair it with `stead client` on their machines, which restarts them";
        (cost.planned.never, cost.unplanned.never) = (Some(why.to_string()), Some(why.to_string()));
    }
    Some(cost)
}

/// How long the primary servers take to answer.
fn primary(facts: &Facts) -> Option<Span> {
    let first = facts.servers.iter().filter(|it| it.first);
    first.filter_map(|it| it.answers.value()).max().copied()
}

/// How long clients and caches go on with what they looked up.
fn kept(caching: Caching, ttl: Span, planned: bool) -> Part {
    let of =
        if planned { "lowered before the move (moving-ttl)" } else { "in force when it fails" };
    match caching {
        Caching::AtLeast(least) if least > ttl => {
            let reason = format!(
                "clients keep it for at least {}, longer than the time to live of {}",
                length(least),
                length(ttl)
            );
            part("caches", least, reason)
        }
        Caching::Ttl | Caching::AtLeast(_) | Caching::UntilRestart => {
            part("caches", ttl, format!("the time to live, {of}"))
        }
    }
}

fn documents(facts: &Facts) -> Vec<Part> {
    let trip = facts.timers.round_trip;
    let told = part("document", trip.times(2), "committed, signed, and sent to who watches");
    let reload = |it: &Span| part("reload", *it, "what clients take to take it up, as you said");
    [told].into_iter().chain(facts.reload.value().map(reload)).collect()
}

fn part(name: &'static str, length: Span, reason: impl Into<String>) -> Part {
    Part { name, length, reason: reason.into() }
}

fn vec_of(part: Part) -> Vec<Part> {
    [part].into()
}
