//! The links of this node: interfaces, settings of the kernel, ports, and the other nodes.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use stead_core::state::config::Config;
use stead_linux::netlink::{Address, Link, Netlink, NetlinkError};

use super::{Finding, Patient, services};

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
    findings.extend(services::examine(config, &machine, (name, node)));
    findings.extend(super::points::examine(config));
    findings
}

/// The interfaces and addresses of this machine.
pub(super) struct Machine {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
}

impl Machine {
    fn look() -> Result<Self, NetlinkError> {
        let mut netlink = Netlink::open()?;
        Ok(Self { links: netlink.links()?, addresses: netlink.addresses()? })
    }

    pub(super) fn interface_of(&self, address: IpAddr) -> Option<&Link> {
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
pub(super) fn settings(link: &str, interface: &str, address: IpAddr) -> Finding {
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

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn who_listens_is_told_from_who_does_not_and_who_is_not_there() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let listener = TcpListener::bind((local, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(reach("it", local, at).verdict, Verdict::Good);
        drop(listener);
        assert_eq!(reach("it", local, at).verdict, Verdict::Warning);
        let elsewhere = SocketAddr::new("203.0.113.1".parse().unwrap(), 9);
        assert_eq!(reach("it", local, elsewhere).verdict, Verdict::Bad);
    }
}
