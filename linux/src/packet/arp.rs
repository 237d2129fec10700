//! ARP for Ethernet and IPv4 (RFC 826), as RFC 5227 uses it to announce and to probe.

use std::net::Ipv4Addr;

use super::echo::End;
use super::frame::{self, Frame, array, be16};
use crate::netlink::Mac;

const NOBODY: Mac = Mac([0; 6]);
const LENGTH: usize = 28;
/// Ethernet, IPv4, six and four octets.
const FORM: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// "request reverse" of RFC 903.
const REVERSE_REQUEST: u16 = 3;

/// Question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// A received ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Question or answer.
    pub operation: Operation,
    /// The MAC that goes with the sender's address.
    pub sender_mac: Mac,
    /// Whose packet it is; unspecified in a probe.
    pub sender_ip: Ipv4Addr,
    /// Zero in questions.
    pub target_mac: Mac,
    /// The address it is about.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Reads a frame; `None` if it is no ARP for Ethernet and IPv4, or cut short.
    #[must_use]
    pub fn parse(frame: &Frame<'_>) -> Option<Self> {
        let bytes = frame.payload;
        if frame.ether_type != frame::ARP || array(bytes, 0)? != FORM {
            return None;
        }
        let operation = match be16(bytes, 6)? {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return None,
        };
        Some(Self {
            operation,
            sender_mac: Mac(array(bytes, 8)?),
            sender_ip: Ipv4Addr::from(array::<4>(bytes, 14)?),
            target_mac: Mac(array(bytes, 18)?),
            target_ip: Ipv4Addr::from(array::<4>(bytes, 24)?),
        })
    }

    fn to_frame(self, destination: Mac) -> Vec<u8> {
        let mut bytes = frame::header(destination, self.sender_mac, frame::ARP);
        bytes.reserve(LENGTH);
        bytes.extend_from_slice(&FORM);
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        bytes.extend_from_slice(&operation.to_be_bytes());
        bytes.extend_from_slice(&self.sender_mac.0);
        bytes.extend_from_slice(&self.sender_ip.octets());
        bytes.extend_from_slice(&self.target_mac.0);
        bytes.extend_from_slice(&self.target_ip.octets());
        bytes
    }
}

/// "`ip` is at `mac`", to the one who asked, or is told as if it had.
#[must_use]
pub fn reply(mac: Mac, ip: Ipv4Addr, to: End<Ipv4Addr>) -> Vec<u8> {
    let operation = Operation::Reply;
    let arp =
        Arp { operation, sender_mac: mac, sender_ip: ip, target_mac: to.mac, target_ip: to.ip };
    arp.to_frame(to.mac)
}

/// A frame that says where `mac` is and nothing about any address: "who am I?" (RFC 903), as
/// hypervisors send it when a machine has moved. Switches learn from it; nobody answers.
#[must_use]
pub fn reverse(mac: Mac) -> Vec<u8> {
    let nowhere = Ipv4Addr::UNSPECIFIED.octets();
    let mut bytes = frame::header(Mac::BROADCAST, mac, frame::RARP);
    bytes.extend_from_slice(&FORM);
    bytes.extend_from_slice(&REVERSE_REQUEST.to_be_bytes());
    bytes.extend_from_slice(&mac.0);
    bytes.extend_from_slice(&nowhere);
    bytes.extend_from_slice(&mac.0);
    bytes.extend_from_slice(&nowhere);
    bytes
}

/// The MAC that a frame as [`reverse`] builds it is about; `None` for any other frame.
#[must_use]
pub fn reversed(frame: &Frame<'_>) -> Option<Mac> {
    let bytes = frame.payload;
    let asks = frame.ether_type == frame::RARP
        && array(bytes, 0)? == FORM
        && be16(bytes, 6)? == REVERSE_REQUEST;
    asks.then_some(Mac(array(bytes, 18)?))
}

/// "`ip` is at `mac`" in the form of a question about oneself (RFC 5227 2.3, ARP Announcement).
#[must_use]
pub fn announcement(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let operation = Operation::Request;
    let arp = Arp { operation, sender_mac: mac, sender_ip: ip, target_mac: NOBODY, target_ip: ip };
    arp.to_frame(Mac::BROADCAST)
}

/// "`ip` is at `mac`" in the form of an answer that nobody asked for; some devices heed only this
/// one. The target repeats the sender (RFC 5944 4.6 and common practice).
#[must_use]
pub fn announcement_as_reply(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let operation = Operation::Reply;
    let arp = Arp { operation, sender_mac: mac, sender_ip: ip, target_mac: mac, target_ip: ip };
    arp.to_frame(Mac::BROADCAST)
}

/// "Does anybody use `ip`?", without claiming it (RFC 5227 2.1.1, ARP Probe).
#[must_use]
pub fn probe(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    request(mac, Ipv4Addr::UNSPECIFIED, ip, Mac::BROADCAST)
}

/// "Who has `target`? Tell `ip`", to everybody or to one MAC alone.
#[must_use]
pub fn request(mac: Mac, ip: Ipv4Addr, target: Ipv4Addr, to: Mac) -> Vec<u8> {
    let operation = Operation::Request;
    let arp =
        Arp { operation, sender_mac: mac, sender_ip: ip, target_mac: NOBODY, target_ip: target };
    arp.to_frame(to)
}
