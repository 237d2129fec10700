//! One service, step by step.

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
fn what_others_take_back_is_noticed_and_told_again() {
    let mut steps = Steps::new(&BTreeSet::from([Layer::Route]));
    steps.reach(Told::Claimed);
    steps.next(at(0));
    steps.take(at(0), Layer::Route, Verb::Announce, yes());
    assert_eq!(steps.next(at(300)), Some((Layer::Route, Verb::Verify)));
    let news = steps.take(at(300), Layer::Route, Verb::Verify, yes());
    assert_eq!(news, Some(News::Converged("node2".into())));
    // It is looked at again now and then, which is no news as long as it is there.
    assert_eq!(steps.deadline(), at(60_300));
    assert_eq!(steps.next(at(60_300)), Some((Layer::Route, Verb::Verify)));
    assert_eq!(steps.take(at(60_301), Layer::Route, Verb::Verify, yes()), None);
    let look = steps.deadline();
    assert_eq!(steps.next(look), Some((Layer::Route, Verb::Verify)));
    let news = steps.take(look, Layer::Route, Verb::Verify, Seen::No("no route".into()));
    assert_eq!(news, Some(News::NotConverged("no route".into())));
    let again = steps.deadline();
    assert_eq!(steps.next(again), Some((Layer::Route, Verb::Announce)));
    assert_eq!(steps.take(again, Layer::Route, Verb::Announce, yes()), None);
    let look = steps.deadline();
    assert_eq!(steps.next(look), Some((Layer::Route, Verb::Verify)));
    let news = steps.take(look, Layer::Route, Verb::Verify, yes());
    assert_eq!(news, Some(News::Converged("node2".into())));
}

#[test]
fn an_answer_about_what_was_before_does_not_count() {
    let mut steps = Steps::new(&BTreeSet::from([Layer::Dns]));
    steps.reach(Told::Works);
    assert_eq!(steps.next(at(0)), Some((Layer::Dns, Verb::Announce)));
    steps.renew(Layer::Dns);
    // One at a time: what is said now is said once the other is through.
    assert_eq!(steps.next(at(1)), None);
    assert_eq!(steps.take(at(2), Layer::Dns, Verb::Announce, yes()), None);
    assert_eq!(steps.next(at(2)), Some((Layer::Dns, Verb::Announce)));
    assert_eq!(steps.take(at(3), Layer::Dns, Verb::Announce, yes()), Some(News::Announced));
    let look = steps.deadline();
    assert_eq!(steps.next(look), Some((Layer::Dns, Verb::Verify)));
    steps.renew(Layer::Dns);
    assert_eq!(steps.take(look, Layer::Dns, Verb::Verify, yes()), None);
    assert!(!steps.is_converged(Layer::Dns));
    assert_eq!(steps.next(look), Some((Layer::Dns, Verb::Announce)));
}

#[test]
fn who_saw_what_was_announced_before_has_not_seen_what_fails_now() {
    let mut steps = Steps::new(&BTreeSet::from([Layer::Dns]));
    steps.reach(Told::Works);
    assert_eq!(steps.next(at(0)), Some((Layer::Dns, Verb::Announce)));
    assert_eq!(steps.take(at(1), Layer::Dns, Verb::Announce, yes()), Some(News::Announced));
    let look = steps.deadline();
    assert_eq!(steps.next(look), Some((Layer::Dns, Verb::Verify)));
    assert!(steps.take(look, Layer::Dns, Verb::Verify, yes()).is_some());
    assert!(steps.view().all(|it| it.seen_by.is_some()));
    steps.renew(Layer::Dns);
    assert_eq!(steps.next(look), Some((Layer::Dns, Verb::Announce)));
    let no = Seen::No("refused".into());
    assert!(steps.take(look, Layer::Dns, Verb::Announce, no).is_some());
    assert!(steps.view().all(|it| it.seen_by.is_none() && it.trouble.is_some()));
}

#[test]
fn what_never_was_announced_is_untried_until_it_fails() {
    let mut steps = Steps::new(&BTreeSet::from([Layer::Arp]));
    steps.reach(Told::Claimed);
    assert!(steps.is_untried(Layer::Arp));
    assert_eq!(steps.next(at(0)), Some((Layer::Arp, Verb::Announce)));
    assert!(steps.is_untried(Layer::Arp));
    steps.take(at(0), Layer::Arp, Verb::Announce, Seen::No("no such interface".into()));
    assert!(!steps.is_untried(Layer::Arp) && !steps.is_untried(Layer::Dns));
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
