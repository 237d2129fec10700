//! What an advice is made from: each fact with its source.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::id::ServiceId;
use crate::redirect::Layer;
use crate::state::config::{Caching, Prefix};
use crate::time::Span;
use crate::timers::Timers;

/// What is known of something, and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// The operator wrote it into the configuration, or said it now.
    Declared(T),
    /// It was looked at.
    Found {
        /// What was seen.
        value: T,
        /// By whom.
        by: String,
    },
    /// It isn't known, and why.
    Unknown(String),
}

impl<T> Known<T> {
    /// It, if it is known.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Declared(value) | Self::Found { value, .. } => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// Why it isn't known; nothing if it is.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Declared(_) | Self::Found { .. } => "",
            Self::Unknown(why) => why,
        }
    }

    /// From whom it is known, or why it isn't.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Declared(_) => "declared".to_string(),
            Self::Found { by, .. } => format!("found by {by}"),
            Self::Unknown(why) => format!("unknown: {why}"),
        }
    }
}

/// All that is known of a service, of the nodes that may have it, and of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The service.
    pub service: ServiceId,
    /// The cluster's timers.
    pub timers: Timers,
    /// How late the slowest kernel of the nodes may shut its gate.
    pub slack: Span,
    /// The nodes that its rules let it be on, by name.
    pub nodes: Vec<NodeFacts>,
    /// Its addresses.
    pub addresses: Vec<AddressFacts>,
    /// Where its clients are.
    pub clients: Known<Clients>,
    /// For how long they go on with what they looked up.
    pub caching: Caching,
    /// Whether a routing daemon is configured.
    pub routing: bool,
    /// Its names.
    pub names: Vec<NameFacts>,
    /// The name servers of their zones.
    pub servers: Vec<ServerFacts>,
    /// The port on which nodes say where services are, if they do.
    pub documents: Option<u16>,
    /// Layers that somebody doesn't permit, and who.
    pub not_permitted: BTreeMap<Layer, String>,
    /// How long its program takes from its address to its first good answer.
    pub start: Known<Span>,
    /// How long clients take to take up what they were told (`stead client`).
    pub reload: Known<Span>,
}

/// Where clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Anywhere.
    Anywhere,
    /// One, on a segment with the service's address.
    Beside(IpAddr),
    /// One, behind routers.
    Behind {
        /// The client.
        client: IpAddr,
        /// The routers by which the nodes reach it.
        gateways: BTreeSet<IpAddr>,
    },
}

/// A node that may have the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its routing daemon.
    pub routing: Known<RoutingFacts>,
}

/// A routing daemon on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingFacts {
    /// Its name.
    pub daemon: String,
    /// The neighbours with which it has a session at this moment.
    pub sessions: Vec<String>,
    /// After how long the slowest of them notices that this node is silent.
    pub notices: Span,
    /// Why so long.
    pub why: String,
    /// How long the news takes through the daemons into routers' tables.
    pub spread: Span,
    /// What is wrong with it, in sentences.
    pub troubles: Vec<String>,
}

/// One of the service's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFacts {
    /// It.
    pub ip: IpAddr,
    /// By which layers it is announced.
    pub layers: Vec<Layer>,
    /// The nodes on which it is used, of those that may have the service.
    pub nodes: BTreeSet<String>,
    /// Which of the nodes that may have the service are on one segment where it lives.
    pub segments: Known<Segments>,
    /// The prefix that is announced where it is, if it is routed.
    pub prefix: Option<Prefix>,
    /// Other services with an address in that prefix.
    pub along: BTreeSet<ServiceId>,
}

/// Nodes by their segments, on the network of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// Those that hear each other. Each node is in one at most.
    pub groups: Vec<BTreeSet<String>>,
    /// Those of which it isn't known, and why.
    pub unclear: BTreeMap<String, String>,
    /// Routers by which nodes leave it.
    pub gateways: BTreeSet<IpAddr>,
    /// Nodes that saw at their own takeovers that what they announce does not arrive there.
    pub suppressed: BTreeSet<String>,
}

/// A name of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameFacts {
    /// It.
    pub name: String,
    /// How long its records may be kept.
    pub ttl: Span,
    /// The same around a planned move.
    pub moving_ttl: Span,
    /// What it says differs from node to node.
    pub differs: bool,
}

/// A server that answers for a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its address.
    pub at: String,
    /// It takes updates before the others.
    pub first: bool,
    /// How long it took to answer with authority.
    pub answers: Known<Span>,
}

impl AddressFacts {
    /// Who saw that what is announced of it does not arrive; `None` if nobody did, or if nothing
    /// has to be announced (a MAC that goes along).
    #[must_use]
    pub fn suppressed_by(&self) -> Option<&BTreeSet<String>> {
        let known = &self.segments.value()?.suppressed;
        (self.layers.contains(&Layer::Arp) && !known.is_empty()).then_some(known)
    }

    /// Whether its neighbours are told where it is.
    #[must_use]
    pub fn is_on_segment(&self) -> bool {
        !self.layers.contains(&Layer::Route)
    }

    /// Whether it moves from node to node.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.nodes.len() > 1
    }
}

/// What follows from segments for some nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Together {
    /// All hear each other.
    Yes,
    /// Some don't, and who.
    No(String),
    /// It isn't known, and why.
    Unknown(String),
}

impl Segments {
    /// Whether all of these nodes are on one segment.
    #[must_use]
    pub fn join(&self, nodes: &BTreeSet<String>) -> Together {
        let groups: Vec<Vec<&String>> = self
            .groups
            .iter()
            .map(|group| group.intersection(nodes).collect::<Vec<_>>())
            .filter(|group| !group.is_empty())
            .collect();
        if let [first, rest @ ..] = groups.as_slice()
            && !rest.is_empty()
        {
            let rest: Vec<_> = rest.iter().map(|group| listed(group)).collect();
            let verb = if first.len() == 1 { "does" } else { "do" };
            return Together::No(format!("{} {verb} not hear {}", listed(first), rest.join(", ")));
        }
        let unclear = self.unclear.iter().find(|(node, _)| nodes.contains(*node));
        let grouped = |node: &&String| self.groups.iter().any(|group| group.contains(*node));
        match (unclear, nodes.iter().find(|node| !grouped(node))) {
            (Some((node, why)), _) => Together::Unknown(format!("of {node}: {why}")),
            (None, Some(node)) => Together::Unknown(format!("{node} was not looked at")),
            (None, None) => Together::Yes,
        }
    }
}

impl Facts {
    /// The names of the nodes that may have the service.
    #[must_use]
    pub fn names_of_nodes(&self) -> BTreeSet<String> {
        self.nodes.iter().map(|it| it.name.clone()).collect()
    }

    /// The layers by which clients are led there at present, as configured.
    #[must_use]
    pub fn used(&self) -> BTreeSet<Layer> {
        let by_address = self.addresses.iter().flat_map(|it| it.layers.iter().copied());
        let dns = (!self.names.is_empty()).then_some(Layer::Dns);
        let knowledge = self.documents.map(|_| Layer::Knowledge);
        by_address.chain(dns).chain(knowledge).collect()
    }
}

/// Names in a row: "a, b and c".
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().into(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
