//! Who is let in.

use std::time::Duration;

use stead_core::state::QuorumServer;

use super::bed::{members, until};
use super::{Bed, ask, cluster, granted, hear, refusal, trust};
use crate::cluster::Must;

#[test]
fn a_token_lets_one_cluster_in_once() {
    let bed = Bed::start("quorum-token", &[]);
    let (one, two) = (bed.node(1), bed.node(2));
    let refused = |token: &stead::quorum_server::token::EnrolToken| {
        let error = one.enrol(token, cluster(1), "shop", members(1, &[&one, &two]));
        error.expect_err("it is refused").to_string()
    };

    // made up
    let mut wrong = bed.token(&[]);
    wrong.token.secret[0] ^= 1;
    assert!(refused(&wrong).contains("none of this server's"), "{}", refused(&wrong));
    // taken back
    let answer = bed.json(&["enrol", "--name", "back"]);
    let number = answer["number"].as_str().expect("a number");
    assert!(bed.told(&["list"]).contains(number));
    bed.told(&["revoke", number]);
    let back = answer["token"].as_str().expect("a token").parse().must();
    assert!(refused(&back).contains("was revoked"), "{}", refused(&back));
    // too late
    let late = bed.token(&["--ttl", "1s"]);
    until("it has expired", || {
        bed.json(&["list"])["tokens"].to_string().matches("\"number\"").count() == 1
    });
    assert!(refused(&late).contains("has expired"), "{}", refused(&late));
    assert_eq!(bed.json(&["list"])["clusters"], serde_json::json!([]), "nothing was changed");

    // good, also after a crash
    let good = bed.token(&["--name", "the shop"]);
    bed.kill();
    bed.run();
    let wish = members(1, &[&one, &two]);
    let (server, standing) = one.enrol(&good, cluster(1), "shop", wish).must();
    assert_eq!(server.addresses, good.addresses);
    assert!(standing.distrusted.is_some());
    assert_eq!(bed.show(cluster(1))["name"], "the shop");
    // used, also after a crash
    bed.kill();
    bed.run();
    assert!(refused(&good).contains("was used before"), "{}", refused(&good));

    // who is not on its own list would lock itself out
    let error = one.enrol(&bed.token(&[]), cluster(2), "shop", members(1, &[&two]));
    let error = error.expect_err("it is refused").to_string();
    assert!(error.contains("lacks the key of the node that sends it"), "{error}");
}

#[test]
fn a_name_is_only_a_label() {
    let bed = Bed::start("quorum-names", &[]);
    let (one, two) = (bed.node(1), bed.node(2));
    for (node, id) in [(&one, cluster(0x11)), (&two, cluster(0x22))] {
        let (server, _) = node.enrol(&bed.token(&[]), id, "shop", members(1, &[node])).must();
        node.connect(server, id);
        let heard = node.ask(hear(0));
        node.ask(trust(&heard, 0));
    }
    // Each is granted its own, though both have the same name, and nodes of the same numbers.
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    assert_eq!(granted(&two.ask(ask(0, &[2]))), Some(1));
    let error = bed.refused(&["show", "shop"]);
    assert!(error.contains("2 clusters are meant by that"), "{error}");
    assert_eq!(bed.json(&["show", "1111"])["holder"], serde_json::json!([1]));
    // A member of one has no say in the other.
    one.connect(two_server(&bed), cluster(0x22));
    one.wait_down("does not know this node's key");
}

fn two_server(bed: &Bed) -> QuorumServer {
    let token = bed.token(&[]);
    QuorumServer { addresses: token.addresses, key: token.token.key }
}

#[test]
fn once_more_replaces_the_keys_keeps_the_register_and_distrusts() {
    let bed = Bed::start("quorum-again", &[]);
    let (one, two) = bed.pair(cluster(1));
    two.wait_up();
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    let standing = one.enrol(&bed.token(&[]), cluster(1), "shop", members(0, &[&one])).must().1;
    assert_eq!(standing.last.0, 1, "the register is kept");
    // The other node's key is gone with its connection.
    two.wait_down("does not know this node's key");
    let answer = one.ask(ask(1, &[1]));
    assert_eq!(refusal(&answer), "the register does not know what was granted before");
    assert_eq!(bed.show(cluster(1))["cause"], "enrolled-again");
    let heard = one.ask(hear(1));
    one.ask(trust(&heard, 1));
    assert_eq!(granted(&one.ask(ask(1, &[1]))), Some(2));
}

#[test]
fn the_coordinator_tells_who_the_members_are() {
    let bed = Bed::start("quorum-members", &[]);
    let (one, two) = bed.pair(cluster(1));
    let three = bed.node(3);
    two.wait_up();
    let say = |at: u64, nodes: &[&super::Node]| {
        let list = Some(members(at, nodes));
        one.try_ask(hear(0), list, Duration::from_secs(60)).must();
    };
    say(5, &[&one, &three]);
    two.wait_down("does not know this node's key");
    three.connect(two_server(&bed), cluster(1));
    three.wait_up();
    // A list that was on its way for long changes nothing.
    say(4, &[&one, &two]);
    assert_eq!(bed.show(cluster(1))["members"].as_array().map(Vec::len), Some(2));
    three.ask(hear(0));
    two.wait_down("does not know this node's key");
    // A half does not say who the members are.
    let list = Some(members(9, &[&one]));
    let error = one.try_ask(ask(0, &[1]), list, Duration::from_secs(60)).unwrap_err();
    assert!(error.to_string().contains("a half does not say"), "{error}");
}
