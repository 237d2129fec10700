//! Frames on a wire: announcements, probes and echoes, built and read by hand.
//!
//! # What it is for
//! Telling a segment where an address lives now (gratuitous ARP in both forms, unsolicited
//! neighbour advertisements), telling one neighbour alone, asking whether somebody else uses it
//! (ARP probe, duplicate address detection), noticing a stranger who claims it, and asking one
//! particular node by its MAC whether it answers. Whole Ethernet frames go through an `AF_PACKET`
//! socket, so an address can be announced or probed without being configured.
//!
//! # How it is laid out
//! `arp`, `neighbor` and `echo` turn values into bytes and bytes into values; they know no socket,
//! and no bytes make them panic. [`claim`], [`announced`] and [`answered`] judge one received
//! frame. [`PacketSocket`] carries them. [`Pinger`] is the one that leaves it to the kernel where
//! an echo goes.
//!
//! # Failures
//! What is not understood is `None`: other traffic is no error. The socket reports a vanished or
//! downed interface. A frame that the lease gate drops on its way out comes back as `ENOBUFS`.
//!
//! # Deliberately absent
//! No `PACKET_QDISC_BYPASS`: frames sent that way would pass by the lease gate. Tagged frames: a
//! VLAN is its own interface, and a frame with a tag is not of this segment. IPv6 extension headers
//! and fragments in neighbour discovery (RFC 6980 forbids the latter; nobody sends the former).

pub mod arp;
pub mod echo;
mod frame;
pub mod neighbor;
mod pinger;
mod socket;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netlink::Mac;
pub use frame::Frame;
pub(crate) use frame::checksum;
pub use pinger::{PingError, Pinger};
pub use socket::{PacketError, PacketSocket, Wanted};

/// What a received frame says about an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A stranger uses the address: it said so, or it sends from it.
    Uses(Mac),
    /// A stranger asks whether it may take the address (RFC 5227 2.1.1, RFC 4862 5.4.3).
    Probes(Mac),
}

impl Claim {
    /// Who it is.
    #[must_use]
    pub fn mac(self) -> Mac {
        let (Self::Uses(mac) | Self::Probes(mac)) = self;
        mac
    }
}

/// Who tells everybody that an address is at its MAC, if this frame does: a gratuitous ARP in
/// either form, or an advertisement to all nodes that nobody asked for.
#[must_use]
pub fn announced(bytes: &[u8]) -> Option<(IpAddr, Mac)> {
    let frame = Frame::parse(bytes)?;
    if let Some(arp) = arp::Arp::parse(&frame) {
        let to_all = arp.sender_ip == arp.target_ip && frame.destination == Mac::BROADCAST;
        return to_all.then_some((arp.sender_ip.into(), arp.sender_mac));
    }
    let message = neighbor::Message::parse(&frame)?;
    match message.kind {
        neighbor::Kind::Advertisement { solicited: false, overrides: true } => {
            let mac = message.link_layer.unwrap_or(frame.source);
            let to_all = message.destination.is_multicast() && frame.destination.0[0] & 1 != 0;
            to_all.then_some((message.target.into(), mac))
        }
        neighbor::Kind::Advertisement { .. } | neighbor::Kind::Solicitation => None,
    }
}

/// Who answers a question of `own` by this frame, and for which of its addresses: a neighbour that
/// was asked from there has heard where that address is.
#[must_use]
pub fn answered(bytes: &[u8], own: Mac) -> Option<(IpAddr, IpAddr)> {
    let frame = Frame::parse(bytes)?;
    if frame.destination != own || frame.source == own {
        return None;
    }
    if let Some(arp) = arp::Arp::parse(&frame) {
        let answers = arp.operation == arp::Operation::Reply && arp.sender_ip != arp.target_ip;
        return answers.then_some((arp.sender_ip.into(), arp.target_ip.into()));
    }
    let message = neighbor::Message::parse(&frame)?;
    match message.kind {
        neighbor::Kind::Advertisement { solicited: true, .. } => {
            Some((message.target.into(), message.destination.into()))
        }
        neighbor::Kind::Advertisement { solicited: false, .. } | neighbor::Kind::Solicitation => {
            None
        }
    }
}

/// Whether this frame shows a stranger claiming `addr`. `own` are the MACs that are not strangers:
/// all interfaces of this node on the segment.
#[must_use]
pub fn claim(bytes: &[u8], addr: IpAddr, own: &[Mac]) -> Option<Claim> {
    let frame = Frame::parse(bytes)?;
    let found = match addr {
        IpAddr::V4(addr) => claim_v4(&frame, addr)?,
        IpAddr::V6(addr) => claim_v6(&frame, addr)?,
    };
    let mac = found.mac();
    // A frame that comes from ourselves (looped back by a switch) is ours whatever it contains.
    (!own.contains(&mac) && !own.contains(&frame.source)).then_some(found)
}

fn claim_v4(frame: &Frame<'_>, addr: Ipv4Addr) -> Option<Claim> {
    let arp = arp::Arp::parse(frame)?;
    if addr.is_unspecified() {
        return None;
    }
    let probes = arp.sender_ip.is_unspecified()
        && arp.target_ip == addr
        && arp.operation == arp::Operation::Request;
    if arp.sender_ip == addr {
        Some(Claim::Uses(arp.sender_mac))
    } else {
        probes.then_some(Claim::Probes(arp.sender_mac))
    }
}

fn claim_v6(frame: &Frame<'_>, addr: Ipv6Addr) -> Option<Claim> {
    let message = neighbor::Message::parse(frame)?;
    let claimant = message.link_layer.unwrap_or(frame.source);
    match message.kind {
        neighbor::Kind::Advertisement { .. } => {
            (message.target == addr).then_some(Claim::Uses(claimant))
        }
        neighbor::Kind::Solicitation if message.source == addr => Some(Claim::Uses(claimant)),
        neighbor::Kind::Solicitation => {
            let probes = message.source.is_unspecified() && message.target == addr;
            probes.then_some(Claim::Probes(claimant))
        }
    }
}
