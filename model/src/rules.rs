//! The rules of `docs/protocol.md` that can be left out, one or several at a time.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A rule, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The register gives a number to one half, once.
    G1,
    /// A half asks with the number of its applied state.
    G2,
    /// The tie vote is the answer of all of the half.
    G4All,
    /// The tie vote is void once the log has a number that is as new.
    G4Void,
    /// A number is used up in the entry that takes the vote away.
    G5,
    /// What was believed of the absent voter goes with the tie vote.
    G6,
    /// Whoever votes again has caught up before.
    G8,
    /// A voter is taken away only while a majority answers.
    G10,
    /// A shrink takes one vote, not all that are absent.
    G11,
    /// A coordinator with quorum uses up what was granted and not used.
    G12,
    /// A register that came back from a copy is trusted only by a number committed since.
    G13,
    /// ... and by the answer to a challenge of now.
    G13Anew,
    /// An even set of voters changes with a number only.
    G14,
    /// ... in the same entry.
    G14Entry,
    /// ... which only its taker may use, in its term, next to its own applied one.
    G14Taker,
    /// Voters that are not known to be committed have no tie vote.
    G15,
    /// A shrink takes the vote of the one that was answered for.
    G16,
    /// Nothing is used up for nothing by a half that holds a grant.
    G17,
    /// Only the node that asked counts what was granted.
    Asker,
    /// What is on a node's disk never goes back.
    T2,
    /// A chain has one register.
    OneRegister,
    /// What former voters said of earlier coordinators goes on to count.
    C8,
    /// Others wait for D.
    Wait,
    /// ... also after the last sign of life of an earlier coordinator.
    Earlier,
}

impl Rule {
    /// All that can be left out, with their names.
    pub const ALL: [(Self, &'static str); 24] = [
        (Self::G1, "G1"),
        (Self::G2, "G2"),
        (Self::G4All, "G4-all"),
        (Self::G4Void, "G4-void"),
        (Self::G5, "G5"),
        (Self::G6, "G6"),
        (Self::G8, "G8"),
        (Self::G10, "G10"),
        (Self::G11, "G11"),
        (Self::G12, "G12"),
        (Self::G13, "G13"),
        (Self::G13Anew, "G13-anew"),
        (Self::G14, "G14"),
        (Self::G14Entry, "G14-entry"),
        (Self::G14Taker, "G14-taker"),
        (Self::G15, "G15"),
        (Self::G16, "G16"),
        (Self::G17, "G17"),
        (Self::Asker, "asker"),
        (Self::T2, "T2"),
        (Self::OneRegister, "one-register"),
        (Self::C8, "C8"),
        (Self::Wait, "wait"),
        (Self::Earlier, "earlier"),
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(rule, _)| rule == self).map(|(_, name)| *name);
        f.write_str(name.unwrap_or("?"))
    }
}

/// There is no such rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRule(String);

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Rule::ALL.iter().map(|(_, name)| *name).collect();
        write!(f, "no rule `{}` here; there are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownRule {}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let named = Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        named.map(|(rule, _)| *rule).ok_or_else(|| UnknownRule(text.into()))
    }
}

/// The rules that are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without(BTreeSet<Rule>);

impl Without {
    /// Whether a rule is in force.
    #[must_use]
    pub fn keeps(&self, rule: Rule) -> bool {
        !self.0.contains(&rule)
    }
}

impl FromIterator<Rule> for Without {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("all rules");
        }
        let names: Vec<_> = self.0.iter().map(Rule::to_string).collect();
        write!(f, "without {}", names.join(", "))
    }
}
