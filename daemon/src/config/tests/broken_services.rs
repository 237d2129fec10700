//! Files in which a single value of a service is wrong.

use expect_test::{Expect, expect};

use super::{good_but, report};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&report(text));
}

#[test]
fn addresses_of_services_that_no_machine_may_have() {
    let list = r#"[
  "10.0.0.100",
  "10.0.0.255/24",
  "10.0.0.9/33",
  "127.0.0.1/8",
  "fe80::1/64",
]"#;
    check(
        &good_but("[\"10.0.0.100/24\"]", list),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 5 problems; nothing was changed

            Error:
              x `10.0.0.100` has no prefix
                ,-[cluster.toml:16:3]
             15 | addresses = [
             16 |   "10.0.0.100",
                :   ^^^^^^^^^^^^
             17 |   "10.0.0.255/24",
                `----
              help: write  "10.0.0.100/24"  if its network has that prefix

            Error:
              x 10.0.0.255/24 is the broadcast address of its network, not an address of a machine
                ,-[cluster.toml:17:3]
             16 |   "10.0.0.100",
             17 |   "10.0.0.255/24",
                :   ^^^^^^^^^^^^^^^
             18 |   "10.0.0.9/33",
                `----
              help: choose another address of that network, or check the prefix

            Error:
              x a prefix of 33 is out of range for 10.0.0.9
                ,-[cluster.toml:18:3]
             17 |   "10.0.0.255/24",
             18 |   "10.0.0.9/33",
                :   ^^^^^^^^^^^^^
             19 |   "127.0.0.1/8",
                `----
              help: it goes from 1 to 32; most networks of this kind have 24

            Error:
              x `127.0.0.1` is a loopback address: no other machine can reach this one there
                ,-[cluster.toml:19:3]
             18 |   "10.0.0.9/33",
             19 |   "127.0.0.1/8",
                :   ^^^^^^^^^^^^^
             20 |   "fe80::1/64",
                `----
              help: write an address that this network gives to a machine

            Error:
              x `fe80::1` is a link-local address: no other machine can reach this one there
                ,-[cluster.toml:20:3]
             19 |   "127.0.0.1/8",
             20 |   "fe80::1/64",
                :   ^^^^^^^^^^^^
             21 | ]
                `----
              help: write an address that this network gives to a machine
        "#]],
    );
}

#[test]
fn addresses_of_services_in_long_form() {
    let list = r#"[
  { ip = "10.0.0.100", prefix = 99 },
  { ip = "10.0.0.101", netmask = 24 },
  { ip = "fd00::100", prefix = "64", interface = "a/b" },
  7,
]"#;
    check(
        &good_but("[\"10.0.0.100/24\"]", list),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 6 problems; nothing was changed

            Error:
              x a prefix of 99 is out of range for 10.0.0.100
                ,-[cluster.toml:16:33]
             15 | addresses = [
             16 |   { ip = "10.0.0.100", prefix = 99 },
                :                                 ^^
             17 |   { ip = "10.0.0.101", netmask = 24 },
                `----
              help: it goes from 1 to 32; most networks of this kind have 24

            Error:
              x an address of [services.web] has no `prefix`
                ,-[cluster.toml:17:3]
             16 |   { ip = "10.0.0.100", prefix = 99 },
             17 |   { ip = "10.0.0.101", netmask = 24 },
                :   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
             18 |   { ip = "fd00::100", prefix = "64", interface = "a/b" },
                `----
              help: add a line like  prefix = 24

            Error:
              x unknown key `netmask` in an address of [services.web]
                ,-[cluster.toml:17:24]
             16 |   { ip = "10.0.0.100", prefix = 99 },
             17 |   { ip = "10.0.0.101", netmask = 24 },
                :                        ^^^^^^^
             18 |   { ip = "fd00::100", prefix = "64", interface = "a/b" },
                `----
              help: remove it; the keys here are: ip, prefix, interface, layers, on

            Error:
              x `prefix` of an address of [services.web] must be a whole number, without quotes,
              | and this is a text
                ,-[cluster.toml:18:32]
             17 |   { ip = "10.0.0.101", netmask = 24 },
             18 |   { ip = "fd00::100", prefix = "64", interface = "a/b" },
                :                                ^^^^
             19 |   7,
                `----
              help: write it like this:  prefix = 24

            Error:
              x no interface can have the name `a/b`
                ,-[cluster.toml:18:50]
             17 |   { ip = "10.0.0.101", netmask = 24 },
             18 |   { ip = "fd00::100", prefix = "64", interface = "a/b" },
                :                                                  ^^^^^
             19 |   7,
                `----
              help: `ip -brief link` lists the names of this machine's interfaces

            Error:
              x each entry of `addresses` in [services.web] must be a text in quotes or a table in
              | { }, and this is a whole number
                ,-[cluster.toml:19:3]
             18 |   { ip = "fd00::100", prefix = "64", interface = "a/b" },
             19 |   7,
                :   ^
             20 | ]
                `----
              help: write it like this:  addresses = ["10.0.0.100/24"]
        "#]],
    );
}

#[test]
fn a_program_in_one_text_and_a_monitor_without_path() {
    let lines = r#"24"]
program = "/usr/sbin/nginx -g"
monitor = { command = ["curl"], timeout = "0s" }"#;
    check(
        &good_but("24\"]", lines),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `program` of [services.web] must be a list, one entry per argument
                ,-[cluster.toml:16:11]
             15 | addresses = ["10.0.0.100/24"]
             16 | program = "/usr/sbin/nginx -g"
                :           ^^^^^^^^^^^^^^^^^^^^
             17 | monitor = { command = ["curl"], timeout = "0s" }
                `----
              help: no shell splits it; write  program = ["/usr/sbin/nginx", "-g"]

            Error:
              x `curl` is not an absolute path
                ,-[cluster.toml:17:24]
             16 | program = "/usr/sbin/nginx -g"
             17 | monitor = { command = ["curl"], timeout = "0s" }
                :                        ^^^^^^
                `----
              help: write the whole path; `command -v curl` prints it

            Error:
              x `timeout` can't be zero
                ,-[cluster.toml:17:43]
             16 | program = "/usr/sbin/nginx -g"
             17 | monitor = { command = ["curl"], timeout = "0s" }
                :                                           ^^^^
                `----
              help: write a time that is long enough, for example  timeout = "2s"
        "#]],
    );
}

#[test]
fn a_program_without_command() {
    let lines = "24\"]\nprogram = { stop-timeout = \"5s\" }\nmonitor = []\nfailback = \"no\"";
    check(
        &good_but("24\"]", lines),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `program` of [services.web] has no `command`
                ,-[cluster.toml:16:11]
             15 | addresses = ["10.0.0.100/24"]
             16 | program = { stop-timeout = "5s" }
                :           ^^^^^^^^^^^^^^^^^^^^^^^
             17 | monitor = []
                `----
              help: add a line like  command = ["/usr/sbin/nginx", "-g", "daemon off;"]

            Error:
              x `monitor` of [services.web] is empty
                ,-[cluster.toml:17:11]
             16 | program = { stop-timeout = "5s" }
             17 | monitor = []
                :           ^^
             18 | failback = "no"
                `----
              help: write it like this:  monitor = ["/usr/bin/curl", "--fail",
                    "http://10.0.0.100/"]

            Error:
              x service web goes by the time `no`, and there is no such time
                ,-[cluster.toml:18:12]
             17 | monitor = []
             18 | failback = "no"
                :            ^^^^
                `----
              help: write true or false, without quotes
        "#]],
    );
}
