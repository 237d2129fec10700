//! The kinds of faults and disturbances, for the mix of a seed and for counting.

macro_rules! kinds {
    ($($kind:ident $name:literal $doc:literal,)*) => {
        /// A kind of fault, or of what people do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $doc] $kind,)* }

        impl Kind {
            /// All of them, in order.
            pub const ALL: [Self; [$($name,)*].len()] = [$(Self::$kind,)*];

            /// What happens then, in a sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$kind => $doc,)* }
            }

            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    Partition "partition" "The nodes fall into two groups.",
    OneWay "one-way" "One way of one link, or of all, is lost.",
    Isolate "isolate" "One node is cut off.",
    Link "link" "A whole link is lost.",
    Port "port" "A machine's port on the services' segment is down.",
    Storm "storm" "Everything on the networks is late.",
    Replay "replay" "Datagrams that somebody recorded come again.",
    FreezeGuard "freeze-guard" "The guard is not run for a while.",
    FreezeDaemon "freeze-daemon" "The daemon is not run for a while.",
    FreezeBoth "freeze-both" "Neither guard nor daemon is run for a while.",
    CutGuard "cut-guard" "The guard is held up or killed between two of its acts.",
    CutDaemon "cut-daemon" "The daemon is held up or killed between two of its acts.",
    KillGuard "kill-guard" "The guard is killed.",
    KillDaemon "kill-daemon" "The daemon is killed.",
    Power "power" "A machine loses its power.",
    Blackout "blackout" "Several machines lose their power at once.",
    Release "release" "A node ends on purpose.",
    Suspend "suspend" "A machine is suspended.",
    Hypervisor "hypervisor" "A machine is stopped so that none of its clocks shows it.",
    DiskSlow "disk-slow" "A disk takes long for every write.",
    DiskFull "disk-full" "A disk has no room.",
    DiskFailing "disk-failing" "A disk fails its writes.",
    DiskLost "disk-lost" "A disk is lost, and its node replaced by a new one.",
    Clock "clock" "A clock's rate leaves the bound, and the guard is told.",
    Stranger "stranger" "A foreign machine answers for an address.",
    Address "address" "An address is removed behind stead's back.",
    Program "program" "A program ends by itself.",
    Broken "broken" "A program does not start on some node.",
    Move "move" "An operator moves a service.",
    Standby "standby" "An operator sets a node on standby, or off.",
    Timers "timers" "An operator changes the ride-out.",
    Swap "swap" "An operator has two services exchange their addresses.",
    Leave "leave" "An operator removes a node, which joins again as a new one.",
    Point "point" "A reference point on the services' segment dies.",
    RegisterDown "server-down" "The quorum server is down for a while.",
    RegisterLost "server-lost" "The quorum server loses its disk.",
    RegisterOld "server-old" "An old copy of the quorum server's disk is put in place.",
    RegisterCut "server-cut" "A machine can't reach the quorum server.",
    Disarm "disarm" "An operator disarms the cluster for a while, or arms it again.",
    Stopped "stopped" "An operator stops some nodes, or starts them again.",
    Satellite "satellite" "An operator makes a node a satellite, or lets it vote.",
    Agent "agent" "An agent fails, hangs, is slow, lies, or does half of what it is asked for.",
    Part "part" "A resource ends by itself, or works no longer.",
    Executor "executor" "The executor of a service is killed.",
    ServiceStopped "service-stopped" "An operator stops services, or starts them again.",
    Maintenance "maintenance" "An operator leaves something as it is for a while.",
    Device "device" "A fence device is slow, fails, hangs, lies, or has no power of its own.",
}

impl Kind {
    /// Whether it needs something that not every cluster has: a service that consists of
    /// resources, or fence devices.
    #[must_use]
    pub fn is_added(self) -> bool {
        matches!(self, Self::Agent | Self::Part | Self::Executor | Self::Device)
    }
}
