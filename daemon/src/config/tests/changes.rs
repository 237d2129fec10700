//! What `apply` would change, as `stead plan` prints it.

use expect_test::{Expect, expect};
use stead_core::state::config::Config;

use super::super::{differences, read};
use super::{GOOD, good_but};

fn config(text: &str) -> Config {
    read("cluster.toml", text).expect("the file is usable").config
}

/// The changes from the good file, one a line, with the reason of those that are refused while
/// node1 to node3 are members.
fn check(new: &str, expected: Expect) {
    let line = |change: &super::super::Difference| {
        let refusal = change.refusal(|node| matches!(node, "node1" | "node2" | "node3"));
        match refusal {
            Some(reason) => format!("{change}\n  refused: {reason}\n"),
            None => format!("{change}\n"),
        }
    };
    let changes = differences(&config(GOOD), &config(new));
    expected.assert_eq(&changes.iter().map(line).collect::<String>());
}

#[test]
fn nothing_changes() {
    check(GOOD, expect![[""]]);
}

#[test]
fn values_of_the_cluster() {
    let lines = "\"store\"\nride-out = \"100ms\"\nround-trip = \"1ms\"\ndaemon-grace = \"1min\"";
    check(
        &good_but("\"shop\"", lines),
        expect![[r#"
        name of the cluster: shop -> store
        ride-out: 300 ms -> 100 ms
        round-trip: 2 ms -> 1 ms
        daemon-grace: 10 s -> 1 min
    "#]],
    );
}

#[test]
fn satellites() {
    check(
        &good_but("[nodes.node3]", "[nodes.node3]\nsatellite = true"),
        expect![[r#"
        node node3: a satellite, without a vote
    "#]],
    );
    let other = "[nodes.node4]\nsatellite = true\n\
                 addresses = { lan = \"10.0.0.4\", backup = \"fd00::4\" }\n[services";
    check(
        &good_but("[services", other),
        expect![[r#"
        node node4: added, fd00::4 on backup, 10.0.0.4 on lan; it may join
        node node4: a satellite, without a vote
    "#]],
    );
}

#[test]
fn services() {
    let lines = r#"[services.web]
addresses = ["10.0.0.101/24", "10.0.0.102/24"]
program = ["/usr/sbin/nginx", "-g", "daemon off;"]
monitor = ["/usr/bin/true"]
prefer = ["node2", "node1"]
failback = true
[services.mail]"#;
    check(
        &good_but("[services.web]", lines),
        expect![[r#"
            service mail: added, 10.0.0.100/24
            service web: address 10.0.0.100/24 removed
            service web: address 10.0.0.101/24 added
            service web: address 10.0.0.102/24 added
            service web: program added, /usr/sbin/nginx -g "daemon off;"; it starts
            service web: prefers: any node -> node2, node1
            service web: failback: no -> yes
            service web: monitor added, /usr/bin/true
        "#]],
    );
    check(
        &good_but("services.web", "services.mail"),
        expect![[r#"
        service mail: added, 10.0.0.100/24
        service web: removed; it stops everywhere
    "#]],
    );
}

#[test]
fn details_of_a_service() {
    let with = |lines: &str| config(&good_but("[\"10.0.0.100/24\"]", lines));
    let old = with(
        "[\"10.0.0.100/24\"]\nprogram = [\"/bin/a\"]\nmonitor = [\"/bin/b\"]\nprefer = [\"node1\"]",
    );
    let new = with(
        "[{ ip = \"10.0.0.100\", prefix = 16, interface = \"eth1\" }]\n\
         program = { command = [\"/bin/a\", \"two words\", \"\"], stop-timeout = \"9s\" }\n\
         monitor = { command = [\"/bin/c\"], interval = \"2s\", timeout = \"1500ms\" }",
    );
    let words =
        |old, new| differences(old, new).iter().map(|c| format!("{c}\n")).collect::<String>();
    expect![[r#"
        service web: address 10.0.0.100/24 -> 10.0.0.100/16 on eth1
        service web: program /bin/a -> /bin/a "two words" ""; it restarts
        service web: program's stop-timeout: 5 s -> 9 s
        service web: prefers: node1 -> any node
        service web: monitor: /bin/b -> /bin/c
        service web: monitor's interval: 1 s -> 2 s
        service web: monitor's timeout: 2 s -> 1500 ms
    "#]]
    .assert_eq(&words(&old, &new));
    expect![[r#"
        service web: address 10.0.0.100/16 on eth1 -> 10.0.0.100/24
        service web: program removed; it stops
        service web: monitor removed
    "#]]
    .assert_eq(&words(&new, &config(GOOD)));
}

#[test]
fn nodes_and_links() {
    let text = GOOD
        .replace("node3]", "node4]\nsite = \"east\"")
        .replace("10.0.0.2", "10.0.0.22")
        .replace("[links.lan]", "[links.lan]\nport = 7000")
        .replace("backup", "dmz");
    check(
        &text,
        expect![[r#"
            link backup: removed
              refused: every member has to keep one link as it is: change one link at a time
            link dmz: added, port 7744
            link lan: port 7744 -> 7000
              refused: every member has to keep one link as it is: change one link at a time
            node node2: on link lan 10.0.0.2 -> 10.0.0.22
              refused: every member has to keep one link as it is: change one link at a time
            node node3: removed
              refused: it is a member and has a vote: `stead leave` first, then apply
            node node4: added, fd00::3 on dmz, 10.0.0.3 on lan; it may join
        "#]],
    );
}

#[test]
fn changes_as_data() {
    let text = good_but("10.0.0.2", "10.0.0.22").replace("web", "mail");
    let changes = differences(&config(GOOD), &config(&text));
    let json = serde_json::to_string_pretty(&changes).expect("changes are plain data");
    expect![[r#"
        [
          {
            "what": "node node2: on link lan 10.0.0.2 -> 10.0.0.22",
            "live": "yes"
          },
          {
            "what": "service mail: added, 10.0.0.100/24",
            "live": "yes"
          },
          {
            "what": "service web: removed; it stops everywhere",
            "live": "yes"
          }
        ]"#]]
    .assert_eq(&json);
}

#[test]
fn networks() {
    let front = "[networks.front]\nprefix = \"10.0.0.0/24\"\ngateway = true\n";
    let both = format!("{GOOD}{front}addresses = [\"10.0.0.9\"]\n");
    check(
        &both,
        expect![[r#"
        network front: added, 10.0.0.0/24, asks the gateway, 10.0.0.9
    "#]],
    );
    let old = config(&format!("{GOOD}{front}"));
    let lines = |new: &str| {
        let changes = differences(&old, &config(new));
        changes.iter().map(|change| format!("{change}\n")).collect::<String>()
    };
    expect![[r#"
        network front: asks: the gateway -> the gateway, 10.0.0.9
    "#]]
    .assert_eq(&lines(&both));
    let other =
        both.replace("gateway = true", "interface = \"eth1\"").replace("/24\"\ni", "/25\"\ni");
    expect![[r#"
        network front: prefix: 10.0.0.0/24 -> 10.0.0.0/25
        network front: asks: the gateway -> 10.0.0.9
        network front: interface: found by itself -> eth1
    "#]]
    .assert_eq(&lines(&other));
    expect![[r#"
        network front: removed; nobody is asked whether it works any more
    "#]]
    .assert_eq(&lines(GOOD));
}
