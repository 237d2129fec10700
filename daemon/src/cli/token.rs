//! `stead token`.

use clap::Args;

use super::context::{Context, print_json};
use super::exit::Exit;
use crate::api::message::{Request, TokenAnswer};

/// Make a token that lets one node join, once.
///
/// The node must be in the configuration. A newer token for the same node replaces the older one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead token node2")]
pub(super) struct Token {
    /// The node that shall join
    node: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Token {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: TokenAnswer = context.ask(&Request::Token { node: self.node })?;
        if self.json {
            print_json(&answer)?;
            return Ok(Exit::Done);
        }
        let TokenAnswer { node, token, addresses } = answer;
        eprintln!("Type this on {node}. It works once, from any network that reaches this node:");
        let address = addresses.first().map_or("ADDRESS", String::as_str);
        println!("stead join {address} {token}");
        if addresses.len() > 1 {
            eprintln!("This node's other addresses: {}", addresses[1..].join(", "));
        }
        Ok(Exit::Done)
    }
}
