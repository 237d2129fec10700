//! `stead redirect`: what lies between clients and services.
//!
//! `advise` says which layers could lead clients, what each would cost, and which is the best;
//! `trace` what each place on the way says now; `probe` tries a takeover with an address that
//! nobody uses; `client-config` prints what `stead client` has to know, and `routing-config` what a
//! routing daemon has to.
//!
//! Failures: what can't be found out is shown as unknown, with what is missing; it is no error.
//!
//! Deliberately absent: changing what leads clients. That is `cluster.toml`'s, and `stead apply`.

mod advise;
mod client_config;
mod probe;
mod routing_config;
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
    RoutingConfig(routing_config::RoutingConfig),
}

impl Redirect {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Advise(command) => command.run(context),
            Self::Trace(command) => command.run(context),
            Self::Probe(command) => command.run(context),
            Self::ClientConfig(command) => command.run(context),
            Self::RoutingConfig(command) => command.run(context),
        }
    }
}
