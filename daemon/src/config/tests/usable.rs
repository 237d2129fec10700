//! Files that can be used: what they mean, and what is remarked about them.

use std::net::IpAddr;

use expect_test::expect;
use stead_core::state::config::Safety;

use super::super::{Example, example, keys, read, read_file, render};
use super::{GOOD, drawn, good_but, report};

/// The warnings about a usable file, as a terminal without colours shows them.
fn warnings(text: &str) -> String {
    let checked = read("cluster.toml", text).expect("the file is usable");
    checked.warnings.iter().map(|warning| drawn(warning)).collect()
}

#[test]
fn the_full_form_means_what_it_says() {
    let text = r#"
        [cluster]
        name = "shop"
        ride-out = "50 ms"
        round-trip = "0.5ms"
        daemon-grace = "2min"
        [links.lan]
        port = 7000
        [links.backup]
        [nodes.node1]
        site = "east"
        addresses = { lan = "10.0.0.1", backup = "fd00::1" }
        [services.web]
        addresses = ["10.0.0.100/24", { ip = "fd00::100", prefix = 64, interface = "eth0" }]
        prefer = ["node1"]
        failback = true
        program = { command = ["/usr/sbin/nginx", "-g", "daemon off;"], stop-timeout = "1.5s" }
        monitor = { command = ["/usr/bin/curl", "\"\\\t"], interval = "1s", timeout = "90s" }
        [services.mail]
        addresses = ["10.0.0.101/24"]
        program.command = ["/usr/sbin/postfix"]
        monitor = ["/usr/bin/true"]
    "#;
    let checked = read("cluster.toml", text).expect("the file is usable");
    expect![[r#"
        [cluster]
        name = "shop"
        ride-out = "50ms"
        round-trip = "500us"
        daemon-grace = "2min"

        [links.backup]
        port = 7744

        [links.lan]
        port = 7000

        [nodes.node1]
        site = "east"
        addresses = { backup = "fd00::1", lan = "10.0.0.1" }

        [services.mail]
        addresses = ["10.0.0.101/24"]
        program = { command = ["/usr/sbin/postfix"], stop-timeout = "5s" }
        monitor = { command = ["/usr/bin/true"], interval = "1s", timeout = "2s" }

        [services.web]
        addresses = ["10.0.0.100/24", { ip = "fd00::100", prefix = 64, interface = "eth0" }]
        prefer = ["node1"]
        failback = true
        program = { command = ["/usr/sbin/nginx", "-g", "daemon off;"], stop-timeout = "1500ms" }
        monitor = { command = ["/usr/bin/curl", "\"\\\u0009"], interval = "1s", timeout = "90s" }
    "#]]
    .assert_eq(&render(&checked.config));
}

#[test]
fn a_good_file_has_no_warnings() {
    assert_eq!(warnings(GOOD), "");
}

#[test]
fn a_byte_order_mark_and_foreign_line_ends_do_no_harm() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    let checked = read("cluster.toml", &text).expect("the file is usable");
    let plain = read("cluster.toml", GOOD).expect("the file is usable");
    assert_eq!(checked.config, plain.config);
}

#[test]
fn two_nodes_one_link_and_a_failback_to_nowhere() {
    let text = r#"[cluster]
name = "shop"
[links.lan]
[nodes.node1]
addresses = { lan = "10.0.0.1" }
[nodes.node2]
addresses = { lan = "10.0.0.2" }
[services.web]
addresses = ["10.0.0.100/24"]
failback = true
"#;
    expect![[r#"
        Warning:
          ! `lan` is the only link
           ,-[cluster.toml:3:8]
         2 | name = "shop"
         3 | [links.lan]
           :        ^^^
         4 | [nodes.node1]
           `----
          help: if it breaks, every node is cut off from every other: a second link on another
                network keeps them together
        Warning:
          ! two nodes and no tie-breaker: when one dies, the survivor stops too
           ,-[cluster.toml:6:8]
         5 | addresses = { lan = "10.0.0.1" }
         6 | [nodes.node2]
           :        ^^^^^
         7 | addresses = { lan = "10.0.0.2" }
           `----
          help: one of two is no majority, and the survivor can't tell a dead peer from a cut
                cable; a third node gives it one, even a small one that runs no service, or a
                quorum server on any third machine
        Warning:
          ! `failback` of service web has no effect
            ,-[cluster.toml:10:12]
          9 | addresses = ["10.0.0.100/24"]
         10 | failback = true
            :            ^^^^
            `----
          help: it goes back to the nodes that `prefer` lists, and there is no `prefer`
    "#]]
    .assert_eq(&warnings(text));
}

#[test]
fn many_satellites_beside_three_that_vote() {
    let satellite = |n: u8| {
        format!(
            "[nodes.node{n}]\nsatellite = true\naddresses = {{ lan = \"10.0.0.{n}\", \
             backup = \"fd00::{n}\" }}\n"
        )
    };
    let satellites: String = (4..=90).map(satellite).collect();
    let text = GOOD.replace("[services", &format!("{satellites}[services"));
    assert_eq!(warnings(&text), "");
    let config = |text: &str| read("cluster.toml", text).expect("the file is usable").config;
    let many = config(&text);
    assert_eq!((many.nodes.len(), many.later.satellites.len()), (90, 87));
    assert_eq!(config(&render(&many)), many);
}

#[test]
fn four_nodes() {
    let node = "[nodes.node4]\naddresses = { lan = \"10.0.0.4\", backup = \"fd00::4\" }\n[services";
    expect![[r#"
        Warning:
          ! an even number of nodes (4): cut into two halves, both stop
            ,-[cluster.toml:14:8]
         13 |
         14 | [nodes.node4]
            :        ^^^^^
         15 | addresses = { lan = "10.0.0.4", backup = "fd00::4" }
            `----
          help: 3 nodes survive as many failures, 5 survive more, and so do 4 with a quorum
                server
    "#]]
    .assert_eq(&warnings(&good_but("[services", node)));
    let broken = format!("[quorum]\nchain = [\"majority\", \"quorum-server\"]\n{node}");
    assert_eq!(warnings(&good_but("[services", &broken)), "", "something breaks ties");
}

#[test]
fn the_first_file_is_usable_as_it_is() {
    let lan = ("lan", IpAddr::from([10, 0, 0, 1]));
    let one = example(&Example { cluster: "shop", node: "node1", links: &[lan] });
    expect![[r##"
        # The cluster, as every node sees it. After a change:
        #   stead plan FILE     says what would change
        #   stead apply FILE    changes it on all nodes at once

        [cluster]
        name = "shop"
        # How long a stall of the network or of a processor is survived without a failover.
        # A service whose node dies stays away a little longer than this.
        ride-out = "300ms"

        # A link is a network on which every node has an address. Heartbeats use all of them.
        [links.lan]
        # A second link on other cables keeps the nodes together when this one breaks.
        # [links.backup]

        [nodes.node1]
        addresses = { lan = "10.0.0.1" }

        # What switches this machine off when it is lost, so that its file systems and databases may
        # start elsewhere. Agents: stead fence agents. To try it: stead fence test node1
        # fence = ["bmc-node1"]
        # [fencing.devices.bmc-node1]
        # agent = "fence_ipmilan"
        # parameters = { ip = "...", username = "...", lanplus = true, cipher = 3 }
        # secrets = { password = "/etc/stead/secrets/bmc-node1" }

        # Three nodes survive the loss of any one. With two, the survivor of a failure stops.
        # [nodes.OTHER]
        # addresses = { lan = "..." }

        # A service is one or more addresses that move together, and the program behind them.
        # The addresses belong to no machine; behind the / is the prefix of their network.
        # [services.web]
        # addresses = ["10.0.0.100/24"]
        # The program stays in the foreground; its arguments pass through no shell.
        # program = ["/usr/sbin/nginx", "-g", "daemon off;"]
        # The service works as long as this ends with status 0.
        # monitor = ["/usr/bin/curl", "-fsS", "http://10.0.0.100/"]

        # Who is asked whether the services' network works. A node that has no answers while others
        # have them gives its services up. Here: each node's own gateway.
        # [networks.front]
        # prefix = "10.0.0.0/24"
        # gateway = true
    "##]]
    .assert_eq(&one);
    expect![[r#"
        Warning:
          ! `lan` is the only link
            ,-[cluster.toml:12:8]
         11 | # A link is a network on which every node has an address. Heartbeats use all of them.
         12 | [links.lan]
            :        ^^^
         13 | # A second link on other cables keeps the nodes together when this one breaks.
            `----
          help: if it breaks, every node is cut off from every other: a second link on another
                network keeps them together
        Warning:
          ! a cluster of one node: nothing can take over from it
            ,-[cluster.toml:16:8]
         15 |
         16 | [nodes.node1]
            :        ^^^^^
         17 | addresses = { lan = "10.0.0.1" }
            `----
          help: three nodes survive the loss of any one of them
    "#]]
    .assert_eq(&warnings(&one));
    let backup = ("backup", "fd00::1".parse().expect("an address"));
    let two = example(&Example { cluster: "shop", node: "node1", links: &[lan, backup] });
    let checked = read("cluster.toml", &two).expect("the file is usable");
    assert_eq!(checked.config.links.len(), 2);
}

#[test]
fn the_comments_of_the_first_file_are_usable_once_filled_in() {
    let lan = ("lan", IpAddr::from([10, 0, 0, 1]));
    let text = example(&Example { cluster: "shop", node: "node1", links: &[lan] });
    let uncomment = |line: &str| {
        let inner = line.strip_prefix("# ").unwrap_or(line);
        let code = inner.starts_with('[') || inner.contains(" = ");
        format!("{}\n", if code { inner } else { line })
    };
    let text: String = text.lines().map(uncomment).collect();
    let text = text.replace("[nodes.OTHER]", "[nodes.node2]").replace("[links.backup]", "");
    let text = text.replace("\"...\"", "\"10.0.0.2\"");
    let checked = read("cluster.toml", &text).expect("the file is usable");
    assert_eq!(checked.config.nodes.len(), 2);
    assert_eq!(checked.config.services.len(), 1);
}

#[test]
fn problems_as_data() {
    let text = good_but("\"shop\"", "\"sh\u{f6}p\" # \u{f6}");
    let rejected = read("cluster.toml", &text).expect_err("the name is refused");
    let json = serde_json::to_string_pretty(rejected.problems()).expect("problems are plain data");
    expect![[r#"
        [
          {
            "severity": "error",
            "file": "cluster.toml",
            "line": 2,
            "column": 8,
            "message": "the name of the cluster has characters other than a to z, 0 to 9 and -",
            "help": "for example  sh-p"
          }
        ]"#]]
    .assert_eq(&json);
}

#[test]
fn a_file_on_disk_is_read_like_its_text() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, GOOD).expect("a file for the test");
    let checked = read_file(&path).expect("the file is usable");
    assert_eq!(checked.config, read("cluster.toml", GOOD).expect("the file is usable").config);
}

#[test]
fn the_reference_shows_a_usable_file_and_names_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/cluster.toml.md");
    let reference = std::fs::read_to_string(path).expect("the reference of the file");
    let example = reference.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(warnings(example.expect("an example in the reference")), "");
    for (place, keys) in keys::HOMES {
        for key in keys {
            let row = format!("| `{}` |", key.name);
            assert!(reference.contains(&row), "the reference has no `{}` of {place}", key.name);
        }
    }
}

/// The blocks of a page that are whole files.
fn files_in(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.filter(|it| ["[cluster]", "[links.", "[nodes."].iter().all(|table| it.contains(table)))
}

#[test]
fn every_whole_file_in_the_book_can_be_used() {
    let book = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut known = 0;
    for folder in ["how-to", "reference", "concepts"] {
        for page in std::fs::read_dir(book.join(folder)).expect("it is there") {
            let page = page.expect("it can be read").path();
            if page.extension().is_none_or(|it| it != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&page).expect("it can be read");
            for file in files_in(&text) {
                let read = read("cluster.toml", file);
                assert!(read.is_ok(), "{}: {}", page.display(), report(file));
                known += 1;
            }
        }
    }
    assert!(known >= 3, "{known} files");
}

#[test]
fn what_stays_with_a_lost_node_is_told() {
    let mount = "[[services.web.resources]]\nname = \"data\"\nocf = \"heartbeat:Filesystem\"\n";
    let text = format!("{GOOD}{mount}");
    expect![[r#"
        Warning:
          ! service `web` stays with a node that is lost until that is proven to be off, for
          | the sake of `data`
            ,-[cluster.toml:16:1]
         15 | addresses = ["10.0.0.100/24"]
         16 | [[services.web.resources]]
            : ^^^^^^^^^^^^^^^^^^^^^^^^^^
         17 | name = "data"
            `----
          help: let a device switch it off, with  fence = ["DEVICE"]  in its table. Else the
                proof is that the node is back, or your word  stead fence confirm-off NODE
                --reason TEXT. If two nodes may touch it at once without harm:  safety =
                "lease"
    "#]]
    .assert_eq(&warnings(&text));
    let checked = read("cluster.toml", &text).expect("it can be used");
    assert_eq!(checked.config.safety(&"web".into()), Safety::Fence);

    let lease = format!("{text}safety = \"lease\"\n");
    assert_eq!(warnings(&lease), "");
    let checked = read("cluster.toml", &lease).expect("it can be used");
    assert_eq!(checked.config.safety(&"web".into()), Safety::Lease);
}
