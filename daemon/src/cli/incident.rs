//! `stead incident`.

use clap::Args;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, harmless};
use super::table::{Cell, table};
use crate::api::message::Request;
use crate::api::report::IncidentReport;

/// Tell one takeover, stage by stage, as all nodes saw it.
///
/// The milliseconds count from the last sign of life of the node that failed; of a planned move,
/// from when each node learned of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead incident\n  stead incident 12 --json")]
pub(super) struct Incident {
    /// Its number; if not given, the newest
    number: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Incident {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let report: IncidentReport = context.ask(&Request::Incident { number: self.number })?;
        if self.json {
            print_json(&report)?;
        } else {
            print(&shown(&report, context.out))?;
        }
        Ok(Exit::Done)
    }
}

pub(super) fn shown(report: &IncidentReport, look: Look) -> String {
    let IncidentReport { number, time, node, cause, moved, stages } = report;
    let mut text = format!("Incident {number}: {}: {}", harmless(node), harmless(cause));
    if let Some(time) = time {
        text.push_str(&format!(" ({})", harmless(&time.replace('T', " "))));
    }
    text.push('\n');
    for it in moved {
        let to = it.to.as_deref().unwrap_or("nowhere: no node was able");
        let line = format!("{}: {node} -> {to} (epoch {})", it.service, it.epoch);
        text.push_str(&format!("  {}\n", harmless(&line)));
    }
    if stages.is_empty() {
        return text + "No stages are known.\n";
    }
    text.push('\n');
    let rows: Vec<Vec<Cell>> = stages
        .iter()
        .map(|stage| {
            vec![
                format!("{:>9.1}", stage.ms).into(),
                stage.node.as_str().into(),
                stage.reached.as_str().into(),
                stage.service.as_deref().unwrap_or_default().into(),
                stage.detail.as_str().into(),
            ]
        })
        .collect();
    text + &table(look, &["       MS", "SEEN BY", "REACHED", "SERVICE", "DETAIL"], &rows)
}
