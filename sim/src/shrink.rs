//! A failing seed made short: as few of its acts as still fail the same way.
//!
//! Delta debugging (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", 2002):
//! the acts of the seed are played again as a script, then with ever smaller parts left out, as
//! long as the same judge speaks. The result is a scenario file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fault::Act;
use crate::scenario::{Script, Step, play_steps};
use crate::swarm::{self, Seed};
use crate::world::World;

/// Why nothing could be made shorter.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShrinkError {
    /// There is nothing to shrink.
    #[error("seed {0} holds: nothing to shrink")]
    Holds(u64),
    /// The failure needs what is not an act.
    #[error(
        "seed {0} fails, but not when its acts are played as a script: use `stead-sim replay {0}`"
    )]
    Elusive(u64),
}

/// Makes a script of a failing seed, as short as it can.
///
/// # Errors
/// If the seed holds, or does not fail as a script.
pub fn shrink(seed: u64) -> Result<Script, ShrinkError> {
    let it = Seed::new(seed);
    let (outcome, world) = swarm::play(&it, |_| {});
    let Some(verdict) = outcome.verdict else { return Err(ShrinkError::Holds(seed)) };
    let judge = verdict.judge;
    let healed = world.healed_at.unwrap_or(u64::MAX);
    let lull = (1_500 + it.faults[0]) * 1_000;
    let timeline = Timeline { it: &it, lull, healed, end: verdict.at };
    let mut acts = world.acts;
    if !timeline.fails(&acts, judge) {
        return Err(ShrinkError::Elusive(seed));
    }
    let mut parts = 2;
    while acts.len() > 1 {
        let size = acts.len().div_ceil(parts);
        let shorter = (0..acts.len()).step_by(size).find_map(|from| {
            let mut rest = acts.clone();
            rest.drain(from..(from + size).min(acts.len()));
            timeline.fails(&rest, judge).then_some(rest)
        });
        match shorter {
            Some(rest) => {
                acts = rest;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(acts.len()),
        }
    }
    let intent = format!("Seed {seed} made short: {judge}, {}.", verdict.what);
    let steps = timeline.steps(&acts);
    Ok(Script { intent, plan: it.plan.clone(), unsettled: true, steps })
}

/// What a seed does beside its acts, and when.
struct Timeline<'a> {
    it: &'a Seed,
    lull: u64,
    healed: u64,
    end: u64,
}

impl Timeline<'_> {
    fn steps(&self, acts: &[(u64, Act)]) -> Vec<(usize, Step)> {
        let mut steps = Vec::new();
        let mut lulled = false;
        for (time, act) in acts.iter().filter(|(time, _)| *time < self.healed) {
            if !lulled && *time > self.lull {
                lulled = true;
                steps.extend([Step::Until(self.lull), Step::Lull(swarm::LULL * 1_000)]);
            }
            steps.extend([Step::Until(*time), Step::Act(act.clone())]);
        }
        if !lulled && self.end > self.lull {
            steps.extend([Step::Until(self.lull), Step::Lull(swarm::LULL * 1_000)]);
        }
        if self.healed < self.end {
            steps.extend([Step::Until(self.healed), Step::Heal]);
        } else {
            steps.push(Step::Until(self.end + 2_000_000));
        }
        steps.into_iter().enumerate().map(|(at, step)| (at + 1, step)).collect()
    }

    fn fails(&self, acts: &[(u64, Act)], judge: &str) -> bool {
        let mut world = World::new(self.it.plan.clone());
        let steps = self.steps(acts);
        let played = catch_unwind(AssertUnwindSafe(|| play_steps(&mut world, 0, &steps)));
        match played {
            // An act that can't be done without those that were left out is no failure.
            Ok(result) => {
                result.is_ok() && world.judges.verdict.as_ref().is_some_and(|it| it.judge == judge)
            }
            Err(_) => judge == "panic",
        }
    }
}
