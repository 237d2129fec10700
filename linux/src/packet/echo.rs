//! ICMP echo over IPv4 (RFC 792) and IPv6 (RFC 4443), to one MAC: a question that no neighbour
//! table can send elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::{self, Frame, array, be16, checksum};
use super::neighbor::{icmpv6, pseudo_header};
use crate::netlink::Mac;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const HOP_LIMIT: u8 = 64;
/// Longest data in an echo: what fits into the smallest packet that everything carries.
pub const DATA_LENGTH: usize = 512;

/// Question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Are you there?
    Request,
    /// I am here.
    Reply,
}

/// An address with the MAC behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End<A> {
    /// On the segment.
    pub mac: Mac,
    /// On the network.
    pub ip: A,
}

/// A received echo, checksums verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Question or answer.
    pub kind: Kind,
    /// Who sent it.
    pub from: End<IpAddr>,
    /// To whom.
    pub to: End<IpAddr>,
    /// Names the asker.
    pub id: u16,
    /// Names the question.
    pub sequence: u16,
    /// What came with the question comes back with the answer.
    pub data: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Reads a frame; `None` if it is something else, damaged or fragmented.
    #[must_use]
    pub fn parse(frame: &Frame<'a>) -> Option<Self> {
        let (from, to, body, kinds) = match frame.ether_type {
            frame::IPV4 => parse_v4(frame.payload)?,
            frame::IPV6 => parse_v6(frame.payload)?,
            _ => return None,
        };
        let kind = match *body.first()? {
            kind if kind == kinds[0] => Kind::Request,
            kind if kind == kinds[1] => Kind::Reply,
            _ => return None,
        };
        if *body.get(1)? != 0 {
            return None;
        }
        Some(Self {
            kind,
            from: End { mac: frame.source, ip: from },
            to: End { mac: frame.destination, ip: to },
            id: be16(body, 4)?,
            sequence: be16(body, 6)?,
            data: body.get(8..)?,
        })
    }
}

type Parsed<'a> = (IpAddr, IpAddr, &'a [u8], [u8; 2]);

fn parse_v4(bytes: &[u8]) -> Option<Parsed<'_>> {
    let first = *bytes.first()?;
    let header = usize::from(first & 0xf) * 4;
    let length = usize::from(be16(bytes, 2)?);
    // All but the don't-fragment bit: an offset, or more to come.
    let fragmented = be16(bytes, 6)? & 0xbfff != 0;
    if first >> 4 != 4 || header < IPV4_HEADER || fragmented || *bytes.get(9)? != ICMP {
        return None;
    }
    let body = bytes.get(header..length)?;
    if checksum(&[&bytes[..header]]) != 0 || checksum(&[body]) != 0 {
        return None;
    }
    let from = Ipv4Addr::from(array::<4>(bytes, 12)?);
    let to = Ipv4Addr::from(array::<4>(bytes, 16)?);
    Some((from.into(), to.into(), body, [8, 0]))
}

fn parse_v6(bytes: &[u8]) -> Option<Parsed<'_>> {
    let length = usize::from(be16(bytes, 4)?);
    let body = bytes.get(IPV6_HEADER..IPV6_HEADER + length)?;
    if bytes[0] >> 4 != 6 || bytes[6] != ICMPV6 {
        return None;
    }
    if checksum(&[&pseudo_header(&bytes[8..40], length), body]) != 0 {
        return None;
    }
    let from = Ipv6Addr::from(array::<16>(bytes, 8)?);
    let to = Ipv6Addr::from(array::<16>(bytes, 24)?);
    Some((from.into(), to.into(), body, [128, 129]))
}

/// One echo message as values, to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Question or answer.
    pub kind: Kind,
    /// Names the asker.
    pub id: u16,
    /// Names the question.
    pub sequence: u16,
    /// Comes back with the answer; what is beyond [`DATA_LENGTH`] is cut off.
    pub data: &'a [u8],
}

impl Message<'_> {
    /// The message alone, as an ordinary socket sends it: the kernel adds the checksum over IPv6.
    pub(super) fn alone(&self, v6: bool) -> Vec<u8> {
        if v6 {
            return self.body([128, 129]);
        }
        let mut body = self.body([8, 0]);
        let sum = checksum(&[&body]);
        body[2..4].copy_from_slice(&sum.to_be_bytes());
        body
    }

    fn body(&self, kinds: [u8; 2]) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Request => kinds[0],
            Kind::Reply => kinds[1],
        };
        let mut body = vec![kind, 0, 0, 0];
        body.extend_from_slice(&self.id.to_be_bytes());
        body.extend_from_slice(&self.sequence.to_be_bytes());
        body.extend_from_slice(&self.data[..self.data.len().min(DATA_LENGTH)]);
        body
    }

    /// The frame for IPv4.
    #[must_use]
    pub fn over_v4(&self, from: End<Ipv4Addr>, to: End<Ipv4Addr>) -> Vec<u8> {
        let body = self.alone(false);
        let length = u16::try_from(IPV4_HEADER + body.len()).unwrap_or(u16::MAX);
        // Version 4, five words; not to be fragmented; checksum still zero.
        let mut ip = vec![0x45, 0];
        ip.extend_from_slice(&length.to_be_bytes());
        ip.extend_from_slice(&[0, 0, 0x40, 0, HOP_LIMIT, ICMP, 0, 0]);
        ip.extend_from_slice(&from.ip.octets());
        ip.extend_from_slice(&to.ip.octets());
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut bytes = frame::header(to.mac, from.mac, frame::IPV4);
        bytes.extend_from_slice(&ip);
        bytes.extend_from_slice(&body);
        bytes
    }

    /// The frame for IPv6.
    #[must_use]
    pub fn over_v6(&self, from: End<Ipv6Addr>, to: End<Ipv6Addr>) -> Vec<u8> {
        let body = self.body([128, 129]);
        icmpv6((from.mac, from.ip), (to.mac, to.ip), HOP_LIMIT, body)
    }
}
