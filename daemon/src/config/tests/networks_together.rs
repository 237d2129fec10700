//! Networks that are right alone and do not fit each other, their points or the services.

use expect_test::{Expect, expect};

use super::super::read;
use super::broken_networks::{check, with};
use super::drawn;

/// The file is used, and something is said about it.
fn warned(tables: &str, expected: Expect) {
    let checked = read("cluster.toml", &with(tables)).expect("it is usable");
    let warnings: Vec<_> = checked.warnings.iter().map(|warning| drawn(warning)).collect();
    expected.assert_eq(&warnings.concat());
}

#[test]
fn a_point_outside_its_network() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
addresses = ["10.0.1.1", "fd00::9"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x 10.0.1.1 does not lie in the network front
                ,-[cluster.toml:18:14]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.1.1", "fd00::9"]
                :              ^^^^^^^^^^
                `----
              help: what is asked by ARP or neighbour discovery is on the network itself: check
                    the address and the prefix

            Error:
              x fd00::9 does not lie in the network front
                ,-[cluster.toml:18:26]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.1.1", "fd00::9"]
                :                          ^^^^^^^^^
                `----
              help: what is asked by ARP or neighbour discovery is on the network itself: check
                    the address and the prefix
        "#]],
    );
}

#[test]
fn a_point_that_is_of_the_cluster() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
addresses = ["10.0.0.1", "10.0.0.100"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x 10.0.0.1 belongs to node1 (link lan) and can't be a reference point
                ,-[cluster.toml:18:14]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.0.1", "10.0.0.100"]
                :              ^^^^^^^^^^
                `----
              help: name a machine that stays when a node fails: a router, a switch, a server of
                    another cluster

            Error:
              x 10.0.0.100 belongs to service web and can't be a reference point
                ,-[cluster.toml:18:26]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.0.1", "10.0.0.100"]
                :                          ^^^^^^^^^^^^
                `----
              help: name a machine that stays when a node fails: a router, a switch, a server of
                    another cluster
        "#]],
    );
}

#[test]
fn a_point_listed_twice() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
addresses = ["10.0.0.200", "10.0.0.200"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x 10.0.0.200 is listed twice
                ,-[cluster.toml:18:28]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.0.200", "10.0.0.200"]
                :              ^^^^^^|^^^^^  ^^^^^^|^^^^^
                :                    |             `-- again here
                :                    `-- first here
                `----
              help: remove one of the two
        "#]],
    );
}

#[test]
fn networks_that_overlap() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
gateway = true
[networks.half]
prefix = "10.0.0.128/25"
gateway = true"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the networks front and half overlap
                ,-[cluster.toml:20:10]
             16 | [networks.front]
             17 | prefix = "10.0.0.0/24"
                :          ^^^^^^|^^^^^^
                :                `-- and this
             18 | gateway = true
             19 | [networks.half]
             20 | prefix = "10.0.0.128/25"
                :          ^^^^^^^|^^^^^^^
                :                 `-- this one
             21 | gateway = true
                `----
              help: each address belongs to one network: make one table of both, or correct a
                    prefix
        "#]],
    );
}

#[test]
fn too_many_points() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
addresses = [
  "10.0.0.201", "10.0.0.202", "10.0.0.203", "10.0.0.204", "10.0.0.205", "10.0.0.206",
  "10.0.0.207", "10.0.0.208", "10.0.0.209",
]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x more than 8 reference points
                ,-[cluster.toml:16:1]
             15 | addresses = ["10.0.0.100/24"]
             16 | [networks.front]
                : ^^^^^^^^^^^^^^^^
             17 | prefix = "10.0.0.0/24"
                `----
              help: all networks together have at most 8; two or three for each are enough
        "#]],
    );
}

#[test]
fn a_network_without_a_service() {
    warned(
        r#"[networks.front]
prefix = "10.9.0.0/24"
gateway = true"#,
        expect![[r#"
            Warning:
              ! no service has an address in the network front
                ,-[cluster.toml:16:11]
             15 | addresses = ["10.0.0.100/24"]
             16 | [networks.front]
                :           ^^^^^
             17 | prefix = "10.9.0.0/24"
                `----
              help: it is watched, and nothing follows from it: check its prefix
        "#]],
    );
}
