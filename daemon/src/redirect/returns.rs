//! Interfaces that come back, told to whoever announces something there.
//!
//! A switch forgets who was behind a port that lost its signal, and a card that was away may be in
//! another port now: until somebody behind it speaks, frames for its addresses go astray. The slow
//! refresh would mend that within a minute.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use stead_edge::chain;
use stead_edge::polled::Polled;
use stead_linux::netlink::{Event, Monitor, Netlink, NetlinkError};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Changes of interfaces can't be seen. Announcements are repeated all the same, slowly.
#[derive(Debug, Error)]
enum ReturnsError {
    /// The kernel's messages.
    #[error("interfaces that come back are not noticed; addresses are announced every minute")]
    Netlink(#[from] NetlinkError),
    /// Waiting for them.
    #[error("interfaces that come back can't be waited for; addresses are announced every minute")]
    Wait(#[from] io::Error),
}

/// Which interfaces came back, since they are watched.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// The number of the newest return.
    pub(super) newest: u64,
    /// The number of the last return of each interface that is still there.
    last: BTreeMap<String, u64>,
}

impl Returns {
    /// Whether the interface came back after that return.
    pub(super) fn after(&self, number: u64, interface: &str) -> bool {
        self.last.get(interface).is_some_and(|last| *last > number)
    }

    fn add(&mut self, interface: String) {
        self.newest += 1;
        self.last.insert(interface, self.newest);
    }
}

/// Watches the interfaces of this node, from the first look on.
#[derive(Default)]
pub(super) struct Watch {
    returns: watch::Sender<Returns>,
    task: Option<AbortHandle>,
}

impl Watch {
    /// What comes back from now on, in the namespace of the thread that calls this first.
    pub(super) fn follow(&mut self) -> watch::Receiver<Returns> {
        if self.task.as_ref().is_none_or(AbortHandle::is_finished) {
            match Watcher::open(self.returns.clone()) {
                Ok(watcher) => self.task = Some(tokio::spawn(watcher.run()).abort_handle()),
                // Tried again with the next announcement of a service.
                Err(error) => tracing::warn!("{}", chain(&error)),
            }
        }
        self.returns.subscribe()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Watcher {
    monitor: Monitor,
    readable: Polled<OwnedFd>,
    netlink: Netlink,
    /// Whether frames pass, by the interface's number.
    passes: HashMap<u32, bool>,
    returns: watch::Sender<Returns>,
}

impl Watcher {
    fn open(returns: watch::Sender<Returns>) -> Result<Self, ReturnsError> {
        // Before the list is read, so that nothing that changes in between is missed.
        let monitor = Monitor::open()?;
        let readable = Polled::new(monitor.as_fd().try_clone_to_owned()?)?;
        let mut netlink = Netlink::open()?;
        let links = netlink.links()?;
        let passes = links.iter().map(|it| (it.index, it.up && it.carrier)).collect();
        Ok(Self { monitor, readable, netlink, passes, returns })
    }

    async fn run(mut self) {
        let error = loop {
            let monitor = &mut self.monitor;
            match self.readable.next(|_| monitor.poll().transpose()).await {
                Ok(Ok(event)) => {
                    if let Err(error) = self.on_event(event) {
                        break error.into();
                    }
                }
                Ok(Err(error)) => break ReturnsError::from(error),
                Err(error) => break error.into(),
            }
        };
        // Watched again with the next announcement of a service.
        tracing::warn!("{}", chain(&error));
    }

    fn on_event(&mut self, event: Event) -> Result<(), NetlinkError> {
        match event {
            Event::Link { index, name, gone: true, .. } => {
                self.passes.remove(&index);
                self.returns.send_if_modified(|returns| returns.last.remove(&name).is_some());
            }
            Event::Link { index, name, up, carrier, gone: false } => {
                let passes = up && carrier;
                let passed = self.passes.insert(index, passes);
                if passes && passed != Some(true) {
                    self.returns.send_modify(|returns| returns.add(name));
                }
            }
            Event::AddressAdded { .. } | Event::AddressRemoved { .. } => {}
            Event::Overrun => self.begin_anew()?,
        }
        Ok(())
    }

    /// Changes were lost: any interface may have been away. To say so once too often does no harm.
    fn begin_anew(&mut self) -> Result<(), NetlinkError> {
        let links = self.netlink.links()?;
        self.passes = links.iter().map(|it| (it.index, it.up && it.carrier)).collect();
        self.returns.send_modify(|returns| {
            returns.last.clear();
            links.into_iter().filter(|it| it.up && it.carrier).for_each(|it| returns.add(it.name));
        });
        Ok(())
    }
}
