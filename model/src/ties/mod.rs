//! Ties: the tie vote, the log and the register, every order of events within bounds.
//!
//! The log is Raft as a set of facts. What a candidate asks and what a leader says stays there for
//! ever: a message that may arrive at any time, again, or never is all that loss, delay, doubling
//! and reordering can do. A node may stop and start at any moment and keeps its disk. Who seems to
//! be here is nobody's choice: any half may believe that it is one.
//!
//! ```text
//!   consensus   elections, entries, commits (rules G4, G6, G15)
//!   tie         halves, questions, tie votes, the shrink, numbers used up (G1, G2, G5, G11..G13)
//!   change      voters that come and go under a number that was taken (G8, G10, G14)
//! ```
//!
//! The register is the core's own ([`Register::answer`]), as is what it is asked.
//!
//! Failures: a state that must never be carries the reason in [`State::bad`], and the search ends
//! with the shortest way to it.
//!
//! Absent on purpose: leases (the other model), snapshots (rule G9), joint voter sets, which stead
//! never asks for, and an operator's word (rule G18), which stands for a grant by hand.

pub mod cases;
mod change;
mod consensus;
mod describe;
pub mod log;
pub mod state;
mod tie;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use stateright::{Model, Property};
use stead_core::quorum::register::Register;

pub use self::describe::{outcome, standing};
use self::log::{Map, Nodes};
use self::state::{Bad, State};
use crate::rules::{Rule, Without};

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many vote at first.
    pub voters: u8,
    /// How many more there are, which may be given votes.
    pub spare: u8,
    /// The highest term.
    pub terms: u8,
    /// The longest log.
    pub entries: u8,
    /// The highest number that the register gives.
    pub numbers: u8,
    /// How many entries may be data.
    pub data: u8,
    /// How many questions may be doubled, and arrive late.
    pub late: u8,
    /// How often the register may be restored from a copy.
    pub restores: u8,
    /// Whether voters come and go otherwise than by a tie.
    pub changes: bool,
    /// Whether nodes stop and start by themselves. A leader that does nothing any more, or stands
    /// anew, is much the same, and there without.
    pub crashes: bool,
    /// Whether it begins with a leader that everybody has heard.
    pub led: bool,
}

/// The model: bounds, and the rules that are left out.
#[derive(Clone, Debug)]
pub struct Ties {
    /// How far it goes.
    pub bounds: Bounds,
    /// What is left out.
    pub without: Without,
    /// What is looked for instead of what must never be.
    pub goal: Option<cases::Goal>,
    maps: Arc<Vec<Map>>,
}

/// A state, with the number that it shares with all that differ by the names of nodes only.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The state.
    pub state: State,
    digest: u64,
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Hash for Moment {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.digest.hash(to);
    }
}

/// One thing that may happen. Nodes count from zero here, and from one where people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A node stands for the next term.
    Campaign(u8),
    /// A candidate's question arrives, and is granted.
    Grant {
        /// Who grants it.
        voter: u8,
        /// In which term.
        term: u8,
        /// Who asked.
        candidate: u8,
    },
    /// A candidate has votes enough.
    Lead(u8),
    /// The next entry of that term's leader arrives.
    Append {
        /// Where.
        to: u8,
        /// Which term's leader it is from.
        term: u8,
    },
    /// A leader has answers enough.
    Commit(u8),
    /// A follower hears what is committed.
    Learn {
        /// Where.
        to: u8,
        /// Which term's leader it is from.
        term: u8,
    },
    /// A leader appends a change.
    Data(u8),
    /// A node stops, and starts again.
    Crash(u8),
    /// A node believes that it is in this half, and asks. If it is granted, `by` counts the absent
    /// voter from then on.
    AskHalf {
        /// Who asks.
        node: u8,
        /// Who counts what was granted: the same, unless the rule about that is left out.
        by: u8,
        /// The half.
        present: Nodes,
        /// For whom it would be answered.
        absent: u8,
        /// Which register.
        register: u8,
        /// A second copy of the question is under way.
        late: bool,
    },
    /// A coordinator takes a number for a change of the voters.
    TakeNumber {
        /// Who.
        node: u8,
        /// Who uses it: the same, unless the rule about that is left out.
        by: u8,
        /// A second copy of the question is under way.
        late: bool,
    },
    /// A node sees another half, or none.
    Withdraw(u8),
    /// A question that was doubled, or late, arrives.
    Late(u8),
    /// A leader under a tie vote takes votes away.
    Shrink {
        /// The leader.
        node: u8,
        /// Whose.
        out: Nodes,
    },
    /// A coordinator has it committed that the register's number is used up.
    UseUp(u8),
    /// A coordinator tells the register where its state stands.
    Hear {
        /// The coordinator.
        node: u8,
        /// It is under way for long.
        late: bool,
    },
    /// A coordinator that heard the register's challenge proposes a new number.
    Repair(u8),
    /// It says both, once that is committed.
    Trust {
        /// The coordinator.
        node: u8,
        /// It is under way for long, and arrives now as well.
        late: bool,
    },
    /// A coordinator gives a node a vote, or takes it.
    Change {
        /// The coordinator.
        node: u8,
        /// Who votes from then on.
        voters: Nodes,
    },
    /// Only without rule G14-entry: the number that was taken is committed by itself.
    NumberAlone(u8),
    /// Somebody copies a node's disk.
    CopyDisk(u8),
    /// The copy is put in place, and nobody notices.
    RestoreDisk,
    /// The register is copied.
    CopyRegister,
    /// The copy is put in place by `restore`.
    RestoreRegister,
}

impl Bounds {
    /// Whether a search with these is possible.
    ///
    /// # Errors
    /// Says which bound is too wide for the room that the model has.
    pub fn check(&self) -> Result<(), String> {
        let (nodes, most) = (usize::from(self.voters + self.spare), state::MOST);
        if self.voters == 0 || nodes > most {
            return Err(format!("{nodes} nodes: one to {most} are possible"));
        }
        let (entries, longest) = (usize::from(self.entries), log::LONGEST);
        if entries > longest {
            return Err(format!("{entries} entries: at most {longest} are possible"));
        }
        Ok(())
    }
}

impl Ties {
    /// The model.
    #[must_use]
    pub fn new(bounds: Bounds, without: Without) -> Self {
        let maps = Arc::new(Map::all(bounds.voters + bounds.spare));
        Self { bounds, without, goal: None, maps }
    }

    fn keeps(&self, rule: Rule) -> bool {
        self.without.keeps(rule)
    }

    fn moment(&self, state: State) -> Moment {
        let digest = state.digest(&self.maps);
        Moment { state, digest }
    }

    /// What one action makes of a state; nothing if it changes nothing or can't be.
    #[must_use]
    pub fn step(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        self.act(&mut state, action)?;
        self.forget_the_dead(&mut state);
        if state.bad.is_none() && self.two_act(&state) {
            state.bad = Some(Bad::TwoActing);
        }
        Some(state)
    }

    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Campaign(node) => self.campaign(state, node),
            Action::Grant { voter, term, candidate } => self.grant(state, voter, term, candidate),
            Action::Lead(node) => self.lead(state, node),
            Action::Append { to, term } => self.append(state, to, term),
            Action::Commit(node) => self.commit(state, node),
            Action::Learn { to, term } => self.learn(state, to, term),
            Action::Data(node) => self.data(state, node),
            Action::Crash(node) => {
                state.node_mut(node).forget();
                Some(())
            }
            Action::AskHalf { .. } => self.ask(state, action),
            Action::TakeNumber { node, by, late } => self.take(state, (node, by), late),
            Action::Withdraw(node) => self.withdraw(state, node),
            Action::Late(at) => self.late(state, at),
            Action::Shrink { node, out } => self.shrink(state, node, out),
            Action::UseUp(node) => self.use_up(state, node),
            Action::Hear { node, late } => self.hear(state, node, late),
            Action::Repair(node) => self.repair(state, node),
            Action::Trust { node, late } => self.trust(state, node, late),
            Action::Change { node, voters } => self.change_voters(state, node, voters),
            Action::NumberAlone(node) => self.number_alone(state, node),
            Action::CopyDisk(node) => self.copy_disk(state, node),
            Action::RestoreDisk => self.restore_disk(state),
            Action::CopyRegister => self.copy_register(state),
            Action::RestoreRegister => self.restore(state),
        }
    }
}

impl Model for Ties {
    type State = Moment;
    type Action = Action;

    fn init_states(&self) -> Vec<Moment> {
        let registers = if self.keeps(Rule::OneRegister) { 1 } else { 2 };
        let new = State::new(self.bounds.voters, self.bounds.spare, registers);
        vec![self.moment(if self.bounds.led { new.led() } else { new })]
    }

    fn actions(&self, moment: &Moment, actions: &mut Vec<Action>) {
        // What is wrong stays so.
        if moment.state.bad.is_none() {
            self.consensus_actions(&moment.state, actions);
            self.tie_actions(&moment.state, actions);
            self.change_actions(&moment.state, actions);
        }
    }

    fn next_state(&self, moment: &Moment, action: Action) -> Option<Moment> {
        self.step(&moment.state, action).map(|state| self.moment(state))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("safe", |ties: &Self, moment: &Moment| {
            let reached = |goal: cases::Goal| goal.is_reached(&moment.state, &ties.bounds);
            moment.state.bad.is_none() && !ties.goal.is_some_and(reached)
        })]
    }

    fn format_action(&self, action: &Action) -> String {
        describe::action(*action)
    }
}

/// The newest number that any of the registers has given.
fn newest(registers: &[Register]) -> u8 {
    let newest = registers.iter().map(|register| register.last().0).max().unwrap_or(0);
    u8::try_from(newest).unwrap_or(u8::MAX)
}
