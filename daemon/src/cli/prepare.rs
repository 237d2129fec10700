//! What `stead move --prepare` does before it moves, and `--unprepare`.
//!
//! The time to live of the service's names is lowered, then two things are waited for: all name
//! servers say the low one, and whoever looked before that has forgotten it. Only that wait is
//! here; what holds is in the cluster's state, so who interrupts it, or loses the connection, has
//! lowered times to live and a service where it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stead_core::time::Span;

use super::context::{Context, print_json};
use super::exit::{Exit, FateUnknown};
use super::look::harmless;
use crate::api::client::Client;
use crate::api::lower::{LookAnswer, LowerRequest, PreparedAnswer};
use crate::api::message::{ChangeAnswer, Request};
use crate::demo::interrupt;
use crate::journal::{stamp_of, wall};

/// How often it is looked, and how fast ctrl-C is heard.
const LOOK: Duration = Duration::from_secs(1);
const HEAR: Duration = Duration::from_millis(100);
/// How long name servers may take to follow. Secondaries that are told of a change do it within
/// seconds; one that only asks now and then (SOA, refresh) may take longer than anybody waits.
const SERVERS: Duration = Duration::from_secs(600);

/// Waits until a move makes no client late for longer than the low time to live.
pub(super) fn prepare(
    client: &mut Client,
    service: &str,
    node: &str,
    quiet: bool,
) -> anyhow::Result<()> {
    let say = |text: String| {
        if !quiet {
            println!("{}", harmless(&text));
        }
    };
    let (service, node) = (service.to_owned(), node.to_owned());
    let request = LowerRequest::Prepare { service: service.clone(), node: node.clone() };
    let answer: PreparedAnswer = client.ask(&Request::Lower(request))?;
    let PreparedAnswer { names, usual_s, lowered_s, until: Some(until) } = answer else {
        say(format!("No name of {service} has to be prepared: none would be late by it."));
        return Ok(());
    };
    let stop = Arc::new(AtomicBool::new(false));
    interrupt::watch(&stop)?;
    let (usual, lowered) = (seconds(usual_s), seconds(lowered_s));
    let names = names.join(", ");
    say(format!(
        "{names}: kept for {lowered} from now on instead of {usual}, until {until} at most."
    ));
    let holds = Holds { service: &service, node: &node, until: &until };
    until_said(client, &stop, &holds)?;
    let pause = Duration::from_secs(u64::from(usual_s));
    let over = stamp_of(wall().saturating_add(u64::from(usual_s)));
    say(format!("All name servers say so. Others may keep what they said before until {over}."));
    let end = Instant::now() + pause;
    while Instant::now() < end {
        std::thread::sleep(HEAR.min(end.saturating_duration_since(Instant::now())));
        if stop.load(Ordering::Relaxed) {
            return Err(holds.failed("interrupted"));
        }
    }
    Ok(())
}

/// What holds when the wait ends before its time.
struct Holds<'a> {
    service: &'a str,
    node: &'a str,
    until: &'a str,
}

impl Holds<'_> {
    fn failed(&self, why: &str) -> anyhow::Error {
        let Self { service, node, until } = self;
        FateUnknown(format!(
            "{why}: {service} was not moved, and its names are kept for a short time only until \
             {until} at most. To move it all the same: stead move {service} {node}; to end that: \
             stead move {service} --unprepare"
        ))
        .into()
    }
}

/// Waits until all name servers say the low time to live.
fn until_said(client: &mut Client, stop: &AtomicBool, holds: &Holds<'_>) -> anyhow::Result<()> {
    let end = Instant::now() + SERVERS;
    loop {
        let service = holds.service.to_owned();
        let look: LookAnswer = client.ask(&Request::Lower(LowerRequest::Look { service }))?;
        let LookAnswer { lowered, everywhere, trouble } = look;
        if everywhere {
            return Ok(());
        }
        if !lowered {
            let service = holds.service;
            let text = format!(
                "{service} has moved meanwhile, or somebody ended what was prepared; it was not \
                 moved by this command. See `stead events`"
            );
            return Err(FateUnknown(text).into());
        }
        if Instant::now() >= end {
            let minutes = SERVERS.as_secs() / 60;
            let why = trouble.unwrap_or_default();
            let why = format!("not all name servers follow within {minutes} min ({why})");
            return Err(holds.failed(&why));
        }
        let next = Instant::now() + LOOK;
        while Instant::now() < next {
            std::thread::sleep(HEAR);
            if stop.load(Ordering::Relaxed) {
                return Err(holds.failed("interrupted"));
            }
        }
    }
}

/// Ends what was prepared.
pub(super) fn end(context: &Context, service: &str, json: bool) -> anyhow::Result<Exit> {
    let request = LowerRequest::End { service: service.to_owned() };
    let answer: ChangeAnswer = context.ask(&Request::Lower(request))?;
    if json {
        print_json(&answer)?;
    } else if answer.index.is_some() {
        println!("Names of {service} may be kept as usual again.");
    } else {
        println!("Names of {service} are kept as usual already; nothing was changed.");
    }
    Ok(Exit::Done)
}

fn seconds(number: u32) -> String {
    Span::from_millis(u64::from(number) * 1_000).in_words().to_string()
}
