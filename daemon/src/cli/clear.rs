//! `stead clear`.

use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::message::{ChangeAnswer, Request};

/// Forget how often services failed, or a node was lost, once the reason is mended.
///
/// A service prefers nodes on which it failed less often. A node that was lost three times is given
/// services only where no other node could take them: for a minute after it is back, twice as long
/// after each further loss. Half an hour without a loss makes up for one. A resource of a service
/// that was given up, or waits for its next try, is tried again at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead clear web\n  stead clear shop database\n  \
                        stead clear\n  stead clear --node node2")]
pub(super) struct Clear {
    /// The service; if not given, all
    service: Option<String>,
    /// One resource of the service; if not given, all
    #[arg(requires = "service")]
    resource: Option<String>,
    /// End the quarantine of this node
    #[arg(long, value_name = "NODE", conflicts_with = "service")]
    node: Option<String>,
}

impl Clear {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if let Some(node) = self.node {
            let _done: ChangeAnswer = context.ask(&Request::Steady { node: node.clone() })?;
            println!("{node} is given services like any other node.");
            return Ok(Exit::Done);
        }
        let of = match (&self.service, &self.resource) {
            (Some(service), Some(resource)) => format!("{resource} of {service}"),
            (Some(service), None) => service.clone(),
            (None, _) => "all services".to_owned(),
        };
        let Self { service, resource, .. } = self;
        let _done: ChangeAnswer = context.ask(&Request::Clear { service, resource })?;
        println!("The failures of {of} are forgotten.");
        Ok(Exit::Done)
    }
}
