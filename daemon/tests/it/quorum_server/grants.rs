//! What is granted, and to whom.

use std::time::Duration;

use stead::quorum_client::Unanswered;
use stead_core::state::QuorumServer;

use super::{Bed, ask, cluster, granted, hear, refusal};
use crate::cluster::Must;

#[test]
fn one_half_is_granted_and_told_the_same_again_the_other_is_not() {
    let bed = Bed::start("quorum-grant", &[]);
    let (one, two) = bed.pair(cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    let answer = two.ask(ask(0, &[2]));
    assert_eq!(refusal(&answer), "the grant was given to the other half");
    assert_eq!(answer.standing.last.0, 1, "the counter is in every answer");
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1), "asked again");
    // Used up: committed by the one that was granted it.
    assert_eq!(one.ask(hear(1)).standing.last.0, 1);
    let stale = "this half has missed what was decided after an earlier grant";
    assert_eq!(refusal(&one.ask(ask(0, &[1]))), stale);
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), stale);
    // The next tie.
    assert_eq!(granted(&two.ask(ask(1, &[2]))), Some(2));
    assert_eq!(refusal(&one.ask(ask(1, &[1]))), "the grant was given to the other half");
    println!("{}\n{}", bed.told(&["list"]), bed.told(&["show", "shop"]));
    let report = bed.show(cluster(1));
    assert_eq!((&report["last"], &report["holder"]), (&2.into(), &serde_json::json!([2])));
    assert_eq!((&report["granted"], &report["refused"]), (&3.into(), &4.into()));
}

#[test]
fn what_is_not_a_half_or_too_large_is_refused_and_the_connection_stays() {
    let bed = Bed::start("quorum-unfit", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let whole = refusal(&one.ask(ask(0, &[1, 2])));
    assert_eq!(whole, "what asks is not exactly half of the voters");
    let many: Vec<u64> = (0..200).collect();
    let question = stead_core::quorum::ask::Question::Ask {
        known: stead_core::id::Grant(0),
        half: super::half(&many[..100], &many),
    };
    let error = one.try_ask(question, None, Duration::from_secs(60)).unwrap_err();
    assert!(matches!(error, Unanswered::Refused(_)), "{error}");
    assert!(error.to_string().contains("more than 64 voters"), "{error}");
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
}

#[test]
fn a_silent_server_is_a_tie_in_time_and_back_without_anybody_doing_anything() {
    let bed = Bed::start("quorum-silent", &[]);
    let (one, two) = bed.pair(cluster(1));
    let mut changes = one.client().changes();
    bed.process().freeze().must();
    let error = one.try_ask(ask(0, &[1]), None, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, Unanswered::Deadline { .. } | Unanswered::NotConnected { .. }));
    // That it is lost is told, and named.
    let down = one.on_host(async move {
        changes.wait_for(|it| matches!(it, stead::quorum_client::Link::Down { .. })).await.is_ok()
    });
    assert!(down);
    one.wait_down("does not answer in time");
    bed.process().thaw().must();
    one.wait_up();
    // The first question may have been heard: asked again by the same half it is the same grant.
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), "the grant was given to the other half");
}

#[test]
fn the_address_that_answers_is_used_and_ipv6_is_as_good() {
    let bed = Bed::start("quorum-six", &[]);
    let (one, two) = bed.pair(cluster(1));
    let record = |addresses: &[&str]| {
        let key = bed.token(&[]).token.key;
        let addresses = addresses.iter().map(|it| it.parse().must()).collect();
        QuorumServer { addresses, key }
    };
    one.connect(record(&["[fd78::9]:7745"]), cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    // Nobody is at the first two.
    two.connect(record(&["10.78.0.9:1", "[fd78::9]:1", "[fd78::9]:7745"]), cluster(1));
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), "the grant was given to the other half");
    let token = bed.token(&[]);
    assert!(token.addresses.iter().any(std::net::SocketAddr::is_ipv6), "{:?}", token.addresses);
    assert!(token.addresses.iter().any(std::net::SocketAddr::is_ipv4), "{:?}", token.addresses);
}
