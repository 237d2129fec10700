//! Values in `[networks.NAME]` that can't be, and what the operator is told.

use expect_test::{Expect, expect};

use super::{GOOD, report};

/// The good file with these tables behind it.
pub(super) fn with(tables: &str) -> String {
    format!("{GOOD}{tables}\n")
}

pub(super) fn check(tables: &str, expected: Expect) {
    expected.assert_eq(&report(&with(tables)));
}

#[test]
fn a_key_that_is_none() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
gatway = true"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x the network front has no reference point
                ,-[cluster.toml:16:1]
             15 | addresses = ["10.0.0.100/24"]
             16 | [networks.front]
                : ^^^^^^^^^^^^^^^^
             17 | prefix = "10.0.0.0/24"
                `----
              help: write  gateway = true  , or list machines on it that are no nodes:  addresses
                    = ["10.0.0.1"]

            Error:
              x unknown key `gatway` in [networks.front]
                ,-[cluster.toml:18:1]
             17 | prefix = "10.0.0.0/24"
             18 | gatway = true
                : ^^^^^^
                `----
              help: did you mean `gateway`? The keys here are: prefix, gateway, addresses,
                    interface, pool
        "#]],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    check(
        r#"[networks.front]
prefix = 24
gateway = "yes"
addresses = "10.0.0.1"
interface = ["eth0"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 4 problems; nothing was changed

            Error:
              x `prefix` of [networks.front] must be a text in quotes, and this is a whole number
                ,-[cluster.toml:17:10]
             16 | [networks.front]
             17 | prefix = 24
                :          ^^
             18 | gateway = "yes"
                `----
              help: write it like this:  prefix = "10.0.0.0/24"

            Error:
              x `gateway` of [networks.front] must be true or false, without quotes, and this is a
              | text
                ,-[cluster.toml:18:11]
             17 | prefix = 24
             18 | gateway = "yes"
                :           ^^^^^
             19 | addresses = "10.0.0.1"
                `----
              help: write it like this:  gateway = true

            Error:
              x `addresses` of [networks.front] must be a list in [ ], and this is a text
                ,-[cluster.toml:19:13]
             18 | gateway = "yes"
             19 | addresses = "10.0.0.1"
                :             ^^^^^^^^^^
             20 | interface = ["eth0"]
                `----
              help: write it like this:  addresses = ["10.0.0.1"]

            Error:
              x `interface` of [networks.front] must be a text in quotes, and this is a list
                ,-[cluster.toml:20:13]
             19 | addresses = "10.0.0.1"
             20 | interface = ["eth0"]
                :             ^^^^^^^^
                `----
              help: write it like this:  interface = "eth0"
        "#]],
    );
}

#[test]
fn no_prefix_and_no_point() {
    check(
        r#"[networks.front]
addresses = []"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x [networks.front] has no `prefix`
                ,-[cluster.toml:16:1]
             15 | addresses = ["10.0.0.100/24"]
             16 | [networks.front]
                : ^^^^^^^^^^^^^^^^
             17 | addresses = []
                `----
              help: add a line like  prefix = "10.0.0.0/24"

            Error:
              x the network front has no reference point
                ,-[cluster.toml:16:1]
             15 | addresses = ["10.0.0.100/24"]
             16 | [networks.front]
                : ^^^^^^^^^^^^^^^^
             17 | addresses = []
                `----
              help: write  gateway = true  , or list machines on it that are no nodes:  addresses
                    = ["10.0.0.1"]
        "#]],
    );
}

#[test]
fn a_prefix_that_is_no_network() {
    check(
        r#"[networks.front]
prefix = "10.0.0.7/24"
gateway = true
[networks.back]
prefix = "10.1.0.0/40"
gateway = true
[networks.more]
prefix = "10.2.0.0"
gateway = true"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x 10.0.0.7/24 is an address in a network, not the network
                ,-[cluster.toml:17:10]
             16 | [networks.front]
             17 | prefix = "10.0.0.7/24"
                :          ^^^^^^^^^^^^^
             18 | gateway = true
                `----
              help: write  "10.0.0.0/24"

            Error:
              x `10.1.0.0/40` has no length of a prefix from 1 to 32
                ,-[cluster.toml:20:10]
             19 | [networks.back]
             20 | prefix = "10.1.0.0/40"
                :          ^^^^^^^^^^^^^
             21 | gateway = true
                `----
              help: most networks of this kind have 24

            Error:
              x `10.2.0.0` is not the prefix of a network
                ,-[cluster.toml:23:10]
             22 | [networks.more]
             23 | prefix = "10.2.0.0"
                :          ^^^^^^^^^^
             24 | gateway = true
                `----
              help: write its address and the length of its prefix:  "10.0.0.0/24"
        "#]],
    );
}

#[test]
fn a_point_that_is_no_address() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
addresses = ["10.0.0.300", "router"]"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x `10.0.0.300` is not an IP address
                ,-[cluster.toml:18:14]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.0.300", "router"]
                :              ^^^^^^^^^^^^
                `----
              help: write an address like  "10.0.0.100"  (names are not looked up)

            Error:
              x `router` is not an IP address
                ,-[cluster.toml:18:28]
             17 | prefix = "10.0.0.0/24"
             18 | addresses = ["10.0.0.300", "router"]
                :                            ^^^^^^^^
                `----
              help: write an address like  "10.0.0.100"  (names are not looked up)
        "#]],
    );
}

#[test]
fn an_interface_whose_name_can_not_be() {
    check(
        r#"[networks.front]
prefix = "10.0.0.0/24"
gateway = true
interface = "an interface with a long name""#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x no interface can have the name `an interface with a long name`
                ,-[cluster.toml:19:13]
             18 | gateway = true
             19 | interface = "an interface with a long name"
                :             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
                `----
              help: `ip -brief link` lists the names of this machine's interfaces
        "#]],
    );
}

#[test]
fn a_name_that_can_not_be() {
    check(
        r#"[networks."front door"]
prefix = "10.0.0.0/24"
gateway = true"#,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the name of the network has characters other than a to z, 0 to 9 and -
                ,-[cluster.toml:16:11]
             15 | addresses = ["10.0.0.100/24"]
             16 | [networks."front door"]
                :           ^^^^^^^^^^^^
             17 | prefix = "10.0.0.0/24"
                `----
              help: for example  front-door
        "#]],
    );
}
