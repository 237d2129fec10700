//! Cables that lose and delay, in one direction only.

use std::time::Duration;

use stead::demo::fleet::Fleet;
use stead_lab::relay::{Direction, Impairment};

use super::{
    Must, WEB, assert_taken_over, assert_untouched, client, mark, three, wait_moved, web, whole,
};

fn relayed(name: &str) -> Fleet {
    let mut plan = three(name).service(web("web", WEB, &["node2"]));
    plan.nodes[1].relayed = true;
    Fleet::start(plan).must()
}

fn impair(fleet: &Fleet, direction: Direction, impairment: Impairment) {
    for lan in ["ring", "back"] {
        let link = fleet.link("node2", lan).must();
        let relay = link.relay().expect("its cables are relays");
        relay.set(direction, impairment);
    }
}

#[test]
fn a_holder_that_is_not_heard_falls_silent_though_it_hears_all() {
    let fleet = relayed("unheard");
    let client = client(&fleet, WEB);
    let began = mark();
    impair(&fleet, Direction::FromHost, Impairment { loss: 1.0, ..Impairment::default() });
    wait_moved(&fleet, &client, "node2");
    fleet.pause(Duration::from_millis(500)).must();
    impair(&fleet, Direction::FromHost, Impairment::default());
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_holder_that_hears_nobody_falls_silent_though_all_hear_it() {
    let fleet = relayed("deaf");
    let client = client(&fleet, WEB);
    let began = mark();
    impair(&fleet, Direction::ToHost, Impairment { loss: 1.0, ..Impairment::default() });
    // whether others may act while they hear it or not: two never answer
    wait_silent_or_moved(&fleet, &client);
    fleet.pause(Duration::from_secs(1)).must();
    impair(&fleet, Direction::ToHost, Impairment::default());
    whole(&fleet);
    client.wait_served(&fleet).must();
    super::assert_alone(client.seen_since(began));
}

fn wait_silent_or_moved(fleet: &Fleet, client: &stead::demo::fleet::Client) {
    super::wait_for(fleet, "node2 falls silent", || {
        Ok(!client.holders().contains(&"node2".to_owned()))
    });
}

#[test]
fn loss_and_delay_within_the_round_trip_move_nothing() {
    let fleet = relayed("lossy");
    let client = client(&fleet, WEB);
    let began = mark();
    let little = Impairment {
        delay: Duration::from_micros(300),
        jitter: Duration::from_micros(200),
        loss: 0.1,
        reorder: 0.1,
        held: Duration::from_micros(400),
    };
    impair(&fleet, Direction::FromHost, little);
    impair(&fleet, Direction::ToHost, Impairment { loss: 0.3, ..little });
    fleet.pause(Duration::from_secs(5)).must();
    assert_untouched(client.seen_since(began));
    assert_eq!(client.holders(), ["node2"]);
}
