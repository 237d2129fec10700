//! `names` and `clients` of a service.

use stead_core::state::config::{Caching, NameConfig, RecordKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::zones::{domain, ttl};
use crate::config::duration;
use crate::config::keys;
use crate::config::problem::Findings;
use crate::config::section::{Section, shown};

/// The kinds of records that a name can have, as the file calls them.
const KINDS: [&str; 4] = ["addresses", "alias", "service", "https"];
/// The most names of one service.
const MOST_NAMES: usize = 64;
/// Where HTTPS is served that says no port.
const HTTPS: u16 = 443;

/// Reads `names`: each a text, or a table.
pub(in crate::config) fn names(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<Spanned<NameConfig>> {
    let Some(list) = section.list("names", findings) else { return Vec::new() };
    if list.len() > MOST_NAMES {
        let message = format!("{} names in {}", list.len(), section.place);
        findings.error(&section.at("names"), message, format!("{MOST_NAMES} is the most"));
        return Vec::new();
    }
    let mut names = Vec::new();
    for entry in list {
        let name = match (entry.get_ref().as_str(), entry.get_ref().as_table()) {
            (Some(text), _) => {
                let text = Spanned::new(entry.span(), text.to_owned());
                domain(&text, findings).map(|name| plain(name, RecordKind::Addresses))
            }
            (None, Some(table)) => long_name(section, entry, table, findings),
            (None, None) => {
                let wanted = "a text in quotes or a table in { }";
                section.entry_mismatch("names", entry, wanted, findings);
                None
            }
        };
        names.extend(name.map(|name| Spanned::new(entry.span(), name)));
    }
    names
}

fn plain(name: String, kind: RecordKind) -> NameConfig {
    NameConfig { name, kind, ttl: None, adopt: false }
}

/// Reads `{ name = ..., type = ... }`.
fn long_name(
    section: &Section<'_, '_>,
    entry: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    findings: &mut Findings,
) -> Option<NameConfig> {
    let place = format!("a name of {}", section.place);
    let table = Section::new(table, entry.span(), place, keys::NAME, findings);
    if table.get("name").is_none() {
        table.missing("name", findings);
    }
    let name = table.text("name", findings).and_then(|it| domain(&it, findings));
    let ttl = table.get("ttl").map(|_| ttl("ttl", 0, &table, findings));
    let adopt = table.truth("adopt", findings).is_some_and(Spanned::into_inner);
    let kind = kind(&table, findings);
    Some(NameConfig { name: name?, kind: kind?, ttl, adopt })
}

fn kind(table: &Section<'_, '_>, findings: &mut Findings) -> Option<RecordKind> {
    let said = table.text("type", findings);
    let said_wrong = said.is_none() && table.get("type").is_some();
    let word = said.as_ref().map_or(KINDS[0], |it| it.get_ref().as_str());
    let target = table.text("target", findings);
    let port = table.number("port", (1, u16::MAX), findings).map(Spanned::into_inner);
    let alpn = table.texts("alpn", findings).unwrap_or_default();
    let alpn: Vec<_> = alpn.into_iter().map(Spanned::into_inner).collect();
    let wants: &[&str] = match word {
        "addresses" => &[],
        "alias" => &["target"],
        "service" => &["target", "port"],
        "https" => &["target", "port", "alpn"],
        _ => {
            let at = said.as_ref().map_or_else(|| table.at.clone(), Spanned::span);
            let message = format!("`{}` is no kind of record that stead writes", shown(word));
            findings.error(&at, message, format!("there are {}", KINDS.join(", ")));
            return None;
        }
    };
    let stray = ["target", "port", "alpn"]
        .into_iter()
        .find(|key| table.get(key).is_some() && !wants.contains(key));
    if let Some(key) = stray {
        let message = format!("`{key}` has no meaning with type \"{word}\"");
        findings.error(&table.at(key), message, "remove it, or choose another type");
        return None;
    }
    for key in wants.iter().filter(|key| word != "https" && table.get(key).is_none()) {
        table.missing(key, findings);
    }
    let checked = target.and_then(|text| target_name(&text, findings));
    if said_wrong {
        return None;
    }
    Some(match word {
        "addresses" => RecordKind::Addresses,
        "alias" => RecordKind::Alias(checked?),
        "service" => RecordKind::Service { target: checked?, port: port? },
        _ => RecordKind::Https {
            target: checked.unwrap_or_else(|| ".".to_owned()),
            port: port.filter(|it| *it != HTTPS),
            alpn,
        },
    })
}

/// A name in which `{node}` may stand.
fn target_name(text: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    if text.get_ref() == "." {
        return Some(".".to_owned());
    }
    let tried = Spanned::new(text.span(), text.get_ref().replace("{node}", "node"));
    domain(&tried, findings)?;
    Some(text.get_ref().trim_end_matches('.').to_ascii_lowercase())
}

/// Reads `clients`: `"ttl"`, `"until-restart"` or at least a time.
pub(in crate::config) fn clients(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Option<Spanned<Caching>> {
    let text = section.text("clients", findings)?;
    let caching = match text.get_ref().as_str() {
        "ttl" => Caching::Ttl,
        "until-restart" => Caching::UntilRestart,
        other => match duration::parse(other, "min") {
            Ok(span) => Caching::AtLeast(span),
            Err(_) => {
                let message = format!("`clients = \"{}\"` of {}", shown(other), section.place);
                let help = "write for how long clients keep an address that they looked up: \
                            \"ttl\" as long as the record says, \"10min\" at least that long, \
                            \"until-restart\" for ever";
                findings.error(&text.span(), message + " says no time", help);
                return None;
            }
        },
    };
    Some(Spanned::new(text.span(), caching))
}
