//! Every bound of the transport, with its reason.

use std::time::Duration;

use crate::network::Lane;

/// The versions of the protocol that this build speaks: oldest and newest. 1 is that of stead 0.1
/// and 0.2. In 2 what is replicated may hold things that those don't know, and in 3 what 0.3 does
/// not know.
pub const PROTOCOL: (u16, u16) = (1, 7);

/// A hello and its answer: names and numbers only.
pub(super) const HELLO_BYTES: usize = 1 << 10;
/// A request to join: a token and an offer. Strangers may send this much, and no more.
pub(super) const JOIN_REQUEST_BYTES: usize = 16 << 10;
/// The answer to it: the cluster's configuration.
pub(super) const JOIN_ANSWER_BYTES: usize = 1 << 20;

/// Requests to join that are under way at once; the rest are refused.
pub(super) const JOINS_AT_ONCE: usize = 4;
/// Requests to join that may come in a burst, and how long it takes for one more to be allowed.
/// Guessing a token is thereby no faster than twice a second.
pub(super) const JOIN_BURST: u32 = 10;
pub(super) const JOIN_REFILL: Duration = Duration::from_millis(500);

/// Connections that have not yet said who they are. At the bound the oldest gives way, so that a
/// crowd of silent strangers can't keep out a member, whose handshake takes milliseconds.
pub(super) const STRANGERS: usize = 128;
/// From accepting a connection to knowing who it is.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(2);
/// Connections from one member on one lane; beyond it the oldest is taken for dead and closed.
pub(super) const INCOMING_PER_LANE: usize = 4;
/// Requests under way on one incoming connection; more are refused as busy.
pub(super) const UNDER_WAY: usize = 64;
/// Requests in line for one outgoing connection; more are refused at once.
pub(super) const IN_LINE: usize = 256;
/// Frames between a connection and the task that writes it.
pub(super) const FRAMES_IN_LINE: usize = 128;

/// One attempt to connect to one address, handshake included.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// The head start of one address over the next.
pub(super) const STAGGER: Duration = Duration::from_millis(100);
/// Wait between attempts: from the first to the last, doubling.
pub(super) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(500));

/// The one who connected sends this often on a quiet connection.
pub(super) const PING: Duration = Duration::from_millis(250);
/// An incoming connection without any frame for this long is closed. Longer than any [`silence`],
/// since the one who connected decides.
pub(super) const INCOMING_SILENCE: Duration = Duration::from_secs(30);

/// An outgoing connection on which nothing came back for this long is taken for dead. A snapshot
/// may keep a slow link busy for longer than a lost peer may go unnoticed.
pub(super) fn silence(lane: Lane) -> Duration {
    match lane {
        Lane::Log | Lane::Daemon => Duration::from_secs(1),
        Lane::Bulk => Duration::from_secs(10),
    }
}

/// The longest request or answer on a lane.
pub(super) fn body_bytes(lane: Lane) -> usize {
    match lane {
        // 64 entries of at most 128 KiB, and what is around them.
        Lane::Log => 10 << 20,
        Lane::Bulk => 64 << 20,
        Lane::Daemon => 4 << 20,
    }
}

/// What a frame adds to the body it carries.
pub(super) const FRAME_EXTRA: usize = 64;
