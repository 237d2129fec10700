//! One interface: questions out, answers in.

use std::net::IpAddr;
use std::sync::Arc;

use stead_core::time::Instant;
use stead_edge::chain;
use stead_edge::polled::Polled;
use stead_linux::clock::boottime;
use stead_linux::netlink::Mac;
use stead_linux::packet::{Frame, PacketError, PacketSocket, Wanted, arp, neighbor};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::point::Asked;

/// How many frames are read in one go before others get their turn.
const AT_ONCE: usize = 64;
/// Larger than any ARP or neighbour discovery frame that means anything here.
const FRAME: usize = 2_048;

/// Somebody answered a question of this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Who.
    pub address: IpAddr,
    /// From which MAC.
    pub mac: Mac,
    /// On which interface.
    pub index: u32,
    /// When it was read.
    pub at: Instant,
}

/// An open interface. Its reading ends when it is dropped.
pub(super) struct Port {
    socket: Arc<Polled<PacketSocket>>,
    reader: AbortHandle,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Port {
    /// Opens the interface; answers go to `answers`.
    pub(super) fn open(name: &str, answers: Sender<Answer>) -> Result<Self, String> {
        let socket = PacketSocket::open(name, Wanted::Neighbors).map_err(|it| chain(&it))?;
        let socket = Arc::new(Polled::new(socket).map_err(|it| chain(&it))?);
        let reader = tokio::spawn(read(socket.clone(), answers)).abort_handle();
        Ok(Self { socket, reader })
    }

    /// Whether this is still that interface, and it is read from.
    pub(super) fn is(&self, index: u32, mac: Option<Mac>) -> bool {
        let socket = self.socket.get();
        socket.index() == index && Some(socket.mac()) == mac && !self.reader.is_finished()
    }

    /// Asks an address, from that one of this node's own if it has one there.
    pub(super) fn ask(&self, target: IpAddr, from: Option<IpAddr>, to: Option<Mac>) -> Asked {
        let socket = self.socket.get();
        match socket.send(&question(socket.mac(), target, from, to)) {
            Ok(()) => Asked::Yes,
            Err(PacketError::Down(_) | PacketError::NoDevice { .. }) => Asked::Cut,
            Err(PacketError::Dropped | PacketError::Open { .. } | PacketError::Io(_)) => Asked::No,
        }
    }
}

/// The frame that asks.
pub(crate) fn question(mac: Mac, target: IpAddr, from: Option<IpAddr>, to: Option<Mac>) -> Vec<u8> {
    match (target, from) {
        (IpAddr::V4(target), Some(IpAddr::V4(from))) => {
            arp::request(mac, from, target, to.unwrap_or(Mac::BROADCAST))
        }
        (IpAddr::V4(target), Some(IpAddr::V6(_)) | None) => arp::probe(mac, target),
        (IpAddr::V6(target), Some(IpAddr::V6(from))) => neighbor::request(mac, from, target, to),
        (IpAddr::V6(target), Some(IpAddr::V4(_)) | None) => {
            let mut nonce = [0; 6];
            // It only tells our own question, looped back, from another's (RFC 7527).
            let _ = getrandom::fill(&mut nonce);
            neighbor::probe(mac, target, nonce)
        }
    }
}

/// Who answers by this frame, if it answers a question of `own`.
pub(crate) fn answer(bytes: &[u8], own: Mac) -> Option<(IpAddr, Mac)> {
    let frame = Frame::parse(bytes)?;
    if frame.source == own {
        return None;
    }
    if let Some(arp) = arp::Arp::parse(&frame) {
        let answers = arp.operation == arp::Operation::Reply
            && (arp.target_mac == own || frame.destination == own);
        return answers.then_some((arp.sender_ip.into(), arp.sender_mac));
    }
    let message = neighbor::Message::parse(&frame)?;
    let neighbor::Kind::Advertisement { solicited, .. } = message.kind else { return None };
    // Whoever was probed by a node without an address there answers to all (RFC 4861 7.2.4).
    let to_all = !solicited && frame.destination.0[..2] == [0x33, 0x33];
    let answers = (solicited && frame.destination == own) || to_all;
    answers.then_some((message.target.into(), message.link_layer.unwrap_or(frame.source)))
}

/// Reads answers until the socket fails for good; then the port is opened anew.
async fn read(socket: Arc<Polled<PacketSocket>>, answers: Sender<Answer>) {
    let (own, index) = (socket.get().mac(), socket.get().index());
    let mut buffer = [0; FRAME];
    loop {
        let mut left = AT_ONCE;
        let found = socket.next(|socket| {
            while left > 0 {
                left -= 1;
                match socket.receive(&mut buffer) {
                    Ok(Some(frame)) => {
                        if let Some((address, mac)) = answer(frame, own) {
                            let at = Instant(boottime());
                            // Full: the next question is answered as well.
                            let _ = answers.try_send(Answer { address, mac, index, at });
                        }
                    }
                    Ok(None) => return None,
                    // Told once; frames come again when the interface is up.
                    Err(PacketError::Down(_) | PacketError::Dropped) => {}
                    Err(
                        PacketError::Io(_)
                        | PacketError::Open { .. }
                        | PacketError::NoDevice { .. },
                    ) => return Some(false),
                }
            }
            Some(true)
        });
        match found.await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const POINT: Mac = Mac([2, 0, 0, 0, 0, 9]);

    #[test]
    fn only_what_is_sent_to_this_node_answers_it() {
        let (own, point) = ([10, 0, 0, 1].into(), [10, 0, 0, 9].into());
        let heard_asking = arp::request(POINT, point, own, Mac::BROADCAST);
        assert_eq!(answer(&heard_asking, OWN), None, "it shows nothing of our own way out");
        let announced = arp::announcement_as_reply(POINT, point);
        assert_eq!(answer(&announced, OWN), None);
        let mut replied = arp::announcement_as_reply(POINT, point);
        replied[..6].copy_from_slice(&OWN.0);
        assert_eq!(answer(&replied, OWN), Some((point.into(), POINT)));
        assert_eq!(answer(&replied, POINT), None, "looped back");
        assert_eq!(answer(&replied[..30], OWN), None);
    }

    #[test]
    fn every_kind_of_question_is_a_frame_that_is_read_again() {
        let (v4, v6): (IpAddr, IpAddr) = ([10, 0, 0, 9].into(), "fd00::9".parse().unwrap());
        let (own4, own6): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), "fd00::1".parse().unwrap());
        for (target, from) in [(v4, Some(own4)), (v4, None), (v6, Some(own6)), (v6, None)] {
            let bytes = question(OWN, target, from, None);
            let frame = Frame::parse(&bytes).unwrap();
            let asked: IpAddr = match target {
                IpAddr::V4(_) => arp::Arp::parse(&frame).unwrap().target_ip.into(),
                IpAddr::V6(_) => neighbor::Message::parse(&frame).unwrap().target.into(),
            };
            assert_eq!(asked, target);
            assert_eq!(answer(&bytes, POINT), None, "a question is no answer");
        }
    }
}
