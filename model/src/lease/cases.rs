//! How far the searches go that the book tells of.

use super::Bounds;
use crate::rules::Rule;

/// A search with its name.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is special in it.
    pub name: &'static str,
    /// How far it goes.
    pub bounds: Bounds,
    /// It takes minutes.
    pub long: bool,
}

const THREE: Bounds = Bounds {
    nodes: 3,
    voters: 3,
    groups: 2,
    exchanges: 2,
    silences: 1,
    elections: 1,
    changes: 0,
    restarts: 0,
    late: 0,
};

const RESTARTS: Bounds = Bounds { silences: 2, restarts: 1, ..THREE };
const CHANGES: Bounds = Bounds { changes: 2, ..THREE };
const JOINS: Bounds = Bounds { nodes: 4, exchanges: 1, ..CHANGES };

const CASES: [Case; 7] = [
    Case { name: "voters change twice", bounds: CHANGES, long: false },
    Case { name: "one goes, one joins", bounds: JOINS, long: false },
    Case { name: "a guard starts anew", bounds: RESTARTS, long: true },
    Case {
        name: "two coordinators",
        bounds: Bounds { elections: 2, late: 1, ..THREE },
        long: false,
    },
    Case {
        name: "the same, longer",
        bounds: Bounds { silences: 2, elections: 2, late: 1, ..THREE },
        long: true,
    },
    Case {
        name: "three exchanges",
        bounds: Bounds { exchanges: 3, silences: 2, elections: 2, groups: 3, ..THREE },
        long: true,
    },
    Case { name: "one joins, two exchanges", bounds: Bounds { exchanges: 2, ..JOINS }, long: true },
];

/// The searches from so many voters on.
pub fn all(voters: Option<u8>) -> impl Iterator<Item = Case> {
    CASES.into_iter().filter(move |case| voters.is_none_or(|it| it == case.bounds.voters))
}

/// Where the counterexample is that a rule keeps away; nothing for the rules of ties.
#[must_use]
pub fn falls(rule: Rule) -> Option<Bounds> {
    match rule {
        Rule::C8 => Some(CHANGES),
        Rule::G10 => Some(JOINS),
        Rule::T2 => Some(RESTARTS),
        Rule::Wait | Rule::Earlier => Some(THREE),
        Rule::G1
        | Rule::G2
        | Rule::G4All
        | Rule::G4Void
        | Rule::G5
        | Rule::G6
        | Rule::G8
        | Rule::G11
        | Rule::G12
        | Rule::G13
        | Rule::G13Anew
        | Rule::G14
        | Rule::G14Entry
        | Rule::G14Taker
        | Rule::G15
        | Rule::G16
        | Rule::G17
        | Rule::Asker
        | Rule::OneRegister => None,
    }
}
