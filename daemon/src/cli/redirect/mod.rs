//! `stead redirect`: what lies between clients and services.
//!
//! Happy path: `advise` says which layers are possible and what each would cost, `probe` tries on
//! the real segment whether takeovers are honoured, `trace` shows what each place on the way says
//! now, and `client-config` prints what an agent on a client's machine has to know. Failures: a node
//! that can't look is named. Deliberately absent: any change of the cluster.

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
