//! Who a holder is, and what it makes of a frame. No socket is known here, and no bytes make it
//! panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stead_linux::netlink::Mac;
use stead_linux::packet::arp::{self, Arp};
use stead_linux::packet::echo::{self, Echo, End};
use stead_linux::packet::{Claim, Frame, claim, neighbor};

use super::trial::{Form, Saying};

const MAGIC: &[u8; 5] = b"stead";
/// What is in each echo: the magic, the trial, the holder that answers.
const DATA: usize = MAGIC.len() + 8 + 1;

/// What an echo request of a trial carries: nobody has answered it yet.
pub(super) fn question(trial: u64) -> [u8; DATA] {
    let mut data = [0; DATA];
    data[..5].copy_from_slice(MAGIC);
    data[5..13].copy_from_slice(&trial.to_be_bytes());
    data
}

/// Who answered an echo of that trial; 0 is whoever returned it as it was. `None` if it is of
/// another trial.
pub(super) fn who(trial: u64, data: &[u8]) -> Option<u8> {
    let expected = question(trial);
    let data = data.get(..DATA)?;
    (data[..DATA - 1] == expected[..DATA - 1]).then_some(data[DATA - 1])
}

/// A holder.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub trial: u64,
    /// 1 or 2.
    pub number: u8,
    pub address: IpAddr,
    /// The MAC for which it answers.
    pub mac: Mac,
    /// The MACs of both holders' interfaces.
    pub holders: [Mac; 2],
}

/// What a frame is to a holder, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Somebody asks for the address.
    Question(Vec<u8>),
    /// An observer asks who holds it.
    Echo(Vec<u8>),
    /// A program asks whether the address answers.
    Ping(Vec<u8>),
    /// Somebody else uses the address, or is about to.
    Stranger(Claim),
}

impl Identity {
    /// What the frame is.
    pub(super) fn hear(&self, bytes: &[u8]) -> Option<Heard> {
        let [first, second] = self.holders;
        if let Some(stranger) = claim(bytes, self.address, &[self.mac, first, second]) {
            return Some(Heard::Stranger(stranger));
        }
        let frame = Frame::parse(bytes)?;
        let asked = match self.address {
            IpAddr::V4(address) => self.asked_v4(&frame, address),
            IpAddr::V6(address) => self.asked_v6(&frame, address),
        };
        asked.map(Heard::Question).or_else(|| self.echo(&frame))
    }

    /// The answer to a question about the address.
    pub(super) fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame::parse(bytes)?;
        match self.address {
            IpAddr::V4(address) => self.asked_v4(&frame, address),
            IpAddr::V6(address) => self.asked_v6(&frame, address),
        }
    }

    fn asked_v4(&self, frame: &Frame<'_>, address: Ipv4Addr) -> Option<Vec<u8>> {
        let arp = Arp::parse(frame)?;
        let asks = arp.operation == arp::Operation::Request
            && arp.target_ip == address
            && arp.sender_ip != address;
        let to = End { mac: arp.sender_mac, ip: arp.sender_ip };
        asks.then(|| arp::reply(self.mac, address, to))
    }

    fn asked_v6(&self, frame: &Frame<'_>, address: Ipv6Addr) -> Option<Vec<u8>> {
        let message = neighbor::Message::parse(frame)?;
        let asks = message.kind == neighbor::Kind::Solicitation
            && message.target == address
            && message.source != address;
        let to = End { mac: message.link_layer.unwrap_or(frame.source), ip: message.source };
        asks.then(|| neighbor::answer(self.mac, address, to))
    }

    /// Only what was sent to this MAC, and not what the other holder's node forwards because it is
    /// a router: that would look as if the sender had followed.
    fn echo(&self, frame: &Frame<'_>) -> Option<Heard> {
        let asked = Echo::parse(frame)?;
        let ours = asked.kind == echo::Kind::Request
            && (asked.to.ip, asked.to.mac) == (self.address, self.mac)
            && !self.holders.contains(&asked.from.mac);
        if !ours {
            return None;
        }
        let observed = who(self.trial, asked.data).is_some();
        let mut data = asked.data.to_vec();
        if observed {
            data[DATA - 1] = self.number;
        }
        let message = echo::Message {
            kind: echo::Kind::Reply,
            id: asked.id,
            sequence: asked.sequence,
            data: &data,
        };
        let (own, to) = (self.mac, asked.from.mac);
        let bytes = match (self.address, asked.from.ip) {
            (IpAddr::V4(address), IpAddr::V4(ip)) => {
                message.over_v4(End { mac: own, ip: address }, End { mac: to, ip })
            }
            (IpAddr::V6(address), IpAddr::V6(ip)) => {
                message.over_v6(End { mac: own, ip: address }, End { mac: to, ip })
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        Some(if observed { Heard::Echo(bytes) } else { Heard::Ping(bytes) })
    }

    /// What tells that the address is here.
    pub(super) fn announcements(&self, form: Form) -> Vec<Vec<u8>> {
        let saying = match form {
            Form::Arp(saying) => saying,
            Form::Nd => Saying::Both,
            Form::Mac => return vec![arp::reverse(self.mac)],
        };
        match (self.address, saying) {
            (IpAddr::V6(address), _) => vec![neighbor::announcement(self.mac, address, false)],
            (IpAddr::V4(address), Saying::Request) => vec![arp::announcement(self.mac, address)],
            (IpAddr::V4(address), Saying::Reply) => {
                vec![arp::announcement_as_reply(self.mac, address)]
            }
            (IpAddr::V4(address), Saying::Both) => vec![
                arp::announcement(self.mac, address),
                arp::announcement_as_reply(self.mac, address),
            ],
        }
    }

    /// "Does anybody use the address?", from the interface's own MAC.
    pub(super) fn probe(&self, own: Mac, chance: u64) -> Vec<u8> {
        match self.address {
            IpAddr::V4(address) => arp::probe(own, address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = chance.to_be_bytes();
                neighbor::probe(own, address, [a, b, c, d, e, f])
            }
        }
    }
}
