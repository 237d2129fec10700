use std::time::Duration;

use stead_lab::Lock;
use stead_redirect::probe::{Form, Honoured, Saying, Suspicion, Trial, Verdict, judge, judge_all};

use super::segment::{Segment, V4, V6, ip, mac_of, trial};

const ARP: Form = Form::Arp(Saying::Both);
/// Of trials that are not honoured: each takes that long.
const SHORT: Duration = Duration::from_secs(4);
const LONG: Duration = Duration::from_secs(60);

async fn verdict(segment: &Segment, trial: &Trial) -> Verdict {
    let verdict = judge(&segment.findings(trial).await);
    println!("{verdict}");
    verdict
}

#[track_caller]
fn never(verdict: &Verdict, because: Suspicion) {
    assert!(matches!(verdict.honoured, Honoured::Never(_)), "{verdict}");
    assert_eq!(verdict.because, because, "{verdict}");
}

#[track_caller]
fn late(verdict: &Verdict, because: Suspicion) {
    assert!(matches!(verdict.honoured, Honoured::Late(_)), "{verdict}");
    assert_eq!(verdict.because, because, "{verdict}");
}

#[track_caller]
fn at_once(verdict: &Verdict) {
    assert!(matches!(verdict.honoured, Honoured::AtOnce(_)), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mac_that_is_pinned_to_the_first_port() {
    for address in [V4, V6] {
        let segment = Segment::new("pinned");
        let trial = trial(Form::Mac, address, SHORT);
        let lock = Lock::PinMac(mac_of(&trial));
        let locked = segment.bed.lock(segment.link(1), &lock).expect("locked");
        never(&verdict(&segment, &trial).await, Suspicion::PortSecurity);
        segment.bed.unlock(locked).expect("unlocked");
        at_once(&verdict(&segment, &trial).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_lets_only_its_node_s_mac_in() {
    let segment = Segment::new("only-macs");
    let link = segment.link(2);
    let locked = segment.bed.lock(link, &Lock::OnlyMacs(vec![link.mac()])).expect("locked");
    let mac = segment.findings(&trial(Form::Mac, V4, SHORT)).await;
    let arp = segment.findings(&trial(ARP, V4, SHORT)).await;
    let verdicts = judge_all(&[mac, arp]);
    never(&verdicts[0], Suspicion::PortSecurity);
    assert_eq!(verdicts[0].instead, Some(ARP), "{}", verdicts[0]);
    assert!(verdicts[1].works(), "{}", verdicts[1]);
    segment.bed.unlock(locked).expect("unlocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_only_delays() {
    for address in [V4, V6] {
        let segment = Segment::new("ageing");
        let lock = Lock::Ageing(Duration::from_secs(2));
        let locked = segment.bed.lock(segment.link(1), &lock).expect("locked");
        late(&verdict(&segment, &trial(Form::Mac, address, LONG)).await, Suspicion::PortSecurity);
        segment.bed.unlock(locked).expect("unlocked");
    }
}

/// A MAC that moves is followed at once, but only until somebody asks for the address anew.
#[tokio::test(flavor = "multi_thread")]
async fn inspection_of_arp_and_neighbour_discovery() {
    for (form, address, own) in [(ARP, V4, "10.0.0.2"), (Form::Nd, V6, "fd00::2")] {
        let segment = Segment::new("inspected");
        let lock = Lock::Inspected(vec![ip(own)]);
        let locked = segment.bed.lock(segment.link(2), &lock).expect("locked");
        let address_moves = segment.findings(&trial(form, address, SHORT)).await;
        let mac_moves = segment.findings(&trial(Form::Mac, address, SHORT)).await;
        let verdicts = judge_all(&[address_moves, mac_moves]);
        println!("{}\n{}", verdicts[0], verdicts[1]);
        never(&verdicts[0], Suspicion::ArpInspection);
        at_once(&verdicts[1]);
        assert_eq!(verdicts[1].because, Suspicion::ArpInspection, "{}", verdicts[1]);
        assert!(verdicts.iter().all(|verdict| verdict.instead.is_none()));
        segment.bed.unlock(locked).expect("unlocked");
        assert!(verdict(&segment, &trial(form, address, LONG)).await.works());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_on_the_addresses_that_are_sent_from() {
    for (form, address, own) in
        [(ARP, V4, "10.0.0.2"), (Form::Nd, V6, "fd00::2"), (Form::Mac, V4, "10.0.0.2")]
    {
        let segment = Segment::new("guarded");
        let lock = Lock::Guarded(vec![ip(own)]);
        let locked = segment.bed.lock(segment.link(2), &lock).expect("locked");
        never(&verdict(&segment, &trial(form, address, SHORT)).await, Suspicion::ArpInspection);
        segment.bed.unlock(locked).expect("unlocked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_are_not_let_through_to_neighbours_that_forget_soon() {
    for (form, address) in [(ARP, V4), (Form::Nd, V6)] {
        let segment = Segment::new("no-gratuitous");
        segment.forgets_within(2_000);
        let locked = segment.bed.lock(segment.link(2), &Lock::NoGratuitous).expect("locked");
        let address_moves = segment.findings(&trial(form, address, LONG)).await;
        let mac_moves = segment.findings(&trial(Form::Mac, address, LONG)).await;
        let verdicts = judge_all(&[address_moves, mac_moves]);
        late(&verdicts[0], Suspicion::GarpSuppressed);
        assert_eq!(verdicts[0].instead, Some(Form::Mac), "{}", verdicts[0]);
        assert!(verdicts[1].works(), "{}", verdicts[1]);
        segment.bed.unlock(locked).expect("unlocked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_are_not_let_through_to_neighbours_that_remember() {
    for (form, address) in [(ARP, V4), (Form::Nd, V6)] {
        let segment = Segment::new("remembers");
        let locked = segment.bed.lock(segment.link(2), &Lock::NoGratuitous).expect("locked");
        never(&verdict(&segment, &trial(form, address, SHORT)).await, Suspicion::GarpSuppressed);
        segment.bed.unlock(locked).expect("unlocked");
    }
}

/// With the kernel's own timers: half to one and a half times 30 s, 5 s of hesitation, three
/// questions to the old MAC.
#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_are_not_let_through_with_the_timers_of_linux() {
    let segment = Segment::new("timers");
    let locked = segment.bed.lock(segment.link(2), &Lock::NoGratuitous).expect("locked");
    let found = verdict(&segment, &trial(ARP, V4, Duration::from_secs(120))).await;
    late(&found, Suspicion::GarpSuppressed);
    segment.bed.unlock(locked).expect("unlocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_set_by_hand() {
    for (form, address) in [(ARP, V4), (Form::Nd, V6)] {
        let segment = Segment::new("by-hand");
        let (observer, first) = (&segment.nodes[2], segment.link(1).mac());
        let pin = segment.bed.pin_neighbour(&observer.host, &observer.link, ip(address), first);
        let pinned = pin.expect("pinned");
        never(&verdict(&segment, &trial(form, address, SHORT)).await, Suspicion::StaticEntry);
        segment.bed.unpin_neighbour(pinned).expect("unpinned");
        at_once(&verdict(&segment, &trial(form, address, LONG)).await);
    }
}

/// As a VXLAN fabric does that keeps the questions to itself: the announcement is heeded, and
/// undone by the next question.
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_answers_with_what_it_knew() {
    let segment = Segment::new("answered");
    let table = vec![(ip(V4), segment.link(1).mac())];
    let locks = [(1, Lock::Answered(table)), (2, Lock::Answered(Vec::new()))];
    let locked = locks.map(|(number, lock)| segment.bed.lock(segment.link(number), &lock));
    let found = verdict(&segment, &trial(ARP, V4, SHORT)).await;
    at_once(&found);
    assert_eq!(found.because, Suspicion::StaleTable, "{found}");
    for locked in locked {
        segment.bed.unlock(locked.expect("locked")).expect("unlocked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_at_the_first_holder_is_found_too() {
    let segment = Segment::new("first");
    let lock = Lock::Inspected(vec![ip("10.0.0.1")]);
    let locked = segment.bed.lock(segment.link(1), &lock).expect("locked");
    let found = verdict(&segment, &trial(ARP, V4, SHORT)).await;
    assert_eq!(found.honoured, Honoured::NotEvenFirst, "{found}");
    assert_eq!(found.because, Suspicion::ArpInspection, "{found}");
    segment.bed.unlock(locked).expect("unlocked");
}
