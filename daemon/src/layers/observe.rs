//! What others see: a holder asks other nodes whether a layer leads to it, and answers them.
//!
//! Happy path: [`questions`] says what to ask about a layer, [`Observers::ask`] asks a few other
//! nodes, each of which looks from where it is ([`Eyes::look`]). One that sees the service at its
//! holder is enough; who can't look (another segment, another version) has no say. Failures: nobody
//! who could look is no failure, and told apart from being seen elsewhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::redirect::{Layer, Seen};
use stead_core::state::{Registered, State};
use stead_edge::chain;
use stead_linux::netlink::{Mac, NeighbourState, Netlink};
use stead_redirect::knowledge::{Shelf, Whereabouts};
use stead_redirect::probe::{Answer as Played, Order, Roles};
use stead_redirect::routing;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

use super::ports::{Port, Where};
use super::routes::RoutingSight;
use super::trace::{Place, Wanted, trace};
use super::{Questions, names, ports, routes};
use crate::redirect::{self, Ears, Heard, Target};

/// How many other nodes are asked at most.
const OBSERVERS: usize = 3;
/// How long an observer waits for an announcement; for an echo twice as long.
const LOOK: Duration = Duration::from_millis(500);
/// How long it waits for an announcement before it looks again whether one has come.
const LISTEN: Duration = Duration::from_millis(20);

/// What a node is asked to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Whose MAC an address has on the segment.
    Segment {
        /// The address.
        address: IpAddr,
        /// Those of the holder.
        macs: Vec<[u8; 6]>,
    },
    /// Whether an address answers an echo.
    Echo {
        /// The address.
        address: IpAddr,
    },
    /// What name servers say of a service on that node.
    Names {
        /// The service.
        service: ServiceId,
        /// Where it is.
        holder: NodeId,
    },
    /// What clients are told.
    Document {
        /// The service.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// What each place on the way to a service says there.
    Trace {
        /// The service.
        service: ServiceId,
        /// What leads to it.
        wanted: Wanted,
    },
    /// By which interface it is on the segment of a service's address.
    Interface {
        /// The address.
        address: IpAddr,
    },
    /// Take a part in a trial of takeovers.
    Play(Order),
    /// Whether what the holder says to all of an address's segment arrives there.
    Announced {
        /// The address.
        address: IpAddr,
        /// Those of the holder.
        macs: Vec<[u8; 6]>,
        /// Since how many milliseconds it says so.
        since_ms: u64,
    },
    /// Where an address would be there.
    Port(Where),
    /// Whether another node is heard, where an address would be.
    Beside {
        /// Where that is.
        at: Where,
        /// The other node's own address.
        other: IpAddr,
        /// Its MAC.
        mac: [u8; 6],
    },
    /// How its routing daemon is.
    Routing {
        /// The node that is asked.
        on: NodeId,
    },
}

/// What it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// The holder.
    Holder,
    /// Something else, in words.
    Other(String),
    /// It can't look there, and why.
    Blind(String),
    /// What each place says.
    Places(Vec<Place>),
    /// By which interface it is there.
    Interface(String),
    /// What it did of a trial, or why it did not.
    Played(Result<Played, String>),
    /// Where an address would be.
    Port(Port),
    /// How the routing daemon is.
    Routing(RoutingSight),
}

/// The way to the other nodes.
pub trait Others: Send + Sync + 'static {
    /// Asks one of them; nothing if no answer came in time.
    fn look(
        &self,
        node: NodeId,
        question: Question,
        deadline: Instant,
    ) -> stead_log::Boxed<'static, Option<Sight>>;

    /// Those that can be asked.
    fn able(&self) -> Vec<NodeId>;
}

/// The other nodes, as observers.
#[derive(Clone)]
pub struct Observers(Arc<dyn Others>);

/// What there is to ask about a layer of a service that a node holds.
#[must_use]
pub fn questions(
    state: &State,
    service: &ServiceId,
    epoch: Epoch,
    (holder, layer): (NodeId, Layer),
) -> Questions {
    let Some(config) = &state.config else { return Vec::new() };
    let macs = macs_of(state, service, layer);
    let addresses = state.addresses_on(service, holder);
    let of_layer = addresses.iter().filter(|it| config.layers_of(**it).contains(&layer));
    match layer {
        Layer::Arp => {
            of_layer.map(|it| Question::Segment { address: *it, macs: macs.clone() }).collect()
        }
        Layer::Mac => {
            let segment = |it: &IpAddr| Question::Segment { address: *it, macs: macs.clone() };
            let echo = |it: &IpAddr| Question::Echo { address: *it };
            of_layer.flat_map(|it| [segment(it), echo(it)]).collect()
        }
        Layer::Route => of_layer.map(|it| Question::Echo { address: *it }).collect(),
        Layer::Dns => vec![Question::Names { service: service.clone(), holder }],
        Layer::Knowledge => vec![Question::Document { service: service.clone(), epoch }],
    }
}

/// The MACs by which this node has a service's addresses, by a layer of the segment.
pub(super) fn macs_of(state: &State, service: &ServiceId, layer: Layer) -> Vec<[u8; 6]> {
    match layer {
        Layer::Arp => own_macs(),
        Layer::Mac => state.redirect().macs.get(service).map(|it| it.0).into_iter().collect(),
        Layer::Route | Layer::Dns | Layer::Knowledge => Vec::new(),
    }
}

/// The MACs of this node.
fn own_macs() -> Vec<[u8; 6]> {
    let links = Netlink::open().and_then(|mut netlink| netlink.links());
    links.unwrap_or_default().into_iter().filter_map(|link| Some(link.mac?.0)).collect()
}

impl Observers {
    /// Asks by that way.
    #[must_use]
    pub fn new(others: Arc<dyn Others>) -> Self {
        Self(others)
    }

    /// What each place on the way to a service says on that node.
    pub async fn trace(
        &self,
        node: NodeId,
        service: ServiceId,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Vec<Place>, String> {
        match self.one(node, Question::Trace { service, wanted }, deadline).await? {
            Sight::Places(places) => Ok(places),
            Sight::Blind(why) | Sight::Other(why) => Err(why),
            Sight::Holder
            | Sight::Interface(_)
            | Sight::Played(_)
            | Sight::Port(_)
            | Sight::Routing(_) => Err("it gave an answer to something else".to_owned()),
        }
    }

    /// Whether a node is connected, and understands questions.
    pub(super) fn is_able(&self, node: NodeId) -> bool {
        self.0.able().contains(&node)
    }

    /// Asks one node.
    pub async fn one(
        &self,
        node: NodeId,
        question: Question,
        deadline: Instant,
    ) -> Result<Sight, String> {
        let look = self.0.look(node, question, deadline);
        let sight = timeout_at(deadline, look).await.ok().flatten();
        sight.ok_or_else(|| "it did not answer in time".to_owned())
    }

    /// Asks a few of them; one that sees the holder is enough for each question.
    pub async fn ask(&self, state: &State, questions: Questions, deadline: Instant) -> Seen {
        if questions.is_empty() {
            return Seen::Yes("nobody has to".to_owned());
        }
        let mut by = Vec::new();
        for question in questions {
            match self.ask_one(state, question, deadline).await {
                Seen::Yes(node) => by.push(node),
                other @ (Seen::No(_) | Seen::Nobody) => return other,
            }
        }
        by.sort();
        by.dedup();
        Seen::Yes(by.join(", "))
    }

    async fn ask_one(&self, state: &State, question: Question, deadline: Instant) -> Seen {
        let mut asked = JoinSet::new();
        for node in self.0.able().into_iter().take(OBSERVERS) {
            let look = self.0.look(node, question.clone(), deadline);
            asked.spawn(async move { (node, timeout_at(deadline, look).await.ok().flatten()) });
        }
        let mut wrong = Vec::new();
        while let Some(answer) = asked.join_next().await {
            // A task that panicked has told it.
            let Ok((node, sight)) = answer else { continue };
            match sight {
                Some(Sight::Holder) => return Seen::Yes(state.name(node)),
                Some(Sight::Other(what)) => wrong.push(format!("{} {what}", state.name(node))),
                Some(Sight::Blind(why)) => {
                    tracing::debug!("{} can't look: {why}", state.name(node));
                }
                Some(
                    Sight::Places(_)
                    | Sight::Interface(_)
                    | Sight::Played(_)
                    | Sight::Port(_)
                    | Sight::Routing(_),
                )
                | None => {}
            }
        }
        wrong.sort();
        if wrong.is_empty() { Seen::Nobody } else { Seen::No(wrong.join("; ")) }
    }
}

/// The addresses of all nodes and services, as far as a node knows.
#[must_use]
pub fn owned(state: &State) -> Vec<IpAddr> {
    let Some(config) = &state.config else { return Vec::new() };
    let nodes = config.nodes.values().flat_map(|it| it.addresses.values().copied());
    let services = config.services.values().flat_map(|it| &it.addresses).map(|it| it.ip);
    // Kept for machines that stead knows nothing of, and that may be asleep when they are asked.
    let kept = state.redirect().reservations.keys().filter_map(|what| match what {
        Registered::Address(address) => Some(*address),
        Registered::Prefix(_) | Registered::Mac(_) | Registered::Name(_) => None,
    });
    nodes.chain(services).chain(kept).collect()
}

/// This node as an observer for others.
#[derive(Clone)]
pub struct Eyes {
    /// The documents that this node serves.
    pub shelf: Shelf,
    /// What it hears on its segments.
    pub ears: Ears,
    /// Its parts in trials.
    roles: Arc<Roles>,
}

impl Eyes {
    /// Inside of a runtime, on which its parts in trials live.
    #[must_use]
    pub fn open() -> Self {
        let roles = Arc::new(Roles::new(tokio::runtime::Handle::current()));
        Self { shelf: Shelf::default(), ears: Ears::default(), roles }
    }

    /// Looks.
    pub async fn look(&self, state: &State, question: Question) -> Sight {
        let deadline = Instant::now() + Duration::from_secs(5);
        match question {
            Question::Segment { address, macs } => segment(state, address, macs).await,
            Question::Echo { address } => echo(address).await,
            Question::Names { service, holder } => {
                match names::verify(state, &service, holder, deadline).await {
                    Seen::Yes(_) => Sight::Holder,
                    Seen::No(why) => Sight::Other(format!("hears that {why}")),
                    Seen::Nobody => Sight::Blind("there are no names".to_owned()),
                }
            }
            Question::Document { service, epoch } => self.document(&service, epoch),
            Question::Trace { service, wanted } => {
                Sight::Places(self.trace(&service, &wanted).await)
            }
            Question::Interface { address } => interface(state, address).await,
            Question::Play(order) => self.play(order, owned(state)).await,
            Question::Announced { address, macs, since_ms } => {
                self.announced(state, address, &macs, Duration::from_millis(since_ms)).await
            }
            Question::Port(at) => ports::port(state, &self.ears, at).await,
            Question::Beside { at, other, mac } => ports::beside(state, at, other, mac).await,
            Question::Routing { on } => routes::sight(state, on).await,
        }
    }

    /// Whether announcements arrive. One that does not is waited for a little: what was sent before
    /// the question need not have been read yet, and some are repeated meanwhile.
    async fn announced(
        &self,
        state: &State,
        address: IpAddr,
        macs: &[[u8; 6]],
        since: Duration,
    ) -> Sight {
        let until = Instant::now() + LOOK;
        let target = match place_of(state, address).await {
            Ok(target) => target,
            Err(why) => return Sight::Blind(why),
        };
        loop {
            match self.ears.heard(&target, macs, since) {
                Heard::Yes => return Sight::Holder,
                Heard::Unknown(why) => return Sight::Blind(why),
                Heard::No if Instant::now() >= until => {
                    return Sight::Other(format!("hears no announcement of {address}"));
                }
                Heard::No => sleep(LISTEN).await,
            }
        }
    }

    /// What each place on the way to a service says here.
    pub async fn trace(&self, service: &ServiceId, wanted: &Wanted) -> Vec<Place> {
        let envelope = self.shelf.get(&service.0);
        trace(wanted, envelope.as_ref().map(|it| it.document())).await
    }

    /// Takes a part in a trial.
    pub async fn play(&self, order: Order, owned: Vec<IpAddr>) -> Sight {
        let roles = self.roles.clone();
        let played = spawn_blocking(move || roles.perform(order, &owned));
        Sight::Played(match played.await {
            Ok(played) => played.map_err(|error| chain(&error)),
            Err(error) => Err(error.to_string()),
        })
    }

    fn document(&self, service: &ServiceId, epoch: Epoch) -> Sight {
        let Some(envelope) = self.shelf.get(&service.0) else {
            return Sight::Other("has no document of it yet".to_owned());
        };
        let document = envelope.document();
        if document.order.epoch > epoch.0
            || (document.order.epoch == epoch.0 && document.state == Whereabouts::Here)
        {
            return Sight::Holder;
        }
        let (says, of) = (document.state, document.order.epoch);
        Sight::Other(format!("still says that it is {says} (epoch {of})"))
    }
}

/// Asks the segment whose an address is, and compares what this node's own table says.
async fn segment(state: &State, address: IpAddr, macs: Vec<[u8; 6]>) -> Sight {
    let place = match place_of(state, address).await {
        Ok(place) => place,
        Err(why) => return Sight::Blind(why),
    };
    let look = spawn_blocking(move || look_at_segment(&place, &macs));
    look.await.unwrap_or_else(|error| Sight::Blind(error.to_string()))
}

/// By which interface this node is on the segment of an address.
async fn interface(state: &State, address: IpAddr) -> Sight {
    match place_of(state, address).await {
        Ok(place) => Sight::Interface(place.interface),
        Err(why) => Sight::Blind(why),
    }
}

/// Where an address of a service would be here; or why that can't be said.
async fn place_of(state: &State, address: IpAddr) -> Result<Target, String> {
    let all = state.config.iter().flat_map(|config| config.services.values());
    let all: Vec<_> = all.flat_map(|it| &it.addresses).cloned().collect();
    let look = spawn_blocking(move || {
        let Some(wanted) = all.iter().find(|it| it.ip == address) else {
            return Err(format!("{address} is in no service's configuration here"));
        };
        let moving: Vec<_> = all.iter().map(|it| it.ip).collect();
        redirect::target(wanted, &moving).map_err(|error| chain(&error))
    });
    look.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn look_at_segment(place: &Target, macs: &[[u8; 6]]) -> Sight {
    let Target { address, interface } = place;
    // Before anybody is asked: the answer would put this node's own table right, and no other.
    let known = in_table(interface, *address);
    let heard = match ports::ask(interface, *address) {
        Ok(heard) => heard,
        Err(error) => return Sight::Blind(chain(&error)),
    };
    let is_holder = |mac: &Mac| macs.contains(&mac.0);
    match (heard, known) {
        (Some(mac), _) if !is_holder(&mac) => {
            Sight::Other(format!("hears {mac} answer for {address}"))
        }
        (_, Some((mac, true))) if !is_holder(&mac) => Sight::Other(format!(
            "has {mac} for {address} set by hand in its neighbour table, which no announcement \
             changes"
        )),
        (_, Some((mac, false))) if !is_holder(&mac) => {
            Sight::Other(format!("has {mac} for {address} in its neighbour table still"))
        }
        (Some(_), _) => Sight::Holder,
        (None, _) => Sight::Other(format!("hears nobody answer for {address}")),
    }
}

/// What the kernel's table says, where it is in use; and whether that was set by hand.
fn in_table(interface: &str, address: IpAddr) -> Option<(Mac, bool)> {
    let mut netlink = Netlink::open().ok()?;
    let index = netlink.link_named(interface).ok()?.index;
    let all = netlink.neighbours_of(index).ok()?;
    let entry = all.iter().find(|it| it.addr == address && it.state.is_used())?;
    Some((entry.mac?, entry.state == NeighbourState::Permanent))
}

async fn echo(address: IpAddr) -> Sight {
    match routing::observe(address, None, LOOK * 2).await {
        // A node that no router tells anything is no client of theirs.
        Ok(observed) if !observed.answered && observed.route.is_none() => {
            Sight::Blind(format!("it has no route to {address}, nor one to everywhere"))
        }
        Ok(observed) => match observed.unreached(address) {
            Some(trouble) => Sight::Other(trouble.to_string()),
            None => Sight::Holder,
        },
        Err(error) => Sight::Blind(chain(&error)),
    }
}
