//! One thing that is done to the world.

use super::{AgentAct, Kind};
use crate::log::Mode;
use crate::plan::NAMES;
use crate::register::Fault;
use crate::world::{Halt, Manner, Moment, World};

/// A machine, by its name or by what it is at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// By its place in [`NAMES`].
    Host(usize),
    /// The one that can decide now.
    Coordinator,
    /// The one that answers for the first service.
    Holder,
    /// The first that is neither.
    Other,
}

/// What is in maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Everything.
    Cluster,
    /// A machine.
    Machine(Target),
    /// A service.
    Service(usize),
}

/// One thing that is done to the world. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// All ways between the group and the rest are lost, on one link or on all.
    Cut(Option<usize>, Vec<Target>),
    /// One way is lost or open again, on one link or on all.
    Way(Option<usize>, Target, Target, bool),
    /// Nothing of that machine's arrives anywhere.
    Mute(Target),
    /// Nothing arrives at that machine.
    Deaf(Target),
    /// A whole link is lost or there again.
    Link(usize, bool),
    /// All ways are open.
    Mend,
    /// A port on the services' segment.
    Port(Target, bool),
    /// A reference point dies, or lives again.
    Point(usize, bool),
    /// A machine's guard knows nothing of reference points, as one of an older version.
    Silent(Target),
    /// Something happens to the quorum server.
    Register(Fault),
    /// A machine's way to the quorum server.
    RegisterWay(Target, bool),
    /// Everything is late by up to the first, for the second.
    Storm(u64, u64),
    /// The newest datagrams of that machine are recorded.
    Record(Target),
    /// What was recorded comes again.
    Replay,
    /// The guard is not run.
    FreezeGuard(Target, u64),
    /// The daemon is not run.
    FreezeDaemon(Target, u64),
    /// Neither is.
    Freeze(Target, u64),
    /// The guard is held up, or killed, between two of its commands.
    CutGuard(Target, Moment, Option<u64>),
    /// The same for the daemon, after so many of its next commands.
    CutDaemon(Target, usize, Option<u64>),
    /// The guard is killed.
    KillGuard(Target),
    /// A guard starts.
    StartGuard(Target),
    /// The daemon is killed.
    KillDaemon(Target),
    /// A daemon starts, and a guard if there is none.
    StartDaemon(Target),
    /// The power is gone.
    PowerOff(Vec<Target>),
    /// The power is back, and what belongs there starts.
    PowerOn(Target),
    /// The node ends on purpose: its services first, all at once.
    Release(Target),
    /// The daemon is asked to end: it stops its services one after the other, then says so.
    Retire(Target),
    /// The machine stands still.
    Halt(Target, Halt, u64),
    /// How the disk behaves from now on.
    Disk(Target, Mode),
    /// The disk is lost.
    LoseDisk(Target),
    /// The clock runs so wrong, in millionths; true: the guard is told that it left the bound.
    Clock(Target, i64, bool),
    /// A stranger answers for a service's address for so long.
    Stranger(usize, u64),
    /// A service's address is removed where it is.
    RemoveAddress(usize),
    /// A service's program ends.
    End(usize),
    /// A service's program does not start there.
    Break(usize, Target),
    /// It would start again.
    Unbreak,
    /// An operator moves a service.
    Move(usize, Target),
    /// An operator sets a node on standby, or off.
    Standby(Target, bool),
    /// An operator sets the ride-out, in milliseconds.
    RideOut(u64),
    /// An operator has the first two services exchange their addresses, or take their own again.
    Swap(bool),
    /// An operator removes a node.
    Leave(Target),
    /// An operator joins a machine as a new node.
    Join(Target),
    /// An operator clears the counts of failures.
    Clear,
    /// An operator disarms the cluster for so long.
    Disarm(u64),
    /// An operator arms it again.
    Arm,
    /// An operator stops nodes for good, or lets them serve again.
    Serve(Vec<Target>, bool),
    /// An operator stops services, or starts them again.
    Services(Vec<usize>, bool),
    /// An operator leaves something as it is, or no longer.
    Maintain(Care, bool),
    /// An operator makes a machine a satellite, or lets it vote.
    Satellite(Target, bool),
    /// An operator says that a machine is off. It is, or nothing holds any more.
    ConfirmOff(Target),
    /// An operator ends a node's quarantine.
    Steady(Target),
    /// An operator says there that the absent half is off, the second time with force.
    Override(Target, bool),
    /// How a machine's fence device goes about what it is asked for, from now on.
    Device(Target, Manner),
    /// Something is done to agents, resources or executors.
    Agents(AgentAct),
}

impl Act {
    /// The kind it counts as; nothing for what only lifts or prepares something.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Cut(None, group) if group.len() == 1 => Kind::Isolate,
            Self::Cut(..) => Kind::Partition,
            Self::Way(.., false) | Self::Mute(_) | Self::Deaf(_) => Kind::OneWay,
            Self::Link(_, false) => Kind::Link,
            Self::Port(_, false) => Kind::Port,
            Self::Point(_, false) => Kind::Point,
            Self::Register(Fault::Up(false)) => Kind::RegisterDown,
            Self::Register(Fault::Lost) => Kind::RegisterLost,
            Self::Register(Fault::Restored) => Kind::RegisterOld,
            Self::RegisterWay(_, false) => Kind::RegisterCut,
            Self::Storm(..) => Kind::Storm,
            Self::Replay => Kind::Replay,
            Self::FreezeGuard(..) => Kind::FreezeGuard,
            Self::FreezeDaemon(..) => Kind::FreezeDaemon,
            Self::Freeze(..) => Kind::FreezeBoth,
            Self::CutGuard(..) => Kind::CutGuard,
            Self::CutDaemon(..) => Kind::CutDaemon,
            Self::KillGuard(_) => Kind::KillGuard,
            Self::KillDaemon(_) => Kind::KillDaemon,
            Self::PowerOff(group) => [Kind::Power, Kind::Blackout][usize::from(group.len() > 1)],
            Self::Release(_) | Self::Retire(_) => Kind::Release,
            Self::Halt(_, Halt::Suspended, _) => Kind::Suspend,
            Self::Halt(_, Halt::Paused, _) => Kind::Hypervisor,
            Self::Disk(_, Mode::Slow(_)) => Kind::DiskSlow,
            Self::Disk(_, Mode::Full) => Kind::DiskFull,
            Self::Disk(_, Mode::Failing) => Kind::DiskFailing,
            Self::LoseDisk(_) => Kind::DiskLost,
            Self::Clock(_, _, true) => Kind::Clock,
            Self::Stranger(..) => Kind::Stranger,
            Self::RemoveAddress(_) => Kind::Address,
            Self::End(_) => Kind::Program,
            Self::Break(..) => Kind::Broken,
            Self::Move(..) => Kind::Move,
            Self::Standby(..) => Kind::Standby,
            Self::RideOut(_) => Kind::Timers,
            Self::Swap(_) => Kind::Swap,
            Self::Leave(_) => Kind::Leave,
            Self::Disarm(_) => Kind::Disarm,
            Self::Satellite(..) => Kind::Satellite,
            Self::Serve(_, false) => Kind::Stopped,
            Self::Agents(act) => return act.kind(),
            Self::Services(_, false) => Kind::ServiceStopped,
            Self::Maintain(_, true) => Kind::Maintenance,
            Self::Device(_, manner) => return (*manner != Manner::Good).then_some(Kind::Device),
            Self::Override(..)
            | Self::Steady(_)
            | Self::ConfirmOff(_)
            | Self::Serve(_, true)
            | Self::Services(_, true)
            | Self::Maintain(_, false)
            | Self::Way(.., true)
            | Self::Link(_, true)
            | Self::Port(_, true)
            | Self::Point(_, true)
            | Self::Register(Fault::Up(true) | Fault::Copied)
            | Self::RegisterWay(_, true)
            | Self::Silent(_)
            | Self::Mend
            | Self::Record(_)
            | Self::StartGuard(_)
            | Self::StartDaemon(_)
            | Self::PowerOn(_)
            | Self::Disk(_, Mode::Good)
            | Self::Clock(_, _, false)
            | Self::Unbreak
            | Self::Join(_)
            | Self::Clear
            | Self::Arm => return None,
        })
    }
}

impl World {
    /// The machine that is meant, if there is one now.
    #[must_use]
    pub fn target(&self, target: Target) -> Option<usize> {
        match target {
            Target::Host(host) => (host < self.hosts.len()).then_some(host),
            Target::Coordinator => self.coordinator(),
            Target::Holder => self.server(0),
            Target::Other => {
                let (coordinator, holder) = (self.coordinator(), self.server(0));
                let taken = |host: &usize| Some(*host) == coordinator || Some(*host) == holder;
                (0..self.hosts.len()).find(|host| !taken(host))
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host(host) => NAMES.get(*host).copied().unwrap_or("?"),
            Self::Coordinator => "coordinator",
            Self::Holder => "holder",
            Self::Other => "other",
        })
    }
}
