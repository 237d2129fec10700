//! How much faster than real time the simulator is, on one core.
//!
//! Five nodes, three services, clients that ask every 25 ms, as the swarm has them: for each
//! ride-out and number of links once with nothing wrong and once under the swarm's faults. Time
//! is what the processor spent on this thread, so other work on the machine counts for little; the
//! best of some runs is shown, as whatever disturbs only makes a run slower.

use std::time::{Duration, Instant};

use stead_core::time::Span;
use stead_sim::fault::{Kind, Mix};
use stead_sim::plan::{Gates, Plan};
use stead_sim::world::World;

/// Virtual seconds of one run, after the start.
const LENGTH: u64 = 300;
/// So often each is run.
const RUNS: usize = 5;

fn main() {
    println!("five nodes, {LENGTH} s: virtual seconds per second on one core, best of {RUNS}");
    println!("ride-out  links  faults      factor  steps/s (M)  steps per virtual s");
    for ride_out in [300, 1_000] {
        for links in [1, 2] {
            for faults in [false, true] {
                let runs = (0..RUNS).map(|_| run(&plan(ride_out, links, faults), faults));
                let Some((spent, steps)) = runs.min() else { continue };
                let (spent, length) = (spent.as_secs_f64(), LENGTH as f64);
                let faults = if faults { "swarm's" } else { "none" };
                println!(
                    "{ride_out:>5} ms  {links:>5}  {faults:<10}  {:>6.0}  {:>11.2}  {:>19.0}",
                    length / spent,
                    steps as f64 / spent / 1e6,
                    steps as f64 / length,
                );
            }
        }
    }
}

/// The cluster: rough, as the swarm has it, only where there are faults.
fn plan(ride_out: u64, links: usize, faults: bool) -> Plan {
    Plan {
        links,
        ride_out: Span::from_millis(ride_out),
        rough: faults,
        gates: Gates::Both,
        probe: Span::from_millis(25),
        ..Plan::calm(5, 3)
    }
}

/// One run: what it cost, and how much happened.
fn run(plan: &Plan, faults: bool) -> (Duration, u64) {
    let mut world = World::new(plan.clone());
    world.run(1_500);
    if faults {
        // Those that change the ride-out would measure another one.
        let kinds = Kind::ALL.into_iter().filter(|it| *it != Kind::Timers).collect();
        world.begin_chaos(Mix { kinds, shortest: 150_000, longest: 1_500_000, mend: 3 });
    }
    let (before, steps) = (spent(), world.steps());
    let begun = Instant::now();
    world.run(LENGTH * 1_000);
    let passed = begun.elapsed();
    assert_eq!(world.judges.verdict, None, "what was measured is a run that ended early");
    let cost = spent().zip(before).map_or(passed, |(after, before)| after.saturating_sub(before));
    (cost, world.steps() - steps)
}

/// What the processor has spent on this thread, where the kernel says it.
fn spent() -> Option<Duration> {
    let words = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    words.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
