//! What is done to the cluster, drawn by a seed.

use std::fmt;

use stead_lab::Chance;

/// What can be killed, or held still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// `stead guard`.
    Guard,
    /// `stead daemon`.
    Daemon,
    /// An executor of a service of several resources.
    Executor,
    /// The process around a program or an executor.
    Keeper,
    /// The program of a service, or of one of its resources.
    Program,
    /// What the agent started.
    Agent,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guard => "the guard",
            Self::Daemon => "the daemon",
            Self::Executor => "the executor",
            Self::Keeper => "a keeper",
            Self::Program => "a program",
            Self::Agent => "what the agent started",
        })
    }
}

/// One thing that is done to a node, or asked of the cluster there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL.
    Kill(Victim),
    /// SIGSTOP, and SIGCONT later.
    Hold(Victim),
    /// All of the node's processes held still.
    HoldAll,
    /// One of its cables cut: by its network.
    CutLink(&'static str),
    /// Cut off from the other nodes, not from clients.
    CutFromNodes,
    /// Cut off from everything.
    CutOff,
    /// Its power is gone for a time.
    PowerLoss,
    /// Put on standby, and back.
    Standby,
    /// A service is moved there.
    MoveHere(&'static str),
    /// A changed file is applied there.
    Apply,
    /// The agent hangs in an action there, or fails in it.
    AgentHangs(&'static str),
    /// The same, and it says so.
    AgentFails(&'static str),
    /// The disk of its state is full.
    DiskFull,
}

/// Something done on one node, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which node, from 0.
    pub node: usize,
    /// What.
    pub act: Act,
    /// How long it lasts, in milliseconds, if it is something that lasts.
    pub lasts: u64,
    /// The pause before the next one, in milliseconds.
    pub pause: u64,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(victim) => write!(f, "kill {victim}"),
            Self::Hold(victim) => write!(f, "hold {victim}"),
            Self::HoldAll => f.write_str("hold everything"),
            Self::CutLink(lan) => write!(f, "cut {lan}"),
            Self::CutFromNodes => f.write_str("cut off from the nodes"),
            Self::CutOff => f.write_str("cut off"),
            Self::PowerLoss => f.write_str("power loss"),
            Self::Standby => f.write_str("standby"),
            Self::MoveHere(service) => write!(f, "move {service} here"),
            Self::Apply => f.write_str("apply"),
            Self::AgentHangs(action) => write!(f, "agent hangs in {action}"),
            Self::AgentFails(action) => write!(f, "agent fails in {action}"),
            Self::DiskFull => f.write_str("disk full"),
        }
    }
}

impl Act {
    /// The kind, for the table: without what it was done to.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Hold(_) | Self::HoldAll => "hold still",
            Self::CutLink(_) => "one link cut",
            Self::CutFromNodes | Self::CutOff => "cut off",
            Self::PowerLoss => "power loss",
            Self::Standby => "standby and back",
            Self::MoveHere(_) => "move",
            Self::Apply => "apply",
            Self::AgentHangs(_) => "agent hangs",
            Self::AgentFails(_) => "agent fails",
            Self::DiskFull => "disk full",
        }
    }
}

const VICTIMS: [Victim; 6] = [
    Victim::Guard,
    Victim::Daemon,
    Victim::Executor,
    Victim::Keeper,
    Victim::Program,
    Victim::Agent,
];
const ACTIONS: [&str; 3] = ["start", "monitor", "stop"];

/// The next operation.
pub(super) fn draw(chance: &mut Chance, nodes: usize, services: &[&'static str]) -> Operation {
    let last = u64::try_from(nodes.saturating_sub(1)).unwrap_or(0);
    let node = usize::try_from(chance.between(0, last)).unwrap_or(0);
    let victim = chance.one_of(&VICTIMS).unwrap_or(Victim::Daemon);
    let action = chance.one_of(&ACTIONS).unwrap_or("monitor");
    let act = match chance.between(0, 19) {
        0..=4 => Act::Kill(victim),
        5..=7 => Act::Hold(victim),
        8 => Act::HoldAll,
        9 => Act::CutLink(chance.one_of(&["ring", "back", "front"]).unwrap_or("ring")),
        10 => Act::CutFromNodes,
        11 => Act::CutOff,
        12 => Act::PowerLoss,
        13 => Act::Standby,
        14 => Act::MoveHere(chance.one_of(services).unwrap_or_default()),
        15 => Act::Apply,
        16 | 17 => Act::AgentHangs(action),
        18 => Act::AgentFails(action),
        _ => Act::DiskFull,
    };
    let (lasts, pause) = (chance.between(50, 3_000), chance.between(0, 1_500));
    Operation { node, act, lasts, pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_every_kind_comes() {
        let all = |seed| {
            let mut chance = Chance::new(seed);
            let draw = |_| draw(&mut chance, 3, &["web", "parts"]);
            (0..400).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        let mut kinds: Vec<_> = all(7).into_iter().map(|it| it.act.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 11, "{kinds:?}");
        assert!(all(7).iter().all(|it| it.node < 3 && it.lasts <= 3_000 && it.pause <= 1_500));
    }
}
