//! The node machine alone: a copy, and the assignment under which it would be promoted.

use stead_core::id::{Epoch, ServiceId, Term};
use stead_core::lease::Order;
use stead_core::node::{Command, Event, Fate, Node};
use stead_core::state::config::{CopiesConfig, ServiceMore};
use stead_core::state::{AttributeScope, Change, CopyStep, Outcome, score_of};

use super::desk::{Desk, ME, PEER, log_of_both};

fn s0() -> ServiceId {
    "s0".into()
}

/// A coordinator's desk where s0 has copies on both nodes and nothing else; and all that was done.
struct Bed {
    desk: Desk,
    done: Vec<Command>,
}

impl Bed {
    fn new() -> Self {
        let mut bed = Self { desk: Desk::new(), done: Vec::new() };
        let state = bed.desk.node.state();
        let (base, mut config) = (state.revision, state.config.clone().expect("it is founded"));
        config.services.get_mut(&s0()).expect("it is wanted").addresses.clear();
        let copies = CopiesConfig { nodes: None, promotable: ["pg".to_owned()].into() };
        let more = ServiceMore { copies: Some(copies), ..ServiceMore::default() };
        config.later.next.services.insert(s0(), more);
        bed.apply(Change::Configure { base, config });
        bed.apply(Change::Lead { term: Term(2) });
        bed.keep(Epoch(0));
        bed
    }

    fn apply(&mut self, change: Change) {
        self.desk.apply(change);
        self.note();
    }

    fn take(&mut self, event: Event) {
        self.desk.take(event);
        self.note();
    }

    /// Keeps what was done. Its guard obeys at once.
    fn note(&mut self) {
        for command in self.desk.commands.drain(..) {
            if let Command::Guard(Order::Hold { number, .. }) = command {
                self.desk.report.hold_number = number;
            } else if !matches!(command, Command::Guard(_)) {
                self.done.push(command);
            }
        }
    }

    /// Time passes, the other node is heard, and the guard shows the deadline to keepers of that
    /// epoch.
    fn keep(&mut self, epoch: Epoch) {
        let at = self.desk.now;
        self.desk.tell(1, |report| {
            Desk::hear(report, at);
            report.later.next.kept = Some(epoch);
        });
        self.note();
    }

    fn has(&self, wanted: &Command) -> bool {
        self.done.contains(wanted)
    }

    /// What this node says of its copy is committed; it has to have said so.
    fn says(&mut self, step: CopyStep) {
        let change = Change::Copy { service: s0(), node: ME, step };
        let said =
            |it: &Command| matches!(it, Command::Propose { change: it, .. } if *it == change);
        let place = self.done.iter().position(said);
        let place = place.unwrap_or_else(|| panic!("{step:?} is not said: {:?}", self.done));
        let Command::Propose { ticket, .. } = self.done.remove(place) else { unreachable!() };
        self.apply(change);
        let fate = Fate::Committed(self.desk.node.state().applied, Outcome::Done);
        self.take(Event::Proposed { ticket, fate });
    }

    /// The copy is entered, and begins once the guard shows the deadline to its keeper.
    fn begins(&mut self) -> Epoch {
        // After a failure there is a pause.
        let kept = self.desk.report.later.next.kept.expect("it is shown");
        (0..2_000).for_each(|_| self.keep(kept));
        self.says(CopyStep::Begins);
        let epoch = self.desk.node.state().copy(&s0(), ME).expect("it is entered").epoch;
        self.keep(epoch);
        assert!(self.has(&Command::Copy { service: s0(), epoch }), "{:?}", self.done);
        epoch
    }

    /// It says that it runs, and the service is assigned to this node.
    fn assigned(&mut self, copy: Epoch) -> Epoch {
        self.says(CopyStep::Runs(copy));
        let (scope, name) = (AttributeScope::Transient(ME), score_of(&s0(), "pg"));
        self.apply(Change::Attribute { scope, name, value: Some("10".to_owned()) });
        let base = self.desk.node.state().assignments[&s0()].epoch;
        self.apply(Change::Assign { service: s0(), base, node: ME });
        self.desk.node.state().assignments[&s0()].epoch
    }

    /// Whether it is promoted under that assignment, given a second.
    fn is_promoted(&mut self, epoch: Epoch) -> bool {
        let kept = self.desk.report.later.next.kept.expect("it is shown");
        for _ in 0..1_000 {
            self.keep(kept);
            let probe = |it: &Command| matches!(it, Command::Probe { .. });
            if let Some(place) = self.done.iter().position(probe) {
                self.done.remove(place);
                self.take(Event::Probed { service: s0(), epoch, conflict: None });
            }
        }
        self.has(&Command::Start { service: s0(), epoch })
    }
}

#[test]
fn a_copy_that_is_older_than_the_assignment_carries_it() {
    let mut bed = Bed::new();
    let copy = bed.begins();
    bed.take(Event::CopyStarted { service: s0(), epoch: copy, failed: None });
    let epoch = bed.assigned(copy);
    assert!(epoch > copy && bed.is_promoted(epoch), "{:?}", bed.done);
}

#[test]
fn a_copy_that_began_after_the_assignment_does_not_carry_it() {
    let mut bed = Bed::new();
    let copy = bed.begins();
    bed.take(Event::CopyStarted { service: s0(), epoch: copy, failed: None });
    // It fails in the moment in which it is assigned, before anything of it is promoted.
    let detail = "status 1".to_owned();
    bed.take(Event::CopyFailed { service: s0(), epoch: copy, detail });
    let epoch = bed.assigned(copy);
    bed.take(Event::CopyEnded { service: s0(), epoch: copy });
    bed.says(CopyStep::Over(copy));
    let younger = bed.begins();
    assert!(younger > epoch, "what has just begun is younger than the assignment");
    bed.take(Event::CopyStarted { service: s0(), epoch: younger, failed: None });
    assert!(!bed.is_promoted(epoch), "rule K2");
}

#[test]
fn what_a_former_run_entered_is_not_started_under_that_epoch_again() {
    let mut former = Bed::new();
    let copy = former.begins();
    let state = former.desk.node.state().clone();
    let (now, index) = (former.desk.now, state.applied);
    let mut node = Node::new(ME, state);
    node.handle(now, Event::Log(log_of_both(Term(2), Some(PEER), index)));
    node.handle(now, Event::Report(former.desk.report.clone()));
    // Nothing of it is found: it was not started yet, or has ended.
    node.handle(now, Event::Current(index));
    let commands: Vec<_> = std::iter::from_fn(|| node.poll()).collect();
    let starts = |it: &Command| matches!(it, Command::Copy { .. });
    assert!(!commands.iter().any(starts), "rule K1: {commands:?}");
    let over = Change::Copy { service: s0(), node: ME, step: CopyStep::Over(copy) };
    let said = |it: &Command| matches!(it, Command::Propose { change, .. } if *change == over);
    assert!(commands.iter().any(said), "{commands:?}");
}
