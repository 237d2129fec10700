//! What can't stand in `[quorum]`, and what the operator is told.

use expect_test::{Expect, expect};

use super::broken_networks::with;
use super::report;
use crate::config::{differences, read, render};

fn check(tables: &str, expected: Expect) {
    expected.assert_eq(&report(&with(tables)));
}

#[test]
fn modules_that_are_none() {
    check(
        r#"[quorum]
chain = ["majority", "quorum-sever", "fence", "etcd"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x no module of the quorum has the name `quorum-sever`
                ,-[cluster.toml:17:22]
             16 | [quorum]
             17 | chain = ["majority", "quorum-sever", "fence", "etcd"]
                :                      ^^^^^^^^^^^^^^
                `----
              help: did you mean `quorum-server`? The modules are: majority, quorum-server, exec,
                    fence

            Error:
              x no module of the quorum has the name `etcd`
                ,-[cluster.toml:17:47]
             16 | [quorum]
             17 | chain = ["majority", "quorum-sever", "fence", "etcd"]
                :                                               ^^^^^^
                `----
              help: the modules are: majority, quorum-server, exec, fence
        "#]],
    );
}

#[test]
fn a_module_that_stands_there_twice() {
    check(
        r#"[quorum]
chain = ["majority", "quorum-server", "quorum-server"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the module `quorum-server` stands in the chain twice
                ,-[cluster.toml:17:39]
             16 | [quorum]
             17 | chain = ["majority", "quorum-server", "quorum-server"]
                :                                       ^^^^^^^^^^^^^^^
                `----
              help: remove one of the two: it would say the same again
        "#]],
    );
}

#[test]
fn a_chain_that_could_never_decide() {
    check(
        r#"[quorum]
chain = ["quorum-server"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the chain does not begin with `majority`, so it could never decide
                ,-[cluster.toml:17:10]
             16 | [quorum]
             17 | chain = ["quorum-server"]
                :          ^^^^^^^^^^^^^^^
                `----
              help: write  chain = ["majority", "quorum-server"]  : the rest is asked in a tie
                    only
        "#]],
    );
    check(
        r#"[quorum]
chain = []"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the chain does not begin with `majority`, so it could never decide
                ,-[cluster.toml:17:9]
             16 | [quorum]
             17 | chain = []
                :         ^^
                `----
              help: write  chain = ["majority", "quorum-server"]  : the rest is asked in a tie
                    only
        "#]],
    );
}

#[test]
fn two_registers() {
    check(
        r#"[quorum]
chain = ["majority", "quorum-server", "exec"]
exec = ["/usr/local/bin/quorum-etcd"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x `quorum-server` and `exec` could each have another half go on
                ,-[cluster.toml:17:39]
             16 | [quorum]
             17 | chain = ["majority", "quorum-server", "exec"]
                :                                       ^^^^^^
             18 | exec = ["/usr/local/bin/quorum-etcd"]
                `----
              help: a half that can't reach the first would go on by the second: choose one
        "#]],
    );
}

#[test]
fn a_command_without_its_module_and_a_module_without_its_command() {
    check(
        r#"[quorum]
chain = ["majority", "quorum-server"]
exec = ["/usr/local/bin/quorum-etcd"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x no module of the chain runs this command
                ,-[cluster.toml:18:8]
             17 | chain = ["majority", "quorum-server"]
             18 | exec = ["/usr/local/bin/quorum-etcd"]
                :        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
                `----
              help: add "exec" to `chain`, or remove the command
        "#]],
    );
    check(
        r#"[quorum]
chain = ["majority", "exec"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x [quorum] has no `exec`
                ,-[cluster.toml:16:1]
             15 | addresses = ["10.0.0.100/24"]
             16 | [quorum]
                : ^^^^^^^^
             17 | chain = ["majority", "exec"]
                `----
              help: add a line like  exec = ["/usr/local/bin/quorum-etcd", "https://
                    etcd.example:2379"]
        "#]],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    check(
        r#"[quorum]
chain = "majority"
exec = "quorum-etcd https://192.0.2.7:2379"
handicap = 20"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `chain` of [quorum] must be a list in [ ], and this is a text
                ,-[cluster.toml:17:9]
             16 | [quorum]
             17 | chain = "majority"
                :         ^^^^^^^^^^
             18 | exec = "quorum-etcd https://192.0.2.7:2379"
                `----
              help: write it like this:  chain = ["majority", "quorum-server"]

            Error:
              x `exec` of [quorum] must be a list, one entry per argument
                ,-[cluster.toml:18:8]
             17 | chain = "majority"
             18 | exec = "quorum-etcd https://192.0.2.7:2379"
                :        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
             19 | handicap = 20
                `----
              help: no shell splits it; write  exec = ["quorum-etcd", "https://192.0.2.7:2379"]

            Error:
              x `handicap = 20` has no unit
                ,-[cluster.toml:19:12]
             18 | exec = "quorum-etcd https://192.0.2.7:2379"
             19 | handicap = 20
                :            ^^
                `----
              help: write  handicap = "20ms"  (units: us, ms, s, min, h)
        "#]],
    );
    check(
        r#"[quorum]
handicap = "20ms""#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x [quorum] has no `chain`
                ,-[cluster.toml:16:1]
             15 | addresses = ["10.0.0.100/24"]
             16 | [quorum]
                : ^^^^^^^^
             17 | handicap = "20ms"
                `----
              help: add a line like  chain = ["majority", "quorum-server"]
        "#]],
    );
}

#[test]
fn a_program_that_is_waited_for_longer_than_its_answer() {
    let exec = |timeout: &str| {
        let command = r#"command = ["/usr/bin/quorum-etcd", "https://192.0.2.7:2379"]"#;
        let exec = format!("exec = {{ {command}, timeout = \"{timeout}\" }}");
        format!("[quorum]\nchain = [\"majority\", \"exec\"]\n{exec}")
    };
    let words = report(&with(&exec("1001ms")));
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "1 problem; nothing was changed",
        "a run of module `exec` can't take 1001 ms",
        "cluster.toml:18:",
        "its answer is waited for 2 s: write a timeout of 1 s or less",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }
    let config = read("cluster.toml", &with(&exec("1s"))).expect("it is usable").config;
    let timeout = config.later.quorum.exec.expect("it is there").timeout;
    // Both runs of a question end while its answer is still waited for.
    assert!(timeout.times(2) <= stead_core::node::ANSWER_PATIENCE);
}

#[test]
fn a_chain_is_written_as_it_was_read_and_what_changes_is_said() {
    let plain = read("cluster.toml", &with("")).expect("it is usable").config;
    let text = with(
        r#"[quorum]
chain = ["majority", "exec"]
exec = { command = ["/usr/bin/quorum-etcd", "https://192.0.2.7:2379"], timeout = "800ms" }
handicap = "20ms""#,
    );
    let config = read("cluster.toml", &text).expect("it is usable").config;
    let again = read("cluster.toml", &render(&config)).expect("it is usable").config;
    assert_eq!(again, config);
    let changes: Vec<_> = differences(&plain, &config).iter().map(ToString::to_string).collect();
    expect![[r#"
        quorum: chain: majority -> majority, exec
        quorum: exec runs: nothing -> /usr/bin/quorum-etcd https://192.0.2.7:2379 for 800 ms at most
        quorum: handicap: as long as a question takes -> 20 ms"#]]
    .assert_eq(&changes.join("\n"));
}
