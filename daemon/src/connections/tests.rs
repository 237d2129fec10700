//! Lists that are told, refused, and told again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::state::{Assignment, Holder, State};

use super::{Ends, Known, List, MOST, Taken, Told};

const HOLDER: NodeId = NodeId(2);
const OTHER: NodeId = NodeId(3);

fn address() -> IpAddr {
    "10.0.0.100".parse().expect("an address")
}

fn web() -> ServiceId {
    ServiceId::from("web")
}

/// The service is the holder's, in that epoch.
fn state(epoch: u64) -> State {
    let mut state = State::default();
    let assignment = Assignment {
        epoch: Epoch(epoch),
        holder: Holder::Node(HOLDER),
        addresses: vec![address()],
        ..Assignment::default()
    };
    state.assignments = BTreeMap::from([(web(), assignment)]);
    state
}

fn client(port: u16) -> Ends {
    Ends((address(), 80).into(), ([10, 0, 0, 9], port).into())
}

fn told(epoch: u64, number: u64, base: Option<u64>, added: &[u16], gone: &[u16]) -> Told {
    let of = |ports: &[u16]| ports.iter().map(|port| client(*port)).collect();
    let (epoch, added, gone) = (Epoch(epoch), of(added), of(gone));
    Told { service: web(), epoch, number, base, added, gone }
}

fn ports(list: &List) -> Vec<u16> {
    list.iter().map(|it| it.1.port()).collect()
}

#[test]
fn differences_add_up_to_the_list_and_a_gap_asks_for_the_whole() {
    let (known, state) = (Known::default(), state(7));
    let take = |told| known.take(HOLDER, told, &state);
    assert_eq!(take(told(7, 4, Some(3), &[1], &[])), Taken::Behind, "nothing to build upon");
    assert_eq!(take(told(7, 4, None, &[1, 2], &[])), Taken::Known);
    assert_eq!(take(told(7, 5, Some(4), &[3], &[1])), Taken::Known);
    assert_eq!(ports(&known.before(&web(), Epoch(8))), [2, 3]);
    assert_eq!(take(told(7, 8, Some(6), &[9], &[])), Taken::Behind, "one was lost");
    assert_eq!(ports(&known.before(&web(), Epoch(8))), [2, 3], "and nothing was changed");
    assert_eq!(take(told(7, 8, None, &[9], &[])), Taken::Known);
    assert_eq!(ports(&known.before(&web(), Epoch(8))), [9]);
}

#[test]
fn only_the_holder_is_heard_and_only_about_what_it_holds() {
    let (known, state) = (Known::default(), state(7));
    assert_eq!(known.take(OTHER, told(7, 1, None, &[1], &[]), &state), Taken::Behind);
    assert_eq!(known.take(HOLDER, told(6, 1, None, &[1], &[]), &state), Taken::Behind);
    let elsewhere = Told { service: ServiceId::from("db"), ..told(7, 1, None, &[1], &[]) };
    assert_eq!(known.take(HOLDER, elsewhere, &state), Taken::Behind);
    assert!(known.before(&web(), Epoch(99)).is_empty());
    let mut foreign = told(7, 1, None, &[1], &[]);
    foreign.added.push(Ends(([192, 0, 2, 1], 22).into(), ([10, 0, 0, 9], 5).into()));
    assert_eq!(known.take(HOLDER, foreign, &state), Taken::Known);
    assert_eq!(ports(&known.before(&web(), Epoch(8))), [1], "not of an address of its own");
}

#[test]
fn a_list_counts_for_later_assignments_only_and_has_an_end() {
    let (known, state) = (Known::default(), state(7));
    assert_eq!(known.take(HOLDER, told(7, 1, None, &[1], &[]), &state), Taken::Known);
    assert!(known.before(&web(), Epoch(7)).is_empty(), "that is what it has itself");
    assert_eq!(ports(&known.before(&web(), Epoch(8))), [1]);
    let all: Vec<u16> = (1..=u16::MAX).collect();
    assert_eq!(known.take(HOLDER, told(7, 2, None, &all, &[]), &state), Taken::Known);
    assert_eq!(known.before(&web(), Epoch(8)).len(), MOST);
    let more: Vec<u16> = (20_000..30_000).collect();
    assert_eq!(known.take(HOLDER, told(7, 3, Some(2), &more, &[]), &state), Taken::Known);
    assert_eq!(known.before(&web(), Epoch(8)).len(), MOST, "nor by pieces");
    known.keep(OTHER, &web(), Epoch(8), Arc::new(List::from([client(4)])));
    assert_eq!(ports(&known.before(&web(), Epoch(9))), [4], "what this node had itself");
}
