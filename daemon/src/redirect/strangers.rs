//! Who else used an address of ours lately, for whoever asks how things are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_core::id::ServiceId;
use stead_linux::netlink::Mac;
use tokio::time::Instant;

use super::Target;

/// For how long a stranger is remembered. Machines repeat what they say about their addresses; one
/// that was heard once and never again had a moment's error.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A stranger at an address that this node answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The address.
    pub address: IpAddr,
    /// Whose address it is.
    pub service: ServiceId,
    /// Where it was heard.
    pub interface: String,
    /// Its hardware address; the newest, if there are several.
    pub mac: Mac,
}

/// The newest stranger at each address. Copies share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers(Arc<Mutex<BTreeMap<IpAddr, (Stranger, Instant)>>>);

impl Strangers {
    /// One used an address just now.
    pub(super) fn heard(&self, service: &ServiceId, target: &Target, mac: Mac) {
        let (address, interface) = (target.address, target.interface.clone());
        let stranger = Stranger { address, service: service.clone(), interface, mac };
        self.lock().insert(address, (stranger, Instant::now()));
    }

    /// The service's addresses are this node's no longer.
    pub(super) fn forget(&self, service: &ServiceId) {
        self.lock().retain(|_, (stranger, _)| stranger.service != *service);
    }

    /// Those of the last minute.
    pub(super) fn list(&self) -> Vec<Stranger> {
        let mut strangers = self.lock();
        strangers.retain(|_, (_, heard)| heard.elapsed() < REMEMBERED);
        strangers.values().map(|(stranger, _)| stranger.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, (Stranger, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
