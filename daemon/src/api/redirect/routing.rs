//! What the routing daemon's own configuration needs beside what stead writes into it.

use serde::{Deserialize, Serialize};
use stead_core::state::State;
use stead_redirect::routing::{Announce, Source};

use super::super::message::Failure;
use super::super::requests::{Answered, config_of};
use crate::guard::reach::STUB;
use crate::layers::routes;

/// A text to read and to copy from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RoutingAnswer {
    /// The daemon's name.
    pub daemon: String,
    /// What it needs, in the form of its own configuration, with examples of numbers.
    pub text: String,
}

/// What the daemon on the node of that name needs.
///
/// # Errors
/// There is no configuration yet, it names no routing daemon, or it announces what can't be.
pub fn routing(state: &State, node: &str) -> Answered<RoutingAnswer> {
    let config = config_of(state)?;
    let Some(routing) = &config.redirect().routing else {
        return Err(Failure::unchanged(
            "this cluster uses no routing daemon; nothing was changed",
            "write  routing = \"bird\"  or  \"frr\" into [redirect] of cluster.toml, and apply it",
        ));
    };
    let announce = Announce::new(routes::may_announce(config), Source::Interface(STUB.to_owned()));
    let announce = announce.map_err(|error| {
        let help = "mend the addresses with layers = [\"route\"], or `prefixes`";
        Failure::unchanged(format!("nothing is announced: {}", stead_edge::chain(&error)), help)
    })?;
    let daemon = routes::daemon(routing, node);
    Ok(RoutingAnswer { daemon: daemon.name().to_owned(), text: daemon.explain(&announce) })
}
