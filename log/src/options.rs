//! What a log needs to run, and the numbers it is set to.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use stead_core::id::{ClusterId, NodeId};

use crate::error::OpenError;
use crate::listener::TermListener;
use crate::machine::Machine;
use crate::network::Network;
use crate::rpc::client::SNAPSHOT_TTL;
use crate::store::Disk;

/// All that [`crate::Log::open`] needs.
pub struct Options {
    /// This node. The store remembers it and refuses another.
    pub node: NodeId,
    /// This cluster. The store remembers it and refuses another.
    pub cluster: ClusterId,
    /// Where the log is kept.
    pub disk: Disk,
    /// The log's own timers.
    pub timers: Timers,
    /// When the log is shortened.
    pub snapshots: Snapshots,
    /// The replicated state, as it is before anything happened.
    pub machine: Box<dyn Machine>,
    /// Learns every term before this node votes in it: the guard.
    pub listener: Arc<dyn TermListener>,
    /// What carries messages to the other members.
    pub network: Arc<dyn Network>,
}

/// The log's own timers: the safety net. Elections that matter are called by
/// [`crate::Log::campaign`], long before these run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// A leader's heartbeat, in whole milliseconds.
    pub heartbeat: Duration,
    /// A follower that hears nothing campaigns by itself after `election_max` and a random time
    /// between these two. Also how long a leader without a quorum still takes proposals.
    pub election_min: Duration,
    /// See `election_min`.
    pub election_max: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(200),
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(1000),
        }
    }
}

/// When a snapshot is taken, and how much of the log stays behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// Entries between two snapshots.
    pub every: u64,
    /// Entries kept although a snapshot contains them, so that a member that was away for a short
    /// time is sent entries and not the whole state.
    pub keep: u64,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { every: 4096, keep: 1024 }
    }
}

/// The longest change that can be proposed, in bytes.
pub const CHANGE_BYTES: usize = 128 << 10;

/// Most entries in one message: with [`CHANGE_BYTES`] it stays below what a lane takes.
const ENTRIES_PER_MESSAGE: u64 = 64;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Timers {
    /// openraft's configuration for these timers.
    pub(crate) fn config(
        self,
        cluster: ClusterId,
        snapshots: Snapshots,
    ) -> Result<Config, OpenError> {
        let config = Config {
            cluster_name: cluster.to_string(),
            heartbeat_interval: millis(self.heartbeat).max(1),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(SNAPSHOT_TTL),
            max_payload_entries: ENTRIES_PER_MESSAGE,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshots.every.max(1)),
            max_in_snapshot_log_to_keep: snapshots.keep,
            replication_lag_threshold: snapshots.every.saturating_add(snapshots.keep).max(1),
            purge_batch_size: (snapshots.keep / 4).max(1),
            enable_pre_vote: Some(true),
            // A restarted daemon must not resume a term without its proofs (rule T5).
            enable_leader_restore: Some(false),
            ..Config::default()
        };
        config.validate().map_err(|error| OpenError::Timers(error.to_string()))
    }
}
