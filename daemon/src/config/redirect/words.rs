//! Layers, names and zones as text again, in the file's form.

use std::fmt::{self, Write};

use stead_core::id::ServiceId;
use stead_core::state::config::{
    Caching, Config, NameConfig, Place, RecordKind, RedirectConfig, Routing, ServiceAddress,
    Strength, ZoneConfig,
};

use crate::config::duration;
use crate::config::render::{list, quoted};

/// What an address says beside where it is, to be put into its table.
pub(in crate::config) fn write_address(config: &Config, address: &ServiceAddress) -> String {
    let Some(said) = config.redirect().addresses.get(&address.ip) else { return String::new() };
    let mut out = String::new();
    if !said.layers.is_empty() {
        let layers: Vec<_> = said.layers.iter().map(|it| it.name().to_owned()).collect();
        out += &format!(", layers = {}", list(&layers));
    }
    if !said.on.is_empty() {
        let on: Vec<_> = said.on.iter().map(Place::to_string).collect();
        out += &format!(", on = {}", list(&on));
    }
    out
}

/// The keys of a service.
pub(in crate::config) fn write_names(
    out: &mut String,
    config: &Config,
    service: &ServiceId,
) -> fmt::Result {
    let Some(named) = config.redirect().services.get(service) else { return Ok(()) };
    if !named.names.is_empty() {
        let names: Vec<_> = named.names.iter().map(name).collect();
        writeln!(out, "names = [{}]", names.join(", "))?;
    }
    match named.clients {
        Caching::Ttl => Ok(()),
        Caching::AtLeast(span) => writeln!(out, "clients = \"{}\"", duration::write(span)),
        Caching::UntilRestart => writeln!(out, "clients = \"until-restart\""),
    }
}

fn name(it: &NameConfig) -> String {
    let NameConfig { name, kind, ttl, adopt } = it;
    let mut keys = vec![format!("name = {}", quoted(name))];
    match kind {
        RecordKind::Addresses if ttl.is_none() && !adopt => return quoted(name),
        RecordKind::Addresses => {}
        RecordKind::Alias(target) => {
            keys.push(format!("type = \"alias\", target = {}", quoted(target)));
        }
        RecordKind::Service { target, port } => {
            keys.push(format!("type = \"service\", target = {}, port = {port}", quoted(target)));
        }
        RecordKind::Https { target, port, alpn } => {
            keys.push("type = \"https\"".to_owned());
            if target != "." {
                keys.push(format!("target = {}", quoted(target)));
            }
            keys.extend(port.map(|port| format!("port = {port}")));
            if !alpn.is_empty() {
                keys.push(format!("alpn = {}", list(alpn)));
            }
        }
    }
    keys.extend(ttl.map(|ttl| format!("ttl = \"{ttl}s\"")));
    if *adopt {
        keys.push("adopt = true".to_owned());
    }
    format!("{{ {} }}", keys.join(", "))
}

/// The tables `[zones.NAME]`.
pub(in crate::config) fn write_zones(out: &mut String, redirect: &RedirectConfig) -> fmt::Result {
    for (name, zone) in &redirect.zones {
        let ZoneConfig { domain, servers, key, ttl, moving_ttl } = zone;
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        writeln!(out, "\n[zones.{name}]\ndomain = {}", quoted(domain))?;
        writeln!(out, "servers = {}\nkey = {}", list(&servers), quoted(key))?;
        writeln!(out, "ttl = \"{ttl}s\"\nmoving-ttl = \"{moving_ttl}s\"")?;
    }
    Ok(())
}

/// The table `[redirect]`, if it says anything.
pub(in crate::config) fn write_redirect(
    out: &mut String,
    redirect: &RedirectConfig,
) -> fmt::Result {
    let RedirectConfig { routing, prefixes, documents, documents_token, not_permitted, .. } =
        redirect;
    if routing.is_none() && prefixes.is_empty() && documents.is_none() && not_permitted.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n[redirect]")?;
    if let Some(routing) = routing {
        writeln!(out, "routing = {}", write_routing(routing))?;
    }
    if !prefixes.is_empty() {
        let prefixes: Vec<_> = prefixes.iter().map(ToString::to_string).collect();
        writeln!(out, "prefixes = {}", list(&prefixes))?;
    }
    if let Some(port) = documents {
        writeln!(out, "documents = {port}")?;
    }
    if let Some(token) = documents_token {
        writeln!(out, "documents-token = {}", quoted(token))?;
    }
    if !not_permitted.is_empty() {
        let said = not_permitted.iter().map(|(layer, who)| format!("{layer} = {}", quoted(who)));
        writeln!(out, "not-permitted = {{ {} }}", said.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn write_routing(routing: &Routing) -> String {
    let (daemon, control, include) = match routing {
        Routing::Bird { control, include } => ("bird", control, include.as_ref()),
        Routing::Frr { sockets } => ("frr", sockets, None),
    };
    if control.is_none() && include.is_none() {
        return quoted(daemon);
    }
    let paths = [("control", control.as_ref()), ("include", include)];
    let paths = paths.into_iter().filter_map(|(key, path)| Some((key, path?)));
    let paths: Vec<_> = paths.map(|(key, path)| format!(", {key} = {}", quoted(path))).collect();
    format!("{{ daemon = \"{daemon}\"{} }}", paths.concat())
}

/// `pool` of a network.
pub(in crate::config) fn write_pool(
    out: &mut String,
    redirect: &RedirectConfig,
    network: &str,
) -> fmt::Result {
    match redirect.pools.get(network) {
        Some(pool) => writeln!(out, "pool = \"{pool}\""),
        None => Ok(()),
    }
}

/// Whether a rule follows from a shared prefix, so that nobody wrote it.
pub(in crate::config) fn is_implied(
    config: &Config,
    service: &ServiceId,
    other: &ServiceId,
    strength: Strength,
) -> bool {
    let routed = !config.redirect().prefixes.is_empty() && strength == Strength::Must;
    // The first of those that share it has the rule.
    routed
        && config.share_a_prefix(service).any(|(it, _)| it == other)
        && config.share_a_prefix(service).all(|(it, _)| service < it)
}
