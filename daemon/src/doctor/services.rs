//! Where services would be on this machine: an interface for each of their addresses, with settings
//! of the kernel that let it answer there.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use stead_core::redirect::Layer;
use stead_core::state::config::{Config, NodeConfig, ServiceAddress};
use stead_linux::netlink::{Address, Link};

use super::Finding;
use super::network::{Machine, settings};

pub(super) fn examine(
    config: &Config,
    machine: &Machine,
    (name, node): (&str, &NodeConfig),
) -> Vec<Finding> {
    let mut findings = homes(config, machine, name);
    let of_links = node.addresses.values().filter_map(|it| machine.interface_of(*it));
    // Those were looked at with the links.
    let looked_at: BTreeSet<u32> = of_links.map(|it| it.index).collect();
    let others =
        serving(config, machine, name).into_iter().filter(|it| !looked_at.contains(&it.index));
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    findings.extend(others.map(|it| settings(&it.name, &it.name, any)));
    findings
}

/// The interfaces on which addresses of services would stand and be asked for by ARP.
fn serving<'m>(config: &Config, machine: &'m Machine, node: &str) -> Vec<&'m Link> {
    let own = own(config, machine);
    let wanted = config.services.values().flat_map(|it| &it.addresses);
    let wanted = wanted.filter(|it| it.ip.is_ipv4() && stands(config, node, it));
    let wanted: Vec<_> = wanted.collect();
    let serves = |link: &Link| {
        wanted.iter().any(|address| match &address.interface {
            Some(name) => *name == link.name,
            None => own
                .iter()
                .any(|it| it.index == link.index && same_network(it.addr, address.ip, it.prefix)),
        })
    };
    machine.links.iter().filter(|link| serves(link)).collect()
}

/// Whether an address would be on an interface of that node's. What is led to by a route alone
/// stands on one that the guard makes.
fn stands(config: &Config, node: &str, address: &ServiceAddress) -> bool {
    config.is_used_on(address.ip, node) && config.layers_of(address.ip) != [Layer::Route]
}

/// The addresses of this machine that are no service's.
fn own<'m>(config: &Config, machine: &'m Machine) -> Vec<&'m Address> {
    let all = config.services.values().flat_map(|service| &service.addresses);
    let all: BTreeSet<IpAddr> = all.map(|it| it.ip).collect();
    machine.addresses.iter().filter(|it| it.prefix > 0 && !all.contains(&it.addr)).collect()
}

/// Whether the guard would find an interface for each service's addresses, by its own rule: the one
/// that is named, or one with an address of its own whose network has room for this one.
fn homes(config: &Config, machine: &Machine, node: &str) -> Vec<Finding> {
    let own = own(config, machine);
    let mut findings = Vec::new();
    for (service, wanted) in &config.services {
        for address in wanted.addresses.iter().filter(|it| stands(config, node, it)) {
            let check = format!("network of {service}");
            let seen = format!("{}/{}", address.ip, address.prefix);
            let named = address.interface.as_deref();
            findings.push(match named {
                Some(name) if machine.links.iter().any(|link| link.name == name) => {
                    Finding::good(&check, format!("{seen} on {name}"))
                }
                Some(name) => Finding::warning(
                    &check,
                    format!("there is no interface {name} for {seen}"),
                    "mend the name in the file; else the service can't run here",
                ),
                None if own.iter().any(|it| same_network(it.addr, address.ip, it.prefix)) => {
                    Finding::good(&check, seen)
                }
                None => Finding::warning(
                    &check,
                    format!("no interface here has an address in the network of {seen}"),
                    "give this node an address in that network, or name the interface in the \
                     file; else the service can't run here",
                ),
            });
        }
    }
    findings
}

/// Whether two addresses share their first `prefix` bits.
fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let share = |a: u128, b: u128, bits: u32| {
        let rest = bits.saturating_sub(u32::from(prefix));
        rest >= bits || a >> rest == b >> rest
    };
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => share(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => share(a.to_bits(), b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use stead_core::state::config::{AddressLayers, Place, ServiceConfig};
    use stead_core::time::Span;
    use stead_linux::netlink::Lifetime;

    use super::super::{Verdict, worst};
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_share_a_network_by_their_first_bits() {
        assert!(same_network(ip("10.0.0.7"), ip("10.0.0.200"), 24));
        assert!(!same_network(ip("10.0.0.7"), ip("10.0.1.7"), 24));
        assert!(same_network(ip("10.0.0.7"), ip("192.168.0.1"), 0));
        assert!(same_network(ip("fd00::1"), ip("fd00::2"), 64));
        assert!(!same_network(ip("fd00::1"), ip("fd00::2"), 128));
        assert!(!same_network(ip("10.0.0.1"), ip("fd00::1"), 0));
    }

    #[test]
    fn a_service_has_a_network_where_the_guard_would_find_one() {
        let link = |index, name: &str| Link {
            index,
            name: name.to_owned(),
            mac: None,
            up: true,
            carrier: true,
            running: true,
            loopback: false,
            mtu: 1_500,
            port_of: None,
            parent: None,
            kind: None,
        };
        let own = |addr, prefix| Address {
            index: 2,
            addr: ip(addr),
            prefix,
            valid: Lifetime::Forever,
            tentative: false,
            dad_failed: false,
        };
        let links = vec![link(2, "eth0"), link(3, "bare")];
        let verdict = |addresses: &[Address], wanted: &str, prefix, interface: Option<&str>| {
            let machine = Machine { links: links.clone(), addresses: addresses.to_vec() };
            let interface = interface.map(str::to_owned);
            let address = ServiceAddress { ip: ip(wanted), prefix, interface };
            worst(&homes(&with(address), &machine, "node1"))
        };
        // What counts is the prefix of the node's own address.
        assert_eq!(verdict(&[own("10.0.0.1", 24)], "10.0.0.100", 32, None), Verdict::Good);
        assert_eq!(verdict(&[own("10.0.0.1", 32)], "10.0.0.100", 24, None), Verdict::Warning);
        // A service's own address, which stands here at present, shows nothing.
        assert_eq!(verdict(&[own("10.0.0.100", 24)], "10.0.0.100", 24, None), Verdict::Warning);
        // An interface that is named needs no address.
        assert_eq!(verdict(&[], "10.0.0.100", 24, Some("bare")), Verdict::Good);
        assert_eq!(verdict(&[], "10.0.0.100", 24, Some("eth7")), Verdict::Warning);
    }

    #[test]
    fn what_is_led_to_by_a_route_or_is_used_elsewhere_needs_no_interface() {
        let at = ip("192.0.2.7");
        let mut config = with(ServiceAddress { ip: at, prefix: 32, interface: None });
        let machine = Machine { links: Vec::new(), addresses: Vec::new() };
        let looked_at = |config: &Config| homes(config, &machine, "node1").len();
        assert_eq!(looked_at(&config), 1);
        let mut how = |layers: &[Layer], on: &str| {
            let on = vec![Place::Node(on.to_owned())];
            let layers = AddressLayers { layers: layers.to_vec(), on };
            config.later.fencing.redirect.addresses = [(at, layers)].into();
            looked_at(&config)
        };
        assert_eq!(how(&[Layer::Arp], "node1"), 1);
        assert_eq!(how(&[Layer::Arp, Layer::Route], "node1"), 1);
        assert_eq!(how(&[Layer::Route], "node1"), 0);
        assert_eq!(how(&[Layer::Arp], "node2"), 0);
    }

    /// A configuration with one service, at this address.
    fn with(address: ServiceAddress) -> Config {
        let service = ServiceConfig { addresses: vec![address], ..Default::default() };
        Config {
            name: "trial".to_owned(),
            ride_out: Span::from_millis(300),
            round_trip: Span::from_millis(2),
            daemon_grace: Span::from_millis(10_000),
            links: Default::default(),
            nodes: Default::default(),
            services: [("web".into(), service)].into(),
            more: Default::default(),
            later: Default::default(),
        }
    }
}
