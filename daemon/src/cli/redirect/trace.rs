//! `stead redirect trace`.

use clap::Args;

use crate::api::message::Request;
use crate::api::redirect::trace::TraceAnswer;
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;
use crate::cli::look::Tone;
use crate::cli::table::{Cell, table};
use crate::layers::trace::Place;

/// What each place between a client and a service says now
///
/// Five translations lead from what a client wants to the port of a switch: what it was told,
/// names, routes, the neighbour table and the switch. Each is looked at from that node's side, as a
/// client there would: what it says, how old that is, and when it is looked up anew. On a machine
/// with
/// `stead client`: `stead client trace SERVICE`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stead redirect trace node3 web
  stead redirect trace node3 web --json")]
pub(in crate::cli) struct Trace {
    /// The node from which it is looked
    #[arg(value_name = "CLIENT")]
    client: String,
    /// The service
    service: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { client, service, json } = self;
        let mut daemon = context.connect()?;
        let request = Request::RedirectTrace { client, service };
        let answer: TraceAnswer = daemon.ask(&request)?;
        if json {
            print_json(&answer)?;
        } else {
            let holder = answer.holder.as_deref().unwrap_or("nowhere");
            let head =
                format!("{} is on {holder}; seen from {}:\n\n", answer.service, answer.client);
            print(&(head + &shown(&answer.places, context)))?;
        }
        Ok(Exit::Done)
    }
}

/// The places as a table.
pub(in crate::cli) fn shown(places: &[Place], context: &Context) -> String {
    let row = |place: &Place| -> Vec<Cell> {
        let (tone, mark) = match place.leads {
            Some(true) => (Tone::Good, "there"),
            Some(false) => (Tone::Bad, "elsewhere"),
            None => (Tone::Plain, ""),
        };
        let says = match &place.says {
            Ok(says) => Cell::from(says.as_str()),
            Err(why) => Cell::new(Tone::Dim, format!("({why})")),
        };
        vec![
            place.layer.as_str().into(),
            place.asked.as_str().into(),
            place.place.as_str().into(),
            place.age_ms.map(length).unwrap_or_default().into(),
            place.expires_ms.map(length).unwrap_or_default().into(),
            Cell::new(tone, mark),
            says,
        ]
    };
    let rows: Vec<_> = places.iter().map(row).collect();
    table(context.out, &["LAYER", "ASKED", "WHERE", "AGE", "EXPIRES", "LEADS", "SAYS"], &rows)
}

/// A length of time, in the unit that suits it.
fn length(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{millis} ms"),
        10_000..600_000 => format!("{} s", millis / 1_000),
        _ => format!("{} min", millis / 60_000),
    }
}
