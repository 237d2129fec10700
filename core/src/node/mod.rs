//! The node: what one member of the cluster decides and performs.
//!
//! This is the machine inside `stead daemon`, on every member. What the cluster agreed on comes in
//! as committed changes; what this node sees comes in as its guard's reports and the results of
//! what it performed. Out go proposals, orders to the guard, and commands that touch the world,
//! each with its epoch.
//!
//! ```text
//!   guard's reports ─┐                        ┌─▶ orders to the guard
//!   committed log ───┼─▶ Node::handle ─▶ poll ┼─▶ proposals to the log
//!   results ─────────┘        │               └─▶ claim, announce, start, stop, notices
//!                             ├── tie          (everyone: exactly half of the voters is here)
//!                             │   vouch        (an operator's word in place of a grant)
//!                             ├── election     (everyone: the coordinator fell silent)
//!                             ├── coordinator  (who leads: suspect, prove, take over, assign)
//!                             ├── fence        (who leads: what is lost is switched off)
//!                             ├── voters       (who leads: who votes)
//!                             ├── local        (everyone: the services of this node)
//!                             │   copies     (everyone: this node's copies of services)
//!                             │   performed    (results of its hands, what a former run left)
//!                             │   care         (what it leaves alone, what waits, hooks)
//!                             │   stages       (what became of a takeover, for people)
//!                             ├── tell         (what was committed, in words)
//!                             ├── watchdog     (what resets a node, and what may rest on it)
//!                             ├── proposals    (what is under way to the log)
//!                             ├── orders       (what the guard is told)
//!                             ├── quarantine   (who comes and goes)
//!                             ├── points       (who sees the networks of the services)
//!                             └── network      (what people are told of round trips)
//! ```
//!
//! Happy path of a takeover: a node falls silent; were it the coordinator, [`election`] makes the
//! best survivor lead. [`coordinator`] has the node revoked, waits D, makes the proof and proposes
//! the takeover. Once it is committed, [`local`] on the new holder claims, announces and starts.
//!
//! Everything is level-triggered: after every event the machine compares what the state wants with
//! what is there, so no message is needed twice, and one that was lost costs a round only.
//!
//! Absent on purpose: sockets, processes, files, clocks, randomness.

mod care;
mod command;
mod coordinator;
mod copies;
mod election;
mod event;
mod fence;
mod layers;
mod local;
mod network;
mod orders;
mod performed;
mod points;
mod proposals;
mod quarantine;
mod register;
mod stages;
mod tell;
mod tie;
mod voters;
mod vouch;
mod watchdog;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use command::{Command, Hook};
use coordinator::Coordinator;
use copies::Copies;
pub use copies::{CopyPhase, CopyView};
use election::Election;
pub use event::{Event, Fate, LogView};
use fence::Fences;
use local::Local;
pub use local::{LocalView, Phase};
use network::RoundTrips;
use orders::Told;
use proposals::{Proposal, Purpose};
use quarantine::Accounts;
pub use quarantine::Quarantine;
pub use tie::ANSWER_PATIENCE;
use tie::Tie;
pub use vouch::{Overridable, Word};
use watchdog::Watchdogs;

use crate::id::{Epoch, Index, NodeId, ServiceId, Term};
use crate::lease::{Holding, Order, Report};
use crate::notice::Notice;
use crate::points::Seen;
use crate::state::{Cause, Change, Outcome, State};
use crate::time::{Instant, Span};

/// How long a read of the log's end may take before it is asked for again.
const READ_PATIENCE: Span = Span::from_millis(1_000);

/// The machine.
#[derive(Debug)]
pub struct Node {
    me: NodeId,
    state: State,
    log: LogView,
    report: Option<Arc<Report>>,
    /// The end of the log at the time of this run's read.
    current: Option<Index>,
    read_asked: Option<Instant>,
    /// This run has applied all that was committed before it began: it may start things (rule H2).
    ready: bool,
    store_failed: bool,
    /// This node was asked to end.
    retiring: bool,
    /// When that was.
    retiring_since: Option<Instant>,
    /// Since when this run knows that the cluster is disarmed, and as of which revision.
    disarmed: Option<(u64, Instant)>,
    tie: Tie,
    election: Election,
    coordinator: Coordinator,
    fences: Fences,
    /// Nodes whose removal this node has proposed in that term. They get no echo until they are
    /// admitted again, whatever became of the proposal (rule C2).
    removing: (Term, BTreeMap<NodeId, Cause>),
    local: BTreeMap<ServiceId, Local>,
    copies: Copies,
    /// Programs that a former run left, and under which epoch, until this run is ready.
    found: BTreeMap<ServiceId, Epoch>,
    /// Probes that were made ahead of an assignment, and when they came back clean.
    probed: BTreeMap<ServiceId, Instant>,
    /// Services whose addresses were probed ahead for the present suspicion.
    probing_ahead: BTreeSet<ServiceId>,
    proposals: BTreeMap<u64, Proposal>,
    next_ticket: u64,
    observations: VecDeque<Change>,
    voter_change: Option<Instant>,
    told: Told,
    round_trips: RoundTrips,
    accounts: Accounts,
    watchdogs: Watchdogs,
    seen: Seen,
    /// Which reference points this node has told to be lost here.
    lost_points: [bool; crate::points::MOST],
    /// What the guard shall hold, and the number of the order that says so.
    hold: (u64, Vec<Holding>),
    commands: VecDeque<Command>,
}

impl Node {
    /// A daemon that just started, with the state that its disk had.
    #[must_use]
    pub fn new(me: NodeId, state: State) -> Self {
        Self {
            me,
            state,
            log: LogView::default(),
            report: None,
            current: None,
            read_asked: None,
            ready: false,
            store_failed: false,
            retiring: false,
            retiring_since: None,
            disarmed: None,
            tie: Tie::default(),
            election: Election::default(),
            coordinator: Coordinator::default(),
            fences: Fences::default(),
            removing: (Term::default(), BTreeMap::new()),
            local: BTreeMap::new(),
            copies: Copies::default(),
            found: BTreeMap::new(),
            probed: BTreeMap::new(),
            probing_ahead: BTreeSet::new(),
            proposals: BTreeMap::new(),
            next_ticket: 0,
            observations: VecDeque::new(),
            voter_change: None,
            told: Told::default(),
            round_trips: RoundTrips::default(),
            accounts: Accounts::default(),
            watchdogs: Watchdogs::default(),
            seen: Seen::default(),
            lost_points: [false; crate::points::MOST],
            hold: (0, Vec::new()),
            commands: VecDeque::new(),
        }
    }

    /// Takes an event. Never fails, never waits.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Tick => self.probe_ahead(now),
            Event::Report(report) => self.on_report(now, report),
            Event::GuardLost => {
                self.report = None;
                self.told = Told::default();
                self.notice(Notice::GuardLost);
            }
            Event::Log(view) => self.on_log(view),
            Event::Current(index) => {
                self.current = Some(index);
                self.note_read(index);
            }
            Event::Applied { index, term: _, change } => self.on_applied(now, index, change),
            Event::Restored(state) => {
                self.state = state;
                // What was applied on the way to it may have altered what layers have to say.
                self.renew_names();
            }
            Event::Proposed { ticket, fate } => self.on_proposed(ticket, fate),
            Event::Retire => self.on_retire(now),
            Event::StoreFailed(detail) => self.on_store_failed(detail),
            Event::Answered { number, answer, round_trip } => {
                self.on_answered(now, number, answer, round_trip);
            }
            Event::Vouched(word) => self.on_vouched(now, word),
            Event::Fenced { node, number, said } => self.on_fenced(now, node, number, said),
            Event::Probed { .. }
            | Event::Announced { .. }
            | Event::Redirected { .. }
            | Event::Started { .. }
            | Event::Restarting { .. }
            | Event::Unwell { .. }
            | Event::HookFailed { .. }
            | Event::Ended { .. }
            | Event::Stopped { .. }
            | Event::Monitored { .. }
            | Event::Found { .. } => self.on_performed(now, event),
            Event::CopyStarted { .. }
            | Event::CopyFailed { .. }
            | Event::CopyEnded { .. }
            | Event::CopyFound { .. } => self.on_copy(now, event),
        }
        self.note_disarmed(now);
        self.watch_quarantines(now);
        self.note_gone(now);
        self.become_ready(now);
        self.break_tie(now);
        self.watch_fences(now);
        self.elect(now);
        self.coordinate(now);
        self.keep_alive(now);
        self.reconcile(now);
        self.reconcile_copies(now);
        self.redirect_clients(now);
        self.tell_guard(now);
        self.tell_watchdog();
        self.send_observation();
    }

    /// The next thing to do, until there is none.
    #[inline]
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call again at the latest. Calling earlier is harmless.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Instant {
        let timers = &self.state.timers;
        let tick = now + if self.is_calm() { timers.look() } else { timers.heartbeat };
        let next = tick.min(self.coordinator_deadline(now)).min(self.local_deadline(now));
        let next = next.min(self.probing_deadline(now)).min(self.tie_deadline(now));
        let next = next.min(self.quarantine_deadline(now)).min(self.copies_deadline(now));
        let next = next.min(self.fence_deadline(now)).min(self.steps_deadline());
        next.max(now)
    }

    /// Whether nothing is under way that time alone could move on. What comes from outside comes
    /// as an event, and what is due at a known moment has a deadline.
    fn is_calm(&self) -> bool {
        self.ready
            && !self.is_leaving()
            && self.report.as_ref().is_some_and(|report| report.hears_coordinator)
            && !self.election.is_on()
            && !self.tie.is_on()
            && !self.coordinator.suspects_any()
            && !self.fences.is_on()
            && self.proposals.is_empty()
            && self.observations.is_empty()
            && self.local.values().all(Local::is_at_rest)
            && self.copies.are_at_rest()
    }

    /// What every member agrees on, as far as this node has applied it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The guard's last report.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// The log, as this node sees it.
    #[must_use]
    pub fn log(&self) -> &LogView {
        &self.log
    }

    /// Whether this run may start things.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether this node may boot itself anew, by all that it has been told.
    #[must_use]
    pub fn may_boot(&self) -> bool {
        self.ready && self.state.may_boot(self.me)
    }

    /// Until when the cluster stays disarmed by this node's clock, should it be the one that arms
    /// it; nothing if it is armed.
    #[must_use]
    pub fn disarmed_until(&self) -> Option<Instant> {
        let disarmed = self.state.more.disarmed.as_ref()?;
        let (_, since) = self.disarmed.filter(|(revision, _)| *revision == disarmed.since)?;
        Some(since + disarmed.span)
    }

    /// The span counts from when this run of the daemon learned of it (rule M6).
    fn note_disarmed(&mut self, now: Instant) {
        let since = self.state.more.disarmed.as_ref().map(|it| it.since);
        if since != self.disarmed.map(|(revision, _)| revision) {
            self.disarmed = since.map(|revision| (revision, now));
        }
    }

    fn on_report(&mut self, now: Instant, report: Report) {
        let known = self.report.as_ref();
        let new_guard = known.is_none_or(|known| known.incarnation != report.incarnation);
        let had = known.is_some_and(|known| known.lease_until > known.at);
        let distrusted = known.is_some_and(|known| known.clock_distrusted);
        let has = report.lease_until > report.at;
        if new_guard {
            self.retiring = false;
            self.notice(Notice::GuardConnected);
            self.told = Told::default();
        }
        if has && !had {
            self.notice(Notice::LeaseGained);
        } else if had && !has {
            self.notice(Notice::LeaseLost);
        }
        if report.clock_distrusted && !distrusted {
            self.notice(Notice::ClockDistrusted);
        }
        self.report = Some(Arc::new(report));
        self.command(Command::Guard(Order::Alive));
        self.watch_points();
        self.probe_ahead(now);
        self.watch_round_trips(now);
    }

    fn on_log(&mut self, view: LogView) {
        let leader = (view.leader, view.term);
        let news = view.leader.is_some() && leader != (self.log.leader, self.log.term);
        if let Some(leader) = view.leader.filter(|leader| news && *leader != self.me) {
            self.notice(Notice::Coordinator(self.state.name(leader), view.term));
        }
        if news {
            self.forget_unanswered();
        }
        self.log = view;
    }

    fn on_applied(&mut self, now: Instant, index: Index, change: Option<Change>) {
        let Some(change) = change else {
            self.state.applied = index;
            return;
        };
        let outcome = self.state.apply(index, change.clone());
        match outcome {
            Outcome::Done | Outcome::Joined(_) => {
                self.coordinator_applied(&change);
                self.fences_applied(now, &change);
                self.on_cleared(now, &change);
                self.steps_applied(&change);
                // What was committed before this run is history; the journal has it already.
                if self.ready {
                    self.account_for(now, &change);
                    self.clear_copies(&change);
                    self.tell_change(&change);
                    self.tell_of_watchdog(&change);
                }
            }
            Outcome::Refused(_) => {}
        }
    }

    /// Gives everything up: the store can't be relied upon, so neither can this node's word.
    fn on_store_failed(&mut self, detail: String) {
        if !self.store_failed {
            self.store_failed = true;
            self.notice(Notice::StoreFailed(detail));
        }
    }

    fn on_retire(&mut self, now: Instant) {
        if !self.retiring {
            self.retiring = true;
            self.retiring_since = Some(now);
            self.notice(Notice::Retiring);
        }
    }

    /// Whether everything here has to stop, and the lease to be given up.
    fn is_leaving(&self) -> bool {
        self.store_failed || self.retiring
    }

    fn become_ready(&mut self, now: Instant) {
        self.proposals.retain(|_, it| it.committed.is_none_or(|index| index > self.state.applied));
        if self.ready || self.store_failed {
            return;
        }
        let current = self.current.is_some_and(|index| self.state.applied >= index);
        if current && self.report.is_some() {
            // Not before the guard has said what it holds: what is there must not be taken for
            // lost.
            self.ready = true;
            self.take_stock(now);
        } else if self.current.is_none()
            && self.log.leader.is_some()
            && self.read_asked.is_none_or(|asked| now.since(asked) > READ_PATIENCE)
        {
            self.read_asked = Some(now);
            self.command(Command::ReadIndex);
        }
    }

    fn command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    fn notice(&mut self, notice: Notice) {
        self.command(Command::Notice(notice));
    }
}
