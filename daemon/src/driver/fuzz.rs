//! What comes out of the log, and what other daemons say.

use stead_core::id::{ClusterId, Epoch, Index, NodeId, ServiceId};
use stead_core::state::config::{Config, LinkConfig, NodeConfig};
use stead_core::state::{Change, Outcome, State};
use stead_core::time::Span;
use stead_fuzz::{Chance, Sample, target};
use stead_linux::tcp::Connection;
use stead_log::Machine;

use super::machine::{Replica, decode, encode, restored};
use super::peers::{Answer, Request};
use crate::connections::{Ends, Taken, Told};

fn found() -> Change {
    let addresses = [("lan".to_owned(), "10.0.0.1".parse().expect("an address"))].into();
    let config = Config {
        name: "shop".to_owned(),
        ride_out: Span::from_millis(300),
        round_trip: Span::from_millis(2),
        daemon_grace: Span::from_millis(10_000),
        links: [("lan".to_owned(), LinkConfig { port: 7744 })].into(),
        nodes: [("node1".to_owned(), NodeConfig { site: None, addresses })].into(),
        services: Default::default(),
        more: Default::default(),
        later: Default::default(),
    };
    let (cluster, node) = (ClusterId([7; 16]), "node1".to_owned());
    Change::Found { cluster, config, node, key: [1; 32] }
}

fn changes() -> Vec<Sample> {
    let (node, incarnation) = (NodeId(1), stead_core::id::Incarnation(1));
    let change = |change: Change| encode(&change).expect("it can be encoded");
    vec![
        ("found", change(found())),
        ("admit", change(Change::Admit { node, incarnation })),
        ("token", change(Change::AddToken { token: [3; 32], node: "node2".to_owned() })),
    ]
}

fn founded() -> Replica {
    let mut replica = Replica::default();
    let outcome = replica.apply(Index(1), &encode(&found()).expect("it can be encoded"));
    assert_eq!(decode::<Outcome>(&outcome).expect("an outcome"), Outcome::Done);
    replica
}

fn shot(replica: &Replica) -> Vec<u8> {
    replica.snapshot().expect("a state can be encoded")
}

#[test]
fn any_entry_of_the_log_is_applied_or_refused_by_all_alike() {
    target!("change").samples(changes).count(30_000).run(|bytes| {
        let (mut one, mut other) = (founded(), founded());
        let outcome = one.apply(Index(2), bytes);
        assert_eq!(outcome, other.apply(Index(2), bytes), "two members differ");
        assert_eq!(shot(&one), shot(&other), "two members differ");
        let outcome: Outcome = decode(&outcome).expect("an outcome is always given");
        let known = decode::<Change>(bytes).is_ok();
        assert!(known || matches!(outcome, Outcome::Refused(_)), "done without being known");
        known
    });
}

#[test]
fn any_snapshot_is_taken_or_refused_and_then_takes_every_change() {
    let samples = || {
        let mut replica = founded();
        let first = shot(&replica);
        for (at, (_, change)) in (2..).zip(changes()) {
            replica.apply(Index(at), &change);
        }
        vec![("founded", first), ("admitted", shot(&replica))]
    };
    let target = target!("snapshot").samples(samples).count(30_000);
    let changes: Vec<_> = changes().into_iter().map(|(_, change)| change).collect();
    target.run(|bytes| {
        let mut replica = founded();
        let before = shot(&replica);
        if replica.restore(bytes).is_err() {
            assert_eq!(shot(&replica), before, "refused, and changed all the same");
            return false;
        }
        let again = shot(&replica);
        assert_eq!(restored(&again).expect("it was taken once"), restored(bytes).expect("taken"));
        let mut chance = Chance::new(bytes.len() as u64);
        for index in 10..14 {
            if let Some(change) = chance.pick(&changes) {
                let state: State = restored(&shot(&replica)).expect("it is sound");
                replica.apply(Index(index), change);
                let after: State = restored(&shot(&replica)).expect("it stays sound");
                assert!(after.epoch >= state.epoch, "an epoch went back");
            }
        }
        true
    });
}

#[test]
fn any_words_of_another_daemon_are_read_or_refused() {
    let samples = || {
        let request = Request::Propose { change: found(), deadline_ms: 2_000 };
        let answer = Answer::Committed(Index(7), Outcome::Joined(NodeId(3)));
        let unknown = Answer::Unknown("no majority".to_owned());
        let ends = |local: &str, remote: &str| {
            let parse = |text: &str| text.parse().expect("an address");
            Ends::from(Connection { local: parse(local), remote: parse(remote) })
        };
        let clients = Told {
            service: ServiceId::from("web"),
            epoch: Epoch(7),
            number: 3,
            base: Some(2),
            added: vec![ends("10.0.0.100:80", "10.0.0.9:40000")],
            gone: vec![ends("[fd00::100]:80", "[fd00::9]:40000")],
        };
        vec![
            ("propose", encode(&request).expect("it can be encoded")),
            ("committed", encode(&answer).expect("it can be encoded")),
            ("unknown", encode(&unknown).expect("it can be encoded")),
            ("clients", encode(&Request::Connections(clients)).expect("it can be encoded")),
            ("taken", encode(&Answer::Connections(Taken::Behind)).expect("it can be encoded")),
        ]
    };
    target!("daemons").samples(samples).count(30_000).run(|bytes| {
        let request = decode::<Request>(bytes).map(|it| encode(&it).expect("it can be encoded"));
        let answer = decode::<Answer>(bytes).map(|it| encode(&it).expect("it can be encoded"));
        for again in [&request, &answer].into_iter().flatten() {
            assert!(!again.is_empty());
        }
        request.is_ok() || answer.is_ok()
    });
}
