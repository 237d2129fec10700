//! `unit = "NAME.service"`: a unit of systemd's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use stead_core::state::config::Agent;
use stead_edge::chain;
use stead_linux::process::Spec;

use super::draft::Draft;
use super::problem::Findings;
use super::section::{Section, shown};
use crate::ocf;

/// The only kind: others have no processes, or those of other units.
const KIND: &str = ".service";
/// The kinds of units that there are.
const OTHERS: [&str; 10] = [
    ".socket",
    ".target",
    ".timer",
    ".mount",
    ".automount",
    ".swap",
    ".path",
    ".slice",
    ".scope",
    ".device",
];
/// No name is longer. Bytes; with it a slice is named.
const LONGEST: usize = 200;
/// Units without which nothing could hold units.
const NEEDED: [&str; 6] = [
    "stead-daemon.service",
    "stead-guard.service",
    "stead-quorum-server.service",
    "dbus.service",
    "dbus-broker.service",
    "systemd-journald.service",
];

/// What knows the units of this machine, whether or not systemd runs it.
const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// How long it may take to say something of one.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// It says a word. Bytes.
const LONGEST_ANSWER: usize = 1024;

/// Reads the name of one.
pub(super) fn unit(section: &Section<'_, '_>, findings: &mut Findings) -> Option<String> {
    let name = section.text("unit", findings)?;
    let text = name.get_ref();
    let refusal = |message: String, help: String| Some((message, help));
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let quoted = shown(text);
    let refused = if let Some(other) = OTHERS.iter().find(|kind| text.ends_with(**kind)) {
        let help = format!(
            "only what runs as a process can be held: name the unit that ends in {KIND}, and leave \
             `{quoted}` disabled"
        );
        refusal(format!("a unit of kind {other} can't be a resource"), help)
    } else if !text.ends_with(KIND) && !text.is_empty() {
        refusal(
            format!("`{quoted}` is no whole name of a unit"),
            format!("write  unit = \"{quoted}{KIND}\""),
        )
    } else if text.len() > LONGEST || !text.chars().all(fits) || text.len() <= KIND.len() {
        let help = "letters, digits and : - _ . \\ @ are all that it can have; \
                    `systemctl list-unit-files` shows those that there are";
        refusal(format!("`{quoted}` can't be the name of a unit"), help.to_owned())
    } else if let Some(template) = text.strip_suffix("@.service") {
        refusal(
            format!("`{quoted}` is a template, of which nothing runs"),
            format!("name an instance of it, such as  unit = \"{template}@main{KIND}\""),
        )
    } else if NEEDED.contains(&text.as_str()) {
        let help = "it has to run on each node by itself: remove it";
        refusal(format!("`{quoted}` is needed to run services"), help.to_owned())
    } else {
        None
    };
    match refused {
        Some((message, help)) => {
            findings.error(&name.span(), message, help);
            None
        }
        None => Some(text.clone()),
    }
}

/// Asks this machine, if its agents are asked, whether the unit is there and starts by itself.
pub(super) fn ask(section: &Section<'_, '_>, unit: &str, findings: &mut Findings) {
    if findings.agents.is_none() {
        return;
    }
    let mut spec = Spec::new(Path::new(SYSTEMCTL), &["is-enabled", "--", unit]);
    spec.environment = Some(vec![("LC_ALL".into(), "C.UTF-8".into())]);
    let warning = match ocf::collect(spec, TOLD_WITHIN, LONGEST_ANSWER) {
        Ok(told) => warning(unit, &String::from_utf8_lossy(&told.output), &told.complaints),
        Err(error) => Some((
            format!("{unit} was not looked for: {}", chain(&error)),
            "it has to be on every node that may run it".to_owned(),
        )),
    };
    if let Some((message, help)) = warning {
        findings.warning(&section.at("unit"), message, help);
    }
}

/// What there is to say of a unit of which `systemctl is-enabled` says that.
fn warning(unit: &str, told: &str, complaints: &str) -> Option<(String, String)> {
    let every = "it has to be on every node that may run it".to_owned();
    match told.trim() {
        "" => {
            let why = complaints.lines().next().map(|line| format!(": {}", shown(line)));
            let why = why.unwrap_or_default();
            Some((format!("there is no unit {unit} on this machine{why}"), every))
        }
        "masked" | "masked-runtime" => {
            Some((format!("{unit} is masked on this machine, so it can't start"), every))
        }
        enabled if enabled.starts_with("enabled") => {
            let help = format!(
                "it would start without a lease: type  systemctl disable {unit}  on every node"
            );
            Some((format!("{unit} is enabled: it starts by itself when a machine boots"), help))
        }
        _ => None,
    }
}

/// Refuses one unit for two resources: each would stop what the other one started.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for service in &draft.services {
        for resource in &service.resources {
            let Agent::Unit { unit, .. } = &resource.get_ref().agent else { continue };
            if let Some(other) = seen.insert(unit, service.name.get_ref()) {
                let message = format!("{unit} stands in two resources, first in service `{other}`");
                let help = "a node has one unit of that name: let one resource have it";
                findings.error(&resource.span(), message, help);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_says_of_a_unit_is_a_warning_or_nothing() {
        let said = |told: &str| warning("x.service", told, "No such file or directory\nx\n");
        for fine in ["disabled\n", "static\n", "indirect", "generated", "what?"] {
            assert_eq!(said(fine), None, "{fine}");
        }
        for (told, part) in [
            ("enabled\n", "is enabled"),
            ("enabled-runtime\n", "is enabled"),
            ("masked\n", "is masked"),
            ("", "on this machine: No such file or directory"),
        ] {
            let (message, _) = said(told).expect("a warning");
            assert!(message.contains(part), "{message}");
        }
    }
}
