//! `stead standby`.

use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::message::{ChangeAnswer, Request};

/// Put a node on standby: its services go elsewhere, and it keeps its vote.
///
/// For an hour's maintenance, a reboot, an upgrade of the guard.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead standby node1\n  stead standby node1 --off")]
pub(super) struct Standby {
    /// The node
    node: String,
    /// It may serve again
    #[arg(long)]
    off: bool,
}

impl Standby {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { node, off } = self;
        let request = Request::Standby { node: node.clone(), on: !off };
        let answer: ChangeAnswer = context.ask(&request)?;
        let state = if off { "off standby" } else { "on standby" };
        match answer.index {
            Some(_) => println!("{node} is {state}."),
            None => println!("{node} is {state} already; nothing was changed."),
        }
        if let Some(next) = answer.next {
            println!("Next: {next}");
        }
        Ok(Exit::Done)
    }
}
