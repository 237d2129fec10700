//! `stead events`.

use clap::Args;
use stead_core::notice::Severity;

use super::context::{Context, print, print_json_line};
use super::exit::Exit;
use super::look::{Look, Tone, harmless};
use crate::api::client::Streamed;
use crate::api::message::Request;
use crate::journal::{Entry, parse, stamp};

/// Print what happened on this node, oldest first.
///
/// Each node keeps its own journal; what all of them agree on about one takeover is told by
/// `stead incident`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead events -f\n  stead events -n 500 --json\n  \
                        stead events --since '2026-03-01 12:00'")]
pub(super) struct Events {
    /// Go on with every line to come
    #[arg(short, long)]
    follow: bool,
    /// How many of the newest lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    last: usize,
    /// Nothing before this time (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A time as the journal writes it.
fn time(text: &str) -> Result<String, String> {
    parse(text).map(stamp).ok_or_else(|| "write it like 2026-03-01 12:00, in UTC".to_owned())
}

impl Events {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { follow, last, since, json } = self;
        let last = Some(if since.is_some() { crate::journal::KEPT } else { last });
        let mut failed = None;
        let show = |item: Streamed<Entry>| -> anyhow::Result<()> {
            match item {
                Streamed::Item(entry) if json => print_json_line(&entry),
                Streamed::Item(entry) => Ok(print(&shown(&entry, context.out))?),
                Streamed::Skipped(lines) => {
                    eprintln!("({lines} lines came too fast to be shown)");
                    Ok(())
                }
            }
        };
        let request = Request::Events { last, since, follow };
        context.connect()?.stream(&request, |item| match show(item) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        failed.map_or(Ok(Exit::Done), Err)
    }
}

pub(super) fn shown(entry: &Entry, look: Look) -> String {
    let time = entry.time.replace('T', " ");
    let time = look.paint(Tone::Dim, &harmless(&time));
    let (word, tone) = match entry.severity {
        Severity::Info => ("       ", Tone::Plain),
        Severity::Warning => ("warning", Tone::Warn),
        Severity::Error => ("ERROR  ", Tone::Bad),
    };
    let word = look.paint(tone, word);
    format!("{time}  {}  {word}  {}\n", harmless(&entry.node), harmless(&entry.text))
}
