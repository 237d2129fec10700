//! Every bound of the quorum server, with its reason.

use std::time::Duration;

/// The longest frame, in bytes, either way. A request with 64 keys and 64 voters is 4 KiB.
pub const FRAME_BYTES: usize = 16 << 10;
/// Member keys of one cluster: four times as many as a cluster may have voters.
pub const MEMBERS: usize = 64;
/// Voters in a question: the same, so that no client fills the memory with a half.
pub const VOTERS: usize = 64;
/// The longest name of a cluster, in bytes.
pub const NAME_BYTES: usize = 64;

/// From accepting a connection to its first whole frame. Two round trips of a bad link, and more.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// A connection on which no whole frame came for this long is closed. Clients say something every
/// [`KEEP_ALIVE`].
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// How long an answer may take to be sent, and sent data to be acknowledged (RFC 5482).
pub(super) const WRITE: Duration = Duration::from_secs(5);
/// How often a client with nothing to ask says that it is there.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Connections that have not yet said who they are. Beyond it the oldest gives way.
pub(super) const STRANGERS: usize = 1_024;
/// Handshakes that are computed at once: one for each of the server's threads.
pub(super) const HANDSHAKES: usize = THREADS;
/// Handshakes that wait for the processor before nobody else is accepted: a twentieth of a second.
pub(super) const HANDSHAKES_WAITING: usize = 64;
/// Threads that serve connections.
pub(super) const THREADS: usize = 2;
/// Connections in all, unless the operator says otherwise: both nodes of 10,000 clusters, and room
/// for larger ones.
pub const CONNECTIONS: usize = 32_768;
/// Connections from one address (IPv6: from one /64, which one machine may have for itself), unless
/// the operator says otherwise. Clusters behind one translated address share it.
pub const CONNECTIONS_PER_ADDRESS: usize = 256;
/// Connections of one node's key; beyond it the oldest is taken for dead and closed.
pub(super) const CONNECTIONS_PER_KEY: usize = 4;
/// File descriptors that are not for connections.
pub(super) const OTHER_DESCRIPTORS: u64 = 64;

/// A rate: that many at once, and one more after each pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// How long it takes for one more to be allowed.
    pub pause: Duration,
}

/// Requests of one node's key: a keep-alive each second, and whatever a tie brings.
pub(super) const PER_KEY: Rate = Rate { burst: 40, pause: Duration::from_millis(50) };
/// Requests from one address: those of all the clusters behind it.
pub(super) const PER_ADDRESS: Rate = Rate { burst: 4_000, pause: Duration::from_micros(500) };
/// New connections from one address, beyond a burst of as many as it may have. A handshake costs
/// most of a millisecond of processor time: one address gets at most a fiftieth of it.
pub(super) const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection rests after a request that came too fast.
pub(super) const REST: Duration = Duration::from_millis(50);

/// Clusters that one server takes: some more than have room to be connected. A backup of them
/// still fits into one answer to the operator.
pub(super) const CLUSTERS: usize = 20_000;
/// Tokens that are kept, the used and expired ones included; those go first.
pub(super) const TOKENS: usize = 1_024;
/// A token that is used or expired is remembered for this long, so that its refusal can say so.
pub(super) const SPENT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Such notes that go into one commit: a grant may have to wait for one.
pub const NOTES_PER_COMMIT: usize = 500;
/// How often it is noted on disk when clusters were last heard.
pub(super) const NOTE_SEEN: Duration = Duration::from_secs(300);
/// Writes that wait for the disk. Each holds a request back, so the bound is never in the way.
pub(super) const WRITES: usize = 65_536;
/// Writes that go into one commit.
pub(super) const WRITES_PER_COMMIT: usize = 4_096;
