//! What many seeds came to together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stead_sim::check::Why;
use stead_sim::cover::{Cover, Phase};
use stead_sim::fault::Kind;
use stead_sim::swarm::Outcome;

/// A failed seed: its number, the judge, what it saw.
pub type Failure = (u64, String, String);

/// The sums.
#[derive(Clone, Debug, Default)]
pub struct Total {
    pub seeds: u64,
    pub failed: Vec<Failure>,
    pub virtual_micros: u64,
    pub steps: u64,
    pub moved: u64,
    pub lulls: u64,
    pub cover: Cover,
    /// By reason: how often, and the longest in microseconds.
    pub excused: BTreeMap<&'static str, (u64, u64)>,
    /// Seconds of all processors together.
    pub seconds: f64,
}

const REASONS: [(Why, &str); 4] = [
    (Why::Paused, "paused by the hypervisor"),
    (Why::Suspended, "suspended under a relative gate"),
    (Why::ArmedLate, "armed late"),
    (Why::Slewed, "a clock outside the bound, and the guard not told yet"),
];

impl Total {
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.virtual_micros += outcome.virtual_micros;
        self.steps += outcome.steps;
        self.moved += outcome.moved;
        self.lulls += outcome.lulls;
        self.cover.add(&outcome.cover);
        if let Some(verdict) = &outcome.verdict {
            let failure = (outcome.seed, verdict.judge.to_string(), verdict.what.clone());
            self.failed.push(failure);
        }
        for (why, name) in REASONS {
            if let Some((times, longest)) = outcome.excused.get(&why) {
                self.excuse(name, *times, *longest);
            }
        }
    }

    fn excuse(&mut self, name: &'static str, times: u64, longest: u64) {
        let known = self.excused.entry(name).or_default();
        known.0 += times;
        known.1 = known.1.max(longest);
    }

    pub fn virtual_hours(&self) -> f64 {
        self.virtual_micros as f64 / 3.6e9
    }

    /// Everything, for the last line of a run and for the file of the soaks.
    pub fn to_json(&self) -> Value {
        let faults: Map<_, _> = Kind::ALL
            .map(|kind| (kind.name().to_string(), json!(self.cover.of(kind))))
            .into_iter()
            .collect();
        let cells: Map<_, _> = Kind::ALL
            .map(|kind| {
                let cells = Phase::ALL.map(|phase| self.cover.cell(kind, phase));
                (kind.name().to_string(), json!(cells))
            })
            .into_iter()
            .collect();
        let first = self.failed.iter().min_by_key(|(seed, ..)| *seed);
        let first =
            first.map(|(seed, judge, what)| json!({"seed": seed, "judge": judge, "what": what}));
        let excused: Map<_, _> = self
            .excused
            .iter()
            .map(|(name, (times, longest))| {
                ((*name).to_string(), json!({"times": times, "longest_micros": longest}))
            })
            .collect();
        json!({
            "seeds": self.seeds,
            "failed": self.failed.len(),
            "first_failed": first,
            "virtual_hours": (self.virtual_hours() * 1e4).round() / 1e4,
            "virtual_micros": self.virtual_micros,
            "faults": faults,
            "cells": cells,
            "cells_never_hit": self.cover.missing().len(),
            "snapshots": self.cover.snapshots,
            "ties": self.cover.ties,
            "addresses_moved": self.moved,
            "lulls_served": self.lulls,
            "excused": excused,
            "steps": self.steps,
            "cpu_seconds": (self.seconds * 1e3).round() / 1e3,
        })
    }

    /// Reads what `to_json` wrote; nothing if it is something else.
    pub fn from_json(value: &Value) -> Option<Self> {
        let number = |name: &str| value.get(name)?.as_u64();
        let mut total = Self {
            seeds: number("seeds")?,
            virtual_micros: number("virtual_micros")?,
            steps: number("steps")?,
            moved: number("addresses_moved")?,
            lulls: number("lulls_served")?,
            seconds: value.get("cpu_seconds")?.as_f64()?,
            ..Self::default()
        };
        total.cover.snapshots = number("snapshots")?;
        total.cover.ties = number("ties").unwrap_or(0);
        let cells = value.get("cells")?.as_object()?;
        for kind in Kind::ALL {
            for (at, phase) in Phase::ALL.into_iter().enumerate() {
                let cell = cells.get(kind.name()).and_then(|row| row.get(at)?.as_u64());
                total.cover.set(kind, phase, cell.unwrap_or(0));
            }
        }
        for (_, name) in REASONS {
            let Some(it) = value.get("excused")?.get(name) else { continue };
            total.excuse(name, it.get("times")?.as_u64()?, it.get("longest_micros")?.as_u64()?);
        }
        Some(total)
    }

    /// Takes another's sums into these.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.virtual_micros += other.virtual_micros;
        self.steps += other.steps;
        self.moved += other.moved;
        self.lulls += other.lulls;
        self.seconds += other.seconds;
        self.cover.add(&other.cover);
        self.failed.extend(other.failed);
        for (name, (times, longest)) in other.excused {
            self.excuse(name, times, longest);
        }
    }
}
