//! A machine's daemon: the real node machine, and its connection to guard and log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stead_core::id::{NodeId, ServiceId};
use stead_core::lease::Report;
use stead_core::node::{Command, Event, Fate, Node};
use stead_core::state::{Change, State};

use super::agents::Task;
use super::{GuardIn, Moment, What, World};
use crate::log::{Raft, Rpc};

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    /// The machine of the core.
    pub node: Node,
    /// The state as the log's own task applies it.
    pub replica: State,
    /// Its part in the log.
    pub raft: Raft,
    /// The run of the guard that it is connected to.
    pub guard: Option<u64>,
    /// The run of the guard whose page its programs are kept by.
    pub page: u64,
    wake: u64,
    inbox: VecDeque<DaemonIn>,
    ordered_until: u64,
    /// The newest of the commands about each service: an older one's result is not performed.
    pub(super) tokens: BTreeMap<ServiceId, u64>,
    /// What is announced.
    pub(super) announced: BTreeSet<ServiceId>,
    /// What it does for services of several resources.
    pub(super) tasks: BTreeMap<ServiceId, Task>,
    tickets: BTreeMap<u64, Option<Change>>,
    /// What it has heard of the reference points.
    pub(crate) asking: crate::net::Asking,
    /// The attempts to have nodes switched off that it makes.
    pub(super) fences: BTreeSet<u64>,
    /// It was asked to end.
    pub retiring: bool,
    /// It was held up in the middle of its commands.
    held: bool,
}

impl Daemon {
    /// A daemon that just started.
    #[must_use]
    pub fn new(node: Node, replica: State, raft: Raft) -> Self {
        Self {
            node,
            replica,
            raft,
            guard: None,
            page: 0,
            wake: u64::MAX,
            inbox: VecDeque::new(),
            ordered_until: 0,
            tokens: BTreeMap::new(),
            announced: BTreeSet::new(),
            tasks: BTreeMap::new(),
            tickets: BTreeMap::new(),
            asking: crate::net::Asking::default(),
            fences: BTreeSet::new(),
            retiring: false,
            held: false,
        }
    }
}

/// What reaches a daemon.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made one at a time and taken at once, never kept")]
pub enum DaemonIn {
    /// Its own deadline.
    Wake,
    /// Something for the node machine.
    Event(Box<Event>),
    /// A report of that run of the guard.
    Report(u64, Report),
    /// That run of the guard answers.
    GuardHere(u64),
    /// That run of the guard ended.
    GuardGone(u64),
    /// A message of the log.
    Rpc {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        rpc: Rpc,
    },
    /// The log's own timer.
    RaftTick,
    /// The deadline of a proposal.
    Expire(u64, Fate),
    /// A proposal that nobody took is tried again.
    Retry(u64),
}

/// How long a proposal's fate is waited for, in microseconds.
const PROPOSAL: u64 = 400_000;
/// How long after a proposal that nobody took the next try comes, in microseconds.
const RETRY: u64 = 20_000;
/// The tickets of operators, far from the machine's own.
const OPERATOR: u64 = 1_000_000_000;

impl World {
    /// Something for the daemon of that run; run 0 is whichever is there.
    pub(super) fn daemon_input(&mut self, host: usize, run: u64, input: DaemonIn) {
        let now = self.now;
        let it = &mut self.hosts[host];
        let (waits, this) = (it.daemon_waits(now), it.daemon_run);
        let Some(daemon) = &mut it.daemon else { return };
        if run != 0 && run != this {
            return;
        }
        if waits.is_some() || daemon.held || !daemon.inbox.is_empty() {
            let first = daemon.inbox.is_empty();
            daemon.inbox.push_back(input);
            if first {
                self.at(waits.unwrap_or(now), What::DaemonResume(host, this));
            }
            return;
        }
        self.daemon_take(host, input);
    }

    pub(super) fn daemon_resume(&mut self, host: usize, run: u64) {
        if self.hosts[host].daemon_run != run {
            return;
        }
        while let Some(daemon) = &self.hosts[host].daemon {
            if daemon.held {
                return;
            }
            if let Some(until) = self.hosts[host].daemon_waits(self.now) {
                self.at(until, What::DaemonResume(host, run));
                return;
            }
            let Some(daemon) = &mut self.hosts[host].daemon else { return };
            let Some(input) = daemon.inbox.pop_front() else { return };
            self.daemon_take(host, input);
        }
    }

    fn daemon_take(&mut self, host: usize, input: DaemonIn) {
        let (run, guard_run) = (self.hosts[host].daemon_run, self.hosts[host].guard_run);
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        match input {
            DaemonIn::Wake => {
                daemon.wake = u64::MAX;
                self.node_handle(host, Event::Tick);
            }
            DaemonIn::Event(event) => self.node_handle(host, *event),
            DaemonIn::Report(guard, report) => {
                if daemon.guard == Some(guard) {
                    self.node_handle(host, Event::Report(report));
                }
            }
            DaemonIn::GuardHere(guard) if guard == guard_run => {
                daemon.page = guard;
                let before = daemon.guard.replace(guard);
                if before.is_some() {
                    self.node_handle(host, Event::GuardLost);
                }
                self.order(host, guard, GuardIn::Connected(run));
            }
            DaemonIn::GuardHere(_) => {}
            DaemonIn::GuardGone(guard) => {
                if daemon.guard == Some(guard) {
                    daemon.guard = None;
                    self.node_handle(host, Event::GuardLost);
                }
            }
            DaemonIn::Rpc { from, rpc } => self.on_rpc(host, from, rpc),
            DaemonIn::RaftTick => self.raft_tick(host),
            DaemonIn::Expire(ticket, fate) => self.on_fate(host, ticket, fate),
            DaemonIn::Retry(ticket) => self.try_proposal(host, ticket),
        }
    }

    /// Gives an event to the machine and performs what it says.
    pub(crate) fn node_handle(&mut self, host: usize, event: Event) {
        let (now, clock) = (self.local(host), self.hosts[host].clock);
        let run = self.hosts[host].daemon_run;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.node.handle(now, event);
        let deadline = clock.global(daemon.node.next_deadline(now));
        if deadline < daemon.wake {
            daemon.wake = deadline;
            self.at(deadline, What::DaemonWake(host, run));
        }
        if self.hosts[host].daemon_cut.is_some() {
            let Some(daemon) = &mut self.hosts[host].daemon else { return };
            let commands: VecDeque<_> = std::iter::from_fn(|| daemon.node.poll()).collect();
            if !commands.is_empty() {
                commands.iter().for_each(|command| self.judge_command(host, command));
                self.daemon_cut_short(host, commands);
            }
            return;
        }
        while let Some(daemon) = &mut self.hosts[host].daemon {
            let Some(command) = daemon.node.poll() else { break };
            self.judge_command(host, &command);
            self.perform(host, command);
        }
    }

    /// The daemon is killed or held up between two of its commands.
    fn daemon_cut_short(&mut self, host: usize, mut commands: VecDeque<Command>) {
        let Some(cut) = self.hosts[host].daemon_cut.take() else { return };
        let Moment::After(after) = cut.at else { return };
        for _ in 0..after.min(commands.len()) {
            if let Some(command) = commands.pop_front() {
                self.perform(host, command);
            }
        }
        let Some(pause) = cut.pause else {
            self.kill_daemon(host);
            return;
        };
        self.hold_up(host, false, true, pause);
        let run = self.hosts[host].daemon_run;
        if let Some(daemon) = &mut self.hosts[host].daemon {
            daemon.held = true;
        }
        self.after(pause, What::DaemonEmit(host, run, commands));
    }

    /// A command as the machine gives it, judged now: what was under way when a process or a
    /// machine stood still is finished later, unless gate and keeper refuse it by then.
    fn judge_command(&mut self, host: usize, command: &Command) {
        if let Command::Propose { change, .. } = command {
            self.judge_proposal(host, change);
        }
        if let Command::TieVote(Some(vote)) = command {
            self.judge_tie_vote(host, vote);
        }
        if let Command::AddVoter { .. } | Command::RemoveVoter { .. } = command {
            self.judge_act(host, "changes the voters");
        }
        if let Command::Start { service, epoch } = command {
            // What a former run left and this one takes over is not started.
            let runs = self.hosts[host].programs.get(service) == Some(epoch);
            let wanted = |it: &Daemon| {
                let config = it.node.state().config.as_ref();
                config.is_some_and(|it| {
                    let alone = it.services.get(service).is_some_and(|it| it.program.is_some());
                    alone || !it.resources(service).is_empty()
                })
            };
            if !runs && self.hosts[host].daemon.as_ref().is_some_and(wanted) {
                self.judge_act(host, "starts a program");
            }
        }
    }

    /// The rest of what a daemon was held up in.
    pub(super) fn daemon_emit(&mut self, host: usize, run: u64, commands: VecDeque<Command>) {
        let it = &mut self.hosts[host];
        if it.daemon_run != run || it.daemon.is_none() {
            return;
        }
        if let Some(until) = it.daemon_waits(self.now) {
            self.at(until, What::DaemonEmit(host, run, commands));
            return;
        }
        if let Some(daemon) = &mut it.daemon {
            daemon.held = false;
        }
        for command in commands {
            self.perform(host, command);
        }
        self.daemon_resume(host, run);
    }

    /// Tells the guard something, in order.
    pub(crate) fn order(&mut self, host: usize, guard: u64, input: GuardIn) {
        let delay = 20 + if self.plan.rough { self.chance.net.below(300) } else { 0 };
        let now = self.now;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.ordered_until = daemon.ordered_until.max(now + delay);
        let at = daemon.ordered_until;
        self.at(at, What::Guard(host, guard, input));
    }

    pub(super) fn send_leader(&mut self, host: usize, rpc: Rpc) {
        if let Some(leader) = self.leader_of(host) {
            self.send_rpc(host, leader, rpc);
        }
    }

    pub(super) fn propose(&mut self, host: usize, ticket: u64, change: Change) {
        let run = self.hosts[host].daemon_run;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.tickets.insert(ticket, Some(change));
        let expire = DaemonIn::Expire(ticket, Fate::Unknown);
        self.after(PROPOSAL, What::Daemon(host, run, Box::new(expire)));
        self.try_proposal(host, ticket);
    }

    /// Hands a proposal to whoever leads now, which need not be who led when it was made; where
    /// nobody does, or it is not taken, it is tried again.
    fn try_proposal(&mut self, host: usize, ticket: u64) {
        let run = self.hosts[host].daemon_run;
        let Some(daemon) = &self.hosts[host].daemon else { return };
        let Some(Some(change)) = daemon.tickets.get(&ticket).cloned() else { return };
        if daemon.raft.leader().is_some() {
            self.send_leader(host, Rpc::Propose { ticket, run, change });
        } else {
            self.retry(host, ticket);
        }
    }

    fn retry(&mut self, host: usize, ticket: u64) {
        let run = self.hosts[host].daemon_run;
        self.after(RETRY, What::Daemon(host, run, Box::new(DaemonIn::Retry(ticket))));
    }

    /// The answer to a proposal.
    pub(crate) fn on_answer(&mut self, host: usize, ticket: u64, fate: Fate) {
        if fate == Fate::Lost {
            self.retry(host, ticket);
        } else {
            self.on_fate(host, ticket, fate);
        }
    }

    pub(crate) fn on_fate(&mut self, host: usize, ticket: u64, fate: Fate) {
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        let Some(change) = daemon.tickets.remove(&ticket) else { return };
        if let (Fate::Committed(index, outcome), Some(change)) = (&fate, change) {
            self.judge_acknowledged(*index, outcome, &change);
        }
        if ticket >= OPERATOR {
            self.on_operated(&fate);
        }
        self.node_handle(host, Event::Proposed { ticket, fate });
    }

    /// An operator's change, from the daemon of that machine.
    pub fn operate(&mut self, host: usize, change: Change) {
        self.operations += 1;
        let ticket = OPERATOR + self.operations;
        self.propose(host, ticket, change);
    }
}
