//! `stead stop` and `stead start`: services, a whole site, or everything.

use std::time::{Duration, Instant};

use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::halt::HaltAnswer;
use crate::api::message::{Request, ServicesAnswer};
use crate::api::report::{ServiceReport, StatusReport};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long `stop` waits by itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// These services, wherever they are
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
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

/// Stop services, or a site or the whole cluster, to switch it off.
///
/// Services stop wherever they are, in order: what needs another goes before it. They run nowhere
/// until `stead start`, over every restart of everything; all others are untouched. Of a site, what
/// has another place moves there first, the rest stops; its nodes go on to vote, and hold nothing
/// until `stead start`: machines may come up again in any order. It waits until it is over.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead stop web\n  stead stop web db\n  \
                        stead stop --site dc2\n  stead stop --all --yes")]
pub(super) struct Stop {
    #[command(flatten)]
    which: Which,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

/// Let services, a site or the whole cluster serve again.
///
/// What needs another begins when that works. Also the last step of a cold start: once the machines
/// are up, `stead status` on any of them shows who is there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead start web db\n  stead start --site dc2\n  \
                        stead start --all")]
pub(super) struct Start {
    #[command(flatten)]
    which: Which,
}

impl Stop {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if !self.which.services.is_empty() {
            return stop_services(context, &self.which.services);
        }
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
        let there =
            |it: &ServiceReport| it.node.as_ref().is_some_and(|node| answer.nodes.contains(node));
        if let Some(left) = wait_gone(context, there)? {
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
        if !self.which.services.is_empty() {
            return start_services(context, &self.which.services);
        }
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

fn stop_services(context: &Context, services: &[String]) -> anyhow::Result<Exit> {
    let request = Request::Serve { services: services.to_vec(), on: false };
    let ServicesAnswer { services, already } = context.ask(&request)?;
    if already {
        println!("Stopped already: {}; nothing was changed.", services.join(", "));
    }
    let there = |it: &ServiceReport| it.node.is_some() && services.contains(&it.name);
    if let Some(left) = wait_gone(context, there)? {
        println!("Stopping; not over yet after {} s: {left}.", PATIENCE.as_secs());
        println!("Next: see `stead status`; they stay stopped, whatever comes.");
        return Ok(Exit::Failed);
    }
    println!("Stopped: {} run nowhere.", services.join(", "));
    println!("Next: to let them run again: stead start {}", services.join(" "));
    Ok(Exit::Done)
}

fn start_services(context: &Context, services: &[String]) -> anyhow::Result<Exit> {
    let request = Request::Serve { services: services.to_vec(), on: true };
    let ServicesAnswer { services, already } = context.ask(&request)?;
    let services = services.join(", ");
    if already {
        println!("None of them is stopped: {services}; nothing was changed.");
    } else {
        println!("Started: {services} may run.");
        println!("Next: stead status");
    }
    Ok(Exit::Done)
}

/// Waits until no such service is with a node any more; says what is when patience is over.
fn wait_gone(
    context: &Context,
    there: impl Fn(&ServiceReport) -> bool,
) -> anyhow::Result<Option<String>> {
    let began = Instant::now();
    loop {
        let status: StatusReport = context.ask(&Request::Status { watch: false })?;
        let left: Vec<_> = status.services.iter().filter(|it| there(it)).collect();
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
