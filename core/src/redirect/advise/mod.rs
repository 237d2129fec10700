//! Which layers could lead clients to a service, what each would cost, and which is the best.
//!
//! # What it is for
//! Before anything has moved an operator wants to know: what is possible between these nodes and
//! these clients, for how long are clients without the service by each layer, what else does it
//! take, and what would a permission be worth that somebody refuses. [`advise`] answers from
//! [`Facts`] alone, each with its source: declared, found by whom, or unknown.
//!
//! # Happy path
//! ```text
//! Facts ─▶ judge: possible?  ─▶ cost: outage in parts ─▶ rank: in which order, and why
//!          (per layer)           planned, unplanned       warnings, what a permission buys
//! ```
//! The order is that of the posts that this system was built by: nodes on one segment take the
//! address over (ARP, or its MAC); else a route leads there, if technically and politically
//! feasible; else the name; else what clients know. A layer by which some clients never come back
//! stands behind those by which all do, and one that is not possible behind all that are.
//!
//! # Failures
//! None: what isn't known makes a layer *unknown*, with what is missing. No figure is made up for
//! it. Where a length is an assumption and no measurement, its reason says so.
//!
//! # Deliberately absent
//! Looking at anything (`daemon/src/layers/advise`), and changing anything. Whether locked switches
//! honour a takeover shows only a trial (`stead redirect probe`).

mod cost;
mod facts;
mod judge;
mod rank;
mod told;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::redirect::Layer;
use crate::time::Span;

pub use facts::{
    AddressFacts, Clients, Facts, Known, NameFacts, NodeFacts, RoutingFacts, Segments, ServerFacts,
    Together,
};
pub use told::{Line, length};

/// Whether a layer could lead clients to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It could.
    Possible,
    /// It could, and somebody doesn't permit it.
    NotPermitted {
        /// Who.
        by: String,
    },
    /// Something that would decide it isn't known.
    Unknown,
    /// It couldn't.
    NotPossible,
}

/// A piece of an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What takes the time, in a word or two.
    pub name: &'static str,
    /// How long, at most.
    pub length: Span,
    /// Where the figure comes from.
    pub reason: String,
}

/// For how long clients are without the service when it moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// What takes its time one after the other.
    pub parts: Vec<Part>,
    /// What some clients wait for beyond that, each for one of these at most.
    pub some: Vec<Part>,
    /// Something that isn't known comes on top: it is as long at least.
    pub open: bool,
    /// Why some clients never come back by this layer alone, if so.
    pub never: Option<String>,
}

impl Outage {
    /// The whole of it for most clients; nothing if some never come back.
    #[must_use]
    pub fn total(&self) -> Option<Span> {
        self.never.is_none().then(|| self.length())
    }

    /// The sum of its parts.
    #[must_use]
    pub fn length(&self) -> Span {
        self.parts.iter().fold(Span::ZERO, |sum, part| plus(sum, part.length))
    }

    /// The whole of it for those who wait longest; nothing if they never come back.
    #[must_use]
    pub fn longest(&self) -> Option<Span> {
        let more = self.some.iter().map(|part| part.length).max().unwrap_or(Span::ZERO);
        self.total().map(|total| plus(total, more))
    }
}

/// One after the other. Some lengths are said by others: they may be any number.
const fn plus(one: Span, other: Span) -> Span {
    Span(one.0.saturating_add(other.0))
}

/// What a layer would cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// When an operator moves the service.
    pub planned: Outage,
    /// When its node falls silent.
    pub unplanned: Outage,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerAdvice {
    /// Which.
    pub layer: Layer,
    /// Whether it is possible.
    pub verdict: Verdict,
    /// Why, or what is missing.
    pub reasons: Vec<String>,
    /// The configuration has the service led by it now.
    pub used: bool,
    /// It leads clients from one node to another as it is configured now.
    pub leads: bool,
    /// What to do to have it, if it is not configured.
    pub to_have_it: Option<String>,
    /// What it would cost; nothing if it is not possible, or too little is known.
    pub cost: Option<Cost>,
    /// What else it brings.
    pub effects: Vec<String>,
}

/// A place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Which layer.
    pub layer: Layer,
    /// Its rank, from 1; nothing if it can't be had as things are.
    pub rank: Option<usize>,
    /// Why there.
    pub why: String,
}

/// What a permission is worth, in words to forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// For which layer.
    pub layer: Layer,
    /// Who would have to give it.
    pub who: String,
    /// By how much shorter an unplanned outage would be for most clients.
    pub saved: Span,
    /// The whole of it, to forward as it is.
    pub words: String,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Each layer, from the lowest up.
    pub layers: Vec<LayerAdvice>,
    /// All of them in the order of the posts' rules, the best first.
    pub ranking: Vec<Ranked>,
    /// What doesn't work as it is configured, or could be better.
    pub warnings: Vec<String>,
    /// What permissions are worth.
    pub permissions: Vec<Permission>,
    /// What no part of an outage has in it.
    pub notes: Vec<String>,
    /// What all of this is made from.
    pub facts: Vec<Line>,
}

/// What follows from what is known.
#[must_use]
pub fn advise(facts: &Facts) -> Advice {
    let used = facts.used();
    let layers: Vec<_> = Layer::ALL.into_iter().map(|it| one(facts, it, &used)).collect();
    let ranking = rank::ranking(&layers);
    Advice {
        warnings: rank::warnings(facts, &layers),
        permissions: rank::permissions(facts, &layers, &ranking),
        notes: cost::notes(facts),
        facts: told::lines(facts),
        ranking,
        layers,
    }
}

fn one(facts: &Facts, layer: Layer, used: &BTreeSet<Layer>) -> LayerAdvice {
    let judged = judge::judge(facts, layer);
    let cost = match judged.verdict {
        Verdict::NotPossible => None,
        Verdict::Possible | Verdict::NotPermitted { .. } | Verdict::Unknown => {
            cost::of(facts, layer)
        }
    };
    let effects = match judged.verdict {
        Verdict::NotPossible => Vec::new(),
        Verdict::Possible | Verdict::NotPermitted { .. } | Verdict::Unknown => {
            judge::effects(facts, layer)
        }
    };
    LayerAdvice {
        layer,
        verdict: judged.verdict,
        reasons: judged.reasons,
        used: used.contains(&layer),
        leads: judge::leads(facts, layer),
        to_have_it: judged.to_have_it,
        cost,
        effects,
    }
}
