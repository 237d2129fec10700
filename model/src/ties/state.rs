//! Everything that there is at one moment of the model of ties.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use stead_core::id::{Grant, NodeId};
use stead_core::quorum::ask::Question;
use stead_core::quorum::register::{Half, Register};

use super::log::{Entry, Log, Map, Nodes, What, each};

/// The most nodes that any configuration has.
pub const MOST: usize = 5;

/// What a node does in consensus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It follows whoever leads.
    #[default]
    Follower,
    /// It has asked for votes in its term.
    Candidate,
    /// It leads in its term.
    Leader,
}

/// What a half may count beside its own votes, as `core::quorum::vote::TieVote` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The number that was granted.
    pub number: u8,
    /// To whom.
    pub present: Nodes,
    /// Of which voters.
    pub voters: Nodes,
    /// For whom it answers.
    pub absent: u8,
}

/// What a node keeps on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The newest term.
    pub term: u8,
    /// Who has its vote in that term: a node's number plus one; zero for nobody.
    pub voted: u8,
    /// The log.
    pub log: Log,
    /// How many entries are known to be committed; all of them are applied.
    pub commit: u8,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its disk.
    pub disk: Disk,
    /// What it is in its term.
    pub role: Role,
    /// The tie vote that its log counts.
    pub vote: Option<Vote>,
    /// A number that it took for a change of the voters; zero for none.
    pub taken: u8,
    /// What it has to say to a register that is distrusted: the challenge, and the number that it
    /// has proposed since it heard that.
    pub repair: Option<(u64, u8)>,
}

/// A candidate's question to all, which may arrive at any time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The term.
    pub term: u8,
    /// Who asks.
    pub node: u8,
    /// The end of its log.
    pub tail: (u8, u8),
    /// Who has said yes.
    pub granted: Nodes,
}

/// What a leader of a term says, which may arrive at any time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The term.
    pub term: u8,
    /// Who leads.
    pub node: u8,
    /// Its log as long as it led.
    pub log: Log,
    /// How much of it it knew to be committed.
    pub commit: u8,
    /// How much of it each node has said that it has.
    pub acked: [u8; MOST],
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bad {
    /// Two committed histories disagree.
    Disagree,
    /// A leader lacks what was committed in an earlier term.
    Lost,
    /// A term has two leaders.
    TwoLeaders,
    /// Two leaders each have enough followers to commit, in the same position of the log.
    TwoActing,
}

impl Bad {
    /// What happened, in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Disagree => "two committed histories disagree",
            Self::Lost => "a leader lacks what was committed",
            Self::TwoLeaders => "a term has two leaders",
            Self::TwoActing => "two coordinators may both act",
        }
    }
}

/// One moment.
#[derive(Clone, Debug)]
pub struct State {
    /// How many nodes there are.
    pub count: u8,
    /// The nodes.
    pub nodes: [Node; MOST],
    /// What candidates ask.
    pub bids: Vec<Bid>,
    /// What leaders say.
    pub leads: Vec<Lead>,
    /// The register, on its disk; a second one only where the rule against it is left out.
    pub registers: Arc<Vec<Register>>,
    /// An old copy of it.
    pub register_copy: Option<Register>,
    /// How often it was restored.
    pub restored: u8,
    /// An old copy of a node's disk.
    pub disk_copy: Option<(u8, Disk)>,
    /// Questions that were sent twice, or are late: they still may arrive.
    pub late: Vec<Question>,
    /// How many of those there were.
    pub lated: u8,
    /// What was committed, by whomever, and the newest term in which that was.
    pub committed: (Log, u8),
    /// What went wrong.
    pub bad: Option<Bad>,
}

impl Node {
    fn new(voters: Nodes) -> Self {
        let disk = Disk { term: 0, voted: 0, log: Log::new(voters), commit: 0 };
        let role = Role::Follower;
        Self { disk, role, vote: None, taken: 0, repair: None }
    }

    /// The number of its applied state.
    #[must_use]
    pub fn applied(&self) -> u8 {
        self.disk.log.number(self.disk.commit)
    }

    /// Who votes, by the newest entry that says so, and where that stands.
    #[must_use]
    pub fn voters(&self) -> (Nodes, u8) {
        self.disk.log.voters(self.disk.log.len())
    }

    /// Whether it leads, and has committed something of its own term.
    #[must_use]
    pub fn is_settled_leader(&self) -> bool {
        let own = |it: &super::log::Entry| it.term == self.disk.term;
        self.role == Role::Leader && self.disk.log.upto(self.disk.commit).iter().any(own)
    }

    /// Everything that is not on the disk is gone.
    pub fn forget(&mut self) {
        self.role = Role::Follower;
        self.vote = None;
        self.taken = 0;
        self.repair = None;
    }

    fn hash_as(&self, map: &Map, to: &mut impl Hasher) {
        let disk = &self.disk;
        let voted = if disk.voted == 0 { 0 } else { map.node(disk.voted - 1) + 1 };
        (disk.term, voted, disk.commit, self.role, self.taken, self.repair).hash(to);
        disk.log.hash_as(map, to);
        if let Some(vote) = self.vote {
            let (present, voters) = (map.set(vote.present), map.set(vote.voters));
            (vote.number, present, voters, map.node(vote.absent)).hash(to);
        }
    }
}

impl State {
    /// The beginning: nothing in any log, and a register that is trusted.
    #[must_use]
    pub fn new(voters: u8, spare: u8, registers: usize) -> Self {
        let all = (1 << voters) - 1;
        let mut register = Register::new(challenge(0));
        register.trust(challenge(0), Grant(0));
        Self {
            count: voters + spare,
            nodes: [Node::new(all); MOST],
            bids: Vec::new(),
            leads: Vec::new(),
            registers: Arc::new(vec![register; registers]),
            register_copy: None,
            restored: 0,
            disk_copy: None,
            late: Vec::new(),
            lated: 0,
            committed: (Log::new(all), 0),
            bad: None,
        }
    }

    /// The same with a leader in the first term, whose first entry everybody has and knows to be
    /// committed: where most stories begin, without the many ways to there.
    #[must_use]
    pub fn led(mut self) -> Self {
        let (mut log, commit) = (self.committed.0, 1);
        log.push(Entry { term: 1, what: What::Begin, number: 0 });
        let disk = Disk { term: 1, voted: 1, log, commit };
        for node in 0..self.count {
            self.node_mut(node).disk = disk;
        }
        self.node_mut(0).role = Role::Leader;
        self.leads.push(Lead { term: 1, node: 0, log, commit, acked: [1; MOST] });
        self.committed = (log, 1);
        self
    }

    /// The node of that number.
    #[must_use]
    pub fn node(&self, node: u8) -> &Node {
        &self.nodes[usize::from(node)]
    }

    /// The node of that number, to be changed.
    pub fn node_mut(&mut self, node: u8) -> &mut Node {
        &mut self.nodes[usize::from(node)]
    }

    /// What the leader of that term says.
    #[must_use]
    pub fn lead(&self, term: u8) -> Option<&Lead> {
        self.leads.iter().find(|lead| lead.term == term)
    }

    /// The same, to be changed.
    pub fn lead_mut(&mut self, term: u8) -> Option<&mut Lead> {
        self.leads.iter_mut().find(|lead| lead.term == term)
    }

    /// The same number for all states that differ by the numbers of the nodes only.
    #[must_use]
    pub fn digest(&self, maps: &[Map]) -> u64 {
        let marks: Vec<_> = (0..self.count).map(|node| self.mark(node)).collect();
        // Only orders in which the marks grow: one for most states.
        let grows = |map: &&Map| {
            let mut ordered = [0; MOST];
            let places = map.to.iter().zip(&marks);
            places.for_each(|(to, mark)| ordered[usize::from(*to)] = *mark);
            ordered[..marks.len()].is_sorted()
        };
        let digests = maps.iter().filter(grows).map(|map| {
            let mut to = DefaultHasher::new();
            self.hash_as(map, &mut to);
            to.finish()
        });
        digests.min().unwrap_or_default()
    }

    /// What of a node does not depend on anybody's number.
    fn mark(&self, node: u8) -> u64 {
        let mut to = DefaultHasher::new();
        let it = self.node(node);
        let disk = &it.disk;
        (disk.term, disk.voted == 0, disk.voted == node + 1, disk.commit, it.role).hash(&mut to);
        (disk.log.len(), it.vote.is_some(), it.taken).hash(&mut to);
        for entry in disk.log.entries() {
            let votes = match entry.what {
                What::Voters(voters) => voters >> node & 1,
                What::Begin => 2,
                What::Data => 3,
                What::Number => 4,
            };
            (entry.term, votes, entry.number).hash(&mut to);
        }
        for lead in &self.leads {
            (lead.node == node, lead.acked[usize::from(node)]).hash(&mut to);
        }
        let bids =
            self.bids.iter().map(|bid| (bid.term, bid.node == node, bid.granted >> node & 1));
        // Several may stand in one term, in any order.
        bids.fold(0_u64, |sum, (term, own, granted)| {
            let own = u64::from(own) * 2 + u64::from(granted);
            sum.wrapping_add((u64::from(term) * 4 + own).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        })
        .hash(&mut to);
        to.finish()
    }

    fn hash_as(&self, map: &Map, to: &mut impl Hasher) {
        let mut from = [0_u8; MOST];
        for node in 0..self.count {
            from[usize::from(map.node(node))] = node;
        }
        let from = &from[..usize::from(self.count)];
        from.iter().for_each(|node| self.node(*node).hash_as(map, to));
        let mut bids: Vec<_> = self.bids.iter().map(|bid| (bid, map.node(bid.node))).collect();
        bids.sort_by_key(|(bid, node)| (bid.term, *node));
        bids.len().hash(to);
        for (bid, node) in bids {
            (bid.term, node, bid.tail, map.set(bid.granted)).hash(to);
        }
        for lead in &self.leads {
            (lead.term, map.node(lead.node), lead.commit).hash(to);
            lead.log.hash_as(map, to);
            from.iter().for_each(|node| lead.acked[usize::from(*node)].hash(to));
        }
        let registers = self.registers.iter().chain(&self.register_copy);
        registers.for_each(|it| hash_register(it, map, to));
        (self.register_copy.is_some(), self.restored, self.lated, self.bad).hash(to);
        if let Some((node, disk)) = &self.disk_copy {
            let disk = Node { disk: *disk, ..Node::new(0) };
            map.node(*node).hash(to);
            disk.hash_as(map, to);
        }
        let mut late: Vec<_> = self.late.iter().map(|it| late_digest(it, map)).collect();
        late.sort_unstable();
        late.hash(to);
        self.committed.0.hash_as(map, to);
        self.committed.1.hash(to);
    }
}

fn hash_register(register: &Register, map: &Map, to: &mut impl Hasher) {
    (register.last(), register.committed(), register.distrusted()).hash(to);
    if let Some(half) = register.holder() {
        (map.set(bits(&half.present)), map.set(bits(&half.voters))).hash(to);
    }
}

fn late_digest(question: &Question, map: &Map) -> u64 {
    let mut to = DefaultHasher::new();
    match question {
        Question::Ask { known, half } => {
            (0_u8, known, map.set(bits(&half.present)), map.set(bits(&half.voters))).hash(&mut to);
        }
        Question::Hear { known } => (1_u8, known).hash(&mut to),
        Question::Trust { challenge, known } => (2_u8, challenge, known).hash(&mut to),
        Question::Take { known } => (3_u8, known).hash(&mut to),
    }
    to.finish()
}

/// A set of ours, as the core has it.
#[must_use]
pub fn half(present: Nodes, voters: Nodes) -> Half {
    let set = |set| each(set).map(|node| NodeId(u64::from(node) + 1)).collect();
    Half { present: set(present), voters: set(voters) }
}

fn bits(set: &std::collections::BTreeSet<NodeId>) -> Nodes {
    set.iter().fold(0, |bits, node| bits | 1 << (node.0 - 1))
}

/// The challenge of that number.
#[must_use]
pub fn challenge(number: u64) -> stead_core::quorum::register::Challenge {
    stead_core::quorum::register::Challenge(number)
}
