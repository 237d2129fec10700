//! What the tests of the API and of the command line share: a cluster that exists on paper.

mod expected;
mod fence;
mod join;
mod lower;
mod placed;
mod rehearse;
mod socket;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use stead_core::id::{ClusterId, Epoch, Incarnation, Index, NodeId, ServiceId, Term};
use stead_core::lease::{GateForm, LogTail, PeerMore, PeerReport, Report};
use stead_core::node::{LocalView, Phase};
use stead_core::quorum::chain::Chain;
use stead_core::state::{Change, Outcome, State};
use stead_core::table::Table;
use stead_core::time::{Instant, Span};
use stead_log::{Commits, Membership, Role, Status};
use tokio::sync::watch;

use crate::config;
use crate::driver::handle::{Handle, SubmitError};
use crate::driver::view::{TieView, View};
use crate::guard::ipc::Hello;
use crate::identity::{Identity, KnownMember};
use crate::keeper::Form;
use crate::keeper::report::Keeping;

pub(crate) const CLUSTER: &str = r#"
[cluster]
name = "shop"
[links.back]
[links.lan]
[nodes.node1]
site = "east"
addresses = { lan = "192.0.2.11", back = "198.51.100.11" }
[nodes.node2]
site = "west"
addresses = { lan = "192.0.2.12", back = "198.51.100.12" }
[nodes.node3]
addresses = { lan = "192.0.2.13", back = "198.51.100.13" }
[services.db]
addresses = ["192.0.2.101/24"]
[services.web]
addresses = ["192.0.2.100/24"]
prefer = ["node1", "node2"]
program = ["/usr/sbin/nginx", "-g", "daemon off;"]
monitor = ["/usr/bin/curl", "-f", "http://192.0.2.100/"]
"#;

/// The time of every picture here: 2026-03-01 12:00 UTC, 100 s after the machine started.
pub(crate) const NOW: Instant = Instant(100_000_000);

pub(crate) fn key(node: u64) -> [u8; 32] {
    [u8::try_from(node).unwrap(); 32]
}

/// A cluster of which all configured nodes up to `joined` are members, in view and well, seen by
/// node1: it coordinates and runs `web`; node2 holds `db`.
pub(crate) fn picture(text: &str, joined: u64) -> View {
    let config = config::read("cluster.toml", text).unwrap().config;
    let (mut state, mut index) = (State::default(), 0);
    let mut apply = |state: &mut State, change: Change| {
        index += 1;
        let outcome = state.apply(Index(index), change);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{index}: {outcome:?}");
    };
    let cluster = ClusterId([7; 16]);
    let names: Vec<_> = config.nodes.keys().cloned().collect();
    let services: Vec<ServiceId> = config.services.keys().cloned().collect();
    apply(&mut state, Change::Found { cluster, config, node: names[0].clone(), key: key(1) });
    apply(&mut state, Change::Lead { term: Term(5) });
    for number in 2..=joined {
        let (node, token) =
            (names[usize::try_from(number).unwrap() - 1].clone(), key(100 + number));
        apply(&mut state, Change::AddToken { token, node });
        apply(&mut state, Change::Join { token, key: key(number) });
    }
    for node in (1..=joined).map(NodeId) {
        apply(&mut state, Change::Admit { node, incarnation: Incarnation(1) });
    }
    for service in services {
        let base = state.assignments[&service].epoch;
        let node = NodeId(if service.0 == "db" && joined > 1 { 2 } else { 1 });
        apply(&mut state, Change::Assign { service, base, node });
    }
    let members = state.members.keys().map(|node| KnownMember {
        node: *node,
        key: key(node.0),
        addresses: Vec::new(),
    });
    let identity =
        Identity { cluster, node: NodeId(1), name: names[0].clone(), members: members.collect() };
    let voters: BTreeSet<NodeId> = state.members.keys().copied().collect();
    let running = |epoch| LocalView { epoch, phase: Phase::Running, verified: true };
    let local = state.held_by(NodeId(1)).map(|(id, it)| (id.clone(), running(it.epoch)));
    View {
        at: NOW,
        wall: UNIX_EPOCH + Duration::from_secs(1_772_366_400),
        identity: Arc::new(identity),
        log: log(state.applied, voters.clone()),
        commits: Commits { count: 3, time: Duration::from_millis(12) },
        ready: true,
        coordinating: true,
        disarmed_until: None,
        report: Some(report((2..=joined).map(|node| (NodeId(node), peer())).collect())),
        guard: Some(hello()),
        seen: stead_core::points::Seen::default(),
        guard_troubles: Vec::new(),
        copies: Default::default(),
        local: local.collect(),
        layers: BTreeMap::new(),
        keeping: Some(Keeping { form: Some(Form::Namespace), reason: None, lacks: Vec::new() }),
        last_words: BTreeMap::new(),
        answers: BTreeMap::new(),
        pictures: BTreeMap::new(),
        strangers: Vec::new(),
        clients: Default::default(),
        refused: Vec::new(),
        rejected: BTreeMap::new(),
        connected: (2..=joined).map(connected).collect(),
        quorum: Chain::default().ask(&voters, &vec![voters.clone()], None),
        overridable: stead_core::node::Overridable::Nothing,
        quarantined: BTreeMap::new(),
        ties: TieView::default(),
        state: Arc::new(state),
    }
}

fn log(applied: Index, voters: BTreeSet<NodeId>) -> Status {
    Status {
        term: Term(5),
        role: Role::Leader,
        leader: Some(NodeId(1)),
        applied: Some(applied),
        membership: Membership { voters, learners: BTreeSet::new() },
        ..Status::default()
    }
}

fn connected(node: u64) -> stead_log::transport::Connected {
    stead_log::transport::Connected {
        node: NodeId(node),
        lane: stead_log::network::Lane::Log,
        address: ([192, 0, 2, 10], 7744).into(),
        software: "stead 0.1.0".to_owned(),
        version: 2,
    }
}

fn report(peers: Table<NodeId, PeerReport>) -> Report {
    Report {
        at: NOW,
        incarnation: Incarnation(1),
        started: Instant(1_000_000),
        term: Term(5),
        vote_known: true,
        coordinates: Some(Term(5)),
        voters: Vec::new(),
        lease_until: NOW + Span::from_millis(300),
        quorate_until: NOW + Span::from_millis(300),
        earlier_coordinator: None,
        hears_coordinator: true,
        released: false,
        clock_distrusted: false,
        held: Vec::new(),
        hold_number: 0,
        timers: stead_core::timers::Timers::default(),
        lapsed: Epoch(0),
        peers,
        more: Default::default(),
        later: Default::default(),
    }
}

fn hello() -> Hello {
    Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: 4711,
        gate: "nftables".to_owned(),
        realtime: Ok(()),
        locked: Ok(()),
        slack: Span::from_millis(4),
        more: Default::default(),
    }
}

fn peer() -> PeerReport {
    let heard = NOW - Span::from_millis(7);
    PeerReport {
        heard: Some(heard),
        acknowledged: Some(heard),
        incarnation: Incarnation(1),
        term: Term(5),
        coordinator: false,
        daemon_alive: true,
        hears_coordinator: true,
        released: None,
        revoked: None,
        slack: Span::from_millis(4),
        log_tail: LogTail::default(),
        round_trip: Span::from_micros(350),
        links: [(0, heard), (1, NOW - Span::from_millis(9))].into(),
        more: PeerMore { gate: GateForm::EBPF, ..PeerMore::default() },
    }
}

/// Changes one node as this one's guard sees it.
pub(crate) fn change_peer(view: &mut View, node: u64, change: impl FnOnce(&mut PeerReport)) {
    let report = view.report.as_mut().unwrap();
    change(report.peers.get_mut(&NodeId(node)).unwrap());
}

/// The node fell silent that long ago.
pub(crate) fn silence(view: &mut View, node: u64, ago: Span) {
    view.connected.retain(|it| it.node != NodeId(node));
    change_peer(view, node, |peer| {
        peer.heard = Some(NOW - ago);
        peer.links.values_mut().for_each(|heard| *heard = NOW - ago);
    });
}

/// Changes the replicated state by hand.
pub(crate) fn change_state(view: &mut View, change: impl FnOnce(&mut State)) {
    change(Arc::make_mut(&mut view.state));
}

/// A driver on paper: changes are applied to the picture's state at once.
pub(crate) fn driver(view: View) -> (Handle, Arc<Mutex<Vec<Change>>>) {
    let (shown, seen) = watch::channel(Arc::new(view));
    let submitted = Arc::new(Mutex::new(Vec::new()));
    let noted = submitted.clone();
    let handle = Handle::answered_by(seen, move |change| {
        noted.lock().unwrap().push(change.clone());
        let mut view = View::clone(&shown.borrow());
        let index = Index(view.state.applied.0 + 1);
        let mut state = State::clone(&view.state);
        let outcome = state.apply(index, change);
        view.state = Arc::new(state);
        shown.send_replace(Arc::new(view));
        Ok((index, outcome))
    });
    (handle, submitted)
}

/// A driver that answers every change with that.
pub(crate) fn stubborn(view: View, error: SubmitError) -> (Handle, watch::Sender<Arc<View>>) {
    let (shown, seen) = watch::channel(Arc::new(view));
    (Handle::answered_by(seen, move |_| Err(error.clone())), shown)
}

pub(crate) fn journal(folder: &Path) -> crate::journal::Journal {
    crate::journal::Journal::open(&folder.join("events.jsonl"), "node1").unwrap()
}
