//! `stead stop` and `stead start`: a whole site, or everything.

use std::time::{Duration, Instant};

use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::halt::HaltAnswer;
use crate::api::message::Request;
use crate::api::report::{ServiceReport, StatusReport};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long `stop` waits by itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which nodes are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The nodes of this site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Every node
    #[arg(long)]
    all: bool,
}

impl Which {
    /// The words that were typed.
    fn as_typed(&self) -> String {
        self.site.as_ref().map_or("--all".to_owned(), |site| format!("--site {site}"))
    }

    fn in_words(&self) -> String {
        self.site.as_ref().map_or("everything".to_owned(), |site| format!("the site {site}"))
    }
}

/// Stop a site or the whole cluster, to switch it off.
///
/// What has another place moves there first, the rest stops. The nodes go on to vote, and hold
/// nothing until `stead start`, over every restart: machines may come up again in any order. It
/// waits until nothing is served there any more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead stop --site dc2\n  stead stop --all --yes")]
pub(super) struct Stop {
    #[command(flatten)]
    which: Which,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

/// Let a site or the whole cluster serve again.
///
/// Also the last step of a cold start: once the machines are up, `stead status` on any of them
/// shows who is there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead start --site dc2\n  stead start --all")]
pub(super) struct Start {
    #[command(flatten)]
    which: Which,
}

impl Stop {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (what, typed) = (self.which.in_words(), self.which.as_typed());
        let ask = !self.yes && context.interactive;
        if ask && !context.confirms(&format!("Stop {what}, until `stead start`?"))? {
            println!("Nothing was changed.");
            return Ok(Exit::Failed);
        }
        let request = Request::Halt { site: self.which.site, on: true };
        let answer: HaltAnswer = context.ask(&request)?;
        if answer.already {
            println!("They are stopped already: {}; nothing was changed.", answer.nodes.join(", "));
        }
        if let Some(left) = wait_empty(context, &answer.nodes)? {
            println!("Stopping; not over yet after {} s: {left}.", PATIENCE.as_secs());
            println!("Next: see `stead status`; they stay stopped, whatever comes.");
            return Ok(Exit::Failed);
        }
        println!("Stopped: nothing is served by {} any more.", answer.nodes.join(", "));
        if let Some(quorum) = answer.quorum {
            println!("Mind: {quorum}.");
        }
        println!("Next: switch the machines off as you like; to serve again: stead start {typed}");
        Ok(Exit::Done)
    }
}

impl Start {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let request = Request::Halt { site: self.which.site, on: false };
        let answer: HaltAnswer = context.ask(&request)?;
        let nodes = answer.nodes.join(", ");
        if answer.already {
            println!("None of them is stopped: {nodes}; nothing was changed.");
        } else {
            println!("Started: {nodes} may serve.");
            println!("Next: stead status");
        }
        Ok(Exit::Done)
    }
}

/// Waits until nothing is with these nodes any more; says what still is when patience is over.
fn wait_empty(context: &Context, nodes: &[String]) -> anyhow::Result<Option<String>> {
    let began = Instant::now();
    loop {
        let status: StatusReport = context.ask(&Request::Status { watch: false })?;
        let there = |it: &&ServiceReport| it.node.as_ref().is_some_and(|node| nodes.contains(node));
        let left: Vec<_> = status.services.iter().filter(there).collect();
        if left.is_empty() {
            return Ok(None);
        }
        if began.elapsed() > PATIENCE {
            let words = left
                .iter()
                .map(|it| format!("{} on {}", it.name, it.node.as_deref().unwrap_or_default()));
            return Ok(Some(words.collect::<Vec<_>>().join(", ")));
        }
        std::thread::sleep(LOOK);
    }
}
