//! Sockets that stay open, one per interface, and the frames that come in through them.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_edge::chain;
use stead_edge::polled::Polled;
use stead_linux::netlink::{Link, Mac, Netlink, NetlinkError};
use stead_linux::packet::{Claim, Frame, PacketError, PacketSocket, Wanted, arp, claim, neighbor};
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::Instant;

use super::memory::Memory;
use super::neighbours::Tables;
use super::pace::Pace;
use super::strangers::Strangers;

/// How many claims wait for whoever watches an address; more at once tell nothing new.
const WAITING: usize = 16;
/// How many frames are read in one go before others get their turn.
const AT_ONCE: usize = 64;
/// Larger than any ARP or neighbour discovery frame that means anything here.
const FRAME: usize = 2_048;
/// For how long the kernel's tables are not read again: several services that come at once look at
/// the same.
const KEPT: Duration = Duration::from_secs(1);

/// An interface can't carry frames now. None was sent.
#[derive(Debug, Error)]
pub(super) enum SegmentError {
    /// There is none of that name.
    #[error("there is no interface {0}")]
    Missing(String),
    /// It was turned off.
    #[error("interface {0} is down")]
    Down(String),
    /// It has no signal.
    #[error("interface {0} has no signal from its cable or switch")]
    NoCarrier(String),
    /// The kernel can't be asked.
    #[error("interface {0} can't be looked up")]
    Netlink(String, #[source] NetlinkError),
    /// The socket.
    #[error("frames can't pass through interface {0}")]
    Packet(String, #[source] PacketError),
    /// The socket can't be waited for.
    #[error("interface {0} can't be listened to")]
    Listen(String, #[source] io::Error),
}

/// All interfaces that were needed so far.
#[derive(Default)]
pub(super) struct Segments {
    inner: Mutex<Known>,
    /// Who else used the addresses that are announced there.
    pub(super) strangers: Strangers,
    /// What is heard there.
    pub(super) memory: Arc<Memory>,
    /// How much is sent.
    pub(super) pace: Pace,
    /// The kernel's tables, and when they were read.
    tables: tokio::sync::Mutex<Option<(Arc<Tables>, Instant)>>,
}

#[derive(Default)]
struct Known {
    netlink: Option<Netlink>,
    open: HashMap<String, Open>,
}

struct Open {
    segment: Arc<Segment>,
    listener: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.listener.abort();
        self.segment.end_watches();
    }
}

/// One interface.
pub(super) struct Segment {
    name: String,
    socket: Polled<PacketSocket>,
    memory: Arc<Memory>,
    opened: Instant,
    watchers: Mutex<HashMap<IpAddr, Vec<Sender<Claim>>>>,
}

impl Segments {
    /// The interface as it was when it was last looked up, if it was: for who can't wait for the
    /// kernel, whose answers about interfaces queue behind every change of one.
    pub(super) fn known(&self, name: &str) -> Option<Arc<Segment>> {
        lock(&self.inner).open.get(name).map(|open| open.segment.clone())
    }

    /// The interface, if it can carry frames at this moment. Opened anew if it is another one of
    /// the same name, or has another MAC, than last time.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Segment>, SegmentError> {
        let mut known = lock(&self.inner);
        let link = known.link(name)?;
        if !link.up {
            return Err(SegmentError::Down(name.to_owned()));
        }
        if !link.carrier {
            return Err(SegmentError::NoCarrier(name.to_owned()));
        }
        if let Some(open) = known.open.get(name)
            && open.segment.index() == link.index
            && Some(open.segment.mac()) == link.mac
            && !open.listener.is_finished()
        {
            return Ok(open.segment.clone());
        }
        known.open.remove(name);
        let segment = Arc::new(Segment::open(name, self.memory.clone())?);
        let listener = tokio::spawn(segment.clone().listen()).abort_handle();
        known.open.insert(name.to_owned(), Open { segment: segment.clone(), listener });
        Ok(segment)
    }

    /// What the kernel knows of neighbours and gateways, as of a moment ago; nothing if it can't be
    /// asked.
    pub(super) async fn tables(&self) -> Option<Arc<Tables>> {
        let mut known = self.tables.lock().await;
        if let Some((tables, read)) = &*known
            && read.elapsed() < KEPT
        {
            return Some(tables.clone());
        }
        let read = match spawn_blocking(Tables::read).await {
            Ok(Ok(tables)) => Ok(Arc::new(tables)),
            Ok(Err(error)) => Err(chain(&error)),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(tables) => {
                *known = Some((tables.clone(), Instant::now()));
                Some(tables)
            }
            Err(why) => {
                tracing::warn!("neighbours are not told one by one: {why}");
                None
            }
        }
    }

    /// Whether a MAC is one of this node's own, on whatever interface; yes if that can't be found
    /// out, for a wrong alarm would stop a takeover.
    pub(super) fn is_own(&self, mac: Mac) -> bool {
        let mut known = lock(&self.inner);
        match known.netlink().and_then(Netlink::links) {
            Ok(links) => links.iter().any(|link| link.mac == Some(mac)),
            Err(_) => {
                known.netlink = None;
                true
            }
        }
    }
}

impl Known {
    fn netlink(&mut self) -> Result<&mut Netlink, NetlinkError> {
        let netlink = match self.netlink.take() {
            Some(netlink) => netlink,
            None => Netlink::open()?,
        };
        Ok(self.netlink.insert(netlink))
    }

    fn link(&mut self, name: &str) -> Result<Link, SegmentError> {
        let found = self.netlink().and_then(|netlink| netlink.link_named(name));
        found.map_err(|error| {
            if error.not_there() {
                return SegmentError::Missing(name.to_owned());
            }
            // The answer to this question must not be taken for one to the next.
            self.netlink = None;
            SegmentError::Netlink(name.to_owned(), error)
        })
    }
}

impl Segment {
    fn open(name: &str, memory: Arc<Memory>) -> Result<Self, SegmentError> {
        let socket = PacketSocket::open(name, Wanted::Neighbors)
            .map_err(|error| SegmentError::Packet(name.to_owned(), error))?;
        let socket =
            Polled::new(socket).map_err(|error| SegmentError::Listen(name.to_owned(), error))?;
        let (name, opened) = (name.to_owned(), Instant::now());
        Ok(Self { name, socket, memory, opened, watchers: Mutex::default() })
    }

    fn index(&self) -> u32 {
        self.socket.get().index()
    }

    /// Since when it is listened to.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Its MAC.
    pub(super) fn mac(&self) -> Mac {
        self.socket.get().mac()
    }

    /// Sends one frame.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), SegmentError> {
        let sent = self.socket.get().send(frame);
        sent.map_err(|error| SegmentError::Packet(self.name.clone(), error))
    }

    /// From now on, who else claims that address; until the receiver is dropped.
    pub(super) fn watch(&self, address: IpAddr) -> Receiver<Claim> {
        let (sender, receiver) = channel(WAITING);
        let mut watchers = lock(&self.watchers);
        let of_address = watchers.entry(address).or_default();
        of_address.retain(|watcher| !watcher.is_closed());
        of_address.push(sender);
        receiver
    }

    /// Whoever watches is told that nothing more will come.
    fn end_watches(&self) {
        lock(&self.watchers).clear();
    }

    /// Hands out what comes in, until the socket fails for good.
    async fn listen(self: Arc<Self>) {
        let failed = self.hand_out_all().await;
        tracing::warn!("interface {}: {failed}", self.name);
        self.end_watches();
    }

    async fn hand_out_all(&self) -> String {
        let mut buffer = [0; FRAME];
        loop {
            let mut read = 0;
            let failed = self.socket.next(|socket| {
                while read < AT_ONCE {
                    read += 1;
                    match socket.receive(&mut buffer) {
                        Ok(Some(frame)) => self.hand_out(frame),
                        Ok(None) => return None,
                        // Told once; frames come again when the interface is up.
                        Err(PacketError::Down(_) | PacketError::Dropped) => {}
                        Err(error) => return Some(Some(error)),
                    }
                }
                Some(None)
            });
            match failed.await {
                Ok(None) => tokio::task::yield_now().await,
                Ok(Some(error)) => return chain(&error),
                Err(error) => return error.to_string(),
            }
        }
    }

    fn hand_out(&self, bytes: &[u8]) {
        let Some(frame) = Frame::parse(bytes) else { return };
        self.memory.hear(&self.name, self.mac(), bytes);
        let about: [IpAddr; 2] = match (arp::Arp::parse(&frame), neighbor::Message::parse(&frame)) {
            (Some(arp), _) => [arp.sender_ip.into(), arp.target_ip.into()],
            (None, Some(message)) => [message.source.into(), message.target.into()],
            (None, None) => return,
        };
        let both = if about[0] == about[1] { &about[..1] } else { &about[..] };
        let mut watchers = lock(&self.watchers);
        for address in both {
            let Some(of_address) = watchers.get_mut(address) else { continue };
            of_address.retain(|watcher| !watcher.is_closed());
            if of_address.is_empty() {
                watchers.remove(address);
                continue;
            }
            let Some(found) = claim(bytes, *address, &[self.mac()]) else { continue };
            for watcher in of_address {
                // Full: there are enough of them to read.
                let _ = watcher.try_send(found);
            }
        }
    }
}

/// Nothing that is done under these locks can be left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
