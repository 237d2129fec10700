//! One seed of somebody's own cluster.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Own;
use crate::check::{Verdict, Why};
use crate::fault::{Act, Kind, Mix};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::swarm;
use crate::world::World;

/// How many faults come one at a time.
const SINGLES: u64 = 6;
/// How long one of them stands at most, in milliseconds: longer than a coordinator's election, a
/// lease's wait, a reset by a watchdog and a slow fence device take together.
const STANDS: u64 = 20_000;
/// It is over as soon as everything has been served for so long, and it has stood for a while.
const CALM: u64 = 1_000;
const LEAST: u64 = 4_000;
/// So long everything rests between two of them: what came back votes again by then.
const REST: u64 = 3_000;
/// After so long a service manager has started again what was killed, in milliseconds.
const RESTART: u64 = 500;
/// How often it is looked who is served, in microseconds.
const LOOK: u64 = 5_000;

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Told {
    /// The seed.
    pub seed: u64,
    /// What a judge saw, if one did.
    pub verdict: Option<Verdict>,
    /// Virtual microseconds.
    pub virtual_micros: u64,
    /// How many faults there were.
    pub faults: u64,
    /// Excuses that were needed, and the longest.
    pub excused: BTreeMap<Why, (u64, u64)>,
    /// What each fault did that came alone.
    pub singles: Vec<Single>,
    /// What each service went through while faults came and stood; by its number.
    pub stormy: Vec<Stormy>,
}

/// A fault that came alone.
#[derive(Clone, Debug)]
pub struct Single {
    /// Its kind.
    pub kind: Kind,
    /// What was done, as scripts say it.
    pub what: String,
    /// When, in microseconds since the world began.
    pub at: u64,
    /// What it did to each service, by its number.
    pub outages: Vec<Outage>,
}

/// How long nobody answered for a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// The longest time in one piece, in microseconds.
    pub longest: u64,
    /// It lasted until the fault was lifted.
    pub lasting: bool,
}

/// A service while faults come and stand, several at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stormy {
    /// For how long that was, in microseconds.
    pub time: u64,
    /// For how much of it nobody answered.
    pub down: u64,
    /// How often that began.
    pub times: u64,
}

/// Runs a seed.
#[must_use]
pub fn run(own: &Arc<Own>, seed: u64) -> Told {
    play(own, seed, false).0
}

/// Runs a seed and tells all that was said and done, line by line.
#[must_use]
pub fn retell(own: &Arc<Own>, seed: u64) -> (Told, Vec<String>) {
    let (told, world) = play(own, seed, true);
    let lines = world.trace.iter().map(|it| world.line(0, it).trim_end().to_string()).collect();
    (told, lines)
}

fn play(own: &Arc<Own>, seed: u64, tracing: bool) -> (Told, World) {
    let mut world = World::new(Own::plan(own, seed));
    world.tracing = tracing;
    let mut told = Told {
        seed,
        verdict: None,
        virtual_micros: 0,
        faults: 0,
        excused: BTreeMap::new(),
        singles: Vec::new(),
        stormy: vec![Stormy::default(); own.services().len()],
    };
    let ran = catch_unwind(AssertUnwindSafe(|| live(&mut world, &mut told)));
    if let Err(panic) = ran {
        swarm::panicked(&mut world, panic.as_ref());
    }
    told.verdict = world.judges.verdict.clone();
    told.virtual_micros = world.now;
    told.faults = Kind::ALL.map(|kind| world.cover.of(kind)).iter().sum();
    told.excused = world.judges.excused.clone();
    (told, world)
}

fn live(world: &mut World, told: &mut Told) {
    let mut rng = Rng::stream(told.seed, 10);
    let kinds = kinds(&world.plan);
    calm(world, true);
    if !world.run_until(60_000, World::is_healthy) {
        let why = world.unhealthy().unwrap_or_default();
        world.fail("I4", &format!("it does not come to be served, with nothing wrong: {why}"));
    }
    for number in 0..SINGLES {
        // One after the other through all seeds, so that none is left out by chance.
        let place = told.seed.wrapping_mul(SINGLES).wrapping_add(number) % kinds.len() as u64;
        single(world, kinds[place as usize], told);
    }
    calm(world, false);
    let mut mix = Mix::draw(&mut rng);
    mix.kinds = kinds.iter().copied().filter(|_| rng.chance(2)).collect();
    if mix.kinds.is_empty() {
        mix.kinds.push(Kind::Power);
    }
    world.begin_chaos(mix);
    storm(world, rng.between(8_000, 16_000), &mut told.stormy);
    world.set_lull(true);
    world.judge_lull(swarm::LULL);
    world.set_lull(false);
    storm(world, rng.between(6_000, 10_000), &mut told.stormy);
    swarm::heal(world);
    world.judge_nothing_lost();
}

/// Networks and hands as on a good day, or at the bounds that the timers allow for.
fn calm(world: &mut World, calm: bool) {
    world.plan.rough = !calm;
    world.net.rough = !calm;
}

/// The kinds of faults that can happen to that cluster.
fn kinds(plan: &Plan) -> Vec<Kind> {
    let several = plan.nodes > 1;
    let programs = plan.config().services.values().any(|it| it.program.is_some());
    let parts = !plan.parts.services.is_empty();
    let has = |kind: &Kind| match kind {
        Kind::Partition | Kind::OneWay | Kind::Isolate | Kind::Link | Kind::Standby => several,
        Kind::Blackout => plan.nodes > 2,
        Kind::Point => plan.points > 0,
        Kind::RegisterDown | Kind::RegisterLost | Kind::RegisterOld | Kind::RegisterCut => {
            plan.register
        }
        Kind::Program | Kind::Broken => programs || parts,
        Kind::Agent | Kind::Part | Kind::Executor => parts,
        Kind::Device => plan.devices,
        Kind::Port
        | Kind::Storm
        | Kind::Replay
        | Kind::FreezeGuard
        | Kind::FreezeDaemon
        | Kind::FreezeBoth
        | Kind::CutGuard
        | Kind::CutDaemon
        | Kind::KillGuard
        | Kind::KillDaemon
        | Kind::Power
        | Kind::Release
        | Kind::Suspend
        | Kind::Hypervisor
        | Kind::DiskSlow
        | Kind::DiskFull
        | Kind::DiskFailing
        | Kind::DiskLost
        | Kind::Clock
        | Kind::Stranger
        | Kind::Address => true,
        // What people do to a cluster is not what a file is tried for.
        Kind::Move
        | Kind::Timers
        | Kind::Swap
        | Kind::Leave
        | Kind::Disarm
        | Kind::Stopped
        | Kind::Satellite
        | Kind::ServiceStopped
        | Kind::Maintenance => false,
    };
    Kind::ALL.into_iter().filter(has).collect()
}

/// A fault comes alone, stands, and is lifted.
fn single(world: &mut World, kind: Kind, told: &mut Told) {
    if world.judges.verdict.is_some() {
        return;
    }
    world.run(REST);
    let Some(act) = world.draw(kind) else { return };
    // To take a node back from standby costs nothing.
    let act = if let Act::Standby(it, _) = act { Act::Standby(it, true) } else { act };
    let (at, what) = (world.now, world.plan.told(&act));
    if world.act(&act).is_err() {
        return;
    }
    let mut watch = Watch::new(world);
    let restarts =
        matches!(kind, Kind::KillGuard | Kind::KillDaemon | Kind::CutGuard | Kind::CutDaemon);
    let restart = at + RESTART * 1_000;
    let mut served = at;
    while world.judges.verdict.is_none() && world.now < at + STANDS * 1_000 {
        let due = restarts && world.now < restart;
        world.run_micros(LOOK);
        if due && world.now >= restart {
            (0..world.hosts.len()).for_each(|host| world.repair(host));
        }
        if watch.look(world) {
            served = world.now;
        }
        if world.now >= at + LEAST * 1_000 && world.now >= served + CALM * 1_000 {
            break;
        }
    }
    told.singles.push(Single { kind, what, at, outages: watch.outages(world.now) });
    world.note(None, || "[it is mended]".to_string());
    world.lift();
    swarm::mend(world);
}

/// Faults come as they do in every seed.
fn storm(world: &mut World, millis: u64, stormy: &mut [Stormy]) {
    let end = world.now + millis * 1_000;
    let mut were: Vec<bool> = (0..stormy.len()).map(|number| world.is_down(number)).collect();
    while world.judges.verdict.is_none() && world.now < end {
        world.run_micros(LOOK);
        for (number, (it, was)) in stormy.iter_mut().zip(&mut were).enumerate() {
            let down = world.is_down(number);
            it.time += LOOK;
            it.down += if down { LOOK } else { 0 };
            it.times += u64::from(down && !*was);
            *was = down;
        }
    }
}

/// Since when nobody answers, and for how long nobody did.
struct Watch {
    since: Vec<Option<u64>>,
    longest: Vec<u64>,
}

impl Watch {
    fn new(world: &World) -> Self {
        let services = world.plan.services;
        let mut watch = Self { since: vec![None; services], longest: vec![0; services] };
        watch.look(world);
        watch
    }

    /// Says whether anybody is not served.
    fn look(&mut self, world: &World) -> bool {
        for number in 0..self.since.len() {
            if world.is_down(number) {
                self.since[number].get_or_insert(world.now);
            } else if let Some(since) = self.since[number].take() {
                self.longest[number] = self.longest[number].max(world.now - since);
            }
        }
        self.since.iter().any(Option::is_some)
    }

    fn outages(&self, now: u64) -> Vec<Outage> {
        let one = |(since, longest): (&Option<u64>, &u64)| {
            let last = since.map_or(0, |since| now - since);
            Outage { longest: last.max(*longest), lasting: since.is_some() }
        };
        self.since.iter().zip(&self.longest).map(one).collect()
    }
}

impl World {
    /// Whether a client of a service would get no answer now, or one from a machine on which it
    /// does not work.
    fn is_down(&self, number: usize) -> bool {
        let service = self.plan.service(number);
        let client = self.lan.clients.get(number).and_then(|client| client.cache);
        let first = self.plan.address(number);
        let works = |host: &usize| {
            let it = &self.hosts[*host];
            let known = client.is_none_or(|cached| cached == *host);
            let reached = self.lan.up[*host] && known && it.answers(first, self.now);
            reached && self.runs_there(*host, &service)
        };
        !(0..self.hosts.len()).any(|host| works(&host))
    }

    fn runs_there(&self, host: usize, service: &stead_core::id::ServiceId) -> bool {
        let it = &self.hosts[host];
        if !self.plan.parts_of(service).is_empty() {
            return it.executors.get(service).is_some_and(|executor| executor.works());
        }
        let own = self.plan.own.as_ref().and_then(|own| own.config().services.get(service));
        own.is_none_or(|it| it.program.is_none()) || it.programs.contains_key(service)
    }
}
