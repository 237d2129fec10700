//! `stead fence`.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::Exit;
use crate::api::fence::ConfirmAnswer;
use crate::api::message::Request;

/// What only a machine that is off makes safe elsewhere: file systems, volumes, databases.
///
/// A service with a resource of class `fence` stays with its node when that is lost: until the node
/// is back and has stopped it, or until you say that the machine is off.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead fence confirm-off node1 --reason \"its plug is pulled\"")]
pub(super) struct Fence {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say that a machine is off, so that what waits for that goes on elsewhere
    ///
    /// It is the word of somebody who has looked. A machine that only does not answer may still
    /// write: look at its power, at the lamps, at its management board, or cut it from the storage.
    /// Should it be on, two nodes have the same file system or volume, which destroys it.
    ConfirmOff(ConfirmOff),
}

#[derive(Debug, Args)]
struct ConfirmOff {
    /// The machine
    node: String,
    /// What you looked at; kept with the cluster
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

impl Fence {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            What::ConfirmOff(word) => word.run(context),
        }
    }
}

impl ConfirmOff {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { node, reason, yes } = self;
        let look = Request::ConfirmOff { node: node.clone(), reason: None };
        let first: ConfirmAnswer = context.ask(&look)?;
        if !yes {
            if !context.interactive {
                bail!("nobody can be asked; nothing was changed. If you mean it, add --yes");
            }
            println!("Waiting for {node} to be off: {}.", first.services.join(", "));
            let question = format!("Is {node} off, or cut from all that they could write to?");
            if !context.confirms(&question)? {
                println!("Nothing was changed.");
                return Ok(Exit::Failed);
            }
        }
        let done: ConfirmAnswer =
            context.ask(&Request::ConfirmOff { node: node.clone(), reason: Some(reason) })?;
        println!("{node} is off by your word: {} may start elsewhere.", done.services.join(", "));
        println!("Next: stead status. Don't start {node} other than by a boot.");
        Ok(Exit::Done)
    }
}
