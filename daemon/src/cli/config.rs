//! `stead config`.

use clap::Args;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use crate::api::message::{ConfigAnswer, Request};

/// Print the configuration in force, with every value spelled out.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead config > cluster.toml")]
pub(super) struct Config {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: ConfigAnswer = context.ask(&Request::Config)?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&format!(
                "# Revision {}, as it is in force.\n\n{}",
                answer.revision, answer.text
            ))?;
        }
        Ok(Exit::Done)
    }
}
