//! `stead move`.

use std::time::{Duration, Instant};

use clap::Args;
use stead_core::time::Span;

use super::context::{Context, print_json};
use super::exit::{Exit, FateUnknown};
use super::look::harmless;
use super::prepare;
use crate::api::client::Client;
use crate::api::lower::MoveAnswer;
use crate::api::message::Request;
use crate::api::report::{ServiceReport, StatusReport};
use crate::config::read_long_duration;

/// How often to look whether it is there.
const LOOK: Duration = Duration::from_millis(100);

/// Move a service to a node.
///
/// It stops where it is and starts there, with all that it has to be together with. It stays until
/// it has a reason to leave: its node fails, or `failback` takes it to a node that it prefers; with
/// --for, until that time is over.
///
/// Clients that know the service by name follow when they look the name up again, which may take
/// as long as its time to live. With --prepare that is lowered first (`moving-ttl` of the zone),
/// and the service is moved once nobody keeps what the name servers said before.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead move web node2\n  stead move web node2 --for 2h\n  \
                  stead move web node2 --prepare\n  stead move web --unprepare")]
pub(super) struct Move {
    /// The service
    service: String,
    /// The node
    #[arg(required_unless_present = "unprepare")]
    node: Option<String>,
    /// Have its names kept for a short time only, and wait until that is so everywhere
    #[arg(long)]
    prepare: bool,
    /// End what --prepare began: its names may be kept as usual again; moves nothing
    #[arg(long, conflicts_with_all = ["node", "prepare", "time"])]
    unprepare: bool,
    /// For how long; then it goes back to where it was (30min, 2h, 3d)
    #[arg(long = "for", value_name = "TIME", value_parser = read_long_duration)]
    time: Option<Span>,
    /// How long to wait until it is there, in seconds; 0 does not wait
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Move {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { service, node, prepare, unprepare: _, time, wait, json } = self;
        let Some(node) = node else { return prepare::end(context, &service, json) };
        let mut client = context.connect()?;
        if prepare {
            prepare::prepare(&mut client, &service, &node, json)?;
        }
        let look = |client: &mut Client| -> anyhow::Result<Option<ServiceReport>> {
            let status: StatusReport = client.ask(&Request::Status { watch: false })?;
            Ok(status.services.into_iter().find(|it| it.name == service))
        };
        let failures = |it: &Option<ServiceReport>| {
            it.as_ref().and_then(|it| it.failures.get(&node).copied()).unwrap_or_default()
        };
        let before = failures(&look(&mut client)?);
        let for_s = time.map(|time| time.0 / 1_000_000);
        let request = Request::Move { service: service.clone(), node: node.clone(), for_s };
        let MoveAnswer { change: answer, late_s, late } = client.ask(&request)?;
        if json {
            print_json(&MoveAnswer { change: answer.clone(), late_s, late: late.clone() })?;
        }
        let late = late.map(|it| format!("Clients that know it by name may be late {it}."));
        let end = Instant::now() + Duration::from_secs(wait);
        let mut now: Option<ServiceReport> = None;
        while Instant::now() < end {
            now = look(&mut client)?;
            let at = now.as_ref().and_then(|it| it.node.as_deref());
            let is_there = at == Some(node.as_str());
            if !is_there && failures(&now) > before {
                let text = format!(
                    "{service} failed on {node}, and {}. Why: `stead events`",
                    where_it_is(now.as_ref())
                );
                return Err(FateUnknown(text).into());
            }
            if is_there && now.as_ref().is_some_and(|it| it.state.serves()) {
                if !json {
                    let next = answer.next.as_ref().map(|it| format!(", {it}"));
                    let next = next.unwrap_or_default();
                    println!("{service} is on {node}{next}. How long it took: stead incident");
                    late.iter().for_each(|it| println!("{}", harmless(it)));
                }
                return Ok(Exit::Done);
            }
            std::thread::sleep(LOOK);
        }
        if wait == 0 {
            if !json {
                println!("{service} is on its way to {node}: stead status");
                late.iter().for_each(|it| println!("{}", harmless(it)));
            }
            return Ok(Exit::Done);
        }
        let state = where_it_is(now.as_ref());
        let text =
            format!("{service} is not on {node} after {wait} s: {state}. See `stead events`");
        Err(FateUnknown(text).into())
    }
}

fn where_it_is(service: Option<&ServiceReport>) -> String {
    match service {
        Some(ServiceReport { state, node: Some(at), .. }) => format!("{at} has it ({state})"),
        Some(ServiceReport { state, node: None, .. }) => format!("no node has it ({state})"),
        None => "it is not there any more".to_owned(),
    }
}
