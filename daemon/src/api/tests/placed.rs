//! What would become of services, asked on paper.

use super::{CLUSTER, picture};
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
fn a_service_is_explained_and_one_that_is_none_is_named() {
    let view = picture(CLUSTER, 3);
    let answer = explain(&view, "web").unwrap();
    assert_eq!((answer.on.as_deref(), answer.nodes.len()), (Some("node1"), 3));
    assert!(answer.nodes[1].why.contains("by rules"), "{answer:?}");
    let failure = explain(&view, "wbe").unwrap_err();
    assert!(failure.next.contains("db, web"), "{failure:?}");
}
