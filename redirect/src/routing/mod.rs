//! Routing daemons: told what they may announce, and watched while they do.
//!
//! # What it is for
//! An address of layer "route" may live in any subnet: the node that holds it has its routing
//! daemon announce it to the routers next to it. The guard puts the address on an interface of its
//! own; BIRD 2 or FRR 8 is the operator's, has the operator's neighbours, and learns the address
//! from the kernel. Here it is told which prefixes it may announce ([`Daemon::configure`]), and
//! asked what became of them ([`Daemon::watch`]). A takeover needs no word to the daemon at all.
//!
//! # Happy path
//! ```text
//! guard: address on "stead0" ─▶ kernel ─▶ BIRD / FRR ─▶ neighbours ─▶ routers behind them
//!                                 configure: only these prefixes, only from there
//!                                 watch: learnt? announced to whom? who would notice our silence?
//! another node: observe(address) ─▶ has it a route there, does the address answer?
//! ```
//! The address itself is what is announced ([`Source::Interface`]), and no route beside it: an
//! address has a lifetime that the kernel keeps, and when it ends both daemons withdraw the prefix
//! by themselves, in both families. A route can't do that: an IPv4 route goes away with its
//! preferred source, of which older kernels tell nobody; an IPv6 route only loses its source and
//! stays, and one that `expires` is cleared away half a minute later or more. A prefix wider than
//! one address is announced by an address with that length.
//!
//! # Failures
//! A daemon that is not there, does not permit, or answers too late is a [`WatchError`] with the
//! reason. What is wrong inside of one that answers is a [`Trouble`], each with a sentence of its
//! own. A configuration that BIRD refuses is taken back, and BIRD's words are in the error.
//!
//! # Deliberately absent
//! A routing protocol of our own. Neighbours, passwords and timers: they are agreed with whoever
//! runs the routers. Sessions other than BGP's are not watched. Saving FRR's configuration: what is
//! ours is put there again whenever the daemon is told.

mod announce;
mod bird;
mod frr;
#[cfg(test)]
mod fuzz;
mod observe;
mod outage;
mod prefix;
mod trouble;
mod watched;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use announce::{Announce, AnnounceError, Source};
pub use bird::{ConfigureError as BirdConfigureError, ControlError};
pub use frr::{ConfigureError as FrrConfigureError, Vtysh, VtyshError};
pub use observe::{Hop, ObserveError, Observed, Unreached, observe};
pub use outage::{Part, expected_outage, sum};
pub use prefix::{Prefix, PrefixError};
pub use trouble::Trouble;
pub use watched::{Bfd, Neighbour, Session, Watched};

/// Until a routing daemon has answered one question. They answer within milliseconds; one that
/// carries the whole Internet compiles its filters for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Until all questions of one look are answered.
const WATCH_WITHIN: Duration = Duration::from_secs(30);
/// The longest answer to one question, in bytes. `show protocols all` has about 2 KiB for each
/// protocol.
const LONGEST_ANSWER: usize = 4 << 20;
/// As many prefixes are announced at most: each is a question for each neighbour.
pub const MOST_PREFIXES: usize = 256;
/// As many neighbours are looked at.
pub const MOST_NEIGHBOURS: usize = 64;

/// The routing daemon of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// BIRD 2, over its control socket.
    Bird {
        /// The socket; Debian's is `/run/bird/bird.ctl`.
        control: PathBuf,
        /// The file that the operator's `bird.conf` includes, and that is ours.
        include: PathBuf,
    },
    /// FRR 8, by its shell.
    Frr(Vtysh),
}

/// What [`Daemon::configure`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The daemon had all of it; nothing was touched.
    Unchanged,
    /// The daemon has it now.
    Changed,
}

/// The daemon was not told what it may announce.
#[derive(Debug, Error)]
pub enum ConfigureError {
    /// By BIRD.
    #[error(transparent)]
    Bird(#[from] BirdConfigureError),
    /// By FRR.
    #[error(transparent)]
    Frr(#[from] FrrConfigureError),
}

/// The daemon could not be looked at.
#[derive(Debug, Error)]
pub enum WatchError {
    /// BIRD does not answer.
    #[error(transparent)]
    Bird(#[from] ControlError),
    /// FRR does not answer.
    #[error(transparent)]
    Frr(#[from] VtyshError),
    /// It answers, but too slowly.
    #[error(
        "{name} needed more than {} s to say how its sessions are; nothing was changed; look \
         whether the machine is overloaded",
        WATCH_WITHIN.as_secs()
    )]
    Late {
        /// The daemon.
        name: &'static str,
    },
}

impl Daemon {
    /// Has the daemon announce these prefixes when this node has them, and no others of the
    /// cluster's. Safe to repeat; does nothing where nothing is to be done. One caller at a time.
    ///
    /// BIRD reads its whole configuration anew for it, the operator's part included.
    ///
    /// # Errors
    /// See [`ConfigureError`]; each says what the daemon has now.
    pub async fn configure(&self, announce: &Announce) -> Result<Applied, ConfigureError> {
        match self {
            Self::Bird { control, include } => {
                Ok(bird::configure(control, include, announce).await?)
            }
            Self::Frr(vtysh) => Ok(frr::configure(vtysh, announce).await?),
        }
    }

    /// Looks at the sessions, and where these prefixes go. Changes nothing: BIRD is asked over a
    /// session that gave up its right to.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub async fn watch(&self, prefixes: &[Prefix]) -> Result<Watched, WatchError> {
        let name = self.name();
        let looked = async {
            match self {
                Self::Bird { control, .. } => Ok(bird::watch(control, prefixes).await?),
                Self::Frr(vtysh) => Ok(frr::watch(vtysh, prefixes).await?),
            }
        };
        let looked = tokio::time::timeout(WATCH_WITHIN, looked).await;
        looked.unwrap_or(Err(WatchError::Late { name }))
    }

    /// What the operator's own configuration needs beside ours, as a text to read and to copy from.
    #[must_use]
    pub fn explain(&self, announce: &Announce) -> String {
        match self {
            Self::Bird { include, .. } => bird::explain(include, announce),
            Self::Frr(_) => frr::explain(announce),
        }
    }

    /// The daemon's name, for sentences.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bird { .. } => "BIRD",
            Self::Frr(_) => "FRR",
        }
    }
}
