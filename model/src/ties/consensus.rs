//! Raft as a set of facts, and the one vote that a granted half counts beside its own.

use super::log::{Entry, Nodes, What, count};
use super::state::{Bad, Bid, Lead, MOST, Node, Role, State, Vote, half};
use super::{Action, Ties};
use crate::rules::Rule;

impl Ties {
    pub(super) fn consensus_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..state.count {
            let it = state.node(node);
            let votes = it.voters().0 & 1 << node != 0;
            if votes && it.disk.term < self.bounds.terms {
                actions.push(Action::Campaign(node));
            }
            match it.role {
                Role::Candidate => actions.push(Action::Lead(node)),
                Role::Leader => actions.extend([Action::Commit(node), Action::Data(node)]),
                Role::Follower => {}
            }
            let volatile = it.role != Role::Follower || it.vote.is_some();
            if self.bounds.crashes && (volatile || it.taken > 0) {
                actions.push(Action::Crash(node));
            }
            for bid in &state.bids {
                let (term, candidate) = (bid.term, bid.node);
                actions.push(Action::Grant { voter: node, term, candidate });
            }
            for lead in &state.leads {
                actions.push(Action::Append { to: node, term: lead.term });
                actions.push(Action::Learn { to: node, term: lead.term });
            }
        }
    }

    pub(super) fn data(&self, state: &mut State, node: u8) -> Option<()> {
        let data = state.node(node).disk.log.entries().iter();
        let data = data.filter(|entry| entry.what == What::Data).count();
        let room = data < usize::from(self.bounds.data);
        room.then(|| self.propose(state, node, What::Data, 0)).flatten()
    }

    pub(super) fn campaign(&self, state: &mut State, node: u8) -> Option<()> {
        let it = state.node_mut(node);
        let term = it.disk.term + 1;
        let tail = it.disk.log.tail();
        self.learn_term(it, term);
        it.disk.voted = node + 1;
        it.role = Role::Candidate;
        state.bids.push(Bid { term, node, tail, granted: 1 << node });
        Some(())
    }

    /// A later term ends every role, and what belonged to it.
    fn learn_term(&self, node: &mut Node, term: u8) {
        if term <= node.disk.term {
            return;
        }
        (node.disk.term, node.disk.voted) = (term, 0);
        node.role = Role::Follower;
        node.repair = None;
        if self.keeps(Rule::G14Taker) {
            // What was taken belongs to a coordinator that is none any more.
            node.taken = 0;
        }
    }

    pub(super) fn grant(
        &self,
        state: &mut State,
        voter: u8,
        term: u8,
        candidate: u8,
    ) -> Option<()> {
        let at = state.bids.iter().position(|bid| (bid.term, bid.node) == (term, candidate))?;
        let it = state.node_mut(voter);
        let free = it.disk.term < term || it.disk.term == term && it.disk.voted == 0;
        if voter == candidate || !free {
            return None;
        }
        let tail = it.disk.log.tail();
        if state.bids[at].tail < tail {
            return None;
        }
        let it = state.node_mut(voter);
        self.learn_term(it, term);
        it.disk.voted = candidate + 1;
        it.role = Role::Follower;
        state.bids[at].granted |= 1 << voter;
        Some(())
    }

    pub(super) fn lead(&self, state: &mut State, node: u8) -> Option<()> {
        let it = state.node(node);
        let term = it.disk.term;
        let granted = state.bids.iter().find(|bid| (bid.term, bid.node) == (term, node))?.granted;
        if !self.is_enough(it, node, granted) {
            return None;
        }
        if state.lead(term).is_some() {
            state.bad = Some(Bad::TwoLeaders);
            return Some(());
        }
        let log = it.disk.log;
        let (committed, newest) = state.committed;
        if newest < term && committed.common(&log) < committed.len() {
            state.bad = Some(Bad::Lost);
            return Some(());
        }
        let commit = it.disk.commit;
        state.node_mut(node).role = Role::Leader;
        state.leads.push(Lead { term, node, log, commit, acked: [0; MOST] });
        state.leads.sort_by_key(|lead| lead.term);
        self.propose(state, node, What::Begin, 0)
    }

    /// A leader appends an entry. What it needs for that is asked before.
    pub(super) fn propose(
        &self,
        state: &mut State,
        node: u8,
        what: What,
        number: u8,
    ) -> Option<()> {
        let it = state.node_mut(node);
        if it.role != Role::Leader || it.disk.log.len() >= self.bounds.entries {
            return None;
        }
        let term = it.disk.term;
        it.disk.log.push(Entry { term, what, number });
        let log = it.disk.log;
        state.lead_mut(term)?.log = log;
        Some(())
    }

    pub(super) fn append(&self, state: &mut State, to: u8, term: u8) -> Option<()> {
        let lead = *state.lead(term)?;
        let it = state.node_mut(to);
        if lead.node == to || it.disk.term > term {
            return None;
        }
        let before = *it;
        let common = it.disk.log.common(&lead.log);
        self.learn_term(it, term);
        it.role = Role::Follower;
        let mut has = common;
        if let Some(entry) = lead.log.entries().get(usize::from(common)) {
            it.disk.log.truncate(common);
            it.disk.log.push(*entry);
            has += 1;
            if it.disk.commit > common {
                // It believed that to be committed.
                state.bad = Some(Bad::Disagree);
                return Some(());
            }
        }
        let changed = before != *it;
        let acked = &mut state.lead_mut(term)?.acked[usize::from(to)];
        let news = *acked < has;
        *acked = has.max(*acked);
        (news || changed).then_some(())
    }

    pub(super) fn learn(&self, state: &mut State, to: u8, term: u8) -> Option<()> {
        let lead = *state.lead(term)?;
        let it = state.node_mut(to);
        let commit = lead.commit.min(it.disk.log.common(&lead.log));
        if lead.node == to || it.disk.term > term || commit <= it.disk.commit {
            return None;
        }
        self.learn_term(it, term);
        it.role = Role::Follower;
        it.disk.commit = commit;
        self.applied(it);
        Some(())
    }

    /// A grant that is used up ends the tie vote that stood on it (rule G6).
    fn applied(&self, node: &mut Node) {
        let applied = node.applied();
        if self.keeps(Rule::G5) {
            node.vote.take_if(|vote| applied >= vote.number);
        }
    }

    pub(super) fn commit(&self, state: &mut State, node: u8) -> Option<()> {
        let it = state.node(node);
        let lead = state.lead(it.disk.term)?;
        let acked = |upto: u8| {
            let has = |other: &u8| lead.acked[usize::from(*other)] >= upto || *other == node;
            (0..state.count).filter(has).fold(0, |set, other| set | 1 << other)
        };
        let own = |upto: &u8| {
            let last = it.disk.log.upto(*upto).last();
            last.is_some_and(|entry| entry.term == it.disk.term)
        };
        let mut open = (it.disk.commit + 1..=it.disk.log.len()).rev().filter(own);
        let upto = open.find(|upto| self.is_enough(it, node, acked(*upto)))?;
        let (term, log) = (it.disk.term, it.disk.log);
        let (committed, newest) = &mut state.committed;
        if committed.common(&log) < upto.min(committed.len()) {
            state.bad = Some(Bad::Disagree);
            return Some(());
        }
        for entry in &log.upto(upto)[usize::from(committed.len().min(upto))..] {
            committed.push(*entry);
            *newest = term.max(*newest);
        }
        state.lead_mut(term)?.commit = upto;
        let it = state.node_mut(node);
        it.disk.commit = upto;
        self.applied(it);
        Some(())
    }

    /// Whether those are more than half of the voters, with the vote that a grant gives.
    pub(super) fn is_enough(&self, it: &Node, me: u8, said: Nodes) -> bool {
        let voters = it.voters().0;
        let mut said = said & voters;
        if let Some(vote) = it.vote {
            let all = vote.present & !said == 0 || !self.keeps(Rule::G4All);
            if all && self.counts(it, me, &vote) {
                said |= voters & 1 << vote.absent;
            }
        }
        2 * count(said) > count(voters)
    }

    /// Whether the tie vote counts now (rule G4), as `log::tie` asks.
    pub(super) fn counts(&self, it: &Node, me: u8, vote: &Vote) -> bool {
        let log = &it.disk.log;
        let (voters, at) = log.voters(log.len());
        // Those that are not known to be committed, but for entries that say the same again.
        let settled = at <= it.disk.commit || log.voters(it.disk.commit).0 == voters;
        half(vote.present, vote.voters).is_one()
            && vote.present & 1 << me != 0
            && vote.present & 1 << vote.absent == 0
            && voters == vote.voters
            && (settled || !self.keeps(Rule::G15))
            && (self.is_unused(it, vote.number) || !self.keeps(Rule::G4Void))
    }

    /// Whether the log has no number that is as new. Where a number is used up before the shrink,
    /// the vote has to outlive that entry of its own.
    fn is_unused(&self, it: &Node, number: u8) -> bool {
        let disk = &it.disk;
        let own = |entry: &Entry| {
            let made = entry.term == disk.term && it.role == Role::Leader;
            made && entry.number == number && !self.keeps(Rule::G5)
        };
        disk.log.entries().iter().all(|entry| entry.number < number || own(entry))
    }

    /// Whether two leaders have enough followers at once, and something of their own committed.
    pub(super) fn two_act(&self, state: &State) -> bool {
        let acts = |node: &u8| {
            let it = state.node(*node);
            let follows = |other: &u8| state.node(*other).disk.term == it.disk.term;
            let follow = (0..state.count).filter(follows).fold(0, |set, other| set | 1 << other);
            it.is_settled_leader() && self.is_enough(it, *node, follow)
        };
        (0..state.count).filter(acts).count() > 1
    }

    /// Drops messages that can do nothing any more, so that the states with and without them are
    /// one. A disk that goes back could still be reached by any.
    pub(super) fn forget_the_dead(&self, state: &mut State) {
        if !self.keeps(Rule::T2) {
            return;
        }
        let (count, nodes) = (state.count, state.nodes);
        let others = |but: u8| {
            (0..count).filter(move |node| *node != but).map(|node| &nodes[usize::from(node)])
        };
        state.bids.retain_mut(|bid| {
            let it = &nodes[usize::from(bid.node)];
            let stands = it.role == Role::Candidate && it.disk.term == bid.term;
            if !stands {
                bid.granted = 0;
            }
            let free = |it: &Node| it.disk.term == bid.term && it.disk.voted == 0;
            stands || others(bid.node).any(|it| it.disk.term < bid.term || free(it))
        });
        state.leads.retain_mut(|lead| {
            let it = &nodes[usize::from(lead.node)];
            let leads = it.role == Role::Leader && it.disk.term == lead.term;
            if !leads {
                lead.acked = [0; MOST];
            }
            leads || others(lead.node).any(|it| it.disk.term <= lead.term)
        });
    }
}
