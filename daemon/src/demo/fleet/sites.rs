//! Sites with routers between them, and the third place: how it is laid, and what can break of it.
//!
//! ```text
//!    site east               line                site west
//!    node1 node2  ── router ═════════ router ──  node3 node4     ring and back: links of each
//!      │     │          ║               ║          │     │       site's own, routed between sites
//!      │     │          ╚══╗ lines   ╔══╝          │     │
//!    ══╧═════╧══ front ════╗║       ║╔════ front ══╧═════╧══     one segment, as a provider of
//!                         third place                            Ethernet lays it
//!                   router ── quorum server
//!                      └───── client
//! ```
//!
//! Services move by ARP and neighbour discovery, and so need one segment that reaches every site:
//! `front`. It goes by way of the third place and not over the line between the sites, so that a
//! cut of that line leaves both halves in reach of every client, the hardest case; clients are one
//! router away, and see a takeover when that router's neighbour table does. Everything else is
//! routed: heartbeats and the daemons' connections by the line between two sites, questions to the
//! quorum server by each site's own line. Routes are fixed: no other way is found around a line
//! that is cut. Delay is in the lines and not on `front`.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use stead_lab::{Bed, Host, Link, LinkSpec, Switch, Trunk};
use stead_linux::netlink::{Destination, Route};

use super::error::FleetError;
use super::network::{Laid, SERVER, delay};
use super::plan::{self, Family, Place, Plan, number_of};
use super::{Fleet, PATIENCE};

/// A router's number on every segment.
const ROUTER: u8 = 254;
/// The client's number where it stands.
const CLIENT: u8 = 250;
/// The segments of the third place: the client's and the quorum server's.
const OUTSIDE: Place = Place { site: 50, lan: 0 };
const VAULT: Place = Place { site: 50, lan: 1 };
/// The segments of lines count as one more site's.
const LINES: u8 = 100;

/// A site as it was laid.
struct Site {
    name: String,
    router: Host,
    /// To the third place, on the segment of the services.
    front: Trunk,
    /// Its router's end of the line to the third place.
    line: Link,
}

/// All sites, and the lines between each two of them.
pub(super) struct Sites {
    all: Vec<Site>,
    between: Vec<([String; 2], Link)>,
}

/// A port on which nobody listens ("discard"), and how long a packet may be on its way.
const CLOSED: u16 = 9;
const WITHIN: Duration = Duration::from_secs(2);
/// The two ends of a line, by the routers' numbers on it.
const ENDS: [u8; 2] = [1, 2];

struct Layer<'a> {
    bed: &'a Bed,
    plan: &'a Plan,
    nodes: &'a [Host],
    names: Vec<&'a str>,
    lines: u8,
}

/// Lays it all. The times are there and back.
pub(super) fn lay(
    bed: &Bed,
    plan: &Plan,
    nodes: &[Host],
    between: Duration,
    third: Duration,
) -> Result<Laid, FleetError> {
    let mut layer = Layer { bed, plan, nodes, names: plan.sites(), lines: 0 };
    let router = bed.router("third-router", &[])?;
    let (watcher, trunks) = layer.front(&router)?;
    let [client, quorum] = [("client", OUTSIDE, CLIENT), ("quorum", VAULT, SERVER)];
    let client = layer.place(&router, client)?;
    let quorum = layer.place(&router, quorum)?;
    way(&client, Place::FRONT, OUTSIDE, ROUTER)?;

    let routers = layer.routers()?;
    let mut lines = Vec::new();
    for (number, at) in routers.iter().enumerate() {
        let (line, place) = layer.line([at, &router], third)?;
        way(at, VAULT, place, ENDS[1])?;
        for segment in layer.links(number) {
            way(&router, segment, place, ENDS[0])?;
            way(&quorum, segment, VAULT, ROUTER)?;
        }
        lines.push(line);
    }
    let mut pairs = Vec::new();
    for (one, near) in routers.iter().enumerate() {
        for (other, far) in routers.iter().enumerate().skip(one + 1) {
            let (line, place) = layer.line([near, far], between)?;
            layer.links(other).try_for_each(|to| way(near, to, place, ENDS[1]))?;
            layer.links(one).try_for_each(|to| way(far, to, place, ENDS[0]))?;
            pairs.push(([one, other].map(|at| layer.names[at].to_owned()), line));
        }
    }
    layer.ways_of_nodes()?;
    layer.try_ways()?;
    let named = layer.names.iter().zip(routers).zip(trunks.iter().zip(lines));
    let site = |((name, router), (front, line)): ((&&str, Host), (&Trunk, Link))| Site {
        name: (*name).to_owned(),
        router,
        front: front.clone(),
        line,
    };
    let sites = Sites { all: named.map(site).collect(), between: pairs };
    let quorum = (quorum, VAULT.address(Family::V4, SERVER));
    Ok(Laid { client, watcher, quorum, trunks, sites: Some(sites) })
}

/// Routes of both families to a segment, by the way of a router's number on one's own.
fn way(host: &Host, to: Place, own: Place, router: u8) -> Result<(), FleetError> {
    for family in [Family::V4, Family::V6] {
        let to = Destination { addr: to.address(family, 0), prefix: family.prefix() };
        host.add_route(Route::via(to, own.address(family, router)))?;
    }
    Ok(())
}

impl Layer<'_> {
    /// The segments of a site that carry heartbeats.
    fn links(&self, site: usize) -> impl Iterator<Item = Place> + use<> {
        let numbers: Vec<u8> = self.carrying().map(|(at, _)| number_of(at)).collect();
        numbers.into_iter().map(move |lan| Place { site: number_of(site), lan })
    }

    fn carrying(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.plan.lans.iter().enumerate();
        all.filter(|(_, lan)| lan.link.is_some()).map(|(at, lan)| (at, lan.name.as_str()))
    }

    /// The first network: one segment with a switch at each site and at the third place.
    fn front(&self, router: &Host) -> Result<(Host, Vec<Trunk>), FleetError> {
        let watcher = self.bed.host("watcher")?;
        let Some(lan) = self.plan.lans.first() else { return Ok((watcher, Vec::new())) };
        let hub = self.bed.switch(&format!("{}-third", lan.name))?;
        self.bed.connect(&watcher, &hub, plan::client_link(lan))?;
        self.bed.connect(router, &hub, Place::FRONT.link(&lan.name, ROUTER))?;
        let mut trunks = Vec::new();
        for site in 0..self.names.len() {
            let switch = self.switch(&lan.name, site)?;
            trunks.push(self.bed.trunk(&switch, &hub)?);
            self.plug(0, &lan.name, site, &switch)?;
        }
        Ok((watcher, trunks))
    }

    fn switch(&self, lan: &str, site: usize) -> Result<Switch, FleetError> {
        Ok(self.bed.switch(&format!("{lan}-{}", self.names[site]))?)
    }

    /// The nodes of a site, into one of its switches.
    fn plug(&self, at: usize, lan: &str, site: usize, switch: &Switch) -> Result<(), FleetError> {
        for (number, node) in self.plan.nodes.iter().enumerate() {
            if node.site == self.names[site] {
                let spec = self.plan.node_link(at, lan, number);
                self.bed.connect(&self.nodes[number], switch, spec)?;
            }
        }
        Ok(())
    }

    /// A segment of the third place with one host on it.
    fn place(
        &self,
        router: &Host,
        (name, place, octet): (&str, Place, u8),
    ) -> Result<Host, FleetError> {
        let (host, switch) = (self.bed.host(name)?, self.bed.switch(name)?);
        self.bed.connect(&host, &switch, place.link("place", octet))?;
        self.bed.connect(router, &switch, place.link(name, ROUTER))?;
        Ok(host)
    }

    /// A router for each site, on all links of its nodes.
    fn routers(&self) -> Result<Vec<Host>, FleetError> {
        let mut routers = Vec::new();
        for (site, name) in self.names.iter().enumerate() {
            let router = self.bed.router(&format!("{name}-router"), &[])?;
            for ((at, lan), place) in self.carrying().zip(self.links(site)) {
                let switch = self.switch(lan, site)?;
                self.bed.connect(&router, &switch, place.link(lan, ROUTER))?;
                self.plug(at, lan, site, &switch)?;
            }
            routers.push(router);
        }
        Ok(routers)
    }

    /// A line between two routers. The delay is in the cable of the first, and so is a cut.
    fn line(
        &mut self,
        routers: [&Host; 2],
        round_trip: Duration,
    ) -> Result<(Link, Place), FleetError> {
        let name = format!("line{}", self.lines);
        let place = Place { site: LINES, lan: self.lines };
        self.lines += 1;
        let switch = self.bed.switch(&name)?;
        let end = |octet| -> LinkSpec { place.link(&name, octet) };
        let seed = u64::from(self.lines);
        let near = self.bed.connect_by_relay(routers[0], &switch, end(ENDS[0]), seed)?;
        self.bed.connect(routers[1], &switch, end(ENDS[1]))?;
        delay(&near, round_trip);
        Ok((near, place))
    }

    /// To the links of other sites by the router on the same link, to the quorum server by the one
    /// on the first link, to clients by the third place's.
    fn ways_of_nodes(&self) -> Result<(), FleetError> {
        for (node, host) in self.plan.nodes.iter().zip(self.nodes) {
            let site = self.names.iter().position(|name| **name == node.site).unwrap_or_default();
            for other in (0..self.names.len()).filter(|other| *other != site) {
                for (to, own) in self.links(other).zip(self.links(site)) {
                    way(host, to, own, ROUTER)?;
                }
            }
            if let Some(first) = self.links(site).next() {
                way(host, VAULT, first, ROUTER)?;
            }
            way(host, OUTSIDE, Place::FRONT, ROUTER)?;
        }
        Ok(())
    }

    /// Tries every node's ways. A router that has just been switched on loses the first packets to
    /// whom it does not know yet, for a second; one that has been on for years does not.
    fn try_ways(&self) -> Result<(), FleetError> {
        let mut tries = Vec::new();
        for (node, host) in self.plan.nodes.iter().zip(self.nodes) {
            tries.push((host, VAULT.address(Family::V4, SERVER)));
            for (number, other) in self.plan.nodes.iter().enumerate() {
                let far = (other.site != node.site).then_some(self.carrying());
                let addresses = far.into_iter().flatten().flat_map(|(at, _)| {
                    let place = self.plan.node_link(at, "", number).addrs;
                    place.into_iter().map(|(address, _)| address)
                });
                tries.extend(addresses.map(|address| (host, address)));
            }
        }
        std::thread::scope(|scope| {
            let tried = |(host, address): (&Host, IpAddr)| {
                let host = host.clone();
                scope.spawn(move || try_way(&host, SocketAddr::new(address, CLOSED)))
            };
            let all: Vec<_> = tries.into_iter().map(tried).collect();
            let mut joined = all.into_iter().map(|it| it.join());
            joined.try_for_each(|it| it.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }
}

/// Waits until a host at the far end refuses a connection: packets go there and come back.
fn try_way(host: &Host, to: SocketAddr) -> Result<(), FleetError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match host.run(|| TcpStream::connect_timeout(&to, WITHIN))? {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            Err(source) if Instant::now() > deadline => {
                let what = format!("there is no way from {} to {to}", host.name());
                return Err(FleetError::Io { what, source });
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl Fleet {
    fn site(&self, name: &str) -> Result<&Site, FleetError> {
        let mut all = self.laid.sites.iter().flat_map(|sites| &sites.all);
        let found = all.find(|site| site.name == name);
        found.ok_or_else(|| FleetError::NoSuchSite(name.to_owned()))
    }

    fn line(&self, one: &str, other: &str) -> Result<&Link, FleetError> {
        let mut all = self.laid.sites.iter().flat_map(|sites| &sites.between);
        let meant = |names: &[String; 2]| {
            names.iter().all(|name| name == one || name == other) && one != other
        };
        let found = all.find(|(names, _)| meant(names)).map(|(_, line)| line);
        found.ok_or_else(|| FleetError::NoSuchSite(format!("{one} beside {other}")))
    }

    /// Cuts the line between two sites. Clients and the quorum server still reach both.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn cut_sites(&self, one: &str, other: &str) -> Result<(), FleetError> {
        Ok(self.bed.cut_link(self.line(one, other)?)?)
    }

    /// Ends [`Fleet::cut_sites`].
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn heal_sites(&self, one: &str, other: &str) -> Result<(), FleetError> {
        Ok(self.bed.heal_link(self.line(one, other)?)?)
    }

    /// Cuts the line from a site to the third place: it does not reach the quorum server any more.
    /// Clients still reach it.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn cut_from_third(&self, site: &str) -> Result<(), FleetError> {
        Ok(self.bed.cut_link(&self.site(site)?.line)?)
    }

    /// Ends [`Fleet::cut_from_third`].
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn heal_to_third(&self, site: &str) -> Result<(), FleetError> {
        Ok(self.bed.heal_link(&self.site(site)?.line)?)
    }

    /// A whole site loses its power: nothing leaves it any more, its router forwards nothing, and
    /// everything on its nodes is killed.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn kill_site(&self, name: &str) -> Result<(), FleetError> {
        let site = self.site(name)?;
        self.bed.cut_trunk(&site.front)?;
        self.bed.cut(&site.router)?;
        self.nodes_at(name).try_for_each(|node| self.silence_then_kill(node))
    }

    /// Ends [`Fleet::kill_site`]: its router works again, and its nodes start.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub fn revive_site(&self, name: &str) -> Result<(), FleetError> {
        let site = self.site(name)?;
        self.bed.heal_trunk(&site.front)?;
        self.bed.heal(&site.router)?;
        self.nodes_at(name).try_for_each(|node| self.power_on(node))
    }

    /// The names of the nodes of a site.
    pub fn nodes_at<'a>(&'a self, site: &'a str) -> impl Iterator<Item = &'a str> {
        let here = self.plan.nodes.iter().filter(move |node| node.site == site);
        here.map(|node| node.name.as_str())
    }
}
