//! `stead fence`: the devices that switch machines off, and the operator's word in their place.
//!
//! `agents` asks the agents of this machine what they take; `test` asks through every way to a node
//! and switches nothing, in the daemon or, with a file, in this process; `rehearse` does so and has
//! it kept, or switches an empty machine off and on; `history` shows what was kept of that and of
//! all fencing; `confirm-off` takes the word of somebody who has looked.
//!
//! Failures: what a device said is shown as it is, with what it means; the exit status is 0 only if
//! every way answered.
//!
//! Deliberately absent: switching a machine off by hand, other than to rehearse it. Agents do that,
//! and the machine's owner.

mod agents;
mod confirm;
mod history;
mod rehearse;
mod trial;
mod ways;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::Exit;

/// What only a machine that is off makes safe elsewhere: file systems, volumes, databases.
///
/// A service with a resource of class `fence` stays with its node when that is lost: until a device
/// has switched the node off, until it is back and has stopped it, or until you say that the
/// machine is off.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stead fence agents fence_ipmilan
  stead fence test node1
  stead fence rehearse node1
  stead fence history node1
  stead fence confirm-off node1 --reason \"its plug is pulled\"")]
pub(super) struct Fence {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Agents(agents::Agents),
    Test(trial::Test),
    Rehearse(rehearse::Rehearse),
    History(history::History),
    ConfirmOff(confirm::ConfirmOff),
}

impl Fence {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            What::Agents(command) => command.run(context),
            What::Test(command) => command.run(context),
            What::Rehearse(command) => command.run(context),
            What::History(command) => command.run(context),
            What::ConfirmOff(word) => word.run(context),
        }
    }
}
