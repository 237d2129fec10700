//! What happened, in words.

use super::log::name;
use super::{Action, State};

/// An action. Nodes count from one here.
pub(super) fn action(action: Action) -> String {
    let late = |late: bool| if late { ", and once more, later" } else { "" };
    match action {
        Action::Campaign(node) => format!("node {} stands for the next term", node + 1),
        Action::Grant { voter, term, candidate } => {
            format!("node {} gives node {} its vote in term {term}", voter + 1, candidate + 1)
        }
        Action::Lead(node) => format!("node {} has votes enough, leads, and begins", node + 1),
        Action::Append { to, term } => {
            format!("node {} stores the next entry of term {term}'s leader", to + 1)
        }
        Action::Commit(node) => format!("node {} commits", node + 1),
        Action::Learn { to, term } => {
            format!("node {} hears of term {term}'s leader what is committed", to + 1)
        }
        Action::Data(node) => format!("node {} appends a change", node + 1),
        Action::Crash(node) => format!("node {} stops and starts", node + 1),
        Action::AskHalf { node, by, present, absent, register, late: twice } => format!(
            "node {} asks register {} as half {}; if granted, node {} counts node {}{}",
            node + 1,
            register + 1,
            name(present),
            by + 1,
            absent + 1,
            late(twice)
        ),
        Action::TakeNumber { node, by, late: twice } => {
            let user = if node == by { String::new() } else { format!(", for node {}", by + 1) };
            format!("node {} takes a number to change voters{user}{}", node + 1, late(twice))
        }
        Action::Withdraw(node) => format!("node {} sees no half any more", node + 1),
        Action::Late(_) => "a late question arrives at the register".into(),
        Action::Shrink { node, out } => {
            format!("node {} takes the vote of {} away, under its grant", node + 1, name(out))
        }
        Action::UseUp(node) => format!("node {} uses up what the register gave", node + 1),
        Action::Hear { node, late: twice } => {
            let how = if twice { ", which will arrive later" } else { "" };
            format!("node {} tells the register where it stands{how}", node + 1)
        }
        Action::Repair(node) => {
            format!("node {} hears the register's challenge, and proposes a number", node + 1)
        }
        Action::Trust { node, late: twice } => {
            format!("node {} says that it is committed{}", node + 1, late(twice))
        }
        Action::Change { node, voters } => {
            format!("node {} appends the voters {}", node + 1, name(voters))
        }
        Action::NumberAlone(node) => {
            format!("node {} appends the number that it took, by itself", node + 1)
        }
        Action::CopyDisk(node) => format!("somebody copies node {}'s disk", node + 1),
        Action::RestoreDisk => "the copy of the disk is put in place".into(),
        Action::CopyRegister => "the register is copied".into(),
        Action::RestoreRegister => "the register comes back from its copy".into(),
    }
}

/// Where everybody stands after it, on one line.
#[must_use]
pub fn standing(state: &State) -> String {
    let mut parts = Vec::new();
    for node in 0..state.count {
        let it = state.node(node);
        let role = match it.role {
            super::state::Role::Follower => "",
            super::state::Role::Candidate => " stands",
            super::state::Role::Leader => " leads",
        };
        let vote = it.vote.map_or(String::new(), |vote| {
            format!(" tie vote #{} of {} for {}", vote.number, name(vote.present), vote.absent + 1)
        });
        let disk = &it.disk;
        let text =
            format!("{}: t{}{role} {} c{}{vote}", node + 1, disk.term, disk.log, disk.commit);
        parts.push(text);
    }
    let registers: Vec<_> = state.registers.iter().map(|it| it.last().to_string()).collect();
    format!("{}; register {}", parts.join("; "), registers.join(" and "))
}

/// What is wrong with a state, or good about it.
#[must_use]
pub fn outcome(state: &State) -> String {
    state.bad.map_or_else(|| "it is possible".into(), |bad| bad.text().into())
}
