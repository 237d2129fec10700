//! The one task that owns the machine.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stead_core::id::{Index, NodeId};
use stead_core::lease::{LogTail, Order};
use stead_core::node::{Event, Fate, LogView, Node, Phase};
use stead_core::notice::Notice;
use stead_core::points::Watched;
use stead_core::state::{Change, State};
use stead_core::time::Instant;
use stead_core::timers::Timers;
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_linux::durable::write_atomically;
use stead_log::transport::{Member, Members};
use stead_log::{Committed, Events, Status};
use tokio::sync::{mpsc, watch};

use super::guard_link::GuardEvent;
use super::handle::{Submission, SubmitError};
use super::machine::{decode, restored};
use super::network;
use super::perform::Performers;
use super::view::{TieView, View};
use crate::guard::Rejected;
use crate::guard::ipc::{FromGuard, Hello, Network, REACHES_UNDERSTOOD, ToGuard, UNDERSTOOD};
use crate::identity::Identity;
use crate::points::{Points, Wanted};

/// How long it waits before it tries again to listen where it could not.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How often the picture is renewed when nothing but reports come.
const VIEW_PAUSE: Duration = Duration::from_millis(50);
/// How long a guard that knows a network from a former run keeps to it while this run is not
/// current. Far longer than a daemon needs to catch up, if there is anybody to catch up with.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);
/// How many troubles of the guard are shown.
const TROUBLES_KEPT: usize = 8;

/// Where events come from.
pub(super) struct Inputs {
    pub(super) guard: mpsc::Receiver<GuardEvent>,
    pub(super) log: Events,
    pub(super) performed: mpsc::UnboundedReceiver<Event>,
    pub(super) noticed: mpsc::UnboundedReceiver<Notice>,
    pub(super) submitted: mpsc::Receiver<Submission>,
}

/// The task.
pub(super) struct Task {
    identity: Arc<Identity>,
    node: Node,
    performers: Performers,
    members: Members,
    shown: watch::Sender<Arc<View>>,
    shown_at: tokio::time::Instant,
    status: watch::Receiver<Status>,
    inputs: Inputs,
    points: Points,
    /// Where this node listens for the other daemons, once the state has said it.
    listening: Vec<SocketAddr>,
    /// When to try again to listen where it can't.
    listen_again: Option<tokio::time::Instant>,
    /// What came of asking the reference points.
    watched: watch::Receiver<Watched>,
    /// By which configuration they are asked.
    asked: Option<(u64, Timers)>,
    hello: Option<Hello>,
    troubles: VecDeque<String>,
    rejected: BTreeMap<(SocketAddr, Rejected), u64>,
    /// The network that the guard was told, or a guard before it.
    told: Option<Network>,
    /// Whether it was this guard.
    told_this_guard: bool,
    /// Whether this guard knew anything when it first reported, before this run told it.
    guard_knew: Option<bool>,
    /// When this run began.
    began_at: tokio::time::Instant,
    /// The copy of the state that pictures share until it changes.
    state: (Index, Arc<State>),
    /// Where to note that the log has something in it, until that is done.
    began: Option<PathBuf>,
    /// The store failed: the daemon ends once everything is given up.
    failed: Option<String>,
    /// Nothing comes from the log any more.
    log_ended: bool,
}

impl Task {
    pub(super) fn new(
        identity: Arc<Identity>,
        node: Node,
        performers: Performers,
        members: Members,
        shown: watch::Sender<Arc<View>>,
        inputs: Inputs,
        began: PathBuf,
    ) -> Self {
        let status = performers.log.status();
        let state = (Index(0), Arc::new(node.state().clone()));
        let points = Points::start();
        let watched = points.watched();
        Self {
            identity,
            node,
            performers,
            members,
            shown,
            shown_at: tokio::time::Instant::now(),
            status,
            inputs,
            points,
            listening: Vec::new(),
            listen_again: None,
            watched,
            asked: None,
            hello: None,
            troubles: VecDeque::new(),
            rejected: BTreeMap::new(),
            told: None,
            told_this_guard: false,
            guard_knew: None,
            began_at: tokio::time::Instant::now(),
            state,
            began: Some(began).filter(|path| !path.exists()),
            failed: None,
            log_ended: false,
        }
    }

    /// Runs until the log or the store is gone.
    ///
    /// # Errors
    /// Why, in words.
    pub(super) async fn run(mut self) -> Result<(), String> {
        let log = log_view(&self.status.borrow_and_update().clone());
        self.handle(Event::Log(log));
        loop {
            let deadline = self.node.next_deadline(Instant(boottime()));
            let wait = Duration::from_micros(deadline.0.saturating_sub(boottime()));
            tokio::select! {
                biased;
                Some(event) = self.inputs.guard.recv() => self.on_guard(event),
                event = self.inputs.log.next(), if !self.log_ended => match event {
                    Some(event) => self.on_log(event),
                    None => self.on_log_ended(),
                },
                Ok(()) = self.status.changed() => {
                    let view = log_view(&self.status.borrow_and_update().clone());
                    self.handle(Event::Log(view));
                }
                Ok(()) = self.watched.changed() => self.tell_points(),
                Some(event) = self.inputs.performed.recv() => self.handle(event),
                Some(notice) = self.inputs.noticed.recv() => self.performers.notice(&notice),
                Some(submission) = self.inputs.submitted.recv() => self.submit(submission),
                () = tokio::time::sleep(wait) => self.handle(Event::Tick),
            }
            if let Some(detail) = self.over() {
                return Err(detail);
            }
        }
    }

    /// Gives an event to the machine and performs what it says.
    fn handle(&mut self, event: Event) {
        self.node.handle(Instant(boottime()), event);
        while let Some(command) = self.node.poll() {
            self.performers.perform(self.node.state(), command);
        }
        self.performers.start_waiting(self.node.state());
        self.performers.programs.may_boot(self.node.may_boot());
        if !self.told_this_guard {
            self.tell_network();
        }
        if self.listen_again.is_some_and(|at| tokio::time::Instant::now() >= at) {
            self.listen();
        }
        self.show(false);
    }

    fn on_guard(&mut self, event: GuardEvent) {
        match event {
            GuardEvent::Connected(door) => {
                self.performers.guard = Some(door);
                // One of 0.2 shows none. The page of a guard that is gone stays until here: what
                // was decided by it ends with it.
                self.performers.programs.keep_by(None);
                self.told_this_guard = false;
                self.guard_knew = None;
                self.performers.departure.guard_ends(false);
            }
            GuardEvent::Lost => {
                self.hello = None;
                self.performers.guard = None;
                self.handle(Event::GuardLost);
            }
            GuardEvent::Page(page) => self.performers.programs.keep_by(Some(page)),
            GuardEvent::Said(said) => self.on_said(*said),
        }
    }

    fn on_said(&mut self, said: FromGuard) {
        match said {
            FromGuard::Hello(hello) => {
                self.hello = Some(hello);
                self.tell_network();
                self.tell_points();
            }
            FromGuard::Report(report) => {
                let knows = !report.peers.is_empty() || !report.held.is_empty();
                self.guard_knew.get_or_insert(knows);
                self.handle(Event::Report(report));
            }
            FromGuard::VoteKnown(_) => {}
            FromGuard::Restored(address) => {
                self.performers.notice(&Notice::AddressRestored(address.to_string()));
            }
            FromGuard::Trouble(trouble) => {
                tracing::warn!("guard: {trouble}");
                self.troubles.retain(|known| *known != trouble);
                self.troubles.push_back(trouble);
                while self.troubles.len() > TROUBLES_KEPT {
                    self.troubles.pop_front();
                }
            }
            FromGuard::Rejected(rejected) => {
                for (from, reason, count) in rejected {
                    *self.rejected.entry((from, reason)).or_default() += count;
                }
            }
            // Services move first; then comes the retirement.
            FromGuard::Ending => self.performers.departure.guard_ends(true),
        }
    }

    fn on_log(&mut self, event: stead_log::Event) {
        if let Some(path) = self.began.take()
            && let Err(error) = write_atomically(&path, b"", 0o600)
        {
            tracing::warn!("{} can't be written: {}", path.display(), chain(&error));
            self.began = Some(path);
        }
        match event {
            stead_log::Event::Applied { index, term, entry } => {
                let change = match entry {
                    Committed::Noop => None,
                    Committed::Change(bytes) => read(&bytes),
                    Committed::Membership { change, .. } => change.and_then(|bytes| read(&bytes)),
                };
                let known = change.is_some();
                self.handle(Event::Applied { index, term, change });
                if known {
                    self.state_changed();
                }
            }
            stead_log::Event::Restored { snapshot, .. } => match restored(&snapshot) {
                Ok(state) => {
                    self.handle(Event::Restored(state));
                    self.state_changed();
                }
                Err(error) => self.fail(format!("a snapshot can't be read: {}", chain(&error))),
            },
            stead_log::Event::Failed(failure) => self.fail(chain(&failure)),
        }
    }

    /// A log that failed ends soon after it said so: what runs here is given up all the same.
    fn on_log_ended(&mut self) {
        self.log_ended = true;
        if self.failed.is_none() {
            self.fail("the log has ended".to_owned());
        }
    }

    fn fail(&mut self, detail: String) {
        self.handle(Event::StoreFailed(detail.clone()));
        self.failed = Some(detail);
    }

    /// Once the store failed and nothing runs here. That it stopped can't be committed any more.
    fn over(&self) -> Option<String> {
        let released = self.node.report().is_none_or(|it| it.released);
        let runs = |it: Phase| matches!(it, Phase::Starting | Phase::Running | Phase::Stopping(_));
        let is_left = || self.node.local().any(|(_, it)| runs(it.phase));
        self.failed.clone().filter(|_| released && !is_left())
    }

    fn state_changed(&mut self) {
        let state = self.node.state();
        self.performers.peers.require(state.more.protocol);
        self.members.set(self.with_known(network::members(state)));
        self.listen();
        self.tell_network();
        self.ask_points();
        self.performers.follow(self.node.state());
        self.show(true);
    }

    /// Listens where the configuration says, if that is new.
    fn listen(&mut self) {
        let wanted = network::own_addresses(self.node.state(), self.identity.node);
        if wanted.is_empty() || wanted == self.listening {
            self.listen_again = None;
            return;
        }
        self.listen_again = match self.performers.peers.listen_on(&wanted) {
            Ok(()) => {
                self.listening = wanted;
                None
            }
            Err(failed) => {
                if self.listen_again.is_none() {
                    failed.iter().for_each(|error| tracing::warn!("{}", chain(error)));
                }
                Some(tokio::time::Instant::now() + LISTEN_AGAIN)
            }
        };
    }

    /// Asks the reference points of the configuration, if it is new.
    fn ask_points(&mut self) {
        let state = self.node.state();
        let asked = Some((state.revision, state.timers));
        if self.asked != asked {
            self.asked = asked;
            self.points.set(Wanted::of(state));
        }
    }

    /// Tells the guard what came of asking, if it understands that.
    fn tell_points(&mut self) {
        let watched = *self.watched.borrow_and_update();
        let understands = self.hello.as_ref().is_some_and(|it| it.more.understands >= UNDERSTOOD);
        if understands && watched.revision != 0 {
            self.performers.tell_guard(&ToGuard::Order(Order::Points(Box::new(watched))));
        }
    }

    /// Before the log has brought a state, those that were known at the join are trusted.
    fn with_known(&self, members: BTreeMap<NodeId, Member>) -> BTreeMap<NodeId, Member> {
        if members.contains_key(&self.identity.node) {
            members
        } else {
            network::known(&self.identity.members)
        }
    }

    /// Tells the guard where everything is, if that is new, or if the guard is.
    fn tell_network(&mut self) {
        // Until a guard has said what it understands it may be an older one. What that would be
        // told lacks what a newer one holds already, and would let go of. Each guard greets first.
        let Some(hello) = self.hello.as_ref().filter(|_| self.may_tell_network()) else { return };
        let told = self.told.as_ref();
        let network = network::for_guard(self.node.state(), self.identity.node, told);
        let news = |network: &Network| !self.told_this_guard || told != Some(network);
        let Some(network) = network.filter(news) else { return };
        let knows = hello.more.understands >= REACHES_UNDERSTOOD;
        let for_it = if knows { network.clone() } else { network::without_reaches(&network) };
        // What it did not take is told again with whatever happens next.
        if self.performers.tell_guard(&ToGuard::Network(for_it)) {
            self.told = Some(network);
            self.told_this_guard = true;
        }
    }

    /// Whether the state is good enough for the guard. A run that is not current goes through what
    /// once was: services that were not there yet, addresses that have changed since. A guard that
    /// outlived the former run knows better, and would let go of what it holds.
    fn may_tell_network(&self) -> bool {
        self.node.is_ready()
            || self.told_this_guard
            || self.guard_knew == Some(false)
            || self.began_at.elapsed() > MEMORY_PATIENCE
    }

    fn submit(&mut self, submission: Submission) {
        let Submission { change, deadline, answer } = submission;
        let (proposer, peers) = (self.performers.proposer.clone(), self.performers.peers.clone());
        tokio::spawn(async move {
            let submitted = proposer.propose(&peers, change, deadline).await;
            let submitted = match submitted {
                (Fate::Committed(index, outcome), _) => Ok((index, outcome)),
                (Fate::Unknown, detail) => Err(SubmitError::Unknown(detail)),
                (Fate::Lost, detail) => Err(SubmitError::Lost(detail)),
            };
            drop(answer.send(submitted));
        });
    }

    /// Renews the picture: at once when the state changed, else now and then.
    fn show(&mut self, at_once: bool) {
        let now = tokio::time::Instant::now();
        if !at_once && now < self.shown_at + VIEW_PAUSE {
            return;
        }
        self.shown_at = now;
        let state = self.node.state();
        if self.state.0 != state.applied {
            self.state = (state.applied, Arc::new(state.clone()));
        }
        let at = Instant(boottime());
        self.shown.send_replace(Arc::new(View {
            at,
            wall: SystemTime::now(),
            identity: self.identity.clone(),
            state: self.state.1.clone(),
            log: self.status.borrow().clone(),
            commits: self.performers.log.commits(),
            ready: self.node.is_ready(),
            coordinating: self.node.is_quorate_coordinator(at),
            disarmed_until: self.node.disarmed_until(),
            report: self.node.report().cloned(),
            guard: self.hello.clone(),
            guard_troubles: self.troubles.iter().cloned().collect(),
            copies: self.node.copies().map(|(it, view)| (it.clone(), view)).collect(),
            local: self.node.local().map(|(service, view)| (service.clone(), view)).collect(),
            layers: self.node.layers().map(|(it, view)| (it.clone(), view)).collect(),
            keeping: self.hello.as_ref().map(|_| self.performers.programs.keeping()),
            last_words: self.performers.programs.last_words(),
            answers: self.performers.programs.answers(),
            pictures: self.performers.programs.pictures(),
            strangers: self.performers.redirect.strangers(),
            clients: self.performers.resets.known.counts(),
            refused: self.performers.peers.refused(),
            rejected: self.rejected.clone(),
            connected: self.performers.peers.connected(),
            seen: self.node.seen().clone(),
            quorum: self.node.quorum(at),
            ties: self.ties(),
            overridable: self.node.overridable(at),
            quarantined: self.node.quarantined(at),
        }));
    }
}

impl Task {
    /// What is known of the register here.
    fn ties(&self) -> TieView {
        let asked = self.node.register_answers();
        let reached = self.performers.ties.reached();
        TieView {
            answers: reached.or(asked),
            distrusted: self.node.register_is_distrusted(),
            trouble: self.performers.ties.trouble(),
            round_trip: self.performers.ties.round_trip(),
        }
    }
}

fn read(bytes: &[u8]) -> Option<Change> {
    // One that can't be read was refused by every member's replica alike.
    decode(bytes).inspect_err(|error| tracing::error!("an entry of the log: {error}")).ok()
}

fn log_view(status: &Status) -> LogView {
    let tail = status.last_log.map(|(term, index)| LogTail { term, index });
    let voters = &status.membership.voters;
    LogView {
        term: status.term,
        leader: status.leader,
        voters: if voters.is_empty() { Vec::new() } else { vec![voters.clone()] },
        learners: status.membership.learners.clone(),
        tail: tail.unwrap_or_default(),
    }
}
