//! The links of this node: interfaces, settings of the kernel, ports, and the other nodes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use stead_core::state::config::Config;
use stead_linux::netlink::{Address, Link, Netlink, NetlinkError};

use super::{Finding, Patient};

/// How long another node is given to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The smallest packet that everything of ours fits into, in octets: IPv6 promises it.
const LEAST_MTU: u32 = 1_280;

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    const CHECK: &str = "links";
    let Some(config) = patient.config else {
        let seen = "there is no configuration yet, so no links to look at (--file names one)";
        return vec![Finding::unknown(CHECK, seen)];
    };
    let Some(name) = patient.node else {
        let seen = "which node this machine is to be is not known (--node says it)";
        return vec![Finding::unknown(CHECK, seen)];
    };
    let Some(node) = config.nodes.get(name) else {
        let advice = "name a node of the file, or add this one to it";
        return vec![Finding::bad(CHECK, format!("{name} is not in the configuration"), advice)];
    };
    let machine = match Machine::look() {
        Ok(machine) => machine,
        Err(error) => return vec![Finding::unknown(CHECK, stead_edge::chain(&error))],
    };
    let mut findings = Vec::new();
    for (link, address) in &node.addresses {
        match machine.interface_of(*address) {
            Some(interface) => {
                findings.push(look(link, *address, interface));
                findings.push(settings(link, &interface.name, *address));
                findings.push(ports(config, link, *address));
                findings.extend(others(patient, config, link, *address));
            }
            None => findings.push(Finding::bad(
                &format!("link {link}"),
                format!("{address} stands on no interface of this machine"),
                "configure the address, or mend the one in the file",
            )),
        }
    }
    findings.extend(services(config, &machine));
    findings.extend(super::points::examine(config));
    findings
}

/// The interfaces and addresses of this machine.
struct Machine {
    links: Vec<Link>,
    addresses: Vec<Address>,
}

impl Machine {
    fn look() -> Result<Self, NetlinkError> {
        let mut netlink = Netlink::open()?;
        Ok(Self { links: netlink.links()?, addresses: netlink.addresses()? })
    }

    fn interface_of(&self, address: IpAddr) -> Option<&Link> {
        let standing = self.addresses.iter().find(|it| it.addr == address)?;
        self.links.iter().find(|link| link.index == standing.index)
    }
}

fn look(link: &str, address: IpAddr, interface: &Link) -> Finding {
    let check = format!("link {link}");
    let Link { name, mtu, .. } = interface;
    if !interface.up || !interface.carrier {
        let what = if interface.up { "has no carrier" } else { "is down" };
        return Finding::bad(
            &check,
            format!("{name} with {address} {what}"),
            "set it up; look at \
                                                                              the cable",
        );
    }
    let seen = format!("{address} on {name}, MTU {mtu}");
    if *mtu < LEAST_MTU {
        return Finding::bad(&check, seen, "heartbeats and the log need an MTU of 1280 or more");
    }
    Finding::good(&check, seen)
}

/// Settings by which a machine answers for addresses on the wrong interface, or drops what comes by
/// another way than it would answer.
fn settings(link: &str, interface: &str, address: IpAddr) -> Finding {
    let check = format!("kernel settings of {link}");
    if address.is_ipv6() {
        return Finding::good(&check, "nothing to look at for IPv6");
    }
    let read = |name: &str| {
        let of = |interface: &str| {
            let path = format!("/proc/sys/net/ipv4/conf/{interface}/{name}");
            fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u8>().ok())
        };
        // The kernel takes the stricter of both.
        of(interface).max(of("all"))
    };
    let (filter, ignore) = (read("rp_filter"), read("arp_ignore"));
    let (Some(filter), Some(ignore)) = (filter, ignore) else {
        return Finding::unknown(&check, format!("{interface}: the kernel does not tell them"));
    };
    let seen = format!("{interface}: rp_filter {filter}, arp_ignore {ignore}");
    if filter == 1 {
        let advice = "strict filtering drops what comes by another link than the answer would go; \
                      with several links or interfaces in one network set rp_filter to 2";
        return Finding::warning(&check, seen, advice);
    }
    if ignore > 3 {
        let advice = "with arp_ignore above 3 the machine may not answer for service addresses";
        return Finding::bad(&check, seen, advice);
    }
    Finding::good(&check, seen)
}

/// Whether the ports are free, or stead's own.
fn ports(config: &Config, link: &str, address: IpAddr) -> Finding {
    let check = format!("ports of {link}");
    let Some(port) = config.links.get(link).map(|it| it.port) else {
        return Finding::unknown(&check, "the configuration has no such link");
    };
    let at = SocketAddr::new(address, port);
    let (udp, tcp) = (UdpSocket::bind(at).map(drop), TcpListener::bind(at).map(drop));
    let in_use =
        |it: &io::Result<()>| it.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    let seen = match (in_use(&udp), in_use(&tcp)) {
        (true, true) => {
            return Finding::good(&check, format!("{port}: taken, by stead if it runs"));
        }
        (false, false) => match udp.and(tcp) {
            Ok(()) => return Finding::good(&check, format!("{port}: free, UDP and TCP")),
            Err(error) => return Finding::unknown(&check, format!("{port}: {error}")),
        },
        (true, false) => "UDP is taken and TCP is free",
        (false, true) => "TCP is taken and UDP is free",
    };
    let advice = "find out who has it (`ss -lunpt`); both have to be stead's, or give the link \
                  another port";
    Finding::bad(&check, format!("{port}: {seen}"), advice)
}

/// Whether the other nodes' daemons can be reached from this address.
fn others(patient: &Patient<'_>, config: &Config, link: &str, from: IpAddr) -> Vec<Finding> {
    let wanted =
        |name: &str| patient.others.is_empty() || patient.others.iter().any(|it| it == name);
    let port = config.links.get(link).map_or(0, |it| it.port);
    let others =
        config.nodes.iter().filter(|(name, _)| Some(name.as_str()) != patient.node && wanted(name));
    let reached = others.filter_map(|(name, node)| {
        let to = SocketAddr::new(*node.addresses.get(link)?, port);
        Some((name, to))
    });
    reached.map(|(name, to)| reach(&format!("{name} by {link}"), from, to)).collect()
}

fn reach(check: &str, from: IpAddr, to: SocketAddr) -> Finding {
    let begun = std::time::Instant::now();
    match connect(from, to) {
        Ok(()) => {
            let took = begun.elapsed().as_secs_f64() * 1_000.0;
            Finding::good(check, format!("{to} answers after {took:.1} ms"))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Finding::warning(
            check,
            format!("{to} refuses: no daemon listens there, or a filter rejects"),
            "start the daemon there, or let it join; let the link's port pass",
        ),
        Err(error) => Finding::bad(
            check,
            format!("{to} can't be reached: {error}"),
            "let the link's port pass in both directions, UDP and TCP, and look at the cable and \
             the routes",
        ),
    }
}

fn connect(from: IpAddr, to: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.shutdown(Shutdown::Both)
}

/// Whether the guard would find an interface for each service's addresses, by its own rule: the one
/// that is named, or one with an address of its own whose network has room for this one.
fn services(config: &Config, machine: &Machine) -> Vec<Finding> {
    let all = config.services.values().flat_map(|service| &service.addresses);
    let all: BTreeSet<IpAddr> = all.map(|it| it.ip).collect();
    let own = machine.addresses.iter().filter(|it| it.prefix > 0 && !all.contains(&it.addr));
    let own: Vec<_> = own.collect();
    let mut findings = Vec::new();
    for (service, wanted) in &config.services {
        for address in &wanted.addresses {
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
    use stead_core::state::config::{ServiceAddress, ServiceConfig};
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
            worst(&services(&serving(address), &machine))
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

    /// A configuration with one service, at this address.
    fn serving(address: ServiceAddress) -> Config {
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

    #[test]
    fn who_listens_is_told_from_who_does_not_and_who_is_not_there() {
        let local = ip("127.0.0.1");
        let listener = TcpListener::bind((local, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(reach("it", local, at).verdict, Verdict::Good);
        drop(listener);
        assert_eq!(reach("it", local, at).verdict, Verdict::Warning);
        let elsewhere = SocketAddr::new(ip("203.0.113.1"), 9);
        assert_eq!(reach("it", local, elsewhere).verdict, Verdict::Bad);
    }
}
