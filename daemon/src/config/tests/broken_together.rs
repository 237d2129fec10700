//! Files whose values are right alone and wrong together, or that are no such file at all.

use expect_test::{Expect, expect};

use super::super::read_file;
use super::{drawn, good_but, report};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&report(text));
}

#[test]
fn a_node_without_address_on_a_link_and_on_a_link_that_is_none() {
    let text = good_but("{ lan = \"10.0.0.2\", backup =", "{ lan = \"10.0.0.2\", bakcup =");
    check(
        &text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x there is no link `bakcup` for an address of node2
                ,-[cluster.toml:10:33]
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2", bakcup = "fd00::2" }
                :                                 ^^^^^^
             11 | [nodes.node3]
                `----
              help: did you mean `backup`?
        "#]],
    );
}

#[test]
fn an_address_given_twice() {
    check(
        &good_but("10.0.0.3", "10.0.0.1"),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x 10.0.0.1 is given twice: to node1 (link lan) and to node3 (link lan)
                ,-[cluster.toml:12:21]
              7 | [nodes.node1]
              8 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
                :                     ^^^^^|^^^^
                :                          `-- first here
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2", backup = "fd00::2" }
             11 | [nodes.node3]
             12 | addresses = { lan = "10.0.0.1", backup = "fd00::3" }
                :                     ^^^^^|^^^^
                :                          `-- again here
             13 |
                `----
              help: write another address at one of the two places
        "#]],
    );
}

#[test]
fn a_service_on_the_address_of_a_node() {
    check(
        &good_but("10.0.0.100/24", "10.0.0.1/24"),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x service web uses 10.0.0.1, which belongs to node1 (link lan)
                ,-[cluster.toml:15:14]
              7 | [nodes.node1]
              8 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
                :                     ^^^^^|^^^^
                :                          `-- the node's own
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2", backup = "fd00::2" }
             11 | [nodes.node3]
             12 | addresses = { lan = "10.0.0.3", backup = "fd00::3" }
             13 |
             14 | [services.web]
             15 | addresses = ["10.0.0.1/24"]
                :              ^^^^^^|^^^^^^
                :                    `-- the service's
                `----
              help: an address of a service moves from node to node: choose one that no node has
        "#]],
    );
}

#[test]
fn two_families_on_one_link() {
    check(
        &good_but("fd00::2", "10.1.0.2"),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x link backup mixes IPv4 and IPv6
                ,-[cluster.toml:10:42]
              7 | [nodes.node1]
              8 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
                :                                          ^^^^|^^^^
                :                                              `-- IPv6
              9 | [nodes.node2]
             10 | addresses = { lan = "10.0.0.2", backup = "10.1.0.2" }
                :                                          ^^^^^|^^^^
                :                                               `-- IPv4
             11 | [nodes.node3]
                `----
              help: give all nodes addresses of one family there; a second link may use the other
                    family on the same cable
        "#]],
    );
}

#[test]
fn wishes_for_nodes_that_are_none() {
    let lines = "24\"]\nprefer = [\"node1\", \"nod2\", \"node1\", \"mars\"]";
    check(
        &good_but("24\"]", lines),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 3 problems; nothing was changed

            Error:
              x service web prefers `nod2`, and there is no such node
                ,-[cluster.toml:16:20]
             15 | addresses = ["10.0.0.100/24"]
             16 | prefer = ["node1", "nod2", "node1", "mars"]
                :                    ^^^^^^
                `----
              help: did you mean `node2`?

            Error:
              x `prefer` of service web names node1 twice
                ,-[cluster.toml:16:28]
             15 | addresses = ["10.0.0.100/24"]
             16 | prefer = ["node1", "nod2", "node1", "mars"]
                :           ^^^|^^^          ^^^|^^^
                :              |                `-- again here
                :              `-- first here
                `----
              help: the list is in order, best first: remove one of the two

            Error:
              x service web prefers `mars`, and there is no such node
                ,-[cluster.toml:16:37]
             15 | addresses = ["10.0.0.100/24"]
             16 | prefer = ["node1", "nod2", "node1", "mars"]
                :                                     ^^^^^^
                `----
              help: the nodes are: node1, node2, node3
        "#]],
    );
}

#[test]
fn a_ride_out_that_is_too_short() {
    check(
        &good_but("\"shop\"", "\"shop\"\nride-out = \"10ms\""),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x a ride-out of 10 ms is too short to be kept
               ,-[cluster.toml:3:12]
             2 | name = "shop"
             3 | ride-out = "10ms"
               :            ^^^^^^
             4 |
               `----
              help: the shortest is 20 ms; 300 ms suits most networks, 50 ms a quiet one
        "#]],
    );
}

#[test]
fn a_ride_out_that_is_too_long() {
    check(
        &good_but("\"shop\"", "\"shop\"\nride-out = \"2min\""),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x a ride-out of 2 min is too long
               ,-[cluster.toml:3:12]
             2 | name = "shop"
             3 | ride-out = "2min"
               :            ^^^^^^
             4 |
               `----
              help: the longest is 1 min: a service stays away at least that long when its node
                    dies
        "#]],
    );
}

#[test]
fn a_round_trip_that_does_not_fit() {
    check(
        &good_but("\"shop\"", "\"shop\"\nround-trip = \"120ms\""),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x a round trip of 120 ms does not fit into a ride-out of 300 ms: less than a third
              | does
               ,-[cluster.toml:3:14]
             2 | name = "shop"
             3 | round-trip = "120ms"
               :              ^^^^^^^
             4 |
               `----
              help: if the network is that slow, write  ride-out = "480ms"  or longer
        "#]],
    );
}

#[test]
fn a_port_that_is_none_and_too_many_nodes() {
    let nodes: String = (4..=17)
        .map(|n| {
            format!(
                "[nodes.node{n}]\naddresses = {{ lan = \"10.0.0.{n}\", backup = \"fd00::{n}\" }}\n"
            )
        })
        .collect();
    let text = good_but("[links.lan]", "[links.lan]\nport = 0");
    let text = text.replace("[services", &format!("{nodes}[services"));
    check(
        &text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 2 problems; nothing was changed

            Error:
              x `port = 0` is out of range in [links.lan]
               ,-[cluster.toml:5:8]
             4 | [links.lan]
             5 | port = 0
               :        ^
             6 | [links.backup]
               `----
              help: it goes from 1 to 65535, for example  port = 7744

            Error:
              x 17 nodes that vote, and 16 is the most
                ,-[cluster.toml:41:8]
             40 | addresses = { lan = "10.0.0.16", backup = "fd00::16" }
             41 | [nodes.node17]
                :        ^^^^^^
             42 | addresses = { lan = "10.0.0.17", backup = "fd00::17" }
                `----
              help: more votes make every decision slower: make the rest satellites, which serve
                    and have no vote, with  satellite = true
        "#]],
    );
}

#[test]
fn nobody_that_votes_and_a_satellite_that_is_perhaps_one() {
    let text = good_but("[nodes.node1]", "[nodes.node1]\nsatellite = true");
    let text = text.replace("[nodes.node2]", "[nodes.node2]\nsatellite = true");
    let text = text.replace("[nodes.node3]", "[nodes.node3]\nsatellite = true");
    check(
        &text,
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x every node is a satellite, and none votes
            ,-[cluster.toml:13:8]
         12 | addresses = { lan = "10.0.0.2", backup = "fd00::2" }
         13 | [nodes.node3]
            :        ^^^^^
         14 | satellite = true
            `----
          help: somebody must decide who serves: remove  satellite = true  of three of them
    "#]],
    );
    check(
        &good_but("[nodes.node1]", "[nodes.node1]\nsatellite = \"yes\""),
        expect![[r#"
        Error:
          x cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x `satellite` of [nodes.node1] must be true or false, without quotes, and this is a
          | text
           ,-[cluster.toml:8:13]
         7 | [nodes.node1]
         8 | satellite = "yes"
           :             ^^^^^
         9 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
           `----
          help: write it like this:  satellite = true
    "#]],
    );
}

#[test]
fn a_file_of_another_program() {
    let text = "totem {\n  version: 2\n  cluster_name: shop\n}\n";
    check(
        text,
        expect![[r#"
            Error:
              x cluster.toml can't be used: 4 problems; nothing was changed

            Error:
              x not TOML: key with no value, expected `=`
               ,-[cluster.toml:1:7]
             1 | totem {
               :       ^
             2 |   version: 2
               `----
              help: a line sets a key, like  site = "east" , or begins a table, like
                    [nodes.node1]

            Error:
              x not TOML: key with no value, expected `=`
               ,-[cluster.toml:2:12]
             1 | totem {
             2 |   version: 2
               :            ^
             3 |   cluster_name: shop
               `----
              help: between a key and its value stands a = , as in  site = "east"

            Error:
              x not TOML: key with no value, expected `=`
               ,-[cluster.toml:3:17]
             2 |   version: 2
             3 |   cluster_name: shop
               :                 ^
             4 | }
               `----
              help: between a key and its value stands a = , as in  site = "east"

            Error:
              x not TOML: invalid key-value pair
               ,-[cluster.toml:4:1]
             3 |   cluster_name: shop
             4 | }
               : ^
               `----
              help: a line sets a key, like  site = "east" , or begins a table, like
                    [nodes.node1]
        "#]],
    );
}

#[test]
fn a_file_that_is_not_text() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, b"[cluster]\nname = \"sh\xf6p\"\n").expect("a file for the test");
    let error = read_file(&path).expect_err("the file is refused");
    let report = drawn(&error).replace(&folder.path().display().to_string(), "FOLDER");
    expect![[r#"
        Error:
          x FOLDER/cluster.toml can't be used: 1 problem; nothing was changed

        Error:
          x the file is not text in UTF-8
           ,-[FOLDER/cluster.toml:2:11]
         1 | [cluster]
         2 | name = "sh�p"
           :           ^
           `----
          help: save the file as UTF-8; is it another file?
    "#]]
    .assert_eq(&report);
}

#[test]
fn a_file_that_is_not_there() {
    let error = read_file("/nonexistent/cluster.toml".as_ref()).expect_err("there is no such file");
    expect![[r#"
        Error:
          x can't read /nonexistent/cluster.toml; nothing was changed
          `-> No such file or directory (os error 2)
          help: name another file, or make this one readable
    "#]]
    .assert_eq(&drawn(&error));
}

#[test]
fn a_file_that_is_far_too_long() {
    check(
        &"#".repeat(2 << 20),
        expect![[r#"
            Error:
              x cluster.toml can't be used: 1 problem; nothing was changed

            Error:
              x the file is longer than 1024 KiB
               ,-[cluster.toml:1:1]
               `----
              help: is it another file? A large cluster needs a tenth of that
        "#]],
    );
}

#[test]
fn one_mistake_is_one_problem() {
    let count = |text: &str| match super::read("cluster.toml", text) {
        Ok(_) => 0,
        Err(rejected) => rejected.problems().len(),
    };
    for (piece, mistake) in [
        ("[cluster]", "[clutser]"),
        ("name =", "nmae ="),
        ("addresses =", "adresses ="),
        ("[links.lan]", "[links.lna]"),
        ("{ lan = \"10.0.0.1\"", "{ lan = \"10.0.0.257\""),
    ] {
        // The other nodes keep their addresses on the link that is called otherwise now.
        let expected = if piece == "[links.lan]" { 3 } else { 1 };
        assert_eq!(count(&good_but(piece, mistake)), expected, "{mistake}");
    }
    assert_eq!(count(&super::GOOD.replace("[nodes.", "[node.")), 1);
    assert_eq!(count(&super::GOOD.replace("[services.", "[service.")), 1);
}

#[test]
fn a_report_stays_short() {
    let text: String = (0..1_000).map(|n| format!("key{n} = 1\n")).collect();
    let rejected = super::read("cluster.toml", &text).expect_err("no key is known");
    expect!["cluster.toml can't be used: 30 problems here and 973 more; nothing was changed"]
        .assert_eq(&rejected.to_string());
}
