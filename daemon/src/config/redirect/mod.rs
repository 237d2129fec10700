//! Leading clients to services, as `cluster.toml` says it: layers of addresses, names, zones.
//!
//! What it is for: `layers` and `on` of an address, `names` and `clients` of a service,
//! `[zones.NAME]`, `[redirect]`, and `pool` of a network become a [`RedirectConfig`].
//! [`words`] writes the same back. Happy path: each table is read where it stands, [`checks`] holds
//! them against each other, [`config`] makes one value of all. Failures: each mistake is a finding
//! with its place, and what stands there is left out.
//!
//! Deliberately absent: reading the key's file. It is on the nodes, and may be another on each.

mod changes;
mod checks;
mod layers;
mod names;
mod places;
mod words;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use stead_core::id::ServiceId;
use stead_core::redirect::Layer;
use stead_core::state::config::{
    AddressLayers, AddressRange, Caching, NameConfig, NamedService, Prefix, RedirectConfig,
    Routing, RulesConfig, Strength, ZoneConfig,
};
use toml::Spanned;

use super::draft::Draft;
use super::rules::Places;

pub(super) use changes::changes;
pub(super) use checks::check;
pub(super) use layers::of_address;
pub(super) use names::{clients, names};
pub(super) use places::places;
pub(super) use words::{
    is_implied, write_address, write_names, write_pool, write_redirect, write_zones,
};
pub(super) use zones::{domain_of, pool, redirect, zone};

/// How long a record may be kept, in seconds, where the file doesn't say.
pub const DEFAULT_TTL: u32 = 60;
/// The same, shortly before and after a planned move.
pub const DEFAULT_MOVING_TTL: u32 = 5;

/// What is said of one address of a service.
#[derive(Default)]
pub(super) struct OfAddress {
    pub(super) layers: Vec<Spanned<Layer>>,
    pub(super) on: Option<Spanned<Places>>,
}

/// A table `[zones.NAME]`. What could not be read is missing.
pub(super) struct Zone {
    pub(super) name: Spanned<String>,
    pub(super) domain: Option<Spanned<String>>,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) key: Option<String>,
    pub(super) ttl: u32,
    pub(super) moving_ttl: u32,
}

/// The table `[redirect]`.
#[derive(Default)]
pub(super) struct Redirect {
    pub(super) routing: Option<Spanned<Routing>>,
    pub(super) prefixes: Vec<Spanned<Prefix>>,
    pub(super) documents: Option<Spanned<u16>>,
    pub(super) documents_token: Option<String>,
    pub(super) not_permitted: Vec<(Spanned<Layer>, String)>,
}

/// The names of a service.
#[derive(Default)]
pub(super) struct Named {
    pub(super) names: Vec<Spanned<NameConfig>>,
    pub(super) clients: Option<Spanned<Caching>>,
}

/// `pool` of a network.
pub(super) struct Pool {
    pub(super) at: Range<usize>,
    pub(super) range: AddressRange,
}

/// All of it, as it is configured.
pub(super) fn config(draft: &Draft) -> RedirectConfig {
    let mut addresses = BTreeMap::new();
    for service in &draft.services {
        for (address, said) in service.addresses.iter().zip(&service.said) {
            let said = said.config();
            if said != AddressLayers::default() {
                addresses.insert(address.get_ref().ip, said);
            }
        }
    }
    let named = draft.services.iter().map(|service| {
        let names = service.named.names.iter().map(|it| it.get_ref().clone()).collect();
        let clients = service.named.clients.as_ref().map(|it| *it.get_ref());
        let named = NamedService { names, clients: clients.unwrap_or_default() };
        (ServiceId(service.name.get_ref().clone()), named)
    });
    let redirect = &draft.redirect;
    let permitted = redirect.not_permitted.iter();
    RedirectConfig {
        addresses,
        services: named.filter(|(_, it)| *it != NamedService::default()).collect(),
        zones: draft.zones.iter().filter_map(Zone::config).collect(),
        routing: redirect.routing.as_ref().map(|it| it.get_ref().clone()),
        prefixes: redirect.prefixes.iter().map(|it| *it.get_ref()).collect(),
        documents: redirect.documents.as_ref().map(|it| *it.get_ref()),
        documents_token: redirect.documents_token.clone(),
        not_permitted: permitted.map(|(layer, who)| (*layer.get_ref(), who.clone())).collect(),
        pools: draft
            .networks
            .iter()
            .filter_map(|it| Some((it.name.get_ref().clone(), it.pool.as_ref()?.range)))
            .collect(),
    }
}

/// What shares a prefix that is announced as a whole can only move together: that is a rule like
/// any other, which nobody has to write.
pub(super) fn add_implied(config: &RedirectConfig, draft: &Draft, rules: &mut RulesConfig) {
    let mut by_prefix: BTreeMap<Prefix, BTreeSet<ServiceId>> = BTreeMap::new();
    for service in &draft.services {
        let routed = service.addresses.iter().zip(&service.said).filter(|(_, said)| said.routes());
        for (address, _) in routed {
            let whole = config.prefixes.iter().find(|it| it.contains(address.get_ref().ip));
            if let Some(prefix) = whole {
                let id = ServiceId(service.name.get_ref().clone());
                by_prefix.entry(*prefix).or_default().insert(id);
            }
        }
    }
    for services in by_prefix.values() {
        let mut services = services.iter();
        let Some(first) = services.next() else { continue };
        for other in services {
            let rules = rules.services.entry(first.clone()).or_default();
            rules.together.insert(other.clone(), Strength::Must);
        }
    }
}

impl OfAddress {
    fn config(&self) -> AddressLayers {
        let on = self.on.iter().flat_map(|it| it.get_ref());
        let layers: Vec<_> = self.layers.iter().map(|it| *it.get_ref()).collect();
        AddressLayers {
            // What everybody gets is not written down.
            layers: if layers == [Layer::Arp] { Vec::new() } else { layers },
            on: on.map(|it| it.get_ref().clone()).collect(),
        }
    }

    fn routes(&self) -> bool {
        self.layers.iter().any(|it| *it.get_ref() == Layer::Route)
    }
}

impl Zone {
    fn config(&self) -> Option<(String, ZoneConfig)> {
        let zone = ZoneConfig {
            domain: self.domain.as_ref()?.get_ref().clone(),
            servers: self.servers.clone(),
            key: self.key.clone()?,
            ttl: self.ttl,
            moving_ttl: self.moving_ttl,
        };
        Some((self.name.get_ref().clone(), zone))
    }
}

/// Whether an address may be one of a name server, or of a pool.
fn is_usable(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}
