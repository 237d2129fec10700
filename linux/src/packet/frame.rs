//! The Ethernet frame, and the checksum that IP's helpers share.

use crate::netlink::Mac;

pub(super) const ARP: u16 = 0x0806;
pub(super) const RARP: u16 = 0x8035;
pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;

/// A received Ethernet frame (IEEE 802.3, without tag).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// To whom.
    pub destination: Mac,
    /// From whom, as it says.
    pub source: Mac,
    /// What is in it.
    pub ether_type: u16,
    /// The rest; may be padded.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the header; `None` if it is cut short.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        Some(Self {
            destination: Mac::from_slice(bytes.get(..6)?)?,
            source: Mac::from_slice(bytes.get(6..12)?)?,
            ether_type: be16(bytes, 12)?,
            payload: bytes.get(14..)?,
        })
    }
}

pub(super) fn header(destination: Mac, source: Mac, ether_type: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&destination.0);
    bytes.extend_from_slice(&source.0);
    bytes.extend_from_slice(&ether_type.to_be_bytes());
    bytes
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(array(bytes, at)?))
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The internet checksum (RFC 1071) over all parts as one; each but the last has an even length.
/// Over data with a right checksum in it, the result is zero.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
