//! How a resource's program is run: when it counts as started, as whom, and how it is asked to end.

use nix::sys::signal::Signal;
use stead_core::state::config::{ProcessHow, Ready};

use super::keys;
use super::problem::Findings;
use super::section::{Section, shown};

/// The keys that only a program has, and why others don't.
pub(super) const KEYS: [(&str, &str); 4] = [
    ("ready", "only of a program stead has to be told when it is ready"),
    ("user", "only a program is started by stead itself"),
    ("group", "only a program is started by stead itself"),
    ("stop-signal", "only a program or a container is asked to end by a signal"),
];
/// The word for a program that says itself when it is ready.
const NOTIFY: &str = "notify";
/// Signals that ask nobody anything.
const FORCES: [Signal; 3] = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGCONT];

/// Reads it.
pub(super) fn how(section: &Section<'_, '_>, findings: &mut Findings) -> ProcessHow {
    let name = |key, findings: &mut Findings| {
        let name = section.text(key, findings)?;
        let text = name.get_ref();
        let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != ':' && c != '/';
        if text.is_empty() || !text.chars().all(fits) {
            let message = format!("no {key} can have the name `{}`", shown(text));
            findings.error(&name.span(), message, format!("write  {}", section.example(key)));
            return None;
        }
        Some(name.into_inner())
    };
    let (user, group) = (name("user", findings), name("group", findings));
    if group.is_some() && section.get("user").is_none() {
        let help = "say as whom it runs as well:  user = \"www-data\"";
        let message = format!("{} has a `group` and no `user`", section.place);
        findings.error(&section.at("group"), message, help);
    }
    let stop_signal = stop_signal(section, findings);
    ProcessHow { ready: ready(section, findings).unwrap_or_default(), user, group, stop_signal }
}

pub(super) fn stop_signal(section: &Section<'_, '_>, findings: &mut Findings) -> Option<String> {
    let name = section.text("stop-signal", findings)?;
    let text = name.get_ref();
    match text.parse::<Signal>() {
        Ok(signal) if !FORCES.contains(&signal) => return Some(text.clone()),
        Ok(_) => {
            let help = "what does not end in time is killed anyway; write the signal that asks it, \
                        such as  stop-signal = \"SIGINT\"";
            findings.error(&name.span(), format!("{text} does not ask a program to end"), help);
        }
        Err(_) => {
            let upper = text.to_ascii_uppercase();
            let whole = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
            let help = match whole.parse::<Signal>() {
                Ok(signal) => format!("write  stop-signal = \"{signal}\""),
                Err(_) => "write its name, such as  stop-signal = \"SIGINT\"".to_owned(),
            };
            let message = format!("`{}` is no name of a signal", shown(text));
            findings.error(&name.span(), message, help);
        }
    }
    None
}

fn ready(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Ready> {
    let value = section.get("ready")?;
    let help = "write  ready = \"notify\"  if it says so itself, or  \
                ready = { tcp = \"127.0.0.1:6380\" }  if it is ready when it takes \
                connections there";
    if let Some(word) = value.get_ref().as_str() {
        if word == NOTIFY {
            return Some(Ready::Notify);
        }
        let message = format!("`{}` is no way to tell that it is ready", shown(word));
        findings.error(&value.span(), message, help);
        return None;
    }
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch("ready", value, "a text in quotes or a table in { }", findings);
        return None;
    };
    let place = format!("`ready` of {}", section.place);
    let table = Section::new(table, value.span(), place, keys::READY, findings);
    if table.get("tcp").is_none() {
        table.missing("tcp", findings);
    }
    table.socket("tcp", help, findings).map(Ready::Tcp)
}
