//! `stead redirect`: what lies between clients and services.

mod advise;
mod client_config;
mod probe;
#[cfg(test)]
mod tests;
mod trace;

use clap::Subcommand;

use super::context::Context;
use super::exit::Exit;
pub(super) use trace::shown;

/// See what lies between clients and services, and try it out
#[derive(Debug, Subcommand)]
pub(super) enum Redirect {
    Advise(advise::Advise),
    Trace(trace::Trace),
    Probe(probe::Probe),
    ClientConfig(client_config::ClientConfig),
}

impl Redirect {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Advise(command) => command.run(context),
            Self::Trace(command) => command.run(context),
            Self::Probe(command) => command.run(context),
            Self::ClientConfig(command) => command.run(context),
        }
    }
}
