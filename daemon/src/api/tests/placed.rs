//! What would become of services, asked on paper.

use super::{CLUSTER, picture};
use crate::api::message::GoesOn;
use crate::api::placed::{by_config, explain, simulate};
use crate::config;

/// The same cluster, whose `db` has a file system; no node has a fence device.
fn with_disk() -> String {
    let disk = "[[services.db.resources]]\nname = \"disk\"\nocf = \"heartbeat:Filesystem\"\n\
                parameters = { device = \"/dev/sda\", directory = \"/srv\", fstype = \"ext4\" }\n";
    CLUSTER.replace("[services.web]\n", &format!("{disk}[services.web]\n"))
}

fn config_of(text: &str) -> stead_core::state::config::Config {
    config::read("cluster.toml", text).unwrap().config
}

#[test]
fn what_waits_for_a_lost_node_goes_nowhere_else() {
    let text = with_disk();
    let view = picture(&text, 3);
    let answer = simulate(&view, &["node2".to_owned()], None).unwrap();
    assert_eq!(answer.waits, ["db (waits for node2)"]);
    assert!(answer.moves.iter().all(|it| it.service != "db"), "{answer:?}");
    // Without such a resource it is free once the lease has ended.
    let answer = simulate(&picture(CLUSTER, 3), &["node2".to_owned()], None).unwrap();
    assert!(answer.waits.is_empty() && answer.moves.iter().any(|it| it.service == "db"));
    assert_eq!((answer.voters, answer.voters_left), (3, 2));
    // What a loss leaves without a place counts what waits.
    let (_, losses) = by_config(&picture(CLUSTER, 3), &config_of(&text)).unwrap();
    let lost = losses.iter().find(|it| it.node == "node2").unwrap();
    assert!(lost.before.is_empty() && lost.after == ["db"], "{lost:?}");
}

#[test]
fn what_would_be_refused_is_not_simulated() {
    let view = picture(CLUSTER, 3);
    let smaller = CLUSTER.replace(
        "[nodes.node3]\naddresses = { lan = \"192.0.2.13\", back = \"198.51.100.13\" }\n",
        "",
    );
    let config = config_of(&smaller);
    let failure = simulate(&view, &["node1".to_owned()], Some(&config)).unwrap_err();
    assert!(failure.message.starts_with("that file would be refused"), "{failure:?}");
    assert!(by_config(&view, &config).is_err());
    let failure = simulate(&view, &["site=north".to_owned()], None).unwrap_err();
    assert!(failure.message.contains("site=north"), "{failure:?}");
    let east = simulate(&view, &["site=east".to_owned()], None).unwrap();
    assert_eq!(east.fails, ["node1"]);
}

#[test]
fn a_link_that_fails_costs_nothing_while_there_is_another() {
    let view = picture(CLUSTER, 3);
    let answer = simulate(&view, &["lan".to_owned()], None).unwrap();
    let links = answer.links.unwrap();
    assert_eq!((links.fail, links.left, links.goes_on), (one("lan"), one("back"), GoesOn::All));
    assert!(answer.moves.is_empty() && answer.fails.is_empty());
    assert_eq!(links.unreached, ["db", "web"]);
    // With a node at the same time it is that node's loss.
    let both = ["link=back".to_owned(), "node2".to_owned()];
    let answer = simulate(&view, &both, None).unwrap();
    assert_eq!(answer.fails, ["node2"]);
    assert!(answer.moves.iter().any(|it| it.service == "db" && it.to.is_some()), "{answer:?}");
    // Without any link each of the three is alone.
    let all = ["lan".to_owned(), "back".to_owned()];
    let answer = simulate(&view, &all, None).unwrap();
    assert_eq!(answer.links.as_ref().unwrap().goes_on, GoesOn::Nobody);
    assert!(answer.moves.iter().all(|it| it.from.is_some() && it.to.is_none()), "{answer:?}");
    assert_eq!(answer.moves.len(), 2);
}

fn one(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

#[test]
fn of_two_without_links_whoever_breaks_ties_lets_one_go_on() {
    let third = "[nodes.node3]\naddresses = { lan = \"192.0.2.13\", back = \"198.51.100.13\" }\n";
    let two = CLUSTER.replace(third, "");
    let all = ["lan".to_owned(), "back".to_owned()];
    let goes_on = |text: &str| {
        let answer = simulate(&picture(text, 2), &all, None).unwrap();
        (answer.links.unwrap().goes_on, answer.moves.len())
    };
    assert_eq!(goes_on(&two), (GoesOn::Nobody, 2));
    let exec = "[quorum]\nchain = [\"majority\", \"exec\"]\n\
                exec = { command = [\"/usr/bin/ask\"], timeout = \"1s\" }\n[links.back]";
    let two = two.replace("[links.back]", exec);
    let names = vec!["node1".to_owned(), "node2".to_owned()];
    assert_eq!(goes_on(&two), (GoesOn::OneOf(names), 0));
}

#[test]
fn a_word_that_means_two_things_is_not_guessed_at() {
    let labels = "[nodes.node3]\nlabels = { link = \"lan\" }";
    let view = picture(&CLUSTER.replace("[nodes.node3]", labels), 3);
    let failure = simulate(&view, &["link=lan".to_owned()], None).unwrap_err();
    assert!(failure.next.contains("name the link alone (lan)"), "{failure:?}");
    assert!(simulate(&view, &["lan".to_owned()], None).unwrap().links.is_some());
}

#[test]
fn a_service_is_explained_and_one_that_is_none_is_named() {
    let view = picture(CLUSTER, 3);
    let answer = explain(&view, "web").unwrap();
    assert_eq!((answer.on.as_deref(), answer.nodes.len()), (Some("node1"), 3));
    assert!(answer.nodes[1].why.contains("by rules"), "{answer:?}");
    let failure = explain(&view, "wbe").unwrap_err();
    assert!(failure.next.contains("db, web"), "{failure:?}");
}
