//! Files in which a single value or key is wrong.

use expect_test::{Expect, expect};

use super::{good_but, report};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&report(text));
}

#[test]
fn an_empty_file() {
    check(
        "",
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x the table [cluster] is missing
               ,-[cluster.toml:1:1]
               `----
              help: begin the file with two lines:  [cluster]  and  name = "shop"

            Error:
              x the file has no links
               ,-[cluster.toml:1:1]
               `----
              help: there must be at least one: begin it with a line like  [links.lan]

            Error:
              x the file has no nodes
               ,-[cluster.toml:1:1]
               `----
              help: there must be at least one: begin it with a line like  [nodes.node1]
        "#]],
    );
}

#[test]
fn a_mistyped_key_and_one_in_the_wrong_table() {
    let text = good_but("name = \"shop\"", "name = \"shop\"\nride_out = \"300ms\"\nport = 7744");
    check(
        &text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x unknown key `ride_out` in [cluster]
               ,-[cluster.toml:3:1]
             2 | name = "shop"
             3 | ride_out = "300ms"
               : ^^^^^^^^
             4 | port = 7744
               `----
              help: did you mean `ride-out`? The keys here are: name, ride-out, round-trip,
                    daemon-grace

            Error:
              x unknown key `port` in [cluster]
               ,-[cluster.toml:4:1]
             3 | ride_out = "300ms"
             4 | port = 7744
               : ^^^^
             5 |
               `----
              help: `port` belongs to [links.NAME]; the keys here are: name, ride-out, round-trip,
                    daemon-grace
        "#]],
    );
}

#[test]
fn keys_before_the_first_table() {
    check(
        &good_but("[cluster]", "ride-out = \"300ms\"\nlink = \"lan\"\n[cluster]"),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x unknown key `ride-out` outside of every table
               ,-[cluster.toml:1:1]
             1 | ride-out = "300ms"
               : ^^^^^^^^
             2 | link = "lan"
               `----
              help: `ride-out` belongs to [cluster]; the keys here are: cluster, links, nodes,
                    services, networks, zones, redirect, times, quorum, fencing, expect

            Error:
              x unknown key `link` outside of every table
               ,-[cluster.toml:2:1]
             1 | ride-out = "300ms"
             2 | link = "lan"
               : ^^^^
             3 | [cluster]
               `----
              help: did you mean `links`? The keys here are: cluster, links, nodes, services,
                    networks, zones, redirect, times, quorum, fencing, expect
        "#]],
    );
}

#[test]
fn durations_without_unit() {
    let lines = "name = \"shop\"\nride-out = 300\nround-trip = \"2\"\ndaemon-grace = 1.5";
    check(
        &good_but("name = \"shop\"", lines),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `ride-out = 300` has no unit
               ,-[cluster.toml:3:12]
             2 | name = "shop"
             3 | ride-out = 300
               :            ^^^
             4 | round-trip = "2"
               `----
              help: write  ride-out = "300ms"  (units: us, ms, s, min, h)

            Error:
              x `2` has no unit
               ,-[cluster.toml:4:14]
             3 | ride-out = 300
             4 | round-trip = "2"
               :              ^^^
             5 | daemon-grace = 1.5
               `----
              help: write  round-trip = "2ms"  (units: us, ms, s, min, h)

            Error:
              x `daemon-grace = 1.5` has no unit
               ,-[cluster.toml:5:16]
             4 | round-trip = "2"
             5 | daemon-grace = 1.5
               :                ^^^
             6 |
               `----
              help: write  daemon-grace = "1.5s"  (units: us, ms, s, min, h)
        "#]],
    );
}

#[test]
fn durations_in_units_of_other_tools() {
    let lines =
        "name = \"shop\"\nride-out = \"300 msec\"\nround-trip = \"fast\"\ndaemon-grace = \"5m\"";
    check(
        &good_but("name = \"shop\"", lines),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x `msec` is not a unit of time
               ,-[cluster.toml:3:12]
             2 | name = "shop"
             3 | ride-out = "300 msec"
               :            ^^^^^^^^^^
             4 | round-trip = "fast"
               `----
              help: write  ride-out = "300ms"  (units: us, ms, s, min, h)

            Error:
              x `fast` is not a duration
               ,-[cluster.toml:4:14]
             3 | ride-out = "300 msec"
             4 | round-trip = "fast"
               :              ^^^^^^
             5 | daemon-grace = "5m"
               `----
              help: write it like this:  round-trip = "2ms"  (units: us, ms, s, min, h)

            Error:
              x `m` is not a unit of time
               ,-[cluster.toml:5:16]
             4 | round-trip = "fast"
             5 | daemon-grace = "5m"
               :                ^^^^
             6 |
               `----
              help: write  daemon-grace = "5min"  (units: us, ms, s, min, h)
        "#]],
    );
}

#[test]
fn names_that_are_none() {
    let text = good_but("\"shop\"", "\"My Shop\"").replace("nodes.node3", "nodes.Node_3");
    check(
        &text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x the name of the cluster has characters other than a to z, 0 to 9 and -
               ,-[cluster.toml:2:8]
             1 | [cluster]
             2 | name = "My Shop"
               :        ^^^^^^^^^
             3 |
               `----
              help: for example  my-shop

            Error:
              x the name of the node has characters other than a to z, 0 to 9 and -
                ,-[cluster.toml:11:8]
             10 | addresses = { lan = "10.0.0.2", backup = "fd00::2" }
             11 | [nodes.Node_3]
                :        ^^^^^^
             12 | addresses = { lan = "10.0.0.3", backup = "fd00::3" }
                `----
              help: for example  node-3
        "#]],
    );
}

#[test]
fn a_text_without_quotes() {
    check(
        &good_but("\"shop\"", "shop"),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x not TOML: string values must be quoted
               ,-[cluster.toml:2:8]
             1 | [cluster]
             2 | name = shop
               :        ^^^^
             3 |
               `----
              help: a text stands in quotes:  name = "shop"
        "#]],
    );
}

#[test]
fn a_list_that_is_never_closed() {
    check(
        &good_but("[\"10.0.0.100/24\"]", "[\"10.0.0.100/24\""),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x not TOML: unclosed array, expected `]`
                ,-[cluster.toml:15:29]
             14 | [services.web]
             15 | addresses = ["10.0.0.100/24"
                :                             ^
                `----
              help: `[` and `]` don't match in this line
        "#]],
    );
}

#[test]
fn a_quote_that_is_never_closed_and_another_mistake() {
    let text = good_but("lan = \"10.0.0.2\"", "lan = \"10.0.0.2").replace("\"shop\"", "");
    check(
        &text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x not TOML: string values must be quoted
               ,-[cluster.toml:2:8]
             1 | [cluster]
             2 | name =
               :        ^
             3 |
               `----
              help: the value is missing after the =

            Error:
              x not TOML: missing comma between key-value pairs, expected `,`
                ,-[cluster.toml:10:42]
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2, backup = "fd00::2" }
                :                                          ^
             11 | [nodes.node3]
                `----
              help: a quote is opened and not closed, or closed and not opened
        "#]],
    );
}

#[test]
fn a_node_copied_and_not_renamed() {
    let copy = "[nodes.node1]\naddresses = { lan = \"10.0.0.4\", backup = \"fd00::4\" }\n[services";
    check(
        &good_but("[services", copy),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the table [nodes.node1] stands twice
                ,-[cluster.toml:14:8]
              6 |
              7 | [nodes.node1]
                :        ^^|^^
                :          `-- first here
              8 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2", backup = "fd00::2" }
             11 | [nodes.node3]
             12 | addresses = { lan = "10.0.0.3", backup = "fd00::3" }
             13 |
             14 | [nodes.node1]
                :        ^^|^^
                :          `-- again here
             15 | addresses = { lan = "10.0.0.4", backup = "fd00::4" }
                `----
              help: give one of the two another name, or put their keys into one table
        "#]],
    );
}

#[test]
fn a_key_that_stands_twice() {
    check(
        &good_but("name = \"shop\"", "name = \"shop\"\nname = \"store\""),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the key `name` stands twice in its table
               ,-[cluster.toml:3:1]
             1 | [cluster]
             2 | name = "shop"
               : ^^|^
               :   `-- first here
             3 | name = "store"
               : ^^|^
               :   `-- again here
             4 |
               `----
              help: keep one of the two lines
        "#]],
    );
}

#[test]
fn nodes_as_a_list_of_tables() {
    let text = "[cluster]\nname = \"shop\"\n[links.lan]\n[[nodes]]\nname = \"node1\"\n";
    check(
        text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x `nodes` of the file must be tables with a name each, and this is a list
               ,-[cluster.toml:4:1]
             3 | [links.lan]
             4 | [[nodes]]
               : ^^^^^^^^^
             5 | name = "node1"
               `----
              help: write it like this:  [nodes.node1]
        "#]],
    );
}

#[test]
fn addresses_of_nodes_with_prefix_port_or_name() {
    let text = good_but("10.0.0.1\"", "10.0.0.1/24\"")
        .replace("10.0.0.2\"", "10.0.0.2:7744\"")
        .replace("10.0.0.3\"", "node3.example.com\"");
    check(
        &text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x the address of a node has no prefix, and this is `10.0.0.1/24`
               ,-[cluster.toml:8:21]
             7 | [nodes.node1]
             8 | addresses = { lan = "10.0.0.1/24", backup = "fd00::1" }
               :                     ^^^^^^^^^^^^^
             9 | [nodes.node2]
               `----
              help: write  "10.0.0.1"  (the interface already knows the prefix)

            Error:
              x the address of a node has no port, and this is `10.0.0.2:7744`
                ,-[cluster.toml:10:21]
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2:7744", backup = "fd00::2" }
                :                     ^^^^^^^^^^^^^^^
             11 | [nodes.node3]
                `----
              help: write  "10.0.0.2"  here and the port in the link's table

            Error:
              x `node3.example.com` is not an IP address
                ,-[cluster.toml:12:21]
             11 | [nodes.node3]
             12 | addresses = { lan = "node3.example.com", backup = "fd00::3" }
                :                     ^^^^^^^^^^^^^^^^^^^
             13 |
                `----
              help: write an address like  "10.0.0.1" or "fd00::1"  (names are not looked up)
        "#]],
    );
}
