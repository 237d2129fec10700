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
//! announce: both forms at once, in the call ─▶ Announced ─▶ the same again by the schedule
//!           └─▶ then neighbours one by one ─▶ who answers has heard ([`Reached`])
//! ```
//! One socket per interface serves all services on it; it stays open, so the first announcement
//! costs no more than a look at the interface and the sending. Received frames are handed to those
//! who watch the address they are about, however many services there are.
//!
//! # Neighbours one by one
//! Fabrics that answer ARP themselves, wireless controllers, private VLANs and filters may not
//! carry what nobody asked for. So who is known is told alone: the neighbours in the kernel's table
//! of that interface (for one with a MAC of its own, of the card below it too) and the gateways of
//! its routes, no more than 64 for each address. Each gets an answer that it did not ask for, and a
//! question whose sender is the service's address (RFC 826: the receiver takes it up also within
//! its lock time); the answer to that shows that it was heard.
//!
//! Other nodes listen for what is announced ([`Redirect::follow`], [`Ears`]). When they are asked
//! about a takeover and heard none of it, the segment is taken for one that swallows announcements,
//! until somebody hears one there: nudges go on as often as announcements do.
//!
//! # How much is sent
//! All frames that can wait (repetitions, refreshes, nudges) share one rate, for all services
//! together (`pace`). What comes first never waits, nor do defences (one per second and address)
//! and what is tried again; but the rest waits for them. Of nudges only one at a time waits for
//! its turn, so that repetitions are not behind them.
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
//! *uses* the address answers to all nodes, which is always seen. A former holder of the same MAC
//! (`Layer::Mac`): its frames look like ours, and the gate keeps it from sending any. Whether a
//! neighbour believed what it heard: only its own table says that, and observers look into theirs.
//! Signals that were away for less
//! than a second: the kernel need not tell of them, and the slow refresh covers those.

mod announce;
mod ears;
mod interface;
mod memory;
mod neighbours;
mod nudge;
mod pace;
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
use stead_core::state::State;
use stead_core::state::config::ServiceAddress;
use stead_edge::chain;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, spawn_blocking};

pub use ears::{Ears, Heard};
pub use interface::{InterfaceError, Interfaces, interface_for, target};
pub use memory::Reached;
use segment::Segments;
pub use strangers::Stranger;

/// An address and the interface on which it lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// The configuration whose addresses are listened for, and who begins that.
    followed: Option<(u64, AbortHandle)>,
}

impl Redirect {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(events: UnboundedSender<Event>, notices: UnboundedSender<Notice>) -> Self {
        Self::hearing(&Ears::default(), events, notices)
    }

    /// Touches nothing yet. What it hears, `ears` hear.
    #[must_use]
    pub fn hearing(
        ears: &Ears,
        events: UnboundedSender<Event>,
        notices: UnboundedSender<Notice>,
    ) -> Self {
        let segments = ears.0.clone();
        let returns = returns::Watch::default();
        let announcing = BTreeMap::new();
        Self { segments, events, notices, announcing, returns, followed: None }
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
        self.segments.memory.forget(service);
    }

    /// Who else used an address that is announced here, within the last minute.
    #[must_use]
    pub fn strangers(&self) -> Vec<Stranger> {
        self.segments.strangers.list()
    }

    /// Listens for announcements of what any service has, wherever it runs, so that this node can
    /// say whether they arrive ([`Ears`]); if the configuration is new.
    pub fn follow(&mut self, state: &State) {
        let Some(config) = &state.config else { return };
        if self.followed.as_ref().is_some_and(|(revision, _)| *revision == state.revision) {
            return;
        }
        let all = config.services.values().flat_map(|service| &service.addresses);
        let listen = listen(Ears(self.segments.clone()), all.cloned().collect());
        let task = tokio::spawn(listen).abort_handle();
        if let Some((_, before)) = self.followed.replace((state.revision, task)) {
            before.abort();
        }
    }
}

async fn listen(ears: Ears, all: Vec<ServiceAddress>) {
    // The kernel's answers about interfaces queue behind every change of one.
    let interfaces = match spawn_blocking(Interfaces::look).await {
        Ok(Ok(interfaces)) => interfaces,
        Ok(Err(error)) => return tracing::warn!("not listened for: {}", chain(&error)),
        Err(error) => return tracing::warn!("not listened for: {error}"),
    };
    let moving: Vec<_> = all.iter().map(|it| it.ip).collect();
    ears.listen(all.iter().filter_map(|it| interfaces.of(it, &moving).ok()).collect());
}

impl Drop for Redirect {
    fn drop(&mut self) {
        self.announcing.values().for_each(AbortHandle::abort);
    }
}
