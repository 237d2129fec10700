//! IPv6 neighbour discovery (RFC 4861): announcing an address and asking whether it is taken.

use std::net::Ipv6Addr;

use super::echo::End;
use super::frame::{self, Frame, array, be16, checksum};
use crate::netlink::Mac;

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const NONCE: u8 = 14;
/// Only a sender on the same segment can produce it (RFC 4861 11.2).
const HOP_LIMIT: u8 = 255;
const IPV6_HEADER: usize = 40;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who has the target?
    Solicitation,
    /// The target lives here.
    Advertisement {
        /// It answers a solicitation.
        solicited: bool,
        /// It replaces what the receiver knew.
        overrides: bool,
    },
}

/// A received neighbour solicitation or advertisement that passed the checks of RFC 4861 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Question or answer.
    pub kind: Kind,
    /// Sender's address; unspecified in duplicate address detection.
    pub source: Ipv6Addr,
    /// Whom it is for: one node, or a group.
    pub destination: Ipv6Addr,
    /// The address it is about.
    pub target: Ipv6Addr,
    /// The MAC it names in its option, if it has one.
    pub link_layer: Option<Mac>,
    /// What lets a sender know its own question again (RFC 7527).
    pub nonce: Option<[u8; 6]>,
}

impl Message {
    /// Reads a frame; `None` if it is something else, damaged, or from beyond a router.
    #[must_use]
    pub fn parse(frame: &Frame<'_>) -> Option<Self> {
        let bytes = frame.payload;
        if frame.ether_type != frame::IPV6 || bytes.first()? >> 4 != 6 {
            return None;
        }
        let (next, hops) = (*bytes.get(6)?, *bytes.get(7)?);
        let length = usize::from(be16(bytes, 4)?);
        let body = bytes.get(IPV6_HEADER..IPV6_HEADER.checked_add(length)?)?;
        if next != ICMPV6 || hops != HOP_LIMIT || body.len() < 24 {
            return None;
        }
        let pseudo = pseudo_header(bytes.get(8..40)?, length);
        if checksum(&[&pseudo, body]) != 0 || body[1] != 0 {
            return None;
        }
        let kind = match body[0] {
            SOLICITATION => Kind::Solicitation,
            ADVERTISEMENT => Kind::Advertisement {
                solicited: body[4] & FLAG_SOLICITED != 0,
                overrides: body[4] & FLAG_OVERRIDE != 0,
            },
            _ => return None,
        };
        let target = Ipv6Addr::from(array::<16>(body, 8)?);
        if target.is_multicast() {
            return None;
        }
        let source = Ipv6Addr::from(array::<16>(bytes, 8)?);
        let destination = Ipv6Addr::from(array::<16>(bytes, 24)?);
        let mut message = Self { kind, source, destination, target, link_layer: None, nonce: None };
        message.read_options(&body[24..])?;
        Some(message)
    }

    fn read_options(&mut self, mut options: &[u8]) -> Option<()> {
        let mine = match self.kind {
            Kind::Solicitation => SOURCE_LINK_LAYER,
            Kind::Advertisement { .. } => TARGET_LINK_LAYER,
        };
        while let [kind, units, ..] = *options {
            // A length of zero makes the whole packet invalid (RFC 4861 4.6).
            let length = usize::from(units) * 8;
            if length == 0 {
                return None;
            }
            let option = options.get(..length)?;
            if kind == mine {
                self.link_layer = Some(Mac(array(option, 2)?));
            } else if kind == NONCE {
                self.nonce = array(option, 2);
            }
            options = &options[length..];
        }
        Some(())
    }
}

/// "`ip` is at `mac`, forget what you knew", to all nodes (RFC 4861 7.2.6). `router` must say
/// whether this node forwards for others, or hosts would drop it as their router (or take it).
#[must_use]
pub fn announcement(mac: Mac, ip: Ipv6Addr, router: bool) -> Vec<u8> {
    let flags = FLAG_OVERRIDE | if router { FLAG_ROUTER } else { 0 };
    advertisement(mac, ip, flags, (multicast_mac(ALL_NODES), ALL_NODES))
}

/// "`ip` is at `mac`", to the one who asked, by a node that is no router (RFC 4861 7.2.4). Who asks
/// without an address is answered to all nodes.
#[must_use]
pub fn answer(mac: Mac, ip: Ipv6Addr, to: End<Ipv6Addr>) -> Vec<u8> {
    if to.ip.is_unspecified() {
        return announcement(mac, ip, false);
    }
    tell(mac, ip, to, false)
}

/// The same to a neighbour that did not ask. `router` as in [`announcement`].
#[must_use]
pub fn tell(mac: Mac, ip: Ipv6Addr, to: End<Ipv6Addr>, router: bool) -> Vec<u8> {
    let flags = FLAG_OVERRIDE | FLAG_SOLICITED | if router { FLAG_ROUTER } else { 0 };
    advertisement(mac, ip, flags, (to.mac, to.ip))
}

fn advertisement(mac: Mac, ip: Ipv6Addr, flags: u8, to: (Mac, Ipv6Addr)) -> Vec<u8> {
    let mut body = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    body.extend_from_slice(&ip.octets());
    body.extend_from_slice(&[TARGET_LINK_LAYER, 1]);
    body.extend_from_slice(&mac.0);
    icmpv6((mac, ip), to, HOP_LIMIT, body)
}

/// "Does anybody use `ip`?", without claiming it (RFC 4862 5.4.2). A holder answers to all nodes.
#[must_use]
pub fn probe(mac: Mac, ip: Ipv6Addr, nonce: [u8; 6]) -> Vec<u8> {
    let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&ip.octets());
    body.extend_from_slice(&[NONCE, 1]);
    body.extend_from_slice(&nonce);
    let group = solicited_node(ip);
    icmpv6((mac, Ipv6Addr::UNSPECIFIED), (multicast_mac(group), group), HOP_LIMIT, body)
}

/// "Who has `target`? Tell `ip`", to its group, or to one MAC alone.
#[must_use]
pub fn request(mac: Mac, ip: Ipv6Addr, target: Ipv6Addr, to: Option<Mac>) -> Vec<u8> {
    let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&target.octets());
    body.extend_from_slice(&[SOURCE_LINK_LAYER, 1]);
    body.extend_from_slice(&mac.0);
    let group = solicited_node(target);
    let to = to.unwrap_or_else(|| multicast_mac(group));
    icmpv6((mac, ip), (to, group), HOP_LIMIT, body)
}

/// The group in which every holder of `ip` listens (RFC 4291 2.7.1).
#[must_use]
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = ip.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// The MAC of an IPv6 group (RFC 2464 7).
fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// A whole frame around an ICMPv6 message, whose checksum (octets 2 and 3) is set here.
pub(super) fn icmpv6(
    (mac, ip): (Mac, Ipv6Addr),
    (to_mac, to): (Mac, Ipv6Addr),
    hop_limit: u8,
    mut body: Vec<u8>,
) -> Vec<u8> {
    let mut addresses = ip.octets().to_vec();
    addresses.extend_from_slice(&to.octets());
    let sum = checksum(&[&pseudo_header(&addresses, body.len()), &body]);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = frame::header(to_mac, mac, frame::IPV6);
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    // Version 6, traffic class CS6 (network control), no flow label.
    bytes.extend_from_slice(&[0x6c, 0, 0, 0]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&[ICMPV6, hop_limit]);
    bytes.extend_from_slice(&addresses);
    bytes.extend_from_slice(&body);
    bytes
}

/// What the checksum covers beside the message (RFC 8200 8.1).
pub(super) fn pseudo_header(addresses: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = addresses.to_vec();
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, ICMPV6]);
    bytes
}
