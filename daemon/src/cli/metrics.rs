//! `stead metrics`.

use clap::Args;

use super::context::{Context, print};
use super::exit::Exit;
use crate::api::message::{MetricsAnswer, Request};

/// Print what Prometheus would read from this node.
///
/// It asks the daemon over its local socket: nothing has to listen on the network. For the textfile
/// collector of node_exporter, write it beside the file and rename it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead metrics\n  \
    stead metrics > stead.prom.new && mv stead.prom.new stead.prom")]
pub(super) struct Metrics {}

impl Metrics {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: MetricsAnswer = context.ask(&Request::Metrics)?;
        print(&answer.text)?;
        Ok(Exit::Done)
    }
}
