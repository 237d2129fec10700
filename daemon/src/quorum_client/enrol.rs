//! Making a quorum server known to a cluster, with a token.

use std::time::Duration;

use stead_core::id::ClusterId;
use stead_core::quorum::ask::Standing;
use stead_core::state::QuorumServer;
use stead_log::transport::{Identity, Tls};

use super::connect::{Connection, connect, tls};
use super::{KeyUnusable, NotConnected};
use crate::quorum_server::token::EnrolToken;
use crate::quorum_server::wire::{Enrol, Members, Refused, Reply, ToServer};

/// The cluster was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// This node's key can't be used.
    #[error(transparent)]
    Key(#[from] KeyUnusable),
    /// The server can't be talked to.
    #[error("can't enrol: {0}. Nothing was changed; the token can be used again")]
    NotConnected(NotConnected),
    /// The server refused.
    #[error("not enrolled: {0}. Nothing was changed")]
    Refused(Refused),
    /// The answer was lost.
    #[error(
        "the answer was lost ({0}): the cluster may be enrolled. On the server: `stead \
         quorum-server list`; then make a new token, and enrol it once more"
    )]
    Unknown(NotConnected),
    /// It took too long.
    #[error(
        "no answer within {} ms: the cluster may be enrolled. On the server: `stead quorum-server \
         list`; then make a new token, and enrol it once more",
        .0.as_millis()
    )]
    Deadline(Duration),
}

/// Enrols a cluster: shows the token to the server that gave it out, which must hold the key that
/// the token names. Whoever calls keeps the record, and tells the register where the cluster's
/// state stands: it grants nothing before. Returns by `deadline`.
///
/// # Errors
/// See [`EnrolError`].
pub async fn enrol(
    token: &EnrolToken,
    identity: &Identity,
    cluster: ClusterId,
    name: &str,
    members: Members,
    deadline: Duration,
) -> Result<(QuorumServer, Standing), EnrolError> {
    let tls = tls(identity)?;
    let server = QuorumServer { addresses: token.addresses.clone(), key: token.token.key };
    let secret = token.token.secret;
    let wish = Enrol { nonce: 1, secret, cluster, name: name.to_owned(), members };
    let asked = ask(&tls, &server, wish);
    let standing = match tokio::time::timeout(deadline, asked).await {
        Ok(answered) => answered?,
        Err(_elapsed) => return Err(EnrolError::Deadline(deadline)),
    };
    Ok((server, standing))
}

async fn ask(tls: &Tls, server: &QuorumServer, wish: Enrol) -> Result<Standing, EnrolError> {
    let cluster = wish.cluster;
    let (first, connection) = connect(tls, server, 0).await.map_err(EnrolError::NotConnected)?;
    match once(connection, &ToServer::Enrol(wish)).await {
        Ok(answer) => answer.map_err(EnrolError::Refused),
        Err(lost) => {
            // Whether it was enrolled shows in whether it is answered.
            let again = connect(tls, server, first).await;
            let (_, connection) = again.map_err(EnrolError::Unknown)?;
            match once(connection, &ToServer::KeepAlive { nonce: 2, cluster }).await {
                Ok(Ok(standing)) => Ok(standing),
                Ok(Err(_)) | Err(_) => Err(EnrolError::Unknown(lost)),
            }
        }
    }
}

/// Asks one thing over a connection of its own.
pub(super) async fn once(
    mut connection: Connection,
    asked: &ToServer,
) -> Result<Result<Standing, Refused>, NotConnected> {
    connection.send(asked).await?;
    let Reply { nonce, answer } = connection.next().await?;
    if nonce != asked.nonce() && answer.is_ok() {
        let detail = "an answer to what was not asked".to_owned();
        return Err(NotConnected::NoServer { address: connection.address, detail });
    }
    Ok(answer.map(|answer| answer.standing))
}
