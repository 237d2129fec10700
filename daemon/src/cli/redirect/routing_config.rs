//! `stead redirect routing-config`.

use clap::Args;

use crate::api::message::Request;
use crate::api::redirect::routing::RoutingAnswer;
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;

/// Print what the routing daemon's own configuration needs beside stead's part
///
/// Sessions with routers, their numbers, passwords and timers are yours: this is an example of
/// them for the daemon that `routing` in [redirect] names, to read and to copy from. What may be
/// announced is told to the daemon by stead.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead redirect routing-config | less")]
pub(in crate::cli) struct RoutingConfig {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl RoutingConfig {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: RoutingAnswer = context.connect()?.ask(&Request::RedirectRouting)?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&answer.text)?;
        }
        Ok(Exit::Done)
    }
}
