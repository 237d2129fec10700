//! What this node hears on the segments of services: for itself, and for others that ask.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::ServiceId;
use stead_edge::chain;
use stead_linux::netlink::Mac;

use super::Target;
use super::memory::{REMEMBERED, Reached};
use super::segment::Segments;

/// By how much longer than the announcer announces this node must have listened, so that what it
/// did not hear was not there: a question may be that long on its way.
const AHEAD: Duration = Duration::from_secs(5);

/// Whether somebody's announcements arrive here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// One did, within the last minute.
    Yes,
    /// None did, and this node would have heard it.
    No,
    /// This node can't say, and why.
    Unknown(String),
}

/// The ears of this node. Copies share them.
#[derive(Clone, Default)]
pub struct Ears(pub(super) Arc<Segments>);

impl Ears {
    /// Listens for announcements of these addresses, and of no others, from now on: in the network
    /// namespace of the calling thread, inside a tokio runtime. An interface that is not there now
    /// is listened to once somebody asks what was heard.
    pub fn listen(&self, targets: Vec<Target>) {
        let interfaces: BTreeSet<_> = targets.iter().map(|it| &it.interface).collect();
        for interface in interfaces {
            if let Err(error) = self.0.get(interface) {
                tracing::debug!("not listened to: {}", chain(&error));
            }
        }
        self.0.memory.listen_for(targets);
    }

    /// Whether an address was announced here from one of these MACs. Whoever asks began that long
    /// ago, and repeats it each minute.
    #[must_use]
    pub fn heard(&self, target: &Target, macs: &[[u8; 6]], since: Duration) -> Heard {
        let by = self.0.memory.announced_by(target);
        if by.is_some_and(|mac: Mac| macs.contains(&mac.0)) {
            return Heard::Yes;
        }
        let segment = match self.0.get(&target.interface) {
            Ok(segment) => segment,
            Err(error) => return Heard::Unknown(chain(&error)),
        };
        let Some(wanted) = self.0.memory.listens_since(target) else {
            return Heard::Unknown(format!("nobody listens for {} here", target.address));
        };
        let listens = wanted.max(segment.opened()).elapsed();
        if listens < since.min(REMEMBERED) + AHEAD {
            return Heard::Unknown(format!("{} is listened for only lately", target.address));
        }
        Heard::No
    }

    /// How far the addresses of a service here are known on their segments.
    #[must_use]
    pub fn reached(&self, service: &ServiceId) -> Vec<Reached> {
        let mut reached = self.0.memory.reached();
        reached.retain(|it| it.service == *service);
        reached
    }

    /// Whether announcements were seen not to arrive on the segment of an address.
    #[must_use]
    pub fn swallowed(&self, target: &Target) -> bool {
        self.0.memory.swallows(target)
    }

    /// Announcements do not arrive on the segment of an address, or do. Where they don't, its
    /// neighbours go on being told one by one.
    pub fn set_swallowed(&self, target: &Target, swallowed: bool) {
        self.0.memory.set_swallows(target, swallowed);
    }
}
