//! The registers: which address, MAC, prefix and name is whose. Nothing is handed out twice.
//!
//! | change | who proposes it, and when |
//! |---|---|
//! | [`RegisterChange::Reserve`] | an operator: something is kept for somebody |
//! | [`RegisterChange::Release`] | an operator: it no longer is |
//! | [`RegisterChange::Told`] | a service's holder: clients may be told that it is there |
//! | [`RegisterChange::Lower`] | an operator who is about to move a service; its holder, then |
//!
//! What the configuration gives to services stands in the configuration, and is not written down
//! twice: [`State::used`] reads it from there. MACs are given out by the state itself, in the same
//! entry that brings the configuration that wants them, so that all members give the same: one that
//! is reserved for the service, or else the next of the cluster's own range.
//!
//! Of two operators who reserve the same the second is refused, whomever it is for: what is
//! reserved is released before it is reserved otherwise.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::apply::Applied;
use super::config::{AddressRange, Config, Prefix};
use super::registered::{Claimed, MacAddress, Registered, Reservation, Used, is_of, may_use};
use super::{Outcome, Refusal, State};
use crate::id::{Epoch, ServiceId};
use crate::redirect::Layer;

/// How many reservations there can be.
pub const RESERVATIONS_KEPT: usize = 10_000;
/// The longest note, name and other text of a reservation, in bytes.
const LONGEST_TEXT: usize = 255;
/// How long what name servers say may be kept for a short time only, in seconds, counted from when
/// nobody keeps what they said before: a move that is not made within an hour is not made.
pub const LOWERED_FOR: u64 = 3_600;

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
        let id = service.map_or("", |it| it.0.as_str());
        let name = if let Registered::Name(name) = &what { name.as_str() } else { "" };
        let texts = [&reservation.note, &reservation.by, id, name];
        if texts.iter().any(|text| text.len() > LONGEST_TEXT) {
            return Err(Refusal::TextTooLong);
        }
        if let Some(known) = self.redirect().reservations.get(&what) {
            let whose = Claimed::Reserved(known.clone());
            return Err(Refusal::Claimed(what, whose.in_words()));
        }
        if let Some(used) = self.claimed(&what, service) {
            return Err(Refusal::Claimed(used.what.clone(), used.by.in_words()));
        }
        let kept = &mut self.later.fencing.redirect.reservations;
        if kept.len() >= RESERVATIONS_KEPT {
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

    /// What a configuration uses that is kept for somebody else: what it uses, what is kept, which
    /// may be a prefix with that in it, and for whom.
    #[must_use]
    pub fn kept_from(&self, config: &Config) -> Option<(Registered, Registered, &Reservation)> {
        let kept = &self.redirect().reservations;
        if kept.is_empty() {
            return None;
        }
        let is_prefix = |what: &Registered| matches!(what, Registered::Prefix(_));
        let prefixes: Vec<_> = kept.iter().filter(|(what, _)| is_prefix(what)).collect();
        used_by(config).find_map(|used| {
            let theirs = |(what, it): &(&Registered, &Reservation)| {
                let by = Claimed::Reserved((*it).clone());
                what.clashes(&used.what) && !may_use(&used.by, &by)
            };
            // Of all that is kept only prefixes can clash with something that is not the same.
            let found = if is_prefix(&used.what) {
                kept.iter().find(theirs)
            } else {
                let same = kept.get_key_value(&used.what).into_iter();
                same.chain(prefixes.iter().copied()).find(theirs)
            };
            found.map(|(what, it)| (used.what.clone(), what.clone(), it))
        })
    }

    pub(super) fn refuse_reserved(&self, config: &Config) -> Result<(), Refusal> {
        self.kept_from(config).map_or(Ok(()), |(_, what, it)| {
            Err(Refusal::Claimed(what, Claimed::Reserved(it.clone()).in_words()))
        })
    }

    /// The lowest address of a range that is nobody's, and none of `others`.
    #[must_use]
    pub fn free_address(&self, range: &AddressRange, others: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        range.free(&self.taken(others))
    }

    /// How many addresses of a range are nobody's, as far as that can be counted.
    #[must_use]
    pub fn free_addresses(&self, range: &AddressRange) -> u128 {
        range.count_free(&self.taken(&BTreeSet::new()))
    }

    /// All addresses that are somebody's, or one of `others`.
    fn taken(&self, others: &BTreeSet<IpAddr>) -> Vec<AddressRange> {
        let used = self.used().into_iter().filter_map(|used| match used.what {
            Registered::Address(it) => Some(AddressRange::one(it)),
            // An address in what is announced is a service's that is in the configuration.
            Registered::Prefix(_) if matches!(used.by, Claimed::Announced(_)) => None,
            Registered::Prefix(it) => Some(it.range()),
            Registered::Mac(_) | Registered::Name(_) => None,
        });
        used.chain(others.iter().map(|it| AddressRange::one(*it))).collect()
    }

    /// The next MAC of the cluster's own range that is nobody's.
    #[must_use]
    pub fn free_mac(&self) -> Option<MacAddress> {
        free_mac(self.cluster?.0, self.redirect()).map(|(_, mac)| mac)
    }

    /// Gives a MAC to each service that wants one and has none, and takes back those that nobody
    /// wants any more.
    pub(super) fn give_macs(&mut self) {
        let Some(config) = &self.config else { return };
        let wants = |service: &ServiceId| {
            let addresses = config.services.get(service).into_iter().flat_map(|it| &it.addresses);
            addresses.into_iter().any(|it| config.layers_of(it.ip).contains(&Layer::Mac))
        };
        let cluster = self.cluster.map(|it| it.0).unwrap_or_default();
        let redirect = &mut self.later.fencing.redirect;
        redirect.macs.retain(|service, _| wants(service));
        let lacking: Vec<_> = config
            .services
            .keys()
            .filter(|it| !redirect.macs.contains_key(*it) && wants(it))
            .cloned()
            .collect();
        for service in lacking {
            if let Some(mac) = reserved_mac(redirect, &service) {
                redirect.macs.insert(service, mac);
            } else if let Some((number, mac)) = free_mac(cluster, redirect) {
                redirect.macs_given = number;
                redirect.macs.insert(service, mac);
            }
        }
        redirect.told.retain(|service, _| config.services.contains_key(service));
        redirect.lowered.retain(|service, _| config.services.contains_key(service));
    }
}

/// What a configuration uses.
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
        let names: BTreeSet<_> = names.map(|it| Registered::Name(it.name.clone())).collect();
        addresses.chain(names).map(|what| Used { what, by: by() }).collect::<Vec<_>>()
    });
    own.chain(services).chain(announced_by(config))
}

/// The prefixes that a configuration announces as a whole.
fn announced_by(config: &Config) -> Vec<Used> {
    let mut all: BTreeMap<Prefix, BTreeSet<ServiceId>> =
        config.redirect().prefixes.iter().map(|it| (*it, BTreeSet::new())).collect();
    if all.is_empty() {
        return Vec::new();
    }
    for service in config.services.keys() {
        for prefix in config.announced_prefixes(service) {
            all.entry(prefix).or_default().insert(service.clone());
        }
    }
    let used = |(prefix, services)| Used {
        what: Registered::Prefix(prefix),
        by: Claimed::Announced(services),
    };
    all.into_iter().map(used).collect()
}

/// A MAC that is reserved for that service, and that no service has.
fn reserved_mac(redirect: &StateRedirect, service: &ServiceId) -> Option<MacAddress> {
    redirect.reservations.iter().find_map(|(what, it)| {
        let Registered::Mac(mac) = what else { return None };
        let free = mac.is_usable() && redirect.macs.values().all(|other| other != mac);
        (free && it.service.as_ref() == Some(service)).then_some(*mac)
    })
}

/// The number that comes next whose MAC is nobody's, and that MAC.
fn free_mac(cluster: [u8; 16], redirect: &StateRedirect) -> Option<(u32, MacAddress)> {
    let taken: BTreeSet<_> = redirect.macs.values().collect();
    let mut number = redirect.macs_given;
    // Far more numbers than services: one is free.
    for _ in 0..=u16::MAX {
        number = number.wrapping_add(1);
        let mac = mac(cluster, number);
        let kept = redirect.reservations.contains_key(&Registered::Mac(mac));
        if !kept && !taken.contains(&mac) {
            return Some((number, mac));
        }
    }
    None
}

/// The MAC of that number: locally administered, and with a part of the cluster's identity, so that
/// two clusters on one segment hardly give out the same.
fn mac(cluster: [u8; 16], number: u32) -> MacAddress {
    let [a, b, c, ..] = cluster;
    let [.., high, low] = number.to_be_bytes();
    MacAddress([0x02, a, b, c, high, low])
}
