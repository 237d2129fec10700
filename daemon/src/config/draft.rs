//! What the file says, each value with its place, before the values are held against each other.
//!
//! A value that couldn't be read is noted as a problem and left out or replaced by its default; a
//! draft becomes a [`Config`] only if there are no problems, so the replacement is never used.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use stead_core::id::ServiceId;
use stead_core::quorum::chain::Chain;
use stead_core::state::config::{
    AfterFence, Config, ConfigLater, ConfigMore, ConfigNext, CopiesConfig, DeviceConfig,
    ExecConfig, Expected, FencingConfig, Hooks, LinkConfig, Look, Monitor, NodeConfig, NodeFencing,
    Plug, Program, ResourceConfig, ServiceAddress, ServiceConfig, ServiceMore, USUAL_IMPORTANCE,
};
use stead_core::time::Span;
use toml::Spanned;

use super::redirect::{self, Named, OfAddress, Pool, Redirect, Zone};
use super::rules::{self, OfNode, OfService, Places};
use super::timed::Time;
use crate::fence::MetaData;

/// The whole file.
pub(super) struct Draft {
    pub(super) cluster: Cluster,
    pub(super) links: Vec<Link>,
    pub(super) nodes: Vec<Node>,
    pub(super) services: Vec<Service>,
    pub(super) times: Vec<Time>,
    pub(super) networks: Vec<Network>,
    pub(super) quorum: Option<Quorum>,
    pub(super) devices: Vec<Device>,
    pub(super) expects: Vec<Expect>,
    pub(super) zones: Vec<Zone>,
    pub(super) redirect: Redirect,
}

/// The table `[cluster]`.
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) ride_out: Spanned<Span>,
    pub(super) round_trip: Spanned<Span>,
    pub(super) daemon_grace: Span,
}

/// A table `[links.NAME]`.
pub(super) struct Link {
    pub(super) name: Spanned<String>,
    pub(super) port: u16,
}

/// A table `[nodes.NAME]`.
pub(super) struct Node {
    pub(super) name: Spanned<String>,
    pub(super) site: Option<String>,
    pub(super) satellite: Option<Spanned<bool>>,
    /// Where the table of addresses is.
    pub(super) at: Range<usize>,
    /// Whether there is such a table; if not, that has been noted.
    pub(super) given: bool,
    pub(super) addresses: Vec<NodeAddress>,
    pub(super) fenced: Fenced,
    pub(super) rules: OfNode,
}

/// How a node is fenced.
pub(super) struct Fenced {
    pub(super) levels: Vec<Spanned<Vec<Spanned<Plug>>>>,
    pub(super) after: AfterFence,
    pub(super) rehearse: Option<Span>,
    pub(super) watchdog: bool,
}

/// A table `[fencing.devices.NAME]`.
pub(super) struct Device {
    pub(super) name: Spanned<String>,
    /// Where it says what it is.
    pub(super) at: Range<usize>,
    /// None if what stands there is no device.
    pub(super) config: Option<DeviceConfig>,
    /// What its agent says of itself, if it was asked.
    pub(super) meta: Option<MetaData>,
}

/// An `[[expect]]`.
pub(super) struct Expect {
    pub(super) fail: Places,
    pub(super) then: Vec<Spanned<Expected>>,
}

/// The address of a node on a link.
pub(super) struct NodeAddress {
    pub(super) link: Spanned<String>,
    /// None if what stands there is no address.
    pub(super) ip: Option<Spanned<IpAddr>>,
}

/// A table `[services.NAME]`.
pub(super) struct Service {
    pub(super) name: Spanned<String>,
    pub(super) addresses: Vec<Spanned<ServiceAddress>>,
    /// What is said of each of them, in the same order.
    pub(super) said: Vec<OfAddress>,
    pub(super) named: Named,
    pub(super) program: Option<Program>,
    pub(super) monitor: Option<Monitor>,
    pub(super) prefer: Places,
    pub(super) failback: Option<Spanned<bool>>,
    pub(super) resources: Vec<Spanned<ResourceConfig>>,
    pub(super) needs: Vec<Spanned<String>>,
    pub(super) importance: Option<Spanned<u16>>,
    pub(super) hooks: Hooks,
    pub(super) look: Look,
    pub(super) copies: Option<Copies>,
    /// The resources that can be promoted, by name.
    pub(super) promotable: BTreeSet<String>,
    pub(super) rules: OfService,
}

/// `copies` of a service.
pub(super) struct Copies {
    /// Where it stands.
    pub(super) at: Range<usize>,
    /// The nodes; all if none.
    pub(super) nodes: Option<Vec<Spanned<String>>>,
    /// The labels in whose place some of them stand.
    pub(super) labels: Vec<String>,
}

/// The table `[quorum]`.
pub(super) struct Quorum {
    /// None if what stands there is no chain: it was told already.
    pub(super) chain: Option<Chain>,
    pub(super) exec: Option<ExecConfig>,
    pub(super) handicap: Option<Span>,
}

/// A table `[networks.NAME]`.
pub(super) struct Network {
    pub(super) name: Spanned<String>,
    /// Where the table is.
    pub(super) at: Range<usize>,
    /// None if what stands there is no prefix.
    pub(super) prefix: Option<Spanned<(IpAddr, u8)>>,
    pub(super) interface: Option<String>,
    pub(super) pool: Option<Pool>,
    pub(super) gateway: bool,
    pub(super) addresses: Vec<Spanned<IpAddr>>,
    /// Whether something stands where points are named that can't be read: it was told already.
    pub(super) unclear: bool,
}

impl Draft {
    /// The configuration, once there are no problems.
    pub(super) fn config(self) -> Config {
        let redirect = redirect::config(&self);
        let mut rules = rules::config(&self);
        redirect::add_implied(&redirect, &self, &mut rules);
        let satellites = self.nodes.iter().filter(|node| node.is_satellite());
        let satellites = satellites.map(|node| node.name.get_ref().clone()).collect();
        let more = self.services.iter().map(Service::more);
        let more = more.filter(|(_, more)| *more != ServiceMore::default()).collect();
        let link = |link: Link| (link.name.into_inner(), LinkConfig { port: link.port });
        let device = |device: Device| Some((device.name.into_inner(), device.config?));
        let nodes = self.nodes.into_iter().map(Node::config);
        let (nodes, fenced): (BTreeMap<_, _>, Vec<_>) =
            nodes.map(|(name, node, fenced)| ((name.clone(), node), (name, fenced))).unzip();
        let fenced = fenced.into_iter().filter_map(|(name, fenced)| Some((name, fenced?)));
        Config {
            name: self.cluster.name,
            ride_out: self.cluster.ride_out.into_inner(),
            round_trip: self.cluster.round_trip.into_inner(),
            daemon_grace: self.cluster.daemon_grace,
            links: self.links.into_iter().map(link).collect(),
            nodes,
            services: self.services.into_iter().map(Service::config).collect(),
            more: ConfigMore {
                networks: self.networks.into_iter().filter_map(Network::config).collect(),
            },
            later: ConfigLater {
                quorum: self.quorum.map(Quorum::config).unwrap_or_default(),
                satellites,
                next: ConfigNext { services: more },
                fencing: FencingConfig {
                    devices: self.devices.into_iter().filter_map(device).collect(),
                    nodes: fenced.collect(),
                    rules,
                    redirect,
                },
            },
        }
    }
}

impl Node {
    pub(super) fn is_satellite(&self) -> bool {
        self.satellite.as_ref().is_some_and(|satellite| *satellite.get_ref())
    }

    fn config(self) -> (String, NodeConfig, Option<NodeFencing>) {
        let addresses: BTreeMap<String, IpAddr> = self
            .addresses
            .into_iter()
            .filter_map(|address| Some((address.link.into_inner(), address.ip?.into_inner())))
            .collect();
        let node = NodeConfig { site: self.site, addresses };
        (self.name.into_inner(), node, self.fenced.config())
    }
}

impl Service {
    fn more(&self) -> (ServiceId, ServiceMore) {
        let resources = self.resources.iter().map(|it| it.get_ref().clone()).collect();
        let needs = self.needs.iter().map(|it| ServiceId(it.get_ref().clone())).collect();
        let (hooks, look) = (self.hooks.clone(), self.look.clone());
        let importance = self.importance.as_ref().and_then(|it| u8::try_from(*it.get_ref()).ok());
        let importance = importance.unwrap_or(USUAL_IMPORTANCE);
        let copies = self.copies.as_ref().map(|copies| CopiesConfig {
            nodes: copies
                .nodes
                .as_ref()
                .map(|nodes| nodes.iter().map(|node| node.get_ref().clone()).collect()),
            promotable: self.promotable.clone(),
        });
        let more = ServiceMore { resources, needs, importance, hooks, look, copies };
        (ServiceId(self.name.get_ref().clone()), more)
    }

    fn config(self) -> (ServiceId, ServiceConfig) {
        let config = ServiceConfig {
            addresses: self.addresses.into_iter().map(Spanned::into_inner).collect(),
            program: self.program,
            monitor: self.monitor,
            prefer: self.prefer.iter().map(|it| it.get_ref().to_string()).collect(),
            failback: self.failback.is_some_and(Spanned::into_inner),
        };
        (ServiceId(self.name.into_inner()), config)
    }
}
