//! `[zones.NAME]`, `[redirect]`, and `pool` of a network.

use std::net::{IpAddr, SocketAddr};

use stead_core::redirect::Layer;
use stead_core::state::config::{AddressRange, Prefix, Routing};
use toml::Spanned;

use super::{DEFAULT_MOVING_TTL, DEFAULT_TTL, Pool, Redirect, Zone, is_usable};
use crate::config::address;
use crate::config::keys;
use crate::config::problem::Findings;
use crate::config::section::{Section, shown};

/// The port of name servers.
const DNS: u16 = 53;
/// The most servers of one zone.
const MOST_SERVERS: usize = 8;
/// The longest that a record may be kept (RFC 2181, section 8, has more; nobody waits a week).
const LONGEST_TTL: u64 = 604_800;
/// The longest name, in characters (RFC 1035, section 3.1).
const LONGEST_NAME: usize = 253;

/// Reads the table of one zone.
pub(in crate::config) fn zone(
    name: Spanned<String>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Zone {
    for key in ["domain", "servers", "key"] {
        if section.get(key).is_none() {
            section.missing(key, findings);
        }
    }
    let domain_text = section.text("domain", findings);
    let domain = domain_text.and_then(|text| {
        let name = domain(&text, findings)?;
        Some(Spanned::new(text.span(), name))
    });
    let key = section.text("key", findings).filter(|path| {
        let absolute = path.get_ref().starts_with('/');
        if !absolute {
            let message = format!("`{}` is no absolute path", shown(path.get_ref()));
            let help = "write the whole path of a file that is on each node, with mode 0600:  \
                        key = \"/etc/stead/secrets/dns.key\"  (`tsig-keygen` makes one)";
            findings.error(&path.span(), message, help);
        }
        absolute
    });
    Zone {
        name,
        domain,
        servers: servers(section, findings),
        key: key.map(Spanned::into_inner),
        ttl: ttl("ttl", DEFAULT_TTL, section, findings),
        moving_ttl: ttl("moving-ttl", DEFAULT_MOVING_TTL, section, findings),
    }
}

/// A time in whole seconds.
pub(super) fn ttl(
    key: &str,
    default: u32,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> u32 {
    if section.get(key).is_none() {
        return default;
    }
    let wrong = findings.errors();
    let span = section.duration(key, stead_core::time::Span::from_millis(1_000), "s", findings);
    if findings.errors() > wrong {
        return default;
    }
    let seconds = span.as_micros() / 1_000_000;
    if !span.as_micros().is_multiple_of(1_000_000) || seconds > LONGEST_TTL {
        let message = format!("`{key}` of {} is not in whole seconds up to a week", section.place);
        let help = format!("records say it in seconds:  {}", section.example(key));
        findings.error(&section.at(key), message, help);
        return default;
    }
    u32::try_from(seconds).unwrap_or(default)
}

fn servers(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    let Some(texts) = section.texts("servers", findings) else { return servers };
    let all = texts.len();
    for text in texts {
        let parsed = text.get_ref().parse::<SocketAddr>();
        let parsed = parsed.or_else(|_| text.get_ref().parse().map(|ip| SocketAddr::new(ip, DNS)));
        match parsed.ok().filter(|at| is_usable(at.ip()) && at.port() != 0) {
            Some(at) if servers.contains(&at) => {
                let message = format!("{at} twice in `servers` of {}", section.place);
                findings.error(&text.span(), message, "once is enough: remove one of the two");
            }
            Some(at) => servers.push(at),
            None => {
                let message = format!("`{}` is no address of a server", shown(text.get_ref()));
                let help = "write addresses of the zone's authoritative servers, the primary \
                            first:  servers = [\"10.0.0.53\", \"10.0.1.53\"]";
                findings.error(&text.span(), message, help);
            }
        }
    }
    if all == 0 && section.list("servers", findings).is_some_and(<[_]>::is_empty)
        || all > MOST_SERVERS
    {
        let message = format!("{all} servers in {}", section.place);
        let help = format!("there are from 1 to {MOST_SERVERS}");
        findings.error(&section.at("servers"), message, help);
    }
    servers
}

/// A whole name in the domain name system, in lower case and without a dot at its end.
pub(super) fn domain(text: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let name = domain_of(text.get_ref());
    if name.is_none() {
        let message = format!("`{}` is no name", shown(text.get_ref()));
        let help = "write a whole name in the domain name system, such as  \"www.shop.example\"";
        findings.error(&text.span(), message, help);
    }
    name
}

/// The same of a text, if it is a name. One that ends in a number is an address that was mistyped:
/// no top-level domain does (RFC 1123, section 2.1).
pub(in crate::config) fn domain_of(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |it: &str| (1..=63).contains(&it.len()) && it.chars().all(allowed);
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.chars().all(|c| c.is_ascii_digit());
    (name.len() <= LONGEST_NAME && name.split('.').all(label) && !number).then_some(name)
}

/// Reads the table `[redirect]`.
pub(in crate::config) fn redirect(section: &Section<'_, '_>, findings: &mut Findings) -> Redirect {
    let documents = section.number("documents", (1, u16::MAX), findings);
    let documents_token = path("documents-token", section, findings);
    if documents.is_none() && documents_token.is_some() {
        let message = "`documents-token` has no meaning without `documents`".to_owned();
        let help = "say on which port documents are read:  documents = 7420";
        findings.error(&section.at("documents-token"), message, help);
    }
    Redirect {
        routing: routing(section, findings),
        prefixes: prefixes(section, findings),
        documents,
        documents_token,
        not_permitted: not_permitted(section, findings),
    }
}

fn routing(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Spanned<Routing>> {
    let value = section.get("routing")?;
    let (daemon, control, include) = match (value.get_ref().as_str(), value.get_ref().as_table()) {
        (Some(text), _) => (Spanned::new(value.span(), text.to_owned()), None, None),
        (None, Some(table)) => {
            let place = format!("`routing` of {}", section.place);
            let table = Section::new(table, value.span(), place, keys::ROUTING, findings);
            if table.get("daemon").is_none() {
                table.missing("daemon", findings);
            }
            let mut path = |key| path(key, &table, findings);
            let (control, include) = (path("control"), path("include"));
            (table.text("daemon", findings)?, control, include)
        }
        (None, None) => {
            section.mismatch("routing", value, "a text in quotes or a table in { }", findings);
            return None;
        }
    };
    let routing = match (daemon.get_ref().as_str(), include) {
        ("bird", include) => Routing::Bird { control, include },
        ("frr", None) => Routing::Frr { sockets: control },
        ("frr", Some(_)) => {
            let message = "FRR has no file for stead to write: it is told by vtysh";
            findings.error(&value.span(), message, "remove `include`");
            return None;
        }
        (other, _) => {
            let message = format!("`{}` is no routing daemon that stead knows", shown(other));
            findings.error(&daemon.span(), message, "there are \"bird\" and \"frr\"");
            return None;
        }
    };
    Some(Spanned::new(value.span(), routing))
}

/// An absolute path; `{node}` in it stands for the node's name.
fn path(key: &str, table: &Section<'_, '_>, findings: &mut Findings) -> Option<String> {
    let path = table.text(key, findings)?;
    if path.get_ref().starts_with('/') {
        return Some(path.into_inner());
    }
    let message = format!("`{}` is no absolute path", shown(path.get_ref()));
    findings.error(&path.span(), message, format!("write it whole:  {}", table.example(key)));
    None
}

fn prefixes(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<Spanned<Prefix>> {
    let mut prefixes: Vec<Spanned<Prefix>> = Vec::new();
    for text in section.texts("prefixes", findings).unwrap_or_default() {
        let prefix = match address::parse_network(text.get_ref()) {
            Ok((network, length)) => Prefix { network, length },
            Err(wrong) => {
                findings.error(&text.span(), wrong.message, wrong.help);
                continue;
            }
        };
        match prefixes.iter().find(|it| it.get_ref().overlaps(&prefix)) {
            Some(first) => {
                let message = format!("{prefix} and {} overlap", first.get_ref());
                let help = "an address moves with one prefix: keep the larger of the two";
                findings.error(&text.span(), message, help);
            }
            None => prefixes.push(Spanned::new(text.span(), prefix)),
        }
    }
    prefixes
}

fn not_permitted(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<(Spanned<Layer>, String)> {
    let Some(value) = section.get("not-permitted") else { return Vec::new() };
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch("not-permitted", value, "a table in { }", findings);
        return Vec::new();
    };
    let mut layers = Vec::new();
    for (key, who) in table.iter() {
        let layer = Layer::ALL.into_iter().find(|it| it.name() == key.get_ref());
        let Some(layer) = layer else {
            let message = format!("`{}` is no layer", shown(key.get_ref()));
            let names: Vec<_> = Layer::ALL.iter().map(|it| it.name()).collect();
            findings.error(&key.span(), message, format!("there are {}", names.join(", ")));
            continue;
        };
        match who.get_ref().as_str() {
            Some(who) => layers.push((Spanned::new(key.span(), layer), who.to_owned())),
            None => section.entry_mismatch("not-permitted", who, "a text in quotes", findings),
        }
    }
    layers.sort_by_key(|(layer, _)| layer.span().start);
    layers
}

/// Reads `pool` of a network: the first and the last address, with a hyphen between.
pub(in crate::config) fn pool(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Pool> {
    let text = section.text("pool", findings)?;
    let range = text.get_ref().split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let usable = is_usable(first) && is_usable(last) && first <= last;
        (usable && is_of(first) == is_of(last)).then_some(AddressRange { first, last })
    });
    match range {
        Some(range) => Some(Pool { at: text.span(), range }),
        None => {
            let message = format!("`{}` is no range of addresses", shown(text.get_ref()));
            let help = format!("write the first and the last:  {}", section.example("pool"));
            findings.error(&text.span(), message, help);
            None
        }
    }
}

fn is_of(ip: IpAddr) -> bool {
    ip.is_ipv4()
}
