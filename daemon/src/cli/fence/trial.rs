//! `stead fence test`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use serde::Serialize;

use super::ways::shown;
use crate::api::client::{CallError, Streamed};
use crate::api::fence::{WayReport, ways};
use crate::api::message::Request;
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;
use crate::config::read_file;
use crate::fence::Devices;

/// Ask through every way to a node, or through a device, and switch nothing
///
/// Each device is asked from this machine for its status, or whether it works. What an agent says
/// of a failure is shown with what it means. Secrets are read as the daemon reads them: with a file
/// in place of what is in force, this has to run as root.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if every way answered, 1 if one did not.

Run it on every node: any of them may have to fence another.

Examples:
  stead fence test node1
  stead fence test pdu-a --file cluster.toml")]
pub(super) struct Test {
    /// The node or the device
    #[arg(value_name = "NODE|DEVICE")]
    name: String,
    /// Test what this file says, not what is in force; needs no daemon
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Tested<'a> {
    name: &'a str,
    answered: bool,
    ways: &'a [WayReport],
}

impl Test {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { name, file, json } = self;
        let mut reports = Vec::new();
        let take = |report: WayReport| {
            // Each as it comes: a device that does not answer takes its time.
            let shown = if json { Ok(()) } else { print(&shown(&report, context.out)) };
            reports.push(report);
            shown.is_ok()
        };
        match &file {
            Some(file) => here(file, &name, take)?,
            None => in_daemon(context, &name, take)?,
        }
        let answered = reports.iter().all(|report| report.answered);
        if json {
            print_json(&Tested { name: &name, answered, ways: &reports })?;
        } else {
            print(&summary(&reports))?;
        }
        Ok(if answered { Exit::Done } else { Exit::Failed })
    }
}

/// Asks in this process, by what a file says.
fn here(file: &Path, name: &str, mut take: impl FnMut(WayReport) -> bool) -> anyhow::Result<()> {
    let config = read_file(file)?.config;
    let ways = ways(&config, name).map_err(CallError::Failed)?;
    let devices = Devices::of_process();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let fencing = &config.later.fencing;
        let trials = ways.iter().map(|way| devices.try_out(fencing, way));
        let mut trials: FuturesOrdered<_> = trials.collect();
        while let Some(trial) = trials.next().await {
            if !trial.is_none_or(|trial| take(trial.into())) {
                break;
            }
        }
    });
    Ok(())
}

/// Has the daemon ask, by what is in force.
fn in_daemon(
    context: &Context,
    name: &str,
    mut take: impl FnMut(WayReport) -> bool,
) -> anyhow::Result<()> {
    let mut client = context.connect().context(
        "nothing was asked (without a daemon name a file, as root: --file cluster.toml)",
    )?;
    let request = Request::FenceTest { name: name.to_owned() };
    client.stream(&request, |item| match item {
        Streamed::Item(report) => take(report),
        Streamed::Skipped(_) => true,
    })?;
    Ok(())
}

fn summary(reports: &[WayReport]) -> String {
    let failed = reports.iter().filter(|report| !report.answered).count();
    match (failed, reports.len()) {
        (0, 1) => "The way works. Nothing was switched.\n".to_owned(),
        (0, count) => format!("All {count} ways work. Nothing was switched.\n"),
        (failed, count) => {
            format!("{failed} of {count} ways did not answer. Nothing was switched.\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use crate::cli::look::Look;

    use super::*;

    #[test]
    fn ways_that_work_and_one_that_does_not() {
        let good = WayReport {
            node: Some("node2".to_owned()),
            level: Some(1),
            device: "pdu-a".to_owned(),
            plug: Some("3".to_owned()),
            action: "status".to_owned(),
            answered: true,
            said: "on".to_owned(),
            took_ms: 321.5,
            output: vec!["Status: ON".to_owned()],
            hints: Vec::new(),
        };
        let alone = WayReport {
            node: None,
            level: None,
            plug: None,
            action: "monitor".to_owned(),
            said: "done".to_owned(),
            hints: vec!["the device lists these outlets: 1, 2, 3 (web)".to_owned()],
            ..good.clone()
        };
        let bad = WayReport {
            level: Some(2),
            device: "bmc2".to_owned(),
            plug: None,
            answered: false,
            said: "exit status 1, it said: Connection timed out".to_owned(),
            took_ms: 20_100.0,
            output: vec!["ERROR: Connection \u{1b}[31mtimed out".to_owned()],
            hints: vec![
                "nobody answered: is the address right, is the device on, and does nothing on the \
                 way drop the packets?"
                    .to_owned(),
            ],
            ..good.clone()
        };
        let reports = [good, alone, bad];
        let mut text: String =
            reports.iter().map(|report| shown(report, Look::plain(80))).collect();
        for upto in [1, 2, 3] {
            text.push_str(&summary(&reports[..upto]));
        }
        expect_file!["../golden/fence-test.txt"].assert_eq(&text);
    }
}
