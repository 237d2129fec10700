//! `stead timers`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use stead_core::timers::Timers as Derived;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::Look;
use super::table::{Cell, table};
use crate::api::message::Request;
use crate::api::report::{self, TimersReport};
use crate::config::read_file;

/// Show every timer and the rule that it follows from.
///
/// Without a file: those in force. With one: those that it would bring; no daemon is needed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead timers\n  stead timers ./cluster.toml")]
pub(super) struct Timers {
    /// A cluster.toml to derive them from
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Timers {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let report: TimersReport = match &self.file {
            None => context.ask(&Request::Timers)?,
            Some(file) => {
                let config = read_file(file)?.config;
                let timers = Derived::derive(config.ride_out, config.round_trip)
                    .map_err(|error| anyhow!("{error}; nothing was changed"))?;
                report::timers(&config, &timers, None, None)
            }
        };
        if self.json {
            print_json(&report)?;
        } else {
            print(&shown(&report, context.out))?;
        }
        Ok(Exit::Done)
    }
}

pub(super) fn shown(report: &TimersReport, look: Look) -> String {
    let rows: Vec<Vec<Cell>> = report
        .timers
        .iter()
        .map(|timer| {
            let ms = format!("{:>9.1}", timer.ms);
            vec![
                timer.name.as_str().into(),
                timer.letter.as_deref().unwrap_or_default().into(),
                ms.into(),
                timer.rule.as_str().into(),
                timer.meaning.as_str().into(),
            ]
        })
        .collect();
    let mut text = table(look, &["TIMER", "", "       MS", "RULE", "MEANING"], &rows);
    if report.settling {
        text.push_str("Leases under former timers still run out: D is the longer of both.\n");
    }
    text
}
