//! Halves, the register, and what a half makes of its grant.

use std::sync::Arc;

use stead_core::id::Grant;
use stead_core::quorum::ask::Question;
use stead_core::quorum::register::{Refusal, Register};

use super::log::{Nodes, What, count, each};
use super::state::{Node, Role, State, Vote, challenge, half};
use super::{Action, Ties, newest};
use crate::rules::Rule;

impl Ties {
    pub(super) fn tie_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let room = state.lated < self.bounds.late;
        for late in [false, true].into_iter().filter(|late| !late || room) {
            for node in 0..state.count {
                let it = state.node(node);
                self.half_actions(state, node, late, actions);
                if it.is_settled_leader() {
                    actions.push(Action::Hear { node, late });
                    actions.push(Action::Trust { node, late });
                }
            }
        }
        for node in 0..state.count {
            let it = state.node(node);
            if it.vote.is_some() || it.taken > 0 {
                actions.push(Action::Withdraw(node));
            }
            if it.is_settled_leader() {
                actions.push(Action::UseUp(node));
                actions.push(Action::Repair(node));
                if let Some(vote) = it.vote {
                    let out = self.out(&vote);
                    actions.extend(out.map(|out| Action::Shrink { node, out }));
                }
            }
        }
        let late = u8::try_from(state.late.len()).unwrap_or(u8::MAX);
        actions.extend((0..late).map(Action::Late));
        if self.bounds.restores > state.restored {
            actions.extend([Action::CopyRegister, Action::RestoreRegister]);
        }
    }

    /// The halves that a node may believe to be in.
    fn half_actions(&self, state: &State, node: u8, late: bool, actions: &mut Vec<Action>) {
        let it = state.node(node);
        if it.vote.is_some() {
            return;
        }
        let voters = it.voters().0;
        for present in halves(node, voters) {
            let counting = if self.keeps(Rule::Asker) { 1 << node } else { present };
            for by in each(counting) {
                for absent in each(voters & !present) {
                    let registers = u8::try_from(state.registers.len()).unwrap_or(1);
                    let asks = (0..registers).map(|register| Action::AskHalf {
                        node,
                        by,
                        present,
                        absent,
                        register,
                        late,
                    });
                    actions.extend(asks);
                }
            }
        }
    }

    /// Which votes a shrink may take away.
    fn out(&self, vote: &Vote) -> impl Iterator<Item = Nodes> + use<> {
        let absent = vote.voters & !vote.present;
        let one = 1 << vote.absent;
        let sets = if !self.keeps(Rule::G11) {
            vec![absent]
        } else if !self.keeps(Rule::G16) {
            each(absent & !one).map(|node| 1 << node).collect()
        } else {
            vec![one]
        };
        sets.into_iter()
    }

    pub(super) fn late(&self, state: &mut State, at: u8) -> Option<()> {
        let question = state.late.remove(at.into());
        self.register(state, 0, &question);
        Some(())
    }

    pub(super) fn copy_register(&self, state: &mut State) -> Option<()> {
        let copy = Some(state.registers[0].clone());
        (state.register_copy != copy).then(|| state.register_copy = copy)
    }

    pub(super) fn ask(&self, state: &mut State, action: Action) -> Option<()> {
        let Action::AskHalf { node, by, present, absent, register, late } = action else {
            return None;
        };
        let it = state.node(node);
        let voters = it.voters().0;
        let log = &it.disk.log;
        let known = if self.keeps(Rule::G2) { it.applied() } else { log.number(log.len()) };
        let question = Question::Ask { known: Grant(known.into()), half: half(present, voters) };
        let before = Arc::clone(&state.registers);
        let granted = self.register(state, register, &question);
        if late {
            self.send_late(state, question);
        }
        let it = state.node_mut(by);
        if let Some(number) = granted
            && number > it.applied()
            && it.voters().0 == voters
            && it.vote.is_none()
        {
            it.vote = Some(Vote { number, present, voters, absent });
            return Some(());
        }
        (late || before != state.registers).then_some(())
    }

    pub(super) fn take(&self, state: &mut State, (node, by): (u8, u8), late: bool) -> Option<()> {
        let question = Question::Take { known: Grant(state.node(node).applied().into()) };
        let before = Arc::clone(&state.registers);
        let taken = self.register(state, 0, &question);
        if late {
            self.send_late(state, question);
        }
        state.node_mut(by).taken = taken.unwrap_or(0);
        (late || before != state.registers).then_some(())
    }

    fn send_late(&self, state: &mut State, question: Question) {
        state.late.push(question);
        state.lated += 1;
    }

    /// The register answers, as the core has it, but for the rules that are left out.
    fn register(&self, state: &mut State, at: u8, question: &Question) -> Option<u8> {
        let anew = challenge(u64::from(state.restored) + 10);
        let full = newest(&state.registers) >= self.bounds.numbers;
        let register = &mut Arc::make_mut(&mut state.registers)[usize::from(at)];
        if let Question::Ask { known, .. } | Question::Take { known } = question
            && full
            && *known >= register.last()
        {
            // The bound: nothing newer is given.
            return None;
        }
        if let (Question::Hear { known }, Some(challenge)) = (question, register.distrusted())
            && !self.keeps(Rule::G13)
        {
            register.trust(challenge, *known);
        }
        let granted = match register.answer(question, anew).grant {
            Some(Err(Refusal::Taken(_))) if !self.keeps(Rule::G1) => Ok(register.last()),
            granted => granted?,
        };
        granted.ok().and_then(|number| u8::try_from(number.0).ok())
    }

    pub(super) fn withdraw(&self, state: &mut State, node: u8) -> Option<()> {
        let it = *state.node(node);
        if !self.keeps(Rule::G6)
            && let (Some(vote), Role::Leader) = (it.vote, it.role)
        {
            self.believe(state, node, &it, &vote)?;
        }
        let it = state.node_mut(node);
        (it.vote, it.taken) = (None, 0);
        Some(())
    }

    /// Without rule G6, the log's engine goes on believing what was answered for the absent voter.
    fn believe(&self, state: &mut State, node: u8, it: &Node, vote: &Vote) -> Option<()> {
        let lead = state.lead_mut(it.disk.term)?;
        let others = each(vote.present & !(1 << node));
        let all = others.map(|other| lead.acked[usize::from(other)]).min();
        let all = all.unwrap_or(it.disk.log.len());
        if self.counts(it, node, vote) {
            let believed = &mut lead.acked[usize::from(vote.absent)];
            *believed = all.max(*believed);
        }
        Some(())
    }

    pub(super) fn shrink(&self, state: &mut State, node: u8, out: Nodes) -> Option<()> {
        let it = state.node(node);
        let vote = it.vote.filter(|vote| self.counts(it, node, vote))?;
        let (voters, at) = it.voters();
        if at > it.disk.commit {
            return None;
        }
        if self.keeps(Rule::G5) {
            return self.propose(state, node, What::Voters(voters & !out), vote.number);
        }
        // Used up first, by itself, under the vote; the smaller set after it.
        if it.applied() < vote.number && it.disk.log.number(it.disk.log.len()) < vote.number {
            return self.propose(state, node, What::Number, vote.number);
        }
        let used = it.applied() == vote.number;
        used.then(|| self.propose(state, node, What::Voters(voters & !out), 0)).flatten()
    }

    /// A grant that was won and not used is used up (rule G12).
    pub(super) fn use_up(&self, state: &mut State, node: u8) -> Option<()> {
        let it = state.node(node);
        let register = &state.registers[0];
        let last = u8::try_from(register.last().0).ok()?;
        let halved = it.vote.is_some() && self.keeps(Rule::G17);
        let known = it.disk.log.number(it.disk.log.len());
        let idle = !halved && it.taken == 0 && register.distrusted().is_none();
        if !self.keeps(Rule::G12) || !idle || last <= known {
            return None;
        }
        self.propose(state, node, What::Number, last)
    }

    pub(super) fn hear(&self, state: &mut State, node: u8, late: bool) -> Option<()> {
        let known = Question::Hear { known: Grant(state.node(node).applied().into()) };
        if late {
            self.send_late(state, known);
            return Some(());
        }
        let before = Arc::clone(&state.registers);
        self.register(state, 0, &known);
        (before != state.registers).then_some(())
    }

    /// The register's challenge is heard: a new number is proposed after it.
    pub(super) fn repair(&self, state: &mut State, node: u8) -> Option<()> {
        let it = state.node(node);
        let challenge = state.registers[0].distrusted()?.0;
        let free = it.vote.is_none() && it.taken == 0;
        let known = it.disk.log.number(it.disk.log.len());
        let last = u8::try_from(state.registers[0].last().0).ok()?;
        let number = last.max(it.applied()) + 1;
        if !free || it.repair.is_some() || number > self.bounds.numbers || known >= number {
            return None;
        }
        self.propose(state, node, What::Number, number)?;
        state.node_mut(node).repair = Some((challenge, number));
        Some(())
    }

    pub(super) fn trust(&self, state: &mut State, node: u8, late: bool) -> Option<()> {
        let it = state.node_mut(node);
        let (heard, number) = it.repair.filter(|(_, number)| it.applied() >= *number)?;
        it.repair = None;
        let challenge = challenge(heard);
        let trust = Question::Trust { challenge, known: Grant(number.into()) };
        if late {
            self.send_late(state, trust.clone());
        }
        self.register(state, 0, &trust);
        Some(())
    }

    pub(super) fn restore(&self, state: &mut State) -> Option<()> {
        let mut copy: Register = state.register_copy.clone()?;
        state.restored += 1;
        let anew = challenge(u64::from(state.restored));
        if self.keeps(Rule::G13Anew) {
            copy.distrust_anew(anew);
        } else {
            copy.distrust(anew);
        }
        Arc::make_mut(&mut state.registers)[0] = copy;
        Some(())
    }
}

/// The halves of the voters with that node in it.
fn halves(node: u8, voters: Nodes) -> impl Iterator<Item = Nodes> {
    (1..=voters).filter(move |set| {
        set & !voters == 0 && set & 1 << node != 0 && 2 * count(*set) == count(voters)
    })
}
