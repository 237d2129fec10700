//! Rules of placement: what can stand there, and what the operator is told of changes.

use std::collections::BTreeMap;

use expect_test::expect;
use stead_core::state::config::{NodeRules, Place, ServiceRules, Strength};
use stead_core::state::{Change, PROTOCOL_0_2, PROTOCOL_0_7};

use super::fencing::file;
use super::{GOOD, drawn};
use crate::config::{differences, read, render};

const NODES: [&str; 3] = [
    "site = \"east\"\nlabels = { rack = \"r1\", disk = \"ssd\" }\n\
     capacity = { memory = 64, cpu = 16 }",
    "site = \"west\"\nlabels = { rack = \"r2\" }\n\
     capacity = { memory = 0x20, cpu = 1_000_000_000_000 }",
    "capacity = { cpu = 0, memory = 128 }",
];

const SERVICES: &str = r#"prefer = ["node2", "site = east", "disk=ssd"]
only = ["rack=r1", "node2"]
never = ["node3"]
uses = { memory = 8, cpu = 0 }
together = { cache = 30, queue = "must" }
apart = ["db1", "db2"]
apart-by = "rack"

[services.cache]
addresses = ["10.0.0.101/24"]
uses = { memory = 1 }

[services.queue]
addresses = ["10.0.0.102/24"]
together = ["web"]

[services.db1]
addresses = ["10.0.0.103/24"]
apart = { db2 = 100 }
apart-by = "site"
prefer = []
never = []

[services.db2]
addresses = ["10.0.0.104/24"]
"#;

fn others<const N: usize>(
    others: [(&str, Strength); N],
) -> BTreeMap<stead_core::id::ServiceId, Strength> {
    others.into_iter().map(|(name, strength)| (name.into(), strength)).collect()
}

fn amounts<const N: usize>(amounts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    amounts.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect()
}

#[test]
fn all_that_can_be_said_is_read_and_written_again() {
    let checked = read("cluster.toml", &file(NODES, SERVICES)).expect("usable");
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    let config = checked.config;
    let rules = &config.later.fencing.rules;
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let node1 = NodeRules {
        labels: [("rack", "r1"), ("disk", "ssd")].map(text).into(),
        capacity: amounts([("memory", 64), ("cpu", 16)]),
    };
    assert_eq!(rules.nodes["node1"], node1);
    let most = amounts([("memory", 32), ("cpu", 1_000_000_000_000)]);
    assert_eq!(rules.nodes["node2"].capacity, most);
    let web = ServiceRules {
        only: vec![Place::of("rack=r1"), Place::of("node2")],
        never: vec![Place::of("node3")],
        uses: amounts([("memory", 8), ("cpu", 0)]),
        together: others([("cache", Strength::Rather(30)), ("queue", Strength::Must)]),
        apart: others([("db1", Strength::Must), ("db2", Strength::Must)]),
        apart_by: Some("rack".to_owned()),
        ..ServiceRules::default()
    };
    assert_eq!(config.rules(&"web".into()), Some(&web));
    let db1 = ServiceRules {
        apart: others([("db2", Strength::Rather(100))]),
        apart_by: Some("site".to_owned()),
        ..ServiceRules::default()
    };
    assert_eq!(config.rules(&"db1".into()), Some(&db1));
    assert_eq!(rules.services.len(), 4, "db2 says nothing");
    let prefer = &config.services[&"web".into()].prefer;
    assert_eq!(prefer, &["node2", "site=east", "disk=ssd"], "in one form");
    let again = read("again", &render(&config)).expect("what was written is read").config;
    assert_eq!(again, config);
    expect![[r#"
        addresses = ["10.0.0.100/24"]
        prefer = ["node2", "site=east", "disk=ssd"]
        only = ["rack=r1", "node2"]
        never = ["node3"]
        uses = { cpu = 0, memory = 8 }
        together = { cache = 30, queue = "must" }
        apart = ["db1", "db2"]
        apart-by = "rack"
    "#]]
    .assert_eq(render(&config).split_once("[services.web]\n").expect("it is there").1);
}

#[test]
fn only_members_of_0_7_are_given_rules() {
    let needed = |text: &str| {
        let config = read("cluster.toml", text).expect("usable").config;
        Change::Configure { base: 1, config }.protocol()
    };
    let nobody = [""; 3];
    assert_eq!(needed(GOOD), PROTOCOL_0_2);
    assert_eq!(needed(&file(nobody, "prefer = [\"node1\"]\n")), PROTOCOL_0_2);
    assert_eq!(needed(&file(nobody, "only = [\"node1\"]\n")), PROTOCOL_0_7);
    let east = ["site = \"east\"", "", ""];
    assert_eq!(needed(&file(east, "prefer = [\"site=east\"]\n")), PROTOCOL_0_7);
    assert_eq!(needed(&file(["labels = { disk = \"ssd\" }", "", ""], "")), PROTOCOL_0_7);
}

#[test]
fn changes_are_told_in_words() {
    let [old, new] = [GOOD, &file(NODES, SERVICES)]
        .map(|text| read("cluster.toml", text).expect("usable").config);
    let lines = |changes: Vec<crate::config::Difference>| {
        changes.iter().map(|change| format!("{change}\n")).collect::<String>()
    };
    expect![[r#"
        node node1: site: none -> east
        node node2: site: none -> west
        service cache: added, 10.0.0.101/24
        service db1: added, 10.0.0.103/24
        service db2: added, 10.0.0.104/24
        service queue: added, 10.0.0.102/24
        service web: prefers: any node -> node2, site=east, disk=ssd
        node node1: labels: none -> disk=ssd, rack=r1
        node node1: capacity: none -> 16 of cpu, 64 of memory
        node node2: labels: none -> rack=r2
        node node2: capacity: none -> 1000000000000 of cpu, 32 of memory
        node node3: capacity: none -> 0 of cpu, 128 of memory
        service cache: uses: nothing -> 1 of memory
        service db1: apart from: none -> db2 (rather, 100)
        service db1: apart by: node -> site
        service queue: together with: none -> web
        service web: only on: any node -> rack=r1, node2
        service web: never on: none -> node3
        service web: uses: nothing -> 0 of cpu, 8 of memory
        service web: together with: none -> cache (rather, 30), queue
        service web: apart from: none -> db1, db2
        service web: apart by: node -> rack
    "#]]
    .assert_eq(&lines(differences(&old, &new)));
    expect![[r#"
        node node1: site: east -> none
        node node2: site: west -> none
        service cache: removed; it stops everywhere
        service db1: removed; it stops everywhere
        service db2: removed; it stops everywhere
        service queue: removed; it stops everywhere
        service web: prefers: node2, site=east, disk=ssd -> any node
        node node1: labels: disk=ssd, rack=r1 -> none
        node node1: capacity: 16 of cpu, 64 of memory -> none
        node node2: labels: rack=r2 -> none
        node node2: capacity: 1000000000000 of cpu, 32 of memory -> none
        node node3: capacity: 0 of cpu, 128 of memory -> none
        service web: only on: rack=r1, node2 -> any node
        service web: never on: node3 -> none
        service web: uses: 0 of cpu, 8 of memory -> nothing
        service web: together with: cache (rather, 30), queue -> none
        service web: apart from: db1, db2 -> none
        service web: apart by: rack -> node
    "#]]
    .assert_eq(&lines(differences(&new, &old)));
    assert_eq!(differences(&new, &new), []);
}

#[test]
fn what_nobody_uses_is_told() {
    let checked = read("cluster.toml", &file(NODES, "uses = { cpu = 2 }\n")).expect("usable");
    expect![[r#"
        Warning:
          ! nodes have `memory`, and no service uses it
            ,-[cluster.toml:10:14]
          9 | labels = { rack = "r1", disk = "ssd" }
         10 | capacity = { memory = 64, cpu = 16 }
            :              ^^^^^^
         11 | addresses = { lan = "10.0.0.1", backup = "fd00::1" }
            `----
          help: it has no effect: say how much services use, with  uses = { memory = 8 }  in
                their tables, or remove it
    "#]]
    .assert_eq(&checked.warnings.iter().map(|it| drawn(it)).collect::<String>());
}

#[test]
fn rules_that_may_be_broken_are_no_mistake() {
    let services = r#"together = { db = 100 }
apart = { db = 100 }
only = ["node1"]
prefer = ["node2"]
[services.db]
addresses = ["10.0.0.101/24"]
only = ["node2"]
apart = { web = 1, cache = 1, queue = 1, mail = 1 }
[services.cache]
addresses = ["10.0.0.102/24"]
apart = { queue = 1, mail = 1, web = 1 }
[services.queue]
addresses = ["10.0.0.103/24"]
apart = { mail = 1, web = 1 }
[services.mail]
addresses = ["10.0.0.104/24"]
"#;
    assert!(read("cluster.toml", &file([""; 3], services)).is_ok());
}

const TIMES: &str = r#"
[times.night]
from = "22:00"
to = "06:30"
zone = "Europe/Berlin"

[times.weekend]
days = ["sun", "sat"]
"#;

#[test]
fn rules_for_times_are_read_and_written_again() {
    let web = "prefer = [\"node1\"]\nfailback = \"night\"\n\
               [services.web.during.weekend]\nprefer = [\"node2\"]\nnever = []\n\
               [services.web.during.night]\nonly = [\"rack=r1\"]\n";
    let text = format!("{}{TIMES}", file(NODES, web));
    let config = read("cluster.toml", &text).expect("usable").config;
    let again = read("again", &render(&config)).expect("what was written is read").config;
    assert_eq!(again, config);
    let written = render(&config);
    expect![[r#"
        addresses = ["10.0.0.100/24"]
        prefer = ["node1"]
        failback = "night"

        [services.web.during.night]
        only = ["rack=r1"]

        [services.web.during.weekend]
        prefer = ["node2"]
        never = []

        [times.night]
        from = "22:00"
        to = "06:30"
        zone = "Europe/Berlin"

        [times.weekend]
        days = ["sat", "sun"]
        from = "00:00"
        to = "24:00"
        zone = "UTC"
    "#]]
    .assert_eq(written.split_once("[services.web]\n").expect("it is there").1);
    assert_eq!(Change::Configure { base: 1, config: config.clone() }.protocol(), PROTOCOL_0_7);
    let plain = read("cluster.toml", &file(NODES, "prefer = [\"node1\"]\nfailback = true"));
    let changes = differences(&plain.expect("usable").config, &config);
    let changes: Vec<_> = changes.into_iter().map(|it| it.what).collect();
    expect![[r#"
        service web: failback: yes -> no
        time night: open: never -> every day 22:00 to 06:30 (Europe/Berlin)
        time weekend: open: never -> sat, sun 00:00 to 24:00 (UTC)
        service web: failback at: no time of its own -> night
        service web: by times: the same -> night (only on rack=r1), weekend (rather on node2;
        never on none)"#]]
    .assert_eq(&changes.join("\n").replace("; never", ";\nnever"));
}
