//! Two writers at one name.

use std::sync::Arc;

use stead_core::id::Epoch;
use stead_redirect::dns::{DnsError, Fault, Kind, Writer, Zone, update};
use tokio::sync::Notify;

use super::meddler::{Deed, between};
use super::site::{Site, address, each, servers, soon, wanted, writer};

/// How often two writers race, in each of both orders.
const RACES: u8 = 30;

async fn stands(site: &Site, name: &str, epoch: u64, last: u8) {
    let records = site.says(name, Kind::A).await;
    assert_eq!(records, [format!("A 192.0.2.{last}")]);
    let marker = site.says(&format!("_stead.{name}"), Kind::Txt).await.join("");
    assert!(marker.replace('"', "").ends_with(&format!(" epoch={epoch}")), "{marker}");
}

#[test]
fn of_two_writers_the_later_epoch_stands_in_the_end() {
    each(|site| {
        site.on(async {
            let (mut gave_way, mut came_first) = (0, 0);
            for race in 0..RACES * 2 {
                let name = format!("race{race}.site.test");
                let (zone, old, new) = (site.zone(), writer(5), writer(6));
                let (five, six) =
                    (wanted(&name, 30, vec![address(5)]), wanted(&name, 30, vec![address(6)]));
                let older = update(&zone, &old, &five, soon());
                let newer = update(&zone, &new, &six, soon());
                let (older, newer) = if race % 2 == 0 {
                    tokio::join!(biased; older, newer)
                } else {
                    let (newer, older) = tokio::join!(biased; newer, older);
                    (older, newer)
                };
                newer.unwrap_or_else(|error| panic!("{error}"));
                match older {
                    Ok(_) => came_first += 1,
                    Err(DnsError::Superseded { by: Epoch(6), ours: Epoch(5), .. }) => gave_way += 1,
                    Err(other) => panic!("{other}"),
                }
                stands(site, &name, 6, 6).await;
            }
            println!("the older one came first {came_first} times, and gave way {gave_way} times");
        });
    });
}

#[test]
fn a_late_update_of_an_earlier_epoch_changes_nothing() {
    each(|site| {
        site.on(async {
            for (number, known) in [false, true].into_iter().enumerate() {
                let name = format!("late{number}.site.test");
                let say = |last| wanted(&name, 30, vec![address(last)]);
                if known {
                    site.write(4, &say(4)).await;
                }
                // The older one has read, and its update is on the way.
                let (came, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
                let door = between(servers()[0], Deed::Hold(came.clone(), go_on.clone())).await;
                let late = Zone { servers: vec![door], ..site.zone() };
                let (old, five) = (writer(5), say(5));
                let older = update(&late, &old, &five, soon());
                let newer = async {
                    came.notified().await;
                    site.write(6, &say(6)).await;
                    go_on.notify_one();
                };
                let (older, ()) = tokio::join!(older, newer);
                let error = older.expect_err("superseded");
                assert_eq!(
                    error.to_string(),
                    format!(
                        "{name} was not changed: service web wrote it under epoch 6 already, and \
                         ours is 5; whoever holds the service now sees to its name"
                    )
                );
                assert!(!error.may_have_changed());
                stands(site, &name, 6, 6).await;
            }
        });
    });
}

#[test]
fn a_late_update_of_a_later_epoch_is_made_anew() {
    each(|site| {
        site.on(async {
            let say = |last| wanted("www.site.test", 30, vec![address(last)]);
            let (came, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let door = between(servers()[0], Deed::Hold(came.clone(), go_on.clone())).await;
            let late = Zone { servers: vec![door], ..site.zone() };
            let (new, six) = (writer(6), say(6));
            let newer = update(&late, &new, &six, soon());
            let older = async {
                came.notified().await;
                site.write(5, &say(5)).await;
                go_on.notify_one();
            };
            let (newer, ()) = tokio::join!(newer, older);
            assert!(newer.expect("made anew").changed);
            stands(site, "www.site.test", 6, 6).await;
        });
    });
}

#[test]
fn what_is_of_another_service_or_of_nobody_is_left_alone() {
    each(|site| {
        site.on(async {
            let zone = site.zone();
            let www = wanted("www.site.test", 30, vec![address(1)]);
            site.write(5, &www).await;
            for (cluster, service) in [("lab", "db"), ("other", "web")] {
                let writer = Writer::new(cluster, service, Epoch(9)).expect("fits").adopts(true);
                let error = update(&zone, &writer, &www, soon()).await.expect_err("of another");
                assert_eq!(
                    error.to_string(),
                    "www.site.test was not changed: it is of service web of cluster lab; give this \
                     service another name, or remove _stead.www.site.test from the zone if that \
                     service is gone"
                );
            }
            let odd = wanted("odd.site.test", 30, vec![address(1)]);
            let error = update(&zone, &writer(5), &odd, soon()).await.expect_err("no marker");
            assert!(
                matches!(&error, DnsError::Unreadable { text, .. } if text.contains("not ours"))
            );
        });
    });
}

#[test]
fn where_a_wildcard_answers_the_tries_end() {
    each(|site| {
        site.on(async {
            let wild = wanted("a.wild.site.test", 30, vec![address(1)]);
            let adopting = writer(5).adopts(true);
            let one = Zone { servers: vec![servers()[0]], ..site.zone() };
            let error = update(&one, &adopting, &wild, soon()).await.expect_err("never as read");
            let DnsError::Untaken { attempts, .. } = &error else { panic!("{error}") };
            assert!(matches!(attempts[0].fault, Fault::Contested { tries: 8 }), "{error}");
            assert!(!error.may_have_changed());
        });
    });
}
