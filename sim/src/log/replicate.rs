//! What a leader has the others write, and what is done with it once it is committed.

use std::collections::BTreeSet;
use std::rc::Rc;

use stead_core::id::{Index, NodeId, Term};
use stead_core::node::{Event, Fate};
use stead_core::state::Change;

use super::entry::{Entry, Payload, Rpc};
use super::tie::majority;
use super::{Asked, Read, Role, Waiting};
use crate::world::World;

impl World {
    pub(super) fn append(&mut self, host: usize, entry: Entry) {
        let length = self.hosts[host].disk.log().len() + 1;
        let then = vec![Waiting::OwnLog(self.hosts[host].disk.term(), length)];
        let write = |_: &mut _, _: &mut _, log: &mut Rc<Vec<Entry>>| {
            Rc::make_mut(log).push(entry);
        };
        if self.write(host, write, then) {
            self.broadcast(host);
        }
    }

    pub(super) fn broadcast(&mut self, host: usize) {
        let (now, me) = (self.now, self.hosts[host].id);
        let disk = &self.hosts[host].disk;
        let (term, log) = (disk.term(), disk.log().clone());
        let mut to: BTreeSet<_> = disk.voters().into_iter().flatten().collect();
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        if daemon.raft.role != Role::Leader {
            return;
        }
        to.extend(daemon.node.state().members.keys());
        daemon.raft.beaten = now;
        let (commit, round) = (daemon.raft.commit, daemon.raft.round);
        for node in to.into_iter().filter(|node| *node != me) {
            let rpc = Rpc::Append { term, log: log.clone(), commit, round };
            self.send_to_node(host, node, rpc);
        }
    }

    pub(super) fn on_propose(
        &mut self,
        host: usize,
        from: NodeId,
        ticket: u64,
        run: u64,
        change: Change,
    ) {
        let term = self.hosts[host].disk.term();
        let length = self.hosts[host].disk.log().len() + 1;
        let Some(raft) = self.raft(host) else { return };
        if raft.role == Role::Leader {
            raft.asked.push(Asked { length, from, ticket, run });
            self.append(host, Entry::change(term, change));
        } else {
            self.send_to_node(host, from, Rpc::Fate { ticket, run, fate: Fate::Lost });
        }
    }

    pub(super) fn on_read(&mut self, host: usize, from: NodeId, run: u64) {
        let Some(raft) = self.raft(host) else { return };
        if raft.role != Role::Leader {
            return;
        }
        raft.round += 1;
        let index = raft.commit.max(raft.first);
        raft.reads.push(Read { from, run, round: raft.round, index });
        self.broadcast(host);
        self.advance(host);
    }

    pub(super) fn on_append(
        &mut self,
        host: usize,
        from: NodeId,
        term: Term,
        log: Rc<Vec<Entry>>,
        (commit, round): (usize, u64),
    ) {
        if !self.learn(host, term) {
            let newer = self.hosts[host].disk.term();
            if newer > term {
                self.send_to_node(host, from, Rpc::Behind { term: newer });
            }
            return;
        }
        let (now, length) = (self.now, log.len());
        let Some(raft) = self.raft(host) else { return };
        raft.role = Role::Follower;
        raft.leader = Some(from);
        raft.contact = now;
        let applied = raft.applied;
        let mine = self.hosts[host].disk.log();
        let mut then = None;
        if let Some(to) = self.host_of(from) {
            then = Some(Waiting::Send(to, Box::new(Rpc::Acked { term, length, round })));
        }
        let mut news = false;
        if !Rc::ptr_eq(mine, &log) {
            let same = |length: &usize| mine[length - 1].term == log[length - 1].term;
            let common = (1..=mine.len().min(length)).rev().find(same).unwrap_or(0);
            if common < length {
                if common < applied {
                    let (name, leader) = (self.hosts[host].name, self.name(from));
                    let what = format!(
                        "{name} has applied {applied} entries, and {leader}, who leads in term \
                         {term}, has only {common} of them"
                    );
                    self.fail("I5", &what);
                    return;
                }
                news = true;
            }
        }
        if news {
            let write = |_: &mut _, _: &mut _, mine: &mut Rc<Vec<Entry>>| *mine = log;
            if !self.write(host, write, then.into_iter().collect()) {
                return;
            }
        } else if let Some(then) = then {
            self.when_safe(host, then);
        }
        if let Some(raft) = self.raft(host) {
            raft.commit = raft.commit.max(commit.min(length));
        }
        self.apply(host);
    }

    pub(super) fn on_acked(
        &mut self,
        host: usize,
        from: NodeId,
        term: Term,
        length: usize,
        round: u64,
    ) {
        let current = term == self.hosts[host].disk.term();
        let Some(raft) = self.raft(host) else { return };
        if current && raft.role == Role::Leader {
            let matched = raft.matched.entry(from).or_default();
            *matched = length.max(*matched);
            let seen = raft.rounds_seen.entry(from).or_default();
            *seen = round.max(*seen);
            self.advance(host);
            self.let_join(host, from);
        }
    }

    /// Commits what a majority has on disk, answers reads, applies.
    pub(super) fn advance(&mut self, host: usize) {
        let me = self.hosts[host].id;
        let disk = &self.hosts[host].disk;
        let (term, log) = (disk.term(), disk.log().clone());
        let (voters, tie) = (disk.voters(), self.tie_vote(host));
        let tie = tie.as_ref();
        let Some(raft) = self.raft(host) else { return };
        if raft.role == Role::Leader {
            let before = raft.commit;
            for length in (before + 1..=log.len()).rev() {
                let has = |node| raft.matched.get(&node) >= Some(&length);
                if log[length - 1].term == term && majority(&voters, tie, has) {
                    raft.commit = length;
                    break;
                }
            }
            let moved = raft.commit > before;
            let mut answers = Vec::new();
            if raft.commit >= raft.first {
                let seen = &raft.rounds_seen;
                raft.reads.retain(|read| {
                    let has = |node| node == me || seen.get(&node) >= Some(&read.round);
                    let known = majority(&voters, tie, has);
                    if known {
                        answers.push((read.from, read.run, read.index));
                    }
                    !known
                });
            }
            for (from, run, index) in answers {
                self.send_to_node(host, from, Rpc::ReadAt { run, index });
            }
            if moved {
                self.broadcast(host);
            }
        }
        self.apply(host);
    }

    fn apply(&mut self, host: usize) {
        let gap = self.plan.snapshot_gap;
        if let Some(raft) = self.raft(host)
            && raft.role == Role::Follower
            && raft.commit > raft.applied + gap
        {
            self.install(host);
        }
        while let Some(daemon) = &mut self.hosts[host].daemon {
            let raft = &mut daemon.raft;
            if raft.applied >= raft.commit || self.judges.verdict.is_some() {
                break;
            }
            raft.applied += 1;
            let length = raft.applied;
            let asked = raft.asked.iter().position(|it| it.length == length);
            let asked = asked.map(|at| raft.asked.swap_remove(at));
            let index = Index(length as u64);
            let disk = &mut self.hosts[host].disk;
            let entry = disk.log()[length - 1].clone();
            disk.committed_up_to(length);
            let Some(daemon) = &mut self.hosts[host].daemon else { break };
            let outcome = entry.apply(&mut daemon.replica, index);
            self.judge_applied(host, length, &entry, &outcome);
            self.node_handle(host, entry.event(index));
            if let Payload::Change(change) = entry.payload() {
                self.judge_rules(host, change);
            }
            let differs = |it: &crate::world::Daemon| *it.node.state() != it.replica;
            if self.hosts[host].daemon.as_ref().is_some_and(differs) {
                self.fail("I5", "a node's state differs from the log's");
            }
            if let Some(Asked { from, ticket, run, .. }) = asked {
                let fate = Fate::Committed(index, outcome);
                self.send_to_node(host, from, Rpc::Fate { ticket, run, fate });
            }
        }
    }

    /// A follower that is far behind gets the state instead of the entries (P11).
    fn install(&mut self, host: usize) {
        let log = self.hosts[host].disk.log().clone();
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        let (applied, commit) = (daemon.raft.applied, daemon.raft.commit);
        for (at, entry) in log.iter().enumerate().take(commit).skip(applied) {
            entry.apply(&mut daemon.replica, Index(at as u64 + 1));
        }
        daemon.raft.applied = commit;
        let state = daemon.replica.clone();
        self.hosts[host].disk.committed_up_to(commit);
        self.cover.snapshots += 1;
        self.note(Some(host), || format!("> snapshot up to {commit}"));
        self.node_handle(host, Event::Restored(state));
    }

    /// Has a node vote that waited to be there, once it is.
    fn let_join(&mut self, host: usize, from: NodeId) {
        let (term, length) = (self.hosts[host].disk.term(), self.hosts[host].disk.log().len());
        let Some(raft) = self.raft(host) else { return };
        let there = raft.commit == length && raft.matched.get(&from) >= Some(&length);
        let joins = raft.joining.take_if(|(_, node, _)| *node == from && there);
        if let Some((_, node, under)) = joins.filter(|(of, ..)| *of == term) {
            self.change_voter(host, node, true, under);
        }
    }

    /// One voter more or less, if the last such step is committed and so is an own entry (P12).
    /// With a number only if the log has none that is as new.
    pub(super) fn change_voter(
        &mut self,
        host: usize,
        node: NodeId,
        on: bool,
        under: Option<Change>,
    ) {
        let disk = &self.hosts[host].disk;
        let (term, sets, length) = (disk.term(), disk.voters(), disk.log().len());
        let Some(raft) = self.raft(host) else { return };
        let Some(mut voters) = sets.into_iter().next() else { return };
        let settled = raft.commit == length && raft.commit >= raft.first;
        // Who is to vote has caught up first: a single voter could commit nothing with one that is
        // not there yet.
        let there = !on || raft.matched.get(&node) >= Some(&length);
        if raft.role == Role::Leader && !there {
            raft.joining = Some((term, node, under));
            return;
        }
        raft.joining = None;
        if raft.role != Role::Leader || !settled {
            return;
        }
        let changed = if on { voters.insert(node) } else { voters.remove(&node) };
        let late = under.as_ref().and_then(Change::grant);
        let late = late.is_some_and(|number| self.hosts[host].disk.has_grant(number));
        if changed && !voters.is_empty() && !late {
            self.append(host, Entry::voters(term, voters, under));
        }
    }
}
