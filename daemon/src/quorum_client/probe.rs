//! One look at a quorum server: whether it is there, the right one, and answers this node.

use std::time::{Duration, Instant};

use stead_core::id::ClusterId;
use stead_core::quorum::ask::Standing;
use stead_core::state::QuorumServer;
use stead_log::transport::Identity;

use super::NotConnected;
use super::connect::{connect, tls};
use super::enrol::once;
use crate::quorum_server::wire::ToServer;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// How long it took until it was known to be the right one: TCP and TLS.
    pub connected: Duration,
    /// How long it took to answer then.
    pub round_trip: Duration,
    /// Where the cluster's register stands.
    pub standing: Standing,
}

/// Connects as a node does, asks where the register stands, and leaves. Returns in seconds.
///
/// # Errors
/// Why there is no answer.
pub async fn look(
    identity: &Identity,
    server: &QuorumServer,
    cluster: ClusterId,
) -> Result<Looked, NotConnected> {
    let tls = tls(identity).map_err(|error| NotConnected::KeyUnusable(error.to_string()))?;
    let began = Instant::now();
    let (_, connection) = connect(&tls, server, 0).await?;
    let (connected, address) = (began.elapsed(), connection.address);
    let began = Instant::now();
    let asked = ToServer::KeepAlive { nonce: 1, cluster };
    let answer = tokio::time::timeout(super::connect::SILENCE, once(connection, &asked)).await;
    let answer = answer.map_err(|_elapsed| NotConnected::TooSlow(address))??;
    let standing = answer.map_err(NotConnected::Refused)?;
    Ok(Looked { connected, round_trip: began.elapsed(), standing })
}
