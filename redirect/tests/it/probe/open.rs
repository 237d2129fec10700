use std::time::Duration;

use stead_redirect::probe::{Form, Honoured, Saying, Suspicion, judge};

use super::segment::{Segment, V4, V6, trial};

const BOUND: Duration = Duration::from_secs(20);

async fn is_honoured(name: &str, form: Form, address: &str) {
    let segment = Segment::new(name);
    let trial = trial(form, address, BOUND);
    let findings = segment.findings(&trial).await;
    let verdict = judge(&findings);
    println!("{verdict}");
    assert_eq!(verdict.because, Suspicion::Nothing, "{verdict}");
    assert!(matches!(verdict.honoured, Honoured::AtOnce(_)), "{verdict}");
    assert!(findings.views[0].seen.announcements > 0, "the announcement was seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn arp_in_both_forms() {
    is_honoured("open-arp", Form::Arp(Saying::Both), V4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arp_as_a_request_alone() {
    is_honoured("open-request", Form::Arp(Saying::Request), V4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arp_as_a_reply_alone() {
    is_honoured("open-reply", Form::Arp(Saying::Reply), V4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbour_discovery() {
    is_honoured("open-nd", Form::Nd, V6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mac_with_an_ipv4_address() {
    is_honoured("open-mac4", Form::Mac, V4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mac_with_an_ipv6_address() {
    is_honoured("open-mac6", Form::Mac, V6).await;
}
