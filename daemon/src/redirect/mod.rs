//! Performs on the wire what the core decided about addresses: asks, announces, defends.
//!
//! # What it is for
//! Before an address is claimed, [`Redirect::probe`] asks whether anybody else uses it. Once the
//! guard holds it, [`Redirect::announce`] tells the segment where it lives now, again and again by
//! the core's schedule, until [`Redirect::quiet`]. ARP (RFC 826, 5227) for IPv4, neighbour
//! discovery (RFC 4861, 4862) for IPv6. When, and for which address, is decided elsewhere.
//!
//! # Happy path
//! ```text
//! probe:    1..n questions ─▶ nobody answers for the time given ─▶ Probed { conflict: None }
//! announce: both forms at once, inside the call ─▶ Announced ─▶ the same again by the schedule
//! ```
//! One socket per interface serves all services on it; it stays open, so the first announcement
//! costs no more than a look at the interface and the sending. Received frames are handed to those
//! who watch the address they are about, however many services there are.
//!
//! # Conflicts
//! A stranger is a MAC that no interface of this node has. While probing: whoever uses the address
//! is a conflict; who merely asks for it as well is one only in a thorough probe (more than one
//! question, RFC 5227 2.1.1), because in a takeover the other asker is another node that is about
//! to learn who won. While announcing: a stranger that uses the address is told as a notice, at
//! most once per ten seconds per MAC, and answered by announcing again, at most once per second.
//!
//! RFC 5227 2.4 (c) has ten seconds (DEFEND_INTERVAL) between defences, to spare the segment a
//! quarrel of two hosts without end. Here the other one mostly is a former holder that was paused
//! and speaks once or twice before its gate shuts, and each second that neighbours believe it costs
//! clients a second; two frames per second and quarrel are no burden. What falls into that second
//! is not dropped but answered at its end, so that the last word is ours.
//!
//! # Failures
//! An interface that is missing, down or without signal makes a probe a conflict in words: an
//! address must not be claimed where nobody can be reached. An announcement that can't leave is
//! told as a notice of its own (`announce-failed`) and tried again every 100 ms until it does. When
//! an interface comes back
//! (turned on, its signal there again) the schedule of what is announced there begins anew, at most
//! once per second: the switch behind it may have forgotten us, and a port may need a while before
//! it passes frames.
//!
//! # Deliberately absent
//! Tagged frames, proxies and anycast addresses. Listening in groups of other addresses: a
//! stranger's simultaneous IPv6 probe is seen only where the card lets that group through; one that
//! *uses* the address answers to all nodes, which is always seen. Signals that were away for less
//! than a second: the kernel need not tell of them, and the slow refresh covers those.

mod announce;
mod interface;
mod probe;
mod returns;
mod segment;
mod strangers;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::notice::Notice;
use stead_core::redirect::Probing;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

pub use interface::{InterfaceError, interface_for, target};
use segment::Segments;
pub use strangers::Stranger;

/// An address and the interface on which it lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The address.
    pub address: IpAddr,
    /// The interface's name.
    pub interface: String,
}

/// Asks for each address who else uses it, if anybody does, in words; for addresses that no service
/// has. Sockets are opened for it and closed again.
///
/// It works in the network namespace of the thread that calls it, inside a tokio runtime.
///
/// # Errors
/// It can't be found out, and why: an interface that is missing, down or without signal.
pub async fn who_uses(
    targets: Vec<Target>,
    probing: Probing,
) -> Result<Vec<(Target, Option<String>)>, String> {
    probe::each(&Arc::new(Segments::default()), targets, probing).await
}

/// Asks and announces for the services of this node.
///
/// It works in the network namespace of the thread that calls it, inside a tokio runtime. All calls
/// return at once; what comes of them are events and notices.
pub struct Redirect {
    segments: Arc<Segments>,
    events: UnboundedSender<Event>,
    notices: UnboundedSender<Notice>,
    announcing: BTreeMap<ServiceId, AbortHandle>,
    returns: returns::Watch,
}

impl Redirect {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(events: UnboundedSender<Event>, notices: UnboundedSender<Notice>) -> Self {
        let segments = Arc::new(Segments::default());
        let returns = returns::Watch::default();
        Self { segments, events, notices, announcing: BTreeMap::new(), returns }
    }

    /// Asks whether anybody else uses one of the addresses; `Probed` comes with the first conflict,
    /// or when the time is over.
    pub fn probe(
        &mut self,
        service: ServiceId,
        epoch: Epoch,
        targets: Vec<Target>,
        probing: Probing,
    ) {
        let events = self.events.clone();
        let probe = probe::all(&self.segments, targets, probing);
        tokio::spawn(async move {
            let conflict = probe.await.err();
            // Nobody listens any more only when the daemon ends.
            let _ = events.send(Event::Probed { service, epoch, conflict });
        });
    }

    /// Announces the addresses: the first frames have left when this returns (unless the interface
    /// refuses), `Announced` is sent once each address was announced. It goes on until
    /// [`Self::quiet`], or the next call for the same service.
    pub fn announce(&mut self, service: ServiceId, epoch: Epoch, targets: Vec<Target>) {
        self.quiet(&service);
        let announcer = announce::Announcer::first(
            self.segments.clone(),
            service.clone(),
            epoch,
            targets,
            (self.events.clone(), self.notices.clone()),
        );
        // After the first frames, for which clients wait.
        let announcer = announcer.following(self.returns.follow());
        self.announcing.insert(service, tokio::spawn(announcer.run()).abort_handle());
    }

    /// Announces, watches and defends the service's addresses no longer.
    pub fn quiet(&mut self, service: &ServiceId) {
        if let Some(task) = self.announcing.remove(service) {
            task.abort();
        }
        self.segments.strangers.forget(service);
    }

    /// Who else used an address that is announced here, within the last minute.
    #[must_use]
    pub fn strangers(&self) -> Vec<Stranger> {
        self.segments.strangers.list()
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        self.announcing.values().for_each(AbortHandle::abort);
    }
}
