//! A node that comes and goes: when it is a last resort, for how long, and what that is worth.

use stead_core::id::{Incarnation, NodeId, ServiceId};
use stead_core::node::{Command, Quarantine};
use stead_core::notice::Notice;
use stead_core::placement::{self, Able, Sight};
use stead_core::points::Seen;
use stead_core::state::{Cause, Change, ProofRecord, Takeover};
use stead_core::time::{Instant, Span};

use super::desk::{Desk, ME, PEER};

const MINUTE: u64 = 60_000;

/// A coordinator, its only peer, and how often that was admitted.
struct Trial {
    desk: Desk,
    start: u64,
}

impl Trial {
    fn new() -> Self {
        Self { desk: Desk::begun(), start: 1 }
    }

    /// The peer is lost and comes back at once.
    fn lose(&mut self, cause: Cause) {
        self.gone(cause);
        self.start += 1;
        let incarnation = Incarnation(self.start);
        self.desk.report.peers.get_mut(&PEER).expect("known").incarnation = incarnation;
        self.desk.apply(Change::Admit { node: PEER, incarnation });
        self.pass(1);
    }

    fn gone(&mut self, cause: Cause) {
        let state = self.desk.node.state();
        let held: Vec<ServiceId> = state.held_by(PEER).map(|(it, _)| it.clone()).collect();
        let takeover = Takeover {
            node: PEER,
            term: state.term,
            incarnation: state.view[&PEER].incarnation,
            base: state.epoch,
            proof: ProofRecord::LeaseExpired,
            cause,
            assignments: held.into_iter().map(|it| (it, Some(ME))).collect(),
            stages: Vec::new(),
        };
        self.desk.apply(Change::Takeover(takeover));
    }

    /// Time goes by, and all are heard.
    fn pass(&mut self, millis: u64) {
        let at = self.desk.now + Span::from_millis(millis);
        self.desk.tell(millis, |report| Desk::hear(report, at));
    }

    fn quarantine(&self) -> Option<Quarantine> {
        self.desk.node.quarantined(self.desk.now).remove(&PEER)
    }

    /// How long the peer's quarantine lasts yet, in milliseconds.
    fn left(&self) -> Option<u64> {
        let until: Instant = self.quarantine()?.until?;
        Some(self.desk.now.until(until).as_micros() / 1_000)
    }

    fn said(&self, wanted: impl Fn(&Notice) -> bool) -> bool {
        self.desk.commands.iter().any(|it| matches!(it, Command::Notice(it) if wanted(it)))
    }
}

#[test]
fn the_third_loss_makes_a_quarantine_and_each_further_one_doubles_it() {
    let mut trial = Trial::new();
    for _ in 0..2 {
        trial.lose(Cause::Silent);
        assert_eq!(trial.quarantine(), None);
    }
    trial.lose(Cause::DaemonAway);
    assert_eq!(trial.left(), Some(MINUTE - 1));
    for factor in [2, 4, 8, 16, 32, 60, 60] {
        trial.lose(Cause::Silent);
        assert_eq!(trial.left(), Some(factor * MINUTE - 1), "an hour is the most");
    }
}

#[test]
fn who_leaves_in_order_was_not_lost() {
    let mut trial = Trial::new();
    for _ in 0..9 {
        trial.lose(Cause::Released);
    }
    assert_eq!(trial.quarantine(), None);
}

#[test]
fn it_begins_when_the_node_is_back_and_ends_with_a_word_for_people() {
    let mut trial = Trial::new();
    (0..2).for_each(|_| trial.lose(Cause::Silent));
    trial.gone(Cause::Silent);
    trial.pass(10 * MINUTE);
    let away = trial.quarantine().expect("it will be in quarantine");
    assert_eq!((away.losses, away.until), (3, None));
    trial.desk.apply(Change::Admit { node: PEER, incarnation: Incarnation(9) });
    assert!(trial.said(|it| matches!(it, Notice::Quarantined(_, 3, span) if span.0 == 60_000_000)));
    trial.pass(MINUTE - 1);
    assert_eq!(trial.left(), Some(1));
    assert!(trial.desk.node.next_deadline(trial.desk.now) <= trial.desk.now + Span::from_millis(1));
    trial.pass(1);
    assert_eq!(trial.quarantine(), None);
    assert!(trial.said(|it| matches!(it, Notice::QuarantineOver(_, false))));
}

#[test]
fn half_an_hour_makes_up_for_one_loss() {
    let mut trial = Trial::new();
    (0..4).for_each(|_| trial.lose(Cause::Silent));
    assert_eq!(trial.left(), Some(2 * MINUTE - 1));
    // Three of the four are forgiven: the next two make three.
    trial.pass(91 * MINUTE);
    trial.lose(Cause::Silent);
    assert_eq!(trial.quarantine(), None);
    trial.lose(Cause::Silent);
    assert_eq!(trial.left(), Some(MINUTE - 1));
}

#[test]
fn an_operator_ends_it() {
    let mut trial = Trial::new();
    (0..5).for_each(|_| trial.lose(Cause::Silent));
    assert!(trial.quarantine().is_some());
    trial.desk.apply(Change::Steady { node: PEER });
    assert_eq!(trial.quarantine(), None);
    assert!(trial.said(|it| matches!(it, Notice::QuarantineOver(_, true))));
    trial.lose(Cause::Silent);
    assert_eq!(trial.quarantine(), None, "its account begins anew");
}

#[test]
fn services_go_there_only_if_there_is_no_other_place() {
    let desk = Desk::begun();
    let state = desk.node.state();
    let service = state.assignments.keys().next().expect("a service");
    let best = |nodes: &[NodeId], quarantined: &[NodeId]| {
        let nodes = nodes.iter().copied().collect();
        let able = Able { nodes, quarantined: quarantined.iter().copied().collect() };
        placement::best(Sight::new(state, &able, &Seen::default()), service, None)
    };
    assert_eq!(best(&[ME, PEER], &[]), Some(ME));
    assert_eq!(best(&[ME, PEER], &[ME]), Some(PEER));
    assert_eq!(best(&[ME], &[ME]), Some(ME), "a last resort is one");
    assert_eq!(best(&[ME, PEER], &[ME, PEER]), Some(ME));
}
