//! Voters that come and go while a majority is there, and disks that go back.

use super::log::{Nodes, What, count, each};
use super::state::{Node, State};
use super::{Action, Ties};
use crate::rules::Rule;

impl Ties {
    pub(super) fn change_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..state.count {
            let it = state.node(node);
            let voters = it.voters().0;
            if self.bounds.changes && it.is_settled_leader() {
                let free = it.vote.is_none() && it.taken == 0;
                if free && count(voters).is_multiple_of(2) {
                    let room = state.lated < self.bounds.late;
                    for late in [false, true].into_iter().filter(|late| !late || room) {
                        let users = self.users(state, node);
                        actions.extend(users.map(|by| Action::TakeNumber { node, by, late }));
                    }
                }
                let others = each((1 << state.count) - 1).filter(|other| *other != node);
                let sets = others.map(|other| voters ^ 1 << other);
                actions.extend(sets.map(|voters| Action::Change { node, voters }));
                if it.taken > 0 && !self.keeps(Rule::G14Entry) {
                    actions.push(Action::NumberAlone(node));
                }
            }
            if !self.keeps(Rule::T2) && state.disk_copy.is_none() {
                actions.push(Action::CopyDisk(node));
            }
        }
        if !self.keeps(Rule::T2) && state.disk_copy.is_some() {
            actions.push(Action::RestoreDisk);
        }
    }

    /// Who may use a number that a node takes.
    fn users<'a>(&'a self, state: &'a State, node: u8) -> impl Iterator<Item = u8> + 'a {
        let leads = move |by: &u8| {
            let it = state.node(*by);
            it.is_settled_leader() && it.taken == 0 && it.vote.is_none()
        };
        let others = move |by: &u8| *by != node && !self.keeps(Rule::G14Taker) && leads(by);
        (0..state.count).filter(move |by| *by == node || others(by))
    }

    pub(super) fn number_alone(&self, state: &mut State, node: u8) -> Option<()> {
        let number = std::mem::take(&mut state.node_mut(node).taken);
        self.propose(state, node, What::Number, number)
    }

    pub(super) fn copy_disk(&self, state: &mut State, node: u8) -> Option<()> {
        state.disk_copy = Some((node, state.node(node).disk));
        Some(())
    }

    pub(super) fn restore_disk(&self, state: &mut State) -> Option<()> {
        let (node, disk) = state.disk_copy?;
        let it = state.node_mut(node);
        if it.disk == disk {
            return None;
        }
        it.disk = disk;
        it.forget();
        Some(())
    }

    pub(super) fn change_voters(&self, state: &mut State, node: u8, voters: Nodes) -> Option<()> {
        let it = state.node(node);
        let (before, at) = it.voters();
        let lead = state.lead(it.disk.term)?;
        let halved = it.vote.is_some();
        if !it.is_settled_leader() || at > it.disk.commit || halved || voters == 0 {
            return None;
        }
        let answers = |other: &u8| state.node(*other).disk.term == it.disk.term;
        let answering = each(before).filter(answers).fold(0, |set, other| set | 1 << other);
        let fewer = voters & before == voters;
        if fewer && 2 * count(answering) <= count(before) && self.keeps(Rule::G10) {
            return None;
        }
        let has = |other: u8| lead.acked[usize::from(other)] == it.disk.log.len();
        if each(voters & !before).any(|other| !has(other)) && self.keeps(Rule::G8) {
            return None;
        }
        let needs = count(before).is_multiple_of(2) && self.keeps(Rule::G14);
        let number = if needs { self.number(it)? } else { 0 };
        state.node_mut(node).taken = 0;
        self.propose(state, node, What::Voters(voters), number)
    }

    /// The number under which that coordinator may change an even set; zero for none that is
    /// needed.
    fn number(&self, it: &Node) -> Option<u8> {
        let log = &it.disk.log;
        if !self.keeps(Rule::G14Entry) {
            // It stands in an entry of its own, which is committed.
            let own = |entry: &super::log::Entry| {
                entry.what == What::Number && entry.term == it.disk.term
            };
            return log.upto(it.disk.commit).last().filter(|entry| own(entry)).map(|_| 0);
        }
        let next = it.taken == it.applied() + 1 || !self.keeps(Rule::G14Taker);
        let newest = log.number(log.len()) < it.taken;
        (it.taken > 0 && next && newest).then_some(it.taken)
    }
}
