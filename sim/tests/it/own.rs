//! Configurations given from outside, as an operator's file has them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use stead_core::id::ServiceId;
use stead_core::quorum::chain::{Chain, Module};
use stead_core::state::config::{
    Agent, Config, ConfigLater, ConfigMore, NodeConfig, NodeFencing, Program, ResourceConfig,
    ResourceTimes, Safety, ServiceAddress, ServiceConfig, ServiceMore, Stuck,
};
use stead_core::time::Span;
use stead_sim::fault::{Act, Kind, Target};
use stead_sim::own::{Own, Sum, TooMuch, retell, run};
use stead_sim::plan::Plan;
use stead_sim::world::{Dogs, Halt, World};

fn service(number: u8) -> ServiceConfig {
    let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100 + number));
    ServiceConfig {
        addresses: vec![ServiceAddress { ip, prefix: 24, interface: None }],
        program: Some(Program {
            command: vec!["/usr/bin/shop".into()],
            stop_timeout: Span::from_millis(10_000),
        }),
        ..ServiceConfig::default()
    }
}

/// Nodes of these names and sites, with these services.
pub(crate) fn config(nodes: &[(&str, Option<&str>)], services: &[&str]) -> Config {
    let node = |(name, site): &(&str, Option<&str>)| {
        let site = site.map(str::to_owned);
        ((*name).to_owned(), NodeConfig { site, addresses: BTreeMap::new() })
    };
    let one = |(number, name): (usize, &&str)| {
        (ServiceId((*name).to_owned()), service(u8::try_from(number).unwrap()))
    };
    Config {
        name: "shop".into(),
        ride_out: Span::from_millis(300),
        round_trip: Span::from_millis(1),
        daemon_grace: Span::from_millis(10_000),
        links: BTreeMap::new(),
        nodes: nodes.iter().map(node).collect(),
        services: services.iter().enumerate().map(one).collect(),
        more: ConfigMore::default(),
        later: ConfigLater::default(),
    }
}

pub(crate) fn sum(config: &Config, seeds: std::ops::Range<u64>) -> Sum {
    let own = Arc::new(Own::new(config).unwrap());
    let mut sum = Sum::default();
    for seed in seeds {
        sum.add(&run(&own, seed));
    }
    sum
}

/// A resource of an agent of that kind.
pub(crate) fn resource(name: &str, needs: &[&str], safety: Safety) -> ResourceConfig {
    let (provider, kind) = ("heartbeat".into(), "Dummy".into());
    ResourceConfig {
        name: name.to_owned(),
        agent: Agent::Ocf { provider, kind, parameters: BTreeMap::new() },
        needs: needs.iter().map(|it| (*it).to_owned()).collect(),
        times: ResourceTimes::default(),
        restarts: 3,
        forget_after: Span::from_millis(600_000),
        safety,
        stuck: Stuck::Wait,
    }
}

#[test]
fn three_nodes_of_an_operator_hold() {
    let nodes = [("castor", Some("east")), ("pollux", Some("east")), ("quorra", Some("west"))];
    let sum = sum(&config(&nodes, &["shop", "wiki"]), 0..24);
    assert!(sum.failed.is_empty(), "{:?}", sum.failed);
    assert_eq!((sum.seeds, sum.services.len()), (24, 2));
    // One of three is lost, and the other two take over at once.
    let power = &sum.kinds[&Kind::Power];
    assert!(power.times > 2 && power.hit > 0 && power.lasting == 0, "{power:?}");
    assert!(power.longest > 300_000 && power.longest < 600_000, "{power:?}");
    // Nobody watches the services' network here.
    assert!(sum.kinds[&Kind::Port].lasting > 0);
    // There is no server that could fail, no device, and no agent.
    for kind in [Kind::RegisterDown, Kind::Device, Kind::Agent, Kind::Point, Kind::Leave] {
        assert!(!sum.kinds.contains_key(&kind), "{kind:?}");
    }
}

#[test]
fn two_nodes_without_a_breaker_stop_where_one_is_lost() {
    let mut config = config(&[("left", None), ("right", None)], &["web"]);
    let without = sum(&config, 0..24);
    assert!(without.failed.is_empty(), "{:?}", without.failed);
    let power = &without.kinds[&Kind::Power];
    assert!(power.times > 2 && power.lasting == power.times, "{power:?}");
    config.later.quorum.chain = Chain::new(vec![Module::Majority, Module::QuorumServer]).unwrap();
    let with = sum(&config, 0..24);
    assert!(with.failed.is_empty(), "{:?}", with.failed);
    let power = &with.kinds[&Kind::Power];
    assert!(power.times > 2 && power.lasting == 0, "{power:?}");
    assert_eq!(with.kinds[&Kind::RegisterDown].hit, 0, "a server that is down alone costs nothing");
}

/// What the protocol is told is not so: these watchdogs stand still with their machines.
#[test]
fn the_judges_see_a_cluster_of_a_file_go_wrong() {
    let mut config = config(&[("left", None), ("middle", None), ("right", None)], &["db"]);
    let disk = vec![resource("disk", &[], Safety::Fence)];
    let more = ServiceMore { resources: disk, ..ServiceMore::default() };
    config.later.next.services.insert(ServiceId("db".to_owned()), more);
    for name in ["left", "middle", "right"] {
        let node = NodeFencing { watchdog: true, ..NodeFencing::default() };
        config.later.fencing.nodes.insert(name.to_owned(), node);
    }
    let own = Arc::new(Own::new(&config).unwrap());
    let after = |dogs| {
        let plan = Plan { watchdogs: Some(dogs), rough: false, ..Own::plan(&own, 1) };
        let mut world = World::settled(plan);
        world.act(&Act::Halt(Target::Holder, Halt::Paused, 12_000_000)).unwrap();
        world.run(14_000);
        world.judges.verdict
    };
    assert_eq!(after(Dogs::Outside), None);
    let verdict = after(Dogs::Inside).expect("two have it");
    assert_eq!(verdict.judge, "I1", "{}", verdict.what);
    assert!(verdict.what.contains("left") || verdict.what.contains("middle"), "{}", verdict.what);
}

#[test]
fn what_is_not_simulated_is_said() {
    let mut config = config(&[("left", None), ("right", None)], &["db", "web"]);
    let disk = vec![resource("disk", &[], Safety::Fence)];
    let more = ServiceMore { resources: disk, ..ServiceMore::default() };
    config.later.next.services.insert(ServiceId("db".to_owned()), more);
    config.later.quorum.chain = Chain::new(vec![Module::Majority, Module::Exec]).unwrap();
    let left_out = Own::new(&config).unwrap().left_out().join("\n");
    for words in ["how long programs take", "one thing that stays", "(db)", "exec", "operators"] {
        assert!(left_out.contains(words), "{words}: {left_out}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let names: Vec<String> = (0..17).map(|number| format!("n{number}")).collect();
    let nodes: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    assert_eq!(Own::new(&config(&nodes, &["web"])).unwrap_err(), TooMuch::Nodes(17));
    assert_eq!(Own::new(&config(&nodes[..2], &[])).unwrap_err(), TooMuch::Nothing);
}

#[test]
fn a_seed_is_told_with_the_names_of_the_file() {
    let config = config(&[("left", None), ("middle", None), ("right", None)], &["web"]);
    let own = Arc::new(Own::new(&config).unwrap());
    let (told, lines) = retell(&own, 3);
    assert_eq!(told.verdict, None);
    assert!(lines.iter().any(|line| line.contains(" left ")), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("s0")), "{lines:#?}");
}
