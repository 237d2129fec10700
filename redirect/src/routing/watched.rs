//! What a routing daemon was seen to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::{Prefix, Trouble};

/// A routing daemon, as it was when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Its name and version, in its own words.
    pub version: String,
    /// Whether it has what stead configured. If not, nothing below is known of prefixes.
    pub configured: bool,
    /// Its BGP neighbours, at most [`super::MOST_NEIGHBOURS`].
    pub neighbours: Vec<Neighbour>,
    /// Of the prefixes asked for, those that it has learnt from this node.
    pub learnt: BTreeSet<Prefix>,
    /// To whom each of these prefixes goes, by [`Neighbour::name`].
    pub exported: BTreeMap<Prefix, Vec<String>>,
}

/// A BGP neighbour (RFC 4271).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// What the daemon calls it.
    pub name: String,
    /// Its address, or the interface at which it is.
    pub address: String,
    /// How the session is.
    pub session: Session,
    /// Since when, in the daemon's words; may be empty.
    pub since: String,
    /// Why the session ended last, in the daemon's words.
    pub last_error: Option<String>,
    /// When silence ends the session without BFD; `None` if never, or if not agreed yet.
    pub hold: Option<Duration>,
    /// For how long the neighbour goes on with our routes after that (long-lived graceful restart,
    /// RFC 9494); `None` if it does not.
    pub retained: Option<Duration>,
    /// What else watches for silence.
    pub bfd: Bfd,
}

/// The state of a BGP session (RFC 4271, 8.2.2), and two more that daemons have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// Turned off on this side.
    Off,
    /// Refuses connections for now.
    Idle,
    /// Is connecting.
    Connect,
    /// Waits for a connection.
    Active,
    /// Waits for the neighbour's first message.
    OpenSent,
    /// Waits for the neighbour's word that all is well.
    OpenConfirm,
    /// Routes go over it.
    Established,
    /// Is being torn down.
    Closing,
    /// A state that we don't know, in the daemon's word.
    Other(String),
}

/// Whether BFD (RFC 5880) watches a neighbour, and is watched by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bfd {
    /// It doesn't.
    Off,
    /// It should, and hears nothing.
    Down,
    /// It does.
    Up {
        /// The time between our packets.
        interval: Duration,
        /// After so long without one the other is taken for gone.
        detection: Duration,
    },
}

impl Watched {
    /// Whatever keeps clients from the prefixes that this node holds now, or soon would.
    #[must_use]
    pub fn troubles(&self, held: &[Prefix]) -> Vec<Trouble> {
        Trouble::all(self, held)
    }

    /// With what was known before of sessions that are still down: a neighbour's goodbye is a
    /// better reason than the refused connections that follow it.
    #[must_use]
    pub fn after(mut self, before: &Watched) -> Self {
        for neighbour in &mut self.neighbours {
            let former = before.neighbours.iter().find(|it| it.name == neighbour.name);
            let Some(former) = former.filter(|it| it.was_told()) else { continue };
            let down = neighbour.session != Session::Established;
            if down && former.session != Session::Established && !neighbour.was_told() {
                neighbour.last_error.clone_from(&former.last_error);
            }
        }
        self
    }
}

impl Neighbour {
    /// The last error is the neighbour's own word (a NOTIFICATION, RFC 4271, 4.5).
    #[must_use]
    pub fn was_told(&self) -> bool {
        self.last_error.as_ref().is_some_and(|error| error.starts_with("Received: "))
    }
}

impl Session {
    /// Reads the word of either daemon.
    pub(super) fn read(word: &str) -> Self {
        match word {
            "Down" | "Idle (Admin)" => Self::Off,
            "Idle" => Self::Idle,
            "Connect" => Self::Connect,
            "Active" | "Passive" => Self::Active,
            "OpenSent" => Self::OpenSent,
            "OpenConfirm" => Self::OpenConfirm,
            "Established" => Self::Established,
            "Close" | "Clearing" | "Deleted" => Self::Closing,
            other => Self::Other(other.chars().take(40).collect()),
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
            Self::Closing => "closing",
            Self::Other(word) => word,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(session: Session, error: Option<&str>) -> Watched {
        let neighbour = Neighbour {
            name: "up".to_owned(),
            address: "10.1.0.1".to_owned(),
            session,
            since: String::new(),
            last_error: error.map(str::to_owned),
            hold: None,
            retained: None,
            bfd: Bfd::Off,
        };
        Watched { neighbours: vec![neighbour], ..Watched::default() }
    }

    #[test]
    fn a_goodbye_is_remembered_as_long_as_the_session_is_down() {
        let goodbye = seen(Session::Active, Some("Received: Administrative shutdown"));
        let refused = seen(Session::Connect, Some("Socket: Connection refused"));
        let told = refused.clone().after(&goodbye);
        assert!(told.neighbours[0].was_told());
        let up = seen(Session::Established, None).after(&told);
        assert_eq!(up.neighbours[0].last_error, None);
        assert!(!refused.after(&up).neighbours[0].was_told(), "it was another time");
    }

    #[test]
    fn each_trouble_has_a_sentence_and_says_who() {
        let closed = seen(Session::Active, Some("Received: Administrative shutdown"));
        let troubles = closed.troubles(&[]);
        let text: Vec<_> = troubles.iter().map(ToString::to_string).collect();
        let who = "neighbour up (10.1.0.1) closed the session: Administrative shutdown";
        assert!(text[0].starts_with(who), "{text:?}");
        assert!(matches!(troubles[1], Trouble::NotConfigured { .. }), "{text:?}");
        assert!(matches!(Watched::default().troubles(&[])[0], Trouble::NoNeighbour { .. }));
    }
}
