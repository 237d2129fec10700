//! What many seeds came to.

use std::collections::BTreeMap;

use super::Told;
use crate::check::{Verdict, Why};
use crate::fault::Kind;

/// The sum of what was told.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// How many seeds.
    pub seeds: u64,
    /// Virtual microseconds.
    pub virtual_micros: u64,
    /// How many faults there were.
    pub faults: u64,
    /// The seeds in which a judge spoke, and what it saw.
    pub failed: BTreeMap<u64, Verdict>,
    /// Excuses that were needed, how often, and the longest in microseconds.
    pub excused: BTreeMap<Why, (u64, u64)>,
    /// Each service, by its number.
    pub services: Vec<ServiceSum>,
    /// Each kind of fault that came alone.
    pub kinds: BTreeMap<Kind, KindSum>,
}

/// What a service went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSum {
    /// The longest time that nobody answered after a fault that came alone and did not last as long
    /// as the fault: microseconds, the kind, the seed.
    pub longest: Option<(u64, Kind, u64)>,
    /// Faults that came alone and kept it down for as long as they stood, by kind: how often.
    pub lasting: BTreeMap<Kind, u64>,
    /// Faults that came alone.
    pub singles: u64,
    /// Those after which nobody answered for a while.
    pub hit: u64,
    /// While several faults stood: the time in microseconds, how much of it nobody answered, and
    /// how often that began.
    pub stormy: (u64, u64, u64),
}

/// What faults of a kind did that came alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindSum {
    /// How many there were.
    pub times: u64,
    /// Those after which some service had no answer for a while.
    pub hit: u64,
    /// Those that kept a service down for as long as they stood.
    pub lasting: u64,
    /// Over all of them, how long the service that was worst off had no answer, in microseconds.
    pub down: u64,
    /// The longest of these, of those that did not last, in microseconds.
    pub longest: u64,
    /// The worst one: how long it was, in microseconds, in which seed, and what was done.
    pub worst: Option<(u64, u64, String)>,
}

impl Sum {
    /// Takes in what a seed came to. The order of seeds makes no difference.
    pub fn add(&mut self, told: &Told) {
        self.seeds += 1;
        self.virtual_micros += told.virtual_micros;
        self.faults += told.faults;
        if let Some(verdict) = &told.verdict {
            self.failed.insert(told.seed, verdict.clone());
        }
        for (why, (times, longest)) in &told.excused {
            let known = self.excused.entry(*why).or_default();
            *known = (known.0 + times, known.1.max(*longest));
        }
        self.services.resize(told.stormy.len(), ServiceSum::default());
        for (it, stormy) in self.services.iter_mut().zip(&told.stormy) {
            let (time, down, times) = it.stormy;
            it.stormy = (time + stormy.time, down + stormy.down, times + stormy.times);
        }
        for single in &told.singles {
            self.add_single(told.seed, single);
        }
    }

    fn add_single(&mut self, seed: u64, single: &super::Single) {
        for (it, outage) in self.services.iter_mut().zip(&single.outages) {
            it.singles += 1;
            it.hit += u64::from(outage.longest > 0);
            if outage.lasting {
                *it.lasting.entry(single.kind).or_default() += 1;
            } else if outage.longest > 0 {
                let new = (outage.longest, single.kind, seed);
                // The lowest seed of those that are as bad: whoever comes first.
                let worse = |old: &(u64, Kind, u64)| {
                    (new.0, std::cmp::Reverse(new.2)) > (old.0, std::cmp::Reverse(old.2))
                };
                if it.longest.as_ref().is_none_or(worse) {
                    it.longest = Some(new);
                }
            }
        }
        let worst = single.outages.iter().map(|it| it.longest).max().unwrap_or_default();
        let lasting = single.outages.iter().any(|it| it.lasting);
        let kind = self.kinds.entry(single.kind).or_default();
        kind.times += 1;
        kind.hit += u64::from(worst > 0);
        kind.lasting += u64::from(lasting);
        kind.down += worst;
        let short = single.outages.iter().filter(|it| !it.lasting).map(|it| it.longest).max();
        kind.longest = kind.longest.max(short.unwrap_or_default());
        let worse = |(longest, other, _): &(u64, u64, String)| {
            worst > *longest || worst == *longest && seed < *other
        };
        if worst > 0 && kind.worst.as_ref().is_none_or(worse) {
            kind.worst = Some((worst, seed, single.what.clone()));
        }
    }

    /// Virtual hours.
    #[must_use]
    pub fn virtual_hours(&self) -> f64 {
        self.virtual_micros as f64 / 3.6e9
    }
}
