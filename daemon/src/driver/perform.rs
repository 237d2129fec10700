//! Performing what the machine says. Nothing here waits.

use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::node::{Command, Event, Fate, Hook};
use stead_core::notice::Notice;
use stead_core::redirect::{Layer, Seen, Verb};
use stead_core::state::config::{ServiceAddress, ServiceConfig, ServiceMore};
use stead_core::state::{Cause, Change, State};
use stead_core::time::Instant;
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_log::Log;
use stead_log::transport::Peers;
use tokio::sync::mpsc::UnboundedSender;

use super::elections::{Elections, Word};
use super::entry::{Entry, Leave};
use super::fences::Fences;
use super::guard_link::Door;
use super::machine::encode;
use super::peers::Proposer;
use crate::agent::{HookRun, Programs, Wish};
use crate::connections::Resets;
use crate::departure::Departure;
use crate::executor::Others;
use crate::guard::ipc::ToGuard;
use crate::journal::Journal;
use crate::layers::Layers;
use crate::redirect::{self, Redirect, Target};
use crate::tie_breaker::TieBreaker;

/// How long a proposal of the machine's may take. It proposes again what did not come.
const PROPOSAL_DEADLINE: Duration = Duration::from_millis(1_000);
/// How long a change of the voters may take.
const VOTERS_DEADLINE: Duration = Duration::from_millis(5_000);

/// All hands of a daemon.
pub(super) struct Performers {
    pub(super) me: NodeId,
    pub(super) log: Arc<Log>,
    pub(super) peers: Arc<Peers>,
    pub(super) proposer: Proposer,
    /// The guard that the machine knows of. What it says is for that one, and never for one that
    /// has connected since.
    pub(super) guard: Option<Door>,
    pub(super) programs: Programs,
    pub(super) redirect: Redirect,
    pub(super) layers: Layers,
    pub(super) resets: Resets,
    pub(super) ties: TieBreaker,
    pub(super) elections: Elections,
    pub(super) departure: Departure,
    pub(super) fences: Fences,
    pub(super) entry: Entry,
    /// Where results go.
    pub(super) results: UnboundedSender<Event>,
    pub(super) journal: Journal,
}

/// What becomes of a node's vote.
#[derive(Clone, Copy)]
enum Votes {
    Yes,
    No {
        /// It goes on to be sent the log.
        stays: bool,
    },
}

impl Performers {
    /// Performs one command.
    pub(super) fn perform(&mut self, state: &State, command: Command) {
        match command {
            Command::Guard(order) => {
                self.tell_guard(&ToGuard::Order(order));
            }
            Command::ReadIndex => self.read_index(),
            Command::Propose { ticket, change } => self.propose(ticket, change),
            Command::Campaign(to) => self.elections.say(Word::Campaign(to)),
            Command::HandOver(to) => self.elections.say(Word::HandOver(to)),
            Command::AddLearner(node) => self.teach(node),
            Command::AddVoter { node, under } => {
                self.change_voters(state.name(node), node, Votes::Yes, under);
            }
            Command::RemoveVoter { node, stays, under } => {
                self.change_voters(state.name(node), node, Votes::No { stays }, under);
            }
            Command::Ask { number, question } => self.ties.ask(state, number, question),
            Command::TieVote(vote) => self.elections.say(Word::TieVote(vote)),
            Command::Shrink { vote, term, change } => {
                self.elections.say(Word::Shrink(vote, term, Box::new(change)));
            }
            Command::Probe { service, epoch, probing } => {
                self.probe(state, service, epoch, probing);
            }
            Command::Announce { service, epoch } => {
                self.announce(state, service.clone(), epoch);
                self.resets.begin(service, epoch);
            }
            Command::Redirect {
                service,
                epoch,
                layer: Layer::Mac | Layer::Arp,
                verb: Verb::Announce,
            } => self.announce(state, service, epoch),
            Command::Redirect { service, epoch, layer, verb } => {
                self.layers.step(state, service, epoch, (layer, verb));
            }
            Command::Quiet { service } => {
                self.redirect.quiet(&service);
                self.resets.end(&service);
            }
            Command::Start { service, epoch } => self.start(state, service, epoch),
            Command::Stop { service, epoch } => {
                self.entry.forget(&service, epoch);
                self.programs.stop(service, epoch);
            }
            Command::Care { service, epoch, care } => self.programs.care(&service, epoch, care),
            Command::Forget { service, epoch, resource } => {
                self.programs.forget(&service, epoch, resource);
            }
            Command::Hook { service, epoch, hook, cause } => {
                self.hook(state, &service, epoch, hook, cause);
            }
            Command::Copy { service, epoch } => self.copy(state, service, epoch),
            Command::EndCopy { service, epoch } => self.programs.end_copy(service, epoch),
            Command::Fence { node, number, power } => {
                self.fences.begin(state, node, number, power);
            }
            Command::StopFence { number } => self.fences.stop(number),
            Command::Notice(notice) => self.notice(&notice),
        }
    }

    /// Tells the guard, if there is one.
    pub(super) fn tell_guard(&self, message: &ToGuard) -> bool {
        self.guard.as_ref().is_some_and(|door| door.send(message))
    }

    /// Tells people.
    pub(super) fn notice(&self, notice: &Notice) {
        self.journal.write(Instant(boottime()), notice);
    }

    fn read_index(&self) {
        let (log, results) = (self.log.clone(), self.results.clone());
        tokio::spawn(async move {
            match log.read_index(PROPOSAL_DEADLINE).await {
                Ok(index) => drop(results.send(Event::Current(index))),
                // The machine asks again.
                Err(error) => tracing::debug!("no read: {}", chain(&error)),
            }
        });
    }

    fn propose(&self, ticket: u64, change: Change) {
        let (proposer, peers) = (self.proposer.clone(), self.peers.clone());
        let results = self.results.clone();
        tokio::spawn(async move {
            let (fate, detail) = proposer.propose(&peers, change, PROPOSAL_DEADLINE).await;
            if !matches!(fate, Fate::Committed(..)) {
                tracing::debug!("a proposal was not committed: {detail}");
            }
            drop(results.send(Event::Proposed { ticket, fate }));
        });
    }

    /// Has the log given to a member that has no vote yet.
    fn teach(&self, node: NodeId) {
        let log = self.log.clone();
        tokio::spawn(async move {
            if let Err(error) = log.add_learner(node, VOTERS_DEADLINE).await {
                tracing::debug!("no log for a member without a vote: {}", chain(&error));
            }
        });
    }

    fn change_voters(&self, name: String, node: NodeId, votes: Votes, under: Option<Change>) {
        let (log, journal) = (self.log.clone(), self.journal.clone());
        let under = match under.as_ref().map(encode).transpose() {
            Ok(under) => under,
            Err(error) => {
                tracing::error!("the grant can't be written down: {error}");
                return;
            }
        };
        tokio::spawn(async move {
            let changed = match votes {
                Votes::Yes => log.add_voter(node, under, VOTERS_DEADLINE).await,
                Votes::No { stays } => log.remove_voter(node, stays, under, VOTERS_DEADLINE).await,
            };
            let votes = matches!(votes, Votes::Yes);
            match changed {
                Ok(()) => journal.write(Instant(boottime()), &Notice::Voter(name, votes)),
                Err(error) => tracing::warn!("the voters were not changed: {}", chain(&error)),
            }
        });
    }

    fn config<'a>(state: &'a State, service: &ServiceId) -> Option<&'a ServiceConfig> {
        state.config.as_ref()?.services.get(service)
    }

    /// The service's addresses on the segment, with the interfaces that they belong on here. What
    /// has a MAC of its own is asked about on the card, and announced by its own interface.
    fn targets(state: &State, service: &ServiceId, own_macs: bool) -> Result<Vec<Target>, String> {
        // What was assigned counts: the configuration may have changed while the holder stops.
        let assigned = state.assignments.get(service).map(|it| it.addresses.clone());
        let assigned = assigned.filter(|it| !it.is_empty());
        let assigned = assigned.unwrap_or_else(|| state.configured_addresses(service));
        let all = state.config.iter().flat_map(|config| config.services.values());
        let all: Vec<_> = all.flat_map(|it| &it.addresses).collect();
        let moving: Vec<_> = all.iter().map(|it| it.ip).collect();
        let layers = |it: &ServiceAddress| {
            state.config.as_ref().map_or(&[][..], |config| config.layers_of(it.ip))
        };
        let mac = state.redirect().macs.get(service).filter(|_| own_macs);
        let target = |it: &ServiceAddress| {
            let target = redirect::target(it, &moving).map_err(|error| chain(&error))?;
            match mac.filter(|_| layers(it).contains(&Layer::Mac)) {
                Some(mac) => target.by_mac(*mac).map_err(|error| chain(&error)),
                None => Ok(target),
            }
        };
        let here = |it: &&ServiceAddress| {
            assigned.contains(&it.ip) && layers(it).iter().any(|layer| *layer < Layer::Route)
        };
        all.into_iter().filter(here).map(target).collect()
    }

    fn probe(
        &mut self,
        state: &State,
        service: ServiceId,
        epoch: Epoch,
        probing: stead_core::redirect::Probing,
    ) {
        match Self::targets(state, &service, false) {
            Ok(targets) => self.redirect.probe(service, epoch, targets, probing),
            Err(detail) => {
                let conflict = Some(detail);
                drop(self.results.send(Event::Probed { service, epoch, conflict }));
            }
        }
    }

    fn announce(&mut self, state: &State, service: ServiceId, epoch: Epoch) {
        match Self::targets(state, &service, true) {
            Ok(targets) => self.redirect.announce(service, epoch, targets),
            Err(detail) => {
                self.notice(&Notice::AnnounceFailed(service.clone(), detail.clone()));
                for layer in [Layer::Mac, Layer::Arp] {
                    let (service, seen) = (service.clone(), Seen::No(detail.clone()));
                    let verb = Verb::Announce;
                    // Nobody listens any more only when the daemon ends.
                    drop(self.results.send(Event::Redirected {
                        service,
                        epoch,
                        layer,
                        verb,
                        seen,
                    }));
                }
            }
        }
    }

    fn hook(
        &mut self,
        state: &State,
        service: &ServiceId,
        epoch: Epoch,
        hook: Hook,
        cause: Option<Cause>,
    ) {
        let Some(config) = Self::config(state, service).cloned() else { return };
        let more = state.config.as_ref().and_then(|config| config.more_of(service));
        let command = more.and_then(|more| match hook {
            Hook::Takeover => more.hooks.takeover.clone(),
            Hook::Release => more.hooks.release.clone(),
        });
        if let Some(command) = command {
            self.programs.hook(service, epoch, HookRun { config, command, hook, cause });
        }
    }

    /// What shall run of a service, by the configuration.
    fn wish(&self, state: &State, service: &ServiceId) -> Option<Wish> {
        let mut config = Self::config(state, service)?.clone();
        // Of its addresses it is told those that it has here.
        let here = state.addresses_on(service, self.me);
        config.addresses.retain(|it| here.contains(&it.ip));
        let more = state.config.as_ref().and_then(|it| it.more_of(service)).cloned();
        let more = more.unwrap_or_default();
        let ServiceMore { resources, look, copies, .. } = more;
        Some(Wish { config, resources, look, copies })
    }

    fn copy(&mut self, state: &State, service: ServiceId, epoch: Epoch) {
        if let Some(wish) = self.wish(state, &service) {
            self.programs.copy(service, epoch, wish);
        } else {
            let failed = Some("the service is not in the configuration any more".to_string());
            drop(self.results.send(Event::CopyStarted { service, epoch, failed }));
        }
    }

    /// Tells those that go by it how the state is now.
    pub(super) fn follow(&mut self, state: &State) {
        self.ties.follow(state);
        self.layers.follow(state);
        self.redirect.follow(state);
        self.tell_others(state);
    }

    /// Tells the copies here of those elsewhere, where that is new.
    fn tell_others(&mut self, state: &State) {
        let config = state.config.iter().flat_map(|config| &config.later.next.services);
        for (service, more) in config {
            let Some(copies) = &more.copies else { continue };
            let mut others = Others {
                wanted: state.members.values().filter(|it| copies.is_on(&it.name)).count(),
                ..Others::default()
            };
            for (node, promoted) in state.running_copies(service) {
                let those = if promoted { &mut others.promoted } else { &mut others.unpromoted };
                those.insert(state.name(node));
            }
            self.programs.tell_others(service, others);
        }
    }

    /// Starts what waited for this node's being let in by its fence devices.
    pub(super) fn start_waiting(&mut self, state: &State) {
        for (service, epoch) in self.entry.waiting() {
            self.start(state, service, epoch);
        }
    }

    fn start(&mut self, state: &State, service: ServiceId, epoch: Epoch) {
        match self.entry.may(state, &service, epoch) {
            Leave::Granted => {}
            Leave::Waits => return,
            Leave::Refused(why) => {
                drop(self.results.send(Event::Started { service, epoch, failed: Some(why) }));
                return;
            }
        }
        if let Some(wish) = self.wish(state, &service) {
            self.programs.start(service, epoch, wish);
        } else {
            let failed = Some("the service is not in the configuration any more".to_string());
            drop(self.results.send(Event::Started { service, epoch, failed }));
        }
    }
}
