//! `stead disarm`.

use anyhow::anyhow;
use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::message::{ChangeAnswer, Request};
use crate::config::read_duration;

/// Let nothing move for a while: for work on the network.
///
/// Services stay where they are and go on answering whoever reaches them, however long nodes lose
/// each other. Nobody takes anything over, not even from a node that dies; a monitor that fails is
/// told and not acted upon. It ends with --off, or by itself when the time is over. Nodes that are
/// cut off then keep what they have until that time has passed since they last heard the others.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead disarm --for 30min --reason \"switch firmware\"\n  \
                        stead disarm --off")]
pub(super) struct Disarm {
    /// For how long: 1min to 24h
    #[arg(long = "for", default_value = "1h", value_name = "TIME", conflicts_with = "off")]
    span: String,
    /// Why, for whoever looks at `stead status` meanwhile
    #[arg(long, default_value = "", value_name = "TEXT", conflicts_with = "off")]
    #[arg(hide_default_value = true)]
    reason: String,
    /// Let services move again
    #[arg(long)]
    off: bool,
}

impl Disarm {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { span, reason, off } = self;
        if off {
            let answer: ChangeAnswer = context.ask(&Request::Arm)?;
            match answer.index {
                Some(_) => println!("Armed again: services move as usual."),
                None => println!("The cluster is armed already; nothing was changed."),
            }
            return Ok(next(answer));
        }
        let time = read_duration(&span)
            .map_err(|problem| anyhow!("--for: {problem}; nothing was changed"))?;
        let seconds = time.as_micros().div_ceil(1_000_000);
        let answer: ChangeAnswer = context.ask(&Request::Disarm { seconds, reason })?;
        println!("Disarmed for {}: nothing moves.", time.in_words());
        Ok(next(answer))
    }
}

fn next(answer: ChangeAnswer) -> Exit {
    if let Some(next) = answer.next {
        println!("Next: {next}");
    }
    Exit::Done
}
