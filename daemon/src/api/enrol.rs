//! Enrolling the cluster at a quorum server, and doing without one.

use std::time::Duration;

use stead_core::quorum::chain::{Chain, Module};
use stead_core::state::{Change, QuorumServer};
use stead_log::transport::KeyHash;

use super::message::{ChangeAnswer, Changed, Failure};
use super::requests::{Answered, config_of, submit};
use super::{Desk, features};
use crate::quorum_client;
use crate::quorum_server::token::EnrolToken;
use crate::quorum_server::wire::Members;

/// How long the server may take.
const DEADLINE: Duration = Duration::from_secs(8);

/// Shows the token to the server that gave it out, and has every member know that server. Where
/// nothing breaks ties yet, the chain asks it from now on.
pub(super) async fn enrol(desk: &Desk, token: &str) -> Answered<ChangeAnswer> {
    let token: EnrolToken = token.parse().map_err(|error| {
        let message = format!("{error}; nothing was changed");
        Failure::unchanged(message, "copy the whole line that the server printed")
    })?;
    let view = desk.handle.view();
    let config = config_of(&view.state)?.clone();
    let server = QuorumServer { addresses: token.addresses.clone(), key: token.token.key };
    let change = Change::Enrol { server: Some(server) };
    features::check_all(&desk.handle, &change).await.map_err(|failure| Failure {
        message: format!("{}; the token was not shown and can be used", failure.message),
        ..failure
    })?;
    let keys = view.state.members.values().map(|member| KeyHash(member.key)).collect();
    let members = Members { at: view.state.applied, keys };
    let cluster = view.identity.cluster;
    let asked = quorum_client::enrol(&token, &desk.key, cluster, &config.name, members, DEADLINE);
    asked.await.map_err(|error| {
        let next = "see that the server runs and can be reached from here";
        Failure::unchanged(error.to_string(), next)
    })?;
    let mut index = submit(desk, change).await.map_err(|failure| Failure {
        message: format!(
            "the server knows this cluster now, and the cluster does not know the server: {}",
            failure.message
        ),
        next: format!(
            "{}; the token is used: make a new one (stead quorum-server enrol) and enrol once more",
            failure.next
        ),
        ..failure
    })?;
    let chain = config.later.quorum.chain.clone();
    let next = if chain.register().is_some() {
        "see that every node reaches it: stead quorum".to_owned()
    } else {
        let mut wanted = config;
        wanted.later.quorum.chain =
            Chain::new(vec![Module::Majority, Module::QuorumServer]).unwrap_or_default();
        let base = view.state.revision;
        let configured = submit(desk, Change::Configure { base, config: wanted }).await;
        index = configured.map_err(|failure| Failure {
            message: format!("enrolled, and the chain does not ask it yet: {}", failure.message),
            changed: Changed::Unknown,
            next: "write  [quorum]  chain = [\"majority\", \"quorum-server\"]  into cluster.toml, \
                   then: stead apply"
                .to_owned(),
            ..failure
        })?;
        "the chain asks it from now on. Keep that in cluster.toml:  [quorum]  chain = \
         [\"majority\", \"quorum-server\"]  . See that every node reaches it: stead quorum"
            .to_owned()
    };
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: Some(next) })
}

/// Has every member forget the server. A tie stops both halves from then on.
pub(super) async fn unenrol(desk: &Desk) -> Answered<ChangeAnswer> {
    let view = desk.handle.view();
    if view.state.later.server.is_none() {
        return Ok(ChangeAnswer { index: None, node: None, next: None });
    }
    let index = submit(desk, Change::Enrol { server: None }).await?;
    let next = "a tie stops both halves from now on. On the server: stead quorum-server revoke, \
                then forget; and take it out of `chain` in cluster.toml";
    Ok(ChangeAnswer { index: Some(index.0), node: None, next: Some(next.to_owned()) })
}
