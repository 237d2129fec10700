//! What is told of a file with which nothing is wrong.

use expect_test::{Expect, expect};

use super::drawn;
use super::fencing::file;
use crate::config::{Problem, lint};

const NODES: [&str; 3] = [
    "labels = { rack = \"r1\", disk = \"ssd\" }\ncapacity = { memory = 16 }",
    "labels = { rack = \"r2\" }\ncapacity = { memory = 16 }",
    "labels = { rack = \"r2\" }\ncapacity = { memory = 4 }",
];

fn service(name: &str, number: u8, rules: &str) -> String {
    format!("\n[services.{name}]\naddresses = [\"10.0.0.{number}/24\"]\n{rules}\n")
}

fn check(text: &str, expected: &Expect) {
    let linted = lint("cluster.toml", text, None).expect("usable");
    let line = |it: &Problem| {
        // The same is said of each rule that changes nothing.
        let help = match it.help.strip_prefix("without it all would start where it does, ") {
            Some(help) => help.split_once("is away").expect("it ends so").1.replace("; ", "\n  "),
            None => format!("\n  {}", it.help.replace(":  ", ":\n  ")),
        };
        format!("{}: {}{help}\n", it.line, it.message)
    };
    let advice: String = linted.advice.iter().map(line).collect();
    assert_eq!(linted.left_out, [""; 0]);
    expected.assert_eq(&advice);
}

#[test]
fn what_changes_nothing_and_what_is_alone_is_told_in_its_line() {
    let rules = "only = [\"rack=r1\", \"node2\", \"node3\"]\nnever = []";
    let services = service("api", 101, "only = [\"rack=r1\"]\nimportance = 80")
        + &service("db", 102, "together = [\"cache\"]\nuses = { memory = 6 }")
        + &service("cache", 103, "together = [\"db\"]\napart = [\"api\"]\napart-by = \"rack\"")
        + &service("big", 104, "uses = { memory = 12 }");
    check(
        &file(NODES, &(rules.to_owned() + &services)),
        &expect![[r#"
        8: no rule names the label `disk`
          it has no effect: remove it, or keep it for  stead simulate --fail disk=ssd
        22: `only` of service web changes nothing, even if any one node fails
        26: service api can run on node1 only: `only` and `never` leave it no other
          let it run elsewhere; if it is meant so, say it:
          [[expect]]  fail = "node1"  then = "api nowhere"
        27: `importance` of service api changes nothing, even if any one node fails
          it still says what is started first
        29: service db has no place if node2 fails (cache is elsewhere, and they go together)
          make room, or let it wait for less; if it is meant so, say it:
          [[expect]]  fail = "node2"  then = "db nowhere"
        36: `together` of service cache with db changes nothing, even if any one node fails
        37: `apart` of service cache from api changes nothing, even if any one node fails
        38: `apart-by` of service cache changes nothing, even if any one node fails
        40: service big has no place if node1 fails (memory: 12 needed, 10 left)
          make room, or let it wait for less; if it is meant so, say it:
          [[expect]]  fail = "node1"  then = "big nowhere"
    "#]],
    );
}

#[test]
fn what_is_meant_so_is_not_told() {
    let text = file(
        NODES,
        "only = [\"node1\"]\nuses = { memory = 0 }\n\n\
         [[expect]]\nfail = [\"rack=r1\"]\nthen = \"web nowhere\"\n",
    );
    check(
        &text,
        &expect![[r#"
        8: no rule names the label `disk`
          it has no effect: remove it, or keep it for  stead simulate --fail disk=ssd
        23: no service uses any of `memory`
          0 is as good as nothing: say how much it is, or remove it
    "#]],
    );
    check(&file([""; 3], ""), &expect![""]);
}

#[test]
fn advice_is_drawn_as_advice() {
    let text = file(["labels = { disk = \"ssd\" }", "", ""], "");
    let linted = lint("cluster.toml", &text, None).expect("usable");
    expect![[r#"
        Advice:
          > no rule names the label `disk`
           ,-[cluster.toml:8:12]
         7 | [nodes.node1]
         8 | labels = { disk = "ssd" }
           :            ^^^^
         9 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
           `----
          help: it has no effect: remove it, or keep it for  stead simulate --fail disk=ssd
    "#]]
    .assert_eq(&drawn(&linted.advice[0]));
    let json = serde_json::to_value(&linted.advice[0]).expect("plain data");
    assert_eq!(json["severity"], "advice");
}

#[test]
fn more_than_anybody_reads_is_counted() {
    let all =
        (0..40).map(|number| service(&format!("s{number:02}"), 101 + number, "only = [\"node1\"]"));
    let linted = lint("cluster.toml", &file([""; 3], &all.collect::<String>()), None);
    let linted = linted.expect("usable");
    assert_eq!(linted.advice.len(), 30);
    expect!["10 more like these are not listed"].assert_eq(&linted.left_out.join("\n"));
}

/// What would take minutes takes seconds, and says what it did not look at.
#[test]
fn a_large_file_is_not_gone_through_to_the_end() {
    let mut text = "[cluster]\nname = \"large\"\n[links.lan]\n".to_owned();
    for node in 0..200 {
        let satellite = if node < 15 { "" } else { "satellite = true\n" };
        text += &format!(
            "[nodes.n{node}]\n{satellite}addresses = {{ lan = \"10.1.0.{}\" }}\n",
            node + 1
        );
    }
    for service in 0..600 {
        text += &format!(
            "[services.s{service}]\naddresses = [\"10.2.{}.{}/16\"]\nprefer = [\"n{}\"]\n",
            service / 200,
            service % 200 + 1,
            service % 200
        );
    }
    let linted = lint("cluster.toml", &text, None).expect("usable");
    expect![[r#"
        600 rules were not tried, it would take too long
        the failure of each node was not planned, it would take too long:
          what has no place then is not told"#]]
    .assert_eq(&linted.left_out.join("\n").replace(": ", ":\n  "));
}

#[test]
fn what_holds_for_a_time_or_says_where_copies_are_has_an_effect() {
    let web = "only = [\"node1\", \"node2\"]\nuses = { memory = 1 }\n\
               [services.web.during.night]\nprefer = [\"disk=ssd\"]\n\n\
               [times.night]\nto = \"06:00\"\n";
    let pg = "copies = [\"rack=r2\"]\n[[services.pg.resources]]\nname = \"pg\"\n\
              ocf = \"heartbeat:pgsql\"\nsafety = \"lease\"";
    let text = file(NODES, &(web.to_owned() + &service("pg", 101, pg)));
    let linted = lint("cluster.toml", &text, None).expect("usable");
    let told: Vec<&str> = linted.advice.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(told, [""; 0], "neither labels nor what else may count at that time");
    let [left_out] = linted.left_out.as_slice() else { panic!("{:?}", linted.left_out) };
    assert!(left_out.starts_with("the rules of web were not tried"), "{left_out}");
}
