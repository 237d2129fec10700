//! An observer: what a client sees whose kernel has to learn where the address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_edge::polled::Polled;
use stead_linux::netlink::{Mac, Neighbour, NeighbourState, Netlink, NetlinkError};
use stead_linux::packet::arp::{self, Arp};
use stead_linux::packet::echo::{self, Echo, End};
use stead_linux::packet::{Frame, PacketError, PacketSocket, PingError, Pinger, Wanted, neighbor};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::frames;
use super::holder::span;
use super::identity::{question, who};
use super::leash::{Leash, lock};
use super::order::{Entry, Seen};
use super::role::RoleError;
use super::trial::{Station, Trial};

/// Between two echo requests: as exact as takeovers are told, and nothing for a network.
const EVERY: Duration = Duration::from_millis(10);

/// An observer, from its first echo until its end.
pub(super) struct Observer {
    trial: u64,
    address: IpAddr,
    /// This node's own address on that network.
    own: Option<IpAddr>,
    /// The MAC of each holder, as neighbours are to see it.
    macs: [Mac; 2],
    pinger: Pinger,
    socket: Polled<PacketSocket>,
    netlink: Mutex<Netlink>,
    state: Mutex<State>,
    pub(super) leash: Leash,
}

struct State {
    seen: Seen,
    since: Instant,
    /// Which of the holders is expected.
    turn: usize,
    sequence: u16,
}

impl State {
    fn failed(&mut self, why: String) {
        self.seen.failed = self.seen.failed.saturating_add(1);
        self.seen.failure = Some(why);
    }
}

/// What a frame was to an observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// An announcement of that MAC.
    Announced(Mac),
    /// An answer of that MAC to a question about the address.
    Told(Mac),
    /// A holder's answer to an echo by the kernel's own way.
    Followed(u8),
    /// An answer to an echo that was sent to one MAC.
    Direct,
}

impl Observer {
    /// Opens its sockets, in this network namespace. To be called inside a runtime.
    pub(super) fn open(
        trial: &Trial,
        interface: &str,
        holders: [Station; 2],
    ) -> Result<Arc<Self>, RoleError> {
        let packet = |source| RoleError::Packet { interface: interface.to_owned(), source };
        let look = |source| RoleError::Look { interface: interface.to_owned(), source };
        let ping = |source| RoleError::Ping { interface: interface.to_owned(), source };
        let socket = PacketSocket::open(interface, Wanted::Takeovers).map_err(packet)?;
        let mut netlink = Netlink::open().map_err(look)?;
        let own = own_address(&mut netlink, socket.index(), trial.address).map_err(look)?;
        forget(&mut netlink, socket.index(), trial.address).map_err(look)?;
        let pinger = Pinger::open(interface, trial.address).map_err(ping)?;
        let socket = Polled::new(socket)
            .map_err(|source| RoleError::Wait { interface: interface.to_owned(), source })?;
        let macs = match trial.mac {
            Some(mac) => [mac.0, mac.0],
            None => holders.map(|station| station.0),
        };
        let observer = Self {
            trial: trial.id,
            address: trial.address,
            own,
            macs,
            pinger,
            socket,
            netlink: Mutex::new(netlink),
            state: Mutex::new(State {
                seen: Seen::default(),
                since: Instant::now(),
                turn: 0,
                sequence: 0,
            }),
            leash: Leash::new(trial.end()),
        };
        // Whether there is a way at all is best known before anybody claims anything.
        let message = observer.message(0);
        match observer.pinger.send(&echo::Message { data: &question(trial.id), ..message }) {
            Err(error @ PingError::NoWay { .. }) => Err(ping(error)),
            Ok(()) | Err(_) => Ok(Arc::new(observer)),
        }
    }

    /// Counts from now on, for the second holder.
    pub(super) fn mark(&self) {
        let mut state = lock(&self.state);
        state.seen = Seen::default();
        state.since = Instant::now();
        state.turn = 1;
    }

    /// Asks everybody for the address, and the expected holder by its MAC.
    pub(super) fn ask(&self) {
        let mut state = lock(&self.state);
        let mac = self.macs[state.turn];
        let message = self.message(state.sequence);
        let data = question(self.trial);
        let direct = echo::Message { id: self.id().wrapping_add(1), data: &data, ..message };
        let socket = self.socket.get();
        let from = socket.mac();
        let frames = match (self.address, self.own) {
            (IpAddr::V4(address), own) => {
                let ip = own.and_then(v4).unwrap_or(Ipv4Addr::UNSPECIFIED);
                let to = End { mac, ip: address };
                let echo = direct.over_v4(End { mac: from, ip }, to);
                [arp::request(from, ip, address, Mac::BROADCAST), echo]
            }
            (IpAddr::V6(address), own) => {
                let ip = own.and_then(v6).unwrap_or(Ipv6Addr::UNSPECIFIED);
                let to = End { mac, ip: address };
                let echo = direct.over_v6(End { mac: from, ip }, to);
                [neighbor::request(from, ip, address, None), echo]
            }
        };
        for frame in frames {
            if let Err(error) = socket.send(&frame) {
                state.failed(error.to_string());
            }
        }
    }

    /// What was seen.
    pub(super) fn look(&self, entry: bool) -> Result<Seen, RoleError> {
        let mut seen = lock(&self.state).seen.clone();
        if entry {
            seen.entry = self.entry()?;
        }
        Ok(seen)
    }

    fn entry(&self) -> Result<Option<Entry>, RoleError> {
        let index = self.socket.get().index();
        let all = lock(&self.netlink).neighbours();
        let all = all.map_err(|source| RoleError::Neighbours { source })?;
        let ours = |it: &&Neighbour| it.index == index && it.addr == self.address;
        Ok(all.iter().find(ours).map(|found| Entry {
            mac: found.mac.map(Station),
            by_hand: found.state == NeighbourState::Permanent,
        }))
    }

    /// Goes on until nobody wants to know any more.
    pub(super) async fn run(self: Arc<Self>) {
        let mut buffer = frames::buffer();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.leash.ended() => return,
                _ = ticks.tick() => self.ping(),
                read = frames::read(&self.socket, &mut buffer, |frame| self.on_frame(frame)) => {
                    if read.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Tells this observer's echoes from those of others on the same machine.
    fn id(&self) -> u16 {
        // even, for the next number is that of the direct ones
        self.trial as u16 & !1
    }

    fn message(&self, sequence: u16) -> echo::Message<'static> {
        echo::Message { kind: echo::Kind::Request, id: self.id(), sequence, data: &[] }
    }

    fn ping(&self) {
        let mut state = lock(&self.state);
        state.sequence = state.sequence.wrapping_add(1);
        let data = question(self.trial);
        match self.pinger.send(&echo::Message { data: &data, ..self.message(state.sequence) }) {
            Ok(()) => state.seen.sent += 1,
            Err(error) => state.failed(error.to_string()),
        }
    }

    fn on_frame(&self, bytes: Result<&[u8], PacketError>) {
        let mut state = lock(&self.state);
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return state.failed(error.to_string()),
        };
        let Some(frame) = Frame::parse(bytes) else { return };
        let (now, expected) = (span(state.since.elapsed()), self.macs[state.turn]);
        let seen = &mut state.seen;
        if frame.source == expected {
            seen.frames = seen.frames.saturating_add(1);
            seen.frame.get_or_insert(now);
        }
        match sight(&frame, self.trial, self.address) {
            Some(Sight::Announced(mac)) if mac == expected => {
                seen.announcements = seen.announcements.saturating_add(1);
                seen.announcement.get_or_insert(now);
            }
            Some(Sight::Told(mac)) if mac == expected => seen.told = seen.told.saturating_add(1),
            Some(Sight::Followed(number)) => {
                let Some(holder) = usize::from(number).checked_sub(1) else { return };
                let (Some(answers), Some(first)) =
                    (seen.answers.get_mut(holder), seen.first.get_mut(holder))
                else {
                    return;
                };
                *answers = answers.saturating_add(1);
                first.get_or_insert(now);
            }
            Some(Sight::Direct) => seen.direct = seen.direct.saturating_add(1),
            Some(Sight::Told(_)) => seen.strays = seen.strays.saturating_add(1),
            Some(Sight::Announced(_)) | None => {}
        }
    }
}

/// What a frame is to the observer of a trial.
pub(super) fn sight(frame: &Frame<'_>, trial: u64, address: IpAddr) -> Option<Sight> {
    if let Some(mac) = arp::reversed(frame) {
        return Some(Sight::Announced(mac));
    }
    if let Some(echo) = Echo::parse(frame) {
        if echo.kind != echo::Kind::Reply || echo.from.ip != address {
            return None;
        }
        let number = who(trial, echo.data)?;
        let direct = echo.id & 1 == 1;
        return Some(if direct { Sight::Direct } else { Sight::Followed(number) });
    }
    match address {
        IpAddr::V4(address) => {
            let arp = Arp::parse(frame).filter(|arp| arp.sender_ip == address)?;
            let gratuitous = arp.target_ip == address;
            let reply = arp.operation == arp::Operation::Reply;
            let told = reply.then_some(Sight::Told(arp.sender_mac));
            if gratuitous { Some(Sight::Announced(arp.sender_mac)) } else { told }
        }
        IpAddr::V6(address) => {
            let message = neighbor::Message::parse(frame).filter(|it| it.target == address)?;
            let mac = message.link_layer.unwrap_or(frame.source);
            match message.kind {
                neighbor::Kind::Solicitation => None,
                neighbor::Kind::Advertisement { solicited: true, .. } => Some(Sight::Told(mac)),
                neighbor::Kind::Advertisement { solicited: false, .. } => {
                    Some(Sight::Announced(mac))
                }
            }
        }
    }
}

/// This node's address on the interface whose network the other one is in, or else any of its
/// family.
fn own_address(
    netlink: &mut Netlink,
    index: u32,
    other: IpAddr,
) -> Result<Option<IpAddr>, NetlinkError> {
    let all = netlink.addresses_of(index)?;
    let usable = all.iter().filter(|it| it.addr.is_ipv4() == other.is_ipv4() && !it.tentative);
    let near = usable.clone().find(|it| shares(it.addr, other, it.prefix));
    Ok(near.or_else(|| usable.clone().next()).map(|it| it.addr))
}

/// Forgets what an earlier trial taught the kernel about the address: a MAC that moves does not
/// teach it anew. An entry that was set by hand stays, for it is what shall be found.
fn forget(netlink: &mut Netlink, index: u32, address: IpAddr) -> Result<(), NetlinkError> {
    let learned = |it: &Neighbour| {
        it.index == index && it.addr == address && it.state != NeighbourState::Permanent
    };
    if !netlink.neighbours()?.iter().any(learned) {
        return Ok(());
    }
    match netlink.delete_neighbour(index, address) {
        // the kernel's own housekeeping was quicker
        Err(error) if error.not_there() => Ok(()),
        other => other,
    }
}

fn shares(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            u32::from(one) | host == u32::from(other) | host
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            u128::from(one) | host == u128::from(other) | host
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}
