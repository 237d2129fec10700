//! Which node of which cluster this machine is, as its disk says.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stead_core::id::{ClusterId, NodeId};
use stead_linux::durable::{Counter, write_atomically};

use crate::paths::Paths;

/// The length of the heartbeat secret in bytes.
pub const SECRET_LENGTH: usize = 32;

/// What a node knows of itself without any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The node's name.
    pub name: String,
    /// The members as they were when this node joined: whom to trust until the log is there.
    pub members: Vec<KnownMember>,
}

/// A member to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownMember {
    /// Its number.
    pub node: NodeId,
    /// Its public key's digest.
    pub key: [u8; 32],
    /// Where its daemon listens.
    pub addresses: Vec<std::net::SocketAddr>,
}

/// The identity can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// This machine is in no cluster.
    #[error(
        "this machine is in no cluster yet ({0} is missing): begin one with `stead init`, or join \
         one with `stead join`"
    )]
    Missing(PathBuf),
    /// This machine is in a cluster already.
    #[error("this machine is in a cluster already ({0} exists); nothing was changed")]
    Present(PathBuf),
    /// A file can't be read.
    #[error("can't read {path}; nothing was changed")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was damaged.
    #[error("{path} is damaged: {detail}; restore it, or let this node leave and join again")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        detail: String,
    },
}

impl Identity {
    /// Reads it.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load(paths: &Paths) -> Result<Self, IdentityError> {
        let path = paths.identity();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IdentityError::Missing(path));
            }
            Err(source) => return Err(IdentityError::Read { path, source }),
        };
        serde_json::from_str(&text)
            .map_err(|error| IdentityError::Damaged { path, detail: error.to_string() })
    }

    /// Writes it, after the heartbeat secret and the counter of the guard's starts: the last step
    /// of joining. The folder must be there.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn store(&self, paths: &Paths, secret: &[u8; SECRET_LENGTH]) -> Result<(), IdentityError> {
        let write = |path: PathBuf, bytes: &[u8]| {
            write_atomically(&path, bytes, 0o600)
                .map_err(|error| IdentityError::Write { path, source: io::Error::other(error) })
        };
        write(paths.heartbeat_secret(), secret)?;
        let path = paths.incarnation();
        if !path.exists() {
            Counter::create(&path)
                .map_err(|error| IdentityError::Write { path, source: io::Error::other(error) })?;
        }
        let text = serde_json::to_vec_pretty(self).map_err(|error| IdentityError::Damaged {
            path: paths.identity(),
            detail: error.to_string(),
        })?;
        write(paths.identity(), &text)
    }
}

/// Reads the heartbeat secret.
///
/// # Errors
/// See [`IdentityError`].
pub fn heartbeat_secret(paths: &Paths) -> Result<[u8; SECRET_LENGTH], IdentityError> {
    let path = paths.heartbeat_secret();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(IdentityError::Read { path, source }),
    };
    let length = bytes.len();
    bytes.try_into().map_err(|_| IdentityError::Damaged {
        path,
        detail: format!("{length} bytes instead of {SECRET_LENGTH}"),
    })
}
