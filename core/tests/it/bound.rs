//! What stays with its node until that is proven to be off.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{NodeId, ServiceId};
use stead_core::placement::{Able, Sight};
use stead_core::points::Seen;
use stead_core::state::config::{Agent, ResourceConfig, ResourceTimes, Safety, ServiceMore, Stuck};
use stead_core::state::{
    Cause, Change, Confirmation, Holder, Maintenance, Outcome, PROTOCOL_0_5, ProofRecord, Refusal,
    Scope, Takeover,
};
use stead_core::time::Span;

use super::state::{Book, admit};
use super::wanted::wanted;

pub fn mount(safety: Safety) -> ServiceMore {
    let mount = ResourceConfig {
        name: "mount".into(),
        agent: Agent::Ocf {
            provider: "heartbeat".into(),
            kind: "Filesystem".into(),
            parameters: BTreeMap::new(),
        },
        needs: BTreeSet::new(),
        times: ResourceTimes::default(),
        restarts: 3,
        forget_after: Span::from_millis(600_000),
        safety,
        stuck: Stuck::Wait,
    };
    ServiceMore { resources: vec![mount], ..ServiceMore::default() }
}

/// Both services are with the second of two nodes, the second one has a mount of that class.
fn book(safety: Safety) -> Book {
    let mut book = Book::founded();
    configure(&mut book, Some(safety));
    for service in ["s0", "s1"] {
        let assign = book.assign(service, 2);
        book.done(assign);
    }
    book
}

fn configure(book: &mut Book, safety: Option<Safety>) {
    let mut config = wanted();
    let more = safety.map(|safety| ("s1".into(), mount(safety)));
    config.later.next.services = more.into_iter().collect();
    book.done(Change::Configure { base: book.state.revision, config });
}

fn lost(book: &mut Book, proof: ProofRecord) {
    let to = [("s0", Some(1)), ("s1", Some(1))];
    let takeover = Takeover { proof, ..book.takeover(2, &to) };
    book.done(Change::Takeover(takeover));
}

fn holder(book: &Book, service: &str) -> Holder {
    book.state.assignments[&service.into()].holder.clone()
}

fn confirm_off(node: u64) -> Change {
    let (reason, by) = ("it has no power".into(), "a".into());
    Change::ConfirmOff(Confirmation { node: NodeId(node), reason, by, wall: 7 })
}

#[test]
fn the_end_of_a_lease_frees_addresses_and_no_mounts() {
    let mut book = book(Safety::Fence);
    assert!(book.state.is_bound(&"s1".into()) && !book.state.is_bound(&"s0".into()));
    lost(&mut book, ProofRecord::LeaseExpired);
    assert_eq!(holder(&book, "s0"), Holder::Node(NodeId(1)));
    assert_eq!(
        holder(&book, "s1"),
        Holder::Stopping { node: NodeId(2), cause: Cause::Silent },
        "whatever the coordinator planned"
    );
    let waiting: Vec<_> = book.state.waiting_for(NodeId(2)).collect();
    assert_eq!(waiting, [&ServiceId::from("s1")]);
    // Nobody else can be given it, and its node can't be dropped.
    let assign = book.assign("s1", 1);
    book.refused(assign, Refusal::Stale);
    book.refused(Change::Leave { node: NodeId(2) }, Refusal::StillServes("s1".into()));
    let able = Able::from(BTreeSet::from([NodeId(1)]));
    assert_eq!(super::placed::assignment(Sight::new(&book.state, &able, &Seen::default())), None);
}

#[test]
fn without_such_a_thing_nothing_waits() {
    let mut book = book(Safety::Lease);
    lost(&mut book, ProofRecord::LeaseExpired);
    assert_eq!(holder(&book, "s1"), Holder::Node(NodeId(1)));
}

#[test]
fn who_said_in_its_last_word_that_all_had_stopped_is_not_waited_for() {
    let mut book = book(Safety::Fence);
    lost(&mut book, ProofRecord::Released);
    assert_eq!(holder(&book, "s1"), Holder::Node(NodeId(1)));
    assert!(book.state.is_bound(&"s1".into()), "now it is bound to the other");
}

#[test]
fn its_node_is_back_and_has_stopped_it() {
    let mut book = book(Safety::Fence);
    lost(&mut book, ProofRecord::LeaseExpired);
    let before = book.epoch("s1");
    book.done(admit(2, 2));
    assert!(book.epoch("s1") > before, "what its former start said of it counts no more");
    assert_eq!(holder(&book, "s1").node(), Some(NodeId(2)), "being back is not yet enough");
    assert!(book.state.is_bound(&"s1".into()));
    book.done(book.stopped("s1", 2));
    assert!(!book.state.is_bound(&"s1".into()));
    let assign = book.assign("s1", 1);
    book.done(assign);
}

#[test]
fn an_operator_says_that_it_is_off() {
    let mut book = book(Safety::Fence);
    assert_eq!(confirm_off(2).protocol(), PROTOCOL_0_5);
    book.refused(confirm_off(9), Refusal::NoSuchNode);
    book.refused(confirm_off(2), Refusal::StillHere);
    lost(&mut book, ProofRecord::LeaseExpired);
    let before = book.epoch("s1");
    book.done(confirm_off(2));
    let took = Span::ZERO;
    let stopped = Holder::Stopped { node: NodeId(2), cause: Cause::Silent, took };
    assert_eq!(holder(&book, "s1"), stopped);
    assert!(book.epoch("s1") > before);
    assert_eq!(book.state.later.next.confirmations.len(), 1);
    book.refused(confirm_off(2), Refusal::NothingWaits);
    // A word of its former holder that comes late changes nothing.
    let late = Change::Stopped {
        service: "s1".into(),
        node: NodeId(2),
        epoch: before,
        cause: Cause::Lost,
        took,
    };
    book.refused(late, Refusal::Stale);
    let assign = book.assign("s1", 1);
    book.done(assign);
    book.done(Change::Leave { node: NodeId(2) });
}

#[test]
fn what_binds_is_what_was_started_not_what_is_configured_now() {
    // The resource is taken out, and so is the service, while its node is away.
    let mut book = book(Safety::Fence);
    lost(&mut book, ProofRecord::LeaseExpired);
    configure(&mut book, None);
    assert_eq!(holder(&book, "s1").node(), Some(NodeId(2)));
    let mut config = wanted();
    config.services.remove(&"s1".into());
    book.done(Change::Configure { base: book.state.revision, config });
    assert_eq!(holder(&book, "s1").node(), Some(NodeId(2)), "it is remembered");
    configure(&mut book, None);
    let assign = book.assign("s1", 1);
    book.refused(assign, Refusal::Stale);
    book.done(confirm_off(2));
    let assign = book.assign("s1", 1);
    book.done(assign);
    assert!(!book.state.is_bound(&"s1".into()), "it has no such resource any more");
}

#[test]
fn its_address_is_not_bound_with_it() {
    // The lease that let a node answer for it is over.
    let mut book = book(Safety::Fence);
    lost(&mut book, ProofRecord::LeaseExpired);
    let mut config = wanted();
    config.later.next.services = [("s1".into(), mount(Safety::Fence))].into();
    let address = config.services[&"s1".into()].addresses.clone();
    let mut other = config.services[&"s0".into()].clone();
    other.addresses = address;
    config.services.insert("s2".into(), other);
    config.services.get_mut(&"s1".into()).expect("there").addresses.clear();
    book.done(Change::Configure { base: book.state.revision, config });
    let assign = book.assign("s2", 1);
    book.done(assign);
}

#[test]
fn a_service_that_is_gone_from_the_file_already_holds_up_no_other_configuration() {
    let mut book = book(Safety::Fence);
    lost(&mut book, ProofRecord::LeaseExpired);
    let mut config = wanted();
    config.services.remove(&"s1".into());
    book.done(Change::Configure { base: book.state.revision, config: config.clone() });
    assert_eq!(holder(&book, "s1").node(), Some(NodeId(2)));
    let (reason, by) = ("its disk is exchanged".into(), "a".into());
    let maintenance = Some(Maintenance { reason, by, wall: 7 });
    book.done(Change::Maintain { scope: Scope::Node(NodeId(2)), maintenance });
    config.daemon_grace = Span::from_millis(7_000);
    book.done(Change::Configure { base: book.state.revision, config });
}

#[test]
fn only_so_many_words_are_remembered() {
    let mut book = book(Safety::Fence);
    for start in 2..20 {
        lost(&mut book, ProofRecord::LeaseExpired);
        book.done(confirm_off(2));
        book.done(admit(2, start));
        let assign = book.assign("s1", 2);
        assert_eq!(book.apply(assign), Outcome::Done);
    }
    let kept = &book.state.later.next.confirmations;
    assert_eq!(kept.len(), stead_core::state::CONFIRMATIONS_KEPT);
}
