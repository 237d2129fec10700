//! The reader as an operator meets it: whole files in, whole reports out.
//!
//! `UPDATE_EXPECT=1` rewrites the expected reports; the diff is what gets reviewed.

mod advice;
mod between;
mod broken_containers;
mod broken_devices;
mod broken_fences;
mod broken_networks;
mod broken_quorum;
mod broken_resources;
mod broken_rules;
mod broken_services;
mod broken_together;
mod broken_units;
mod broken_values;
mod changes;
mod copies;
mod expects;
mod fencing;
mod networks_together;
mod properties;
mod redirect;
mod rule_properties;
mod rules;
mod usable;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use super::read;

/// A file with nothing to complain about, except in the part that a test replaces.
const GOOD: &str = r#"[cluster]
name = "shop"

[links.lan]
[links.backup]

[nodes.node1]
addresses = { lan = "10.0.0.1", backup = "fd00::1" }
[nodes.node2]
addresses = { lan = "10.0.0.2", backup = "fd00::2" }
[nodes.node3]
addresses = { lan = "10.0.0.3", backup = "fd00::3" }

[services.web]
addresses = ["10.0.0.100/24"]
"#;

/// What a file says that must be usable.
fn config_of(text: &str) -> stead_core::state::config::Config {
    match read("cluster.toml", text) {
        Ok(checked) => checked.config,
        Err(error) => panic!("{}", drawn(&error)),
    }
}

/// The good file with one piece replaced.
fn good_but(piece: &str, replacement: &str) -> String {
    assert!(GOOD.contains(piece), "the file has no `{piece}`");
    GOOD.replacen(piece, replacement, 1)
}

/// The report about a broken file, as a terminal without colours shows it.
fn report(text: &str) -> String {
    match read("cluster.toml", text) {
        Ok(checked) => format!("accepted: {:?}", checked.config),
        Err(rejected) => drawn(&rejected),
    }
}

fn drawn(diagnostic: &dyn Diagnostic) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none()).with_width(88);
    let mut out = String::new();
    handler.render_report(&mut out, diagnostic).expect("a report is drawn into a string");
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    // A line without indent keeps the indents of the others when they are compared.
    let head = match diagnostic.severity() {
        Some(miette::Severity::Warning) => "Warning:",
        Some(miette::Severity::Advice) => "Advice:",
        Some(miette::Severity::Error) | None => "Error:",
    };
    format!("{head}\n{}\n", lines.join("\n").trim_end())
}
