//! The bed of a peer: the same hosts, networks and addresses that a fleet of stead has.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use stead::demo::fleet::{Family, client_address as client_of, service_address};
use stead_lab::relay::Impairment;
use stead_lab::{Bed, Host, LinkSpec, Mac, Switch};

use super::{Failure, Running};
use crate::error::{BenchError, Step};
use crate::tools::{Folder, Tools, client_address, said};

/// The network of the client and of the shared address.
pub(crate) const FRONT: &str = "front";
/// The network on which the nodes hear each other.
pub(super) const RING: &str = "ring";
/// Both, in the order of their numbers.
const NETWORKS: [&str; 2] = [FRONT, RING];
/// The network of nodes and a server that breaks ties, where there is one, and its number.
pub(super) const THIRD: &str = "third";
const THIRD_NUMBER: u8 = 2;
/// The server's number there.
const SERVER: u8 = 251;

/// Nodes and a client. Everything in it ends when it is dropped.
pub(crate) struct PeerBed {
    // first the processes end, then their folder goes
    pub(crate) bed: Bed,
    pub(crate) client: Host,
    pub(crate) nodes: Vec<Host>,
    pub(crate) folder: Folder,
    pub(crate) tools: Tools,
}

impl PeerBed {
    /// Nodes `node1` to `nodeN` on both networks and a client on the first; the responder runs on
    /// every node.
    pub(crate) fn build(tools: &Tools, name: &str, count: u8) -> Result<Self, BenchError> {
        let folder = Folder::create()?;
        let bed = Bed::new(name)?;
        let switches: Vec<Switch> =
            NETWORKS.iter().map(|name| bed.switch(name)).collect::<Result<_, _>>()?;
        let client = bed.host("client")?;
        let mut nodes = Vec::new();
        for number in 1..=count {
            let node = bed.host(&format!("node{number}"))?;
            for (at, switch) in (0_u8..).zip(&switches) {
                let spec = LinkSpec::new(switch.name()).addr(address(at, number), 24);
                bed.connect(&node, switch, spec.mac(mac(at, number)))?;
            }
            tools.respond(&node)?;
            nodes.push(node);
        }
        if let Some(front) = switches.first() {
            bed.connect(&client, front, LinkSpec::new(FRONT).addr(client_address(), 24))?;
        }
        Ok(Self { bed, client, nodes, folder, tools: tools.clone() })
    }

    /// A host for a server that breaks ties, on a network of its own with all nodes, so far away.
    pub(super) fn third(&self, round_trip: Duration) -> Result<Host, BenchError> {
        let (switch, host) = (self.bed.switch(THIRD)?, self.bed.host("quorum")?);
        for (number, node) in (1_u8..).zip(&self.nodes) {
            let spec = LinkSpec::new(THIRD).addr(address(THIRD_NUMBER, number), 24);
            self.bed.connect(node, &switch, spec.mac(mac(THIRD_NUMBER, number)))?;
        }
        let spec = LinkSpec::new(THIRD).addr(server_address(), 24);
        let link = self.bed.connect_by_relay(&host, &switch, spec, 0)?;
        if let Some(relay) = link.relay() {
            relay.set_both(Impairment { delay: round_trip / 2, ..Impairment::default() });
        }
        Ok(host)
    }

    /// Gives all of them an address of IPv6 too, on the client's network.
    pub(crate) fn speak_six(&self) -> Result<(), BenchError> {
        let numbered = (1_u8..).zip(&self.nodes);
        let nodes = numbered.map(|(number, node)| (node, service_address(Family::V6, number)));
        let client = (&self.client, client_of(Family::V6));
        for (host, address) in nodes.chain([client]) {
            said(host, "ip", &["addr", "add", &format!("{address}/64"), "dev", FRONT, "nodad"])?;
        }
        Ok(())
    }

    /// The host of that name.
    pub(crate) fn node(&self, name: &str) -> Result<&Host, BenchError> {
        let found = self.nodes.iter().find(|node| node.name() == name);
        let found = found.ok_or_else(|| std::io::Error::other("there is none on this bed"));
        found.step(|| format!("cannot find {name}"))
    }

    /// The nodes' Ethernet addresses on the client's network.
    pub(super) fn macs(&self) -> Vec<(String, Mac)> {
        let numbered = (1_u8..).zip(&self.nodes);
        numbered.map(|(number, node)| (node.name().to_owned(), mac(0, number))).collect()
    }

    /// Breaks a node.
    pub(crate) fn inflict(&self, failure: Failure, name: &str) -> Result<(), BenchError> {
        let host = self.node(name)?;
        match failure {
            Failure::Dead => self.bed.silence_then_kill(host)?,
            Failure::CutOff => self.bed.cut(host)?,
            Failure::Apart => {
                if let Some(link) = host.link(RING) {
                    self.bed.cut_link(&link)?;
                }
            }
        }
        Ok(())
    }

    /// Undoes that. After [`Failure::Dead`] the host is empty but for the responder.
    pub(crate) fn mend(&self, failure: Failure, name: &str) -> Result<(), BenchError> {
        let host = self.node(name)?;
        match failure {
            Failure::Dead => {
                self.bed.power_on(host)?;
                self.tools.respond(host)?;
            }
            Failure::CutOff | Failure::Apart => self.bed.heal(host)?,
        }
        Ok(())
    }

    /// The processes with these names, node by node.
    pub(crate) fn running(&self, names: &[&str]) -> Result<Vec<Running>, BenchError> {
        let mut all = Vec::new();
        for host in &self.nodes {
            let mut processes = Vec::new();
            for pid in host.processes()? {
                // one that has just ended is none
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let name = name.trim_end();
                // the kernel keeps the first 15 characters
                if names.iter().any(|it| it.get(..15).unwrap_or(it) == name) {
                    processes.push((name.to_owned(), pid));
                }
            }
            all.push(Running { node: host.name().to_owned(), processes });
        }
        Ok(all)
    }
}

/// The address of a node on a network.
pub(super) fn address(network: u8, node: u8) -> IpAddr {
    Ipv4Addr::new(10, 77, network, node).into()
}

/// The address of a server that breaks ties.
pub(super) fn server_address() -> IpAddr {
    address(THIRD_NUMBER, SERVER)
}

fn mac(network: u8, node: u8) -> Mac {
    Mac([0x02, 0x77, 0, 0, network, node])
}
