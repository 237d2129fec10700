//! Rules of placement that can't be, or can't be followed at once, and what the operator is told.

use expect_test::{ExpectFile, expect_file};

use super::super::read;
use super::fencing::file;
use super::report;

const RACKS: [&str; 3] = [
    "site = \"east\"\nlabels = { rack = \"r1\" }\ncapacity = { memory = 16, cpu = 8 }",
    "site = \"west\"\nlabels = { rack = \"r2\" }\ncapacity = { memory = 64, cpu = 2 }",
    "labels = { rack = \"r2\" }\ncapacity = { memory = 32, cpu = 4 }",
];

/// A service with such a name and keys.
fn service(number: u8, name: &str, keys: &str) -> String {
    format!("\n[services.{name}]\naddresses = [\"10.0.0.{number}/24\"]\n{keys}\n")
}

/// What is said of the good file with keys of its nodes, and of its service `web` and others.
fn check(nodes: [&str; 3], web: &str, others: &[(&str, &str)], expected: &ExpectFile) {
    let others = (101..).zip(others).map(|(number, (name, keys))| service(number, name, keys));
    let text = report(&file(nodes, &format!("{web}\n{}", others.collect::<String>())));
    expected.assert_eq(text.split_once("changed\n").map_or(text.as_str(), |(_, rest)| rest));
}

#[test]
fn values_that_are_none() {
    let nodes = [
        "labels = { site = \"east\", Rack = \"r1\", disk = \"a b\", slot = 3 }",
        "labels = [\"rack=r1\"]\ncapacity = { memory = \"64\", cpu = -1, Net = 1 }",
        "capacity = { memory = 1_000_000_000_001 }",
    ];
    let web = "only = []\nnever = [\"rack=\", \"=r1\", 5]\nprefer = [\"rack=r1=r2\"]\n\
               uses = 8\ntogether = \"db\"\napart = { db = 0, cache = \"always\", \"\" = 101 }";
    let db = "apart-by = \"rack\"\nuses = { memory = 1.5 }\ntogether = [1]";
    check(nodes, web, &[("db", db)], &expect_file!["golden/rules-that-are-none.txt"]);
}

#[test]
fn nodes_and_labels_that_are_not_there() {
    let web = "only = [\"node4\", \"rak=r1\", \"rack=r3\", \"mars\"]\n\
               never = [\"site=south\", \"disk=ssd\", \"r1\", \"east\"]\n\
               prefer = [\"site=east\", \"rack=r1\", \"site = east\"]";
    let db = "apart = [\"web\"]\napart-by = \"rak\"\nnever = [\"node1\", \"node1\"]";
    let mail = "apart = [\"web\"]\napart-by = \"colour\"";
    let others = [("db", db), ("mail", mail)];
    check(RACKS, web, &others, &expect_file!["golden/places-that-are-not-there.txt"]);
    let web = "only = [\"disk=ssd\"]\nprefer = [\"site=east\"]";
    check([""; 3], web, &[], &expect_file!["golden/no-labels-at-all.txt"]);
}

#[test]
fn services_that_are_not_there() {
    let web = "together = [\"cahce\", \"web\", \"mars\"]\napart = { web = 30 }";
    let cache = "apart = [\"db\", \"db\"]\ntogether = { mars = 5 }";
    let others = [("cache", cache), ("db", "")];
    check(RACKS, web, &others, &expect_file!["golden/services-that-are-not-there.txt"]);
    check(RACKS, "together = [\"db\"]", &[], &expect_file!["golden/no-other-service.txt"]);
}

#[test]
fn quantities_that_are_not_there() {
    let nodes = ["capacity = { memory = 16 }", "", ""];
    let web = "uses = { memory = 8, memroy = 8, gpu = 1 }";
    check(nodes, web, &[], &expect_file!["golden/quantities-that-are-not-there.txt"]);
    let nodes = [RACKS[0], RACKS[1], "capacity = { memory = 1 }"];
    check(nodes, "uses = { cpu = 1 }", &[], &expect_file!["golden/one-node-says-nothing.txt"]);
}

#[test]
fn a_service_without_a_node() {
    let a = "only = [\"node1\", \"site=west\"]\nnever = [\"node1\", \"node2\"]";
    let all = "never = [\"rack=r1\", \"rack=r2\"]";
    let others = [("a", a)];
    check(RACKS, all, &others, &expect_file!["golden/no-node-is-left.txt"]);
}

#[test]
fn copies_where_the_service_may_not_be() {
    let web = r#"copies = ["node1", "node2"]
only = ["node3"]
[[services.web.resources]]
name = "db"
ocf = "heartbeat:pgsql"
safety = "lease"
"#;
    check(RACKS, web, &[], &expect_file!["golden/no-copy-is-left.txt"]);
}

#[test]
fn a_service_that_is_too_large() {
    let a = "only = [\"node1\", \"node3\"]\nuses = { memory = 48 }";
    let b = "uses = { memory = 48, cpu = 4 }";
    let others = [("a", a), ("b", b)];
    let web = "uses = { memory = 65 }\nprefer = [\"node1\"]";
    check(RACKS, web, &others, &expect_file!["golden/too-large.txt"]);
}

#[test]
fn services_that_go_together_and_have_no_node() {
    let web = "only = [\"node1\"]\nuses = { memory = 1 }\ntogether = [\"db\"]";
    let db = "never = [\"rack=r1\"]\nprefer = [\"node2\"]";
    let more = "together = [\"web\"]\nuses = { memory = 1 }";
    let others = [("db", db), ("more", more)];
    check(RACKS, web, &others, &expect_file!["golden/no-node-for-both.txt"]);
}

#[test]
fn services_that_go_together_and_have_no_room() {
    let web = "together = [\"db\", \"mail\"]\nuses = { memory = 8 }\nnever = [\"node2\"]";
    let others = [("db", "uses = { memory = 20 }"), ("mail", "uses = { memory = 6, cpu = 1 }")];
    check(RACKS, web, &others, &expect_file!["golden/no-room-for-all.txt"]);
}

#[test]
fn services_that_go_together_and_are_apart() {
    let others =
        [("b", "together = { c = \"must\" }"), ("c", "apart = [\"web\"]\napart-by = \"rack\"")];
    check(RACKS, "together = [\"b\"]", &others, &expect_file!["golden/together-and-apart.txt"]);
    let web = "together = [\"db\"]\napart = [\"db\"]";
    check(RACKS, web, &[("db", "")], &expect_file!["golden/together-and-apart-at-once.txt"]);
}

#[test]
fn more_services_apart_than_places() {
    let others = [
        ("b", "apart = [\"c\"]\napart-by = \"rack\""),
        ("c", "together = [\"d\"]"),
        ("d", "apart = [\"web\"]\napart-by = \"rack\""),
    ];
    let web = "apart = [\"b\"]\napart-by = \"rack\"";
    check(RACKS, web, &others, &expect_file!["golden/fewer-racks-than-services.txt"]);
    let others = [
        ("b", "only = [\"node1\", \"node2\"]\napart = [\"c\", \"d\"]"),
        ("c", "only = [\"node1\", \"node2\"]\napart = { d = \"must\" }"),
        ("d", ""),
    ];
    let web = "never = [\"rack=r1\", \"node3\"]\napart = [\"b\", \"c\", \"d\"]";
    check(RACKS, web, &others, &expect_file!["golden/fewer-nodes-than-services.txt"]);
    let others = [("b", "apart = [\"c\"]"), ("c", "only = [\"rack=r2\"]")];
    let web = "apart = [\"b\", \"c\"]";
    let others = (101..).zip(others).map(|(number, (name, keys))| service(number, name, keys));
    let text = file(RACKS, &format!("{web}\n{}", others.collect::<String>()));
    assert!(read("cluster.toml", &text).is_ok(), "there are just enough nodes");
}

#[test]
fn times_that_are_none() {
    let web = "failback = \"nihgt\"\n\
               [services.web.during.night]\nonly = [\"node9\"]\n\
               [services.web.during.noon]\nprefer = [\"node1\"]\n\
               [services.web.during.lunch]\n\
               [times.night]\nfrom = \"2:00\"\nto = \"24:01\"\nzone = \"Europe/Belrin\"\n\
               [times.lunch]\nfrom = \"12:00\"\nto = \"12:00\"\ndays = [\"monday\", 5]\n\
               [times.never]\ndays = []\nfrom = \"24:00\"\nzone = \"Mars/Olympus\"\n\
               [times.odd]\nfrom = 3\nuntil = \"12:60\"\n";
    check(RACKS, web, &[], &expect_file!["golden/times-that-are-none.txt"]);
    let web = "failback = 1\nnever = [\"node1\", \"node2\"]\n\
               [services.web.during.night]\nonly = [\"node1\"]\n[times.night]\nto = \"06:00\"\n";
    check(RACKS, web, &[], &expect_file!["golden/a-time-that-leaves-nothing.txt"]);
    let web = web.replace("failback = 1\n", "");
    check(RACKS, &web, &[], &expect_file!["golden/a-time-that-leaves-no-node.txt"]);
}
