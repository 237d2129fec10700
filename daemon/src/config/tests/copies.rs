//! Services with copies.

use super::{GOOD, report};
use crate::config::{differences, read, render};

const PG: &str = r#"copies = ["node1", "node2"]

[[services.web.resources]]
name = "db"
ocf = "heartbeat:pgsql"
safety = "lease"

[[services.web.resources]]
name = "mine"
ocf = "shop:thing"
safety = "lease"
promotable = true
"#;

const BOTH: &str = "[\"node1\", \"node2\"]";

fn with(piece: &str, replacement: &str) -> String {
    assert!(PG.contains(piece), "there is no `{piece}`");
    format!("{GOOD}{}", PG.replacen(piece, replacement, 1))
}

/// The report, in one line.
fn refused(text: &str) -> String {
    let report = report(text);
    assert!(!report.starts_with("accepted"), "{report}");
    report.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_read_is_written_and_read_again() {
    for copies in [BOTH, "\"all\""] {
        let config = read("x", &with(BOTH, copies)).expect("it is good").config;
        let found = config.copies(&"web".into()).expect("it has copies");
        assert_eq!(found.promotable, ["db".to_owned(), "mine".to_owned()].into());
        assert_eq!((found.is_on("node1"), found.is_on("node3")), (true, copies != BOTH));
        let again = read("x", &render(&config)).expect("it is good").config;
        assert_eq!(again, config);
    }
    let old = read("x", &with(BOTH, BOTH)).expect("it is good").config;
    let new = read("x", &with("\"node2\"", "\"node3\"")).expect("it is good").config;
    let told: Vec<_> = differences(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["service web: its copies changed; they restart"]);
}

#[test]
fn a_label_means_the_nodes_that_have_it() {
    let text = with(BOTH, "[\"site=east\", \"disk=ssd\", \"node1\"]");
    let text = text.replace("[nodes.node1]\n", "[nodes.node1]\nlabels = { disk = \"ssd\" }\n");
    let text = text.replace("[nodes.node3]\n", "[nodes.node3]\nsite = \"east\"\n");
    let refused = refused(&text);
    assert!(refused.contains("has two copies on node1"), "{refused}");
    let config = read("x", &text.replace(", \"node1\"]", "]")).expect("it is good").config;
    let copies = config.copies(&"web".into()).expect("it has copies");
    let on = |name| copies.is_on(name);
    assert_eq!((on("node1"), on("node2"), on("node3")), (true, false, true));
}

#[test]
fn copies_on_no_node_or_twice_or_once() {
    for (copies, words) in [
        ("[\"node1\", \"node9\"]", "has a copy on `node9`, and there is no such node"),
        ("[\"node1\", \"node1\"]", "has two copies on node1"),
        ("[\"node1\"]", "has 1 copy"),
        ("[\"node1\", \"rack=r9\"]", "and there is no node with that label"),
        ("\"some\"", "is the text `some`"),
    ] {
        let report = refused(&with(BOTH, copies));
        assert!(report.contains(words), "{copies}: {report}");
    }
}

#[test]
fn copies_of_what_cant_be_promoted() {
    let nothing = format!("{GOOD}copies = \"all\"\nprogram = [\"/bin/x\"]\n");
    let report = refused(&nothing);
    assert!(report.contains("nothing of it can be promoted"), "{report}");
    let program = with("ocf = \"shop:thing\"\nsafety = \"lease\"", "program = [\"/bin/x\"]");
    let report = refused(&program);
    assert!(report.contains("is no OCF agent, and can't be promoted"), "{report}");
}
