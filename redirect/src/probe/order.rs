//! What the roles of a trial are told, and what they answer. Each order has one answer, at once.

use serde::{Deserialize, Serialize};
use stead_core::time::Span;

use super::trial::{Station, Trial};

/// To a node that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Which MAC has the interface? Answered by [`Answer::Mac`].
    Introduce {
        /// Its name.
        interface: String,
    },
    /// Be a holder. It asks at once whether somebody uses the address.
    Hold {
        /// What is tried.
        trial: Trial,
        /// Where.
        interface: String,
        /// 1 or 2.
        number: u8,
        /// The MACs of the interfaces of both holders.
        holders: [Station; 2],
    },
    /// Be an observer: ask the address without end who holds it.
    Observe {
        /// What is tried.
        trial: Trial,
        /// Where.
        interface: String,
        /// The MACs of the interfaces of both holders.
        holders: [Station; 2],
    },
    /// Holder: answer for the address, and announce it.
    Claim(u64),
    /// Holder: say nothing more, as after a crash; go on counting what comes.
    Silence(u64),
    /// Observer: count from now on, and for the second holder.
    Mark(u64),
    /// Observer: ask everybody for the address once, and the holder by its MAC. This may put right
    /// a neighbour table, so that nothing is measured after it.
    Question(u64),
    /// What was seen so far? Answered by [`Answer::Held`] or [`Answer::Seen`].
    Look {
        /// The trial.
        id: u64,
        /// Observer: with the entry of the kernel's neighbour table, which may be long.
        entry: bool,
    },
    /// Be over. It is no error if that was so already.
    End(u64),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Done,
    /// The interface's MAC.
    Mac(Station),
    /// What a holder did and heard.
    Held(Held),
    /// What an observer saw.
    Seen(Box<Seen>),
}

/// What a holder is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It asks whether somebody uses the address.
    Asking,
    /// Nobody does; it waits.
    Ready,
    /// It answers for the address.
    Claimed,
    /// It is silent and counts.
    Silent,
    /// Somebody else uses the address: it is silent.
    InUse(Station),
}

/// What a holder did and heard since it last was told to claim, or to be silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What it is doing.
    pub phase: Phase,
    /// The MAC for which it answers.
    pub mac: Station,
    /// Announcements that left.
    pub announced: u32,
    /// Frames that could not leave, and the reason of the last.
    pub failed: u32,
    /// Why the last of these could not.
    pub failure: Option<String>,
    /// Questions about the address.
    pub questions: u32,
    /// Answers to them.
    pub answered: u32,
    /// Echo requests of observers that arrived at this port.
    pub echoes: u32,
    /// How long ago the last of these was.
    pub echo: Option<Span>,
}

/// What the kernel of an observer has in its neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it sends to.
    pub mac: Option<Station>,
    /// It was set by hand: no announcement changes it.
    pub by_hand: bool,
}

/// What an observer saw since it began, or since it was last told to mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Echo requests that left.
    pub sent: u32,
    /// Echo requests that did not, and the reason of the last.
    pub failed: u32,
    /// Why the last of these did not.
    pub failure: Option<String>,
    /// Answers of the first and of the second holder.
    pub answers: [u32; 2],
    /// When the first answer of each came.
    pub first: [Option<Span>; 2],
    /// Frames of any kind from the MAC that is expected.
    pub frames: u32,
    /// When the first of these came.
    pub frame: Option<Span>,
    /// Announcements from it.
    pub announcements: u32,
    /// When the first of these came.
    pub announcement: Option<Span>,
    /// Its answers to questions about the address.
    pub told: u32,
    /// Answers about the address that name another MAC.
    pub strays: u32,
    /// Its answers to echoes that were sent to its MAC, past the neighbour table.
    pub direct: u32,
    /// The kernel's entry, if it was wished and there is one.
    pub entry: Option<Entry>,
}
