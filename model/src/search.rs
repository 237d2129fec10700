//! Runs a model to its end, and says what it found.

use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Found {
    /// How many different states there are, those that differ by names only taken together.
    pub states: usize,
    /// How many steps the longest of the shortest ways to one has.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether every state within the bounds was seen, or a counterexample.
    pub complete: bool,
    /// The shortest way to what must never be.
    pub counterexample: Option<Counterexample>,
}

/// A way to what must never be.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What must never be.
    pub outcome: String,
}

/// One step of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happened.
    pub what: String,
    /// Where everybody stood then.
    pub standing: String,
}

/// How much a search may cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// How many threads.
    pub threads: usize,
    /// After how many states it gives up.
    pub states: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self { threads: 1, states: 50_000_000 }
    }
}

/// Searches breadth first. `standing` says where everybody stands in a state, `outcome` what is
/// wrong with it.
pub fn search<M>(
    model: M,
    cost: Cost,
    standing: impl Fn(&M::State) -> String,
    outcome: impl Fn(&M::State) -> String,
) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + fmt::Debug + Hash + PartialEq + Send + Sync,
    M::Action: fmt::Debug + Clone + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let checker = model
        .checker()
        .threads(cost.threads)
        .target_state_count(cost.states)
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let counterexample = checker.discovery("safe").map(|path| {
        let path = path.into_vec();
        let outcome = path.last().map(|(state, _)| outcome(state)).unwrap_or_default();
        let after = path.iter().skip(1).map(|(state, _)| standing(state));
        let actions = path.iter().filter_map(|(_, action)| action.as_ref());
        let told = actions.map(|action| checker.model().format_action(action));
        let steps = told.zip(after).map(|(what, standing)| Step { what, standing }).collect();
        Counterexample { steps, outcome }
    });
    Found {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        complete: checker.state_count() < cost.states,
        counterexample,
    }
}
