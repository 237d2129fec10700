//! The registers: which address, MAC, prefix and name is whose. Nothing is handed out twice.
//!
//! | change | who proposes it, and when |
//! |---|---|
//! | [`RegisterChange::Reserve`] | an operator: something is kept for somebody |
//! | [`RegisterChange::Release`] | an operator: it no longer is |
//! | [`RegisterChange::Told`] | a service's holder: clients may be told that it is there |
//! | [`RegisterChange::Lower`] | an operator who is about to move it; its holder, after that |
//!
//! What the configuration gives to services stands in the configuration, and is not written down
//! twice: [`State::used`] reads it from there. MACs are given out by the state itself, in the same
//! entry that brings the configuration that wants them, so that all members give the same.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::config::{Config, Prefix};
use super::{Outcome, Refusal, State};
use crate::id::{Epoch, ServiceId};
use crate::redirect::Layer;

/// How many reservations there can be.
pub const RESERVATIONS_KEPT: usize = 10_000;
/// The longest note, name and other text of a reservation, in bytes.
const LONGEST_TEXT: usize = 255;

/// What a state has behind that of 0.7, beside that of its configuration. Only members from 0.8 on
/// read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRedirect {
    /// The MAC of each service that has one.
    pub macs: BTreeMap<ServiceId, MacAddress>,
    /// How many were given out.
    pub macs_given: u32,
    /// What is kept for somebody.
    pub reservations: BTreeMap<Registered, Reservation>,
    /// Under which assignment clients were last told where a service is.
    pub told: BTreeMap<ServiceId, Epoch>,
    /// Services that are about to move, so that their names may be kept for a short time only.
    pub lowered: BTreeMap<ServiceId, Lowered>,
}

/// A hardware address of 48 bits (EUI-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Something that can be somebody's alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Registered {
    /// An address.
    Address(IpAddr),
    /// A prefix that is announced as a whole, and all in it.
    Prefix(Prefix),
    /// A MAC.
    Mac(MacAddress),
    /// A name in the domain name system, in lower case.
    Name(String),
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Registered {
    /// Whether both can't be different owners'.
    #[must_use]
    pub fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(one), Self::Address(other)) => one == other,
            (Self::Prefix(prefix), Self::Address(address))
            | (Self::Address(address), Self::Prefix(prefix)) => prefix.contains(*address),
            (Self::Prefix(one), Self::Prefix(other)) => one.overlaps(other),
            (Self::Mac(one), Self::Mac(other)) => one == other,
            (Self::Name(one), Self::Name(other)) => one == other,
            (Self::Address(_) | Self::Prefix(_), Self::Mac(_) | Self::Name(_))
            | (Self::Mac(_), Self::Address(_) | Self::Prefix(_) | Self::Name(_))
            | (Self::Name(_), Self::Address(_) | Self::Prefix(_) | Self::Mac(_)) => false,
        }
    }
}

/// That something is kept for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// For that service, which may not be there yet; if none, for nothing that stead knows.
    pub service: Option<ServiceId>,
    /// What for, in an operator's words.
    pub note: String,
    /// On which node that was asked for.
    pub by: String,
}

impl Reservation {
    /// For whom it is, and why.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (&self.service, self.note.as_str()) {
            (Some(service), "") => alloc::format!("for service {service}"),
            (Some(service), note) => alloc::format!("for service {service}: {note}"),
            (None, note) => note.into(),
        }
    }
}

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// A service's, by the configuration.
    Service(ServiceId),
    /// A node's own, by the configuration.
    Node(String),
    /// Kept for somebody.
    Reserved(Reservation),
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => write!(f, "service {service}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Reserved(Reservation { service: Some(service), .. }) => {
                write!(f, "reserved for service {service}")
            }
            Self::Reserved(Reservation { note, .. }) => write!(f, "reserved: {note}"),
        }
    }
}

/// Something that is in use, or kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// What.
    pub what: Registered,
    /// Whose.
    pub by: Claimed,
}

/// That a service is about to move, so that what name servers say may be kept for a short time
/// only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lowered {
    /// Until when at most: seconds since 1970 by the clock of whoever coordinates.
    pub until: u64,
    /// Under which assignment it was asked for: with a newer one the move is over.
    pub epoch: Epoch,
}

/// Something about the registers, or what clients are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterChange {
    /// Something is kept for somebody.
    Reserve {
        /// What.
        what: Registered,
        /// For whom.
        reservation: Reservation,
    },
    /// It is no longer.
    Release {
        /// What.
        what: Registered,
    },
    /// Clients may be told that a service is where it is assigned.
    Told {
        /// Which.
        service: ServiceId,
        /// Under which assignment.
        epoch: Epoch,
    },
    /// What name servers say of a service may be kept for a short time only, or as usual.
    Lower {
        /// Which.
        service: ServiceId,
        /// Until when; nothing when it is over.
        lowered: Option<Lowered>,
    },
}

impl State {
    /// The registers, and what is known of redirecting clients.
    #[must_use]
    pub fn redirect(&self) -> &StateRedirect {
        &self.later.fencing.redirect
    }

    /// All that is somebody's: by the configuration, and by reservations.
    #[must_use]
    pub fn used(&self) -> Vec<Used> {
        let macs = self.redirect().macs.iter();
        let macs = macs.map(|(service, mac)| (Registered::Mac(*mac), service.clone()));
        let mut all: Vec<_> =
            macs.map(|(what, it)| Used { what, by: Claimed::Service(it) }).collect();
        if let Some(config) = &self.config {
            all.extend(used_by(config));
        }
        let kept = self.redirect().reservations.iter();
        all.extend(
            kept.map(|(what, it)| Used { what: what.clone(), by: Claimed::Reserved(it.clone()) }),
        );
        all
    }

    /// Who has it, or a part of it, other than that service.
    #[must_use]
    pub fn claimed(&self, what: &Registered, service: Option<&ServiceId>) -> Option<Used> {
        self.used().into_iter().find(|it| it.what.clashes(what) && !is_of(&it.by, service))
    }

    pub(super) fn change_register(&mut self, change: RegisterChange) -> Applied {
        match change {
            RegisterChange::Reserve { what, reservation } => self.reserve(what, reservation),
            RegisterChange::Release { what } => {
                let gone = self.later.fencing.redirect.reservations.remove(&what);
                gone.map(|_| Outcome::Done).ok_or(Refusal::NotReserved)
            }
            RegisterChange::Told { service, epoch } => {
                let assignment = self.assignments.get(&service).ok_or(Refusal::NoSuchService)?;
                let told = self.later.fencing.redirect.told.get(&service);
                if assignment.epoch != epoch || told >= Some(&epoch) {
                    return Err(Refusal::Stale);
                }
                self.later.fencing.redirect.told.insert(service, epoch);
                Ok(Outcome::Done)
            }
            RegisterChange::Lower { service, lowered } => self.lower(service, lowered),
        }
    }

    fn reserve(&mut self, what: Registered, reservation: Reservation) -> Applied {
        let service = reservation.service.as_ref();
        let texts = [&reservation.note, &reservation.by];
        let long = |text: &&String| text.len() > LONGEST_TEXT;
        let name = if let Registered::Name(name) = &what { name.len() } else { 0 };
        if texts.iter().any(long) || name > LONGEST_TEXT {
            return Err(Refusal::TextTooLong);
        }
        if let Some(used) = self.claimed(&what, service) {
            return Err(Refusal::Claimed(used.what.clone(), used.by.in_words()));
        }
        let kept = &mut self.later.fencing.redirect.reservations;
        if kept.len() >= RESERVATIONS_KEPT && !kept.contains_key(&what) {
            return Err(Refusal::TooManyReservations);
        }
        kept.insert(what, reservation);
        Ok(Outcome::Done)
    }

    fn lower(&mut self, service: ServiceId, lowered: Option<Lowered>) -> Applied {
        let assignment = self.assignments.get(&service).ok_or(Refusal::NoSuchService)?;
        if lowered.as_ref().is_some_and(|it| it.epoch != assignment.epoch) {
            return Err(Refusal::Stale);
        }
        let all = &mut self.later.fencing.redirect.lowered;
        let before = match lowered {
            Some(lowered) => all.insert(service, lowered.clone()) == Some(lowered),
            None => all.remove(&service).is_none(),
        };
        if before { Err(Refusal::Stale) } else { Ok(Outcome::Done) }
    }

    /// What a new configuration uses that is kept for somebody else.
    pub(super) fn refuse_reserved(&self, config: &Config) -> Result<(), Refusal> {
        let kept = &self.redirect().reservations;
        if kept.is_empty() {
            return Ok(());
        }
        let taken = used_by(config).find_map(|used| {
            let service = if let Claimed::Service(it) = &used.by { Some(it) } else { None };
            let clash = |(what, it): &(&Registered, &Reservation)| {
                what.clashes(&used.what) && it.service.as_ref() != service.or(Some(&NOBODY))
            };
            kept.iter().find(clash).map(|(what, it)| {
                Refusal::Claimed(what.clone(), Claimed::Reserved(it.clone()).in_words())
            })
        });
        taken.map_or(Ok(()), Err)
    }

    /// Gives a MAC to each service that wants one and has none, and takes back those that nobody
    /// wants any more.
    pub(super) fn give_macs(&mut self) {
        let Some(config) = &self.config else { return };
        let wants = |service: &ServiceId| {
            let addresses = config.services.get(service).into_iter().flat_map(|it| &it.addresses);
            addresses.into_iter().any(|it| config.layers_of(it.ip).contains(&Layer::Mac))
        };
        let (cluster, redirect) = (self.cluster, &mut self.later.fencing.redirect);
        redirect.macs.retain(|service, _| wants(service));
        let lacking: Vec<_> = config
            .services
            .keys()
            .filter(|it| !redirect.macs.contains_key(*it) && wants(it))
            .cloned()
            .collect();
        for service in lacking {
            // Far more numbers than services: one is free.
            for _ in 0..=u16::MAX {
                redirect.macs_given = redirect.macs_given.wrapping_add(1);
                let mac = mac(cluster.map(|it| it.0).unwrap_or_default(), redirect.macs_given);
                let taken = redirect.macs.values().any(|it| *it == mac)
                    || redirect.reservations.contains_key(&Registered::Mac(mac));
                if !taken {
                    redirect.macs.insert(service, mac);
                    break;
                }
            }
        }
        redirect.told.retain(|service, _| config.services.contains_key(service));
        redirect.lowered.retain(|service, _| config.services.contains_key(service));
    }
}

impl Claimed {
    /// Whose, as an error says it.
    fn in_words(&self) -> String {
        alloc::format!("{self}")
    }
}

/// No service has that name.
const NOBODY: ServiceId = ServiceId(String::new());

/// Whether it is that service's.
fn is_of(by: &Claimed, service: Option<&ServiceId>) -> bool {
    match by {
        Claimed::Service(owner) => Some(owner) == service,
        Claimed::Node(_) => false,
        Claimed::Reserved(it) => it.service.is_some() && it.service.as_ref() == service,
    }
}

/// What a configuration uses. A prefix is a service's that has an address in it; those that share
/// one move together.
fn used_by(config: &Config) -> impl Iterator<Item = Used> {
    let own = config.nodes.iter().flat_map(|(name, node)| {
        let used =
            |ip: &IpAddr| Used { what: Registered::Address(*ip), by: Claimed::Node(name.clone()) };
        node.addresses.values().map(used).collect::<Vec<_>>()
    });
    let services = config.services.iter().flat_map(move |(id, service)| {
        let by = || Claimed::Service(id.clone());
        let addresses = service.addresses.iter().map(|it| Registered::Address(it.ip));
        let names = config.redirect().services.get(id).into_iter().flat_map(|it| &it.names);
        let names = names.map(|it| Registered::Name(it.name.clone()));
        addresses.chain(names).map(|what| Used { what, by: by() }).collect::<Vec<_>>()
    });
    own.chain(services)
}

/// The MAC of that number: locally administered, and with a part of the cluster's identity, so that
/// two clusters on one segment hardly give out the same.
fn mac(cluster: [u8; 16], number: u32) -> MacAddress {
    let [a, b, c, ..] = cluster;
    let [.., high, low] = number.to_be_bytes();
    MacAddress([0x02, a, b, c, high, low])
}
