//! The replicated state: what each change does, and that a refused one does nothing at all.

use stead_core::id::{ClusterId, Epoch, Incarnation, Index, NodeId, ServiceId, Term};
use stead_core::state::{
    Cause, Change, Holder, Outcome, ProofRecord, Reached, Refusal, Stage, State, Takeover,
};
use stead_core::time::Span;

use super::wanted::{address, wanted};

/// A state and the index of its next entry.
pub struct Book {
    pub state: State,
    next: u64,
}

impl Book {
    pub fn new() -> Self {
        Self { state: State::default(), next: 1 }
    }

    /// Two members of two nodes, both in the view, and two services.
    pub fn founded() -> Self {
        let mut book = Self::new();
        book.done(found("a"));
        book.done(Change::AddToken { token: [2; 32], node: "b".into() });
        assert_eq!(book.apply(join([2; 32])), Outcome::Joined(NodeId(2)));
        book.done(Change::Lead { term: Term(1) });
        book.done(admit(1, 1));
        book.done(admit(2, 1));
        book
    }

    pub fn apply(&mut self, change: Change) -> Outcome {
        self.next += 1;
        self.state.apply(Index(self.next), change)
    }

    #[track_caller]
    pub fn done(&mut self, change: Change) {
        let outcome = self.apply(change.clone());
        assert_eq!(outcome, Outcome::Done, "{change:?}");
    }

    #[track_caller]
    pub fn refused(&mut self, change: Change, refusal: Refusal) {
        let before = self.state.clone();
        assert_eq!(self.apply(change.clone()), Outcome::Refused(refusal), "{change:?}");
        let after = State { applied: before.applied, ..self.state.clone() };
        assert_eq!(after, before, "{change:?} was refused and changed something");
    }

    pub fn epoch(&self, service: &str) -> Epoch {
        self.state.assignments[&service.into()].epoch
    }

    pub fn assign(&mut self, service: &str, node: u64) -> Change {
        let base = self.epoch(service);
        Change::Assign { service: service.into(), base, node: NodeId(node) }
    }

    pub fn stop(&self, service: &str, wish: Option<u64>) -> Change {
        let base = self.epoch(service);
        let (cause, wish) = (Cause::Planned, wish.map(NodeId));
        Change::Stop { service: service.into(), base, cause, wish }
    }

    pub fn stopped(&self, service: &str, node: u64) -> Change {
        let (epoch, service) = (self.epoch(service), service.into());
        Change::Stopped { service, node: NodeId(node), epoch, cause: Cause::Lost, took: Span(7) }
    }

    pub fn takeover(&self, node: u64, to: &[(&str, Option<u64>)]) -> Takeover {
        let to = to.iter().map(|(service, node)| (ServiceId::from(*service), node.map(NodeId)));
        Takeover {
            node: NodeId(node),
            term: self.state.term,
            incarnation: self.state.view[&NodeId(node)].incarnation,
            base: self.state.epoch,
            proof: ProofRecord::LeaseExpired,
            cause: Cause::Silent,
            assignments: to.collect(),
            stages: Vec::new(),
        }
    }
}

fn found(node: &str) -> Change {
    let (cluster, key) = (ClusterId([1; 16]), [1; 32]);
    Change::Found { cluster, config: wanted(), node: node.into(), key }
}

fn join(token: [u8; 32]) -> Change {
    Change::Join { token, key: token }
}

pub fn admit(node: u64, incarnation: u64) -> Change {
    Change::Admit { node: NodeId(node), incarnation: Incarnation(incarnation) }
}

#[test]
fn a_cluster_begins_once() {
    let mut book = Book::new();
    book.refused(admit(1, 1), Refusal::NotFounded);
    book.refused(found("z"), Refusal::NotAwaited("z".into()));
    book.done(found("a"));
    book.refused(found("a"), Refusal::AlreadyFounded);
    assert_eq!(book.state.name(NodeId(1)), "a");
    assert_eq!(book.state.revision, 1);
}

#[test]
fn a_token_lets_one_node_join_once() {
    let mut book = Book::founded();
    let token = |node: &str| Change::AddToken { token: [3; 32], node: node.into() };
    book.refused(token("z"), Refusal::NotAwaited("z".into()));
    book.refused(token("b"), Refusal::NotAwaited("b".into()));
    book.refused(join([3; 32]), Refusal::BadToken);
    book.done(token("c"));
    book.done(Change::AddToken { token: [4; 32], node: "c".into() });
    book.refused(join([3; 32]), Refusal::BadToken);
    assert_eq!(book.apply(join([4; 32])), Outcome::Joined(NodeId(3)));
    book.refused(join([4; 32]), Refusal::BadToken);
}

#[test]
fn who_serves_can_not_leave_and_who_left_is_remembered() {
    let mut book = Book::founded();
    let leave = |node| Change::Leave { node: NodeId(node) };
    book.refused(leave(9), Refusal::NoSuchNode);
    let assign = book.assign("s0", 2);
    book.done(assign);
    book.refused(leave(2), Refusal::StillServes("s0".into()));
    book.done(book.stop("s0", None));
    book.done(book.stopped("s0", 2));
    book.done(leave(2));
    assert!(!book.state.view.contains_key(&NodeId(2)));
    assert_eq!(book.state.name(NodeId(2)), "b", "it may vote for a moment yet");
    book.refused(leave(1), Refusal::LastMember);
    book.refused(admit(2, 9), Refusal::NoSuchNode);
}

#[test]
fn a_configuration_names_the_one_it_replaces() {
    let mut book = Book::founded();
    let configure = |base, config| Change::Configure { base, config };
    book.refused(configure(0, wanted()), Refusal::Stale);
    let mut without = wanted();
    without.nodes.remove("b");
    book.refused(configure(1, without), Refusal::MemberMissing("b".into()));
    let mut absurd = wanted();
    absurd.round_trip = absurd.ride_out;
    book.refused(configure(1, absurd), Refusal::Stale);
    book.refused(Change::Settle { revision: 1 }, Refusal::Stale);
    let mut quick = wanted();
    quick.ride_out = Span::from_millis(100);
    book.done(configure(1, quick));
    let slack = Span::from_millis(10);
    let former = book.state.former_timers.expect("former timers count on");
    assert_eq!(book.state.wait(slack), former.wait(slack), "the longer of both");
    book.refused(configure(2, wanted()), Refusal::Unsettled);
    book.refused(Change::Settle { revision: 1 }, Refusal::Stale);
    book.done(Change::Settle { revision: 2 });
    assert_eq!(book.state.wait(slack), book.state.timers.wait(slack));
}

#[test]
fn an_assignment_moves_only_by_a_record_or_a_takeover() {
    let mut book = Book::founded();
    let assign = book.assign("s0", 1);
    book.done(assign.clone());
    book.refused(assign, Refusal::Stale);
    let again = book.assign("s0", 2);
    book.refused(again, Refusal::Stale);
    let away = book.assign("s1", 3);
    book.refused(away, Refusal::NotEligible(NodeId(3)));
    book.refused(
        Change::Assign { service: "no".into(), base: Epoch(0), node: NodeId(1) },
        Refusal::NoSuchService,
    );
    book.refused(book.stopped("s0", 2), Refusal::Stale);
    book.refused(book.stop("s0", Some(1)), Refusal::AlreadyThere);
    book.refused(book.stop("s0", Some(3)), Refusal::NotEligible(NodeId(3)));
    book.done(book.stop("s0", Some(2)));
    book.refused(book.stop("s0", Some(2)), Refusal::Stale);
    let (stopped, epoch) = (book.stopped("s0", 1), book.epoch("s0"));
    book.done(stopped.clone());
    book.refused(stopped, Refusal::Stale);
    assert!(book.epoch("s0") > epoch);
    let holder = &book.state.assignments[&"s0".into()].holder;
    assert_eq!(*holder, Holder::Stopped { node: NodeId(1), cause: Cause::Planned, took: Span(7) });
    book.refused(
        Change::Stop { service: "no".into(), base: Epoch(0), cause: Cause::Planned, wish: None },
        Refusal::NoSuchService,
    );
}

#[test]
fn a_takeover_names_all_that_it_was_decided_upon() {
    let mut book = Book::founded();
    let assign = book.assign("s0", 2);
    book.done(assign);
    let good = book.takeover(2, &[("s0", Some(1))]);
    let with = |change: &dyn Fn(&mut Takeover)| {
        let mut takeover = good.clone();
        change(&mut takeover);
        Change::Takeover(takeover)
    };
    book.refused(with(&|it| it.incarnation = Incarnation(2)), Refusal::Stale);
    book.refused(with(&|it| it.base = Epoch(1)), Refusal::Stale);
    book.refused(with(&|it| it.node = NodeId(3)), Refusal::Stale);
    book.refused(with(&|it| it.term = Term(0)), Refusal::Stale);
    // The next coordinator has begun: what the one before decided comes too late.
    let mut later = Book { state: book.state.clone(), next: book.next };
    later.done(Change::Lead { term: Term(2) });
    later.refused(Change::Takeover(good.clone()), Refusal::Stale);
    later.refused(Change::Lead { term: Term(2) }, Refusal::Stale);
    book.done(Change::Takeover(good.clone()));
    book.refused(Change::Takeover(good), Refusal::Stale);
    let assignment = &book.state.assignments[&"s0".into()];
    assert_eq!((assignment.holder.clone(), book.state.view.len()), (Holder::Node(NodeId(1)), 1));
    assert_eq!(book.state.incidents.len(), 1);
    // To nobody who is in the view, or to a node that is not: it waits for an assignment.
    let lost = book.takeover(1, &[("s0", Some(2))]);
    book.done(Change::Takeover(lost));
    assert_eq!(book.state.assignments[&"s0".into()].holder.node(), None);
}

#[test]
fn a_new_start_of_a_guard_renews_the_epochs_of_what_it_holds() {
    let mut book = Book::founded();
    let assign = book.assign("s0", 2);
    book.done(assign);
    let epoch = book.epoch("s0");
    book.refused(admit(2, 1), Refusal::Stale);
    book.done(admit(2, 2));
    assert_eq!(book.state.view[&NodeId(2)].index, book.state.applied);
    book.refused(admit(2, 1), Refusal::Stale);
    assert!(book.epoch("s0") > epoch, "a start after a lost lease needs a new epoch");
}

#[test]
fn an_address_goes_to_another_service_only_when_its_holder_has_stopped() {
    let mut book = Book::founded();
    for (service, node) in [("s0", 1), ("s1", 2)] {
        let assign = book.assign(service, node);
        book.done(assign);
    }
    let mut swapped = wanted();
    for (service, other) in [("s0", 1), ("s1", 0)] {
        let service = swapped.services.get_mut(&service.into()).expect("it is configured");
        service.addresses[0].ip = address(other);
    }
    book.done(Change::Configure { base: 1, config: swapped });
    let held = book.state.assignments[&"s0".into()].addresses.clone();
    assert_eq!(held, [address(0)], "the holder may answer for the old one until it has stopped");
    book.done(book.stopped("s0", 1));
    let assign = book.assign("s0", 1);
    book.refused(assign, Refusal::Stale);
    let takeover = book.takeover(1, &[]);
    book.done(Change::Takeover(takeover));
    // The death of the one holder gives it to nobody while the other may still answer.
    let takeover = book.takeover(2, &[("s1", None)]);
    book.done(Change::Takeover(takeover));
    book.done(admit(1, 2));
    let assign = book.assign("s0", 1);
    book.done(assign);
    assert_eq!(book.state.assignments[&"s0".into()].addresses, [address(1)]);
}

#[test]
fn a_service_that_is_no_longer_wanted_is_forgotten_when_it_has_stopped() {
    let mut book = Book::founded();
    for service in ["s0", "s1"] {
        let assign = book.assign(service, 1);
        book.done(assign);
    }
    let takeover = book.takeover(1, &[("s0", Some(2)), ("s1", Some(2))]);
    let mut fewer = wanted();
    fewer.services.remove(&"s1".into());
    book.done(Change::Configure { base: 1, config: fewer });
    assert!(matches!(book.state.assignments[&"s1".into()].holder, Holder::Stopping { .. }));
    // A takeover that was planned before gives it to nobody.
    book.done(Change::Takeover(takeover));
    assert!(!book.state.assignments.contains_key(&"s1".into()));
    assert_eq!(book.state.assignments[&"s0".into()].holder, Holder::Node(NodeId(2)));
}

#[test]
fn standby_failures_and_stages_are_kept() {
    let mut book = Book::founded();
    let standby = |node, on| Change::Standby { node: NodeId(node), on };
    book.refused(standby(9, true), Refusal::NoSuchNode);
    book.refused(standby(1, false), Refusal::AlreadyThere);
    book.done(standby(1, true));
    book.refused(standby(1, true), Refusal::AlreadyThere);
    let assign = book.assign("s1", 2);
    book.done(assign);
    let (epoch, service) = (book.epoch("s1"), ServiceId::from("s1"));
    let (node, cause, took) = (NodeId(2), Cause::Failed, Span(1));
    book.done(Change::Stopped { service: service.clone(), node, epoch, cause, took });
    assert_eq!(book.state.assignments[&service].failures[&node], 1);
    book.refused(Change::Clear { service: Some("no".into()) }, Refusal::NoSuchService);
    book.done(Change::Clear { service: Some(service.clone()) });
    assert!(book.state.assignments[&service].failures.is_empty());
    book.done(Change::Clear { service: None });
    let assign = book.assign("s1", 2);
    book.done(assign);
    let (reached, after) = (Reached::Claimed, Span(5));
    let about = Some(service.clone());
    let stage = Stage { node, service: about, reached, after, detail: String::new() };
    let observe = |epoch| {
        let stages = vec![stage.clone(), stage.clone()];
        Change::Observe { service: service.clone(), epoch, stages }
    };
    book.refused(observe(Epoch(1)), Refusal::Stale);
    let epoch = book.epoch("s1");
    book.done(observe(epoch));
    book.done(observe(epoch));
    let stages = book.state.incidents.back().map(|incident| incident.stages.len());
    assert_eq!(stages, Some(2), "what the old holder said, and each new stage once");
    // Of a layer once, whoever saw it; of each layer.
    for detail in ["dns, seen by a", "dns, seen by b", "route, seen by b"] {
        let (reached, about) = (Reached::Converged, Some(service.clone()));
        let stage = Stage { node, service: about, reached, after, detail: detail.into() };
        book.done(Change::Observe { service: service.clone(), epoch, stages: vec![stage] });
    }
    let stages = book.state.incidents.back().map(|incident| incident.stages.len());
    assert_eq!(stages, Some(4));
}

#[test]
fn incidents_are_bounded() {
    let mut book = Book::founded();
    for _ in 0..150 {
        let assign = book.assign("s0", 1);
        book.done(assign);
        book.done(book.stopped("s0", 1));
    }
    assert_eq!(book.state.incidents.len(), 100);
    assert_eq!(book.state.incident_count, 149);
}
