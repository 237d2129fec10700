//! What is heard of services' addresses: announcements of others, and answers of neighbours that
//! this node told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_core::id::ServiceId;
use stead_linux::netlink::Mac;
use stead_linux::packet::{announced, answered};
use tokio::time::Instant;

use super::Target;

/// For how long an announcement is remembered: as long as one that is repeated slowly may take.
pub(super) const REMEMBERED: Duration = Duration::from_secs(65);

/// How far an address of this node's is known on its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The address, and where it is.
    pub target: Target,
    /// Whose it is.
    pub service: ServiceId,
    /// How long ago it was announced first.
    pub since: Duration,
    /// How many neighbours were asked one by one, lately.
    pub asked: usize,
    /// How many of these have answered, and so have heard it.
    pub answered: usize,
    /// Announcements do not arrive there, as an observer found.
    pub swallowed: bool,
}

/// What is known. Bounded by the configuration (an address that no service has is not remembered)
/// and by how many neighbours are told.
#[derive(Default)]
pub(super) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// What is listened for, since when.
    wanted: HashMap<Target, Instant>,
    /// Whose announcement of it was heard last, and when.
    announced: HashMap<Target, (Mac, Instant)>,
    /// What this node announces.
    here: BTreeMap<IpAddr, Here>,
    /// Interfaces on which announcements do not arrive; those of IPv4, or of IPv6.
    swallow: BTreeSet<(String, bool)>,
}

struct Here {
    target: Target,
    service: ServiceId,
    began: Instant,
    /// Who was asked last, and whether it answered.
    asked: BTreeMap<IpAddr, bool>,
}

impl Memory {
    /// Listens for these addresses, and for no others.
    pub(super) fn listen_for(&self, targets: Vec<Target>) {
        let (mut inner, now) = (self.lock(), Instant::now());
        let since = |target: Target| {
            let known = inner.wanted.get(&target).copied().unwrap_or(now);
            (target, known)
        };
        let wanted: HashMap<_, _> = targets.into_iter().map(since).collect();
        inner.announced.retain(|target, _| wanted.contains_key(target));
        inner.wanted = wanted;
    }

    /// Since when an address is listened for there.
    pub(super) fn listens_since(&self, target: &Target) -> Option<Instant> {
        self.lock().wanted.get(target).copied()
    }

    /// Whose announcement of an address was heard there last, within the last minute.
    pub(super) fn announced_by(&self, target: &Target) -> Option<Mac> {
        let inner = self.lock();
        let (mac, at) = inner.announced.get(target)?;
        (at.elapsed() < REMEMBERED).then_some(*mac)
    }

    /// A frame came in there.
    pub(super) fn hear(&self, interface: &str, own: Mac, bytes: &[u8]) {
        let of = |address| Target { address, interface: interface.to_owned() };
        if let Some((address, mac)) = announced(bytes) {
            let target = of(address);
            let mut inner = self.lock();
            if inner.wanted.contains_key(&target) {
                inner.announced.insert(target, (mac, Instant::now()));
            }
        } else if let Some((neighbour, address)) = answered(bytes, own) {
            let mut inner = self.lock();
            let here = inner.here.get_mut(&address).filter(|it| it.target.interface == interface);
            if let Some(answers) = here.and_then(|here| here.asked.get_mut(&neighbour)) {
                *answers = true;
            }
        }
    }

    /// This node has begun to announce an address.
    pub(super) fn begin(&self, service: &ServiceId, target: &Target, began: Instant) {
        let (target, service, asked) = (target.clone(), service.clone(), BTreeMap::new());
        let here = Here { target, service, began, asked };
        self.lock().here.insert(here.target.address, here);
    }

    /// The service's addresses are this node's no longer.
    pub(super) fn forget(&self, service: &ServiceId) {
        self.lock().here.retain(|_, here| here.service != *service);
    }

    /// These neighbours are told now.
    pub(super) fn asks(&self, target: &Target, neighbours: Vec<IpAddr>) {
        let mut inner = self.lock();
        let here = inner.here.get_mut(&target.address).filter(|here| here.target == *target);
        if let Some(here) = here {
            let known = |it| (it, here.asked.get(&it).copied().unwrap_or(false));
            here.asked = neighbours.into_iter().map(known).collect();
        }
    }

    /// How far this node's addresses are known.
    pub(super) fn reached(&self) -> Vec<Reached> {
        let inner = self.lock();
        let reached = |here: &Here| Reached {
            target: here.target.clone(),
            service: here.service.clone(),
            since: here.began.elapsed(),
            asked: here.asked.len(),
            answered: here.asked.values().filter(|answered| **answered).count(),
            swallowed: inner.swallow.contains(&place(&here.target)),
        };
        inner.here.values().map(reached).collect()
    }

    /// Whether announcements of that kind arrive nowhere on the segment of an address.
    pub(super) fn swallows(&self, target: &Target) -> bool {
        self.lock().swallow.contains(&place(target))
    }

    /// An observer has found that they don't, or do.
    pub(super) fn set_swallows(&self, target: &Target, swallows: bool) {
        let mut inner = self.lock();
        if swallows {
            inner.swallow.insert(place(target));
        } else {
            inner.swallow.remove(&place(target));
        }
    }

    /// No value is left half written by a panic under this lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A segment may carry the announcements of one family only.
fn place(target: &Target) -> (String, bool) {
    (target.interface.clone(), target.address.is_ipv4())
}
