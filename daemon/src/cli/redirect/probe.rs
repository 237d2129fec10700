//! `stead redirect probe`.

use std::net::IpAddr;

use clap::Args;

use crate::api::client::Streamed;
use crate::api::message::Request;
use crate::api::redirect::probe::{Probe as Wanted, ProbeNews};
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;

/// Try on the real segment whether a takeover is honoured, with an address that nobody uses
///
/// Two nodes have a throw-away address one after the other, and a third one watches: once as
/// services move usually, by telling neighbours another MAC, and once with a MAC that moves along.
/// Switches that lock MACs to ports, inspect ARP, or swallow announcements are recognised by what
/// arrives where. No address is added to any kernel, none is used that belongs to anybody, and
/// everything ends by itself within minutes if nobody ends it. Takes about ten seconds for each
/// form that is honoured, and --wait for each that is not.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if some form is honoured at once everywhere, 1 if none is.

Examples:
  stead redirect probe web
  stead redirect probe web --nodes node1,node2,node5
  stead redirect probe web --address 10.0.0.250 --wait 120")]
pub(in crate::cli) struct Probe {
    /// The service on whose segments it is tried
    service: String,
    /// Three nodes or more: two that have the address, then those that watch
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    nodes: Vec<String>,
    /// The throw-away address
    #[arg(long)]
    address: Option<IpAddr>,
    /// How long a takeover is waited for, in seconds
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Print one JSON object for each thing that happens
    #[arg(long)]
    json: bool,
}

impl Probe {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { service, nodes, address, wait, json } = self;
        let mut client = context.connect()?;
        let wanted = Wanted { service, address, nodes, seconds: wait };
        let mut works = false;
        client.stream(&Request::RedirectProbe(wanted), |item| match item {
            Streamed::Item(news) => {
                if let ProbeNews::Verdicts(verdicts) = &news {
                    works = verdicts.iter().any(|it| it.works());
                }
                let shown =
                    if json { print_json(&news) } else { print(&words(&news)).map_err(Into::into) };
                shown.is_ok()
            }
            Streamed::Skipped(_) => true,
        })?;
        Ok(if works { Exit::Done } else { Exit::Failed })
    }
}

fn words(news: &ProbeNews) -> String {
    match news {
        ProbeNews::Begins { form, address, holders: [first, second], observers } => {
            let observers = observers.join(", ");
            format!("{form}: {address} moves from {first} to {second}; {observers} watch ...\n")
        }
        ProbeNews::Found(_) => String::new(),
        ProbeNews::Failed { form, why } => format!("{form}: not tried: {why}\n"),
        ProbeNews::Verdicts(verdicts) => {
            let lines: Vec<_> = verdicts.iter().map(|it| format!("{it}\n")).collect();
            format!("\n{}", lines.concat())
        }
    }
}
