//! Values of the core out of bytes: mostly likely ones, now and then impossible ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use stead_core::id::{Epoch, Incarnation, Index, NodeId, Sequence, ServiceId, Term};
use stead_core::lease::{
    Admission, Armed, Echo, Heartbeat, Holding, LogTail, Order, PeerReport, Receipt, Report,
    ReportLater, ReportNext, ReportWatch, VoterSets, WatchReport,
};
use stead_core::state::config::{
    AfterFence, Agent, Config, ConfigLater, ConfigNext, ContainerHow, CopiesConfig, DeviceConfig,
    FenceAgent, FencingConfig, HookConfig, Hooks, LinkConfig, Look, MountConfig, NodeConfig,
    NodeFencing, Plug, Probe, ProcessHow, Ready, ResourceConfig, ResourceTimes, Safety,
    ServiceAddress, ServiceConfig, ServiceMore, Stuck,
};
use stead_core::table::Table;
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;
use stead_fuzz::Draw;

/// Mostly a member, sometimes nobody.
pub fn node(draw: &mut Draw<'_>) -> NodeId {
    match draw.byte() {
        byte @ 0..240 => NodeId(u64::from(byte % 4) + 1),
        240..=255 => NodeId(draw.number()),
    }
}

/// Mostly one that is configured.
pub fn service(draw: &mut Draw<'_>) -> ServiceId {
    ServiceId((*draw.pick(&["web", "db", "web", "db", "web", "gone"])).to_owned())
}

/// Mostly a length as there are many, sometimes one that no clock counts.
pub fn span(draw: &mut Draw<'_>) -> Span {
    match draw.byte() {
        byte @ 0..200 => Span::from_millis(u64::from(byte)),
        200..=255 => Span(draw.number()),
    }
}

fn near_instant(draw: &mut Draw<'_>, now: Instant) -> Instant {
    match draw.byte() {
        byte @ 0..100 => now - Span::from_millis(u64::from(byte) * 10),
        byte @ 100..200 => now + Span::from_millis(u64::from(byte)),
        200..=255 => Instant(draw.number()),
    }
}

pub fn maybe<T>(draw: &mut Draw<'_>, some: impl FnOnce(&mut Draw<'_>) -> T) -> Option<T> {
    (draw.below(4) != 0).then(|| some(draw))
}

pub fn several<T>(draw: &mut Draw<'_>, mut one: impl FnMut(&mut Draw<'_>) -> T) -> Vec<T> {
    let count = draw.below(4);
    (0..count).map(|_| one(draw)).collect()
}

fn address(draw: &mut Draw<'_>) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + draw.byte() % 4))
}

fn log_tail(draw: &mut Draw<'_>) -> LogTail {
    LogTail { term: Term(draw.number()), index: Index(draw.number()) }
}

pub fn timers(draw: &mut Draw<'_>) -> Timers {
    let sound = Timers::derive(span(draw), Span(u64::from(draw.byte()) * 100));
    match sound {
        Ok(timers) if draw.byte() < 224 => timers,
        Ok(_) | Err(_) if draw.byte() < 200 => Timers::default(),
        Ok(_) | Err(_) => Timers {
            ride_out: span(draw),
            round_trip: span(draw),
            heartbeat: span(draw),
            lease: span(draw),
            elect_after: span(draw),
            suspect_after: span(draw),
        },
    }
}

/// What a peer's guard may say. It was sealed with the cluster's secret, and that is all that is
/// known of it. `sent` is the newest number that the addressee gave a datagram, `next` the one that
/// the sender gives this one.
pub fn heartbeat(draw: &mut Draw<'_>, (sent, next): (u64, u64), term: Term) -> Heartbeat {
    let receipt = maybe(draw, |draw| Receipt {
        incarnation: Incarnation(draw.near(1)),
        sequence: Sequence(draw.near(sent)),
        held: span(draw),
    });
    let echo = maybe(draw, |draw| Echo { authority: span(draw), admission: Index(draw.number()) });
    let flags = draw.byte();
    Heartbeat {
        from: node(draw),
        incarnation: Incarnation(draw.near(1)),
        sequence: Sequence(draw.near(next)),
        term: Term(draw.near(term.0)),
        coordinator: flags & 1 != 0,
        released: flags & 6 == 6,
        daemon_alive: flags & 8 == 0,
        hears_coordinator: flags & 16 == 0,
        slack: span(draw),
        log_tail: log_tail(draw),
        receipt,
        echo,
        earlier_coordinator: span(draw),
        more: Default::default(),
        later: Default::default(),
    }
}

pub fn nodes(draw: &mut Draw<'_>) -> BTreeSet<NodeId> {
    match draw.byte() {
        0..200 => (1..=3).map(NodeId).collect(),
        200..=255 => several(draw, node).into_iter().collect(),
    }
}

fn voters(draw: &mut Draw<'_>) -> VoterSets {
    match draw.byte() {
        0..200 => vec![nodes(draw)],
        200..=255 => several(draw, nodes),
    }
}

fn admission(draw: &mut Draw<'_>) -> Admission {
    Admission { incarnation: Incarnation(draw.near(1)), index: Index(draw.number()) }
}

fn holding(draw: &mut Draw<'_>) -> Holding {
    Holding { address: address(draw), epoch: Epoch(draw.number()) }
}

pub fn order(draw: &mut Draw<'_>, term: Term) -> Order {
    let term = |draw: &mut Draw<'_>| Term(draw.near(term.0));
    match draw.below(14) {
        0 | 11 => Order::Vote(term(draw)),
        1 | 12 | 13 => Order::Lead {
            term: term(draw),
            voters: voters(draw),
            admitted: nodes(draw).into_iter().map(|node| (node, admission(draw))).collect(),
        },
        2 => Order::Follow,
        3 => Order::Revoke(node(draw)),
        4 => Order::Readmit(node(draw)),
        5 => Order::Applied { applied: Index(draw.number()), log_tail: log_tail(draw) },
        6 => Order::Timers(timers(draw)),
        7 => Order::Peers(nodes(draw)),
        8 => Order::Hold { number: draw.number(), addresses: several(draw, holding) },
        9 if draw.flag() => Order::Release,
        10 => Order::Watch { number: draw.number(), least: maybe(draw, span), bound: draw.flag() },
        _ => Order::Alive,
    }
}

fn peer(draw: &mut Draw<'_>, now: Instant) -> PeerReport {
    let flags = draw.byte();
    PeerReport {
        heard: maybe(draw, |draw| near_instant(draw, now)),
        acknowledged: maybe(draw, |draw| near_instant(draw, now)),
        incarnation: Incarnation(draw.near(1)),
        term: Term(draw.number()),
        coordinator: flags & 1 != 0,
        daemon_alive: flags & 2 == 0,
        hears_coordinator: flags & 4 == 0,
        released: (flags & 24 == 24).then(|| Incarnation(draw.near(1))),
        revoked: maybe(draw, |draw| near_instant(draw, now)),
        slack: span(draw),
        log_tail: log_tail(draw),
        round_trip: span(draw),
        links: Table::new(),
        more: Default::default(),
    }
}

/// What a guard may say of watchdogs.
fn watchdogs(draw: &mut Draw<'_>) -> ReportWatch {
    let own = WatchReport {
        number: draw.number(),
        bound: draw.flag(),
        least: maybe(draw, span),
        armed: maybe(draw, span),
        ..WatchReport::default()
    };
    let said = |draw: &mut Draw<'_>| Armed { timeout: span(draw), bound: draw.flag() };
    let peers = nodes(draw).into_iter().map(|node| (node, said(draw))).collect();
    ReportWatch { own: Some(Box::new(own)), peers }
}

/// What this node's guard may report. Much in it is what other guards said.
pub fn report(draw: &mut Draw<'_>, now: Instant, term: Term) -> Report {
    let flags = draw.byte();
    Report {
        at: near_instant(draw, now),
        incarnation: Incarnation(draw.near(1)),
        started: near_instant(draw, now),
        term: Term(draw.near(term.0)),
        vote_known: flags & 7 != 7,
        coordinates: maybe(draw, |draw| Term(draw.near(term.0))),
        voters: voters(draw),
        lease_until: near_instant(draw, now),
        quorate_until: near_instant(draw, now),
        earlier_coordinator: maybe(draw, |draw| near_instant(draw, now)),
        hears_coordinator: flags & 8 == 0,
        released: flags & 48 == 48,
        clock_distrusted: flags & 192 == 192,
        held: several(draw, holding),
        hold_number: draw.number(),
        timers: if draw.byte() < 224 { Timers::default() } else { timers(draw) },
        lapsed: Epoch(draw.number()),
        peers: nodes(draw).into_iter().map(|node| (node, peer(draw, now))).collect(),
        more: Default::default(),
        later: ReportLater {
            slow: maybe(draw, nodes),
            next: ReportNext { kept: Some(Epoch::default()) },
            watch: if flags & 7 == 5 { watchdogs(draw) } else { ReportWatch::default() },
        },
    }
}

/// Three nodes that may join, two services, and times that may be anything.
pub fn config(draw: &mut Draw<'_>) -> Config {
    let odd = draw.byte() > 200;
    let names = ["node1", "node2", "node3", "node4"];
    let names = &names[..if odd { draw.below(5) } else { 4 }];
    let node = |(number, name): (u8, &&str)| {
        let addresses =
            BTreeMap::from([("lan".to_owned(), IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))]);
        ((*name).to_owned(), NodeConfig { site: None, addresses })
    };
    let nodes = (1..).zip(names).map(node).collect();
    let services = ["web", "db"].into_iter().filter(|_| draw.byte() < 240).collect::<Vec<_>>();
    let services = services.into_iter().map(|name| (ServiceId::from(name), described(draw)));
    Config {
        name: "fuzz".to_owned(),
        services: services.collect(),
        ride_out: if odd { span(draw) } else { Span::from_millis(300) },
        round_trip: if odd { span(draw) } else { Span::from_millis(2) },
        daemon_grace: span(draw),
        links: BTreeMap::from([("lan".to_owned(), LinkConfig { port: 7744 })]),
        nodes,
        more: Default::default(),
        later: ConfigLater {
            satellites: satellites(draw),
            next: ConfigNext { services: maybe(draw, more).unwrap_or_default() },
            fencing: maybe(draw, fencing).unwrap_or_default(),
            ..Default::default()
        },
    }
}

fn copies(draw: &mut Draw<'_>) -> CopiesConfig {
    let nodes = |_: &mut Draw<'_>| ["node1", "node2"].map(str::to_owned).into();
    let resource = |draw: &mut Draw<'_>| format!("r{}", draw.below(3));
    CopiesConfig {
        nodes: maybe(draw, nodes),
        promotable: several(draw, resource).into_iter().collect(),
    }
}

fn agent(draw: &mut Draw<'_>) -> Agent {
    let command = |draw: &mut Draw<'_>| several(draw, |draw| format!("/bin/{}", draw.below(3)));
    match draw.below(4) {
        0 => {
            let ready =
                if draw.flag() { Ready::Notify } else { Ready::Tcp((address(draw), 6380).into()) };
            let user = maybe(draw, |draw| format!("u{}", draw.below(3)));
            let how = ProcessHow { ready, user, ..Default::default() };
            Agent::Process { command: command(draw), monitor: None, how }
        }
        1 => {
            let unit = format!("u{}.service", draw.below(3));
            Agent::Unit { unit, monitor: maybe(draw, command) }
        }
        2 => {
            let image = format!("image{}:1", draw.below(3));
            let (source, target) = ("/srv/a".to_owned(), "/data".to_owned());
            let mount = |draw: &mut Draw<'_>| MountConfig {
                source: source.clone(),
                target: target.clone(),
                read_only: draw.flag(),
            };
            let how = ContainerHow { mounts: several(draw, mount), ..Default::default() };
            Agent::Container { image, command: command(draw), monitor: None, how }
        }
        _ => {
            let parameters = BTreeMap::from([("state".to_owned(), draw.number().to_string())]);
            let (provider, kind) = ("heartbeat".to_owned(), "Dummy".to_owned());
            Agent::Ocf { provider, kind, parameters }
        }
    }
}

fn more(draw: &mut Draw<'_>) -> BTreeMap<ServiceId, ServiceMore> {
    let one = |draw: &mut Draw<'_>| ResourceConfig {
        name: format!("r{}", draw.below(3)),
        agent: agent(draw),
        needs: several(draw, |draw| format!("r{}", draw.below(3))).into_iter().collect(),
        times: ResourceTimes { start: maybe(draw, span), ..Default::default() },
        restarts: u32::from(draw.byte()),
        forget_after: span(draw),
        safety: Safety::Lease,
        stuck: if draw.flag() { Stuck::Reboot } else { Stuck::Wait },
    };
    let resources = several(draw, one);
    let hook = |draw: &mut Draw<'_>| {
        let command = several(draw, |draw| format!("/bin/{}", draw.below(3)));
        HookConfig { command, timeout: span(draw) }
    };
    let http = |draw: &mut Draw<'_>| Probe::Http {
        at: (address(draw), 80).into(),
        host: "10.0.0.100".to_owned(),
        path: "/health".to_owned(),
        expect: several(draw, |draw| u16::from(draw.byte())).into_iter().collect(),
        contains: maybe(draw, |_| "ready".to_owned()),
    };
    let more = ServiceMore {
        resources,
        needs: several(draw, service).into_iter().collect(),
        importance: draw.byte(),
        hooks: Hooks { takeover: maybe(draw, hook), release: maybe(draw, hook) },
        look: Look {
            probe: maybe(draw, http),
            slower_than: maybe(draw, span),
            failures: u16::from(draw.byte()),
        },
        copies: maybe(draw, copies),
    };
    BTreeMap::from([(ServiceId::from("web"), more)])
}

fn fencing(draw: &mut Draw<'_>) -> FencingConfig {
    let text = |draw: &mut Draw<'_>| format!("t{}", draw.below(3));
    let texts = |draw: &mut Draw<'_>| {
        several(draw, text).into_iter().map(|text| (text, "v".to_owned())).collect()
    };
    let mut device = |draw: &mut Draw<'_>| {
        let agent = match draw.below(3) {
            0 => {
                let (parameters, secrets) = (texts(draw), texts(draw));
                FenceAgent::Agent { name: "fence_apc".to_owned(), parameters, secrets }
            }
            1 => FenceAgent::Exec { command: several(draw, text) },
            _ => FenceAgent::Webhook { url: text(draw), secret: maybe(draw, text) },
        };
        let (timeout, retries) = (span(draw), draw.byte().into());
        (format!("d{}", draw.below(3)), DeviceConfig { agent, timeout, retries })
    };
    let plug = |draw: &mut Draw<'_>| Plug {
        device: format!("d{}", draw.below(4)),
        plug: maybe(draw, text),
    };
    let mut node = |draw: &mut Draw<'_>| {
        let after = if draw.flag() { AfterFence::On } else { AfterFence::StayOff };
        let levels = several(draw, |draw| several(draw, plug));
        let (rehearse, watchdog) = (maybe(draw, span), draw.flag());
        let name = format!("node{}", draw.below(5));
        (name, NodeFencing { levels, after, rehearse, watchdog })
    };
    FencingConfig {
        devices: several(draw, &mut device).into_iter().collect(),
        nodes: several(draw, &mut node).into_iter().collect(),
        rules: maybe(draw, super::rules::rules).unwrap_or_default(),
        redirect: maybe(draw, super::layers::redirect).unwrap_or_default(),
    }
}

fn satellites(draw: &mut Draw<'_>) -> BTreeSet<String> {
    let some = maybe(draw, |draw| several(draw, |draw| format!("node{}", draw.below(5))));
    some.into_iter().flatten().collect()
}

fn described(draw: &mut Draw<'_>) -> ServiceConfig {
    ServiceConfig {
        addresses: several(draw, |draw| ServiceAddress {
            ip: address(draw),
            prefix: draw.byte(),
            interface: None,
        }),
        program: None,
        monitor: None,
        prefer: several(draw, |draw| super::rules::place(draw).to_string()),
        failback: draw.flag(),
    }
}
