//! The chain of modules: each answers with one of three words, and a tie asks the next.
//!
//! No module turns a clear majority or minority over. A tie from the last one is no quorum. So that
//! a chain can't grant both halves, one module at most breaks ties ([`Module::breaks_ties`]).
//!
//! *Counterexample with two of them:* a half that can't reach the first (no answer: a tie) is
//! granted by the second, while the other half, which can, is granted by the first. With a register
//! and fencing: a half that can't reach the register switches the other one off, which was granted
//! and has acknowledged what nobody else knows.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Verdict, decide};
use crate::id::NodeId;
use crate::lease::VoterSets;

/// A module of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Module {
    /// Arithmetic over the voters.
    Majority,
    /// A register on a machine of its own.
    QuorumServer,
    /// A register behind a program.
    Exec,
    /// No register: the other half is switched off first, by its fence devices.
    Fence,
}

impl Module {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Majority, Self::QuorumServer, Self::Exec, Self::Fence];

    /// Its word in configuration and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::QuorumServer => "quorum-server",
            Self::Exec => "exec",
            Self::Fence => "fence",
        }
    }

    /// Whether it decides between two halves.
    #[must_use]
    pub fn breaks_ties(self) -> bool {
        self != Self::Majority
    }

    /// Whether it gives grants.
    #[must_use]
    pub fn is_register(self) -> bool {
        match self {
            Self::Majority | Self::Fence => false,
            Self::QuorumServer | Self::Exec => true,
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a list of modules is no chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It does not begin with `majority`.
    NotMajorityFirst,
    /// A module stands there twice.
    Twice(Module),
    /// A second module breaks ties.
    SecondBreaker {
        /// The first.
        first: Module,
        /// The second.
        second: Module,
    },
}

/// The modules in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(Vec<Module>);

impl Default for Chain {
    fn default() -> Self {
        Self(Vec::from([Module::Majority]))
    }
}

impl Chain {
    /// The chain of these modules.
    ///
    /// # Errors
    /// Says with the position which module makes it unusable.
    pub fn new(modules: Vec<Module>) -> Result<Self, (usize, Unusable)> {
        if modules.first() != Some(&Module::Majority) {
            return Err((0, Unusable::NotMajorityFirst));
        }
        for (at, module) in modules.iter().enumerate() {
            let before = &modules[..at];
            if before.contains(module) {
                return Err((at, Unusable::Twice(*module)));
            }
            if let Some(first) = before.iter().find(|it| it.breaks_ties()) {
                return Err((at, Unusable::SecondBreaker { first: *first, second: *module }));
            }
        }
        Ok(Self(modules))
    }

    /// The modules, in order.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.0
    }

    /// The module that keeps the register, if one does.
    #[must_use]
    pub fn register(&self) -> Option<Module> {
        self.0.iter().copied().find(|module| module.is_register())
    }

    /// Whether a half goes on once the other one is switched off.
    #[must_use]
    pub fn fences(&self) -> bool {
        self.0.contains(&Module::Fence)
    }

    /// Asks the modules in order. `breaker` is what the one that breaks ties last said of this very
    /// half, or nothing while it said nothing in time.
    #[must_use]
    pub fn ask(
        &self,
        present: &BTreeSet<NodeId>,
        voters: &VoterSets,
        breaker: Option<&Said>,
    ) -> Decision {
        let mut words = Vec::new();
        for module in &self.0 {
            let (verdict, reason) = match module {
                Module::Majority => arithmetic(present, voters),
                Module::QuorumServer | Module::Exec | Module::Fence => said(breaker),
            };
            words.push(Word { module: *module, verdict, reason });
            if verdict != Verdict::QuorumTie {
                return Decision { verdict, words };
            }
        }
        Decision { verdict: Verdict::NoQuorum, words }
    }
}

/// What a register said of a half that asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// The half may go on.
    Granted,
    /// It may, by an operator's word.
    Overridden,
    /// It may: the other half is off.
    Fenced,
    /// It may not, and why.
    Refused(String),
}

fn said(register: Option<&Said>) -> (Verdict, String) {
    match register {
        Some(Said::Granted) => (Verdict::HaveQuorum, String::from("this half was granted")),
        Some(Said::Overridden) => {
            (Verdict::HaveQuorum, String::from("an operator says that the others are off"))
        }
        Some(Said::Fenced) => (Verdict::HaveQuorum, String::from("the others were switched off")),
        Some(Said::Refused(reason)) => (Verdict::NoQuorum, reason.clone()),
        None => (Verdict::QuorumTie, String::from("no answer")),
    }
}

fn arithmetic(present: &BTreeSet<NodeId>, voters: &VoterSets) -> (Verdict, String) {
    let of = |set: &BTreeSet<NodeId>| {
        alloc::format!("{} of {} present", present.intersection(set).count(), set.len())
    };
    let sets: Vec<_> = voters.iter().map(of).collect();
    let reason = if sets.is_empty() { String::from("no voters") } else { sets.join(", and ") };
    (decide(present, voters), reason)
}

/// One module's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Which.
    pub module: Module,
    /// Its answer.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
}

/// What the chain came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict; never a tie.
    pub verdict: Verdict,
    /// The answers of all modules that were asked, in order.
    pub words: Vec<Word>,
}
