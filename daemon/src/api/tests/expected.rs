//! What is expected of failures, asked on paper: node1 runs `web`, node2 `db`.

use expect_test::{Expect, expect};
use stead_core::id::NodeId;

use super::{CLUSTER, picture};
use crate::api::expected::by_file;
use crate::api::message::{Comes, ExpectAnswer};
use crate::api::placed::simulate;
use crate::config;
use crate::driver::view::View;

fn judged(view: &View, text: &str) -> Vec<ExpectAnswer> {
    by_file(view, &config::read("cluster.toml", text).unwrap()).unwrap()
}

fn told(all: &[ExpectAnswer]) -> String {
    let line = |it: &ExpectAnswer| {
        let mut text = format!("{:?} {}", it.comes, it.sentence());
        // So that it fits here.
        for end in [", but ", ": if", ": ", "; "] {
            let (mark, rest) = end.split_at(end.find(' ').unwrap());
            text = text.replace(end, &format!("{mark}\n {rest}"));
        }
        text + "\n"
    };
    all.iter().map(line).collect()
}

/// In a cluster by that file that is about to be given these expectations.
fn check(cluster: &str, expects: &str, expected: &Expect) {
    let text = format!("{cluster}{expects}");
    expected.assert_eq(&told(&judged(&picture(cluster, 3), &text)));
}

#[test]
fn what_would_come_is_met_and_what_would_not_is_told_with_its_reason() {
    check(
        CLUSTER,
        "[[expect]]\nfail = \"node1\"\nthen = [\"web on node2\", \"db on node3\"]\n\
         [[expect]]\nfail = \"site=west\"\nthen = [\"db on node1\", \"web nowhere\"]\n",
        &expect![[r#"
            Met line 23:
              if node1 fails, web on node2
            Unmet line 23:
              if node1 fails, not db on node3,
              but db on node2:
              nothing speaks against where it is
            Unmet line 26:
              if site=west fails, not db on node1,
              but db on node3:
              better than node1:
              it is less full
            Unmet line 26:
              if site=west fails, not web nowhere,
              but web on node1:
              nothing speaks against where it is
        "#]],
    );
    // By rules that the same file brings.
    let only = CLUSTER.replace("prefer = [\"node1\", \"node2\"]", "only = [\"node1\"]");
    let text = format!(
        "{only}[[expect]]\nfail = \"node1\"\nthen = \"web runs\"\n\
         [[expect]]\nfail = \"site=east\"\nthen = \"web on node2\"\n"
    );
    expect![[r#"
        Unmet line 23:
          if node1 fails, not web runs,
          but web nowhere:
          no node may have it;
          not on node2:
          `only` or `never` keeps it from there;
          not on node3:
          `only` or `never` keeps it from there
        Unmet line 26:
          if site=east fails, not web on node2,
          but web nowhere:
          no node may have it;
          not on node2:
          `only` or `never` keeps it from there
    "#]]
    .assert_eq(&told(&judged(&picture(CLUSTER, 3), &text)));
}

#[test]
fn a_time_is_held_against_the_timers() {
    check(
        CLUSTER,
        "[[expect]]\nfail = \"node2\"\nthen = \"db runs within 2 s\"\n\
         [[expect]]\nfail = \"node2\"\nthen = \"db runs within 300 ms\"\n\
         [[expect]]\nfail = \"node1\"\nthen = [\"web runs within 2 s\", \"db runs within 1 ms\"]\n",
        &expect![[r#"
            Met line 23:
              if node2 fails, db runs within 2 s
            Unmet line 26:
              if node2 fails, not db runs within 300 ms,
              but db runs within 394 ms:
              by then others act (D, see `stead timers`) and have agreed on it
            Met line 29:
              if node1 fails, web runs within 2 s:
              that is for its addresses:
              the start of its program is not counted
            Met line 29:
              if node1 fails, db runs within 1 ms
        "#]],
    );
}

#[test]
fn what_needs_another_or_a_majority_or_a_proof_does_not_run() {
    let needs = CLUSTER
        .replace("prefer = [\"node1\", \"node2\"]", "needs = [\"db\"]")
        .replace("[services.web]", "only = [\"node2\"]\n[services.web]");
    check(
        &needs,
        "[[expect]]\nfail = \"node2\"\nthen = \"web runs\"\n",
        &expect![[r#"
        Unmet line 24:
          if node2 fails, not web runs,
          but web nowhere:
          it needs db, which is nowhere
    "#]],
    );
    check(
        CLUSTER,
        "[[expect]]\nfail = [\"node1\", \"node2\"]\nthen = [\"web runs\", \"db nowhere\"]\n",
        &expect![[r#"
            Unmet line 23:
              if node1, node2 fail, not web runs,
              but web nowhere:
              no majority of the voters is left:
              everything stops
            Met line 23:
              if node1, node2 fail, db nowhere
        "#]],
    );
    let disk = "[[services.db.resources]]\nname = \"disk\"\nocf = \"heartbeat:Filesystem\"\n\
                parameters = { device = \"/dev/sda\", directory = \"/srv\", fstype = \"ext4\" }\n";
    let disk = CLUSTER.replace("[services.web]\n", &format!("{disk}[services.web]\n"));
    check(
        &disk,
        "[[expect]]\nfail = \"node2\"\nthen = \"db runs\"\n",
        &expect![[r#"
        Unmet line 27:
          if node2 fails, not db runs,
          but db nowhere:
          it waits for node2:
          nothing can prove that it is off
    "#]],
    );
}

#[test]
fn what_is_down_already_is_a_reason_not_to_judge() {
    let text = format!("{CLUSTER}[[expect]]\nfail = \"node1\"\nthen = \"web on node2\"\n");
    let mut view = picture(CLUSTER, 3);
    let mut state = (*view.state).clone();
    state.standby.insert(NodeId(2));
    view.state = state.into();
    let all = judged(&view, &text);
    assert_eq!(all[0].comes, Comes::Unclear);
    expect![[r#"
        Unclear line 23:
          if node1 fails, now not web on node2,
          but web on node3:
          node2 is on standby, stopped, or in maintenance
    "#]]
    .assert_eq(&told(&all));
    // What comes all the same is met.
    let runs = text.replace("web on node2", "web runs");
    assert_eq!(judged(&view, &runs)[0].comes, Comes::Met);
    // Who has not joined yet may change it.
    expect![[r#"
        Unclear line 23:
          if node1 fails, now not web on node2,
          but web nowhere:
          node2 has not joined yet
    "#]]
    .assert_eq(&told(&judged(&picture(CLUSTER, 1), &text)));
}

#[test]
fn a_simulation_says_what_is_expected_of_just_that_failure() {
    let text = format!(
        "{CLUSTER}[[expect]]\nfail = \"site=east\"\nthen = \"web on node3\"\n\
         [[expect]]\nfail = \"node2\"\nthen = \"db runs\"\n"
    );
    let view = picture(&text, 3);
    let answer = simulate(&view, &["node1".to_owned()], None).unwrap();
    expect![[r#"
        Unmet if site=east fails, not web on node3,
          but web on node2:
          better than node3:
          by rules it would rather be there
    "#]]
    .assert_eq(&told(&answer.expected));
    let checked = config::read("cluster.toml", &text).unwrap();
    let answer = simulate(&picture(CLUSTER, 3), &["node2".to_owned()], Some(&checked)).unwrap();
    expect![[r#"
        Met line 26:
          if node2 fails, db runs
    "#]]
    .assert_eq(&told(&answer.expected));
}
