//! Every family of metrics, declared once: name, type, labels and meaning.
//!
//! Names follow Prometheus' conventions: one prefix, base units (seconds, bytes) at the end,
//! `_total` on what only grows. No label has more values than the configuration has names, or than
//! a list in this program has entries.
//!
//! Processes have `stead_process_...` in place of the usual `process_...`: there are two of them,
//! and node_exporter refuses a text file that repeats a name of its own.

/// One family: samples with the same name and different labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// The names of its labels, in their order.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence. The book's table has the same words.
    pub help: &'static str,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins at zero when the daemon does, unless its meaning says otherwise.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    /// Its name in the text format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Declares the families of one kind of process, and the list of all of them.
macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(pub(super) const $id: $crate::metrics::family::Family =
            $crate::metrics::family::Family {
            name: $name,
            kind: $crate::metrics::family::Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*
        /// Every family, in the order in which they are shown.
        pub const ALL: &[$crate::metrics::family::Family] = &[$($id),*];
    };
}

pub(crate) use families;

families! {
    BUILD: Gauge "stead_build_info" ["version"]
        "Always 1; the version of the daemon.";
    NODE: Gauge "stead_node_info" ["cluster" "node"]
        "Always 1; the cluster's name and this node's.";

    PROTECTED: Gauge "stead_protected" []
        "1 if every service runs and would survive the failure of any one node or link.";
    CONCERNS: Gauge "stead_concerns" ["level"]
        "What `stead status` complains of: outage, risk or note.";
    DISARMED: Gauge "stead_disarmed" []
        "1 while the cluster is disarmed: nothing moves, whatever happens.";
    READY: Gauge "stead_ready" []
        "1 once this run of the daemon has caught up with the log.";

    QUORUM: Gauge "stead_quorum" []
        "1 if this node hears a majority of the voters, itself included.";
    VOTERS: Gauge "stead_voters" []
        "How many nodes vote.";
    VOTERS_PRESENT: Gauge "stead_voters_present" []
        "How many voters this node hears, itself included.";
    VOTERS_SPARE: Gauge "stead_voters_spare" []
        "How many voters present may fail before there is no quorum.";
    GRANT: Gauge "stead_grant" []
        "The number of the newest grant that is used up: it grows when half of the voters goes on.";
    TIE_BREAKER: Gauge "stead_tie_breaker_up" ["module"]
        "1 if what breaks ties answers this node; absent if nothing does, or it was not asked yet.";
    COORDINATES: Gauge "stead_coordinates" []
        "1 if this node coordinates and may decide.";
    COORDINATOR: Gauge "stead_coordinator_known" []
        "1 if this node knows who coordinates.";
    TERM: Gauge "stead_term" []
        "The term: it grows with every election.";
    EPOCH: Gauge "stead_view_epoch" []
        "The number of the view.";
    MEMBERS: Gauge "stead_view_members" []
        "How many nodes are in the view.";
    CONFIGURED: Gauge "stead_nodes_configured" []
        "How many nodes the configuration names.";
    REVISION: Gauge "stead_configuration_revision" []
        "Which version of the configuration is in force.";
    INCIDENTS: Counter "stead_incidents_total" []
        "How many incidents there were since the cluster began; all nodes agree on it.";
    MOVES: Counter "stead_moves_total" ["cause"]
        "Moves of services that this daemon saw, by cause.";
    NOTICES: Counter "stead_notices_total" ["notice"]
        "Lines that this daemon wrote to its journal, by kind.";
    MISSED: Counter "stead_notices_missed_total" []
        "Lines of the journal that were not counted because they came too fast.";

    LEASE: Gauge "stead_lease_held" []
        "1 if this node has a lease: without one it serves nothing.";
    GUARD: Gauge "stead_guard_connected" []
        "1 if this node's guard answers its daemon.";
    CLOCK: Gauge "stead_clock_distrusted" []
        "1 if the clock's rate is off and the guard gets no lease for that.";
    TROUBLES: Gauge "stead_guard_troubles" []
        "Things that the guard said it can't do, such as arming its gate; 8 are kept.";
    REALTIME: Gauge "stead_guard_realtime" []
        "1 if the guard runs with real-time priority.";
    LOCKED: Gauge "stead_guard_memory_locked" []
        "1 if the guard's memory is locked.";
    GATE: Gauge "stead_gate_info" ["form"]
        "Always 1; the form of the gate in front of the services' addresses.";
    KEEPER: Gauge "stead_keeper_info" ["form"]
        "Always 1; how programs are kept that must end with the lease: namespace, group or none.";
    SLACK: Gauge "stead_gate_slack_seconds" []
        "How late this node's kernel may shut the gate.";
    GATE_ERRORS: Counter "stead_gate_errors_total" []
        "How often the gate did not obey, such as in arming it, since the guard started.";
    REJECTED: Counter "stead_datagrams_rejected_total" ["reason"]
        "Datagrams on the links that were not taken, by reason.";

    NODE_STATE: Gauge "stead_node_state" ["node" "state"]
        "1 for the state in which this node sees a node, 0 for the others.";
    STANDBY: Gauge "stead_node_standby" ["node"]
        "1 if the node is on standby.";
    SATELLITE: Gauge "stead_node_satellite" ["node"]
        "1 if the node is a satellite, which serves and has no vote.";
    STOPPED: Gauge "stead_node_stopped" ["node"]
        "1 if an operator stopped the node, and it serves nothing until it is started.";
    QUARANTINE: Gauge "stead_node_quarantined" ["node"]
        "1 if the node was lost so often that it is given services only as a last resort.";
    FENCING: Gauge "stead_node_fencing" ["node" "state"]
        "1 for one of proven, unproven, failed, doubted, under-way, off, cut-off: is it fenceable?";
    FENCING_PROVEN: Gauge "stead_node_fencing_proven_timestamp_seconds" ["node"]
        "When the node's fence devices last did what they were asked; absent if they never did.";
    FENCE_FAILURES: Gauge "stead_node_fence_failures" ["node"]
        "How many attempts in a row to switch the lost node off have failed.";
    WATCHDOG: Gauge "stead_node_watchdog_relied_on" ["node"]
        "1 if the node's watchdog is armed, and relied on should the node be lost.";
    ROUND_TRIP: Gauge "stead_peer_round_trip_seconds" ["peer"]
        "How long a heartbeat and its answer take.";
    HEARS_US: Gauge "stead_peer_hears_us" ["peer"]
        "1 if the peer, which is heard, hears this node.";
    DAEMON: Gauge "stead_peer_daemon_up" ["peer"]
        "1 if the daemon of the peer, which is heard, works.";
    LINK_UP: Gauge "stead_link_up" ["peer" "link"]
        "1 if heartbeats of the peer arrive on the link.";
    LINK_SILENCE: Gauge "stead_link_silence_seconds" ["peer" "link"]
        "How long ago the last heartbeat of the peer arrived on the link.";
    LINK_HEARD: Gauge "stead_link_heard_by_peer" ["peer" "link"]
        "1 if the peer says that heartbeats of this node arrive there on the link.";

    POINT: Gauge "stead_point_answers" ["network" "point" "node"]
        "1 if the reference point answers the node, 0 if not, as far as this node was told.";
    POINT_BEHIND: Gauge "stead_point_behind" ["network" "point" "node"]
        "1 if the reference point does not answer the node while it answers others.";

    LINK_SENT: Counter "stead_link_heartbeats_sent_total" ["peer" "link"]
        "Heartbeats to the peer on the link that the kernel took, since the guard started.";
    LINK_RECEIVED: Counter "stead_link_heartbeats_received_total" ["peer" "link"]
        "Heartbeats of the peer that arrived on the link, since the guard started.";

    HERE: Gauge "stead_service_here" ["service"]
        "1 if the service is assigned to this node.";
    SERVING: Gauge "stead_service_serving" ["service"]
        "1 if clients are served, as far as this node knows.";
    SERVICE_EPOCH: Gauge "stead_service_epoch" ["service"]
        "The number of the service's assignment.";
    FAILURES: Gauge "stead_service_failures" ["service"]
        "How often it failed on any node since the last `stead clear`.";
    SERVICE_MOVES: Counter "stead_service_moves_total" ["service"]
        "Moves of the service that this daemon saw.";
    CONTESTED: Gauge "stead_service_contested" ["service"]
        "1 if this node serves it and a stranger used one of its addresses in the last minute.";
    ANSWER: Gauge "stead_service_answer_seconds" ["service"]
        "How long the newest good answer to the service's monitor took, on the node that has it.";
    REST: Gauge "stead_service_stopped" ["service"]
        "1 if an operator stopped the service: it runs nowhere until it is started.";
    MAINTENANCE: Gauge "stead_service_maintenance" ["service"]
        "1 if the service is in maintenance, and so left as it is.";
    CLIENTS: Gauge "stead_service_connections" ["service"]
        "TCP connections of the service's clients that this node knows of, wherever it runs.";
    CLIENTS_TOLD: Counter "stead_service_clients_told_total" ["service"]
        "Clients that this node told that their connection to a former holder is gone.";
    OUTAGE: Gauge "stead_service_last_outage_seconds" ["service"]
        "The newest move: from the former holder's last sign of life to the last stage reached.";

    LOG_RUNNING: Gauge "stead_log_running" []
        "0 if the log has stopped, since its disk failed.";
    LOG_LAST: Gauge "stead_log_last_index" []
        "The last entry on this node's disk.";
    LOG_COMMITTED: Gauge "stead_log_committed_index" []
        "The last entry that is known here to be committed.";
    LOG_APPLIED: Gauge "stead_log_applied_index" []
        "The last entry that this node has applied.";
    LOG_COMMITS: Counter "stead_log_commits_total" []
        "Changes that this node proposed as the log's leader and that were committed.";
    LOG_COMMIT_TIME: Counter "stead_log_commit_seconds_total" []
        "Time that these took together, each from its proposal until it was applied here.";

    CPU: Counter "stead_process_cpu_seconds_total" ["process"]
        "Processor time of the guard or the daemon since it started.";
    RESIDENT: Gauge "stead_process_resident_memory_bytes" ["process"]
        "Memory of the guard or the daemon that is in RAM.";
    THREADS: Gauge "stead_process_threads" ["process"]
        "Threads of the guard or the daemon.";
}
