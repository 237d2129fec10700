//! Names of a service that is about to move: kept for a short time only, until it has moved, or
//! nobody moved it in time.

use std::collections::BTreeSet;

use stead_core::id::{Epoch, NodeId, ServiceId, Term};
use stead_core::lease::Order;
use stead_core::node::{Command, Event, Fate};
use stead_core::redirect::{Layer, Seen, Verb};
use stead_core::state::config::{Config, NameConfig, NamedService, RecordKind, ZoneConfig};
use stead_core::state::{Change, LOWERED_FOR, Lowered, Outcome, Refusal, RegisterChange};

use super::desk::{Desk, ME, PEER};
use super::state::Book;
use super::wanted::wanted;

fn s0() -> ServiceId {
    "s0".into()
}

/// The service has a name, and no address that anybody would have to be asked about.
fn with_name() -> Config {
    let mut config = wanted();
    config.services.get_mut(&s0()).expect("there").addresses.clear();
    let zone = ZoneConfig {
        domain: "shop.example".into(),
        servers: Vec::new(),
        key: "/etc/key".into(),
        ttl: 60,
        moving_ttl: 2,
    };
    let redirect = &mut config.later.fencing.redirect;
    redirect.zones.insert("shop".into(), zone);
    let (name, kind) = ("www.shop.example".into(), RecordKind::Addresses);
    let names = vec![NameConfig { name, kind, ttl: None, adopt: false }];
    redirect.services.insert(s0(), NamedService { names, ..NamedService::default() });
    config
}

fn lower(until: u64, epoch: Epoch) -> Change {
    let lowered = Some(Lowered { until, epoch });
    Change::Register(RegisterChange::Lower { service: s0(), lowered })
}

fn raise() -> Change {
    Change::Register(RegisterChange::Lower { service: s0(), lowered: None })
}

#[test]
fn what_is_not_moved_in_time_is_as_usual_again() {
    let mut book = Book::founded();
    book.refused(raise(), Refusal::Stale);
    let assign = book.assign("s0", 1);
    book.done(assign);
    let until = 1_000 + LOWERED_FOR;
    let epoch = book.epoch("s0");
    book.refused(lower(until, Epoch(epoch.0 - 1)), Refusal::Stale);
    book.done(lower(until, epoch));
    book.refused(lower(until, epoch), Refusal::Stale);
    // Asked for once more it holds for longer.
    book.done(lower(until + 1, epoch));
    let due = |book: &Book, now| book.state.due(now, &BTreeSet::new());
    assert_eq!(due(&book, until), None);
    assert_eq!(due(&book, until + 1), Some(raise()));
    book.done(raise());
    assert_eq!(due(&book, u64::MAX), None);
    book.refused(raise(), Refusal::Stale);
}

#[test]
fn of_what_has_moved_meanwhile_or_is_gone_nothing_is_lowered() {
    let mut book = Book::founded();
    let assign = book.assign("s0", 2);
    book.done(assign);
    let before = book.epoch("s0");
    book.done(lower(5_000, before));
    // The node is lost: what was lowered still is, for the new holder to end, or the clock.
    let takeover = book.takeover(2, &[("s0", Some(1))]);
    book.done(Change::Takeover(takeover));
    assert!(book.epoch("s0") > before);
    book.refused(lower(6_000, before), Refusal::Stale);
    assert_eq!(book.state.due(5_000, &BTreeSet::new()), Some(raise()));
    let mut less = wanted();
    less.services.remove(&s0());
    book.done(Change::Configure { base: book.state.revision, config: less });
    assert_eq!(book.state.due(u64::MAX, &BTreeSet::new()), None, "it went with its service");
}

/// This node's daemon; what it says of names is done at once, and seen if the servers agree.
struct Bed {
    desk: Desk,
    done: Vec<Command>,
    servers_agree: bool,
}

impl Bed {
    fn new() -> Self {
        let mut bed = Self { desk: Desk::new(), done: Vec::new(), servers_agree: true };
        let base = bed.desk.node.state().revision;
        bed.apply(Change::Configure { base, config: with_name() });
        bed.apply(Change::Lead { term: Term(2) });
        bed
    }

    fn epoch(&self) -> Epoch {
        self.desk.node.state().assignments[&s0()].epoch
    }

    /// Time passes, and everybody does what he is told.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(10) {
            let at = self.desk.now;
            self.desk.tell(10, |report| Desk::hear(report, at));
            self.obey_all();
        }
    }

    fn apply(&mut self, change: Change) {
        self.desk.apply(change);
        self.obey_all();
    }

    fn obey_all(&mut self) {
        while !self.desk.commands.is_empty() {
            let commands = std::mem::take(&mut self.desk.commands);
            commands.into_iter().for_each(|command| self.obey(command));
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is not obeyed")]
    fn obey(&mut self, command: Command) {
        let mut later = std::mem::take(&mut self.desk.commands);
        match command.clone() {
            Command::Guard(Order::Hold { number, addresses }) => {
                (self.desk.report.hold_number, self.desk.report.held) = (number, addresses);
            }
            // Where services go is this test's to say.
            Command::Propose { change: Change::Assign { .. } | Change::Observe { .. }, .. } => {}
            Command::Propose { ticket, change } => {
                self.desk.apply(change);
                later.append(&mut self.desk.commands);
                let index = self.desk.node.state().applied;
                let fate = Fate::Committed(index, Outcome::Done);
                self.desk.take(Event::Proposed { ticket, fate });
            }
            Command::Probe { service, epoch, .. } => {
                self.desk.take(Event::Probed { service, epoch, conflict: None });
            }
            Command::Start { service, epoch } => {
                self.desk.take(Event::Started { service, epoch, failed: None });
            }
            Command::Redirect { service, epoch, layer, verb } => {
                let agree = self.servers_agree || verb == Verb::Announce;
                let seen =
                    if agree { Seen::Yes("ns".into()) } else { Seen::No("one is late".into()) };
                self.desk.take(Event::Redirected { service, epoch, layer, verb, seen });
            }
            _ => {}
        }
        later.append(&mut self.desk.commands);
        self.desk.commands = later;
        self.done.push(command);
    }

    /// How often names were written since this was asked last.
    fn written(&mut self) -> usize {
        let wrote = |it: &Command| {
            matches!(it, Command::Redirect { layer: Layer::Dns, verb: Verb::Announce, .. })
        };
        let count = self.done.iter().filter(|it| wrote(it)).count();
        self.done.clear();
        count
    }

    fn is_lowered(&self) -> bool {
        self.desk.node.state().redirect().lowered.contains_key(&s0())
    }

    /// The service is assigned to that node; if it is this one it is started.
    fn assign(&mut self, node: NodeId) {
        let base = self.epoch();
        self.apply(Change::Assign { service: s0(), base, node });
        self.pass(500);
    }
}

#[test]
fn it_is_lowered_and_moved_and_the_new_holder_ends_it() {
    let mut bed = Bed::new();
    bed.assign(ME);
    assert_eq!(bed.written(), 1);
    // Its holder writes the names anew, and ends nothing: it has not moved.
    let change = lower(u64::MAX, bed.epoch());
    bed.apply(change);
    bed.pass(1_000);
    assert_eq!((bed.written(), bed.is_lowered()), (1, true));

    // The other one has it, is asked to move it here, and stops it.
    let mut bed = Bed::new();
    bed.assign(PEER);
    let change = lower(u64::MAX, bed.epoch());
    bed.apply(change);
    bed.pass(200);
    assert_eq!((bed.written(), bed.is_lowered()), (0, true));
    let (epoch, cause) = (bed.epoch(), stead_core::state::Cause::Planned);
    let took = stead_core::time::Span::ZERO;
    bed.apply(Change::Stopped { service: s0(), node: PEER, epoch, cause, took });
    // As long as not all name servers say where it is now the rest is to be quick, too.
    bed.servers_agree = false;
    bed.assign(ME);
    assert!(bed.written() >= 1 && bed.is_lowered());
    bed.servers_agree = true;
    bed.pass(5_000);
    assert!(!bed.is_lowered());
    bed.done.clear();
    bed.pass(1_000);
    assert_eq!(bed.written(), 0, "once it is as usual there is nothing more to write");
}

#[test]
fn a_move_that_nobody_planned_ends_it_as_well() {
    let mut bed = Bed::new();
    bed.assign(PEER);
    let change = lower(u64::MAX, bed.epoch());
    bed.apply(change);
    let state = bed.desk.node.state();
    let takeover = stead_core::state::Takeover {
        node: PEER,
        term: state.term,
        incarnation: state.view[&PEER].incarnation,
        base: state.epoch,
        proof: stead_core::state::ProofRecord::LeaseExpired,
        cause: stead_core::state::Cause::Silent,
        assignments: vec![(s0(), Some(ME))],
        stages: Vec::new(),
    };
    bed.apply(Change::Takeover(takeover));
    bed.pass(2_000);
    assert!(!bed.is_lowered());
    assert!(bed.written() >= 2, "with the low time first, and as usual after that");
}
