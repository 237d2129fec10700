//! Whether nodes are on one segment: where an address would live, and who hears whom there.
//!
//! What it is for: a layer of the segment leads clients only between nodes that hear each other's
//! frames. Happy path: each node says which port an address would be on ([`Port`]); then one asks
//! there, by ARP or neighbour discovery, for the other one's own address, and looks whether the
//! answer has that one's MAC, so that a router which answers for others is none. Failures: who does
//! not answer over the daemons' connection is *unclear*, and no stranger. Deliberately absent: a
//! question in the name of a service's address, which would claim it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::NodeId;
use stead_core::redirect::advise::{Known, Segments};
use stead_core::state::State;
use stead_core::state::config::ServiceAddress;
use stead_edge::chain;
use stead_linux::netlink::{Address, Link, Mac, Netlink, NetlinkError, Route};
use stead_linux::packet::{PacketError, PacketSocket, Wanted};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::lookout::Lookout;
use super::observe::{Question, Sight};
use crate::points::{answer, question};
use crate::redirect::{Ears, Target, interface_for};

/// How long an answer on the segment is waited for, and how often it is asked for within that time.
const ANSWER: Duration = Duration::from_millis(500);
const TIMES: u32 = 3;
/// The most addresses of its own that a node says of a port, and the most gateways.
const MOST: usize = 4;

/// Where an address would be on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The interface.
    pub interface: String,
    /// Its MAC.
    pub mac: [u8; 6],
    /// The node's own addresses there, those of the same family first.
    pub own: Vec<IpAddr>,
    /// The next hops of its routes there.
    pub gateways: Vec<IpAddr>,
    /// Its own takeovers showed that announcements don't arrive there.
    pub suppressed: bool,
    /// The way to the client, if one was asked for and there is any.
    pub client: Option<Way>,
}

/// The way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// It is on the port's segment.
    Beside,
    /// It is behind this router, or on another segment if none stands here.
    Behind(Option<IpAddr>),
}

/// What a node is asked about a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Where {
    /// A service's address.
    pub address: IpAddr,
    /// A client.
    pub client: Option<IpAddr>,
}

/// Looks where an address would be here.
pub(super) async fn port(state: &State, ears: &Ears, at: Where) -> Sight {
    match blocking(state, move |look| look.port(at)).await {
        Ok(mut port) => {
            let target = Target { address: at.address, interface: port.interface.clone() };
            port.suppressed = ears.swallowed(&target);
            Sight::Port(port)
        }
        Err(why) => Sight::Blind(why),
    }
}

/// Asks, where an address would be, for another node's own address.
pub(super) async fn beside(state: &State, at: Where, other: IpAddr, mac: [u8; 6]) -> Sight {
    let asked = blocking(state, move |look| {
        let port = look.port(at)?;
        ask(&port.interface, other).map_err(|error| chain(&error))
    });
    match asked.await {
        Ok(Some(found)) if found.0 == mac => Sight::Holder,
        Ok(Some(found)) => Sight::Other(format!("hears {found} answer for {other}")),
        Ok(None) => Sight::Other(format!("hears nobody answer for {other}")),
        Err(why) => Sight::Blind(why),
    }
}

async fn blocking<T: Send + 'static>(
    state: &State,
    look: impl FnOnce(&mut Looking) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let config = state.config.iter();
    let addresses = config.clone().flat_map(|it| it.services.values()).flat_map(|it| &it.addresses);
    let links = config.flat_map(|it| it.nodes.values()).flat_map(|it| it.addresses.values());
    let (addresses, links) = (addresses.cloned().collect(), links.copied().collect());
    let looked = spawn_blocking(move || {
        let netlink = Netlink::open().map_err(|error| chain(&error))?;
        look(&mut Looking { netlink, addresses, links })
    });
    looked.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// This machine's kernel, and what the configuration says.
struct Looking {
    netlink: Netlink,
    /// The services' addresses: they come and go, and are no node's own.
    addresses: Vec<ServiceAddress>,
    /// The nodes' addresses on the cluster's links.
    links: Vec<IpAddr>,
}

impl Looking {
    fn port(&mut self, at: Where) -> Result<Port, String> {
        let moving: Vec<_> = self.addresses.iter().map(|it| it.ip).collect();
        let wanted = self.addresses.iter().find(|it| it.ip == at.address).cloned();
        let wanted =
            wanted.ok_or_else(|| format!("{} is no service's address here", at.address))?;
        let named = interface_for(&wanted, &moving).ok();
        let failed = |error: NetlinkError| chain(&error);
        let link = match named {
            Some(name) => self.netlink.link_named(&name).map_err(failed)?,
            None => self.usual(at).map_err(failed)?.ok_or_else(|| {
                format!("it has no interface for {}, nor one that leads elsewhere", at.address)
            })?,
        };
        let like = at.address.is_ipv4();
        let all = self.netlink.addresses_of(link.index).map_err(failed)?;
        let mut own: Vec<_> =
            all.iter().map(|it: &Address| it.addr).filter(|it| !moving.contains(it)).collect();
        own.sort_by_key(|it| (it.is_ipv4() != like, is_of_link(*it)));
        own.truncate(MOST);
        let routes = self.netlink.routes().map_err(failed)?;
        let here = |it: &&Route| it.index == Some(link.index);
        let hops = routes.iter().filter(here).filter_map(|it| it.gateway);
        let gateways: BTreeSet<_> = hops.filter(|it| it.is_ipv4() == like).collect();
        Ok(Port {
            client: at.client.and_then(|client| self.way(client, &link)),
            interface: link.name,
            mac: link.mac.map(|mac| mac.0).ok_or("that interface has no MAC")?,
            own,
            suppressed: false,
            gateways: gateways.into_iter().take(MOST).collect(),
        })
    }

    /// Where no network here contains the address: the interface that leads to the client, or to
    /// everywhere, or else the one of the cluster's first link.
    fn usual(&mut self, at: Where) -> Result<Option<Link>, NetlinkError> {
        if let Some(client) = at.client
            && let Some(index) = self.netlink.route_to(client)?.and_then(|it| it.index)
        {
            return self.netlink.link(index).map(Some);
        }
        let routes = self.netlink.routes()?;
        let like = at.address.is_ipv4();
        let default = |it: &&Route| it.to.prefix == 0 && it.to.addr.is_ipv4() == like;
        if let Some(index) = routes.iter().find(default).and_then(|it| it.index) {
            return self.netlink.link(index).map(Some);
        }
        let own = self.netlink.addresses()?;
        let linked = own.iter().find(|it| self.links.contains(&it.addr)).map(|it| it.index);
        linked.map(|index| self.netlink.link(index)).transpose()
    }

    fn way(&mut self, client: IpAddr, link: &Link) -> Option<Way> {
        let route = self.netlink.route_to(client).ok().flatten()?;
        Some(match (route.gateway, route.index == Some(link.index)) {
            (None, true) => Way::Beside,
            (gateway, _) => Way::Behind(gateway),
        })
    }
}

/// Who answers for an address there.
pub(super) fn ask(interface: &str, address: IpAddr) -> Result<Option<Mac>, PacketError> {
    let socket = PacketSocket::open(interface, Wanted::Neighbors)?;
    let from = own_address(interface, address);
    let mut buffer = [0; 2_048];
    for _ in 0..TIMES {
        socket.send(&question(socket.mac(), address, from, None))?;
        let until = std::time::Instant::now() + ANSWER / TIMES;
        while std::time::Instant::now() < until {
            match socket.receive(&mut buffer)? {
                Some(frame) => {
                    let who = answer(frame, socket.mac()).filter(|(it, _)| *it == address);
                    if let Some((_, mac)) = who {
                        return Ok(Some(mac));
                    }
                }
                None => std::thread::sleep(Duration::from_micros(500)),
            }
        }
    }
    Ok(None)
}

/// An address of this node's own there, of the same family.
fn own_address(interface: &str, like: IpAddr) -> Option<IpAddr> {
    let mut netlink = Netlink::open().ok()?;
    let index = netlink.link_named(interface).ok()?.index;
    let own = netlink.addresses_of(index).ok()?;
    own.iter().map(|it| it.addr).find(|it| it.is_ipv4() == like.is_ipv4())
}

/// An address that reaches no further than the link, and may be on several of them.
fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => it.is_unicast_link_local(),
    }
}

/// The ports of nodes for one address, and why they are not known of others.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    pub(super) found: Vec<(NodeId, Port)>,
    unclear: BTreeMap<String, String>,
}

/// Asks each of these nodes for its port.
pub(super) async fn ports(
    lookout: &Lookout,
    state: &State,
    nodes: &[NodeId],
    (at, deadline): (Where, Instant),
) -> Ports {
    let mut asked = JoinSet::new();
    for node in nodes.iter().copied() {
        let (lookout, state) = (lookout.clone(), state.clone());
        asked.spawn(async move {
            (node, lookout.look(&state, node, Question::Port(at), deadline).await)
        });
    }
    let mut ports = Ports::default();
    while let Some(answer) = asked.join_next().await {
        // A task that panicked has told it.
        let Ok((node, sight)) = answer else { continue };
        match sight {
            Ok(Sight::Port(port)) if !port.own.is_empty() => ports.found.push((node, port)),
            Ok(Sight::Port(port)) => {
                let why = format!("it has no address of its own on {}", port.interface);
                ports.unclear.insert(state.name(node), why);
            }
            Ok(Sight::Blind(why) | Sight::Other(why)) | Err(why) => {
                ports.unclear.insert(state.name(node), why);
            }
            Ok(
                Sight::Holder
                | Sight::Places(_)
                | Sight::Interface(_)
                | Sight::Played(_)
                | Sight::Routing(_),
            ) => {
                ports.unclear.insert(state.name(node), "it answered something else".to_owned());
            }
        }
    }
    ports.found.sort_by_key(|(node, _)| *node);
    ports
}

/// Sorts nodes by their segments: each is compared with one of every segment found so far.
pub(super) async fn segments(
    lookout: &Lookout,
    state: &State,
    ports: &Ports,
    (at, deadline): (Where, Instant),
) -> Known<Segments> {
    let mut groups: Vec<(NodeId, BTreeSet<String>)> = Vec::new();
    let mut unclear = ports.unclear.clone();
    for (node, port) in &ports.found {
        let name = state.name(*node);
        let Some(own) = port.own.first() else { continue };
        let mut home = None;
        let mut doubt = None;
        for (number, (first, _)) in groups.iter().enumerate() {
            let question = Question::Beside { at, other: *own, mac: port.mac };
            match lookout.look(state, *first, question, deadline).await {
                Ok(Sight::Holder) => {
                    home = Some(number);
                    break;
                }
                Ok(Sight::Blind(why)) | Err(why) => {
                    doubt = Some(format!("{} can't say: {why}", state.name(*first)));
                }
                Ok(
                    Sight::Other(_)
                    | Sight::Places(_)
                    | Sight::Interface(_)
                    | Sight::Played(_)
                    | Sight::Port(_)
                    | Sight::Routing(_),
                ) => {}
            }
        }
        match (home.and_then(|number| groups.get_mut(number)), doubt) {
            (Some((_, group)), _) => drop(group.insert(name)),
            (None, Some(why)) => drop(unclear.insert(name, why)),
            (None, None) => groups.push((*node, [name].into())),
        }
    }
    if groups.is_empty() {
        let first = unclear.into_iter().next();
        let why =
            first.map_or("nobody was asked".to_owned(), |(node, why)| format!("{node}: {why}"));
        return Known::Unknown(why);
    }
    let gateways =
        ports.found.iter().flat_map(|(_, port)| port.gateways.iter().take(MOST)).copied().collect();
    let groups = groups.into_iter().map(|(_, group)| group).collect();
    let suppressed = ports.found.iter().filter(|(_, port)| port.suppressed);
    let suppressed = suppressed.map(|(node, _)| state.name(*node)).collect();
    let value = Segments { groups, unclear, gateways, suppressed };
    Known::Found { value, by: state.name(lookout.me()) }
}
