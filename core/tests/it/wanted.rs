//! A wanted state for trials: three nodes, two services, the second with a program.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use stead_core::state::config::{Config, NodeConfig, Program, ServiceAddress, ServiceConfig};
use stead_core::time::Span;

/// The address of a service.
pub fn address(service: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + service))
}

/// The wanted state.
pub fn wanted() -> Config {
    let service = |number: u8| ServiceConfig {
        addresses: vec![ServiceAddress { ip: address(number), prefix: 24, interface: None }],
        program: (number == 1).then(|| Program {
            command: vec!["/bin/service".into()],
            stop_timeout: Span::from_millis(1_000),
        }),
        monitor: None,
        prefer: Vec::new(),
        failback: false,
    };
    let node =
        |name: &str| (name.to_string(), NodeConfig { site: None, addresses: BTreeMap::new() });
    Config {
        name: "trial".into(),
        ride_out: Span::from_millis(300),
        round_trip: Span::from_millis(1),
        daemon_grace: Span::from_millis(10_000),
        links: BTreeMap::new(),
        nodes: ["a", "b", "c"].map(node).into(),
        services: [0, 1]
            .map(|number| (format!("s{number}").as_str().into(), service(number)))
            .into(),
        more: Default::default(),
        later: Default::default(),
    }
}
