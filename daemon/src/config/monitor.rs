//! `monitor` of `[services.NAME]`: a command, or what the daemon asks itself as a client would.

use std::collections::BTreeSet;

use stead_core::state::config::{Look, Monitor, Probe};
use stead_edge::http::{Url, UrlError};
use toml::Spanned;

use super::command::Command;
use super::keys;
use super::problem::Findings;
use super::section::{Section, shown};
use super::{DEFAULT_MONITOR_INTERVAL, DEFAULT_MONITOR_TIMEOUT};

/// How many failures in a row can be asked for.
const MOST_FAILURES: (u16, u16) = (1, 100);
/// The longest text that can be looked for in an answer, in bytes.
const LONGEST_TEXT: usize = 1_000;

/// Reads the monitor, and how what it sees is judged.
pub(super) fn monitor(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> (Option<Monitor>, Look) {
    let Some(value) = section.get("monitor") else { return (None, Look::default()) };
    let asks = |key| value.get_ref().as_table().is_some_and(|table| table.contains_key(key));
    let table = match value.get_ref().as_table() {
        Some(table) if asks("tcp") || asks("http") => {
            let place = format!("`monitor` of {}", section.place);
            Command::Long(Section::new(table, value.span(), place, keys::MONITOR, findings))
        }
        _ => match Command::open(section, "monitor", keys::MONITOR, findings) {
            Some(command) => command,
            None => return (None, Look::default()),
        },
    };
    let probe = table.long().and_then(|table| probe(table, findings));
    let command = if probe.is_some() || asks("tcp") || asks("http") {
        Vec::new()
    } else {
        table.command(findings)
    };
    let timeout = table.duration("timeout", DEFAULT_MONITOR_TIMEOUT, findings);
    let interval = table.duration("interval", DEFAULT_MONITOR_INTERVAL, findings);
    let mut look = Look { probe, ..Look::default() };
    if let Some(table) = table.long() {
        let slower = table.get("slower-than").is_some();
        let span = table.duration("slower-than", timeout, "ms", findings);
        if slower && span >= timeout {
            let message = format!("`slower-than` of {} has no effect", table.place);
            let help = "an answer that takes as long as `timeout` has failed already: make it less";
            findings.warning(&table.at("slower-than"), message, help);
        }
        look.slower_than = slower.then_some(span);
        let failures = table.number("failures", MOST_FAILURES, findings);
        look.failures = failures.map_or(1, Spanned::into_inner);
    }
    (Some(Monitor { command, interval, timeout }), look)
}

fn probe(table: &Section<'_, '_>, findings: &mut Findings) -> Option<Probe> {
    let kinds = ["command", "tcp", "http"].into_iter().filter(|key| table.get(key).is_some());
    let kinds: Vec<_> = kinds.collect();
    if let [first, second, ..] = kinds[..] {
        let message = format!("{} has both `{first}` and `{second}`", table.place);
        findings.error(&table.at(second), message, "one monitor looks one way: remove one");
        return None;
    }
    for key in ["expect", "contains"] {
        if table.get(key).is_some() && table.get("http").is_none() {
            let message = format!("{} has `{key}` and no `http`", table.place);
            findings.error(&table.at(key), message, "only an answer of HTTP has that: remove it");
        }
    }
    if table.get("tcp").is_some() {
        let help = format!("write it like this:  {}", table.example("tcp"));
        return table.socket("tcp", &help, findings).map(Probe::Tcp);
    }
    http(table, findings)
}

fn http(table: &Section<'_, '_>, findings: &mut Findings) -> Option<Probe> {
    let url = table.text("http", findings)?;
    let expect = expect(table, findings);
    let contains = table.text("contains", findings);
    if let Some(text) = contains.as_ref().filter(|it| it.get_ref().len() > LONGEST_TEXT) {
        let message = format!("`contains` of {} is too long", table.place);
        findings.error(&text.span(), message, format!("{LONGEST_TEXT} bytes are the most"));
    }
    match place(url.get_ref()) {
        Ok(url) => {
            let (at, host, path) = url.into_parts();
            let contains = contains.map(Spanned::into_inner);
            Some(Probe::Http { at, host, path, expect, contains })
        }
        Err(help) => {
            let message = format!("`{}` is nothing that can be asked", shown(url.get_ref()));
            findings.error(&url.span(), message, help);
            None
        }
    }
}

/// Where a URL leads: the address, the name of the host, and the path. What to write instead, if
/// nowhere.
fn place(url: &str) -> Result<Url, String> {
    url.parse().map_err(|error| match error {
        UrlError::Form => "write it like this:  http = \"http://10.0.0.100/health\"".to_owned(),
        UrlError::Https => format!(
            "https needs a program that knows the certificates:  monitor = [\"/usr/bin/curl\", \
             \"--fail\", \"--silent\", \"{}\"]",
            shown(url)
        ),
        UrlError::Name => "write the address in place of the name: names are looked up over a \
                           network that the service must outlive"
            .to_owned(),
    })
}

/// One status code, or a list of them.
fn expect(table: &Section<'_, '_>, findings: &mut Findings) -> BTreeSet<u16> {
    let Some(value) = table.get("expect") else { return BTreeSet::new() };
    let code = |value: &Spanned<toml::de::DeValue<'_>>| {
        let integer = value.get_ref().as_integer()?;
        let code = u16::from_str_radix(integer.as_str(), integer.radix()).ok()?;
        (100..=599).contains(&code).then_some(code)
    };
    let mut codes = BTreeSet::new();
    let one = std::slice::from_ref(value);
    let list = value.get_ref().as_array().map_or(one, |list| &list[..]);
    for entry in list {
        match code(entry) {
            Some(code) => drop(codes.insert(code)),
            None => {
                let message = format!("`expect` of {} has what is no status code", table.place);
                let help = format!("write it like this:  {}", table.example("expect"));
                findings.error(&entry.span(), message, help);
            }
        }
    }
    codes
}
