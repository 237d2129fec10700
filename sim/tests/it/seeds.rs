//! Seeds: random faults, in which nothing unsafe may happen, then their end, after which everything
//! must be served again. `SEEDS=n` and `FROM=n` try others than the first few hundred; millions are
//! `stead-sim soak`'s matter.

use stead_sim::swarm;

/// How many seeds.
const SEEDS: u64 = 400;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

fn run(which: u64, of: u64) {
    let (seeds, from) = (number("SEEDS", SEEDS), number("FROM", 0));
    let mut failed = Vec::new();
    let (mut cramped, mut rested) = (0, 0);
    for seed in (from..from + seeds).filter(|seed| seed % of == which) {
        let outcome = swarm::run(seed);
        assert!(outcome.virtual_micros >= 30_000_000 || outcome.verdict.is_some(), "seed {seed}");
        if let Some(verdict) = outcome.verdict {
            failed.push((seed, verdict.judge, verdict.what));
        } else {
            let moved = outcome.moved > 0;
            cramped += u64::from(outcome.cramped);
            rested += u64::from(outcome.cramped && !moved);
            assert!(moved || outcome.cramped, "seed {seed}: no lease changed hands");
        }
    }
    // Where there is so little room that perhaps nothing can move, something nearly always does.
    assert!(rested * 10 <= cramped, "{rested} of {cramped} cramped seeds tried too little");
    assert!(failed.is_empty(), "{failed:#?}\nsee one by: stead-sim replay SEED, shrink SEED");
}

#[test]
fn even_seeds_hold() {
    run(0, 2);
}

#[test]
fn odd_seeds_hold() {
    run(1, 2);
}
