//! How far the searches go that the book tells of.

use super::state::State;
use super::{Bounds, Ties};
use crate::rules::{Rule, Without};

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

const TWO: Bounds = Bounds {
    voters: 2,
    spare: 0,
    terms: 3,
    entries: 5,
    numbers: 2,
    data: 1,
    late: 0,
    restores: 0,
    changes: false,
    crashes: false,
    led: false,
};

const RESTORED: Bounds =
    Bounds { terms: 2, entries: 4, numbers: 2, data: 0, restores: 1, led: true, ..TWO };

const FOUR: Bounds =
    Bounds { voters: 4, terms: 2, entries: 3, numbers: 1, data: 0, led: true, ..TWO };

const CASES: [Case; 10] = [
    Case { name: "two ties", bounds: TWO, long: false },
    Case {
        name: "stops and starts",
        bounds: Bounds { entries: 4, numbers: 1, data: 0, crashes: true, ..TWO },
        long: false,
    },
    Case {
        name: "late questions",
        bounds: Bounds { entries: 4, data: 0, late: 1, led: true, ..TWO },
        long: false,
    },
    Case {
        name: "votes given and taken",
        bounds: Bounds { entries: 6, data: 0, changes: true, ..TWO },
        long: false,
    },
    Case {
        name: "a third node joins",
        bounds: Bounds { spare: 1, entries: 4, data: 0, changes: true, led: true, ..TWO },
        long: true,
    },
    Case { name: "the register restored", bounds: RESTORED, long: false },
    Case {
        name: "the same, one late question",
        bounds: Bounds { entries: 5, numbers: 3, late: 1, ..RESTORED },
        long: true,
    },
    Case { name: "a tie", bounds: FOUR, long: false },
    Case { name: "a tie, one term more", bounds: Bounds { terms: 3, ..FOUR }, long: true },
    Case { name: "votes given and taken", bounds: Bounds { changes: true, ..FOUR }, long: true },
];

/// The searches with so many voters.
pub fn all(voters: u8) -> impl Iterator<Item = Case> {
    CASES.into_iter().filter(move |case| case.bounds.voters == voters)
}

/// Where the counterexample is that a rule keeps away, and with how many voters; nothing for a rule
/// whose absence did no harm within the bounds.
#[must_use]
pub fn falls(rule: Rule) -> Option<Bounds> {
    let restored = Bounds { entries: 3, late: 1, ..RESTORED };
    let changes = Bounds { data: 0, changes: true, ..TWO };
    let led = Bounds { terms: 2, led: true, ..changes };
    match rule {
        Rule::G1 | Rule::G2 | Rule::G4Void | Rule::G5 | Rule::T2 | Rule::OneRegister => Some(TWO),
        Rule::G4All => Some(FOUR),
        Rule::G13 => Some(restored),
        Rule::G13Anew => Some(Bounds { restores: 2, ..restored }),
        Rule::G14 | Rule::G14Entry => Some(changes),
        Rule::G14Taker => Some(Bounds { entries: 4, spare: 1, ..led }),
        Rule::G15 => Some(Bounds { voters: 3, entries: 3, numbers: 1, ..led }),
        Rule::G6
        | Rule::G8
        | Rule::G10
        | Rule::G11
        | Rule::G12
        | Rule::G16
        | Rule::G17
        | Rule::Asker
        | Rule::C8
        | Rule::Wait
        | Rule::Earlier => None,
    }
}

/// What has to be possible, so that "nothing bad happens" is not because nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A half goes on, and commits the smaller set.
    Shrunk,
    /// All vote again after that.
    Back,
    /// A second tie is broken after a first.
    Again,
    /// The voters changed under a number that was taken.
    Changed,
    /// The register is trusted again after it was restored, and gives a number.
    Trusted,
}

impl Goal {
    /// Whether it is reached.
    #[must_use]
    pub fn is_reached(self, state: &State, bounds: &Bounds) -> bool {
        let log = state.committed.0;
        let sets = log.entries().iter().filter_map(|entry| match entry.what {
            super::log::What::Voters(voters) => Some((voters.count_ones(), entry.number)),
            super::log::What::Begin | super::log::What::Data | super::log::What::Number => None,
        });
        let sets: Vec<_> = sets.collect();
        let whole = u32::from(bounds.voters);
        let broken = sets.iter().filter(|(count, number)| *count < whole && *number > 0).count();
        match self {
            Self::Shrunk => broken > 0,
            Self::Back => broken > 0 && sets.last().is_some_and(|(count, _)| *count == whole),
            Self::Again => broken > 1,
            Self::Changed => sets.iter().any(|(count, number)| *count > whole && *number > 0),
            Self::Trusted => {
                let number = log.number(log.len());
                let trusted = state.registers[0].distrusted().is_none();
                state.restored > 0 && trusted && state.registers[0].last().0 > number.into()
            }
        }
    }
}

impl Ties {
    /// All rules in force, and what has to be possible as that which must not be.
    #[must_use]
    pub fn towards(bounds: Bounds, goal: Goal) -> Self {
        Self { goal: Some(goal), ..Self::new(bounds, Without::default()) }
    }
}
