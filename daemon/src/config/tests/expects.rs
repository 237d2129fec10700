//! `[[expect]]`: what can stand there, what can't, and what is told of changes.

use expect_test::{Expect, expect};
use stead_core::state::config::{Expectation, Expected, Fate, Place};
use stead_core::state::{Change, PROTOCOL_0_7};
use stead_core::time::Span;

use super::fencing::file;
use super::report;
use crate::config::{differences, read, render};

const NODES: [&str; 3] = ["site = \"east\"", "site = \"west\"", "site = \"west\""];
const DB: &str = "[services.db]\naddresses = [\"10.0.0.101/24\"]\n";

fn with(expects: &str) -> String {
    file(NODES, &format!("{DB}{expects}"))
}

#[test]
fn all_that_can_be_said_is_read_and_written_again() {
    let text = with(
        "[[expect]]\nfail = \"node1\"\nthen = \"db on node2 within 1.5 s\"\n\n\
         [[expect]]\nfail = [\"site = east\", \"node3\"]\n\
         then = [\"web runs\",\n  \"db  on  site = west within 2min\"]\n\n\
         [[expect]]\nfail = [\"node3\"]\nthen = [\"web nowhere\"]\n",
    );
    let checked = read("cluster.toml", &text).expect("usable");
    let first = text.lines().position(|line| line.starts_with("then")).expect("there") + 1;
    assert_eq!(checked.expect_lines, [first, first + 4, first + 5, first + 9]);
    let config = checked.config;
    let expects = &config.later.fencing.rules.expects;
    let within = Some(Span::from_millis(1_500));
    let fate = Fate::On(Place::of("node2"));
    let then = vec![Expected { service: "db".into(), fate, within }];
    assert_eq!(expects[0], Expectation { fail: vec![Place::of("node1")], then });
    assert_eq!(expects[1].fail, [Place::of("site=east"), Place::of("node3")]);
    assert_eq!(expects[2].then[0].fate, Fate::Nowhere);
    let rendered = render(&config);
    assert_eq!(read("again", &rendered).expect("it is read").config, config);
    expect![[r#"
        [[expect]]
        fail = "node1"
        then = "db on node2 within 1500ms"

        [[expect]]
        fail = ["site=east", "node3"]
        then = ["web runs", "db on site=west within 2min"]

        [[expect]]
        fail = "node3"
        then = "web nowhere"
    "#]]
    .assert_eq(&rendered[rendered.find("[[expect]]").expect("it is there")..]);
    assert_eq!(Change::Configure { base: 1, config }.protocol(), PROTOCOL_0_7);
}

#[test]
fn what_changes_is_told() {
    let one = "[[expect]]\nfail = \"node1\"\nthen = \"db on node2 within 2s\"\n";
    let other = "[[expect]]\nfail = \"site=west\"\nthen = [\"db runs\", \"web nowhere\"]\n";
    let config = |text: &str| read("cluster.toml", &with(text)).expect("usable").config;
    let told = |old: &str, new: &str| -> String {
        let all = differences(&config(old), &config(new));
        all.iter().map(|it| format!("{it}\n")).collect()
    };
    expect![[r#"
        expected if node1 fails: db on node2 within 2 s: removed
        expected if site=west fails: db runs, web nowhere: added
    "#]]
    .assert_eq(&told(one, other));
    expect![[r#"
        expectations: in another order, or another number of times
    "#]]
    .assert_eq(&told(&format!("{one}{other}"), &format!("{other}{one}")));
    assert_eq!(told(one, one), "");
}

fn check(expects: &str, expected: &Expect) {
    expected.assert_eq(&report(&with(expects)));
}

#[test]
fn what_is_not_there_is_named_with_what_was_meant() {
    check(
        "[[expect]]\nfail = [\"nod1\", \"site=north\"]\n\
         then = [\"bd runs\", \"db on node9\", \"web on sit=west\"]\n",
        &expect![[r#"
            Error:
              x cluster.toml can't be used: 5 problems; nothing was changed

            Error:
              x an expectation has `nod1` fail, and there is no such node
                ,-[cluster.toml:22:9]
             21 | [[expect]]
             22 | fail = ["nod1", "site=north"]
                :         ^^^^^^
             23 | then = ["bd runs", "db on node9", "web on sit=west"]
                `----
              help: did you mean `node1`?

            Error:
              x an expectation has `site=north` fail, and no node has that value of `site`
                ,-[cluster.toml:22:17]
             21 | [[expect]]
             22 | fail = ["nod1", "site=north"]
                :                 ^^^^^^^^^^^^
             23 | then = ["bd runs", "db on node9", "web on sit=west"]
                `----
              help: what nodes have there: east, west

            Error:
              x an expectation is about `bd`, and there is no such service
                ,-[cluster.toml:23:9]
             22 | fail = ["nod1", "site=north"]
             23 | then = ["bd runs", "db on node9", "web on sit=west"]
                :         ^^^^^^^^^
                `----
              help: the services are: db, web

            Error:
              x an expectation has db on `node9`, and there is no such node
                ,-[cluster.toml:23:20]
             22 | fail = ["nod1", "site=north"]
             23 | then = ["bd runs", "db on node9", "web on sit=west"]
                :                    ^^^^^^^^^^^^^
                `----
              help: did you mean `node3`?

            Error:
              x an expectation has web on `sit=west`, and no node has a label `sit`
                ,-[cluster.toml:23:35]
             22 | fail = ["nod1", "site=north"]
             23 | then = ["bd runs", "db on node9", "web on sit=west"]
                :                                   ^^^^^^^^^^^^^^^^^
                `----
              help: did you mean `site=west`?
        "#]],
    );
}

#[test]
fn what_can_not_be_read_is_told_with_the_forms_there_are() {
    check(
        "[[expect]]\nfail = \"node1\"\n\
         then = [\"db\", \"db at node2\", \"db on\"]\n",
        &expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `db` does not say what shall become of a service
                ,-[cluster.toml:23:9]
             22 | fail = "node1"
             23 | then = ["db", "db at node2", "db on"]
                :         ^^^^
                `----
              help: write it like  "db on node2",  "db on site=west",  "db runs"  or  "db
                    nowhere", and a time behind it where it counts:  "db on node2 within 2 s"

            Error:
              x `db at node2` does not say what shall become of a service
                ,-[cluster.toml:23:15]
             22 | fail = "node1"
             23 | then = ["db", "db at node2", "db on"]
                :               ^^^^^^^^^^^^^
                `----
              help: write it like  "db on node2",  "db on site=west",  "db runs"  or  "db
                    nowhere", and a time behind it where it counts:  "db on node2 within 2 s"

            Error:
              x `db on` does not say what shall become of a service
                ,-[cluster.toml:23:30]
             22 | fail = "node1"
             23 | then = ["db", "db at node2", "db on"]
                :                              ^^^^^^^
                `----
              help: write it like  "db on node2",  "db on site=west",  "db runs"  or  "db
                    nowhere", and a time behind it where it counts:  "db on node2 within 2 s"
        "#]],
    );
}

#[test]
fn times_that_are_none() {
    check(
        "[[expect]]\nfail = \"node1\"\n\
         then = [\"db runs within 2\", \"db runs within 0s\", \"db nowhere within 1s\"]\n",
        &expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `2` has no unit
                ,-[cluster.toml:23:9]
             22 | fail = "node1"
             23 | then = ["db runs within 2", "db runs within 0s", "db nowhere within 1s"]
                :         ^^^^^^^^^^^^^^^^^^
                `----
              help: did you mean `within 2s`?

            Error:
              x `within` can't be zero
                ,-[cluster.toml:23:29]
             22 | fail = "node1"
             23 | then = ["db runs within 2", "db runs within 0s", "db nowhere within 1s"]
                :                             ^^^^^^^^^^^^^^^^^^^
                `----
              help: write a time such as  within 2 s

            Error:
              x `db nowhere within 1s` has a time for what shall be nowhere
                ,-[cluster.toml:23:50]
             22 | fail = "node1"
             23 | then = ["db runs within 2", "db runs within 0s", "db nowhere within 1s"]
                :                                                  ^^^^^^^^^^^^^^^^^^^^^^
                `----
              help: write it without `within`
        "#]],
    );
}

#[test]
fn values_of_another_kind_and_none() {
    check(
        "[[expect]]\nfail = []\nthn = \"db runs\"\n\n[[expect]]\nfail = 3\nthen = [3]\n",
        &expect![[r#"
            Error:
              x cluster.toml can't be used: 4 problems; nothing was changed

            Error:
              x `fail` of an [[expect]] is empty
                ,-[cluster.toml:22:8]
             21 | [[expect]]
             22 | fail = []
                :        ^^
             23 | thn = "db runs"
                `----
              help: name something, or remove the whole entry:  fail = "node1"

            Error:
              x unknown key `thn` in an [[expect]]
                ,-[cluster.toml:23:1]
             22 | fail = []
             23 | thn = "db runs"
                : ^^^
             24 |
                `----
              help: did you mean `then`? The keys here are: fail, then

            Error:
              x `fail` of an [[expect]] must be a text in quotes or a list in [ ], and this is a
              | whole number
                ,-[cluster.toml:26:8]
             25 | [[expect]]
             26 | fail = 3
                :        ^
             27 | then = [3]
                `----
              help: write it like this:  fail = "node1"

            Error:
              x each entry of `then` in an [[expect]] must be a text in quotes, and this is a
              | whole number
                ,-[cluster.toml:27:9]
             26 | fail = 3
             27 | then = [3]
                :         ^
                `----
              help: write it like this:  then = "db on node2 within 2 s"
        "#]],
    );
    let expect = |text: &str| report(&text.replace("[cluster]", "expect = \"db runs\"\n[cluster]"));
    expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x `expect` of the file must be tables, each begun with [[expect]], and this is a
          | text
           ,-[cluster.toml:1:10]
         1 | expect = "db runs"
           :          ^^^^^^^^^
         2 | [cluster]
           `----
          help: write it like this:  [[expect]]
    "#]]
    .assert_eq(&expect(&with("")));
}

#[test]
fn what_is_against_itself_is_refused() {
    check(
        "[[expect]]\nfail = [\"node2\", \"site=east\"]\n\
         then = [\"db on node2\", \"web runs\", \"web nowhere\"]\n\n\
         [[expect]]\nfail = [\"site=east\", \"site=west\"]\nthen = \"db nowhere\"\n",
        &expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x an expectation has db on node2, which fails
                ,-[cluster.toml:23:9]
             22 | fail = ["node2", "site=east"]
             23 | then = ["db on node2", "web runs", "web nowhere"]
                :         ^^^^^^^^^^^^^
             24 |
                `----
              help: name where it shall be instead, or write  "SERVICE runs"

            Error:
              x an expectation says twice what shall become of web
                ,-[cluster.toml:23:36]
             22 | fail = ["node2", "site=east"]
             23 | then = ["db on node2", "web runs", "web nowhere"]
                :                        ^^^^^|^^^^  ^^^^^^|^^^^^^
                :                             |            `-- again here
                :                             `-- first here
             24 |
                `----
              help: remove one of the two

            Error:
              x an expectation has every node fail: nothing is anywhere then
                ,-[cluster.toml:26:9]
             25 | [[expect]]
             26 | fail = ["site=east", "site=west"]
                :         ^^^^^^^^^^^
             27 | then = "db nowhere"
                `----
              help: leave a node, or remove it
        "#]],
    );
}
