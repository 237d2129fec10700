//! Whether an address is reached from here: what a node sees of another one's announcement.
//!
//! A node can't look into its neighbour's import filter; from beyond that neighbour one can see
//! whether a route came through. Whether clients could use it is asked with one echo (RFC 792, RFC
//! 4443) from this node's own address.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Prefix;
use socket2::{Domain, Protocol, Socket, Type};
use stead_linux::netlink::{Netlink, NetlinkError};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// What the route leads to: the address alone, a network, or everything.
    pub to: Prefix,
    /// The router that packets are handed to, as of now: one that a redirect named, if one did (RFC
    /// 1122, 3.2.2.2). `None`: the address is taken to be on the link.
    pub gateway: Option<IpAddr>,
    /// The interface that leads there.
    pub interface: String,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Where this node would send packets to the address; `None`: nowhere, or the address is its
    /// own.
    pub route: Option<Hop>,
    /// The address answered the echo.
    pub answered: bool,
    /// How long the answer took, or was waited for.
    pub took: Duration,
}

/// What is wrong with the way to an address, as the end of a sentence that begins with whoever
/// looked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreached {
    /// It has only the way to everywhere, or none.
    #[error(
        "has no route of its own to {address}, and no answer{}: a router between does not accept \
         the route (its import filter) or does not pass it on, or what is handed to it goes \
         elsewhere",
        way(.by.as_ref())
    )]
    NoRoute {
        /// Where to.
        address: IpAddr,
        /// The router that everything else is handed to.
        by: Option<IpAddr>,
    },
    /// There is a route, and no answer.
    #[error(
        "has a route to {address}{}, but gets no answer: the way leads elsewhere, or echo is \
         dropped on it",
        way(.by.as_ref())
    )]
    NoAnswer {
        /// Where to.
        address: IpAddr,
        /// The next router.
        by: Option<IpAddr>,
    },
}

fn way(by: Option<&IpAddr>) -> String {
    by.map(|by| format!(" by way of {by}")).unwrap_or_default()
}

impl Observed {
    /// What keeps who looked from that address; nothing if it answered.
    #[must_use]
    pub fn unreached(&self, address: IpAddr) -> Option<Unreached> {
        if self.answered {
            return None;
        }
        // The way to everywhere is no news of this address.
        let by = self.route.as_ref().and_then(|hop| hop.gateway);
        let own = self.route.as_ref().is_some_and(|hop| hop.to.length() > 0);
        Some(if own {
            Unreached::NoAnswer { address, by }
        } else {
            Unreached::NoRoute { address, by }
        })
    }
}

/// It could not be looked at. Nothing was changed.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// The kernel does not say where the way leads.
    #[error("this node's kernel doesn't say where packets to {address} would go")]
    Route {
        /// Where to.
        address: IpAddr,
        /// Its reason.
        #[source]
        source: NetlinkError,
    },
    /// No echo can be sent.
    #[error(
        "can't {step} for an echo to {address}; it needs CAP_NET_RAW, and addresses of its family"
    )]
    Echo {
        /// What was being done.
        step: &'static str,
        /// Where to.
        address: IpAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

const V4_REQUEST: u8 = 8;
const V4_REPLY: u8 = 0;
const V6_REQUEST: u8 = 128;
const V6_REPLY: u8 = 129;
/// Head of an echo, in bytes; what names the question follows.
const HEAD: usize = 8;
/// Longer than any echo of ours with its IPv4 header and all options, in bytes.
const BUFFER: usize = 256;

/// Looks for a route to the address, and asks it for one answer; `from` is the address to ask from,
/// the kernel's choice if `None`. In the network namespace of the calling thread.
///
/// # Errors
/// See [`ObserveError`]. No route and no answer are not errors.
pub async fn observe(
    address: IpAddr,
    from: Option<IpAddr>,
    within: Duration,
) -> Result<Observed, ObserveError> {
    let route = look_up(address).map_err(|source| ObserveError::Route { address, source })?;
    let began = Instant::now();
    let answered = match timeout(within, echo(address, from)).await {
        Ok(answered) => {
            answered.map_err(|(step, source)| ObserveError::Echo { step, address, source })?
        }
        Err(_) => false,
    };
    Ok(Observed { route, answered, took: began.elapsed() })
}

fn look_up(address: IpAddr) -> Result<Option<Hop>, NetlinkError> {
    let mut netlink = Netlink::open()?;
    let Some(route) = netlink.route_to(address)? else { return Ok(None) };
    // The route, and what comes of it: a redirect is an exception to it.
    let used = netlink.way_to(address)?.unwrap_or(route);
    let Some(index) = used.index else { return Ok(None) };
    let interface = netlink.link(index)?.name;
    let to = Prefix::around(route.to.addr, route.to.prefix);
    Ok(to.map(|to| Hop { to, gateway: used.gateway, interface }))
}

/// Sends the question and reads until its answer comes. `false`: the kernel knows no way, or a
/// router on the way said so.
async fn echo(address: IpAddr, from: Option<IpAddr>) -> Result<bool, (&'static str, io::Error)> {
    let failed = |step| move |source| (step, source);
    let socket = open(address, from).map_err(failed("open a socket"))?;
    let target = SocketAddr::new(address, 0);
    if let Err(error) = socket.connect(&target.into()) {
        return no_way(error).map_err(failed("find a way"));
    }
    let question = Question::new(address);
    // Any connected socket of packets waits, sends and receives as one of datagrams does.
    let socket = UdpSocket::from_std(socket.into()).map_err(failed("wait"))?;
    if let Err(error) = socket.send(&question.bytes()).await {
        return no_way(error).map_err(failed("send"));
    }
    let mut buffer = [0; BUFFER];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) if question.is_answered_by(&buffer[..length]) => return Ok(true),
            Ok(_) => {}
            Err(error) => return no_way(error).map_err(failed("read the answer")),
        }
    }
}

fn open(address: IpAddr, from: Option<IpAddr>) -> io::Result<Socket> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    Ok(socket)
}

/// That there is no way is an answer too.
fn no_way(error: io::Error) -> io::Result<bool> {
    let kinds = [
        ErrorKind::NetworkUnreachable,
        ErrorKind::HostUnreachable,
        ErrorKind::ConnectionRefused,
        ErrorKind::NetworkDown,
    ];
    // EACCES is what a route of type `prohibit` says.
    if kinds.contains(&error.kind()) { Ok(false) } else { Err(error) }
}

/// One echo, named by what nobody can guess: other programs ask as well, and each raw socket hears
/// all answers.
struct Question {
    v4: bool,
    name: [u8; 8],
}

impl Question {
    fn new(address: IpAddr) -> Self {
        let chance = RandomState::new().build_hasher().finish();
        Self { v4: address.is_ipv4(), name: chance.to_be_bytes() }
    }

    fn bytes(&self) -> Vec<u8> {
        let kind = if self.v4 { V4_REQUEST } else { V6_REQUEST };
        let [a, b, ..] = self.name;
        let mut bytes = vec![kind, 0, 0, 0, a, b, 0, 1];
        bytes.extend(self.name);
        if self.v4 {
            // For IPv6 the kernel does it.
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// IPv4 comes with its header, IPv6 without.
    fn is_answered_by(&self, packet: &[u8]) -> bool {
        let (skip, reply) = if self.v4 {
            let words = packet.first().map_or(0, |first| usize::from(first & 0xf));
            (words * 4, V4_REPLY)
        } else {
            (0, V6_REPLY)
        };
        let Some(body) = packet.get(skip..) else { return false };
        body.first() == Some(&reply) && body.get(HEAD..HEAD + 8) == Some(&self.name[..])
    }
}

/// RFC 1071, over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_question_counts() {
        let v4 = Question::new("10.0.0.1".parse().expect("an address"));
        let mut bytes = v4.bytes();
        assert_eq!(checksum(&bytes), 0, "it adds up");
        let mut packet = vec![0x45; 20];
        packet.append(&mut bytes);
        assert!(!v4.is_answered_by(&packet), "the question itself");
        packet[20] = V4_REPLY;
        assert!(v4.is_answered_by(&packet));
        for length in 0..packet.len() {
            assert!(!v4.is_answered_by(&packet[..length]), "{length}");
        }
        let v6 = Question::new("fd00::1".parse().expect("an address"));
        let mut bytes = v6.bytes();
        bytes[0] = V6_REPLY;
        assert!(v6.is_answered_by(&bytes));
        assert!(!Question::new("fd00::1".parse().expect("an address")).is_answered_by(&bytes));
    }

    #[test]
    fn what_another_node_sees_is_told() {
        let address: IpAddr = "10.99.0.1".parse().expect("an address");
        let by = |to: &str| {
            let to = to.parse().expect("a prefix");
            let gateway = Some("10.2.0.1".parse().expect("an address"));
            Some(Hop { to, gateway, interface: "eth0".to_owned() })
        };
        let look = |route, answered| {
            let observed = Observed { route, answered, took: Duration::ZERO };
            observed.unreached(address).map(|it| it.to_string())
        };
        let default = look(by("0.0.0.0/0"), false);
        assert!(default.is_some_and(|it| it.contains("no route of its own")));
        assert!(look(None, false).is_some_and(|it| it.contains("no route of its own")));
        let silent = look(by("10.99.0.1/32"), false);
        assert!(silent.is_some_and(|it| it.contains("by way of 10.2.0.1, but gets no answer")));
        assert_eq!(look(by("10.99.0.1/32"), true), None);
    }
}
