//! What keeps clients from a prefix, or would if this node fell silent.

use std::time::Duration;

use thiserror::Error;

use super::{Bfd, Neighbour, Prefix, Session, Watched};

/// One thing that is wrong, as a sentence with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// The daemon does not know what it may announce.
    #[error(
        "{version} does not have what stead configured, so it announces nothing for the cluster; \
         see that its own configuration takes stead's in (`stead redirect routing-config`)"
    )]
    NotConfigured {
        /// The daemon.
        version: String,
    },
    /// Nobody hears it.
    #[error(
        "{version} has no BGP neighbour, so nobody learns where addresses are; add the routers \
         next to this node to its configuration"
    )]
    NoNeighbour {
        /// The daemon.
        version: String,
    },
    /// The neighbour ended the session on purpose.
    #[error("{neighbour} closed the session: {words}; ask whoever runs it")]
    Closed {
        /// Who.
        neighbour: String,
        /// The notification, in the daemon's words.
        words: String,
    },
    /// The session is turned off here.
    #[error("the session with {neighbour} is turned off in this node's own routing daemon")]
    Off {
        /// Who.
        neighbour: String,
    },
    /// There is no session, for another reason.
    #[error(
        "there is no session with {neighbour} (state {session}{}); see whether it is reached and \
         expects this node",
        .words.as_ref().map(|words| format!(", last error: {words}")).unwrap_or_default()
    )]
    NoSession {
        /// Who.
        neighbour: String,
        /// How far it is.
        session: Session,
        /// The last error, in the daemon's words.
        words: Option<String>,
    },
    /// Silence is noticed late.
    #[error(
        "the session with {neighbour} is up without BFD: if this node falls silent, that is \
         noticed {}; turn BFD on at both ends{}",
        after(.hold),
        .retained.as_ref().map(kept).unwrap_or_default()
    )]
    WithoutBfd {
        /// Who.
        neighbour: String,
        /// Its hold time.
        hold: Option<Duration>,
        /// For how long it goes on with our routes then.
        retained: Option<Duration>,
    },
    /// BFD is configured and does not work.
    #[error(
        "BFD with {neighbour} is down while the session is up: turn it on there, or let UDP port \
         3784 through"
    )]
    BfdDown {
        /// Who.
        neighbour: String,
    },
    /// The kernel's word did not reach the daemon.
    #[error(
        "{prefix} is on this node, but {version} has not learnt it; see whether the interface is \
         up and the daemon imports from it"
    )]
    NotLearnt {
        /// What.
        prefix: Prefix,
        /// The daemon.
        version: String,
    },
    /// The operator's filter does not let it out.
    #[error(
        "{prefix} is learnt but not announced to {neighbour}: the export filter of that session \
         does not let it out, or the session does not carry its family"
    )]
    NotExported {
        /// What.
        prefix: Prefix,
        /// To whom.
        neighbour: String,
    },
    /// It is announced from a node that does not hold it.
    #[error(
        "{prefix} is announced from this node, which does not hold it; see who put it on an \
         interface here"
    )]
    NotHeld {
        /// What.
        prefix: Prefix,
    },
}

impl Trouble {
    pub(super) fn all(watched: &Watched, held: &[Prefix]) -> Vec<Self> {
        let version = || watched.version.clone();
        let mut found = Vec::new();
        if watched.neighbours.is_empty() {
            found.push(Self::NoNeighbour { version: version() });
        }
        found.extend(watched.neighbours.iter().filter_map(of_session));
        if !watched.configured {
            found.push(Self::NotConfigured { version: version() });
            return found;
        }
        for &prefix in held {
            if watched.learnt.contains(&prefix) {
                found.extend(unexported(watched, prefix));
            } else {
                found.push(Self::NotLearnt { prefix, version: version() });
            }
        }
        let strange =
            watched.exported.iter().filter(|(prefix, to)| !to.is_empty() && !held.contains(prefix));
        found.extend(strange.map(|(&prefix, _)| Self::NotHeld { prefix }));
        found
    }
}

fn of_session(neighbour: &Neighbour) -> Option<Trouble> {
    let words = neighbour.last_error.clone();
    let who = label(neighbour);
    match &neighbour.session {
        Session::Established => match neighbour.bfd {
            Bfd::Up { .. } => None,
            Bfd::Down => Some(Trouble::BfdDown { neighbour: who }),
            Bfd::Off => Some(Trouble::WithoutBfd {
                neighbour: who,
                hold: neighbour.hold,
                retained: neighbour.retained,
            }),
        },
        Session::Off => Some(Trouble::Off { neighbour: who }),
        Session::Idle
        | Session::Connect
        | Session::Active
        | Session::OpenSent
        | Session::OpenConfirm
        | Session::Closing
        | Session::Other(_) => Some(match words {
            Some(words) if neighbour.was_told() => {
                let words = words.trim_start_matches("Received: ").to_owned();
                Trouble::Closed { neighbour: who, words }
            }
            words => {
                let session = neighbour.session.clone();
                Trouble::NoSession { neighbour: who, session, words }
            }
        }),
    }
}

/// Sessions that are not up have a sentence already.
fn unexported(watched: &Watched, prefix: Prefix) -> Vec<Trouble> {
    let to = watched.exported.get(&prefix);
    let up = watched.neighbours.iter().filter(|it| it.session == Session::Established);
    let without = up.filter(|it| !to.is_some_and(|to| to.contains(&it.name)));
    without.map(|it| Trouble::NotExported { prefix, neighbour: label(it) }).collect()
}

fn label(neighbour: &Neighbour) -> String {
    if neighbour.name == neighbour.address {
        format!("neighbour {}", neighbour.name)
    } else {
        format!("neighbour {} ({})", neighbour.name, neighbour.address)
    }
}

fn kept(span: &Duration) -> String {
    format!(
        ", and graceful restart off: with it the neighbour may go on with this node's routes for \
         {} s after that",
        span.as_secs()
    )
}

fn after(hold: &Option<Duration>) -> String {
    match hold {
        Some(hold) => format!("only after the hold time of {} s", hold.as_secs()),
        None => "never".to_owned(),
    }
}
