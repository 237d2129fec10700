//! Ties: what must never be, what must be possible, and which rule keeps what away.

use stead_model::rules::{Rule, Without};
use stead_model::search::{Cost, Counterexample, Found, search};
use stead_model::ties::cases::{self, Goal};
use stead_model::ties::{Bounds, Ties, outcome, standing};

fn find(ties: Ties) -> Found {
    search(ties, Cost::default(), |it| standing(&it.state), |it| outcome(&it.state))
}

fn without(rule: Rule, bounds: Bounds) -> Found {
    find(Ties::new(bounds, Without::from_iter([rule])))
}

#[track_caller]
fn falls(rule: Rule) -> Counterexample {
    let bounds = cases::falls(rule).expect("it is said where this rule falls");
    let found = without(rule, bounds);
    found.counterexample.unwrap_or_else(|| panic!("{} states, and none is bad", found.states))
}

#[track_caller]
fn holds(voters: u8) {
    for case in cases::all(voters).filter(|case| !case.long) {
        let found = find(Ties::new(case.bounds, Without::default()));
        let steps = found.counterexample.map(|it| it.steps);
        assert!(found.complete && steps.is_none(), "{}: {steps:#?}", case.name);
        assert!(found.states > 1_000, "{}: {} states", case.name, found.states);
    }
}

#[test]
fn nothing_bad_happens_to_two_voters() {
    holds(2);
}

#[test]
fn nothing_bad_happens_to_four_voters() {
    holds(4);
}

/// A model in which nothing can happen is safe as well.
#[test]
fn what_ties_are_broken_for_is_possible() {
    let (two, changes) = (cases::all(2).next(), cases::falls(Rule::G14));
    let restored = cases::falls(Rule::G13).expect("bounds with a register that is restored");
    let two = two.expect("a case with two voters").bounds;
    let changes = changes.expect("bounds with changes of the voters");
    let three = Bounds { spare: 1, entries: 4, led: true, ..changes };
    let wide = Bounds { entries: 6, led: true, ..changes };
    let four = cases::all(4).next().expect("a case with four voters").bounds;
    let goals = [
        (two, Goal::Shrunk),
        (four, Goal::Shrunk),
        (wide, Goal::Back),
        (Bounds { entries: 7, ..wide }, Goal::Again),
        (three, Goal::Changed),
        (restored, Goal::Trusted),
    ];
    for (bounds, goal) in goals {
        let found = find(Ties::towards(bounds, goal));
        assert!(found.counterexample.is_some(), "{goal:?} is not reached");
    }
}

#[test]
fn every_rule_that_is_said_to_be_needed_is() {
    for (rule, name) in Rule::ALL {
        if cases::falls(rule).is_some() {
            let counterexample = falls(rule);
            assert_ne!(counterexample.outcome, "it is possible", "{name}");
            assert!(!counterexample.steps.is_empty(), "{name}");
        }
    }
}

/// Where a rule falls, it is that rule that holds: with all in force the same bounds are safe.
#[test]
fn where_the_narrow_rules_fall_all_of_them_hold() {
    for rule in [Rule::G15, Rule::G13, Rule::G14] {
        let bounds = cases::falls(rule).expect("it is said where this rule falls");
        let found = find(Ties::new(bounds, Without::default()));
        assert!(found.complete && found.counterexample.is_none(), "{rule}");
    }
}

/// The shortest of all: both halves of two are given the same number, and each leads.
#[test]
fn a_register_that_gives_twice_makes_two_coordinators() {
    let counterexample = falls(Rule::G1);
    let asks = counterexample.steps.iter().filter(|step| step.what.contains(" asks register "));
    assert_eq!(asks.count(), 2, "{counterexample:#?}");
}
