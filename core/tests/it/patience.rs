//! The node machine alone: how long candidates are waited for.

use std::collections::BTreeSet;

use stead_core::id::Term;
use stead_core::node::{Command, Event, LogView};

use super::desk::{Desk, ME, PEER};

/// The log comes to a term that nobody leads.
fn nobody_leads_in(desk: &mut Desk, term: u64) {
    let view = desk.node.log().clone();
    let voters = vec![BTreeSet::from([ME, PEER])];
    desk.report.coordinates = None;
    desk.report.hears_coordinator = false;
    desk.report.term = Term(term);
    desk.take(Event::Log(LogView { term: Term(term), leader: None, voters, ..view }));
}

/// How many milliseconds pass until somebody is made to campaign, both nodes hearing each other and
/// nobody a coordinator; at most ten seconds.
fn until_campaign(desk: &mut Desk) -> u64 {
    let campaigns = |it: &Command| matches!(it, Command::Campaign(_));
    let waited = (1..1_000).find(|_| {
        let (now, term) = (desk.now, desk.node.log().term);
        desk.tell(10, |report| {
            let peer = report.peers.get_mut(&PEER).expect("it is known");
            peer.heard = Some(now);
            peer.acknowledged = Some(now);
            peer.hears_coordinator = false;
            peer.term = term;
        });
        desk.commands.iter().any(campaigns)
    });
    waited.unwrap_or(1_000) * 10
}

#[test]
fn terms_that_nobody_here_asked_for_make_nobody_patient() {
    let mut desk = Desk::begun();
    for term in 3..60 {
        // Cut off, while the log's own timers count up.
        nobody_leads_in(&mut desk, term);
        desk.tell(500, |_| {});
        assert!(!desk.commands.iter().any(|it| matches!(it, Command::Campaign(_))));
    }
    let waited = until_campaign(&mut desk);
    assert!(waited <= 200, "they met, and waited for {waited} ms");
}

#[test]
fn candidates_in_vain_get_more_time_up_to_a_bound() {
    let mut desk = Desk::begun();
    let mut waits = Vec::new();
    for term in 3..20 {
        nobody_leads_in(&mut desk, term);
        waits.push(until_campaign(&mut desk));
    }
    assert!(waits[0] <= 100, "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    // Disks that take a second finish a vote in that time; a network that was only busy for a while
    // is not waited for much longer.
    let longest = waits.last().copied().unwrap_or_default();
    assert!((2_000..=6_000).contains(&longest), "{waits:?}");
}
