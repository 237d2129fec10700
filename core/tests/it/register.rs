//! The register that breaks ties, through every order of what can reach it.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::id::{Grant, NodeId};
use stead_core::quorum::ask::Question;
use stead_core::quorum::register::{Challenge, Half, Refusal, Register};

/// How many things happen in a row at most.
const DEPTH: usize = 7;

fn half(present: &[u64], voters: &[u64]) -> Half {
    let set = |nodes: &[u64]| nodes.iter().copied().map(NodeId).collect();
    Half { present: set(present), voters: set(voters) }
}

fn trusted() -> Register {
    let mut register = Register::new(Challenge(1));
    assert!(register.trust(Challenge(1), Grant(1)));
    register
}

/// Everything that two halves and a coordinator may say, old and new.
fn questions() -> Vec<Question> {
    let halves = [half(&[1], &[1, 2]), half(&[2], &[1, 2])];
    let known = (0..=3).map(Grant);
    known
        .flat_map(|known| {
            let asks = halves.clone().map(|half| Question::Ask { known, half });
            let trust = [1, 2].map(|it| Question::Trust { challenge: Challenge(it), known });
            asks.into_iter().chain([Question::Hear { known }]).chain(trust)
        })
        .collect()
}

/// Plays every sequence of questions up to a depth, each register state once, and shows each answer
/// to `see`.
fn explore(begin: Register, mut see: impl FnMut(&Register, &Question, &Register)) -> usize {
    let mut known = BTreeSet::new();
    let mut frontier = vec![begin];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for register in frontier {
            for question in questions() {
                let mut after = register.clone();
                let answer = after.answer(&question, Challenge(2));
                assert_eq!(answer.standing, after.standing());
                see(&register, &question, &after);
                let bytes = postcard::to_allocvec(&after).unwrap();
                if known.insert(bytes) {
                    next.push(after);
                }
            }
        }
        frontier = next;
    }
    known.len()
}

#[test]
fn a_number_is_given_to_one_half_only_and_never_goes_back() {
    let states = explore(trusted(), |before, question, after| {
        assert!(after.last() >= before.last(), "{before:?} {question:?}");
        if let (Some(old), Some(new)) = (before.holder(), after.holder())
            && before.last() == after.last()
        {
            assert_eq!(old, new, "{question:?}");
        }
        if let Question::Ask { known, half } = question {
            let granted = before.clone().ask(*known, half, Challenge(2));
            if let Ok(number) = granted {
                // Only who stands where the register stands, or the same half again.
                assert_eq!(number, known.next());
                assert!(*known == before.last() || before.holder() == Some(half));
                assert!(before.distrusted().is_none());
            }
        }
    });
    assert!(states > 20, "{states}");
}

#[test]
fn each_number_goes_to_one_half_in_every_history() {
    // Of each state, to whom the numbers went that were given on the way to it.
    fn walk(register: &Register, given: &BTreeMap<Grant, Half>, left: usize) {
        if left == 0 {
            return;
        }
        for question in questions() {
            let Question::Ask { known, half } = &question else { continue };
            let mut after = register.clone();
            let mut given = given.clone();
            if let Ok(number) = after.ask(*known, half, Challenge(2)) {
                let first = given.entry(number).or_insert_with(|| half.clone());
                assert_eq!(first, half);
            }
            walk(&after, &given, left - 1);
        }
    }
    walk(&trusted(), &BTreeMap::new(), 4);
}

#[test]
fn what_is_distrusted_grants_nothing_until_its_own_challenge_comes_back() {
    explore(Register::new(Challenge(7)), |before, question, after| {
        if before.distrusted() == Some(Challenge(7)) {
            assert_eq!(after.distrusted(), Some(Challenge(7)), "{question:?}");
            assert_eq!(after.holder(), None);
        }
    });
    let mut register = Register::new(Challenge(7));
    assert_eq!(
        register.ask(Grant(0), &half(&[1], &[1, 2]), Challenge(9)),
        Err(Refusal::Distrusted(Challenge(7)))
    );
    assert!(!register.trust(Challenge(8), Grant(5)));
    assert!(register.trust(Challenge(7), Grant(5)));
    assert_eq!(register.last(), Grant(5));
}

#[test]
fn who_is_ahead_of_it_shows_that_it_is_an_old_copy() {
    let mut register = trusted();
    register.hear(Grant(4), Challenge(9));
    assert_eq!(register.distrusted(), Some(Challenge(9)));
    let mut register = trusted();
    let asked = register.ask(Grant(4), &half(&[1], &[1, 2]), Challenge(9));
    assert_eq!(asked, Err(Refusal::Distrusted(Challenge(9))));
}

#[test]
fn a_copy_is_not_trusted_by_a_word_from_before() {
    let mut register = Register::new(Challenge(7));
    let copy = register.clone();
    assert!(register.trust(Challenge(7), Grant(1)));
    assert_eq!(register.ask(Grant(1), &half(&[1], &[1, 2]), Challenge(9)), Ok(Grant(2)));
    let mut restored = copy;
    restored.distrust_anew(Challenge(8));
    assert!(!restored.trust(Challenge(7), Grant(1)));
    assert!(restored.ask(Grant(1), &half(&[2], &[1, 2]), Challenge(9)).is_err());
}

#[test]
fn a_retry_is_answered_the_same_until_it_is_used_up() {
    let (one, other) = (half(&[1], &[1, 2]), half(&[2], &[1, 2]));
    let mut register = trusted();
    assert_eq!(register.ask(Grant(1), &one, Challenge(9)), Ok(Grant(2)));
    assert_eq!(register.ask(Grant(1), &one, Challenge(9)), Ok(Grant(2)));
    assert_eq!(register.ask(Grant(1), &other, Challenge(9)), Err(Refusal::Taken(one.clone())));
    register.hear(Grant(2), Challenge(9));
    assert_eq!(register.ask(Grant(1), &one, Challenge(9)), Err(Refusal::Stale));
    assert_eq!(register.ask(Grant(2), &other, Challenge(9)), Ok(Grant(3)));
}

#[test]
fn what_is_no_half_is_told_so() {
    let mut register = trusted();
    for (present, voters) in
        [(&[1, 2][..], &[1, 2, 3][..]), (&[], &[]), (&[3], &[1, 2]), (&[1, 2], &[1, 2])]
    {
        let asked = register.ask(Grant(1), &half(present, voters), Challenge(9));
        assert_eq!(asked, Err(Refusal::NotAHalf), "{present:?} of {voters:?}");
    }
}
