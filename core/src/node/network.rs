//! What this node tells people of the network: round trips that the timers do not allow for.
//!
//! Nothing is decided by them. But leases are renewed within the configured round trip, so where it
//! takes longer, stalls that should be ridden out are not; and nobody would know why.

use alloc::vec::Vec;

use super::Node;
use crate::id::NodeId;
use crate::lease::PeerReport;
use crate::notice::Notice;
use crate::table::Table;
use crate::time::{Instant, Span};

/// How many long round trips are told. A single one is no property of the network: a machine that
/// stood still for a moment measures such a one.
const TELLING: u32 = 2;
/// How long a round trip has to be well below what is configured before the next long one is news.
const CALM: Span = Span::from_millis(60_000);

/// The round trips to the others, and what was told of them.
#[derive(Debug, Default)]
pub(super) struct RoundTrips(Table<NodeId, Known>);

/// What is known of one.
#[derive(Debug, Default)]
struct Known {
    /// As it was last reported, with the newest answer that it was measured by.
    measured: Span,
    acknowledged: Option<Instant>,
    /// How many were too long since it was last calm.
    long: u32,
    /// Since when it is half of what is configured, or less.
    calm: Option<Instant>,
}

impl Known {
    /// Whether this is to be told.
    fn take(&mut self, now: Instant, most: Span, peer: &PeerReport) -> bool {
        let measured = peer.round_trip;
        // A long one fades in the reports. Only what does not is another one.
        let another = peer.acknowledged > self.acknowledged && measured >= self.measured;
        (self.measured, self.acknowledged) = (measured, peer.acknowledged);
        if measured > Span(most.0 / 2) {
            self.calm = None;
        } else if now.since(*self.calm.get_or_insert(now)) >= CALM {
            self.long = 0;
        }
        if measured <= most || !another || self.long >= TELLING {
            return false;
        }
        self.long += 1;
        self.long == TELLING
    }
}

impl Node {
    /// Tells of round trips that are longer than configured: once, until all was well for a while.
    pub(super) fn watch_round_trips(&mut self, now: Instant) {
        let Some(report) = &self.report else { return };
        let most = self.state.timers.round_trip;
        let members = &self.state.members;
        self.round_trips.0.retain(|node, _| members.contains_key(node));
        let peers = report.peers.iter().filter(|(node, _)| members.contains_key(node));
        let long: Vec<_> = peers
            .filter(|(node, peer)| {
                self.round_trips.0.get_or_insert_with(**node, Known::default).take(now, most, peer)
            })
            .map(|(node, peer)| (*node, peer.round_trip))
            .collect();
        for (node, span) in long {
            self.notice(Notice::RoundTripExceeded(self.state.name(node), span));
        }
    }
}
