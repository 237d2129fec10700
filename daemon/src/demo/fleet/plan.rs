//! What a fleet is built from, and the configuration that follows from it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stead_lab::{LinkSpec, Mac};

/// The client's number on the first network; no node has it.
const CLIENT: u8 = 250;

/// A fleet to be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name, for people, and the cluster's.
    pub name: String,
    /// The program `stead`.
    pub program: PathBuf,
    /// The cluster's ride-out as the configuration says it; its default if there is none.
    pub ride_out: Option<String>,
    /// More lines of the table `[cluster]`.
    pub cluster: String,
    /// Its networks. The client stands on the first.
    pub lans: Vec<Lan>,
    /// Its nodes. The first one founds the cluster.
    pub nodes: Vec<NodePlan>,
    /// Its services.
    pub services: Vec<ServicePlan>,
    /// The tables of its services' networks.
    pub networks: String,
    /// Where a quorum server can stand.
    pub third: Third,
}

/// The third place, where a quorum server can stand, and what lies before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Third {
    /// The client's host.
    #[default]
    Client,
    /// A host on a network of its own, with every node.
    Network {
        /// From a node to the host and back.
        round_trip: Duration,
    },
    /// Behind routers: each site has one, and so has the third place, where the client is too.
    Sites {
        /// From site to site and back.
        between: Duration,
        /// From a site to the third place and back.
        third: Duration,
    },
}

/// A network.
#[derive(Clone, Debug)]
pub struct Lan {
    /// Its name, and that of the nodes' interfaces.
    pub name: String,
    /// The family of the addresses by which it carries heartbeats; none: it is no link.
    pub link: Option<Family>,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Where it stands. Unless there are routers between sites ([`Third::Sites`]), all switches are
    /// tied to those of the last site.
    pub site: String,
    /// It is a satellite.
    pub satellite: bool,
    /// Its cables are relays that can delay and lose frames.
    pub relayed: bool,
    /// Variables of its guard and daemon.
    pub variables: Vec<(String, String)>,
    /// More lines of its table in the configuration.
    pub lines: String,
    /// Its own program `stead`, if it isn't the plan's.
    pub program: Option<PathBuf>,
}

/// A service.
#[derive(Clone, Debug, Default)]
pub struct ServicePlan {
    /// Its name.
    pub name: String,
    /// Its addresses with their prefixes.
    pub addresses: Vec<String>,
    /// The nodes that it would rather run on.
    pub prefer: Vec<String>,
    /// It goes back to a better node.
    pub failback: bool,
    /// Its program.
    pub program: Vec<String>,
    /// Its monitor.
    pub monitor: Vec<String>,
    /// How often the monitor looks; the default if there is none.
    pub interval: Option<String>,
    /// The tables of its resources, as they stand in the file.
    pub resources: String,
}

/// Where the small web service listens.
pub const WEB_PORT: u16 = 8080;

impl Plan {
    /// Nodes `node1` to `nodeN` at one site, on a network for the client that is no link, one link
    /// with IPv4 and one with IPv6.
    #[must_use]
    pub fn of(name: &str, program: &Path, nodes: usize) -> Self {
        let node = |number| NodePlan::at(&format!("node{number}"), "home");
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            ride_out: None,
            cluster: String::new(),
            lans: vec![
                Lan { name: "front".to_owned(), link: None },
                Lan { name: "ring".to_owned(), link: Some(Family::V4) },
                Lan { name: "back".to_owned(), link: Some(Family::V6) },
            ],
            nodes: (1..=nodes).map(node).collect(),
            services: Vec::new(),
            networks: String::new(),
            third: Third::default(),
        }
    }

    /// As [`Plan::of`], with so many nodes at each of these sites, routers between them, and a
    /// third place: every line takes that long there and back. The cluster is told of twice that,
    /// since what is told has to hold on a busy machine as well.
    #[must_use]
    pub fn of_sites(
        name: &str,
        program: &Path,
        sites: &[(&str, usize)],
        round_trip: Duration,
    ) -> Self {
        let at = sites.iter().flat_map(|(site, count)| std::iter::repeat_n(*site, *count));
        let nodes = at.zip(1..).map(|(site, n)| NodePlan::at(&format!("node{n}"), site));
        Self {
            nodes: nodes.collect(),
            cluster: format!("round-trip = \"{}us\"\n", 2 * round_trip.as_micros()),
            third: Third::Sites { between: round_trip, third: round_trip },
            ..Self::of(name, program, 0)
        }
    }

    /// The sites, in the order in which its nodes name them.
    #[must_use]
    pub fn sites(&self) -> Vec<&str> {
        let mut sites: Vec<&str> = Vec::new();
        for node in &self.nodes {
            if !sites.contains(&node.site.as_str()) {
                sites.push(&node.site);
            }
        }
        sites
    }

    /// The place of a node on a network: sites between which there are routers have links of their
    /// own, and share the networks that are no links.
    fn place(&self, at: usize, number: usize) -> Place {
        let of = self.nodes.get(number).map(|node| node.site.as_str());
        let site = match self.third {
            Third::Sites { .. } if self.lans.get(at).is_some_and(|lan| lan.link.is_some()) => {
                self.sites().iter().position(|site| Some(*site) == of).unwrap_or_default()
            }
            Third::Sites { .. } | Third::Client | Third::Network { .. } => 0,
        };
        Place { site: number_of(site), lan: number_of(at) }
    }

    pub(super) fn node_link(&self, at: usize, name: &str, number: usize) -> LinkSpec {
        self.place(at, number).link(name, octet(number)).mac(mac(at, number))
    }

    /// With a service more.
    #[must_use]
    pub fn service(mut self, service: ServicePlan) -> Self {
        self.services.push(service);
        self
    }

    /// With the last nodes, so many, as satellites.
    #[must_use]
    pub fn satellites(mut self, count: usize) -> Self {
        self.nodes.iter_mut().rev().take(count).for_each(|node| node.satellite = true);
        self
    }

    /// The text of cluster.toml.
    #[must_use]
    pub fn configuration(&self) -> String {
        let mut text = format!("[cluster]\nname = \"{}\"\n", self.name);
        if let Some(ride_out) = &self.ride_out {
            line(&mut text, format_args!("ride-out = {ride_out:?}"));
        }
        text.push_str(&self.cluster);
        for lan in self.lans.iter().filter(|lan| lan.link.is_some()) {
            line(&mut text, format_args!("\n[links.{}]", lan.name));
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let addresses = self.lans.iter().enumerate().filter_map(|(at, lan)| {
                let address = self.place(at, number).address(lan.link?, octet(number));
                Some(format!("{} = \"{address}\"", lan.name))
            });
            let addresses = addresses.collect::<Vec<_>>().join(", ");
            line(&mut text, format_args!("\n[nodes.{}]\nsite = {:?}", node.name, node.site));
            if node.satellite {
                line(&mut text, format_args!("satellite = true"));
            }
            line(&mut text, format_args!("addresses = {{ {addresses} }}"));
            text.push_str(&node.lines);
        }
        for service in &self.services {
            service.write(&mut text);
        }
        if !self.services.is_empty() {
            text.push_str(&self.networks);
        }
        text
    }
}

impl NodePlan {
    /// A node at a site.
    #[must_use]
    pub fn at(name: &str, site: &str) -> Self {
        let (name, site) = (name.to_owned(), site.to_owned());
        let (variables, lines) = Default::default();
        Self { name, site, satellite: false, relayed: false, variables, lines, program: None }
    }
}

impl ServicePlan {
    /// The small web service behind an address of the first network; its number there is `octet`.
    #[must_use]
    pub fn web(name: &str, program: &Path, family: Family, octet: u8) -> Self {
        let (ip, prefix) = (service_address(family, octet), family.prefix());
        let program = program.display().to_string();
        let url = std::net::SocketAddr::new(ip, WEB_PORT).to_string();
        Self {
            name: name.to_owned(),
            addresses: vec![format!("{ip}/{prefix}")],
            program: vec![program.clone(), "demo-web".to_owned(), WEB_PORT.to_string()],
            monitor: vec![program, "demo-check".to_owned(), url],
            ..Self::default()
        }
    }

    /// That would rather run on these nodes.
    #[must_use]
    pub fn prefer(mut self, nodes: &[&str]) -> Self {
        self.prefer = nodes.iter().map(|&node| node.to_owned()).collect();
        self
    }

    fn write(&self, text: &mut String) {
        line(text, format_args!("\n[services.{}]", self.name));
        line(text, format_args!("addresses = {:?}", self.addresses));
        if !self.prefer.is_empty() {
            line(text, format_args!("prefer = {:?}", self.prefer));
        }
        if self.failback {
            line(text, format_args!("failback = true"));
        }
        if !self.program.is_empty() {
            line(text, format_args!("program = {:?}", self.program));
        }
        match &self.interval {
            Some(interval) if !self.monitor.is_empty() => {
                let command = &self.monitor;
                line(
                    text,
                    format_args!("monitor = {{ command = {command:?}, interval = {interval:?} }}"),
                );
            }
            None if !self.monitor.is_empty() => {
                line(text, format_args!("monitor = {:?}", self.monitor));
            }
            Some(_) | None => {}
        }
        text.push_str(&self.resources);
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // writing to a text can't fail
    let _ = text.write_fmt(line);
    text.push('\n');
}

/// A segment on which hosts have addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the site; 0 where sites share the segment.
    pub(super) site: u8,
    /// The number of the network.
    pub(super) lan: u8,
}

impl Place {
    /// The segment of the client's probers and of the services.
    pub(super) const FRONT: Self = Self { site: 0, lan: 0 };

    pub(super) fn address(self, family: Family, octet: u8) -> IpAddr {
        let Self { site, lan } = self;
        match family {
            Family::V4 => Ipv4Addr::new(10, site.saturating_add(77), lan, octet).into(),
            Family::V6 => {
                Ipv6Addr::new(0xfd77, lan.into(), site.into(), 0, 0, 0, 0, octet.into()).into()
            }
        }
    }

    /// A cable's end with an address of each family.
    pub(super) fn link(self, ifname: &str, octet: u8) -> LinkSpec {
        [Family::V4, Family::V6].into_iter().fold(LinkSpec::new(ifname), |spec, family| {
            spec.addr(self.address(family, octet), family.prefix())
        })
    }
}

impl Family {
    /// The length of the network part of every segment here.
    pub(super) fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }
}

pub(super) fn number_of(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

fn octet(number: usize) -> u8 {
    number_of(number + 1)
}

/// An address of the first network.
#[must_use]
pub fn service_address(family: Family, octet: u8) -> IpAddr {
    Place::FRONT.address(family, octet)
}

/// The client's address on the first network.
#[must_use]
pub fn client_address(family: Family) -> IpAddr {
    Place::FRONT.address(family, CLIENT)
}

/// The Ethernet address of a node on a network.
pub(super) fn mac(lan: usize, number: usize) -> Mac {
    Mac([0x02, 0x77, 0, 0, number_of(lan), octet(number)])
}

pub(super) fn client_link(lan: &Lan) -> LinkSpec {
    Place::FRONT.link(&lan.name, CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_stead_accepts() {
        let program = Path::new("/usr/bin/stead");
        let web = ServicePlan::web("web", program, Family::V4, 100).prefer(&["node1"]);
        let mut api = ServicePlan::web("api", program, Family::V6, 101);
        api.interval = Some("200ms".to_owned());
        api.failback = true;
        api.prefer = vec!["node2".to_owned()];
        let mut plan = Plan::of("fleet", program, 3).service(web).service(api);
        plan.ride_out = Some("50ms".to_owned());
        plan.cluster = "daemon-grace = \"2s\"\n".to_owned();
        let read = crate::config::read("cluster.toml", &plan.configuration());
        let config = read.expect("a usable configuration").config;
        assert_eq!(config.nodes.len(), 3);
        assert_eq!(config.links.len(), 2);
        assert_eq!(config.services.len(), 2);
    }

    #[test]
    fn sites_with_routers_between_have_links_of_their_own_and_share_the_rest() {
        let program = Path::new("/usr/bin/stead");
        let mut plan = Plan::of("fleet", program, 2);
        plan.nodes[1].site = "away".to_owned();
        assert!(plan.configuration().contains("ring = \"10.77.1.2\", back = \"fd77:2::2\""));
        let time = Duration::from_millis(5);
        plan.third = Third::Sites { between: time, third: time };
        let text = plan.configuration();
        assert!(text.contains("ring = \"10.77.1.1\", back = \"fd77:2::1\""), "{text}");
        assert!(text.contains("ring = \"10.78.1.2\", back = \"fd77:2:1::2\""), "{text}");
        assert_eq!(plan.node_link(0, "front", 1).addrs[0].0, service_address(Family::V4, 2));
    }
}
