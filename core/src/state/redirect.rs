//! By which layers clients reach services, as the operator wrote it.
//!
//! | layer | a line that says it |
//! |---|---|
//! | ARP, neighbour discovery | nothing; every address is announced so, unless it says otherwise |
//! | MAC | `addresses = [{ ip = "10.0.0.100", prefix = 24, layers = ["mac"] }]` |
//! | route | the same with `"route"`, and `routing = "bird"` in `[redirect]` |
//! | DNS | `names = ["www.shop.example"]`, and a table `[zones.shop]` |
//! | knowledge | `documents = 7420` in `[redirect]` |

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::State;
use super::config::Config;
use super::prefix::{AddressRange, Prefix};
use super::rules::Place;
use crate::id::{NodeId, ServiceId};
use crate::redirect::Layer;
use crate::time::Span;

/// What a configuration has behind that of 0.7. Only members from 0.8 on read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectConfig {
    /// What is said of services' addresses; only of those of which anything is.
    pub addresses: BTreeMap<IpAddr, AddressLayers>,
    /// What is said of services; only of those of which anything is.
    pub services: BTreeMap<ServiceId, NamedService>,
    /// Name servers, and the domains that they are asked to change, by name.
    pub zones: BTreeMap<String, ZoneConfig>,
    /// The routing daemon on the nodes.
    pub routing: Option<Routing>,
    /// Prefixes that are announced as a whole: what lies in one moves together.
    pub prefixes: BTreeSet<Prefix>,
    /// The port on which each node says where services are.
    pub documents: Option<u16>,
    /// The file on each node with the token that readers of these have to show; anybody may read
    /// them if there is none.
    pub documents_token: Option<String>,
    /// Layers that somebody doesn't permit, and who.
    pub not_permitted: BTreeMap<Layer, String>,
    /// From where addresses are given out, by the name of their network.
    pub pools: BTreeMap<String, AddressRange>,
}

/// By which layers one address is announced, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressLayers {
    /// The layers, in order; ARP alone if nothing stands here.
    pub layers: Vec<Layer>,
    /// Only on these nodes; on all if nothing stands here.
    pub on: Vec<Place>,
}

/// The names of a service, and how its clients keep what they looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedService {
    /// What is written into the domain name system.
    pub names: Vec<NameConfig>,
    /// For how long clients go on with what they looked up.
    pub clients: Caching,
}

/// For how long a client goes on with an address that it looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caching {
    /// As long as the record says.
    #[default]
    Ttl,
    /// At least for that time, whatever the record says.
    AtLeast(Span),
    /// Until it is started anew.
    UntilRestart,
}

/// One name in the domain name system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameConfig {
    /// The whole name, without a dot at its end.
    pub name: String,
    /// What stands there.
    pub kind: RecordKind,
    /// How long it may be kept, in seconds; if nothing, as the zone says.
    pub ttl: Option<u32>,
    /// It is taken over though somebody else made it.
    pub adopt: bool,
}

/// What stands at a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordKind {
    /// The service's addresses on the node that has it (A, AAAA).
    Addresses,
    /// Another name (CNAME); `{node}` in it stands for the node that has the service.
    Alias(String),
    /// Another name and a port (SRV, RFC 2782).
    Service {
        /// The name; `{node}` in it stands for the node that has the service.
        target: String,
        /// The port.
        port: u16,
    },
    /// Where HTTPS is served (HTTPS, RFC 9460), with the addresses as hints.
    Https {
        /// The name; `.` for the name itself, `{node}` in it stands for the node.
        target: String,
        /// The port, if it is not 443.
        port: Option<u16>,
        /// The protocols, as in `h2`.
        alpn: Vec<String>,
    },
}

/// A domain whose name servers take updates (RFC 2136).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneConfig {
    /// Its name, without a dot at its end.
    pub domain: String,
    /// Its authoritative servers, the primary first.
    pub servers: Vec<SocketAddr>,
    /// The absolute path, on each node, of a file with the key (TSIG), as `tsig-keygen` writes it.
    pub key: String,
    /// How long its records may be kept, in seconds.
    pub ttl: u32,
    /// The same, shortly before and after a planned move.
    pub moving_ttl: u32,
}

/// A routing daemon that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routing {
    /// BIRD 2.
    Bird {
        /// Where it listens; if nothing, where Debian's does.
        control: Option<String>,
        /// The file that stead writes and the daemon's own configuration includes.
        include: Option<String>,
    },
    /// FRR.
    Frr {
        /// The folder of its sockets; if nothing, Debian's.
        sockets: Option<String>,
    },
}

impl Config {
    /// What is said of redirecting clients.
    #[must_use]
    pub fn redirect(&self) -> &RedirectConfig {
        &self.later.fencing.redirect
    }

    /// By which layers that address is announced, in order.
    #[must_use]
    pub fn layers_of(&self, address: IpAddr) -> &[Layer] {
        let said = self.redirect().addresses.get(&address).map(|it| it.layers.as_slice());
        said.filter(|layers| !layers.is_empty()).unwrap_or(&[Layer::Arp])
    }

    /// Whether that address is used on that node.
    #[must_use]
    pub fn is_used_on(&self, address: IpAddr, node: &str) -> bool {
        let on = self.redirect().addresses.get(&address).map(|it| it.on.as_slice());
        let on = on.unwrap_or_default();
        on.is_empty() || on.iter().any(|place| self.is_there(node, place))
    }

    /// The prefix as part of which that address is announced, if it is one of a layer that routes.
    #[must_use]
    pub fn announced_as(&self, address: IpAddr) -> Option<Prefix> {
        if !self.layers_of(address).contains(&Layer::Route) {
            return None;
        }
        let whole = self.redirect().prefixes.iter().find(|it| it.contains(address));
        Some(whole.copied().unwrap_or_else(|| Prefix::host(address)))
    }

    /// The services that share an announced prefix with that one, and so are where it is; with the
    /// prefix.
    pub fn share_a_prefix<'a>(
        &'a self,
        service: &'a ServiceId,
    ) -> impl Iterator<Item = (&'a ServiceId, Prefix)> {
        let own = self.announced_prefixes(service);
        let others = self.services.keys().filter(move |it| *it != service && !own.is_empty());
        let own = self.announced_prefixes(service);
        others.filter_map(move |other| {
            let theirs = self.announced_prefixes(other);
            own.intersection(&theirs).next().map(|prefix| (other, *prefix))
        })
    }

    /// The prefixes that are announced as a whole where that service is.
    #[must_use]
    pub fn announced_prefixes(&self, service: &ServiceId) -> BTreeSet<Prefix> {
        let prefixes = &self.redirect().prefixes;
        if prefixes.is_empty() {
            return BTreeSet::new();
        }
        let addresses = self.services.get(service).into_iter().flat_map(|it| &it.addresses);
        addresses
            .filter_map(|it| self.announced_as(it.ip))
            .filter(|prefix| prefixes.contains(prefix))
            .collect()
    }

    /// By which layers, and where, each address of a service is announced.
    pub(super) fn ways(&self, service: &ServiceId) -> Vec<Option<&AddressLayers>> {
        let addresses = self.services.get(service).into_iter().flat_map(|it| &it.addresses);
        addresses.map(|it| self.redirect().addresses.get(&it.ip)).collect()
    }

    /// All layers by which clients are led to that service on that node, the lowest first.
    #[must_use]
    pub fn layers(&self, service: &ServiceId, node: &str) -> BTreeSet<Layer> {
        let addresses = self.services.get(service).into_iter().flat_map(|it| &it.addresses);
        let addresses = addresses.filter(|it| self.is_used_on(it.ip, node));
        let mut layers: BTreeSet<_> =
            addresses.flat_map(|it| self.layers_of(it.ip)).copied().collect();
        let redirect = self.redirect();
        if redirect.services.get(service).is_some_and(|it| !it.names.is_empty()) {
            layers.insert(Layer::Dns);
        }
        if redirect.documents.is_some() {
            layers.insert(Layer::Knowledge);
        }
        layers
    }

    /// The zone that a name belongs to: the one with the longest domain.
    #[must_use]
    pub fn zone_of(&self, name: &str) -> Option<&ZoneConfig> {
        let inside = |zone: &&ZoneConfig| {
            name.strip_suffix(zone.domain.as_str())
                .is_some_and(|it| it.is_empty() || it.ends_with('.'))
        };
        self.redirect().zones.values().filter(inside).max_by_key(|zone| zone.domain.len())
    }
}

impl State {
    /// The addresses of a service on a node, as they are configured now.
    #[must_use]
    pub fn addresses_on(&self, service: &ServiceId, node: NodeId) -> Vec<IpAddr> {
        let Some(config) = &self.config else { return Vec::new() };
        let all = self.configured_addresses(service);
        // Without such a rule no name has to be looked up, and most clusters have none.
        if config.redirect().addresses.values().all(|it| it.on.is_empty()) {
            return all;
        }
        let name = self.name(node);
        all.into_iter().filter(|it| config.is_used_on(*it, &name)).collect()
    }
}
