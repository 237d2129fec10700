//! `stead drain`.

use std::time::{Duration, Instant};

use clap::Args;

use super::context::Context;
use super::exit::{Exit, FateUnknown};
use crate::api::message::{ChangeAnswer, Request};
use crate::api::report::{ServiceReport, StatusReport};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// What keeps a service may be over in a moment: a node that just comes back.
const SETTLED: Duration = Duration::from_secs(2);

/// Put a node on standby and wait until all that it serves has gone elsewhere.
///
/// It says what leaves and where it went. What no other node can take stays, so that it goes on
/// being served; then this says what and why, and ends with status 1. Either way the node is on
/// standby until `stead standby NODE --off`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead drain node1 && ssh node1 reboot")]
pub(super) struct Drain {
    /// The node
    node: String,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    wait: u64,
}

impl Drain {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { node, wait } = self;
        let request = Request::Standby { node: node.clone(), on: true };
        let answer: ChangeAnswer = context.ask(&request)?;
        let already = if answer.index.is_some() { "" } else { " already" };
        println!("{node} is on standby{already}.");
        let (began, mut progress) = (Instant::now(), Progress::default());
        let mut kept_since = None;
        loop {
            let status: StatusReport = context.ask(&Request::Status { watch: false })?;
            let left = progress.look(&node, &status.services);
            if left.is_empty() {
                println!("Nothing is served by {node} any more.");
                println!("Next: when it may serve again: stead standby {node} --off");
                return Ok(Exit::Done);
            }
            let kept = left.iter().all(|it| it.stays.is_some());
            let since = if kept { *kept_since.get_or_insert_with(Instant::now) } else { began };
            if !kept {
                kept_since = None;
            } else if since.elapsed() > SETTLED {
                return Ok(stays(&node, &left));
            }
            if began.elapsed() > Duration::from_secs(wait) {
                let names: Vec<_> =
                    left.iter().map(|it| format!("{} ({})", it.name, it.state)).collect();
                let text = format!(
                    "{node} is on standby and not empty after {wait} s: {}. See `stead events`",
                    names.join(", ")
                );
                return Err(FateUnknown(text).into());
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Says what can't leave, and why.
fn stays(node: &str, left: &[&ServiceReport]) -> Exit {
    for service in left {
        let why = service.stays.as_deref().unwrap_or_default();
        println!("{} stays on {node}: {why}.", service.name);
    }
    println!(
        "Next: once that is over it leaves by itself; what no other node can take may be stopped: \
         stead stop {}",
        left.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(" ")
    );
    Exit::Failed
}

/// What was on the node, and was not told yet to have gone.
#[derive(Debug, Default)]
struct Progress(Vec<String>);

impl Progress {
    /// Says what has gone where since the last look; returns what is still there.
    fn look<'a>(&mut self, node: &str, services: &'a [ServiceReport]) -> Vec<&'a ServiceReport> {
        let here = |it: &&ServiceReport| it.node.as_deref() == Some(node);
        for service in services.iter().filter(here) {
            if !self.0.contains(&service.name) {
                println!("  {} is to leave ...", service.name);
                self.0.push(service.name.clone());
            }
        }
        self.0.retain(|name| {
            let now = services.iter().find(|it| it.name == *name);
            let Some(now) = now else { return false };
            match &now.node {
                Some(at) if at == node => true,
                Some(at) if now.state.serves() => {
                    println!("  {name} is on {at}");
                    false
                }
                None if now.stopped => {
                    println!("  {name} has stopped");
                    false
                }
                Some(_) | None => true,
            }
        });
        // What has left and is not there yet is waited for as well.
        services.iter().filter(|it| self.0.contains(&it.name)).collect()
    }
}
