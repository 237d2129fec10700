//! Leading clients to the new holder: five layers, each a place where one thing is translated into
//! another and a move can be made known.
//!
//! | layer | translates | how a move is made known | when |
//! |---|---|---|---|
//! | [`Layer::Mac`] | MAC to switch port | frames from the MAC, behind its new port | at once |
//! | [`Layer::Arp`] | address to MAC | gratuitous ARP, unsolicited advertisements | at once |
//! | [`Layer::Route`] | address to gateway | a route that the routing daemon announces | at once |
//! | [`Layer::Dns`] | name to address | an update of the zone | once the program runs |
//! | [`Layer::Knowledge`] | what a client wants to name or address | a signed document | last |
//!
//! All layers have the same verbs: *claim*, *announce*, *release*, *verify*. To claim and to
//! release is the guard's part on the lower three: the address, with its MAC or its route, is there
//! while the lease is, and the kernel takes it away without anybody's help. The upper two claim
//! nothing: what they say is said under the epoch of an assignment, and an older one is refused
//! where it is written.
//!
//! [`segment`] says how neighbours are told. [`Steps`] says what is done for one service when, by
//! all layers together: lower ones first, since those that a client keeps for long should only
//! learn of a holder that works. After each announcement an observer, another node, looks whether
//! that layer leads to the holder by now; where it does not, that is told, and announced again.
//!
//! Failures: a layer that fails is tried again, ever more slowly, and holds up no other layer.
//!
//! [`advise`] says before anything moves which layers are possible, and what each costs.
//!
//! Absent on purpose: how any of it is done (`redirect`, `daemon/src/redirect`).

pub mod advise;
pub mod segment;
mod steps;

use core::fmt;

use serde::{Deserialize, Serialize};

pub use segment::{Probing, REFRESH, announcement, is_for_all, nudge};
pub use steps::{News, Seen, StepView, Steps, Told};

/// A place where clients' traffic can be led elsewhere, from the lowest up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Which switch port a MAC is behind.
    Mac,
    /// Which MAC an address has, on its own segment.
    Arp,
    /// Which gateway leads to an address.
    Route,
    /// Which address a name has.
    Dns,
    /// Which name or address a client uses.
    Knowledge,
}

impl Layer {
    /// All of them, from the lowest up.
    pub const ALL: [Self; 5] = [Self::Mac, Self::Arp, Self::Route, Self::Dns, Self::Knowledge];

    /// Its name in the configuration and everywhere else.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::Arp => "arp",
            Self::Route => "route",
            Self::Dns => "dns",
            Self::Knowledge => "knowledge",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is done by a layer, on its node, beyond what the guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Say that the service is here.
    Announce,
    /// Have somebody else look whether clients come here.
    Verify,
}
