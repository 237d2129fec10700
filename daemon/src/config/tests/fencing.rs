//! How nodes are fenced: what can stand there, and what the operator is told of changes.

use expect_test::expect;
use stead_core::state::config::{AfterFence, Config, FenceAgent};
use stead_core::time::Span;

use super::{GOOD, drawn};
use crate::config::{differences, read, render};

/// Devices of every kind.
pub(super) const DEVICES: &str = r#"
[fencing.devices.bmc1]
agent = "fence_ipmilan"
parameters = { ip = "10.0.0.5", username = "ADMIN", lanplus = true, cipher = 3 }
secrets = { password = "/etc/stead/secrets/bmc1" }
[fencing.devices.pdu-a]
agent = "fence_apc"
parameters = { ip = "10.0.0.7", username = "apc" }
timeout = "45s"
retries = 0
[fencing.devices.vm]
exec = ["/usr/local/bin/vm-power", "host 5"]
[fencing.devices.cloud]
webhook = "http://10.0.0.9:8080/power"
secret = "/etc/stead/secrets/cloud"
"#;

/// The good file with keys of its three nodes, and these tables.
pub(super) fn file(nodes: [&str; 3], tables: &str) -> String {
    let mut text = GOOD.to_owned();
    for (number, keys) in nodes.into_iter().enumerate() {
        let head = format!("[nodes.node{}]\n", number + 1);
        text = text.replacen(&head, &format!("{head}{keys}\n"), 1);
    }
    text + tables
}

fn usable() -> String {
    let nodes = [
        "fence = [[\"pdu-a:3\", \"vm\"], [\"bmc1\"]]\nfence-rehearse = \"7d\"\nwatchdog = true",
        "fence = [\"cloud:vm-2\"]\nfence-after = \"stay-off\"",
        "fence = [\"vm\", \"pdu-a:4:b\"]\nfence-rehearse = \"90min\"",
    ];
    file(nodes, DEVICES)
}

#[test]
fn all_that_can_be_said_is_read_and_written_again() {
    let checked = read("cluster.toml", &usable()).expect("usable");
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    let config = checked.config;
    let fencing = config.fencing("node1").expect("fenced");
    assert_eq!(fencing.levels.len(), 2);
    assert_eq!(fencing.levels[0][0].plug.as_deref(), Some("3"));
    assert_eq!(fencing.rehearse, Some(Span::from_millis(7 * 86_400_000)));
    assert!(fencing.watchdog && fencing.after == AfterFence::On);
    let other = config.fencing("node3").expect("fenced");
    assert_eq!(other.levels[0][1].plug.as_deref(), Some("4:b"), "only the first colon parts");
    let bmc = &config.later.fencing.devices["bmc1"];
    assert_eq!((bmc.timeout, bmc.retries), (Span::from_millis(20_000), 1));
    let FenceAgent::Agent { parameters, .. } = &bmc.agent else { panic!("{bmc:?}") };
    assert_eq!((parameters["lanplus"].as_str(), parameters["cipher"].as_str()), ("true", "3"));
    let text = render(&config);
    assert_eq!(read("again", &text).expect("what was rendered").config, config);
    let (_, tail) = text.split_once("[nodes.node1]\n").expect("a node");
    expect![[r#"
        addresses = { backup = "fd00::1", lan = "10.0.0.1" }
        fence = [["pdu-a:3", "vm"], ["bmc1"]]
        fence-rehearse = "7d"
        watchdog = true

        [nodes.node2]
        addresses = { backup = "fd00::2", lan = "10.0.0.2" }
        fence = ["cloud:vm-2"]
        fence-after = "stay-off"

        [nodes.node3]
        addresses = { backup = "fd00::3", lan = "10.0.0.3" }
        fence = ["vm", "pdu-a:4:b"]
        fence-rehearse = "90min"

        [services.web]
        addresses = ["10.0.0.100/24"]

        [fencing.devices.bmc1]
        agent = "fence_ipmilan"
        parameters = { cipher = "3", ip = "10.0.0.5", lanplus = "true", username = "ADMIN" }
        secrets = { password = "/etc/stead/secrets/bmc1" }
        timeout = "20s"
        retries = 1

        [fencing.devices.cloud]
        webhook = "http://10.0.0.9:8080/power"
        secret = "/etc/stead/secrets/cloud"
        timeout = "20s"
        retries = 1

        [fencing.devices.pdu-a]
        agent = "fence_apc"
        parameters = { ip = "10.0.0.7", username = "apc" }
        timeout = "45s"
        retries = 0

        [fencing.devices.vm]
        exec = ["/usr/local/bin/vm-power", "host 5"]
        timeout = "20s"
        retries = 1
    "#]]
    .assert_eq(tail);
}

#[test]
fn a_node_without_any_of_it_is_not_fenced() {
    let config = read("cluster.toml", GOOD).expect("usable").config;
    assert_eq!(config.later.fencing, Default::default());
    let only = file(["watchdog = true", "fence-after = \"on\"\nfence = [\"vm\"]", ""], DEVICES);
    let config = read("cluster.toml", &only).expect("usable").config;
    assert!(config.fencing("node1").is_some_and(|it| it.watchdog && it.levels.is_empty()));
    assert!(config.fencing("node2").is_some() && config.fencing("node3").is_none());
}

#[test]
fn a_device_that_nobody_uses_and_one_that_switches_nothing() {
    let tables = "[fencing.devices.d]\nagent = \"fence_dummy\"\n";
    let checked = read("cluster.toml", &file(["", "fence = [\"d\"]", ""], tables)).expect("usable");
    let told: String = checked.warnings.iter().map(|warning| drawn(warning)).collect();
    let checked = read("cluster.toml", &file([""; 3], tables)).expect("usable");
    let unused: String = checked.warnings.iter().map(|warning| drawn(warning)).collect();
    expect![[r#"
        Warning:
          ! fence_dummy switches nothing
            ,-[cluster.toml:20:9]
         19 | [fencing.devices.d]
         20 | agent = "fence_dummy"
            :         ^^^^^^^^^^^^^
            `----
          help: it is for trials: it only keeps a file, and no node is off because of that
        Warning:
          ! no node is fenced by device `d`
            ,-[cluster.toml:19:18]
         18 | addresses = ["10.0.0.100/24"]
         19 | [fencing.devices.d]
            :                  ^
         20 | agent = "fence_dummy"
            `----
          help: add it to a node's table:  fence = ["d"]
        Warning:
          ! fence_dummy switches nothing
            ,-[cluster.toml:20:9]
         19 | [fencing.devices.d]
         20 | agent = "fence_dummy"
            :         ^^^^^^^^^^^^^
            `----
          help: it is for trials: it only keeps a file, and no node is off because of that
    "#]]
    .assert_eq(&(told + &unused));
}

#[test]
fn what_waits_for_a_proof_is_told_while_a_node_can_not_be_fenced() {
    let service = r#"
[[services.web.resources]]
name = "data"
ocf = "heartbeat:Filesystem"
"#;
    let told = |nodes: [&str; 3]| {
        // The service is the last table of the good file.
        let text = file(nodes, &format!("{service}{DEVICES}"));
        let checked = read("cluster.toml", &text).expect("usable");
        let of_service = |text: &String| text.contains("service `web`");
        let told = checked.warnings.iter().map(ToString::to_string).filter(of_service);
        told.collect::<Vec<_>>().join("\n")
    };
    let vm = "fence = [\"vm\"]";
    let rest = "until that is proven to be off, for the sake of `data`";
    let all = format!("service `web` stays with a node that is lost {rest}");
    assert_eq!(told(["", "", ""]), all);
    let some = format!("service `web` stays with node2 or node3, if that is lost, {rest}");
    assert_eq!(told([vm, "", ""]), some);
    assert_eq!(told([vm, vm, "watchdog = true"]), "");
}

#[test]
fn changes_in_the_operators_words() {
    let old = read("cluster.toml", &usable()).expect("usable").config;
    let nodes = [
        "fence = [\"bmc1\"]\nfence-rehearse = \"1d\"",
        "fence = [\"cloud:vm-2\"]",
        "fence = [\"new\"]\nfence-rehearse = \"90min\"",
    ];
    let tables = DEVICES
        .replace("cipher = 3", "cipher = 17, privlvl = \"operator\"")
        .replace("secrets/bmc1", "secrets/bmc")
        .replace("timeout = \"45s\"\nretries = 0\n", "")
        .replace("exec = [\"/usr/local/bin/vm-power\", \"host 5\"]", "agent = \"fence_virsh\"")
        .replace(":8080/power\"\nsecret = \"/etc/stead/secrets/cloud\"", ":8080/off\"")
        + "[fencing.devices.new]\nexec = [\"/usr/local/bin/vm-power\", \"host 6\"]\n";
    let new = read("cluster.toml", &file(nodes, &tables)).expect("usable").config;
    let told = |old: &Config, new: &Config| {
        let lines = differences(old, new).into_iter().map(|it| format!("{it}\n"));
        lines.collect::<String>()
    };
    expect![[r#"
        fence device bmc1: parameter cipher, parameter privlvl, secret password changed
        fence device cloud: http://10.0.0.9:8080/power -> http://10.0.0.9:8080/off
        fence device cloud: secret changed
        fence device new: added, /usr/local/bin/vm-power "host 6"
        fence device pdu-a: timeout, retries changed
        fence device vm: /usr/local/bin/vm-power "host 5" -> fence_virsh
        node node1: fenced by: pdu-a:3 and vm, else bmc1 -> bmc1
        node node1: fencing rehearsed: every 7 days -> every day
        node node1: its armed watchdog is a proof: yes -> no
        node node2: after it was fenced: it stays off -> it is switched on
        node node3: fenced by: vm and pdu-a:4:b -> new
    "#]]
    .assert_eq(&told(&old, &new));
    expect![[r#"
        fence device bmc1: removed
        fence device cloud: removed
        fence device new: removed
        fence device pdu-a: removed
        fence device vm: removed
        node node1: fenced by: bmc1 -> nothing
        node node1: fencing rehearsed: every day -> never
        node node2: fenced by: cloud:vm-2 -> nothing
        node node3: fenced by: new -> nothing
        node node3: fencing rehearsed: every 90 min -> never
    "#]]
    .assert_eq(&told(&new, &read("cluster.toml", GOOD).expect("usable").config));
    assert_eq!(told(&old, &old), "");
}
