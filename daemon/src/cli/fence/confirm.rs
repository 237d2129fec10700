//! `stead fence confirm-off`.

use anyhow::bail;
use clap::Args;

use crate::api::fence::ConfirmAnswer;
use crate::api::message::Request;
use crate::cli::context::Context;
use crate::cli::exit::Exit;

/// Say that a machine is off, so that what waits for that goes on elsewhere
///
/// It is the word of somebody who has looked. A machine that only does not answer may still write:
/// look at its power, at the lamps, at its management board, or cut it from the storage. Should it
/// be on, two nodes have the same file system or volume, which destroys it.
#[derive(Debug, Args)]
pub(super) struct ConfirmOff {
    /// The machine
    node: String,
    /// What you looked at; kept with the cluster
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

impl ConfirmOff {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
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
