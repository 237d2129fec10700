//! The heartbeat sockets: one for each link of the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use stead_core::id::NodeId;
use stead_core::lease::{Heartbeat, LinkId, Traffic};
use stead_core::table::Table;
use stead_core::time::{Instant, Span};
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_linux::netlink::Netlink;
use stead_linux::poller::Poller;
use stead_linux::udp::Heartbeats;

use super::ipc::Network;
use super::seal::{LONGEST, Rejected, Sealer};

/// The time between two attempts to open a socket.
const RETRY: Span = Span::from_millis(500);
/// How many senders of rejected datagrams are remembered between two reports.
const REJECTED_KEPT: usize = 64;

/// All links of this node.
#[derive(Default)]
pub(super) struct Links {
    network: Network,
    sockets: Vec<Option<Heartbeats>>,
    retry_at: Option<Instant>,
    rejected: BTreeMap<(SocketAddr, Rejected), u64>,
    /// Of every node that was ever sent anything or heard.
    traffic: BTreeMap<NodeId, Table<LinkId, Traffic>>,
    /// What does not work, by link, so that it is said once.
    broken: BTreeMap<usize, String>,
    pub(super) troubles: Vec<String>,
}

impl Links {
    /// Takes the network as the configuration has it now.
    pub(super) fn set(&mut self, network: &Network, poller: &Poller) {
        if network.links != self.network.links {
            // Dropping a socket ends its being watched.
            self.sockets = network.links.iter().map(|_| None).collect();
            self.broken.clear();
            // Links go by their numbers, and another one may have that number now.
            self.traffic.clear();
            self.retry_at = Some(Instant::START);
        }
        self.network = network.clone();
        self.tick(Instant(boottime()), poller);
    }

    /// When a socket that could not be opened is to be tried again.
    pub(super) fn deadline(&self) -> Instant {
        self.retry_at.unwrap_or(Instant::NEVER)
    }

    /// Opens what is not open, if it is time.
    pub(super) fn tick(&mut self, now: Instant, poller: &Poller) {
        if self.retry_at.is_none_or(|at| now < at) {
            return;
        }
        self.retry_at = None;
        for at in 0..self.sockets.len() {
            if self.sockets[at].is_some() {
                continue;
            }
            match open(self.network.links[at]) {
                Ok(socket) => {
                    if let Err(error) = poller.watch(std::os::fd::AsFd::as_fd(&socket), at as u64) {
                        self.troubles.push(chain(&error));
                    }
                    self.sockets[at] = Some(socket);
                    self.broken.remove(&at);
                }
                Err(detail) => {
                    self.retry_at = Some(now + RETRY);
                    if self.broken.get(&at) != Some(&detail) {
                        self.troubles.push(detail.clone());
                        self.broken.insert(at, detail);
                    }
                }
            }
        }
    }

    /// Closes a socket whose interface is gone; it is opened again when that is back.
    pub(super) fn reopen(&mut self, link: usize) {
        if let Some(socket) = self.sockets.get_mut(link) {
            *socket = None;
            self.retry_at = Some(Instant(boottime()) + RETRY);
        }
    }

    /// Sends a heartbeat to a node on every link.
    pub(super) fn send(&mut self, sealer: &Sealer, to: NodeId, heartbeat: &Heartbeat) {
        let Some(addresses) = self.network.peers.get(&to) else { return };
        let traffic = self.traffic.entry(to).or_default();
        for (at, (socket, address)) in self.sockets.iter().zip(addresses).enumerate() {
            let (Some(socket), Ok(link)) = (socket, LinkId::try_from(at)) else { continue };
            match sealer.seal(to, link, heartbeat) {
                // A datagram that could not be sent is a lost one: the next follows soon, and what
                // is wrong with the link shows by its silence.
                Ok(bytes) => {
                    let taken = socket.send_to(&bytes, *address).unwrap_or(false);
                    traffic.get_or_insert_with(link, Traffic::default).sent += u64::from(taken);
                }
                Err(error) => self.troubles.push(error.to_string()),
            }
        }
    }

    /// Takes the next datagram of a link that counts; nothing once there is none left.
    pub(super) fn receive(
        &mut self,
        link: usize,
        sealer: &mut Sealer,
    ) -> Option<(LinkId, Heartbeat)> {
        let mut buffer = [0; LONGEST + 1];
        loop {
            let socket = self.sockets.get(link)?.as_ref()?;
            match socket.recv_from(&mut buffer) {
                Ok(None) => return None,
                Ok(Some((length, from))) => match sealer.open(&buffer[..length]) {
                    // The number of the link is the sender's; that of the socket is ours.
                    Ok((_, heartbeat)) => {
                        let link = link.try_into().ok()?;
                        let traffic = self.traffic.entry(heartbeat.from).or_default();
                        traffic.get_or_insert_with(link, Traffic::default).received += 1;
                        return Some((link, heartbeat));
                    }
                    Err(reason) => self.note_rejected(from, reason),
                },
                Err(error) => {
                    self.troubles.push(chain(&error));
                    self.reopen(link);
                    return None;
                }
            }
        }
    }

    /// What was sent to a node, and what came from it.
    pub(super) fn traffic(&self, node: NodeId) -> Table<LinkId, Traffic> {
        self.traffic.get(&node).cloned().unwrap_or_default()
    }

    fn note_rejected(&mut self, mut from: SocketAddr, reason: Rejected) {
        from.set_port(0);
        let key = (from, reason);
        if self.rejected.len() < REJECTED_KEPT || self.rejected.contains_key(&key) {
            *self.rejected.entry(key).or_default() += 1;
        }
    }

    /// What was rejected since this was last asked.
    pub(super) fn take_rejected(&mut self) -> Vec<(SocketAddr, Rejected, u64)> {
        let rejected = std::mem::take(&mut self.rejected).into_iter();
        rejected.map(|((from, reason), count)| (from, reason, count)).collect()
    }
}

/// Opens the socket of one link, on the interface that has the link's address.
fn open(local: SocketAddr) -> Result<Heartbeats, String> {
    let mut netlink = Netlink::open().map_err(|error| chain(&error))?;
    let addresses = netlink.addresses().map_err(|error| chain(&error))?;
    let own = addresses.iter().find(|it| it.addr == local.ip());
    let own = own.ok_or_else(|| {
        format!("{} is not an address of this machine: no heartbeats on that link", local.ip())
    })?;
    let link = netlink.link(own.index).map_err(|error| chain(&error))?;
    Heartbeats::open(local, &link.name).map_err(|error| chain(&error))
}
