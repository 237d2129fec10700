//! Performs what the core decided about clients beyond their segment, and has others look.
//!
//! # What it is for
//! The core says which layer is to announce a service, or to be verified, and when
//! (`core/src/redirect`). Here that is done: names are written into zones, the routing daemon is
//! told what it may announce and watched until it does, documents for clients are signed and
//! served, and other nodes are asked what they see ([`observe`]). The segment's own layers stand in
//! `daemon/src/redirect`; how name servers and routing daemons are spoken to, in the crate
//! `redirect`.
//!
//! # Happy path
//! ```text
//! core: Redirect { layer, verb } ─▶ a task of its own ─▶ Redirected { seen }
//! ```
//! Each step is a task with a deadline, so a server that hangs holds up nothing else. An answer
//! that comes after the service has gone is of another epoch, and the core drops it.
//!
//! Before anything moves, [`advise`] finds out by which layers it could.
//!
//! # Failures
//! In words, in what was seen: the core tries again, ever more slowly, and tells people once.
//!
//! # Deliberately absent
//! Any memory of what was announced, but for the names of the last configuration. Each step reads
//! what is there and makes it what it should be.

pub mod advise;
pub mod documents;
mod former;
pub mod lookout;
pub mod names;
pub mod observe;
pub mod ports;
pub mod routes;
mod segment;
pub mod trace;

use std::time::Duration;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::node::Event;
use stead_core::redirect::{Layer, Seen, Verb};
use stead_core::state::State;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::redirect::Ears;
use observe::{Observers, Question};

/// How long one step may take.
const STEP: Duration = Duration::from_secs(10);

/// The hands of all layers beyond the segment.
#[derive(Clone)]
pub struct Layers {
    me: NodeId,
    observers: Observers,
    ears: Ears,
    routes: routes::Routes,
    former: former::Former,
    events: UnboundedSender<Event>,
}

impl Layers {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(
        me: NodeId,
        observers: Observers,
        ears: Ears,
        events: UnboundedSender<Event>,
    ) -> Self {
        let (routes, former) = (routes::Routes::default(), former::Former::default());
        Self { me, observers, ears, routes, former, events }
    }

    /// Tells the routing daemon what the cluster may announce, if that is new, and takes names out
    /// of their zones that the configuration has no more.
    pub fn follow(&self, state: &State) {
        self.routes.follow(state, self.me);
        self.former.follow(state, self.me);
    }

    /// Does a step; `Redirected` comes when it is done, or has failed.
    pub fn step(
        &self,
        state: &State,
        service: ServiceId,
        epoch: Epoch,
        (layer, verb): (Layer, Verb),
    ) {
        let this = self.clone();
        let deadline = Instant::now() + STEP;
        let state = state.clone();
        tokio::spawn(async move {
            let seen = match verb {
                Verb::Announce => this.announce(&state, &service, epoch, layer, deadline).await,
                Verb::Verify => this.verify(&state, &service, epoch, layer, deadline).await,
            };
            // Nobody listens any more only when the daemon ends.
            let _ = this.events.send(Event::Redirected { service, epoch, layer, verb, seen });
        });
    }

    async fn announce(
        &self,
        state: &State,
        service: &ServiceId,
        epoch: Epoch,
        layer: Layer,
        deadline: Instant,
    ) -> Seen {
        match layer {
            Layer::Route => self.routes.announced(state, service, self.me, deadline).await,
            Layer::Dns => names::announce(state, service, epoch, self.me, deadline).await,
            // The announcer of the segment has done it by now; documents follow from the state.
            Layer::Mac | Layer::Arp | Layer::Knowledge => Seen::Yes(state.name(self.me)),
        }
    }

    async fn verify(
        &self,
        state: &State,
        service: &ServiceId,
        epoch: Epoch,
        layer: Layer,
        deadline: Instant,
    ) -> Seen {
        let questions = observe::questions(state, service, epoch, (self.me, layer));
        let others = self.observers.ask(state, questions, deadline).await;
        match layer {
            // Servers are asked from here as well: each of them, not only the nearest.
            Layer::Dns => match names::verify(state, service, self.me, deadline).await {
                Seen::Yes(own) if others == Seen::Nobody => Seen::Yes(own),
                Seen::Yes(_) => others,
                wrong @ (Seen::No(_) | Seen::Nobody) => wrong,
            },
            Layer::Mac | Layer::Arp => {
                let hands = (&self.observers, &self.ears);
                segment::verify(hands, state, (service, layer), others, deadline).await
            }
            Layer::Route | Layer::Knowledge => others,
        }
    }
}

/// The questions of one step, if there is anything to ask.
pub(crate) type Questions = Vec<Question>;
