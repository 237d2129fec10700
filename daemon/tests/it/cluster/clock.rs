//! A wall clock that is set back by a year.
//!
//! The kernel's own can't be set for one node alone, so a library (libfaketime) stands between the
//! node's processes and the C library and shows them another time of day; all other clocks are the
//! kernel's.

use std::path::Path;

use stead::demo::fleet::{Fleet, Part};

use super::{
    Must, WEB, assert_taken_over, assert_untouched, client, mark, three, wait_for, wait_moved, web,
    whole,
};

const LIBRARY: &str = "faketime/libfaketime.so.1";
const NODES: [&str; 3] = ["node1", "node2", "node3"];

fn library() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").flatten();
    let found = folders.map(|folder| folder.path().join(LIBRARY)).find(|path| path.exists());
    found.expect("the package libfaketime must be installed").display().to_string()
}

/// From here on the node's clock is so much off.
fn set(folder: &Path, node: &str, offset: &str) {
    // at once: a half-written file would be another time
    let (path, new) = (folder.join(node), folder.join("new"));
    std::fs::write(&new, offset).expect("written");
    std::fs::rename(&new, &path).expect("renamed");
}

/// The year that a node shows in its status.
fn year(fleet: &Fleet, node: &str) -> i32 {
    let status = fleet.node(node).must().status().must();
    let taken = status["taken"].as_str().unwrap_or_default();
    taken.get(..4).and_then(|year| year.parse().ok()).unwrap_or_default()
}

#[test]
fn a_clock_set_back_by_a_year_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut plan = three("clock").service(web("web", WEB, &["node2"]));
    for node in &mut plan.nodes {
        set(folder.path(), &node.name, "+0");
        let file = folder.path().join(&node.name).display().to_string();
        node.variables = [
            ("LD_PRELOAD", library()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", file),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    }
    let fleet = Fleet::start(plan).must();
    let client = client(&fleet, WEB);
    let now = year(&fleet, "node2");

    // the holder's, the coordinator's, and at last everybody's
    let began = mark();
    for node in ["node2", "node1", "node3"] {
        set(folder.path(), node, "-366d");
        wait_for(&fleet, "the clock is set", || Ok(year(&fleet, node) < now));
        whole(&fleet);
    }
    // forward again, and two years more
    set(folder.path(), "node1", "+366d");
    wait_for(&fleet, "the clock is set", || Ok(year(&fleet, "node1") > now));
    // daemons that start in another year
    for node in NODES {
        fleet.kill(node, Part::Daemon).must();
        wait_for(&fleet, "a new daemon", || Ok(fleet.restarts(node, Part::Daemon) == 1));
        whole(&fleet);
    }
    assert_untouched(client.seen_since(began));
    assert_eq!(client.holders(), ["node2"]);

    // and failures are handled as ever
    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    fleet.power_on("node2").must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}
