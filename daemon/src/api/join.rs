//! The door for new members: the words of both sides.
//!
//! The one that joins shows the secret of its token over a connection on which it has proven its
//! own key and checked the other's. It is told who it is, the cluster's secret, and whom to trust
//! until it has the log. If the answer is lost it may ask again with the same key: who is a member
//! already is told the same once more.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::{ClusterId, NodeId};
use stead_core::state::{Change, Outcome, Refusal, State};
use stead_log::Boxed;
use stead_log::transport::{Join, KeyHash};

pub use super::requests::addresses_of;
use super::requests::applied;
use super::token::{SECRET, digest_of};
use crate::driver::handle::{Handle, SubmitError};
use crate::identity::{Identity, KnownMember, SECRET_LENGTH};

/// The version of this form: the first byte of both messages.
pub const VERSION: u8 = 1;
/// How long the change may take; the one that joins waits a little longer.
const DEADLINE: Duration = Duration::from_secs(15);

/// What a new node says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The token's secret.
    pub secret: [u8; SECRET],
}

/// What it is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who it is now.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// What heartbeats are sealed with.
    pub secret: [u8; SECRET_LENGTH],
    /// The members, itself included.
    pub members: Vec<KnownMember>,
}

impl Welcome {
    /// What the new node writes to its disk.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            cluster: self.cluster,
            node: self.node,
            name: self.name.clone(),
            members: self.members.clone(),
        }
    }
}

/// The answer to a request: welcome, or the reason why not, for the operator.
pub type JoinAnswer = Result<Welcome, String>;

/// A message of the other side can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum JoinFormError {
    /// It is of another version.
    #[error("it speaks version {0} of the form for joining, this one {VERSION}: upgrade the older")]
    Version(u8),
    /// It is damaged or empty.
    #[error("its message can't be read")]
    Damaged,
}

/// Encodes either message.
///
/// # Errors
/// It can't be encoded, which only a bug explains.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, JoinFormError> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_allocvec(message).map_err(|_| JoinFormError::Damaged)?);
    Ok(bytes)
}

/// Decodes either message.
///
/// # Errors
/// See [`JoinFormError`].
pub fn decode<M: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<M, JoinFormError> {
    match bytes.split_first() {
        None => Err(JoinFormError::Damaged),
        Some((&VERSION, message)) => {
            postcard::from_bytes(message).map_err(|_| JoinFormError::Damaged)
        }
        Some((version, _)) => Err(JoinFormError::Version(*version)),
    }
}

/// Lets new members in. Closed until it is given the driver's handle.
pub struct Desk {
    secret: [u8; SECRET_LENGTH],
    handle: OnceLock<Handle>,
}

impl Desk {
    /// A closed one, with the cluster's heartbeat secret.
    #[must_use]
    pub fn new(secret: [u8; SECRET_LENGTH]) -> Self {
        Self { secret, handle: OnceLock::new() }
    }

    /// Opens it. Later calls change nothing.
    pub fn open(&self, handle: Handle) {
        // An error means that it is open already.
        let _open = self.handle.set(handle);
    }

    async fn decide(&self, from: SocketAddr, key: KeyHash, request: &[u8]) -> JoinAnswer {
        let Some(handle) = self.handle.get().cloned() else {
            return Err("that node is still starting: try again in a few seconds".to_owned());
        };
        let request: JoinRequest = decode(request).map_err(|error| error.to_string())?;
        // One that was let in and lost the answer asks again; its key is its proof.
        if let Some(node) = of_key(&handle.view().state, key) {
            return self.welcome(&handle, node);
        }
        let change = Change::Join { token: digest_of(&request.secret), key: key.0 };
        let node = match handle.submit(change, DEADLINE).await {
            Ok((index, Outcome::Joined(node))) => {
                applied(handle.clone(), index).await;
                node
            }
            Ok((_, Outcome::Refused(refusal))) => {
                tracing::warn!(%from, %refusal, "a node was not let in");
                return Err(reason(&refusal));
            }
            Ok((_, Outcome::Done)) => return Err("that node did not understand it".to_owned()),
            Err(SubmitError::Unknown(detail)) => {
                return Err(format!(
                    "{detail}: it may be a member now; run the same command again"
                ));
            }
            Err(error) => return Err(error.to_string()),
        };
        tracing::info!(%from, %node, "a node joined");
        self.welcome(&handle, node)
    }

    fn welcome(&self, handle: &Handle, node: NodeId) -> JoinAnswer {
        let view = handle.view();
        let state = &view.state;
        let (Some(member), Some(config)) = (state.members.get(&node), &state.config) else {
            return Err("that node is behind: run the same command again".to_owned());
        };
        let known = |(node, member): (&NodeId, &stead_core::state::Member)| KnownMember {
            node: *node,
            key: member.key,
            addresses: addresses_of(config, &member.name),
        };
        Ok(Welcome {
            cluster: view.identity.cluster,
            node,
            name: member.name.clone(),
            secret: self.secret,
            members: state.members.iter().map(known).collect(),
        })
    }
}

fn of_key(state: &State, key: KeyHash) -> Option<NodeId> {
    state.members.iter().find(|(_, member)| member.key == key.0).map(|(node, _)| *node)
}

/// A refusal as the one that joins should read it. What only members should know is not in it.
fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::BadToken => {
            "the token is unknown or was used; on a member: `stead token NODE`".to_owned()
        }
        Refusal::NotAwaited(name) => format!(
            "{name} is not in the configuration any more, or has joined already; on a member: \
             `stead status`"
        ),
        Refusal::AlreadyFounded
        | Refusal::NotFounded
        | Refusal::Stale
        | Refusal::NoSuchNode
        | Refusal::NoSuchService
        | Refusal::NotEligible(_)
        | Refusal::AlreadyThere
        | Refusal::LastMember
        | Refusal::MemberMissing(_)
        | Refusal::StillServes(_)
        | Refusal::Disarmed
        | Refusal::Armed
        | Refusal::SpanUnusable(_)
        | Refusal::LastVoter
        | Refusal::Fenced(_)
        | Refusal::StillHere
        | Refusal::NothingWaits
        | Refusal::InMaintenance(_)
        | Refusal::NoSuchResource(_)
        | Refusal::NoCopy(_)
        | Refusal::AttributeTooLong
        | Refusal::TooManyAttributes
        | Refusal::Claimed(..)
        | Refusal::NotReserved
        | Refusal::TextTooLong
        | Refusal::TooManyReservations
        | Refusal::BeingCycled(_)
        | Refusal::Unsettled => refusal.to_string(),
    }
}

impl Join for Desk {
    fn join(&self, from: SocketAddr, key: KeyHash, request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        // The future may not borrow this: what it needs is copied.
        let desk = Self { secret: self.secret, handle: self.handle.clone() };
        Box::pin(async move {
            let answer = desk.decide(from, key, &request).await;
            encode(&answer).unwrap_or_else(|error| {
                // Only a bug explains it. No bytes are no answer in any version: the other side
                // can't say whether it is in, tells so, and may ask again with the same key.
                tracing::error!(%from, %error, "the answer to one that joins can't be told");
                Vec::new()
            })
        })
    }
}
