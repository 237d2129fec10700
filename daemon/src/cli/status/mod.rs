//! `stead status`.
//!
//! The daemon makes the report ([`crate::api::report`]); here it becomes a screen. Happy path: one
//! line says that there is nothing to do. Failures: no daemon, and then what the guard still holds
//! is said as far as its lock tells. Absent on purpose: judging anything anew.

mod render;

use clap::Args;

pub(super) use render::render;

use super::context::{Context, print, print_json, print_json_line};
use super::exit::Exit;
use crate::api::client::{CallError, Streamed};
use crate::api::message::Request;
use crate::api::report::StatusReport;

/// Say whether everything is protected; if not, what to do.
///
/// The first line is the one to read: "Protected. Nothing to do.", or what is not protected, since
/// when, and what to do. The rest of the screen is the evidence, as this node sees it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stead status --watch\n  stead status --check || page-someone\n  \
                        stead status --json | jq .problems"
)]
pub(super) struct Status {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show of each service which failures would be noticed and which not, and how it is judged
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
    /// Go on showing it as it changes
    #[arg(long)]
    watch: bool,
    /// End with status 5 if not everything is protected
    #[arg(long, conflicts_with = "watch")]
    check: bool,
}

impl Status {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let shown = if self.watch { self.watch(context) } else { self.once(context) };
        if let Err(error) = &shown
            && let Some(CallError::NotRunning { .. }) = error.downcast_ref()
        {
            without_daemon(context);
        }
        shown
    }

    fn once(&self, context: &Context) -> anyhow::Result<Exit> {
        let report: StatusReport = context.ask(&Request::Status { watch: false })?;
        if self.json {
            print_json(&report)?;
        } else {
            print(&render(&report, context.out, self.verbose))?;
        }
        let fine = report.protected || !self.check;
        Ok(if fine { Exit::Done } else { Exit::NotProtected })
    }

    fn watch(&self, context: &Context) -> anyhow::Result<Exit> {
        let mut failed = None;
        let mut last = String::new();
        let mut show = |report: &StatusReport| -> anyhow::Result<()> {
            if self.json {
                return print_json_line(report);
            }
            let look = super::look::Look::of(&std::io::stdout());
            let text = render(report, look, self.verbose);
            if text == std::mem::replace(&mut last, text.clone()) {
                return Ok(());
            }
            // To the top, each line cleared to its end, then all below: no flicker.
            let text = if look.colour {
                format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
            } else {
                text + "\n"
            };
            Ok(print(&text)?)
        };
        if context.out.colour && !self.json {
            print("\x1b[2J")?;
        }
        context.connect()?.stream(&Request::Status { watch: true }, |item| match item {
            Streamed::Item(report) => match show(&report) {
                Ok(()) => true,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            },
            Streamed::Skipped(_) => true,
        })?;
        failed.map_or(Ok(Exit::Done), Err)
    }
}

/// What can be said while the daemon does not run.
fn without_daemon(context: &Context) {
    if !context.paths.identity().exists() {
        eprintln!(
            "This machine is in no cluster: begin one with `stead init`, or `stead join` one."
        );
        return;
    }
    // The lock can only be looked at by root; then nothing is said.
    match stead_linux::lock::holder(&context.paths.guard_lock()) {
        Ok(Some(_)) => eprintln!(
            "The guard runs: what this node serves goes on for the daemon-grace, then others take \
             it."
        ),
        Ok(None) => eprintln!("The guard does not run either: nothing is served by this node."),
        Err(_) => {}
    }
}
