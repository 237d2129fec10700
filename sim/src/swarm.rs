//! One seed: a cluster of some size, a mix of faults, a lull, more faults, and the end of all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use stead_core::time::Span;

use crate::check::{Verdict, Why};
use crate::cover::Cover;
use crate::fault::{Act, Mix, Target};
use crate::parts::Parts;
use crate::plan::{Gates, Plan};
use crate::rng::Rng;
use crate::world::{Dogs, World};

/// How long everything may take to heal, in virtual milliseconds: elections, replacements,
/// admissions, and the longest pause of a service that failed often.
const HEALING: u64 = 40_000;
/// How long a partition under standing faults may take until it serves, in virtual milliseconds.
pub(crate) const LULL: u64 = 25_000;

/// The ride-outs, in milliseconds: all orders, the short ones rarely, as they cost the most time.
const RIDE_OUTS: [u64; 32] = [
    20, 50, 100, 300, 300, 300, 300, 300, 600, 600, 600, 600, 600, 600, 600, 600, 1_000, 1_000,
    1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 2_000, 2_000, 2_000, 2_000, 2_000,
    2_000,
];

/// How many machines: small clusters are what most people have, and every pair costs.
const NODES: [usize; 20] = [2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 6, 7, 9];

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What a judge saw, if one did.
    pub verdict: Option<Verdict>,
    /// Virtual microseconds.
    pub virtual_micros: u64,
    /// How much happened.
    pub steps: u64,
    /// What stands for all of it.
    pub digest: u64,
    /// Which faults met which phases.
    pub cover: Cover,
    /// How often an address changed hands.
    pub moved: u64,
    /// Whether the machines had so little room that perhaps nothing could.
    pub cramped: bool,
    /// How often a partition under standing faults served.
    pub lulls: u64,
    /// Excuses that were needed, and the longest.
    pub excused: std::collections::BTreeMap<Why, (u64, u64)>,
}

/// What a seed is: its cluster, its faults.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The cluster.
    pub plan: Plan,
    /// The faults.
    pub mix: Mix,
    /// Virtual milliseconds of faults, before and after the lull.
    pub faults: [u64; 2],
}

impl Seed {
    /// Draws everything from the number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, 0);
        let mut nodes = rng.pick(&NODES).unwrap_or(3);
        let ride_out = rng.pick(&RIDE_OUTS).unwrap_or(300);
        if ride_out < 100 {
            // Ten times the datagrams; what many nodes show they show at longer ride-outs.
            nodes = nodes.min(5);
        }
        let third = (ride_out * 1_000 / 3 - 1).min(20_000);
        let late = rng.below(4) == 0 && nodes > 2;
        let plan = Plan {
            seed,
            nodes,
            members: if late { nodes - 1 } else { nodes },
            satellites: 0,
            services: rng.between(2, 5) as usize,
            links: rng.pick(&[1, 1, 1, 2, 2, 3]).unwrap_or(1),
            ride_out: Span::from_millis(ride_out),
            round_trip: Span(rng.between(500, third.max(501)).min(rng.between(1_000, 20_000))),
            grace: Span::from_millis([1_000, 3_000, 10_000][rng.index(3)]),
            rough: true,
            gates: [Gates::Relative, Gates::Absolute, Gates::Both][rng.index(3)],
            snapshot_gap: [2, 8, 40][rng.index(3)],
            start_behind: [0, 0, 6, 1_000][rng.index(4)],
            points: 0,
            failback: None,
            fenced: false,
            devices: false,
            fence_ties: false,
            room: 0,
            needs: false,
            register: false,
            named: false,
            copies: false,
            watchdogs: None,
            probe: Span::from_millis(40),
            parts: Parts::default(),
            own: None,
        };
        let mut mix = Mix::draw(&mut rng);
        let faults = [rng.between(8_000, 16_000), rng.between(6_000, 10_000)];
        // Last, so that all else is what it would be without.
        let plan = Plan { points: [0, 1, 2][rng.index(3)], ..plan };
        // Where there are ties.
        let plan = Plan { register: plan.nodes.is_multiple_of(2) && rng.below(3) > 0, ..plan };
        // A cluster of any size, and machines beside it.
        let satellites = if nodes > 2 && rng.below(4) == 0 { rng.between(1, 3) } else { 0 };
        let satellites = (satellites as usize).min(nodes - 2);
        let plan = Plan { satellites, ..plan };
        // Services that are more than one program.
        let parts = if rng.below(3) == 0 {
            mix.add_agents(&mut rng);
            Parts::draw(&mut rng, plan.services)
        } else {
            Parts::default()
        };
        let plan = Plan { parts, ..plan };
        let plain = plan.parts == Parts::default();
        let plan = Plan { fenced: plain && rng.below(2) == 0, ..plan };
        // Those that wait for each other.
        let plan = Plan { needs: rng.below(3) == 0, ..plan };
        // Those that are promoted on one of several machines.
        let copies = plain && !plan.fenced && rng.below(3) != 0;
        let plan = Plan { copies, ..plan };
        // Machines that can be switched off, and ties that are broken so.
        let pairs = plan.nodes.is_multiple_of(2) && !plan.register;
        let fence_ties = pairs && rng.below(2) == 0;
        let devices = fence_ties || plan.fenced && rng.below(4) > 0;
        if devices {
            mix.add_devices();
        }
        let plan = Plan { devices, fence_ties, ..plan };
        // Machines that are reset when their guards do not feed what counts; also when they stand
        // still, for that nothing inside of them does.
        let watchdogs = (plan.fenced && rng.below(2) == 0).then_some(Dogs::Outside);
        let plan = Plan { watchdogs, ..plan };
        // Machines that may be too small for all that some of them would have to carry.
        let room = if rng.below(3) == 0 { rng.between(2, 7) } else { 0 };
        let plan = Plan { room, ..plan };
        // Services that clients find by name.
        let plan = Plan { named: rng.below(3) == 0, ..plan };
        Self { plan, mix, faults }
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    let it = Seed::new(seed);
    let (outcome, _) = play(&it, |_| {});
    outcome
}

/// Runs a seed; `prepare` may have the world keep its trace.
pub fn play(it: &Seed, prepare: impl FnOnce(&mut World)) -> (Outcome, World) {
    let mut world = World::new(it.plan.clone());
    prepare(&mut world);
    let ran = catch_unwind(AssertUnwindSafe(|| live(&mut world, it)));
    if let Err(panic) = ran {
        panicked(&mut world, panic.as_ref());
    }
    (outcome(it.plan.seed, &world), world)
}

/// The core itself panicked: that is a verdict too.
pub(crate) fn panicked(world: &mut World, panic: &(dyn std::any::Any + Send)) {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    world.fail("panic", words.unwrap_or("the core panicked"));
}

fn live(world: &mut World, it: &Seed) {
    world.run(1_500);
    world.begin_chaos(it.mix.clone());
    world.run(it.faults[0]);
    world.set_lull(true);
    world.judge_lull(LULL);
    world.set_lull(false);
    world.run(it.faults[1]);
    heal(world);
    make_something_move(world);
    world.judge_nothing_lost();
    // At least half a minute; what an operator asked for last may come late.
    world.run(30_000_u64.saturating_sub(world.now / 1_000));
    heal(world);
}

/// A seed in which no lease changed hands has tried too little. Where machines have little room it
/// takes more than one attempt.
fn make_something_move(world: &mut World) {
    let rested = |world: &World| world.judges.address.moved == 0 && world.judges.verdict.is_none();
    let server = world.server(0);
    let hosts = || (0..world.hosts.len()).map(Target::Host);
    let off = hosts().map(|host| Act::PowerOff(vec![host]));
    let others = (0..world.hosts.len()).filter(|host| Some(*host) != server);
    let moves = others.flat_map(|host| {
        (0..world.plan.services).map(move |service| Act::Move(service, Target::Host(host)))
    });
    let first = [Act::PowerOff(vec![Target::Holder])];
    let all: Vec<Act> = first.into_iter().chain(moves).chain(off).collect();
    for act in all {
        if !rested(world) {
            break;
        }
        let _ = world.act(&act);
        world.run(5_000);
        heal(world);
    }
}

/// All faults end, and the operator does what is left to do until all is well.
pub(crate) fn heal(world: &mut World) {
    world.heal();
    mend(world);
}

/// What was lifted has its consequences: whatever they are, all is well in the end.
pub(crate) fn mend(world: &mut World) {
    for _ in 0..HEALING / 2_000 {
        if world.run_until(2_000, World::is_healthy) {
            break;
        }
        world.tidy();
    }
    world.judge_healed(2_000);
}

fn outcome(seed: u64, world: &World) -> Outcome {
    Outcome {
        seed,
        verdict: world.judges.verdict.clone(),
        virtual_micros: world.now,
        steps: world.steps(),
        digest: world.digest(),
        cover: world.cover.clone(),
        moved: world.judges.address.moved,
        cramped: world.plan.room > 0,
        lulls: world.judges.service.lulls,
        excused: world.judges.excused.clone(),
    }
}
