//! What would become of services, asked on paper.

use stead_core::id::NodeId;
use stead_core::state::{Change, PROTOCOL_0_7, PROTOCOL_0_8, Visit};

use super::socket::Served;
use super::{CLUSTER, change_state, picture};
use crate::api::message::{ChangeAnswer, GoesOn, Request};
use crate::api::placed::{by_config, explain, simulate};
use crate::config;
use crate::driver::view::View;

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
fn what_is_open_by_the_clock_counts_in_a_plan() {
    let text = format!(
        "{CLUSTER}\n[services.web.during.always]\nonly = [\"node3\"]\n[times.always]\n\
         [services.db.during.never]\nonly = [\"node3\"]\n"
    );
    // On a day that is neither today nor tomorrow, wherever that begins.
    let today = (crate::journal::wall() / 86_400 + 3) % 7;
    let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][(today as usize + 3) % 7];
    let text = format!("{text}[times.never]\ndays = [\"{day}\"]\n");
    let (moves, _) = by_config(&picture(CLUSTER, 3), &config_of(&text)).unwrap();
    let told: Vec<_> = moves.iter().map(|it| (it.service.as_str(), it.to.as_deref())).collect();
    assert_eq!(told, [("web", Some("node3"))]);
}

#[test]
fn what_is_announced_as_one_goes_along() {
    let routed = |ip: &str| format!("[{{ ip = \"{ip}\", prefix = 32, layers = [\"route\"] }}]");
    let text = CLUSTER
        .replace("[\"192.0.2.101/24\"]", &routed("203.0.113.7"))
        .replace("[\"192.0.2.100/24\"]", &routed("203.0.113.9"));
    let redirect = "[redirect]\nrouting = \"bird\"\nprefixes = [\"203.0.113.0/24\"]\n";
    let mut view = picture(CLUSTER, 3);
    change_state(&mut view, |state| state.more.protocol = PROTOCOL_0_8);
    let (moves, _) = by_config(&view, &config_of(&(text + redirect))).unwrap();
    let moves: Vec<_> = moves.iter().filter(|it| it.from.is_some()).collect();
    let [moved] = &moves[..] else { panic!("{moves:?}") };
    let [shared] = &moved.prefixes[..] else { panic!("{moved:?}") };
    assert_eq!((shared.prefix.as_str(), shared.addresses), ("203.0.113.0/24", 2));
    assert_eq!(shared.services, ["db", "web"]);
}

#[test]
fn what_would_be_refused_is_not_simulated() {
    let view = picture(CLUSTER, 3);
    let smaller = CLUSTER.replace(
        "[nodes.node3]\naddresses = { lan = \"192.0.2.13\", back = \"198.51.100.13\" }\n",
        "",
    );
    let checked = config::read("cluster.toml", &smaller).unwrap();
    let failure = simulate(&view, &["node1".to_owned()], Some(&checked)).unwrap_err();
    assert!(failure.message.starts_with("that file would be refused"), "{failure:?}");
    assert!(by_config(&view, &checked.config).is_err());
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

/// The same, whose members have all read something of 0.7 already.
fn of_0_7(text: &str) -> View {
    let mut view = picture(text, 3);
    change_state(&mut view, |state| state.more.protocol = PROTOCOL_0_7);
    view
}

fn a_move(node: &str, for_s: Option<u64>) -> Request {
    Request::Move { service: "web".into(), node: node.into(), for_s }
}

#[test]
fn a_move_for_a_while_is_a_visit() {
    let served = Served::new(of_0_7(CLUSTER));
    let moved: ChangeAnswer = served.client().ask(&a_move("node2", Some(7_200))).unwrap();
    let next = moved.next.unwrap();
    assert!(next.starts_with("until ") && next.ends_with("then back to node1"), "{next}");
    let visit = |served: &Served| match served.submitted().last() {
        Some(Change::Visit { visit, .. }) => *visit,
        other => panic!("{other:?}"),
    };
    let first = visit(&served).unwrap();
    assert_eq!((first.node, first.back), (NodeId(2), Some(NodeId(1))));
    // From the next one it goes home, too; a word for good ends it.
    let _: ChangeAnswer = served.client().ask(&a_move("node3", Some(60))).unwrap();
    let Visit { node, until, back, .. } = visit(&served).unwrap();
    assert_eq!((node, back), (NodeId(3), Some(NodeId(1))));
    assert!(until < first.until);
    let _: ChangeAnswer = served.client().ask(&a_move("node1", None)).unwrap();
    assert_eq!(visit(&served), None);
}

#[test]
fn a_service_is_held_where_it_is_for_a_while() {
    let served = Served::new(of_0_7(CLUSTER));
    let held: ChangeAnswer = served.client().ask(&a_move("node1", Some(60))).unwrap();
    assert!(held.next.unwrap().ends_with("then it goes by its rules"));
    let last = served.submitted().last().cloned();
    let Some(Change::Visit { visit: Some(visit), .. }) = last else { panic!("{last:?}") };
    assert_eq!((visit.node, visit.back, visit.once), (NodeId(1), None, false));
}

#[test]
fn who_has_to_be_together_moves_together() {
    let text = CLUSTER.replace("[services.db]\n", "[services.db]\ntogether = [\"web\"]\n");
    let served = Served::new(of_0_7(&text));
    let _: ChangeAnswer = served.client().ask(&a_move("node3", None)).unwrap();
    let last = served.submitted().last().cloned();
    let visit = |it: &Option<Change>| match it {
        Some(Change::Visit { visit: Some(visit), .. }) => Some((visit.node, visit.once)),
        _ => None,
    };
    assert_eq!(visit(&last), Some((NodeId(3), true)), "{last:?}");
}

#[test]
fn where_a_rule_keeps_it_from_it_is_not_sent() {
    let text = CLUSTER.replace("[services.web]\n", "[services.web]\nnever = [\"node3\"]\n");
    let served = Served::new(picture(&text, 3));
    for (request, word) in [
        (a_move("node3", None), "node3 can't have web: `only` or `never`"),
        (a_move("node3", Some(60)), "node3 can't have web"),
        (a_move("node2", Some(1)), "5 s to 30 days"),
        (a_move("node1", None), "on node1 already"),
    ] {
        let failure = served.failure(&request);
        assert!(failure.message.contains(word), "{request:?}: {failure}");
    }
    assert!(served.submitted().is_empty());
}
