//! What goes wrong.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use stead_core::id::Epoch;
use stead_edge::private::PrivateError;
use thiserror::Error;

use super::{Name, NameError};

/// A name was not written. In all cases but one nothing was changed: see [`DnsError::Untaken`].
#[derive(Debug, Error)]
pub enum DnsError {
    /// The service went on to another node.
    #[error(
        "{name} was not changed: service {service} wrote it under epoch {by} already, and ours is \
         {ours}; whoever holds the service now sees to its name"
    )]
    Superseded {
        /// The name.
        name: Name,
        /// The service of its marker, which is ours.
        service: String,
        /// The epoch of its marker.
        by: Epoch,
        /// Ours.
        ours: Epoch,
    },
    /// It leads to something else.
    #[error(
        "{name} was not changed: it is of service {service} of cluster {cluster}; give this \
         service another name, or remove _stead.{name} from the zone if that service is gone"
    )]
    Foreign {
        /// The name.
        name: Name,
        /// The cluster of its marker.
        cluster: String,
        /// The service of its marker.
        service: String,
    },
    /// A person made it.
    #[error(
        "{name} was not changed: it has records ({kinds}) that stead did not write; adopt it, and \
         they are replaced, or choose another name"
    )]
    Unowned {
        /// The name.
        name: Name,
        /// Of which kinds.
        kinds: String,
    },
    /// There is a marker of nobody.
    #[error(
        "{name} was not changed: at _stead.{name} stands {text:?}, which is no marker that this \
         version knows; see who put it there, and remove it if it was nobody"
    )]
    Unreadable {
        /// The name.
        name: Name,
        /// What stands there.
        text: String,
    },
    /// Another zone's.
    #[error("{name} was not changed: it is not in zone {zone}")]
    NotInZone {
        /// The name.
        name: Name,
        /// The zone that was given.
        zone: Name,
    },
    /// A zone's own name can't be another name for something (RFC 1034 section 3.6.2).
    #[error("{0} was not changed: the name of a zone can't be a CNAME; use addresses or HTTPS")]
    Apex(Name),
    /// No room for a marker.
    #[error("the name was not changed")]
    Name(#[from] NameError),
    /// Nobody took it.
    #[error("{name} was not written: {}", tell(.attempts))]
    Untaken {
        /// The name.
        name: Name,
        /// What each of the zone's servers said, in their order.
        attempts: Vec<Attempt>,
    },
}

impl DnsError {
    /// An update was sent and its answer did not come: it may have been carried out. To be asked
    /// for again; it is the same then.
    #[must_use]
    pub fn may_have_changed(&self) -> bool {
        match self {
            Self::Untaken { attempts, .. } => attempts.iter().any(|it| it.sent),
            Self::Superseded { .. }
            | Self::Foreign { .. }
            | Self::Unowned { .. }
            | Self::Unreadable { .. }
            | Self::NotInZone { .. }
            | Self::Apex(_)
            | Self::Name(_) => false,
        }
    }
}

/// One server did not take an update.
#[derive(Debug)]
pub struct Attempt {
    /// The server.
    pub server: SocketAddr,
    /// Why not.
    pub fault: Fault,
    /// The update was sent, and whether it was carried out is not known.
    pub sent: bool,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.server, self.fault)?;
        // A list has no one source, so that the causes stand here.
        let mut cause = std::error::Error::source(&self.fault);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        if self.sent {
            f.write_str(
                " (the update had been sent and may have been carried out; send it again)",
            )?;
        }
        Ok(())
    }
}

fn tell(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return "its zone has no servers; name them in the configuration".to_owned();
    }
    attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("; ")
}

/// What is wrong with one server, or with how we asked it. Reads on from its address.
#[derive(Debug, Error)]
pub enum Fault {
    /// Nobody is there, or something between us says so.
    #[error("can't be reached; see whether it runs and what filters lie between")]
    Unreachable(#[source] io::Error),
    /// Nothing came.
    #[error("did not answer in time; see whether it runs and what filters lie between")]
    NoAnswer,
    /// BADKEY (RFC 8945 section 5.2.1).
    #[error("does not know the key {key} with {algorithm}; give it the key, or use one of its own")]
    KeyUnknown {
        /// The key's name.
        key: Name,
        /// Its algorithm.
        algorithm: String,
    },
    /// BADSIG (RFC 8945 section 5.2.2).
    #[error("has another secret under the name of our key {key}; compare the two key files")]
    BadSignature {
        /// The key's name.
        key: Name,
    },
    /// BADTIME (RFC 8945 section 5.2.3).
    #[error(
        "does not believe our clock: it has {server} seconds since 1970 and we have {ours}; set \
         the clocks of both by the same source"
    )]
    BadTime {
        /// Its clock; 0 if it did not say so.
        server: u64,
        /// Ours.
        ours: u64,
    },
    /// The answer is somebody else's, or of another time.
    #[error(
        "gave an answer whose signature is wrong or too old: somebody between changes answers, or \
         a clock is wrong"
    )]
    AnswerSignature,
    /// The answer has no signature.
    #[error("gave an answer without a signature; see whether it is the server that has our key")]
    Unsigned,
    /// REFUSED, to an update.
    #[error("refuses it; permit the key to update the zone (allow-update, update-policy, acl)")]
    Refused,
    /// REFUSED, to a question.
    #[error("refuses questions about {zone}; name the servers of that zone, or permit us to ask")]
    RefusesQuestions {
        /// The zone.
        zone: Name,
    },
    /// NOTAUTH, NOTZONE, or an answer without authority.
    #[error("is not authoritative for {zone}; name the servers of that zone")]
    NotAuthoritative {
        /// The zone.
        zone: Name,
    },
    /// NOTIMP.
    #[error("knows no dynamic updates; name a server that does first")]
    NotImplemented,
    /// Another code.
    #[error("answered {rcode}; its own log says why")]
    Failed {
        /// As in the registry of codes, for example `SERVFAIL`.
        rcode: String,
    },
    /// The same state was never seen twice.
    #[error(
        "took none of {tries} updates, since what stood there was never as it had just been read; \
         see whether others write the name, or a wildcard answers for it"
    )]
    Contested {
        /// How many updates were sent.
        tries: u32,
    },
    /// NOERROR, but it is not there.
    #[error(
        "took the update and did not do it all: it says {says}; see in its log whether records of \
         other kinds at the name, or a limit, forbid it"
    )]
    NotKept {
        /// What it says.
        says: String,
    },
    /// Bytes that are no message.
    #[error("sent something that is no DNS message")]
    Garbled,
    /// We could not put it into a message.
    #[error("was not asked: what to ask fits into no message ({0})")]
    Unwritable(String),
}

/// A key could not be read from its file. The secret is in none of these.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file is not read.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// What is in it.
    #[error("{path} is no key as tsig-keygen writes it: {what}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}
