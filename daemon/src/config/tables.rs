//! The tables of the file, from `[cluster]` to `[networks.NAME]`, turned into a draft.

use stead_core::timers::{DEFAULT_RIDE_OUT, DEFAULT_ROUND_TRIP};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{Cluster, Draft, Link, Node, NodeAddress};
use super::problem::Findings;
use super::section::{FILE_PLACE, Section, shown};
use super::{
    DEFAULT_DAEMON_GRACE, DEFAULT_PORT, address, copies, expects, fenced, fencing, keys, name,
    network, quorum, redirect, rules, service, timed,
};

/// Reads every table, and notes what can't be read.
pub(super) fn draft(file: &DeTable<'_>, findings: &mut Findings) -> Draft {
    let file = Section::new(file, 0..0, FILE_PLACE.to_owned(), keys::FILE, findings);
    let mut draft = Draft {
        cluster: cluster(&file, findings),
        links: named(&file, "links", keys::LINK, findings, link),
        nodes: named(&file, "nodes", keys::NODE, findings, node),
        services: named(&file, "services", keys::SERVICE, findings, service::service),
        times: named(&file, "times", keys::TIME, findings, timed::time),
        networks: named(&file, "networks", keys::NETWORK, findings, network::network),
        quorum: single(&file, "quorum", keys::QUORUM, findings, quorum::quorum),
        devices: single(&file, "fencing", keys::FENCING, findings, fencing::devices)
            .unwrap_or_default(),
        expects: expects::expects(&file, findings),
        zones: named(&file, "zones", keys::ZONE, findings, redirect::zone),
        redirect: single(&file, "redirect", keys::REDIRECT, findings, redirect::redirect)
            .unwrap_or_default(),
    };
    copies::spread(&mut draft);
    draft
}

fn cluster(file: &Section<'_, '_>, findings: &mut Findings) -> Cluster {
    let value = file.get("cluster");
    let table = value.and_then(|value| Some((value.get_ref().as_table()?, value.span())));
    let Some((table, at)) = table else {
        match value {
            Some(value) => file.mismatch("cluster", value, "a table", findings),
            None if file.mistyped("cluster") => {}
            None => {
                let help = "begin the file with two lines:  [cluster]  and  name = \"shop\"";
                findings.error(&file.at, "the table [cluster] is missing", help);
            }
        }
        return Cluster {
            name: String::new(),
            ride_out: Spanned::new(0..0, DEFAULT_RIDE_OUT),
            round_trip: Spanned::new(0..0, DEFAULT_ROUND_TRIP),
            daemon_grace: DEFAULT_DAEMON_GRACE,
        };
    };
    let place = "[cluster]".to_owned();
    let section = Section::new(table, at, place, keys::CLUSTER, findings);
    if section.get("name").is_none() {
        section.missing("name", findings);
    }
    let name = section.text("name", findings);
    if let Some(name) = &name {
        check_name("the cluster", name, findings);
    }
    let mut duration = |key, default, unit| {
        let span = section.duration(key, default, unit, findings);
        Spanned::new(section.at(key), span)
    };
    Cluster {
        name: name.map_or_else(String::new, Spanned::into_inner),
        ride_out: duration("ride-out", DEFAULT_RIDE_OUT, "ms"),
        round_trip: duration("round-trip", DEFAULT_ROUND_TRIP, "ms"),
        daemon_grace: duration("daemon-grace", DEFAULT_DAEMON_GRACE, "s").into_inner(),
    }
}

/// Reads a table that is there once, or not at all.
fn single<T>(
    file: &Section<'_, '_>,
    kind: &str,
    keys: &'static [keys::Key],
    findings: &mut Findings,
    read: impl Fn(&Section<'_, '_>, &mut Findings) -> T,
) -> Option<T> {
    let value = file.get(kind)?;
    let Some(table) = value.get_ref().as_table() else {
        file.mismatch(kind, value, "a table", findings);
        return None;
    };
    let section = Section::new(table, value.span(), format!("[{kind}]"), keys, findings);
    Some(read(&section, findings))
}

/// Reads the tables `[kind.NAME]`, of the file or within another table, in the order of the file.
pub(super) fn named<T>(
    file: &Section<'_, '_>,
    kind: &str,
    keys: &'static [keys::Key],
    findings: &mut Findings,
    read: impl Fn(Spanned<String>, &Section<'_, '_>, &mut Findings) -> T,
) -> Vec<T> {
    let required = !["services", "networks", "devices", "times", "during", "zones"].contains(&kind)
        && !file.mistyped(kind);
    let absent = |at, findings: &mut Findings| {
        let example = file.example(kind);
        let help = format!("there must be at least one: begin it with a line like  {example}");
        findings.error(&at, format!("the file has no {kind}"), help);
    };
    let Some(value) = file.get(kind) else {
        if required {
            absent(file.at.clone(), findings);
        }
        return Vec::new();
    };
    let Some(table) = value.get_ref().as_table() else {
        let wanted = "tables with a name each";
        file.mismatch(kind, value, wanted, findings);
        return Vec::new();
    };
    if required && table.is_empty() {
        absent(value.span(), findings);
    }
    let mut entries: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let whole = match file.place.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(outer) => format!("{outer}.{kind}"),
        None => kind.to_owned(),
    };
    let mut list = Vec::new();
    for (key, value) in entries {
        let name = Spanned::new(key.span(), key.get_ref().to_string());
        let singular = kind.trim_end_matches('s');
        let place = format!("[{whole}.{}]", shown(name.get_ref()));
        let Some(table) = value.get_ref().as_table() else {
            stray(file, (kind, &whole), &name, findings);
            continue;
        };
        check_name(&format!("the {singular}"), &name, findings);
        let section = Section::new(table, value.span(), place, keys, findings);
        list.push(read(name, &section, findings));
    }
    list
}

/// Notes a value where only tables stand, such as a key of one of them without its header.
fn stray(
    file: &Section<'_, '_>,
    (kind, whole): (&str, &str),
    name: &Spanned<String>,
    findings: &mut Findings,
) {
    let message = format!("`{}` in [{whole}] is not a table", shown(name.get_ref()));
    let example = file.example(kind);
    let help = format!("[{whole}] holds only named tables: begin one with a line like  {example}");
    findings.error(&name.span(), message, help);
}

fn check_name(whose: &str, name: &Spanned<String>, findings: &mut Findings) {
    if let Some(reason) = name::refusal(name.get_ref()) {
        let message = format!("the name of {whose} {reason}");
        let help = format!("for example  {}", name::usable_name(name.get_ref()));
        findings.error(&name.span(), message, help);
    }
}

fn link(name: Spanned<String>, section: &Section<'_, '_>, findings: &mut Findings) -> Link {
    let port = section.number("port", (1, u16::MAX), findings);
    Link { name, port: port.map_or(DEFAULT_PORT, Spanned::into_inner) }
}

fn node(name: Spanned<String>, section: &Section<'_, '_>, findings: &mut Findings) -> Node {
    let site = section.text("site", findings);
    if let Some(site) = &site {
        check_name("the site", site, findings);
    }
    let value = section.get("addresses");
    if value.is_none() {
        section.missing("addresses", findings);
    }
    let table = value.and_then(|value| value.get_ref().as_table());
    if let (Some(value), None) = (value, table) {
        section.mismatch("addresses", value, "a table with an address for each link", findings);
    }
    let addresses = table.map(|table| node_addresses(table, section, findings));
    Node {
        site: site.map(Spanned::into_inner),
        satellite: section.truth("satellite", findings),
        at: section.at("addresses"),
        given: addresses.is_some(),
        addresses: addresses.unwrap_or_default(),
        fenced: fenced::fenced(section, findings),
        rules: rules::of_node(section, findings),
        name,
    }
}

fn node_addresses(
    table: &DeTable<'_>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<NodeAddress> {
    let mut list = Vec::new();
    for (link, value) in table.iter() {
        let link = Spanned::new(link.span(), link.get_ref().to_string());
        let ip = match value.get_ref().as_str() {
            None => {
                section.entry_mismatch("addresses", value, "an address in quotes", findings);
                None
            }
            Some(text) => match address::parse_node(text) {
                Ok(ip) => Some(Spanned::new(value.span(), ip)),
                Err(wrong) => {
                    findings.error(&value.span(), wrong.message, wrong.help);
                    None
                }
            },
        };
        list.push(NodeAddress { link, ip });
    }
    list
}
