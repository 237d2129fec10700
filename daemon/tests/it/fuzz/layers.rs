//! Drawn layers, names and registers.

use stead_core::id::Epoch;
use stead_core::redirect::{Layer, Verb};
use stead_core::state::config::{
    AddressLayers, AddressRange, Caching, NameConfig, NamedService, Prefix, RecordKind,
    RedirectConfig, Routing, ZoneConfig,
};
use stead_core::state::{Lowered, MacAddress, RegisterChange, Registered, Reservation};
use stead_fuzz::Draw;

use super::rules::text;
use super::values::{address, maybe, service, several, span};

/// A layer, and what is done by it.
pub fn step(draw: &mut Draw<'_>) -> (Layer, Verb) {
    let verb = if draw.flag() { Verb::Announce } else { Verb::Verify };
    (layer(draw), verb)
}

fn layer(draw: &mut Draw<'_>) -> Layer {
    Layer::ALL[draw.below(Layer::ALL.len())]
}

fn prefix(draw: &mut Draw<'_>) -> Prefix {
    Prefix { network: address(draw), length: draw.byte() }
}

fn kind(draw: &mut Draw<'_>) -> RecordKind {
    let (target, port) = (text(draw), u16::from(draw.byte()));
    match draw.below(4) {
        0 => RecordKind::Addresses,
        1 => RecordKind::Alias(target),
        2 => RecordKind::Service { target, port },
        _ => RecordKind::Https { target, port: Some(port), alpn: several(draw, text) },
    }
}

fn named(draw: &mut Draw<'_>) -> NamedService {
    let name = |draw: &mut Draw<'_>| NameConfig {
        name: text(draw),
        kind: kind(draw),
        ttl: maybe(draw, |draw| u32::from(draw.byte())),
        adopt: draw.flag(),
    };
    let clients = match draw.below(3) {
        0 => Caching::Ttl,
        1 => Caching::AtLeast(span(draw)),
        _ => Caching::UntilRestart,
    };
    NamedService { names: several(draw, name), clients }
}

/// What a configuration says of leading clients.
pub fn redirect(draw: &mut Draw<'_>) -> RedirectConfig {
    let layers = |draw: &mut Draw<'_>| AddressLayers {
        layers: several(draw, layer),
        on: several(draw, super::rules::place),
    };
    let zone = |draw: &mut Draw<'_>| ZoneConfig {
        domain: text(draw),
        servers: Vec::new(),
        key: text(draw),
        ttl: u32::from(draw.byte()),
        moving_ttl: u32::from(draw.byte()),
    };
    let pool = |draw: &mut Draw<'_>| AddressRange { first: address(draw), last: address(draw) };
    RedirectConfig {
        addresses: several(draw, |draw| (address(draw), layers(draw))).into_iter().collect(),
        services: several(draw, |draw| (service(draw), named(draw))).into_iter().collect(),
        zones: several(draw, |draw| (text(draw), zone(draw))).into_iter().collect(),
        routing: maybe(draw, |draw| Routing::Frr { sockets: maybe(draw, text) }),
        prefixes: several(draw, prefix).into_iter().collect(),
        documents: maybe(draw, |draw| u16::from(draw.byte())),
        documents_token: maybe(draw, text),
        not_permitted: several(draw, |draw| (layer(draw), text(draw))).into_iter().collect(),
        pools: several(draw, |draw| (text(draw), pool(draw))).into_iter().collect(),
    }
}

fn registered(draw: &mut Draw<'_>) -> Registered {
    match draw.below(4) {
        0 => Registered::Address(address(draw)),
        1 => Registered::Prefix(prefix(draw)),
        2 => Registered::Mac(MacAddress([2, 0, 0, 0, 0, draw.byte()])),
        _ => Registered::Name(text(draw)),
    }
}

/// A change of the registers.
pub fn change(draw: &mut Draw<'_>, epoch: Epoch) -> RegisterChange {
    let reservation = |draw: &mut Draw<'_>| Reservation {
        service: maybe(draw, service),
        note: text(draw),
        by: text(draw),
    };
    let lowered = |draw: &mut Draw<'_>| Lowered { until: draw.number(), epoch };
    match draw.below(4) {
        0 => RegisterChange::Reserve { what: registered(draw), reservation: reservation(draw) },
        1 => RegisterChange::Release { what: registered(draw) },
        2 => RegisterChange::Told { service: service(draw), epoch },
        _ => RegisterChange::Lower { service: service(draw), lowered: maybe(draw, lowered) },
    }
}
