//! Acts are performed.

use super::{Act, ActError, Target};
use crate::log::Mode;
use crate::world::{Interrupt, Manner, Moment, World};

impl World {
    /// Does it, keeps it, counts it.
    ///
    /// # Errors
    /// If it can't be done now; then nothing has changed.
    pub fn act(&mut self, act: &Act) -> Result<(), ActError> {
        let phase = self.phase();
        let told = self.tracing.then(|| self.plan.told(act));
        self.note(None, || format!("[{}]", told.unwrap_or_default()));
        self.perform_act(act)?;
        if let Some(kind) = act.kind() {
            self.cover.hit(kind, phase);
        }
        self.acts.push((self.now, act.clone()));
        Ok(())
    }

    fn find(&self, target: Target) -> Result<usize, ActError> {
        self.target(target).ok_or(ActError::Nobody(target))
    }

    /// By what an act touches.
    fn perform_act(&mut self, act: &Act) -> Result<(), ActError> {
        match act {
            Act::Cut(..)
            | Act::Way(..)
            | Act::Mute(_)
            | Act::Deaf(_)
            | Act::Link(..)
            | Act::Mend
            | Act::Port(..)
            | Act::Point(..)
            | Act::Silent(_)
            | Act::Register(_)
            | Act::RegisterWay(..)
            | Act::Storm(..)
            | Act::Record(_)
            | Act::Replay => self.act_on_networks(act),
            Act::Stranger(..)
            | Act::RemoveAddress(_)
            | Act::End(_)
            | Act::Unbreak
            | Act::PowerOff(_)
            | Act::Break(..) => self.act_on_services(act),
            Act::Move(..)
            | Act::Standby(..)
            | Act::RideOut(_)
            | Act::Swap(_)
            | Act::Leave(_)
            | Act::Join(_)
            | Act::Clear
            | Act::Disarm(_)
            | Act::Arm
            | Act::Steady(_)
            | Act::ConfirmOff(_)
            | Act::Satellite(..)
            | Act::Services(..)
            | Act::Maintain(..)
            | Act::Serve(..) => self.operate_act(act),
            Act::Override(it, forced) => self.overrule(*it, *forced),
            Act::Agents(act) => self.act_on_agents(act),
            Act::FreezeGuard(it, _)
            | Act::FreezeDaemon(it, _)
            | Act::Freeze(it, _)
            | Act::CutGuard(it, ..)
            | Act::CutDaemon(it, ..)
            | Act::KillGuard(it)
            | Act::StartGuard(it)
            | Act::KillDaemon(it)
            | Act::StartDaemon(it)
            | Act::PowerOn(it)
            | Act::Release(it)
            | Act::Retire(it)
            | Act::Halt(it, ..)
            | Act::Disk(it, _)
            | Act::Device(it, _)
            | Act::LoseDisk(it)
            | Act::Clock(it, ..) => {
                let host = self.find(*it)?;
                self.act_on_machine(host, act);
                Ok(())
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other acts are performed elsewhere")]
    fn act_on_networks(&mut self, act: &Act) -> Result<(), ActError> {
        match act {
            Act::Cut(link, group) => {
                let group: Result<Vec<_>, _> = group.iter().map(|it| self.find(*it)).collect();
                self.net.cut(*link, &group?);
            }
            Act::Way(link, from, to, open) => {
                let (from, to) = (self.find(*from)?, self.find(*to)?);
                self.net.set(*link, from, to, *open);
            }
            Act::Mute(it) => {
                let host = self.find(*it)?;
                (0..self.hosts.len()).for_each(|to| self.net.set(None, host, to, false));
            }
            Act::Deaf(it) => {
                let host = self.find(*it)?;
                (0..self.hosts.len()).for_each(|from| self.net.set(None, from, host, false));
            }
            Act::Link(link, open) => {
                if *link >= self.net.links() {
                    return Err(ActError::NoLink(*link));
                }
                for (from, to) in pairs(self.hosts.len()) {
                    self.net.set(Some(*link), from, to, *open);
                }
            }
            Act::Mend => {
                self.net.mend();
                if let Some(server) = &mut self.register {
                    server.open.fill(true);
                }
            }
            Act::Port(it, up) => {
                let host = self.find(*it)?;
                self.lan.up[host] = *up;
                self.lan.unsteady[host] |= !up;
            }
            Act::Point(number, lives) => {
                if let Some(point) = self.lan.points.get_mut(*number) {
                    *point = *lives;
                }
            }
            Act::Silent(it) => {
                let host = self.find(*it)?;
                self.lan.silent[host] = true;
            }
            Act::Register(fault) => self.harm_register(*fault),
            Act::RegisterWay(it, open) => {
                let host = self.find(*it)?;
                if let Some(server) = &mut self.register {
                    server.open[host] = *open;
                }
            }
            Act::Storm(late, long) => self.net.storm = Some((*late, self.now + long)),
            Act::Record(it) => {
                let host = self.find(*it)?;
                self.recorded = self.net.newest(host);
            }
            Act::Replay => {
                for (to, heartbeat) in self.recorded.clone() {
                    self.replay(to, heartbeat);
                }
                (0..20).for_each(|_| self.replay_something());
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other acts are performed elsewhere")]
    fn act_on_services(&mut self, act: &Act) -> Result<(), ActError> {
        match act {
            Act::Stranger(number, long) => {
                self.lan.strangers.insert(self.plan.address(*number), self.now + long);
            }
            Act::RemoveAddress(number) => {
                let host = self.server(*number).ok_or(ActError::Unserved(*number))?;
                self.remove_address(host, self.plan.address(*number));
            }
            Act::End(number) => {
                let name = self.plan.service(*number);
                let runs = |host: &usize| self.hosts[*host].programs.contains_key(&name);
                let host = (0..self.hosts.len()).find(runs).ok_or(ActError::Unserved(*number))?;
                self.end_program(host, &name);
            }
            Act::Unbreak => self.hosts.iter_mut().for_each(|host| host.broken.clear()),
            Act::PowerOff(group) => {
                let group: Result<Vec<_>, _> = group.iter().map(|it| self.find(*it)).collect();
                group?.into_iter().for_each(|host| self.power_off(host));
            }
            Act::Break(number, it) => {
                let host = self.find(*it)?;
                self.hosts[host].broken.insert(self.plan.service(*number));
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other acts are performed elsewhere")]
    fn act_on_machine(&mut self, host: usize, act: &Act) {
        match act {
            Act::FreezeGuard(_, long) => self.hold_up(host, true, false, *long),
            Act::FreezeDaemon(_, long) => self.hold_up(host, false, true, *long),
            Act::Freeze(_, long) => self.hold_up(host, true, true, *long),
            Act::CutGuard(_, at, pause) => {
                self.hosts[host].guard_cut = Some(Interrupt { at: *at, pause: *pause });
            }
            Act::CutDaemon(_, after, pause) => {
                let at = Moment::After(*after);
                self.hosts[host].daemon_cut = Some(Interrupt { at, pause: *pause });
            }
            Act::KillGuard(_) => self.kill_guard(host),
            Act::StartGuard(_) => self.start_guard(host),
            Act::KillDaemon(_) => self.kill_daemon(host),
            Act::StartDaemon(_) | Act::PowerOn(_) => {
                self.hosts[host].powered = true;
                self.repair(host);
            }
            Act::Release(_) => self.release(host),
            Act::Retire(_) => self.retire(host),
            Act::Halt(_, how, long) => self.halt(host, *how, *long),
            Act::Disk(_, mode) => self.hosts[host].disk.mode = *mode,
            Act::Device(_, manner) => self.hosts[host].device = *manner,
            Act::LoseDisk(_) => {
                self.kill_daemon(host);
                self.hosts[host].disk.lose();
            }
            Act::Clock(_, ppm, outside) => self.slew(host, *ppm, *outside),
            _ => {}
        }
    }

    /// Brings back what is missing on a machine, as its service manager would. A guard that gave
    /// its lease up, and a daemon whose store failed, have to be started anew; a machine that was
    /// cut off has to boot, as its operator is told.
    pub fn repair(&mut self, host: usize) {
        if !self.hosts[host].powered || self.hosts[host].halted.is_some() {
            return;
        }
        if self.hosts[host].cut_off {
            self.power_off(host);
            self.hosts[host].powered = true;
        }
        let guard = self.hosts[host].guard.as_ref();
        let ended = guard.is_none_or(|guard| guard.lease.is_released());
        if ended {
            self.start_guard(host);
        }
        let daemon = self.hosts[host].daemon.as_ref();
        if daemon.is_none_or(|it| it.raft.is_dead() || it.retiring && ended) {
            self.start_daemon(host);
        }
    }

    /// All faults end: what is broken works, what is missing starts, nobody is kept from serving.
    pub fn heal(&mut self) {
        self.note(None, || "[all faults end]".to_string());
        self.healed_at.get_or_insert(self.now);
        self.chaos = None;
        self.net.rough = false;
        self.lift();
    }

    /// The faults that there are end; others may follow.
    pub(crate) fn lift(&mut self) {
        self.net.storm = None;
        self.net.mend();
        self.heal_register();
        self.lan.up.fill(true);
        self.lan.points.fill(true);
        self.lan.strangers.clear();
        for host in 0..self.hosts.len() {
            let now = self.now;
            let it = &mut self.hosts[host];
            it.guard_paused = it.guard_paused.min(now);
            it.daemon_paused = it.daemon_paused.min(now);
            it.guard_cut = None;
            it.daemon_cut = None;
            it.broken.clear();
            it.habits.clear();
            it.disk.mode = Mode::Good;
            it.device = Manner::Good;
            it.powered = true;
            if it.slewed {
                let ppm = it.clock.ppm().clamp(-1_000, 1_000);
                self.slew(host, ppm, false);
            }
        }
        self.tidy();
    }

    /// What the operator and the service managers do after the faults.
    pub fn tidy(&mut self) {
        for host in 0..self.hosts.len() {
            self.repair(host);
            self.replace(host);
        }
        let standby: Vec<_> =
            self.state().map(|it| it.standby.iter().copied().collect()).unwrap_or_default();
        let halted = self.state().map(|it| it.later.halted.clone()).unwrap_or_default();
        self.hand_back();
        if let Some(helper) = self.helper() {
            if !halted.is_empty() {
                let change = stead_core::state::Change::Halt { nodes: halted, on: false };
                self.operate(helper, change);
            }
            for node in standby {
                let change = stead_core::state::Change::Standby { node, on: false };
                self.operate(helper, change);
            }
        }
    }
}

fn pairs(nodes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to)))
}
