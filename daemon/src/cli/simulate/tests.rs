//! What is said of a file after some seeds, and of links that fail. The seeds are the same on every
//! machine, so the text is.

use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use expect_test::{ExpectFile, expect_file};
use stead_sim::check::{Verdict, Why};
use stead_sim::own::{Own, Sum};

use super::super::Cli;
use super::super::look::Look;
use super::verdict::{self, Judged};
use super::{advice, failure, seeds};
use crate::api::message::{GoesOn, LinksAnswer, SimulateAnswer};
use crate::config;

const TWO: &str = r#"
[cluster]
name = "shop"
[links.lan]
[nodes.left]
addresses = { lan = "192.0.2.11" }
[nodes.right]
addresses = { lan = "192.0.2.12" }
[services.web]
addresses = ["192.0.2.100/24"]
program = ["/usr/sbin/nginx", "-g", "daemon off;"]
monitor = ["/usr/bin/curl", "-f", "http://192.0.2.100/"]
"#;

const THREE: &str = r#"
[cluster]
name = "bank"
[links.lan]
[links.back]
[networks.front]
prefix = "192.0.2.0/24"
gateway = true
[nodes.ada]
site = "east"
addresses = { lan = "192.0.2.11", back = "198.51.100.11" }
[nodes.ben]
site = "west"
addresses = { lan = "192.0.2.12", back = "198.51.100.12" }
[nodes.cleo]
site = "office"
addresses = { lan = "192.0.2.13", back = "198.51.100.13" }
[services.db]
addresses = ["192.0.2.101/24"]
importance = 80
never = ["cleo"]
[[services.db.resources]]
name = "disk"
ocf = "heartbeat:Filesystem"
parameters = { device = "/dev/sda", directory = "/srv", fstype = "ext4" }
[services.web]
addresses = ["192.0.2.100/24"]
needs = ["db"]
program = ["/usr/sbin/nginx", "-g", "daemon off;"]
"#;

fn says(text: &str, count: u64, expected: &ExpectFile) {
    let config = config::read("cluster.toml", text).unwrap().config;
    let own = Arc::new(Own::new(&config).unwrap());
    let sum = seeds::all(&own, 0, count - 1, false);
    let file = Path::new("cluster.toml");
    let judged = Judged { file, from: 0, last: count - 1, config: &config, own: &own, sum: &sum };
    expected.assert_eq(&verdict::shown(&judged, Look::plain(100)));
    let json = serde_json::to_value(verdict::of_json(&judged)).unwrap();
    assert_eq!(json["seeds"], count);
    assert_eq!(json["services"].as_array().unwrap().len(), config.services.len());
}

#[test]
fn two_nodes_without_anything_that_breaks_a_tie() {
    says(TWO, 12, &expect_file!["../golden/simulate-two-nodes.txt"]);
}

#[test]
fn three_nodes_and_a_disk_that_nothing_frees() {
    says(THREE, 12, &expect_file!["../golden/simulate-three-nodes.txt"]);
}

#[test]
fn what_could_be_done_follows_from_the_file() {
    let said = |text: &str| {
        let config = config::read("cluster.toml", text).unwrap().config;
        advice::advice(&config, &Sum::default()).join("\n")
    };
    let one_site = THREE.replace("\"west\"", "\"east\"");
    let lines = said(&one_site);
    assert!(lines.contains("Without site east 1 of 3 voters are left"), "{lines}");
    let alone = said(&THREE.replace("never = [\"cleo\"]", "only = [\"ada\"]"));
    assert!(alone.contains("each of these hangs: db"), "{alone}");
    let server = TWO
        .replace("[links.lan]", "[quorum]\nchain = [\"majority\", \"quorum-server\"]\n[links.lan]");
    assert!(said(TWO).contains("nothing that breaks a tie"));
    assert!(!said(&server).contains("nothing that breaks a tie"));
    let free = said(&THREE.replace("site =", "watchdog = true\nsite ="));
    assert!(!free.contains("waits for it"), "{free}");
}

#[test]
fn what_a_judge_saw_and_what_was_excused_are_told() {
    let config = config::read("cluster.toml", TWO).unwrap().config;
    let own = Own::new(&config).unwrap();
    let mut sum = Sum { seeds: 3, ..Sum::default() };
    sum.excused.insert(Why::Paused, (2, 1_200));
    sum.excused.insert(Why::ArmedLate, (1, 0));
    let file = Path::new("cluster.toml");
    let text = |sum: &Sum| {
        let judged = Judged { file, from: 5, last: 7, config: &config, own: &own, sum };
        verdict::shown(&judged, Look::plain(100))
    };
    let good = text(&sum);
    assert!(good.contains("but for what is named below"), "{good}");
    assert!(
        good.contains("Two were there 2 times, for at most 2 ms, while one had been"),
        "{good}"
    );
    assert!(good.contains("Two were there once, for less than 1 ms"), "{good}");
    let what = "192.0.2.100 is open on left and right".to_owned();
    sum.failed.insert(6, Verdict { judge: "I3", what, at: 1_500_000 });
    let bad = text(&sum);
    assert!(bad.contains("seed 6, after 1.5 s something was in two places: 192.0.2.100"), "{bad}");
    assert!(bad.contains("stead simulate cluster.toml --replay 6"), "{bad}");
}

#[test]
fn links_that_fail_are_told() {
    let links = |left: &[&str], goes_on| LinksAnswer {
        fail: vec!["lan".to_owned()],
        left: left.iter().map(|it| (*it).to_owned()).collect(),
        goes_on,
        unreached: vec!["web".to_owned()],
    };
    let mut text = String::new();
    let two = vec!["node1".to_owned(), "node2".to_owned()];
    for (voters, links) in [
        (3, links(&["back"], GoesOn::All)),
        (2, links(&[], GoesOn::OneOf(two))),
        (1, links(&[], GoesOn::Node("node1".to_owned()))),
        (3, links(&[], GoesOn::Nobody)),
    ] {
        let answer = SimulateAnswer {
            fails: Vec::new(),
            links: Some(links),
            voters,
            voters_left: voters,
            moves: Vec::new(),
            waits: Vec::new(),
            expected: Vec::new(),
        };
        text.push_str(&failure::shown(&answer, Look::plain(100)));
        text.push('\n');
    }
    expect_file!["../golden/simulate-links.txt"].assert_eq(&text);
}

#[test]
fn one_of_the_two_forms_is_asked_for() {
    let parse = |words: &[&str]| {
        let all = ["stead", "simulate"].iter().chain(words);
        Cli::try_parse_from(all).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(parse(&["--fail", "node1", "--with", "x.toml"]), Ok(()));
    assert_eq!(parse(&["x.toml", "--seeds", "5", "--from", "7", "--json"]), Ok(()));
    assert_eq!(parse(&["--replay", "5"]), Ok(()));
    for wrong in [
        &["x.toml"][..],
        &["x.toml", "--fail", "node1"],
        &["--fail", "node1", "--seeds", "3"],
        &["x.toml", "--seeds", "3", "--replay", "1"],
        &["x.toml", "--seeds", "3", "--with", "y.toml"],
        &["x.toml", "--replay", "3", "--from", "1"],
        &["x.toml", "--seeds", "0"],
    ] {
        let error = parse(wrong).unwrap_err();
        assert!(error.contains("--help"), "{wrong:?}: {error}");
    }
    assert!(parse(&["x.toml"]).unwrap_err().contains("[FILE] --seeds <N>"));
}
