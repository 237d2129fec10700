//! A host's daemon: the real node machine, and what performs its commands after a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stead_core::id::{NodeId, ServiceId};
use stead_core::lease::Report;
use stead_core::node::{Command, Event, Fate, Node};
use stead_core::redirect::Probing;
use stead_core::state::{Change, State};

use super::guard::GuardIn;
use super::log::Rpc;
use super::raft::Raft;
use super::{What, World, index};

/// A running daemon.
pub struct Daemon {
    pub node: Node,
    /// The state as the log's own task applies it.
    pub replica: State,
    pub raft: Raft,
    /// The run of the guard that it is connected to.
    pub guard: Option<u64>,
    wake: u64,
    inbox: VecDeque<DaemonIn>,
    ordered_until: u64,
    /// The newest of the commands about each service: an older one's result is not performed.
    tokens: BTreeMap<ServiceId, u64>,
    tickets: BTreeSet<u64>,
}

impl Daemon {
    pub fn new(node: Node, replica: State, raft: Raft) -> Self {
        Self {
            node,
            replica,
            raft,
            guard: None,
            wake: u64::MAX,
            inbox: VecDeque::new(),
            ordered_until: 0,
            tokens: BTreeMap::new(),
            tickets: BTreeSet::new(),
        }
    }
}

/// What reaches a daemon.
pub enum DaemonIn {
    Wake,
    Event(Box<Event>),
    Report(u64, Box<Report>),
    GuardHere(u64),
    GuardGone(u64),
    Rpc { from: NodeId, rpc: Rpc },
    RaftTick,
    Expire(u64, Fate),
}

/// How long a proposal's fate is waited for.
const PROPOSAL: u64 = 400_000;

impl World {
    /// Something for the daemon of that run; run 0 is whichever is there.
    pub fn daemon_input(&mut self, host: usize, run: u64, input: DaemonIn) {
        let (paused, this, now) =
            (self.hosts[host].daemon_paused, self.hosts[host].daemon_run, self.now);
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        if run != 0 && run != this {
            return;
        }
        if paused > now || !daemon.inbox.is_empty() {
            let first = daemon.inbox.is_empty();
            daemon.inbox.push_back(input);
            if first {
                self.at(paused, What::DaemonResume(host, this));
            }
            return;
        }
        self.daemon_take(host, input);
    }

    pub fn daemon_resume(&mut self, host: usize, run: u64) {
        let it = &mut self.hosts[host];
        if it.daemon_run != run {
            return;
        }
        if it.daemon_paused > self.now {
            self.at(self.hosts[host].daemon_paused, What::DaemonResume(host, run));
            return;
        }
        while let Some(daemon) = &mut self.hosts[host].daemon {
            let Some(input) = daemon.inbox.pop_front() else { break };
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
                    self.node_handle(host, Event::Report(*report));
                }
            }
            DaemonIn::GuardHere(guard) if guard == guard_run => {
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
        }
    }

    /// Gives an event to the machine and performs what it says.
    pub fn node_handle(&mut self, host: usize, event: Event) {
        let (now, clock) = (self.local(host), self.hosts[host].clock);
        let run = self.hosts[host].daemon_run;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.node.handle(now, event);
        let commands: Vec<_> = std::iter::from_fn(|| daemon.node.poll()).collect();
        let deadline = clock.global(daemon.node.next_deadline(now));
        if deadline < daemon.wake {
            daemon.wake = deadline;
            self.at(deadline, What::Daemon(host, run, Box::new(DaemonIn::Wake)));
        }
        for command in commands {
            self.perform(host, command);
        }
    }

    fn perform(&mut self, host: usize, command: Command) {
        let run = self.hosts[host].daemon_run;
        match command {
            Command::Guard(order) => {
                let guard = self.hosts[host].daemon.as_ref().and_then(|daemon| daemon.guard);
                if let Some(guard) = guard {
                    self.order(host, guard, GuardIn::Order(run, order));
                }
            }
            Command::ReadIndex => self.send_leader(host, Rpc::Read { run }),
            Command::Propose { ticket, change } => self.propose(host, ticket, change),
            Command::Campaign(node) => self.send_rpc(host, host, Rpc::Campaign(node)),
            Command::AddVoter(node) => self.send_rpc(host, host, Rpc::Voter { node, on: true }),
            Command::RemoveVoter(node) => {
                self.send_rpc(host, host, Rpc::Voter { node, on: false });
            }
            Command::Probe { service, epoch, probing } => {
                let Probing { count, interval, wait } = probing;
                let time = interval.0 * u64::from(count.saturating_sub(1)) + wait.0;
                let conflict = None;
                let event = Event::Probed { service: service.clone(), epoch, conflict };
                // Nobody waits three seconds in a trial of random faults.
                let time = if self.plan.rough { time.min(50_000) } else { time };
                self.performed_after(host, &service, time, event);
            }
            Command::Announce { service, epoch } => {
                self.note(Some(host), || format!("> announce {service} (epoch {epoch})"));
                let event = Event::Announced { service: service.clone(), epoch };
                self.performed_after(host, &service, 100, event);
            }
            Command::Quiet { service } => self.note(Some(host), || format!("> quiet {service}")),
            Command::Start { service, epoch } => {
                let broken = self.hosts[host].broken.contains(&service);
                let failed = broken.then(|| "no such file".to_string());
                let event = Event::Started { service: service.clone(), epoch, failed };
                self.in_order(host, &service, event);
            }
            Command::Stop { service, epoch } => {
                let event = Event::Stopped { service: service.clone(), epoch };
                self.in_order(host, &service, event);
            }
            Command::Notice(notice) => self.note(Some(host), || notice.to_string()),
        }
    }

    fn order(&mut self, host: usize, guard: u64, input: GuardIn) {
        let delay = 20 + if self.chaos { self.rng.below(300) } else { 0 };
        let now = self.now;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.ordered_until = daemon.ordered_until.max(now + delay);
        let at = daemon.ordered_until;
        self.at(at, What::Guard(host, guard, input));
    }

    fn send_leader(&mut self, host: usize, rpc: Rpc) {
        if let Some(leader) = self.leader_of(host) {
            self.send_rpc(host, index(leader), rpc);
        }
    }

    fn propose(&mut self, host: usize, ticket: u64, change: Change) {
        let run = self.hosts[host].daemon_run;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.tickets.insert(ticket);
        let (delay, fate) = match daemon.raft.leader() {
            Some(_) => (PROPOSAL, Fate::Unknown),
            None => (20_000, Fate::Lost),
        };
        let expire = DaemonIn::Expire(ticket, fate);
        self.after(delay, What::Daemon(host, run, Box::new(expire)));
        self.send_leader(host, Rpc::Propose { ticket, run, change });
    }

    pub fn on_fate(&mut self, host: usize, ticket: u64, fate: Fate) {
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        if daemon.tickets.remove(&ticket) {
            self.node_handle(host, Event::Proposed { ticket, fate });
        }
    }

    /// An operator's change, from the daemon of that host.
    pub fn operate(&mut self, host: usize, change: Change) {
        self.operations += 1;
        let ticket = 1_000_000_000 + self.operations;
        self.propose(host, ticket, change);
    }

    /// A start or stop: the newer one of a service overtakes the older.
    fn in_order(&mut self, host: usize, service: &ServiceId, event: Event) {
        let time = if self.plan.rough { 1_000 + self.rng.below(40_000) } else { 2_000 };
        if let Some(daemon) = &mut self.hosts[host].daemon {
            *daemon.tokens.entry(service.clone()).or_default() += 1;
        }
        self.performed_after(host, service, time, event);
    }

    fn performed_after(&mut self, host: usize, service: &ServiceId, time: u64, event: Event) {
        let it = &self.hosts[host];
        let token = it.daemon.as_ref().and_then(|daemon| daemon.tokens.get(service).copied());
        let (run, token) = (it.daemon_run, token.unwrap_or(0));
        self.after(time, What::Performed(host, run, token, Box::new(event)));
    }

    /// The command's effect on the machine, and its result for the daemon.
    pub fn performed(&mut self, host: usize, run: u64, token: u64, event: Event) {
        let it = &self.hosts[host];
        let Some(daemon) = it.daemon.as_ref().filter(|_| it.daemon_run == run) else { return };
        let newest = |service: &ServiceId| daemon.tokens.get(service).copied().unwrap_or(0);
        match &event {
            Event::Started { service, epoch, failed } => {
                if newest(service) != token {
                    return;
                }
                let config = daemon.node.state().config.as_ref();
                let wanted = config.and_then(|it| it.services.get(service)?.program.as_ref());
                if wanted.is_some() && failed.is_none() {
                    let (service, epoch) = (service.clone(), *epoch);
                    let before = self.hosts[host].programs.insert(service.clone(), epoch);
                    self.note(Some(host), || format!("> start {service} (epoch {epoch})"));
                    if before != Some(epoch) {
                        self.judge_start(host, &service, epoch);
                    }
                    let monitored =
                        Event::Monitored { service: service.clone(), epoch, failed: None };
                    self.performed_after(host, &service, 50_000, monitored);
                }
            }
            Event::Stopped { service, epoch } => {
                if newest(service) != token {
                    return;
                }
                let (service, epoch) = (service.clone(), *epoch);
                if self.hosts[host].programs.remove(&service).is_some() {
                    self.note(Some(host), || format!("> stop {service} (epoch {epoch})"));
                }
            }
            Event::Monitored { service, .. } if newest(service) != token => return,
            Event::Tick
            | Event::Report(_)
            | Event::GuardLost
            | Event::Log(_)
            | Event::Current(_)
            | Event::Applied { .. }
            | Event::Restored(_)
            | Event::Proposed { .. }
            | Event::Probed { .. }
            | Event::Announced { .. }
            | Event::Ended { .. }
            | Event::Monitored { .. }
            | Event::Found { .. }
            | Event::Retire
            | Event::StoreFailed(_) => {}
        }
        self.daemon_input(host, run, DaemonIn::Event(Box::new(event)));
    }

    /// A program ends by itself.
    pub fn end_program(&mut self, host: usize, service: &ServiceId) {
        let Some(epoch) = self.hosts[host].programs.remove(service) else { return };
        let detail = "it exited with status 1".to_string();
        let event = Event::Ended { service: service.clone(), epoch, detail };
        self.daemon_input(host, 0, DaemonIn::Event(Box::new(event)));
    }
}
