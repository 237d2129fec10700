//! Layers, names and zones held against each other, and against nodes and networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stead_core::redirect::Layer;
use stead_core::state::config::{Caching, Prefix, RecordKind};
use toml::Spanned;

use crate::config::draft::{Draft, Service};
use crate::config::problem::Findings;
use crate::config::rule_checks::{Listed, Names, places};
use crate::config::section::shown;

/// Holds all of it against each other.
pub(in crate::config) fn check(draft: &Draft, names: &Names<'_>, findings: &mut Findings) {
    for service in &draft.services {
        addresses(draft, names, service, findings);
        of_names(draft, service, findings);
    }
    twice(draft, findings);
    zones(draft, findings);
    prefixes(draft, findings);
    pools(draft, findings);
}

fn addresses(draft: &Draft, names: &Names<'_>, service: &Service, findings: &mut Findings) {
    let name = shown(service.name.get_ref());
    for (address, said) in service.addresses.iter().zip(&service.said) {
        let ip = address.get_ref().ip;
        if let Some(on) = &said.on {
            let listed = Listed { service: &name, key: "on", says: "has an address only on" };
            places(names, &listed, on.get_ref(), findings);
        }
        for layer in &said.layers {
            let banned = draft.redirect.not_permitted.iter();
            let mut banned = banned.filter(|(it, _)| it.get_ref() == layer.get_ref());
            if let Some((at, who)) = banned.next() {
                let message =
                    format!("{ip} uses layer {}, which {who} does not permit", layer.get_ref());
                let help = "take the layer away here, or the line there once it is permitted";
                findings.error(&layer.span(), message, help).compare(
                    "used here",
                    &at.span(),
                    "not permitted here",
                );
            }
            if *layer.get_ref() == Layer::Route && draft.redirect.routing.is_none() {
                let message = format!("{ip} is to be routed, and no routing daemon is named");
                let help = "say which one runs on the nodes:  routing = \"bird\"  in [redirect]";
                findings.error(&layer.span(), message, help);
            }
        }
        let routed = said.layers.iter().any(|it| *it.get_ref() == Layer::Route);
        let alone = routed && said.layers.len() == 1;
        let whole = Prefix::host(ip).length == address.get_ref().prefix;
        if alone && !whole {
            let message = format!("{ip}/{} is reached by a route alone", address.get_ref().prefix);
            let help = format!(
                "it is on no segment, so its prefix is its own:  \"{}\". What is announced as a \
                 whole stands in  prefixes  of [redirect]",
                Prefix::host(ip)
            );
            findings.error(&address.span(), message, help);
        }
    }
    if let Some(node) = bare(names, service) {
        let message = format!("service {name} has no address on {node}");
        let help = "let one of its addresses be used there too, or keep the service away from it \
                    with  never  or  only";
        findings.error(&service.name.span(), message, help);
    }
}

/// A node that the service may be on, and where it has no address.
fn bare<'d>(names: &Names<'d>, service: &Service) -> Option<&'d str> {
    let all_limited = service.said.iter().all(|said| said.on.is_some());
    if service.said.is_empty() || !all_limited {
        return None;
    }
    let of = |list: &Option<Spanned<super::Places>>| {
        let places = list.iter().flat_map(|it| it.get_ref());
        places.flat_map(|it| names.of(it.get_ref())).collect::<std::collections::BTreeSet<_>>()
    };
    let (only, never) = (of(&service.rules.only), of(&service.rules.never));
    let allowed = |node: &usize| {
        (service.rules.only.is_none() || only.contains(node)) && !never.contains(node)
    };
    let used = |node: &usize| service.said.iter().any(|said| of(&said.on).contains(node));
    let bare = (0..names.nodes.len()).find(|node| allowed(node) && !used(node))?;
    names.nodes.get(bare).copied()
}

fn of_names(draft: &Draft, service: &Service, findings: &mut Findings) {
    for name in &service.named.names {
        let text = &name.get_ref().name;
        let inside = |domain: &str| {
            text.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let mut zones = draft.zones.iter().filter_map(|it| it.domain.as_ref());
        if !zones.any(|it| inside(it.get_ref())) {
            let message = format!("no zone here has the name `{}`", shown(text));
            let help = "say which servers take updates of it, in a table  [zones.shop]  with \
                        domain, servers and key";
            findings.error(&name.span(), message, help);
        }
        let banned =
            draft.redirect.not_permitted.iter().find(|(it, _)| *it.get_ref() == Layer::Dns);
        if let Some((at, who)) = banned {
            let message = format!("`{}` uses layer dns, which {who} does not permit", shown(text));
            let help = "take the name away here, or the line there once it is permitted";
            findings.error(&name.span(), message, help).compare(
                "used here",
                &at.span(),
                "not permitted here",
            );
        }
    }
    if let Some(clients) = &service.named.clients
        && service.named.names.is_empty()
    {
        let message =
            format!("service {} has `clients` and no `names`", shown(service.name.get_ref()));
        let help = "it says how long clients keep what they looked up by name: name the names, \
                    or remove it";
        findings.error(&clients.span(), message, help);
    }
    let caches =
        service.named.clients.as_ref().map(|it| *it.get_ref()) == Some(Caching::UntilRestart);
    if caches && draft.redirect.documents.is_none() {
        let at = service.named.clients.as_ref().map_or(0..0, Spanned::span);
        let message = format!(
            "clients of {} keep an address until they are restarted, and nobody restarts them",
            shown(service.name.get_ref())
        );
        let help =
            "`stead client` on their machines does, told by  documents = 7420  in [redirect]";
        findings.warning(&at, message, help);
    }
}

/// A name is one service's; an alias stands alone (RFC 1034, section 3.6.2).
fn twice(draft: &Draft, findings: &mut Findings) {
    let mut owners: BTreeMap<&str, (&str, &Spanned<_>)> = BTreeMap::new();
    for service in &draft.services {
        let owner = service.name.get_ref().as_str();
        for name in &service.named.names {
            let text = name.get_ref().name.as_str();
            let Some((first, at)) = owners.insert(text, (owner, name)) else { continue };
            let alone = |it: &RecordKind| matches!(it, RecordKind::Alias(_));
            let other: &Spanned<stead_core::state::config::NameConfig> = at;
            let same = other.get_ref().kind == name.get_ref().kind;
            let alias = alone(&other.get_ref().kind) || alone(&name.get_ref().kind);
            if first != owner || same || alias {
                let message =
                    format!("`{}` is given twice: by {first} and by {owner}", shown(text));
                let help = "a name is one service's, each kind of record stands there once, and \
                            beside an alias nothing does";
                findings.error(&name.span(), message, help).compare(
                    "again here",
                    &at.span(),
                    "first here",
                );
            }
        }
    }
}

fn zones(draft: &Draft, findings: &mut Findings) {
    let mut known: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
    for zone in &draft.zones {
        let Some(domain) = &zone.domain else { continue };
        if let Some(first) = known.insert(domain.get_ref(), domain) {
            let message = format!("two zones are `{}`", shown(domain.get_ref()));
            findings.error(&domain.span(), message, "keep one of the two").compare(
                "again here",
                &first.span(),
                "first here",
            );
        }
        if zone.moving_ttl > zone.ttl {
            let message =
                format!("`moving-ttl` of zone {} is longer than `ttl`", shown(zone.name.get_ref()));
            let help = "it is the shorter time, for around planned moves:  moving-ttl = \"5s\"";
            findings.error(&zone.name.span(), message, help);
        }
    }
}

/// An announced prefix takes all in it along, so no node's own address may lie in it.
fn prefixes(draft: &Draft, findings: &mut Findings) {
    for prefix in &draft.redirect.prefixes {
        let own = draft.nodes.iter().flat_map(|node| &node.addresses);
        let own = own.filter_map(|it| it.ip.as_ref());
        if let Some(ip) = own.map(|it| *it.get_ref()).find(|it| prefix.get_ref().contains(*it)) {
            let message = format!("the node address {ip} lies in {}", prefix.get_ref());
            let help = "what is announced as a whole goes where its services go: nodes need \
                        addresses outside of it";
            findings.error(&prefix.span(), message, help);
        }
        let used = draft.services.iter().flat_map(|it| it.addresses.iter().zip(&it.said));
        let mut used = used.filter(|(address, said)| {
            prefix.get_ref().contains(address.get_ref().ip)
                && said.layers.iter().any(|it| *it.get_ref() == Layer::Route)
        });
        if used.next().is_none() {
            let message = format!("no address of a service is announced by {}", prefix.get_ref());
            let help = "give addresses in it  layers = [\"route\"] , or remove it";
            findings.warning(&prefix.span(), message, help);
        }
    }
}

fn pools(draft: &Draft, findings: &mut Findings) {
    for network in &draft.networks {
        let (Some(pool), Some(prefix)) = (&network.pool, &network.prefix) else { continue };
        let (address, length) = *prefix.get_ref();
        let whole = Prefix { network: address, length };
        let outside = |ip: IpAddr| !whole.contains(ip);
        if outside(pool.range.first) || outside(pool.range.last) {
            let message = format!("the pool {} lies not in {whole}", pool.range);
            findings.error(&pool.at, message, "write addresses of that network");
        }
    }
}
