//! The tie vote: one absent voter's answer, for a half that was granted (`docs/protocol.md`,
//! section 7).

use std::collections::BTreeSet;

use stead_core::id::{NodeId, Term};
use stead_core::lease::VoterSets;
use stead_core::quorum::vote::TieVote;
use stead_core::state::Change;

use super::entry::{Entry, Payload};
use super::{Role, World};

/// Whether more than half of each set has it. The absent voter has what all of the half have.
pub(super) fn majority(
    voters: &VoterSets,
    tie: Option<&TieVote>,
    has: impl Fn(NodeId) -> bool,
) -> bool {
    let answers = |node: NodeId| {
        tie.is_some_and(|tie| tie.absent == node && tie.half.present.iter().all(|it| has(*it)))
    };
    let has = |node: &&NodeId| has(**node) || answers(**node);
    let enough = |set: &BTreeSet<NodeId>| set.iter().filter(has).count() * 2 > set.len();
    !voters.is_empty() && voters.iter().all(enough)
}

impl World {
    /// The vote that counts now: not where the voters are others or not committed, nor once the log
    /// has a number that is not older (rule G4), nor while it may be that there are no grants.
    pub(super) fn tie_vote(&self, host: usize) -> Option<TieVote> {
        let tie = self.hosts[host].daemon.as_ref()?.raft.tie.clone()?;
        let commit = self.hosts[host].daemon.as_ref()?.raft.commit;
        let log = self.hosts[host].disk.log();
        let open = |at: usize| at >= commit;
        let ends = log.iter().enumerate().any(|(at, entry)| match entry.payload() {
            Payload::Change(Change::Enrol { .. } | Change::Configure { .. }) => open(at),
            Payload::Blank | Payload::Change(_) | Payload::Voters(..) => false,
        });
        let used = ends || self.hosts[host].disk.has_grant(tie.grant);
        let mut sets =
            log.iter().enumerate().rev().filter_map(|(at, entry)| match entry.payload() {
                Payload::Voters(voters, _) => Some((at, voters)),
                Payload::Blank | Payload::Change(_) => None,
            });
        // Back to the newest that is committed, they are all the same.
        let first = sets.find(|(at, voters)| !open(*at) || **voters != tie.half.voters);
        let settled = first.is_some_and(|(at, voters)| !open(at) && *voters == tie.half.voters);
        (settled && !used).then_some(tie)
    }

    pub(super) fn on_tie_vote(&mut self, host: usize, vote: Option<TieVote>) {
        let Some(raft) = self.raft(host) else { return };
        raft.tie = vote;
        match raft.role {
            Role::Candidate => self.count_votes(host),
            Role::Leader => self.advance(host),
            Role::Follower => {}
        }
    }

    /// Takes the absent voter's vote away, in one entry with the change. As for any change of the
    /// voters, something of the own term is committed before (P12).
    pub(super) fn shrink(&mut self, host: usize, vote: &TieVote, term: Term, change: Change) {
        let counts = self.tie_vote(host).as_ref() == Some(vote);
        let disk = &self.hosts[host].disk;
        let (current, length) = (disk.term() == term, disk.log().len());
        let Some(raft) = self.raft(host) else { return };
        let settled = raft.commit == length && raft.commit >= raft.first;
        if raft.role == Role::Leader && counts && current && settled {
            let mut voters = vote.half.voters.clone();
            voters.remove(&vote.absent);
            self.append(host, Entry::voters(term, voters, Some(change)));
        }
    }
}
