//! What goes over a connection: questions of nodes, and the server's answers.
//!
//! Each is a frame (four bytes of length, one of version, postcard) of at most
//! [`super::limits::FRAME_BYTES`]. The one who connected asks; the other answers in the same order,
//! each time with the number of what was asked.

use serde::{Deserialize, Serialize};
use stead_core::id::{ClusterId, Index};
use stead_core::quorum::ask::{Answer, Question};
use stead_log::codec::{DecodeError, decode_as, encode_as};
use stead_log::transport::KeyHash;

use super::limits::{MEMBERS, NAME_BYTES, VOTERS};
use crate::api::token::SECRET;

/// The version of these forms: the first byte of each.
pub const VERSION: u8 = 1;

/// The number of a question. Its answer repeats it, so that none is taken for another's.
pub type Nonce = u64;

/// The keys of a cluster's members, and since when they are that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The position in the cluster's log at which these are the members. A list from before the
    /// one that is known is not taken: it may have been on its way for long.
    pub at: Index,
    /// Their keys.
    pub keys: Vec<KeyHash>,
}

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer {
    /// To be enrolled, with a token that the server gave out.
    Enrol(Enrol),
    /// What a half or a coordinator has to ask or to say.
    Request(Request),
    /// Where the register stands; it also keeps the connection.
    KeepAlive {
        /// The number of this question.
        nonce: Nonce,
        /// Whose register.
        cluster: ClusterId,
    },
}

/// A wish to be enrolled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// The number of this question.
    pub nonce: Nonce,
    /// The token's secret.
    pub secret: [u8; SECRET],
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name, for people. Two clusters may have the same.
    pub name: String,
    /// Its members. The one that asks is among them.
    pub members: Members,
}

impl std::fmt::Debug for Enrol {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cluster, name, members, .. } = self;
        f.debug_struct("Enrol")
            .field("cluster", cluster)
            .field("name", name)
            .field("members", members)
            .finish_non_exhaustive()
    }
}

/// A question to a cluster's register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The number of this question.
    pub nonce: Nonce,
    /// Whose register.
    pub cluster: ClusterId,
    /// Who the members are now: only a coordinator with quorum says that, with
    /// [`Question::Hear`] or [`Question::Trust`].
    pub members: Option<Members>,
    /// The question.
    pub question: Question,
}

/// The answer to each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The number of what was asked; zero if that could not be read.
    pub nonce: Nonce,
    /// Where the register stands and what it grants, or why nothing is answered.
    pub answer: Result<Answer, Refused>,
}

/// Why the server does not answer. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// Another version of this protocol.
    #[error("the server speaks version {0} of the quorum protocol: upgrade the older side")]
    Version(u8),
    /// A frame that is no question.
    #[error("the server can't read what this node sent: are both of the same version?")]
    Unreadable,
    /// A question that can't be asked.
    #[error("that can't be asked: {0}")]
    Unfit(Unfit),
    /// The cluster is not known there.
    #[error(
        "the server does not know this cluster: it was never enrolled there, or was forgotten; on \
         the server: `stead quorum-server enrol`"
    )]
    NotEnrolled,
    /// The key is none of a member's.
    #[error(
        "the server does not know this node's key as a member's of the cluster: the coordinator \
         tells it who the members are, or enrol the cluster again"
    )]
    NotAMember,
    /// The operator of the server revoked the cluster.
    #[error(
        "this cluster was revoked at the server: its operator may `stead quorum-server forget` it, \
         then it can be enrolled again"
    )]
    Revoked,
    /// The connection was used for another cluster before.
    #[error("this connection belongs to another cluster")]
    OtherCluster,
    /// Too many questions.
    #[error("too many questions from this node or its address: ask again in a second")]
    TooFast,
    /// The token is none of this server's.
    #[error("the token is none of this server's; on the server: `stead quorum-server enrol`")]
    TokenUnknown,
    /// The token was used.
    #[error("the token was used before; make a new one: `stead quorum-server enrol`")]
    TokenUsed,
    /// The token's time is over.
    #[error("the token has expired; make a new one: `stead quorum-server enrol`")]
    TokenExpired,
    /// The operator took the token back.
    #[error("the token was revoked; make a new one: `stead quorum-server enrol`")]
    TokenRevoked,
    /// There are too many clusters.
    #[error("the server is full; its operator may forget clusters that are gone")]
    Full,
}

/// Why a question can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Unfit {
    /// More members than a cluster can have.
    #[error("more than {MEMBERS} member keys")]
    Members,
    /// More voters than a cluster can have.
    #[error("more than {VOTERS} voters")]
    Voters,
    /// The sender is not among the members that it names.
    #[error("the list of members lacks the key of the node that sends it")]
    WithoutSender,
    /// Members come with the word of a coordinator only.
    #[error("a half does not say who the members are")]
    MembersOfAHalf,
    /// The name is empty, too long, or can't be shown.
    #[error("the cluster's name is empty, longer than {NAME_BYTES} bytes, or can't be shown")]
    Name,
}

impl ToServer {
    /// Its number.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        match self {
            Self::Enrol(Enrol { nonce, .. })
            | Self::Request(Request { nonce, .. })
            | Self::KeepAlive { nonce, .. } => *nonce,
        }
    }

    /// What goes into a frame.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        encode_as(VERSION, self)
    }

    /// Reads a frame and looks whether it keeps the bounds.
    ///
    /// # Errors
    /// Why it is refused, for the answer.
    pub fn read(bytes: &[u8]) -> Result<Self, (Nonce, Refused)> {
        let asked: Self = decode_as(VERSION, bytes).map_err(|error| match error {
            DecodeError::Version { .. } => (0, Refused::Version(VERSION)),
            DecodeError::Empty
            | DecodeError::Malformed(_)
            | DecodeError::Trailing(_)
            | DecodeError::Contradiction(_) => (0, Refused::Unreadable),
        })?;
        match asked.fits() {
            Ok(()) => Ok(asked),
            Err(unfit) => Err((asked.nonce(), Refused::Unfit(unfit))),
        }
    }

    fn fits(&self) -> Result<(), Unfit> {
        match self {
            Self::KeepAlive { .. } => Ok(()),
            Self::Enrol(Enrol { name, members, .. }) => {
                let shown = !name.trim().is_empty() && !name.chars().any(char::is_control);
                if !shown || name.len() > NAME_BYTES {
                    return Err(Unfit::Name);
                }
                members.fit()
            }
            Self::Request(Request { members, question, .. }) => {
                members.as_ref().map_or(Ok(()), Members::fit)?;
                match question {
                    Question::Ask { half, .. } if half.voters.len() > VOTERS => Err(Unfit::Voters),
                    Question::Ask { half, .. } if half.present.len() > VOTERS => Err(Unfit::Voters),
                    Question::Ask { .. } if members.is_some() => Err(Unfit::MembersOfAHalf),
                    Question::Ask { .. }
                    | Question::Hear { .. }
                    | Question::Trust { .. }
                    | Question::Take { .. } => Ok(()),
                }
            }
        }
    }
}

impl Reply {
    /// What goes into a frame.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        encode_as(VERSION, self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// It is no answer of this version.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_as(VERSION, bytes)
    }
}

impl Members {
    fn fit(&self) -> Result<(), Unfit> {
        if self.keys.len() > MEMBERS { Err(Unfit::Members) } else { Ok(()) }
    }
}
