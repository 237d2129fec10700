//! A log, small enough to be copied millions of times.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A set of nodes, a bit for each.
pub type Nodes = u8;

/// The longest log that any bound allows.
pub const LONGEST: usize = 9;

/// What an entry says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum What {
    /// A leader's first entry of its term.
    #[default]
    Begin,
    /// A change that somebody was told is committed.
    Data,
    /// From here on these vote.
    Voters(Nodes),
    /// Only the number.
    Number,
}

/// One entry. Two with the same term at the same place are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Of the leader that made it.
    pub term: u8,
    /// What it says.
    pub what: What,
    /// The grant that it uses up; zero for none.
    pub number: u8,
}

/// Entries in order, and who votes before the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    first_voters: Nodes,
    len: u8,
    entries: [Entry; LONGEST],
}

impl Log {
    /// A log without entries.
    #[must_use]
    pub fn new(first_voters: Nodes) -> Self {
        Self { first_voters, len: 0, entries: [Entry::default(); LONGEST] }
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    /// The first so many entries.
    #[must_use]
    pub fn upto(&self, len: u8) -> &[Entry] {
        &self.entries()[..usize::from(len)]
    }

    /// Adds one; whoever calls it has asked whether the bound allows that.
    pub fn push(&mut self, entry: Entry) {
        self.entries[usize::from(self.len)] = entry;
        self.len += 1;
    }

    /// Forgets all but the first so many.
    pub fn truncate(&mut self, len: u8) {
        for entry in &mut self.entries[usize::from(len.min(self.len))..] {
            *entry = Entry::default();
        }
        self.len = self.len.min(len);
    }

    /// Its end, as the log compares: the later term wins, then the length.
    #[must_use]
    pub fn tail(&self) -> (u8, u8) {
        (self.entries().last().map_or(0, |entry| entry.term), self.len)
    }

    /// How many entries both begin with.
    #[must_use]
    pub fn common(&self, other: &Self) -> u8 {
        let same = self.entries().iter().zip(other.entries()).take_while(|(a, b)| a == b);
        same.fold(0, |count, _| count + 1)
    }

    /// The voters that the newest of the first `len` entries names, and where.
    #[must_use]
    pub fn voters(&self, len: u8) -> (Nodes, u8) {
        let named = self.upto(len).iter().enumerate().rev().find_map(|(at, entry)| {
            let What::Voters(voters) = entry.what else { return None };
            u8::try_from(at + 1).ok().map(|at| (voters, at))
        });
        named.unwrap_or((self.first_voters, 0))
    }

    /// The newest number in the first `len` entries.
    #[must_use]
    pub fn number(&self, len: u8) -> u8 {
        self.upto(len).iter().map(|entry| entry.number).max().unwrap_or(0)
    }

    /// Hashes it as if the nodes had other numbers.
    pub fn hash_as(&self, map: &Map, to: &mut impl Hasher) {
        self.len.hash(to);
        for entry in self.entries() {
            (entry.term, entry.number).hash(to);
            match entry.what {
                What::Voters(voters) => (1_u8, map.set(voters)).hash(to),
                other @ (What::Begin | What::Data | What::Number) => other.hash(to),
            }
        }
    }
}

/// Other numbers for the nodes.
#[derive(Clone, Debug)]
pub struct Map {
    /// The new number of each.
    pub to: Vec<u8>,
    sets: Vec<Nodes>,
}

impl Map {
    /// All that there are for so many nodes.
    #[must_use]
    pub fn all(nodes: u8) -> Vec<Self> {
        let mut orders: Vec<Vec<u8>> = vec![Vec::new()];
        for node in 0..nodes {
            orders = orders.iter().flat_map(|order| inserted(order, node)).collect();
        }
        orders.into_iter().map(Self::new).collect()
    }

    fn new(to: Vec<u8>) -> Self {
        let sets = 0..1_u16 << to.len();
        let moved = |set: u16| {
            let inside = to.iter().enumerate().filter(|(node, _)| set & 1 << node != 0);
            inside.fold(0, |moved, (_, to)| moved | 1 << to)
        };
        Self { sets: sets.map(moved).collect(), to }
    }

    /// The set under the new numbers.
    #[must_use]
    pub fn set(&self, set: Nodes) -> Nodes {
        self.sets[usize::from(set)]
    }

    /// The node under its new number.
    #[must_use]
    pub fn node(&self, node: u8) -> u8 {
        self.to[usize::from(node)]
    }
}

fn inserted(order: &[u8], node: u8) -> impl Iterator<Item = Vec<u8>> {
    (0..=order.len()).map(move |at| {
        let mut longer = order.to_vec();
        longer.insert(at, node);
        longer
    })
}

/// The nodes of a set.
pub fn each(set: Nodes) -> impl Iterator<Item = u8> {
    (0..8).filter(move |node| set & 1 << node != 0)
}

/// How many there are in a set.
#[must_use]
pub fn count(set: Nodes) -> u32 {
    set.count_ones()
}

/// A set, as people read it. Nodes count from one.
#[must_use]
pub fn name(set: Nodes) -> String {
    let nodes: Vec<_> = each(set).map(|node| (node + 1).to_string()).collect();
    format!("{{{}}}", nodes.join(","))
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.term)?;
        match self.what {
            What::Begin => f.write_str("begin"),
            What::Data => f.write_str("data"),
            What::Voters(voters) => write!(f, "voters{}", name(voters)),
            What::Number => Ok(()),
        }?;
        if self.number > 0 { write!(f, "#{}", self.number) } else { Ok(()) }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self.entries().iter().map(Entry::to_string).collect();
        write!(f, "[{}]", entries.join(" "))
    }
}
