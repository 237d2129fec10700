//! Finds out what an advice is made from: which layers could lead clients to a service.
//!
//! What it is for: `stead redirect advise`. Happy path: the configuration says which nodes may have
//! the service, and what is declared; the nodes say over the daemons' connection where its
//! addresses would be, whether they hear each other there, and how their routing daemons are; the
//! zones' servers are asked from here. What follows from all that is the core's
//! (`core/src/redirect/advise`). Failures: what can't be found out is unknown, with the reason.
//! Deliberately absent: changing anything; guessing what lies behind a router.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use stead_core::id::{NodeId, ServiceId};
use stead_core::redirect::advise::{
    AddressFacts, Clients, Facts, Known, NameFacts, NodeFacts, RoutingFacts, ServerFacts,
};
use stead_core::state::config::{Config, Prefix, ServiceAddress};
use stead_core::state::{Incident, Reached, State};
use stead_core::time::Span;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lookout::Lookout;
use super::observe::{Question, Sight};
use super::ports::{Way, Where};
use super::{names, ports, routes};

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(15);
/// The most nodes that are compared with each other, and the most addresses for which they are.
const MOST_NODES: usize = 16;
const MOST_ADDRESSES: usize = 8;

/// What an operator said beside the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// Where a client is.
    pub client: Option<IpAddr>,
    /// How long clients take to take up what they were told.
    pub reload: Option<Span>,
    /// How late the slowest gate may shut.
    pub slack: Span,
}

/// Everything about a service that is in the configuration.
pub async fn facts(
    lookout: &Lookout,
    state: &State,
    config: &Config,
    (service, said): (&ServiceId, Said),
) -> Facts {
    let deadline = Instant::now() + WITHIN;
    let nodes = candidates(state, config, service);
    let ((addresses, clients), routing, servers) = tokio::join!(
        segments_of(lookout, state, config, (service, said, deadline)),
        routing(lookout, state, &nodes, deadline),
        servers(lookout, state, service, deadline)
    );
    let redirect = config.redirect();
    let named = names::names(config, service).iter().filter_map(|name| {
        let zone = config.zone_of(&name.name)?;
        let ttl = name.ttl.unwrap_or(zone.ttl);
        Some(NameFacts {
            name: name.name.clone(),
            ttl: seconds(ttl),
            moving_ttl: seconds(ttl.min(zone.moving_ttl)),
            differs: names::differs(state, service, &name.name, &nodes),
        })
    });
    let nobody = "say it with --reload, as far as `stead client` reloads something".to_owned();
    Facts {
        service: service.clone(),
        timers: state.timers,
        slack: said.slack,
        nodes: routing,
        addresses,
        clients,
        caching: redirect.services.get(service).map(|it| it.clients).unwrap_or_default(),
        routing: redirect.routing.is_some(),
        names: named.collect(),
        servers,
        documents: redirect.documents,
        not_permitted: redirect.not_permitted.clone(),
        start: start(state, service),
        reload: said.reload.map_or(Known::Unknown(nobody), Known::Declared),
    }
}

/// The members that the service's rules let it be on, at whatever time.
fn candidates(state: &State, config: &Config, service: &ServiceId) -> Vec<NodeId> {
    let allowed = |node: &NodeId| {
        let name = state.name(*node);
        let Some(rules) = config.rules(service) else { return true };
        let is = |place: &_| config.is_there(&name, place);
        let only = rules.only.is_empty() || rules.only.iter().any(is);
        let for_a_time = |it: &stead_core::state::config::During| {
            it.only.as_ref().is_some_and(|only| only.iter().any(is))
        };
        (only || rules.during.values().any(for_a_time)) && !rules.never.iter().any(is)
    };
    state.members.keys().copied().filter(allowed).collect()
}

/// Where its addresses would be on the nodes, and where the client is from there.
async fn segments_of(
    lookout: &Lookout,
    state: &State,
    config: &Config,
    (service, said, deadline): (&ServiceId, Said, Instant),
) -> (Vec<AddressFacts>, Known<Clients>) {
    let nodes = candidates(state, config, service);
    let asked: Vec<_> = nodes.iter().copied().take(MOST_NODES).collect();
    let own: &[ServiceAddress] = config.services.get(service).map_or(&[], |it| &it.addresses);
    let mut facts = Vec::new();
    let mut ways = Vec::new();
    for (number, address) in own.iter().enumerate() {
        let at = Where { address: address.ip, client: said.client };
        let found = if number < MOST_ADDRESSES && nodes.len() > asked.len() {
            Known::Unknown(format!("more than {MOST_NODES} nodes are not compared"))
        } else if number < MOST_ADDRESSES {
            let found = ports::ports(lookout, state, &asked, (at, deadline)).await;
            ways.extend(found.found.iter().filter_map(|(_, port)| port.client));
            ports::segments(lookout, state, &found, (at, deadline)).await
        } else {
            Known::Unknown(format!("it was asked for {MOST_ADDRESSES} addresses only"))
        };
        let used = nodes.iter().map(|node| state.name(*node));
        facts.push(AddressFacts {
            ip: address.ip,
            layers: config.layers_of(address.ip).to_vec(),
            nodes: used.filter(|node| config.is_used_on(address.ip, node)).collect(),
            segments: found,
            prefix: config.announced_as(address.ip),
            along: along(config, service, address.ip),
        });
    }
    (facts, clients(said.client, &ways, state.name(lookout.me())))
}

/// The other services that move with an address, since they are in the same announced prefix.
fn along(config: &Config, service: &ServiceId, address: IpAddr) -> BTreeSet<ServiceId> {
    let Some(prefix) = config.announced_as(address) else { return BTreeSet::new() };
    if prefix == Prefix::host(address) {
        return BTreeSet::new();
    }
    let shared = config.share_a_prefix(service).filter(|(_, shared)| *shared == prefix);
    shared.map(|(other, _)| other.clone()).collect()
}

fn clients(client: Option<IpAddr>, ways: &[Way], by: String) -> Known<Clients> {
    let Some(client) = client else { return Known::Declared(Clients::Anywhere) };
    if ways.is_empty() {
        let why = format!("no node with an address of the service has a way to {client}");
        return Known::Unknown(why);
    }
    // What one node calls its neighbour is a neighbour of the address that it would have.
    let beside = ways.contains(&Way::Beside);
    let gateways = ways.iter().filter_map(|way| match way {
        Way::Behind(gateway) => *gateway,
        Way::Beside => None,
    });
    let gateways: BTreeSet<_> = gateways.collect();
    let value = if beside { Clients::Beside(client) } else { Clients::Behind { client, gateways } };
    Known::Found { value, by }
}

/// The routing daemons of these nodes.
async fn routing(
    lookout: &Lookout,
    state: &State,
    nodes: &[NodeId],
    deadline: Instant,
) -> Vec<NodeFacts> {
    let mut asked = JoinSet::new();
    for node in nodes.iter().copied() {
        let (lookout, state) = (lookout.clone(), state.clone());
        asked.spawn(async move {
            let seen = lookout.look(&state, node, Question::Routing { on: node }, deadline).await;
            (node, seen)
        });
    }
    let mut facts = Vec::new();
    while let Some(answer) = asked.join_next().await {
        // A task that panicked has told it.
        let Ok((node, seen)) = answer else { continue };
        let name = state.name(node);
        let routing = match seen {
            Ok(Sight::Routing(seen)) => {
                Known::Found { value: routing_facts(seen), by: name.clone() }
            }
            Ok(Sight::Blind(why) | Sight::Other(why)) | Err(why) => Known::Unknown(why),
            Ok(
                Sight::Holder
                | Sight::Places(_)
                | Sight::Interface(_)
                | Sight::Played(_)
                | Sight::Port(_),
            ) => Known::Unknown("it answered something else".to_owned()),
        };
        facts.push(NodeFacts { name, routing });
    }
    facts.sort_by(|one, other| one.name.cmp(&other.name));
    facts
}

fn routing_facts(seen: routes::RoutingSight) -> RoutingFacts {
    let span = |millis: u64| Span(millis.saturating_mul(1_000));
    RoutingFacts {
        daemon: seen.daemon,
        sessions: seen.sessions,
        notices: span(seen.notices_ms),
        why: seen.why,
        spread: span(seen.spread_ms),
        troubles: seen.troubles,
    }
}

/// The name servers, asked from here.
async fn servers(
    lookout: &Lookout,
    state: &State,
    service: &ServiceId,
    deadline: Instant,
) -> Vec<ServerFacts> {
    let (me, holder) =
        (lookout.me(), state.assignments.get(service).and_then(|it| it.holder.node()));
    let facts = |it: names::Server| ServerFacts {
        at: it.at.to_string(),
        first: it.first,
        answers: match it.answers {
            Ok(took) => Known::Found { value: span(took), by: state.name(me) },
            Err(why) => Known::Unknown(why),
        },
    };
    match names::servers(state, service, holder.unwrap_or(me), deadline).await {
        Ok(servers) => servers.into_iter().map(facts).collect(),
        Err(why) => {
            let at = "of its names".to_owned();
            vec![ServerFacts { at, first: true, answers: Known::Unknown(why) }]
        }
    }
}

/// How long its program took at most, from its address to its first good answer, in the moves that
/// are remembered.
fn start(state: &State, service: &ServiceId) -> Known<Span> {
    let measured = state.incidents.iter().filter_map(|it| Some((took(it, service)?, it.number)));
    match measured.max() {
        Some((value, number)) => Known::Found { value, by: format!("incident {number}") },
        None => Known::Unknown("it has not moved yet".to_owned()),
    }
}

fn took(incident: &Incident, service: &ServiceId) -> Option<Span> {
    let own = incident.stages.iter().filter(|it| it.service.as_ref() == Some(service));
    let when = |wanted: Reached| own.clone().find(|it| it.reached == wanted).map(|it| it.after);
    let (claimed, works) = (when(Reached::Claimed)?, when(Reached::Verified));
    let works = works.or_else(|| when(Reached::Started))?;
    Some(works.saturating_sub(claimed))
}

fn seconds(count: u32) -> Span {
    Span(u64::from(count).saturating_mul(1_000_000))
}

fn span(took: Duration) -> Span {
    Span(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}
