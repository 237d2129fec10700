//! What a daemon's hands do after a while: probes, announcements, programs, monitors.

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::{Command, Event};
use stead_core::redirect;
use stead_core::state::State;
use stead_core::state::config::Safety;

use super::agents::Ask;
use super::{DaemonIn, GuardIn, What, World};
use crate::log::Rpc;

/// How much longer the stop of a bound service takes.
const UNDOING: u64 = 50;

impl World {
    /// Performs one command of the node machine.
    pub(super) fn perform(&mut self, host: usize, command: Command) {
        let run = self.hosts[host].daemon_run;
        match command {
            Command::Guard(order) => {
                let guard = self.hosts[host].daemon.as_ref().and_then(|daemon| daemon.guard);
                if let Some(guard) = guard {
                    self.order(host, guard, GuardIn::Order(run, order));
                }
            }
            Command::ReadIndex => self.send_leader(host, Rpc::Read { run }),
            Command::Propose { ticket, change } => {
                self.judge_turn(host, &change);
                self.propose(host, ticket, change);
            }
            Command::Campaign(node) => self.send_rpc(host, host, Rpc::Campaign(node)),
            Command::HandOver(node) => self.hand_over(host, node),
            // The model's log reaches every host.
            Command::AddLearner(_) => {}
            Command::AddVoter { node, under } => {
                self.send_rpc(host, host, Rpc::Voter { node, on: true, under });
            }
            Command::RemoveVoter { node, stays: _, under } => {
                self.send_rpc(host, host, Rpc::Voter { node, on: false, under });
            }
            Command::Ask { number, question } => self.ask_register(host, number, question),
            Command::TieVote(vote) => self.send_rpc(host, host, Rpc::TieVote(vote)),
            Command::Shrink { vote, term, change } => {
                self.send_rpc(host, host, Rpc::Shrink { vote, term, change });
            }
            Command::Probe { service, epoch, probing } => {
                let time = probing.interval.0 * u64::from(probing.count.saturating_sub(1))
                    + probing.wait.0;
                // Nobody waits three seconds in a trial of random faults.
                let time = if self.plan.rough { time.min(50_000) } else { time };
                let event = Event::Probed { service: service.clone(), epoch, conflict: None };
                self.performed_after(host, &service, time, event);
            }
            Command::Announce { service, epoch } => self.announce(host, run, service, epoch, 0),
            Command::Quiet { service } => self.quiet(host, &service),
            Command::Redirect { service, epoch, layer, verb } => {
                self.redirect(host, service, epoch, (layer, verb));
            }
            Command::Start { service, epoch } if self.has_parts(&service) => {
                self.ask_task(host, &service, Ask::Start(epoch));
            }
            Command::Stop { service, epoch } if self.has_parts(&service) => {
                self.ask_task(host, &service, Ask::Stop(epoch));
            }
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
            // A service here is of one program.
            Command::Care { service, epoch, care } if self.has_parts(&service) => {
                self.ask_task(host, &service, Ask::Care(epoch, care));
            }
            Command::Forget { service, epoch, resource } if self.has_parts(&service) => {
                self.ask_task(host, &service, Ask::Forget(epoch, resource));
            }
            Command::Care { .. } | Command::Forget { .. } | Command::Hook { .. } => {}
            Command::Fence { node, number, power } => self.fence(host, node, number, power),
            Command::StopFence { number } => self.stop_fence(host, number),
            Command::Copy { service, epoch } => self.begin_copy(host, service, epoch),
            Command::EndCopy { service, epoch } => self.end_copy(host, service, epoch),
            Command::Notice(notice) => self.note(Some(host), || notice.to_string()),
        }
    }

    /// The addresses are there, and the segment is told, now and by core's timetable.
    pub(super) fn announce(
        &mut self,
        host: usize,
        run: u64,
        service: ServiceId,
        epoch: Epoch,
        number: u32,
    ) {
        let it = &mut self.hosts[host];
        let Some(daemon) = it.daemon.as_mut().filter(|_| it.daemon_run == run) else { return };
        if number == 0 {
            daemon.announced.insert(service.clone());
        } else if !daemon.announced.contains(&service) {
            return;
        }
        let addresses = addresses(daemon.node.state(), &service);
        it.configured.extend(&addresses);
        if number == 0 {
            self.judge_announced(host, &service, epoch, &addresses);
            self.judge_begun(host, &service, epoch);
        }
        let it = &self.hosts[host];
        if it.daemon_waits(self.now).is_none() {
            for address in addresses {
                self.gratuitous(host, address);
            }
        }
        let next = redirect::announcement(number + 1).0 - redirect::announcement(number).0;
        self.after(next, What::Announce(host, run, service.clone(), epoch, number + 1));
        if number == 0 {
            self.note(Some(host), || format!("> announce {service} (epoch {epoch})"));
            let event = Event::Announced { service: service.clone(), epoch };
            self.performed_after(host, &service, 100, event);
        }
    }

    fn quiet(&mut self, host: usize, service: &ServiceId) {
        self.note(Some(host), || format!("> quiet {service}"));
        let it = &mut self.hosts[host];
        let Some(daemon) = &mut it.daemon else { return };
        daemon.announced.remove(service);
        let state = daemon.node.state();
        // An address that another service here announces too stays.
        let kept: Vec<_> =
            daemon.announced.iter().flat_map(|other| addresses(state, other)).collect();
        it.configured.retain(|address| kept.contains(address));
    }

    /// A start or stop: the newer one of a service overtakes the older.
    pub(super) fn in_order(&mut self, host: usize, service: &ServiceId, event: Event) {
        let time = if self.plan.rough { self.chance.hands.between(1_000, 41_000) } else { 2_000 };
        // What no lease's end undoes takes its time to be undone.
        let slow =
            matches!(event, Event::Stopped { .. }) && self.hosts[host].left.contains(service);
        let time = if slow { time * UNDOING } else { time };
        if let Some(daemon) = &mut self.hosts[host].daemon {
            *daemon.tokens.entry(service.clone()).or_default() += 1;
        }
        self.performed_after(host, service, time, event);
    }

    pub(super) fn performed_after(
        &mut self,
        host: usize,
        service: &ServiceId,
        time: u64,
        event: Event,
    ) {
        let it = &self.hosts[host];
        let token = it.daemon.as_ref().and_then(|daemon| daemon.tokens.get(service).copied());
        let (run, token) = (it.daemon_run, token.unwrap_or(0));
        self.after(time, What::Performed(host, run, token, Box::new(event)));
    }

    /// The command's effect on the machine, and its result for the daemon.
    pub(super) fn performed(&mut self, host: usize, run: u64, token: u64, event: Event) {
        let it = &self.hosts[host];
        let Some(daemon) = it.daemon.as_ref().filter(|_| it.daemon_run == run) else { return };
        if let Some((_, until)) = it.halted {
            self.at(until, What::Performed(host, run, token, Box::new(event)));
            return;
        }
        let newest = |service: &ServiceId| daemon.tokens.get(service).copied().unwrap_or(0);
        let mut event = event;
        match &mut event {
            Event::Started { service, epoch, failed } => {
                if newest(service) != token {
                    return;
                }
                let config = daemon.node.state().config.as_ref();
                let wanted = config.and_then(|it| it.services.get(service)?.program.as_ref());
                if wanted.is_some() && failed.is_none() {
                    let (service, epoch) = (service.clone(), *epoch);
                    if self.hosts[host].ended.get(&service) == Some(&epoch) {
                        // It had been found and has ended since; nobody starts it again.
                        self.tell_ended(host, service, epoch);
                    } else {
                        *failed = self.start_program(host, &service, epoch).err();
                    }
                }
            }
            Event::Stopped { service, epoch } => {
                if newest(service) != token {
                    return;
                }
                let (service, epoch) = (service.clone(), *epoch);
                self.hosts[host].left.remove(&service);
                if self.hosts[host].programs.remove(&service).is_some() {
                    self.note(Some(host), || format!("> stop {service} (epoch {epoch})"));
                }
            }
            Event::CopyStarted { service, .. } | Event::CopyEnded { service, .. } => {
                if newest(&super::copies::copy_of(service)) != token {
                    return;
                }
                self.copy_performed(host, &mut event);
            }
            Event::Monitored { service, .. } if newest(service) != token => return,
            Event::Probed { service, conflict, .. } => {
                let addresses = addresses(daemon.node.state(), service);
                *conflict = addresses.into_iter().find_map(|it| self.who_answers(host, it));
            }
            Event::Tick
            | Event::Report(_)
            | Event::GuardLost
            | Event::Log(_)
            | Event::Current(_)
            | Event::Answered { .. }
            | Event::Vouched(_)
            | Event::Fenced { .. }
            | Event::Applied { .. }
            | Event::Restored(_)
            | Event::Proposed { .. }
            | Event::Announced { .. }
            | Event::Redirected { .. }
            | Event::Restarting { .. }
            | Event::Unwell { .. }
            | Event::HookFailed { .. }
            | Event::Ended { .. }
            | Event::Monitored { .. }
            | Event::Found { .. }
            | Event::CopyFailed { .. }
            | Event::CopyFound { .. }
            | Event::Retire
            | Event::StoreFailed(_) => {}
        }
        self.daemon_input(host, run, DaemonIn::Event(Box::new(event)));
    }

    fn start_program(
        &mut self,
        host: usize,
        service: &ServiceId,
        epoch: Epoch,
    ) -> Result<(), String> {
        if self.hosts[host].programs.get(service) != Some(&epoch) {
            let state = self.hosts[host].daemon.as_ref().map(|daemon| daemon.node.state());
            let config = state.and_then(|state| state.config.as_ref());
            let bound = config.is_some_and(|config| config.safety(service) == Safety::Fence);
            if bound && self.hosts[host].cut_off {
                return Err("its storage refuses this machine, which was cut off".to_string());
            }
            if let Some(copy) = self.copy_for(host, service, epoch) {
                copy?;
            } else if !self.keep(host, service, epoch) {
                return Err("this node's lease ended before it began".to_string());
            }
            self.hosts[host].programs.insert(service.clone(), epoch);
            if bound {
                self.hosts[host].left.insert(service.clone());
            }
            self.judge_start(host, service, epoch);
        }
        self.note(Some(host), || format!("> start {service} (epoch {epoch})"));
        let service = service.clone();
        let monitored = Event::Monitored { service: service.clone(), epoch, failed: None };
        self.performed_after(host, &service, 50_000, monitored);
        Ok(())
    }

    /// A program ends by itself.
    pub fn end_program(&mut self, host: usize, service: &ServiceId) {
        if self.end_executor(host, service) {
            return;
        }
        let Some(epoch) = self.hosts[host].programs.remove(service) else { return };
        self.hosts[host].ended.insert(service.clone(), epoch);
        self.tell_ended(host, service.clone(), epoch);
        // It was the promoted copy's.
        self.copy_is_gone(host, service);
    }

    fn tell_ended(&mut self, host: usize, service: ServiceId, epoch: Epoch) {
        let detail = "it exited with status 1".to_string();
        let event = Event::Ended { service, epoch, detail };
        // After whatever is on its way: a daemon that just started finds it before it ends.
        self.after(0, What::Daemon(host, 0, Box::new(DaemonIn::Event(Box::new(event)))));
    }

    /// An address vanishes from the interface. The daemon is told by the kernel and puts it back.
    pub fn remove_address(&mut self, host: usize, address: std::net::IpAddr) {
        if self.hosts[host].configured.remove(&address) {
            self.restore_address(host, address);
        }
    }

    /// Puts an address back that is announced and not there, as soon as the daemon runs.
    pub(super) fn restore_address(&mut self, host: usize, address: std::net::IpAddr) {
        let it = &self.hosts[host];
        let announced = it.daemon.as_ref().is_some_and(|daemon| {
            let state = daemon.node.state();
            daemon.announced.iter().any(|service| addresses(state, service).contains(&address))
        });
        if !announced || it.configured.contains(&address) {
            return;
        }
        if let Some(until) = it.daemon_waits(self.now) {
            self.at(until, What::AddressLooked(host, address));
            return;
        }
        self.hosts[host].configured.insert(address);
        self.gratuitous(host, address);
        let notice = stead_core::notice::Notice::AddressRestored(address.to_string());
        self.note(Some(host), || notice.to_string());
    }
}

/// What a holder of the service answers for: as its assignment says.
fn addresses(state: &State, service: &ServiceId) -> Vec<std::net::IpAddr> {
    let assignment = state.assignments.get(service);
    assignment.map(|assignment| assignment.addresses.clone()).unwrap_or_default()
}
