//! What an agent on a client's machine has to know of this cluster.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use stead_core::state::State;
use stead_redirect::knowledge::KeyDigest;

use super::super::message::Failure;
use super::super::requests::{Answered, config_of};

/// What stands in an agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientAnswer {
    /// The cluster's identity.
    pub cluster: String,
    /// The keys of its members.
    pub trust: Vec<String>,
    /// Where its nodes say where services are.
    pub watch: Vec<String>,
    /// They ask for a token.
    #[serde(default)]
    pub token: bool,
    /// The services.
    pub services: Vec<String>,
}

/// The cluster as agents have to know it.
///
/// # Errors
/// There is no cluster yet, or no documents are served.
pub fn client(state: &State) -> Answered<ClientAnswer> {
    let config = config_of(state)?;
    let Some(port) = config.redirect().documents else {
        return Err(Failure::unchanged(
            "this cluster does not tell clients where services are; nothing was changed",
            "write  documents = 7420  into [redirect] of cluster.toml, and apply it",
        ));
    };
    let addresses = config.nodes.values().flat_map(|node| node.addresses.values());
    let at = |ip: &IpAddr| format!("http://{}", SocketAddr::new(*ip, port));
    Ok(ClientAnswer {
        cluster: state.cluster.map(|it| it.to_string()).unwrap_or_default(),
        trust: state.members.values().map(|it| KeyDigest(it.key).to_string()).collect(),
        watch: addresses.map(at).collect(),
        token: config.redirect().documents_token.is_some(),
        services: config.services.keys().map(|it| it.0.clone()).collect(),
    })
}
