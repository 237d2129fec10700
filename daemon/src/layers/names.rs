//! Names of services: what stands in the configuration and the state, as records of their zones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::redirect::Seen;
use stead_core::state::State;
use stead_core::state::config::{Config, NameConfig, RecordKind, ZoneConfig};
use stead_edge::chain;
use stead_redirect::dns::{self, Binding, Data, DnsError, Key, Wanted, Writer, Zone};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long all of one name's servers may take to say what they have.
const VERIFY: Duration = Duration::from_secs(4);
/// What `{node}` in a target stands for.
const NODE: &str = "{node}";

/// What is to be written at one name.
struct Record<'c> {
    name: &'c str,
    zone: &'c ZoneConfig,
    ttl: u32,
    data: Vec<Data>,
    adopt: bool,
}

/// How long a name's records may be kept now, in seconds.
#[must_use]
pub fn ttl(state: &State, service: &ServiceId, name: &NameConfig, zone: &ZoneConfig) -> u32 {
    let usual = name.ttl.unwrap_or(zone.ttl);
    if state.redirect().lowered.contains_key(service) { usual.min(zone.moving_ttl) } else { usual }
}

/// A name that says something else when its service is on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The name.
    pub name: String,
    /// How long it may be kept as usual, in seconds.
    pub usual: u32,
    /// The same shortly before and after a planned move.
    pub moving: u32,
    /// The same as things are.
    pub now: u32,
}

/// The names of a service that say something else when it goes from one node to another.
///
/// # Errors
/// Says which name can't be written.
pub fn changed(
    state: &State,
    service: &ServiceId,
    from: NodeId,
    to: NodeId,
) -> Result<Vec<Changed>, String> {
    let Some(config) = &state.config else { return Ok(Vec::new()) };
    let there = records(state, service, to)?;
    let here = records(state, service, from)?.into_iter();
    let same = |one: &Record<'_>| {
        there.iter().any(|other| {
            let (mut one, mut other) =
                ((one.name, one.data.clone()), (other.name, other.data.clone()));
            one.1.sort();
            other.1.sort();
            one == other
        })
    };
    let changed = here.filter(|it| !same(it)).map(|it| {
        let usual = names(config, service).iter().filter(|name| name.name == it.name);
        let usual = usual.map(|name| name.ttl.unwrap_or(it.zone.ttl)).min().unwrap_or(it.ttl);
        let moving = usual.min(it.zone.moving_ttl);
        Changed { name: it.name.to_owned(), usual, moving, now: it.ttl }
    });
    Ok(changed.collect())
}

/// Writes all names of a service: it is on that node.
pub async fn announce(
    state: &State,
    service: &ServiceId,
    epoch: Epoch,
    node: NodeId,
    deadline: Instant,
) -> Seen {
    let mut by = Vec::new();
    let mut wrong = Vec::new();
    let records = match records(state, service, node) {
        Ok(records) => records,
        Err(why) => return Seen::No(why),
    };
    // Side by side: a zone whose servers are silent takes nothing from others.
    let all = records.iter().map(|record| write(state, service, epoch, record, deadline));
    for written in join_all(all).await {
        match written {
            Ok(server) => by.push(server),
            Err(why) => wrong.push(why),
        }
    }
    by.sort();
    by.dedup();
    if wrong.is_empty() { Seen::Yes(by.join(", ")) } else { Seen::No(wrong.join("; ")) }
}

async fn write(
    state: &State,
    service: &ServiceId,
    epoch: Epoch,
    record: &Record<'_>,
    deadline: Instant,
) -> Result<String, String> {
    let zone = open(record.zone)?;
    let cluster = state.cluster.map(|it| it.to_string()).unwrap_or_default();
    let writer = Writer::new(&cluster, &service.0, epoch).map_err(|it| chain(&it))?;
    let writer = writer.adopts(record.adopt);
    let wanted = wanted(record)?;
    match dns::update(&zone, &writer, &wanted, deadline).await {
        Ok(updated) => Ok(updated.server.to_string()),
        // Whoever has it now has written it.
        Err(error @ DnsError::Superseded { .. }) => Err(error.to_string()),
        Err(error) => Err(chain(&error)),
    }
}

/// Asks every server of every name.
pub async fn verify(state: &State, service: &ServiceId, node: NodeId, deadline: Instant) -> Seen {
    let records = match records(state, service, node) {
        Ok(records) => records,
        Err(why) => return Seen::No(why),
    };
    let deadline = deadline.min(Instant::now() + VERIFY);
    let mut servers = Vec::new();
    let mut wrong = Vec::new();
    let looks = records.iter().map(|record| async move {
        let (zone, wanted) = (open(record.zone)?, wanted(record)?);
        let seen = dns::verify(&zone, &wanted, deadline).await;
        seen.map(|seen| (record.name, seen)).map_err(|error| chain(&error))
    });
    for looked in join_all(looks).await {
        match looked {
            Ok((name, seen)) => {
                for (server, seen) in seen {
                    servers.push(server.to_string());
                    wrong.extend(trouble(name, &server.to_string(), &seen));
                }
            }
            Err(why) => wrong.push(why),
        }
    }
    servers.sort();
    servers.dedup();
    if wrong.is_empty() {
        let count = servers.len();
        Seen::Yes(if count == 1 { servers.join("") } else { format!("all {count} name servers") })
    } else {
        Seen::No(wrong.join("; "))
    }
}

/// One server of a service's names.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address.
    pub at: SocketAddr,
    /// Updates go to it before the others.
    pub first: bool,
    /// How long it took to answer with authority, or why it did not.
    pub answers: Result<Duration, String>,
}

/// Asks every server of every zone that has a name of the service, with the zone's key at hand.
pub async fn servers(
    state: &State,
    service: &ServiceId,
    node: NodeId,
    deadline: Instant,
) -> Result<Vec<Server>, String> {
    let deadline = deadline.min(Instant::now() + VERIFY);
    let mut asked = JoinSet::new();
    let mut seen = BTreeSet::new();
    for record in records(state, service, node)? {
        let wanted = wanted(&record)?;
        let zone = open(record.zone);
        for (number, at) in record.zone.servers.iter().copied().enumerate() {
            if !seen.insert((record.zone.domain.clone(), at)) {
                continue;
            }
            let (zone, wanted) = (zone.clone(), wanted.clone());
            asked.spawn(async move {
                let answers = timed(zone, &wanted, at, deadline).await;
                Server { at, first: number == 0, answers }
            });
        }
    }
    let mut servers = asked.join_all().await;
    servers.sort_by_key(|it| (!it.first, it.at));
    Ok(servers)
}

async fn timed(
    zone: Result<Zone, String>,
    wanted: &Wanted,
    at: SocketAddr,
    deadline: Instant,
) -> Result<Duration, String> {
    let zone = Zone { servers: vec![at], ..zone? };
    let began = Instant::now();
    let seen = dns::verify(&zone, wanted, deadline).await.map_err(|error| chain(&error))?;
    match seen.first() {
        Some((_, dns::Seen::Converged { .. } | dns::Seen::Old { .. })) => Ok(began.elapsed()),
        Some((_, dns::Seen::Unreachable(fault) | dns::Seen::Refused(fault))) => Err(chain(fault)),
        None => Err("it was not asked".to_owned()),
    }
}

/// Whether what a name says differs between these nodes.
#[must_use]
pub fn differs(state: &State, service: &ServiceId, name: &str, nodes: &[NodeId]) -> bool {
    let on = |node: &NodeId| {
        let records = records(state, service, *node).unwrap_or_default();
        records.into_iter().find(|it| it.name == name).map(|it| it.data)
    };
    let said: Vec<_> = nodes.iter().map(on).collect();
    said.windows(2).any(|pair| pair[0] != pair[1])
}

/// What is wrong with one server's answer, if anything is.
fn trouble(name: &str, server: &str, seen: &dns::Seen) -> Option<String> {
    match seen {
        dns::Seen::Converged { .. } => None,
        dns::Seen::Old { says, .. } if says.is_empty() => {
            Some(format!("{server} has no records of {name} yet"))
        }
        dns::Seen::Old { says, .. } => {
            Some(format!("{server} says of {name} still: {}", says.join(", ")))
        }
        dns::Seen::Unreachable(fault) | dns::Seen::Refused(fault) => {
            Some(format!("{server} {}", chain(fault)))
        }
    }
}

/// The zone with its key, which is read each time: it may be replaced while the daemon runs.
pub fn open(zone: &ZoneConfig) -> Result<Zone, String> {
    let name = zone.domain.parse().map_err(|error| chain(&error))?;
    let key = Key::read(Path::new(&zone.key)).map_err(|error| chain(&error))?;
    Ok(Zone { name, servers: zone.servers.clone(), key })
}

fn wanted(record: &Record<'_>) -> Result<Wanted, String> {
    let name = record.name.parse().map_err(|error| chain(&error))?;
    Wanted::new(name, record.ttl, record.data.clone()).map_err(|error| chain(&error))
}

/// The records of a service's names, all kinds of one name together.
fn records<'s>(
    state: &'s State,
    service: &ServiceId,
    node: NodeId,
) -> Result<Vec<Record<'s>>, String> {
    let Some(config) = &state.config else { return Ok(Vec::new()) };
    let addresses = state.addresses_on(service, node);
    let node = state.name(node);
    let mut records: BTreeMap<&str, Record<'_>> = BTreeMap::new();
    for name in names(config, service) {
        let zone = config.zone_of(&name.name);
        let zone = zone.ok_or_else(|| format!("no zone of the configuration has {}", name.name))?;
        let ttl = ttl(state, service, name, zone);
        let data = data(name, &addresses, &node)?;
        let fresh = Record { name: &name.name, zone, ttl, data: Vec::new(), adopt: false };
        let record = records.entry(&name.name).or_insert(fresh);
        record.data.extend(data);
        record.ttl = record.ttl.min(ttl);
        record.adopt |= name.adopt;
    }
    Ok(records.into_values().collect())
}

/// The names of a service, in the order of the file.
#[must_use]
pub fn names<'c>(config: &'c Config, service: &ServiceId) -> &'c [NameConfig] {
    config.redirect().services.get(service).map_or(&[], |it| &it.names)
}

fn data(name: &NameConfig, addresses: &[IpAddr], node: &str) -> Result<Vec<Data>, String> {
    let target = |text: &str| {
        let text = if text == "." { String::from(".") } else { text.replace(NODE, node) };
        text.parse::<dns::Name>().map_err(|error| chain(&error))
    };
    let (v4, v6) = families(addresses);
    Ok(match &name.kind {
        RecordKind::Addresses => {
            v4.into_iter().map(Data::A).chain(v6.into_iter().map(Data::Aaaa)).collect()
        }
        RecordKind::Alias(text) => vec![Data::Cname(target(text)?)],
        RecordKind::Service { target: text, port } => {
            vec![Data::Srv { priority: 0, share: 0, port: *port, target: target(text)? }]
        }
        RecordKind::Https { target: text, port, alpn } => vec![Data::Https(Binding {
            priority: 1,
            target: target(text)?,
            alpn: alpn.clone(),
            port: *port,
            ipv4hint: v4,
            ipv6hint: v6,
        })],
    })
}

fn families(addresses: &[IpAddr]) -> (Vec<std::net::Ipv4Addr>, Vec<std::net::Ipv6Addr>) {
    let mut families = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(it) => families.0.push(*it),
            IpAddr::V6(it) => families.1.push(*it),
        }
    }
    families
}
