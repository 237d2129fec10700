//! What operators keep from running or from being touched, and who waits for whom
//! (`docs/protocol.md`, section 15).

use std::collections::BTreeSet;

use stead_core::id::{NodeId, ServiceId};
use stead_core::placement::{self, Able, Sight};
use stead_core::points::Seen;
use stead_core::state::config::{Config, Safety, ServiceMore};
use stead_core::state::{
    Cause, Change, Holder, Maintenance, Outcome, PROTOCOL_0_5, ProofRecord, Refusal, Scope, State,
};
use stead_core::time::Span;

use super::state::Book;
use super::wanted::wanted;

const DATA: &str = "s0";
const FRONT: &str = "s1";

fn service(name: &str) -> ServiceId {
    name.into()
}

/// `s1` needs `s0`, and is the more important one.
fn needing() -> Config {
    let mut config = wanted();
    let more =
        ServiceMore { needs: [service(DATA)].into(), importance: 90, ..ServiceMore::default() };
    config.later.next.services.insert(service(FRONT), more);
    config
}

/// Both run on the first of two nodes.
fn book() -> Book {
    let mut book = Book::founded();
    let base = book.state.revision;
    book.done(Change::Configure { base, config: needing() });
    for name in [DATA, FRONT] {
        let assign = book.assign(name, 1);
        book.done(assign);
    }
    book
}

fn able() -> Able {
    Able::from(BTreeSet::from([NodeId(1), NodeId(2)]))
}

fn stop(names: &[&str], on: bool) -> Change {
    Change::StopServices { services: names.iter().map(|name| service(name)).collect(), on }
}

fn maintain(scope: Scope, on: bool) -> Change {
    let (reason, by) = ("upgrade".to_owned(), "a".to_owned());
    Change::Maintain { scope, maintenance: on.then_some(Maintenance { reason, by, wall: 7 }) }
}

/// Which service is to leave next, and where to.
fn leaves(state: &State) -> Option<(String, Option<NodeId>)> {
    let change = super::placed::departure(Sight::new(state, &able(), &Seen::default()))?;
    let Change::Stop { service, wish, .. } = change else { panic!("{change:?}") };
    Some((service.0, wish))
}

/// It is told to stop, and has stopped.
fn stopped(book: &mut Book, name: &str, cause: Cause) {
    let assignment = book.state.assignments[&service(name)].clone();
    let (epoch, node) = (assignment.epoch, assignment.holder.node().expect("it is held"));
    if cause == Cause::Planned {
        let (service, base) = (service(name), epoch);
        book.done(Change::Stop { service, base, cause, wish: None });
    }
    let (service, took) = (service(name), Span::ZERO);
    book.done(Change::Stopped { service, node, epoch, cause, took });
}

#[test]
fn stopped_services_leave_in_order_and_stay_so() {
    let mut book = book();
    book.done(stop(&[DATA, FRONT], true));
    assert_eq!(book.apply(stop(&[FRONT], true)), Outcome::Refused(Refusal::AlreadyThere));
    assert_eq!(book.apply(stop(&["no"], true)), Outcome::Refused(Refusal::NoSuchService));
    assert_eq!(leaves(&book.state), Some((FRONT.into(), None)), "it needs the other");
    stopped(&mut book, FRONT, Cause::Planned);
    assert_eq!(leaves(&book.state), Some((DATA.into(), None)));
    stopped(&mut book, DATA, Cause::Planned);
    let assignment =
        || super::placed::assignment(Sight::new(&book.state, &able(), &Seen::default()));
    assert_eq!(assignment(), None);
    // Nor is a decision of before, or one of an older mind, taken.
    let late = book.assign(DATA, 2);
    assert_eq!(book.apply(late), Outcome::Refused(Refusal::Stale));
    book.done(stop(&[DATA, FRONT], false));
    let next = super::placed::assignment(Sight::new(&book.state, &able(), &Seen::default()));
    let Some(Change::Assign { service, .. }) = next else { panic!("{next:?}") };
    assert_eq!(service.0, DATA, "what the more important needs comes before it");
}

#[test]
fn one_that_is_stopped_alone_waits_for_nobody_who_stays() {
    let mut book = book();
    book.done(stop(&[DATA], true));
    assert_eq!(leaves(&book.state), Some((DATA.into(), None)));
}

#[test]
fn a_halt_and_a_drain_take_what_needs_another_first() {
    let mut book = book();
    book.done(Change::Halt { nodes: [NodeId(1), NodeId(2)].into(), on: true });
    assert_eq!(leaves(&book.state), Some((FRONT.into(), None)));
    book.done(Change::Halt { nodes: [NodeId(1), NodeId(2)].into(), on: false });
    book.done(Change::Standby { node: NodeId(1), on: true });
    assert_eq!(leaves(&book.state), Some((FRONT.into(), Some(NodeId(2)))));
    stopped(&mut book, FRONT, Cause::Planned);
    let assign = book.assign(FRONT, 2);
    book.done(assign);
    assert_eq!(leaves(&book.state), Some((DATA.into(), Some(NodeId(2)))));
}

#[test]
fn what_is_in_maintenance_goes_nowhere_and_comes_from_nowhere() {
    let scopes = [Scope::Cluster, Scope::Node(NodeId(1)), Scope::Service(service(DATA))];
    for scope in scopes {
        let mut book = book();
        book.done(maintain(scope.clone(), true));
        let kept = book.state.assignments[&service(DATA)].clone();
        assert!(book.state.is_maintained(&service(DATA)), "{scope:?}");
        let refused = Outcome::Refused(Refusal::InMaintenance(service(DATA)));
        assert_eq!(book.apply(stop(&[DATA], true)), refused);
        book.done(Change::Standby { node: NodeId(1), on: true });
        assert_ne!(leaves(&book.state).map(|(name, _)| name).as_deref(), Some(DATA));
        let (base, wish) = (kept.epoch, None);
        let planned = Change::Stop { service: service(DATA), base, cause: Cause::Planned, wish };
        assert_eq!(book.apply(planned), Outcome::Refused(Refusal::Stale));
        // What runs by a configuration is left running by it.
        let mut other = needing();
        other.services.get_mut(&service(DATA)).expect("there").failback = true;
        let revision = book.state.revision;
        let change = Change::Configure { base: revision, config: other };
        assert_eq!(book.apply(change), refused);
        // Its node has lost it: nobody begins it before that is over.
        stopped(&mut book, DATA, Cause::Lost);
        let next = super::placed::assignment(Sight::new(&book.state, &able(), &Seen::default()));
        assert_eq!(next, None, "{scope:?}");
        let late = book.assign(DATA, 2);
        assert_eq!(book.apply(late), Outcome::Refused(Refusal::Stale));
        book.done(maintain(scope.clone(), false));
        assert_eq!(book.apply(maintain(scope, false)), Outcome::Refused(Refusal::AlreadyThere));
        assert!(
            super::placed::assignment(Sight::new(&book.state, &able(), &Seen::default())).is_some()
        );
    }
}

#[test]
fn nothing_comes_to_a_node_in_maintenance() {
    let mut book = book();
    book.done(maintain(Scope::Node(NodeId(2)), true));
    book.done(Change::Standby { node: NodeId(1), on: true });
    assert_eq!(leaves(&book.state), None, "there is no place for it");
    assert_eq!(
        placement::successors(
            Sight::new(&book.state, &able(), &Seen::default()),
            NodeId(1),
            ProofRecord::LeaseExpired
        ),
        [(service(DATA), None), (service(FRONT), None)]
    );
}

#[test]
fn what_was_decided_before_a_node_was_in_maintenance_comes_too_late() {
    let mut book = book();
    stopped(&mut book, DATA, Cause::Failed);
    let assign = book.assign(DATA, 2);
    let to = [(FRONT, Some(2))];
    let takeover = Change::Takeover(book.takeover(1, &to));
    let epoch = book.state.assignments[&service(FRONT)].epoch;
    let wish = Some(NodeId(2));
    let planned =
        Change::Stop { service: service(FRONT), base: epoch, cause: Cause::Planned, wish };
    book.done(maintain(Scope::Node(NodeId(2)), true));
    assert_eq!(book.apply(assign), Outcome::Refused(Refusal::Stale));
    assert_eq!(book.apply(planned), Outcome::Refused(Refusal::NotEligible(NodeId(2))));
    book.done(takeover);
    let holder = &book.state.assignments[&service(FRONT)].holder;
    assert!(matches!(holder, Holder::Stopped { .. }), "{holder:?}");
}

#[test]
fn a_node_boots_itself_only_when_all_that_it_has_may_go_down() {
    let scopes = [Scope::Cluster, Scope::Node(NodeId(1)), Scope::Service(service(FRONT))];
    for scope in scopes {
        let mut book = book();
        assert!(book.state.may_boot(NodeId(1)));
        book.done(maintain(scope.clone(), true));
        assert!(!book.state.may_boot(NodeId(1)), "{scope:?}");
        assert_eq!(book.state.may_boot(NodeId(2)), scope != Scope::Cluster, "{scope:?}");
        book.done(maintain(scope, false));
        assert!(book.state.may_boot(NodeId(1)));
    }
}

#[test]
fn what_was_lost_in_maintenance_goes_on_where_it_was() {
    // Its node was booted while somebody worked on it, or its daemon was.
    for by_takeover in [true, false] {
        let mut book = book();
        book.done(maintain(Scope::Service(service(DATA)), true));
        if by_takeover {
            let to = [(DATA, Some(2)), (FRONT, Some(2))];
            let takeover = Change::Takeover(book.takeover(1, &to));
            book.done(takeover);
            book.done(super::state::admit(1, 2));
        } else {
            stopped(&mut book, DATA, Cause::Lost);
        }
        let assignment = &book.state.assignments[&service(DATA)];
        assert!(matches!(assignment.holder, Holder::Stopped { .. }), "{assignment:?}");
        assert_eq!(assignment.wish, Some(NodeId(1)), "{by_takeover}");
        book.done(maintain(Scope::Service(service(DATA)), false));
        let next = super::placed::assignment(Sight::new(&book.state, &able(), &Seen::default()));
        let Some(Change::Assign { node, .. }) = next else { panic!("{next:?}") };
        assert_eq!(node, NodeId(1));
    }
}

#[test]
fn who_waits_for_a_dead_node_is_waited_for_by_nobody() {
    let mut book = book();
    // The one that needs the other is bound, and its node is lost; the other is on the second node.
    let mut config = needing();
    let more = config.later.next.services.get_mut(&service(FRONT)).expect("there");
    more.resources = super::bound::mount(Safety::Fence).resources;
    let base = book.state.revision;
    book.done(Change::Configure { base, config });
    // Its new configuration has the one stopping already.
    for (name, node, cause) in [(DATA, 2, Cause::Planned), (FRONT, 1, Cause::Lost)] {
        stopped(&mut book, name, cause);
        let assign = book.assign(name, node);
        book.done(assign);
    }
    let takeover = Change::Takeover(book.takeover(1, &[]));
    book.done(takeover);
    assert!(book.state.waits_for(&service(FRONT), NodeId(1)));
    book.done(stop(&[FRONT, DATA], true));
    assert_eq!(leaves(&book.state).map(|(name, _)| name).as_deref(), Some(DATA));
}

#[test]
fn what_ended_in_maintenance_goes_on_where_it_was() {
    let mut book = book();
    stopped(&mut book, DATA, Cause::Maintenance);
    let assignment = &book.state.assignments[&service(DATA)];
    assert_eq!(assignment.wish, Some(NodeId(1)));
    assert!(assignment.failures.is_empty(), "it has not failed");
}

#[test]
fn a_service_works_under_its_assignment_only() {
    let mut book = book();
    let epoch = book.state.assignments[&service(DATA)].epoch;
    let works = Change::Works { service: service(DATA), epoch };
    assert_eq!(works.protocol(), PROTOCOL_0_5);
    assert_eq!(book.state.lacks(&service(FRONT)), [DATA]);
    book.done(works.clone());
    assert!(book.state.works(&service(DATA)) && book.state.lacks(&service(FRONT)).is_empty());
    stopped(&mut book, DATA, Cause::Failed);
    assert!(!book.state.works(&service(DATA)));
    assert_eq!(book.apply(works.clone()), Outcome::Refused(Refusal::Stale));
    let assign = book.assign(DATA, 2);
    book.done(assign);
    assert_eq!(book.apply(works), Outcome::Refused(Refusal::Stale));
    assert!(matches!(book.state.assignments[&service(DATA)].holder, Holder::Node(_)));
    assert!(!book.state.works(&service(DATA)), "it has yet to say so under the new one");
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut book = book();
    book.done(stop(&[FRONT], true));
    let epoch = book.state.assignments[&service(DATA)].epoch;
    book.done(Change::Works { service: service(DATA), epoch });
    book.done(maintain(Scope::Service(service(DATA)), true));
    stopped(&mut book, DATA, Cause::Lost);
    stopped(&mut book, FRONT, Cause::Planned);
    let mut config = wanted();
    config.services.clear();
    let base = book.state.revision;
    book.done(Change::Configure { base, config });
    assert!(book.state.later.next.stopped.is_empty());
    assert!(book.state.later.next.maintenance.services.is_empty());
    assert!(book.state.later.next.works.is_empty());
    book.done(maintain(Scope::Node(NodeId(2)), true));
    book.done(Change::Leave { node: NodeId(2) });
    assert!(book.state.later.next.maintenance.nodes.is_empty());
}
