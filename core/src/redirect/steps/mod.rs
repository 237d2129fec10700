//! What is done by all layers for one service that a node has got, and when.
//!
//! ```text
//!   (waits) ──reached──▶ Announcing ──done──▶ Announced ──look──▶ Verifying ──seen──▶ Converged
//!                            ▲  │ failed          ▲                  │ not, or by nobody
//!                            └──┘ again later     └───── again ◀─────┘ ◀─ now and then ─┘
//! ```
//! The layers of the segment are announced by the announcer of their own, whose schedule never
//! ends ([`super::segment`]): here they begin as announced, and are verified.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use super::{Layer, Verb};
use crate::time::{Instant, Span};

/// The pauses before a layer that failed, or did not converge, is tried again; the last one for
/// ever.
const AGAIN: [Span; 6] = [
    Span::from_millis(500),
    Span::from_millis(1_000),
    Span::from_millis(2_000),
    Span::from_millis(5_000),
    Span::from_millis(15_000),
    Span::from_millis(60_000),
];

/// How long after an announcement an observer looks first: neighbours need no time, others some.
const fn first_look(layer: Layer) -> Span {
    match layer {
        Layer::Mac | Layer::Arp => Span::from_millis(100),
        Layer::Route => Span::from_millis(300),
        Layer::Dns | Layer::Knowledge => Span::from_millis(200),
    }
}

/// How long after somebody saw it an observer looks again: others have a part in routes and names,
/// and may take back what was there.
const fn next_look(layer: Layer) -> Option<Span> {
    match layer {
        Layer::Mac | Layer::Arp | Layer::Knowledge => None,
        Layer::Route | Layer::Dns => Some(Span::from_millis(60_000)),
    }
}

/// How far the service has come on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Its addresses are here.
    Claimed,
    /// Its program runs.
    Started,
    /// It was seen to work; if nobody looks, it runs.
    Works,
}

/// From when on a layer is told: what clients keep for long learns only of a holder that works.
const fn due(layer: Layer) -> Told {
    match layer {
        Layer::Mac | Layer::Arp | Layer::Route => Told::Claimed,
        Layer::Dns => Told::Started,
        Layer::Knowledge => Told::Works,
    }
}

/// What came of an announcement, or of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is so; by whom that is known, if anybody but this node knows.
    Yes(String),
    /// It is not, and why.
    No(String),
    /// There is nobody who could look.
    Nobody,
}

/// Where a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Waits,
    Announcing,
    /// It is looked at then.
    Announced {
        look: Instant,
    },
    Verifying,
    /// It is looked at again then.
    Converged {
        look: Instant,
    },
    /// It is announced again then.
    Failed {
        again: Instant,
    },
}

/// One layer.
#[derive(Clone, Debug)]
struct Step {
    stage: Stage,
    /// How often in a row it failed, or was not seen.
    failures: usize,
    /// Why, if it did; told once.
    trouble: Option<String>,
    /// Who saw it, once somebody did.
    by: Option<String>,
    /// It was announced once; what follows is not told again.
    announced: bool,
    /// What it says changed while something was under way, whose answer is about what was before.
    outdated: bool,
}

/// A layer of a service, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView {
    /// Which.
    pub layer: Layer,
    /// It was announced.
    pub announced: bool,
    /// Who sees by it that the service is here, if anybody does.
    pub seen_by: Option<String>,
    /// What is wrong, if anything is.
    pub trouble: Option<String>,
}

/// What a result means, for whoever tells people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was announced, for the first time.
    Announced,
    /// It was seen by an observer, for the first time or after it was not.
    Converged(String),
    /// It was not seen, and why; not told before.
    NotConverged(String),
    /// It could not be announced, and why; not told before.
    Failed(String),
}

/// All layers of one service.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    told: Option<Told>,
    layers: BTreeMap<Layer, Step>,
}

impl Steps {
    /// A service that has just come to this node, and by which layers clients find it.
    #[must_use]
    pub fn new(layers: &BTreeSet<Layer>) -> Self {
        let step = || Step {
            stage: Stage::Waits,
            failures: 0,
            trouble: None,
            by: None,
            announced: false,
            outdated: false,
        };
        Self { told: None, layers: layers.iter().map(|layer| (*layer, step())).collect() }
    }

    /// The service has come that far. Not backwards: what ends has no steps any more.
    pub fn reach(&mut self, told: Told) {
        self.told = self.told.max(Some(told));
    }

    /// The layers of another configuration: new ones are told of, others are gone.
    pub fn adopt(&mut self, layers: &BTreeSet<Layer>) {
        self.layers.retain(|layer, _| layers.contains(layer));
        let new = Self::new(layers).layers;
        for (layer, step) in new {
            self.layers.entry(layer).or_insert(step);
        }
    }

    /// Whether nothing came yet of announcing a layer for the first time.
    #[must_use]
    pub fn is_untried(&self, layer: Layer) -> bool {
        self.layers.get(&layer).is_some_and(|step| !step.announced && step.failures == 0)
    }

    /// Whether a layer's announcement is under way.
    #[must_use]
    pub fn is_announcing(&self, layer: Layer) -> bool {
        self.layers.get(&layer).is_some_and(|step| step.stage == Stage::Announcing)
    }

    /// Whether an observer sees the service here by a layer, as it was announced last.
    #[must_use]
    pub fn is_converged(&self, layer: Layer) -> bool {
        self.layers.get(&layer).is_some_and(|step| matches!(step.stage, Stage::Converged { .. }))
    }

    /// The layer has to be announced anew: what it says has changed.
    pub fn renew(&mut self, layer: Layer) {
        let Some(step) = self.layers.get_mut(&layer) else { return };
        match step.stage {
            Stage::Waits => {}
            Stage::Announcing | Stage::Verifying => step.outdated = true,
            Stage::Announced { .. } | Stage::Converged { .. } | Stage::Failed { .. } => {
                (step.stage, step.failures) = (Stage::Waits, 0);
            }
        }
    }

    /// What to do next, if anything is due; to be asked until nothing is.
    pub fn next(&mut self, now: Instant) -> Option<(Layer, Verb)> {
        let told = self.told?;
        let below_busy = |layers: &BTreeMap<Layer, Step>, layer: Layer| {
            // Clients are told last: once every layer below has been told, or has failed once.
            layer == Layer::Knowledge
                && layers.range(..layer).any(|(_, it)| !it.announced && it.failures == 0)
        };
        let due_now = self.layers.iter().find_map(|(layer, step)| match &step.stage {
            Stage::Waits if told >= due(*layer) && !below_busy(&self.layers, *layer) => {
                Some((*layer, Verb::Announce))
            }
            Stage::Failed { again } if now >= *again => Some((*layer, Verb::Announce)),
            Stage::Announced { look } | Stage::Converged { look } if now >= *look => {
                Some((*layer, Verb::Verify))
            }
            Stage::Waits
            | Stage::Announcing
            | Stage::Announced { .. }
            | Stage::Verifying
            | Stage::Converged { .. }
            | Stage::Failed { .. } => None,
        })?;
        let (layer, verb) = due_now;
        if let Some(step) = self.layers.get_mut(&layer) {
            step.stage = match verb {
                Verb::Announce => Stage::Announcing,
                Verb::Verify => Stage::Verifying,
            };
        }
        Some((layer, verb))
    }

    /// When something is due next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let times = self.layers.values().filter_map(|step| match &step.stage {
            Stage::Failed { again: at }
            | Stage::Announced { look: at }
            | Stage::Converged { look: at } => Some(*at),
            Stage::Waits | Stage::Announcing | Stage::Verifying => None,
        });
        times.min().unwrap_or(Instant::NEVER)
    }

    /// Takes what came of what was to be done. What it says is for people; nothing if it is no
    /// news.
    pub fn take(&mut self, now: Instant, layer: Layer, verb: Verb, seen: Seen) -> Option<News> {
        let step = self.layers.get_mut(&layer)?;
        let awaited = match verb {
            Verb::Announce => step.stage == Stage::Announcing,
            Verb::Verify => step.stage == Stage::Verifying,
        };
        if awaited && core::mem::take(&mut step.outdated) {
            (step.stage, step.failures) = (Stage::Waits, 0);
            return None;
        }
        match (&step.stage, verb, seen) {
            (Stage::Announcing, Verb::Announce, Seen::Yes(_) | Seen::Nobody) => {
                step.stage = Stage::Announced { look: now + first_look(layer).max(step.pause()) };
                let first = !core::mem::replace(&mut step.announced, true);
                if first {
                    // What failed before was to say it at all.
                    step.trouble = None;
                }
                first.then_some(News::Announced)
            }
            (Stage::Announcing, Verb::Announce, Seen::No(why)) => {
                let again = now + step.fail();
                step.stage = Stage::Failed { again };
                // Who saw the service here saw what was announced before.
                step.by = None;
                step.news(why).map(News::Failed)
            }
            (Stage::Verifying, Verb::Verify, Seen::Yes(by)) => {
                let look = next_look(layer).map_or(Instant::NEVER, |pause| now + pause);
                step.stage = Stage::Converged { look };
                (step.failures, step.trouble) = (0, None);
                let known = step.by.replace(by.clone()).is_some();
                (!known).then_some(News::Converged(by))
            }
            (Stage::Verifying, Verb::Verify, Seen::No(why)) => {
                // Said again where that helps, and looked at again in any case.
                let again = now + step.fail();
                step.stage = Stage::Failed { again };
                step.by = None;
                step.news(why).map(News::NotConverged)
            }
            (Stage::Verifying, Verb::Verify, Seen::Nobody) => {
                let look = now + step.fail();
                step.stage = Stage::Announced { look };
                None
            }
            // Of something that is asked for no longer.
            (
                Stage::Waits
                | Stage::Announcing
                | Stage::Announced { .. }
                | Stage::Verifying
                | Stage::Converged { .. }
                | Stage::Failed { .. },
                Verb::Announce | Verb::Verify,
                Seen::Yes(_) | Seen::No(_) | Seen::Nobody,
            ) => None,
        }
    }

    /// How it stands, for people.
    pub fn view(&self) -> impl Iterator<Item = StepView> {
        self.layers.iter().map(|(layer, step)| StepView {
            layer: *layer,
            announced: step.announced,
            seen_by: step.by.clone(),
            trouble: step.trouble.clone(),
        })
    }

    /// Whether only time or an operator can change anything.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.layers.values().all(|step| match step.stage {
            Stage::Announcing | Stage::Verifying => false,
            Stage::Waits
            | Stage::Announced { .. }
            | Stage::Converged { .. }
            | Stage::Failed { .. } => true,
        })
    }
}

impl Step {
    /// How long to wait after so many failures.
    fn pause(&self) -> Span {
        let last = AGAIN.len() - 1;
        self.failures.checked_sub(1).map_or(Span::ZERO, |number| AGAIN[number.min(last)])
    }

    /// One more failure, and how long to wait after it.
    fn fail(&mut self) -> Span {
        self.failures = self.failures.saturating_add(1);
        self.pause()
    }

    /// Keeps what is wrong; says it if it is new.
    fn news(&mut self, why: String) -> Option<String> {
        let known = self.trouble.replace(why.clone());
        (known.as_ref() != Some(&why)).then_some(why)
    }
}

#[cfg(test)]
mod tests;
