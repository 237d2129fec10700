//! Random faults, drawn by a seed's mix.

use stead_core::time::Span;

use super::{Act, AgentAct, Care, Kind, Target};
use crate::log::Mode;
use crate::register::Fault;
use crate::rng::Rng;
use crate::world::{Halt, Manner, Moment, What, World};

/// Which kinds of faults a seed has, and how close they follow each other.
#[derive(Clone, Debug)]
pub struct Mix {
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// The shortest time between two faults, in microseconds.
    pub shortest: u64,
    /// The longest.
    pub longest: u64,
    /// Once in so many faults the networks are mended first.
    pub mend: u64,
}

impl Mix {
    /// The mix of a seed: each kind is on in every second one.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let kinds = Kind::ALL.into_iter().filter(|kind| !kind.is_added());
        let mut kinds: Vec<_> = kinds.filter(|_| rng.chance(2)).collect();
        if kinds.is_empty() {
            kinds.push(Kind::Power);
        }
        let longest = [120_000, 500_000, 1_500_000, 5_000_000][rng.index(4)];
        Self { kinds, shortest: longest / 10, longest, mend: rng.between(2, 6) }
    }

    /// For a cluster whose machines have fence devices.
    pub fn add_devices(&mut self) {
        self.kinds.extend([Kind::Device; 2]);
    }

    /// For a cluster whose services consist of resources: agents more often than all else.
    pub fn add_agents(&mut self, rng: &mut Rng) {
        let often = [(Kind::Agent, 6), (Kind::Part, 3), (Kind::Executor, 1)];
        for (kind, times) in often.into_iter().filter(|_| rng.below(4) > 0) {
            self.kinds.extend(std::iter::repeat_n(kind, times));
        }
    }
}

/// Random faults, while they happen.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// How.
    pub mix: Mix,
    /// No new ones for now; those there are stay.
    pub lull: bool,
}

impl World {
    /// From now on things go wrong.
    pub fn begin_chaos(&mut self, mix: Mix) {
        self.chaos = Some(Chaos { mix, lull: false });
        self.after(0, What::Chaos);
    }

    /// New faults stop, or begin again.
    pub fn set_lull(&mut self, lull: bool) {
        if let Some(chaos) = &mut self.chaos {
            chaos.lull = lull;
        }
    }

    /// Whether faults stand still.
    pub(crate) fn is_lull(&self) -> bool {
        self.chaos.as_ref().is_some_and(|chaos| chaos.lull)
    }

    pub(crate) fn next_fault(&mut self) {
        let Some(Chaos { mix, lull }) = self.chaos.clone() else { return };
        let next = self.chance.faults.between(mix.shortest, mix.longest);
        self.after(next, What::Chaos);
        if lull {
            return;
        }
        // Where nobody can act nothing is learned: soon after a majority is lost something is
        // mended, so that the cluster lives at the edge of what it stands.
        if !self.has_whole_partition() && !self.chance.faults.chance(4) {
            self.mend_something(2);
            return;
        }
        self.mend_something(mix.mend);
        let Some(kind) = self.chance.faults.pick(&mix.kinds) else { return };
        if let Some(act) = self.draw(kind) {
            // What can't be done now is not done: chance has no plan.
            let _ = self.act(&act);
            if self.chance.faults.chance(3) {
                self.plan_next(&act, &mix);
            }
        }
    }

    /// Faults that come alone meet what is over. So some are followed by another at a time that the
    /// protocol itself counts by, a little before or after: what was broken heals just when it is
    /// given up, what takes over is hit just then.
    fn plan_next(&mut self, act: &Act, mix: &Mix) {
        let timers = self.longest_timers();
        let rng = &mut self.chance.faults;
        let times = [
            timers.heartbeat,
            timers.elect_after,
            timers.suspect_after,
            timers.ride_out,
            timers.lease,
        ];
        let waits = [timers.wait(Span::from_millis(1)), timers.wait(Span::from_millis(10))];
        let times: Vec<_> = times.into_iter().chain(waits).chain([Span::ZERO]).collect();
        let time = rng.pick(&times).unwrap_or_default().0;
        let about = rng.between(time.saturating_sub(3_000), time + 6_000);
        let next = match act.kind() {
            Some(Kind::Isolate | Kind::OneWay | Kind::Partition | Kind::Link) if rng.chance(2) => {
                Some(Act::Mend)
            }
            _ => rng.pick(&mix.kinds).and_then(|kind| self.draw(kind)),
        };
        if let Some(next) = next {
            self.after(about, What::Later(Box::new(next)));
        }
    }

    /// What was planned, unless faults are over by now.
    pub(crate) fn follow(&mut self, act: &Act) {
        // Another may have been lost meanwhile.
        let may = if let Act::LoseDisk(it) | Act::Leave(it) = act {
            self.losable(*it)
        } else if let Act::Satellite(it, true) = act {
            self.demotable(*it)
        } else {
            true
        };
        if may && self.chaos.as_ref().is_some_and(|chaos| !chaos.lull) {
            self.try_act(act);
        }
    }

    fn try_act(&mut self, act: &Act) {
        let _ = self.act(act);
    }

    /// What breaks is mended now and then, or soon nothing is left to break.
    fn mend_something(&mut self, mend: u64) {
        let host = self.chance.faults.index(self.hosts.len());
        let it = Target::Host(host);
        if self.chance.faults.chance(mend) {
            self.try_act(&Act::Mend);
        }
        if self.chance.faults.chance(2) {
            if self.hosts[host].disk.mode != Mode::Good {
                self.try_act(&Act::Disk(it, Mode::Good));
            }
            self.try_repair(host);
            if !self.hosts[host].habits.is_empty() {
                self.try_act(&Act::Agents(AgentAct::Honest(it)));
            }
            if self.hosts[host].device != Manner::Good {
                self.try_act(&Act::Device(it, Manner::Good));
            }
            if !self.lan.up[host] {
                self.try_act(&Act::Port(it, true));
            }
            if self.register.as_ref().is_some_and(|server| !server.up) {
                self.try_act(&Act::Register(Fault::Up(true)));
            }
            if self.register.as_ref().is_some_and(|server| !server.open[host]) {
                self.try_act(&Act::RegisterWay(it, true));
            }
            if let Some(point) = self.lan.points.iter().position(|lives| !lives) {
                self.try_act(&Act::Point(point, true));
            }
            if self.hosts[host].slewed {
                self.try_act(&Act::Clock(it, 0, false));
            }
        }
        if self.chance.faults.chance(4) {
            self.replace(host);
            if self.hosts.iter().any(|host| !host.broken.is_empty()) {
                self.try_act(&Act::Unbreak);
            }
        }
    }

    fn try_repair(&mut self, host: usize) {
        let it = &self.hosts[host];
        let gone = it.guard.as_ref().is_none_or(|guard| guard.lease.is_released());
        let dead = it.daemon.as_ref().is_none_or(|daemon| daemon.raft.is_dead());
        if !it.powered || gone || dead {
            self.try_act(&Act::PowerOn(Target::Host(host)));
        }
    }

    /// An act of that kind, with everything else left to chance.
    pub(crate) fn draw(&mut self, kind: Kind) -> Option<Act> {
        let (nodes, services, links) = (self.hosts.len(), self.plan.services, self.net.links());
        let host = Target::Host(self.aim());
        let rng = &mut self.chance.faults;
        let number = rng.index(services);
        let any_link = if rng.chance(2) { None } else { Some(rng.index(links)) };
        // Short ones hit what is in flight, long ones outlast leases.
        let pause = if rng.chance(2) { rng.below(60_000) } else { rng.below(2_500_000) };
        let cut = if rng.chance(3) { None } else { Some(pause) };
        Some(match kind {
            Kind::Partition => self.draw_partition(any_link),
            Kind::OneWay | Kind::Isolate => self.draw_isolation(kind, any_link),
            Kind::Link => Act::Link(rng.index(links), false),
            Kind::Port => Act::Port(host, false),
            Kind::Point => Act::Point(number % self.lan.points.len().max(1), false),
            Kind::RegisterDown => Act::Register(Fault::Up(false)),
            Kind::RegisterLost => Act::Register(Fault::Lost),
            Kind::RegisterOld if rng.chance(2) => Act::Register(Fault::Copied),
            Kind::RegisterOld => Act::Register(Fault::Restored),
            Kind::RegisterCut => Act::RegisterWay(host, false),
            Kind::Storm => Act::Storm(rng.between(1_000, 400_000), pause),
            Kind::Replay => Act::Replay,
            Kind::FreezeGuard => Act::FreezeGuard(host, self.plan.freeze(pause)),
            Kind::FreezeDaemon => Act::FreezeDaemon(host, pause),
            Kind::FreezeBoth => Act::Freeze(host, self.plan.freeze(pause)),
            Kind::CutGuard => self.draw_guard_cut(host, cut),
            Kind::CutDaemon => Act::CutDaemon(host, rng.index(5), cut),
            Kind::KillGuard => Act::KillGuard(host),
            Kind::KillDaemon => Act::KillDaemon(host),
            Kind::Power => Act::PowerOff(vec![host]),
            Kind::Blackout => {
                let some = some_of(rng, nodes);
                let group = self.some_site().unwrap_or(some);
                let group: Vec<_> = group.into_iter().map(Target::Host).collect();
                return (group.len() > 1).then_some(Act::PowerOff(group));
            }
            Kind::Release if rng.chance(2) => Act::Retire(host),
            Kind::Release => Act::Release(host),
            Kind::Suspend => Act::Halt(host, Halt::Suspended, pause),
            Kind::Hypervisor => Act::Halt(host, Halt::Paused, pause),
            Kind::DiskSlow => Act::Disk(host, Mode::Slow(rng.between(5_000, 1_500_000))),
            Kind::DiskFull => Act::Disk(host, Mode::Full),
            Kind::DiskFailing => Act::Disk(host, Mode::Failing),
            Kind::DiskLost => return self.losable(host).then_some(Act::LoseDisk(host)),
            Kind::Clock => {
                let ppm = rng.between(1_500, 30_000) as i64;
                Act::Clock(host, if rng.chance(2) { ppm } else { -ppm }, true)
            }
            Kind::Stranger => Act::Stranger(number, pause * 2),
            Kind::Address => Act::RemoveAddress(number),
            Kind::Program => Act::End(number),
            Kind::Broken => Act::Break(number, host),
            Kind::Move => Act::Move(number, host),
            Kind::Standby => Act::Standby(host, rng.chance(3)),
            Kind::Timers => self.draw_ride_out(),
            Kind::Swap => Act::Swap(rng.chance(2)),
            Kind::Leave => return self.losable(host).then_some(Act::Leave(host)),
            Kind::Disarm => self.draw_disarming(),
            Kind::Stopped => {
                let group: Vec<_> = some_of(rng, nodes).into_iter().map(Target::Host).collect();
                let serve = rng.chance(2);
                return (!group.is_empty()).then_some(Act::Serve(group, serve));
            }
            Kind::Agent | Kind::Part | Kind::Executor => return self.draw_agents(kind),
            Kind::Device => return self.draw_device(host),
            Kind::ServiceStopped | Kind::Maintenance => return self.draw_kept(kind, host),
            Kind::Satellite if rng.chance(2) => Act::Satellite(host, false),
            Kind::Satellite => return self.demotable(host).then_some(Act::Satellite(host, true)),
        })
    }

    /// Something that an operator keeps from running, or from being touched, or no longer.
    fn draw_kept(&mut self, kind: Kind, host: Target) -> Option<Act> {
        let (services, rng) = (self.plan.services, &mut self.chance.faults);
        let on = rng.chance(2);
        if kind == Kind::ServiceStopped {
            let some = some_of(rng, services);
            return (!some.is_empty()).then_some(Act::Services(some, on));
        }
        let what = match rng.below(4) {
            0 => Care::Cluster,
            1 => Care::Machine(host),
            _ => Care::Service(rng.index(services)),
        };
        Some(Act::Maintain(what, on))
    }

    fn draw_ride_out(&mut self) -> Act {
        let (millis, rng) = (self.plan.ride_out.0 / 1_000, &mut self.chance.faults);
        let factor = [1, 1, 2][rng.index(3)];
        let half = rng.chance(2);
        let millis = if half { millis * factor / 2 } else { millis * factor };
        Act::RideOut(millis.max(20).max(self.plan.round_trip.0 * 4 / 1_000))
    }

    fn draw_device(&mut self, host: Target) -> Option<Act> {
        let manner = self.chance.faults.pick(&Manner::ALL).map(|(manner, _)| manner)?;
        // What breaks ties has to tell the truth (rule X4).
        let lies = manner == Manner::Lies && self.plan.fence_ties;
        (!lies).then_some(Act::Device(host, manner))
    }

    /// Short enough to run out within a seed, and longer than the faults that it is for.
    fn draw_disarming(&mut self) -> Act {
        let disarmed = self.state().is_some_and(|state| state.is_disarmed());
        if disarmed && self.chance.faults.chance(2) {
            return Act::Arm;
        }
        let shortest = self.longest_ordinary_lease().0 + 1_000;
        Act::Disarm(self.chance.faults.between(shortest, shortest.max(10_000_000)))
    }

    fn draw_partition(&mut self, link: Option<usize>) -> Act {
        let nodes = self.hosts.len();
        let mut group = some_of(&mut self.chance.faults, nodes);
        if let Some(site) = self.some_site() {
            group = site;
        } else if self.chance.faults.chance(2) {
            // The hardest one: a coordinator and a holder among themselves.
            let coordinator = self.coordinator();
            let mut holders = (0..self.plan.services).filter_map(|service| self.server(service));
            let holder = holders.find(|holder| Some(*holder) != coordinator);
            group = coordinator.into_iter().chain(holder).collect();
            group.truncate(nodes.div_ceil(2).saturating_sub(1).max(1));
        }
        self.try_act(&Act::Mend);
        Act::Cut(link, group.into_iter().map(Target::Host).collect())
    }

    /// All machines of a site, by chance, where there are several: what lies between sites fails
    /// more often than what is within one.
    fn some_site(&mut self) -> Option<Vec<usize>> {
        let sites = self.plan.own.as_ref()?.sites().to_vec();
        let often = sites.len() > 1 && self.chance.faults.chance(2);
        let site = often.then(|| self.chance.faults.index(sites.len()))?;
        sites.get(site).cloned()
    }

    /// One node without one way, without one direction, or without all.
    fn draw_isolation(&mut self, kind: Kind, link: Option<usize>) -> Act {
        let host = Target::Host(self.aim());
        if kind == Kind::Isolate {
            if self.chance.faults.chance(2) {
                // It was another until now.
                self.try_act(&Act::Mend);
            }
            return Act::Cut(None, vec![host]);
        }
        let other = Target::Host(self.chance.faults.index(self.hosts.len()));
        match self.chance.faults.below(4) {
            0 => Act::Mute(host),
            1 => Act::Deaf(host),
            _ => Act::Way(link, host, other, false),
        }
    }

    fn draw_guard_cut(&mut self, host: Target, pause: Option<u64>) -> Act {
        let nodes = self.hosts.len();
        let rng = &mut self.chance.faults;
        let at = match rng.below(6) {
            0 | 1 => Moment::Arming,
            2 => Moment::Releasing(rng.index(2 * nodes)),
            _ => Moment::After(rng.index(2 * nodes)),
        };
        if let Moment::Releasing(_) = at {
            self.after(0, What::Later(Box::new(Act::Release(host))));
        }
        Act::CutGuard(host, at, pause)
    }

    /// The machine that a fault hits: any, or one that matters most at this moment.
    fn aim(&mut self) -> usize {
        let (coordinator, number) =
            (self.coordinator(), self.chance.faults.index(self.plan.services));
        let holder = self.server(number);
        let any = self.chance.faults.index(self.hosts.len());
        match self.chance.faults.below(5) {
            0 => coordinator.unwrap_or(any),
            1 | 2 => holder.unwrap_or(any),
            _ => any,
        }
    }

    /// One voter less may be asked for only while no disk is lost, nor about to be: the next one
    /// would take a majority's memory with it.
    fn demotable(&self, target: Target) -> bool {
        let Some(host) = self.target(target) else { return false };
        let Some(state) = self.state() else { return false };
        let id = self.hosts[host].id;
        let others = state.members.keys().filter(|node| **node != id && state.shall_vote(**node));
        others.count() > 0
            && !self.hosts.iter().any(|it| it.disk.is_lost())
            && !self.asked_lately(|act| matches!(act, Act::Leave(_) | Act::LoseDisk(_)))
    }

    /// What an operator asked for may still be on its way.
    fn asked_lately(&self, is: impl Fn(&Act) -> bool) -> bool {
        let asked = |(at, act): &(u64, Act)| is(act) && self.now - at < 6_000_000;
        self.acts.iter().rev().take(200).any(asked)
    }

    /// A disk or a node may be lost only while more than half of the voters keep theirs: what a
    /// majority forgets is gone, and no protocol brings it back.
    fn losable(&self, target: Target) -> bool {
        let Some(host) = self.target(target) else { return false };
        let Some(state) = self.state() else { return false };
        let lost = |it: &&crate::world::Host| it.disk.is_lost();
        let settled = state.members.len() == self.hosts.len()
            && state.members.keys().all(|node| self.host_of(*node).is_some())
            && self.hosts.iter().all(|it| state.members.contains_key(&it.id));
        let voting = state.members.keys().filter(|node| !state.is_satellite(**node)).count();
        let voters = self
            .hosts
            .iter()
            .all(|it| it.disk.voters().iter().all(|set| set.len() == voting) || it.disk.is_lost());
        let lost = self.hosts.iter().filter(lost).count();
        let asked = self.asked_lately(|act| {
            matches!(act, Act::Leave(_) | Act::LoseDisk(_) | Act::Satellite(..))
        });
        let powered = self.hosts[host].powered;
        settled && voters && !asked && lost == 0 && voting >= 3 && powered
    }
}

/// Each of so many machines, or not.
fn some_of(rng: &mut Rng, nodes: usize) -> Vec<usize> {
    let mask = rng.below(1 << nodes);
    (0..nodes).filter(|it| mask >> it & 1 == 1).collect()
}
