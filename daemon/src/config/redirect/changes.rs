//! What changes of layers, names and zones, in the operator's words.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;

use stead_core::id::ServiceId;
use stead_core::state::config::{
    AddressLayers, Caching, Config, NameConfig, NamedService, RedirectConfig,
};

use crate::config::duration::say;

/// Everything that is said otherwise. What comes and goes with a whole service is not told again.
pub(in crate::config) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    let both = old.services.keys().filter(|it| new.services.contains_key(*it));
    for service in both {
        of_service(service, (old, new), &mut changes);
    }
    let (was, is) = (old.redirect(), new.redirect());
    for name in was.zones.keys().chain(is.zones.keys()).collect::<BTreeSet<_>>() {
        match (was.zones.get(name), is.zones.get(name)) {
            (None, Some(zone)) => {
                changes.push(format!("zone {name} is added: {}", zone.domain));
            }
            (Some(_), None) => {
                changes.push(format!("zone {name} is removed; what stands in it is left as it is"))
            }
            (Some(was), Some(is)) if was != is => {
                changes.push(format!("zone {name} is described otherwise"));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    whole(was, is, &mut changes);
    changes
}

fn of_service(service: &ServiceId, (old, new): (&Config, &Config), changes: &mut Vec<String>) {
    let none = NamedService::default();
    let named = |config: &'_ Config| config.redirect().services.get(service).cloned();
    let (was, is) = (named(old), named(new));
    let (was, is) = (was.as_ref().unwrap_or(&none), is.as_ref().unwrap_or(&none));
    if was.names != is.names {
        let names = list(is.names.iter().map(name));
        let gone = was.names.iter().filter(|it| !is.names.iter().any(|is| is.name == it.name));
        let gone = list(gone.map(|it| it.name.clone()));
        let left =
            if gone == "none" { String::new() } else { format!("; {gone} is left as it is") };
        changes.push(format!("service {service}: its names are {names}{left}"));
    }
    if was.clients != is.clients {
        let clients = match is.clients {
            Caching::Ttl => "as long as records say".to_owned(),
            Caching::AtLeast(span) => format!("at least {}", say(span)),
            Caching::UntilRestart => "until they are restarted".to_owned(),
        };
        changes.push(format!("service {service}: its clients keep what they looked up {clients}"));
    }
    let addresses = new.services.get(service).into_iter().flat_map(|it| &it.addresses);
    let usual = AddressLayers::default();
    for address in addresses {
        let said = |config: &'_ Config| config.redirect().addresses.get(&address.ip).cloned();
        let (was, is) = (said(old).unwrap_or_default(), said(new).unwrap_or_default());
        let known = old
            .services
            .get(service)
            .is_some_and(|it| it.addresses.iter().any(|it| it.ip == address.ip));
        if known && was != is || !known && is != usual {
            changes.push(of_address(service, address.ip, new, &is));
        }
    }
}

fn of_address(service: &ServiceId, ip: IpAddr, new: &Config, is: &AddressLayers) -> String {
    let layers = list(new.layers_of(ip).iter());
    let on = if is.on.is_empty() { String::new() } else { format!(", on {}", list(is.on.iter())) };
    format!("service {service}: {ip} is announced by {layers}{on}; the service restarts")
}

fn whole(was: &RedirectConfig, is: &RedirectConfig, changes: &mut Vec<String>) {
    if was.routing != is.routing {
        changes.push(match &is.routing {
            Some(_) => "the routing daemon is described otherwise".to_owned(),
            None => "no routing daemon is told anything any more".to_owned(),
        });
    }
    if was.prefixes != is.prefixes {
        let all = list(is.prefixes.iter());
        changes.push(format!("announced as a whole: {all}"));
    }
    if was.documents != is.documents {
        changes.push(match is.documents {
            Some(port) => format!("clients are told where services are, on port {port}"),
            None => "clients are not told any more where services are".to_owned(),
        });
    }
    if was.documents_token != is.documents_token {
        changes.push(match &is.documents_token {
            Some(file) => format!("who asks where services are shows what is in {file}"),
            None => "anybody may ask where services are".to_owned(),
        });
    }
    if was.not_permitted != is.not_permitted {
        let all = list(is.not_permitted.iter().map(|(layer, who)| format!("{layer} (by {who})")));
        changes.push(format!("layers that are not permitted: {all}"));
    }
    if was.pools != is.pools {
        let all = list(is.pools.iter().map(|(name, pool)| format!("{name}: {pool}")));
        changes.push(format!("addresses are given out from: {all}"));
    }
}

fn name(it: &NameConfig) -> String {
    it.name.clone()
}

fn list<T: Display>(all: impl Iterator<Item = T>) -> String {
    let mut all: Vec<_> = all.map(|it| it.to_string()).collect();
    all.dedup();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
