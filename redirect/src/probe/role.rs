//! The roles that this node plays.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};

use stead_linux::netlink::{Mac, Netlink, NetlinkError};
use stead_linux::packet::{PacketError, PingError};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::holder::Holder;
use super::leash::lock;
use super::observer::Observer;
use super::order::{Answer, Order};
use super::trial::{Station, Unfit};

/// How many trials a node takes part in at one time: one for each form, and some for an end that
/// was not told.
const ROLES: usize = 16;

/// Why an order was not carried out. Apart from [`RoleError::InUse`], no frame was sent for it.
#[derive(Debug, Error)]
pub enum RoleError {
    /// The trial is none that may be begun.
    #[error("the trial is refused; nothing was sent")]
    Unfit(#[from] Unfit),
    /// The address is this node's own, though nobody said so.
    #[error("{0} is an address of this node; nothing was sent; choose one that nobody uses")]
    Own(IpAddr),
    /// No such trial here, or not any more.
    #[error("this node has no such part in trial {0:016x}; it ended or never was; begin again")]
    Unknown(u64),
    /// The trial has begun here already.
    #[error("this node has a part in trial {0:016x} already; nothing changed")]
    Twice(u64),
    /// Too many.
    #[error("this node has parts in {ROLES} trials; nothing was begun; end some of them first")]
    Full,
    /// It is not known yet whether the address is free.
    #[error("whether the address is free is still being asked; nothing was claimed; wait for it")]
    Asking,
    /// Somebody uses the address.
    #[error("{mac} uses the address; nothing is claimed; choose an address that nobody uses")]
    InUse {
        /// Who.
        mac: Mac,
    },
    /// The interface, or the socket on it.
    #[error("frames can't pass through {interface}; nothing was begun")]
    Packet {
        /// Its name.
        interface: String,
        /// Why not.
        #[source]
        source: PacketError,
    },
    /// IPv6 is turned off there, or its groups are full.
    #[error("can't hear questions for IPv6 addresses on {interface}; nothing was begun")]
    Group {
        /// Its name.
        interface: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The way of ordinary programs.
    #[error("echoes can't be sent through {interface}; nothing was begun")]
    Ping {
        /// Its name.
        interface: String,
        /// Why not.
        #[source]
        source: PingError,
    },
    /// The socket can't be waited for.
    #[error("{interface} can't be listened to; nothing was begun")]
    Wait {
        /// Its name.
        interface: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel can't be asked about the interface.
    #[error("{interface} can't be looked up; nothing was begun")]
    Look {
        /// Its name.
        interface: String,
        /// Why not.
        #[source]
        source: NetlinkError,
    },
    /// The kernel does not show its neighbour table.
    #[error("the neighbour table can't be read; the trial goes on; ask again")]
    Neighbours {
        /// Why not.
        #[source]
        source: NetlinkError,
    },
}

/// All parts that this node has in trials. Dropped, all of them end.
pub struct Roles {
    runtime: Handle,
    playing: Mutex<HashMap<u64, Playing>>,
}

struct Playing {
    part: Part,
    task: AbortHandle,
}

/// Owned by its task alone: when that ends, so do its sockets, and nothing is left of it.
enum Part {
    Holder(Weak<Holder>),
    Observer(Weak<Observer>),
}

/// A part while it is told something.
enum Found {
    Holder(Arc<Holder>),
    Observer(Arc<Observer>),
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Roles {
    /// None so far; those to come live on that runtime.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, playing: Mutex::default() }
    }

    /// Carries out one order. `owned` are the addresses of all nodes and services, as this node
    /// knows them. Takes as long as a few questions to the kernel; sockets are opened in the
    /// network namespace of the calling thread.
    ///
    /// # Errors
    /// See [`RoleError`].
    pub fn perform(&self, order: Order, owned: &[IpAddr]) -> Result<Answer, RoleError> {
        match order {
            Order::Introduce { interface } => introduce(interface),
            Order::Hold { trial, interface, number, holders } => {
                trial.check(owned)?;
                not_own(&interface, trial.address)?;
                let open = || {
                    let holder = Holder::open(&trial, &interface, number, holders)?;
                    let part = Part::Holder(Arc::downgrade(&holder));
                    Ok(Playing { part, task: self.runtime.spawn(holder.run()).abort_handle() })
                };
                self.begin(trial.id, open)
            }
            Order::Observe { trial, interface, holders } => {
                trial.check(owned)?;
                not_own(&interface, trial.address)?;
                let open = || {
                    let observer = Observer::open(&trial, &interface, holders)?;
                    let part = Part::Observer(Arc::downgrade(&observer));
                    Ok(Playing { part, task: self.runtime.spawn(observer.run()).abort_handle() })
                };
                self.begin(trial.id, open)
            }
            Order::Claim(id) => self.holder(id)?.claim().map(|()| Answer::Done),
            Order::Silence(id) => {
                self.holder(id)?.silence();
                Ok(Answer::Done)
            }
            Order::Mark(id) => {
                self.observer(id)?.mark();
                Ok(Answer::Done)
            }
            Order::Question(id) => {
                self.observer(id)?.ask();
                Ok(Answer::Done)
            }
            Order::Look { id, entry } => match self.part(id)? {
                Found::Holder(holder) => Ok(Answer::Held(holder.look())),
                Found::Observer(observer) => {
                    observer.look(entry).map(|seen| Answer::Seen(Box::new(seen)))
                }
            },
            Order::End(id) => {
                lock(&self.playing).remove(&id);
                Ok(Answer::Done)
            }
        }
    }

    fn begin(
        &self,
        id: u64,
        open: impl FnOnce() -> Result<Playing, RoleError>,
    ) -> Result<Answer, RoleError> {
        let mut playing = lock(&self.playing);
        playing.retain(|_, it| !it.task.is_finished());
        if playing.contains_key(&id) {
            return Err(RoleError::Twice(id));
        }
        if playing.len() >= ROLES {
            return Err(RoleError::Full);
        }
        let _inside = self.runtime.enter();
        playing.insert(id, open()?);
        Ok(Answer::Done)
    }

    /// A part that still is played; that it is asked for shows that somebody wants to know.
    fn part(&self, id: u64) -> Result<Found, RoleError> {
        let playing = lock(&self.playing);
        let found = match &playing.get(&id).ok_or(RoleError::Unknown(id))?.part {
            Part::Holder(holder) => holder.upgrade().map(Found::Holder),
            Part::Observer(observer) => observer.upgrade().map(Found::Observer),
        };
        let found = found.ok_or(RoleError::Unknown(id))?;
        match &found {
            Found::Holder(holder) => holder.leash.renew(),
            Found::Observer(observer) => observer.leash.renew(),
        }
        Ok(found)
    }

    fn holder(&self, id: u64) -> Result<Arc<Holder>, RoleError> {
        match self.part(id)? {
            Found::Holder(holder) => Ok(holder),
            Found::Observer(_) => Err(RoleError::Unknown(id)),
        }
    }

    fn observer(&self, id: u64) -> Result<Arc<Observer>, RoleError> {
        match self.part(id)? {
            Found::Observer(observer) => Ok(observer),
            Found::Holder(_) => Err(RoleError::Unknown(id)),
        }
    }
}

fn introduce(interface: String) -> Result<Answer, RoleError> {
    let found = Netlink::open().and_then(|mut netlink| netlink.link_named(&interface));
    match found {
        Ok(link) => link.mac.map(|mac| Answer::Mac(Station(mac))).ok_or_else(|| {
            let source = io::Error::new(io::ErrorKind::Unsupported, "it has no MAC");
            RoleError::Wait { interface, source }
        }),
        Err(source) => Err(RoleError::Look { interface, source }),
    }
}

fn not_own(interface: &str, address: IpAddr) -> Result<(), RoleError> {
    let found = Netlink::open().and_then(|mut netlink| netlink.addresses());
    let look = |source| RoleError::Look { interface: interface.to_owned(), source };
    let own = found.map_err(look)?.iter().any(|it| it.addr == address);
    if own { Err(RoleError::Own(address)) } else { Ok(()) }
}
