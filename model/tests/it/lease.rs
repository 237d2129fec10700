//! Leases: nobody counts out a node whose lease is still good, and which rule sees to that.

use stead_model::lease::cases;
use stead_model::lease::{Bounds, Leases, outcome, standing};
use stead_model::rules::{Rule, Without};
use stead_model::search::{Cost, Counterexample, Found, search};

fn find(bounds: Bounds, without: Without) -> Found {
    search(Leases::new(bounds, without), Cost::default(), standing, outcome)
}

#[track_caller]
fn falls(rule: Rule) -> Counterexample {
    let bounds = cases::falls(rule).expect("it is said where this rule falls");
    let found = find(bounds, Without::from_iter([rule]));
    found.counterexample.unwrap_or_else(|| panic!("{} states, and none is bad", found.states))
}

#[track_caller]
fn holds(name: &str) {
    let case = cases::all(None).find(|case| case.name == name).expect("a case of that name");
    let found = find(case.bounds, Without::default());
    let steps = found.counterexample.map(|it| it.steps);
    assert!(found.complete && steps.is_none(), "{name}: {steps:#?}");
    assert!(found.states > 1_000, "{name}: {} states", found.states);
}

#[test]
fn a_good_lease_is_never_taken_for_over_while_voters_change() {
    holds("voters change twice");
}

#[test]
fn a_good_lease_is_never_taken_for_over_while_one_goes_and_one_joins() {
    holds("one goes, one joins");
}

#[test]
fn a_good_lease_is_never_taken_for_over_by_the_second_coordinator_in_a_row() {
    holds("two coordinators");
}

#[test]
fn a_majority_two_changes_away_need_not_have_heard_the_coordinator() {
    let counterexample = falls(Rule::C8);
    let changes = counterexample.steps.iter().filter(|step| step.what.contains(" the voters"));
    assert_eq!(changes.count(), 2, "{counterexample:#?}");
}

#[test]
fn voters_that_change_in_one_breath_leave_nobody_who_knows() {
    let counterexample = falls(Rule::G10);
    assert!(counterexample.outcome.contains("is over"), "{counterexample:#?}");
}

#[test]
fn a_guard_that_forgets_the_vote_lengthens_an_old_coordinators_lease() {
    let counterexample = falls(Rule::T2);
    let anew = counterexample.steps.iter().filter(|step| step.what.contains("starts anew"));
    assert_eq!(anew.count(), 1, "{counterexample:#?}");
}

#[test]
fn others_wait_for_all_of_it_and_from_the_last_sign_of_any_coordinator() {
    for rule in [Rule::Wait, Rule::Earlier] {
        let counterexample = falls(rule);
        assert!(counterexample.outcome.contains("is over"), "{rule}: {counterexample:#?}");
    }
}
