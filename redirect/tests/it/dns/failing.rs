//! What goes wrong is told, and what can go on goes on.

use std::time::Duration;

use stead_redirect::dns::{Data, DnsError, Fault, Kind, Seen, Zone, update, verify};
use tokio::time::Instant;

use super::meddler::{Deed, between};
use super::site::{Site, Software, address, each, name, servers, soon, wanted, writer};

/// For what is known not to be answered.
const SHORT: Duration = Duration::from_millis(1_500);
const OTHER_SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

async fn faults(zone: &Zone, within: Duration) -> (String, Vec<Fault>, bool) {
    let www = wanted("www.site.test", 30, vec![address(1)]);
    let deadline = Instant::now() + within;
    let error = update(zone, &writer(5), &www, deadline).await.expect_err("must fail");
    let text = error.to_string();
    let sent = error.may_have_changed();
    let DnsError::Untaken { attempts, .. } = error else { panic!("{text}") };
    (text, attempts.into_iter().map(|it| it.fault).collect(), sent)
}

fn only_primary(zone: Zone) -> Zone {
    Zone { servers: vec![servers()[0]], ..zone }
}

#[test]
fn a_wrong_key_is_told_apart_from_an_unknown_one() {
    each(|site| {
        site.on(async {
            let wrong = only_primary(site.zone_with("ha", OTHER_SECRET));
            let (text, told, _) = faults(&wrong, PATIENCE).await;
            assert!(matches!(told[0], Fault::BadSignature { .. }), "{text}; {}", site.logs());
            let unknown = only_primary(site.zone_with("nobody", OTHER_SECRET));
            let (text, told, sent) = faults(&unknown, PATIENCE).await;
            assert!(matches!(told[0], Fault::KeyUnknown { .. }), "{text}; {}", site.logs());
            assert!(!sent);
            assert_eq!(site.says("www.site.test", Kind::A).await, [""; 0]);
        });
    });
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    let late =
        [("LD_PRELOAD", library), ("FAKETIME", "+7200s"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let site = Site::with(Software::Knot, &late, false);
    site.on(async {
        let (text, faults, _) = faults(&only_primary(site.zone()), PATIENCE).await;
        let Fault::BadTime { server, ours } = faults[0] else { panic!("{text}; {}", site.logs()) };
        assert!((7_000..7_400).contains(&(server - ours)), "{server} {ours}");
    });
}

#[test]
fn a_false_answer_is_not_believed() {
    each(|site| {
        site.on(async {
            for deed in [Deed::Falsify, Deed::Strip] {
                let door = between(servers()[0], deed.clone()).await;
                let zone = Zone { servers: vec![door], ..site.zone() };
                let (text, faults, _) = faults(&zone, PATIENCE).await;
                match deed {
                    Deed::Falsify => assert!(matches!(faults[0], Fault::AnswerSignature), "{text}"),
                    Deed::Strip => assert!(matches!(faults[0], Fault::Unsigned), "{text}"),
                    Deed::Hold(..) | Deed::Swallow => {}
                }
            }
        });
    });
}

#[test]
fn an_update_whose_answer_was_lost_is_the_same_when_it_is_sent_again() {
    each(|site| {
        site.on(async {
            let door = between(servers()[0], Deed::Swallow).await;
            let zone = Zone { servers: vec![door], ..site.zone() };
            let (text, _, sent) = faults(&zone, PATIENCE).await;
            assert!(sent && text.contains("may have been carried out"), "{text}");
            let www = wanted("www.site.test", 30, vec![address(1)]);
            assert!(!site.write(5, &www).await.changed, "it had been carried out");
        });
    });
}

#[test]
fn a_server_that_does_not_take_updates_is_passed_over() {
    each(|site| {
        site.on(async {
            // The secondary has the zone, and does not know the key or refuses the update.
            let [first, second] = servers();
            let only = Zone { servers: vec![second], ..site.zone() };
            let (text, faults, sent) = faults(&only, PATIENCE).await;
            let told = matches!(faults[..], [Fault::Refused | Fault::KeyUnknown { .. }]);
            assert!(told && !sent, "{text}");
            let www = wanted("www.site.test", 30, vec![address(1)]);
            let zone = Zone { servers: vec![second, first], ..site.zone() };
            let updated = update(&zone, &writer(5), &www, soon()).await.expect("by the other");
            assert_eq!(updated.server, first);
        });
    });
}

#[test]
fn an_update_that_a_secondary_passed_on_arrives() {
    for software in [Software::Bind, Software::Knot] {
        let site = Site::with(software, &[], true);
        site.on(async {
            let zone = Zone { servers: vec![servers()[1]], ..site.zone() };
            let www = wanted("www.site.test", 30, vec![address(1)]);
            let updated = update(&zone, &writer(5), &www, soon()).await;
            let updated = updated.unwrap_or_else(|error| panic!("{error}; {}", site.logs()));
            println!("{updated:?}");
            assert!(updated.changed);
            site.converged(&www).await;
        });
    }
}

#[test]
fn a_zone_that_is_not_there_is_told() {
    each(|site| {
        site.on(async {
            let zone = Zone { name: name("elsewhere.test"), ..only_primary(site.zone()) };
            let www = wanted("www.elsewhere.test", 30, vec![address(1)]);
            let error = update(&zone, &writer(5), &www, soon()).await.expect_err("not there");
            let DnsError::Untaken { attempts, .. } = &error else { panic!("{error}") };
            assert!(matches!(attempts[0].fault, Fault::RefusesQuestions { .. }), "{error}");
            let outside = wanted("www.other.test", 30, vec![address(1)]);
            let error = update(&zone, &writer(5), &outside, soon()).await.expect_err("outside");
            assert_eq!(
                error.to_string(),
                "www.other.test was not changed: it is not in zone elsewhere.test"
            );
            let apex = wanted("elsewhere.test", 30, vec![Data::Cname(name("a.test"))]);
            let error = update(&zone, &writer(5), &apex, soon()).await.expect_err("a zone's name");
            assert!(matches!(error, DnsError::Apex(_)));
        });
    });
}

#[test]
fn what_the_server_leaves_out_is_told() {
    each(|site| {
        site.on(async {
            let alias = wanted("mail.site.test", 30, vec![Data::Cname(name("node1.site.test"))]);
            let zone = only_primary(site.zone());
            let error = update(&zone, &writer(5), &alias, soon()).await.expect_err("left out");
            let DnsError::Untaken { attempts, .. } = &error else { panic!("{error}") };
            assert!(matches!(&attempts[0].fault, Fault::NotKept { .. }), "{error}");
            // Beside the person's text there may be an address.
            assert!(site.write(5, &wanted("mail.site.test", 30, vec![address(1)])).await.changed);
            let theirs = site.says("mail.site.test", Kind::Txt).await;
            assert!(theirs[0].contains("person"), "{theirs:?}");
        });
    });
}

#[test]
fn a_dead_server_is_seen_and_the_other_one_goes_on() {
    each(|site| {
        site.on(async {
            let www = wanted("www.site.test", 30, vec![address(1)]);
            site.write(5, &www).await;
            site.converged(&www).await;
            // The secondary is dead: updates go on, and what it would say is shown.
            site.secondary.kill().expect("killed");
            let moved = wanted("www.site.test", 30, vec![address(2)]);
            assert!(site.write(6, &moved).await.changed);
            let seen = verify(&site.zone(), &moved, soon()).await.expect("of the zone");
            assert!(
                matches!(
                    &seen[..],
                    [
                        (_, Seen::Converged { ttl: 30, .. }),
                        (_, Seen::Unreachable(Fault::Unreachable(_))),
                    ]
                ),
                "{seen:?}"
            );
            // Also where the dead one stands first.
            let [first, second] = servers();
            let zone = Zone { servers: vec![second, first], ..site.zone() };
            let updated = update(&zone, &writer(7), &moved, soon()).await.expect("by the other");
            assert_eq!(updated.server, first);
            // The primary does not answer at all: nobody takes an update.
            site.cut(0);
            let (text, faults, _) = faults(&site.zone(), SHORT).await;
            assert!(matches!(faults[..], [Fault::NoAnswer, Fault::Unreachable(_)]), "{text}");
        });
    });
}

#[test]
fn a_secondary_that_was_left_behind_is_old() {
    each(|site| {
        site.on(async {
            let www = wanted("www.site.test", 30, vec![address(1)]);
            site.write(5, &www).await;
            site.converged(&www).await;
            site.cut(1);
            // It has no cable: what it says can't be asked, which is told within the time given.
            let deadline = Instant::now() + SHORT;
            let seen = verify(&site.zone(), &www, deadline).await.expect("of the zone");
            assert!(matches!(&seen[1].1, Seen::Unreachable(Fault::NoAnswer)), "{seen:?}");
            let next = wanted("www.site.test", 30, vec![address(2)]);
            let seen = verify(&site.zone(), &next, deadline.max(Instant::now() + SHORT)).await;
            let seen = seen.expect("of the zone");
            let (_, Seen::Old { says, .. }) = &seen[0] else { panic!("{seen:?}") };
            assert_eq!(says, &["30 A 192.0.2.1"]);
        });
    });
}
