//! What is done by all layers for one service that a node has got, and when.
//!
//! ```text
//!   (waits) ──reached──▶ Announcing ──done──▶ Announced ──look──▶ Verifying ──seen──▶ Converged
//!                            ▲  │ failed          ▲                  │ not, or by nobody
//!                            └──┘ again later     └───── again ◀─────┘
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
    Converged,
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
    /// It was seen by an observer, for the first time or again.
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
        let step =
            || Step { stage: Stage::Waits, failures: 0, trouble: None, by: None, announced: false };
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

    /// Whether a layer was announced before.
    #[must_use]
    pub fn was_announced(&self, layer: Layer) -> bool {
        self.layers.get(&layer).is_some_and(|step| step.announced)
    }

    /// Whether a layer's announcement is under way.
    #[must_use]
    pub fn is_announcing(&self, layer: Layer) -> bool {
        self.layers.get(&layer).is_some_and(|step| step.stage == Stage::Announcing)
    }

    /// Whether an observer sees the service here by a layer, as it was announced last.
    #[must_use]
    pub fn is_converged(&self, layer: Layer) -> bool {
        self.layers.get(&layer).is_some_and(|step| step.stage == Stage::Converged)
    }

    /// The layer has to be announced anew: what it says has changed.
    pub fn renew(&mut self, layer: Layer) {
        if let Some(step) = self.layers.get_mut(&layer)
            && step.stage != Stage::Waits
        {
            (step.stage, step.failures) = (Stage::Waits, 0);
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
            Stage::Announced { look } if now >= *look => Some((*layer, Verb::Verify)),
            Stage::Waits
            | Stage::Announcing
            | Stage::Announced { .. }
            | Stage::Verifying
            | Stage::Converged
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
            Stage::Failed { again: at } | Stage::Announced { look: at } => Some(*at),
            Stage::Waits | Stage::Announcing | Stage::Verifying | Stage::Converged => None,
        });
        times.min().unwrap_or(Instant::NEVER)
    }

    /// Takes what came of what was to be done. What it says is for people; nothing if it is no
    /// news.
    pub fn take(&mut self, now: Instant, layer: Layer, verb: Verb, seen: Seen) -> Option<News> {
        let step = self.layers.get_mut(&layer)?;
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
                step.news(why).map(News::Failed)
            }
            (Stage::Verifying, Verb::Verify, Seen::Yes(by)) => {
                step.stage = Stage::Converged;
                (step.failures, step.trouble) = (0, None);
                step.by = Some(by.clone());
                Some(News::Converged(by))
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
                | Stage::Converged
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
            Stage::Waits | Stage::Announced { .. } | Stage::Converged | Stage::Failed { .. } => {
                true
            }
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
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::START + Span::from_millis(millis)
    }

    fn all(steps: &mut Steps, now: Instant) -> alloc::vec::Vec<(Layer, Verb)> {
        core::iter::from_fn(|| steps.next(now)).collect()
    }

    fn yes() -> Seen {
        Seen::Yes("node2".into())
    }

    #[test]
    fn lower_layers_come_first_and_clients_are_told_last() {
        let mut steps = Steps::new(&BTreeSet::from(Layer::ALL));
        assert_eq!(steps.next(at(0)), None);
        steps.reach(Told::Claimed);
        let segment = [Layer::Mac, Layer::Arp, Layer::Route].map(|it| (it, Verb::Announce));
        assert_eq!(all(&mut steps, at(0)), segment);
        steps.reach(Told::Works);
        // The documents wait for the name servers' answer, whatever that is.
        assert_eq!(all(&mut steps, at(1)), [(Layer::Dns, Verb::Announce)]);
        for layer in [Layer::Mac, Layer::Arp, Layer::Route] {
            assert_eq!(steps.take(at(2), layer, Verb::Announce, yes()), Some(News::Announced));
        }
        assert_eq!(all(&mut steps, at(3)), []);
        let refused = Seen::No("refused".into());
        let news = steps.take(at(4), Layer::Dns, Verb::Announce, refused);
        assert_eq!(news, Some(News::Failed("refused".into())));
        assert_eq!(all(&mut steps, at(5)), [(Layer::Knowledge, Verb::Announce)]);
    }

    #[test]
    fn what_fails_is_tried_again_ever_more_slowly_and_told_once() {
        let mut steps = Steps::new(&BTreeSet::from([Layer::Dns]));
        steps.reach(Told::Works);
        let mut now = at(0);
        let mut pauses = alloc::vec::Vec::new();
        for number in 0..8 {
            assert_eq!(steps.next(now), Some((Layer::Dns, Verb::Announce)));
            let news = steps.take(now, Layer::Dns, Verb::Announce, Seen::No("down".into()));
            assert_eq!(news.is_some(), number == 0);
            let next = steps.deadline();
            assert_eq!(steps.next(now), None);
            pauses.push(next.since(now));
            now = next;
        }
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses.last(), AGAIN.last());
        assert_eq!(steps.next(now), Some((Layer::Dns, Verb::Announce)));
        assert_eq!(steps.take(now, Layer::Dns, Verb::Announce, yes()), Some(News::Announced));
        assert_eq!(steps.view().next().and_then(|it| it.trouble), None);
    }

    #[test]
    fn what_is_not_seen_is_announced_again_until_it_is() {
        let mut steps = Steps::new(&BTreeSet::from([Layer::Arp]));
        steps.reach(Told::Claimed);
        assert_eq!(steps.next(at(0)), Some((Layer::Arp, Verb::Announce)));
        assert_eq!(steps.take(at(0), Layer::Arp, Verb::Announce, yes()), Some(News::Announced));
        assert_eq!(steps.next(at(99)), None);
        assert_eq!(steps.next(at(100)), Some((Layer::Arp, Verb::Verify)));
        let other = Seen::No("node2 sees 02:00:00:00:00:01".into());
        let news = steps.take(at(110), Layer::Arp, Verb::Verify, other.clone());
        assert!(matches!(news, Some(News::NotConverged(_))));
        assert_eq!(steps.next(at(610)), Some((Layer::Arp, Verb::Announce)));
        assert_eq!(steps.take(at(610), Layer::Arp, Verb::Announce, yes()), None);
        assert_eq!(steps.next(at(1_110)), Some((Layer::Arp, Verb::Verify)));
        assert_eq!(steps.take(at(1_120), Layer::Arp, Verb::Verify, other), None);
        let again = steps.deadline();
        assert_eq!(steps.next(again), Some((Layer::Arp, Verb::Announce)));
        steps.take(again, Layer::Arp, Verb::Announce, yes());
        let look = steps.deadline();
        assert_eq!(steps.next(look), Some((Layer::Arp, Verb::Verify)));
        let news = steps.take(look, Layer::Arp, Verb::Verify, yes());
        assert_eq!(news, Some(News::Converged("node2".into())));
        assert_eq!((steps.deadline(), steps.is_at_rest()), (Instant::NEVER, true));
    }

    #[test]
    fn nobody_to_look_is_no_trouble_and_is_tried_again() {
        let mut steps = Steps::new(&BTreeSet::from([Layer::Arp]));
        steps.reach(Told::Claimed);
        steps.next(at(0));
        steps.take(at(0), Layer::Arp, Verb::Announce, yes());
        steps.next(at(100));
        assert_eq!(steps.take(at(100), Layer::Arp, Verb::Verify, Seen::Nobody), None);
        assert_eq!(steps.next(at(600)), Some((Layer::Arp, Verb::Verify)));
        let view: alloc::vec::Vec<_> = steps.view().collect();
        assert_eq!((view[0].trouble.clone(), view[0].seen_by.clone()), (None, None));
        // An answer that nobody waits for changes nothing.
        assert_eq!(steps.take(at(700), Layer::Dns, Verb::Verify, yes()), None);
        steps.take(at(700), Layer::Arp, Verb::Announce, yes());
        assert!(!steps.is_at_rest());
    }
}
