//! Two nodes that hold the same address, found without trust in anybody's ARP cache.
//!
//! Every beat, each node is asked at its own Ethernet address for the service's address. A node
//! that holds it answers; one that does not, stays silent. A beat to which two answered is a beat
//! in which both held it.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use stead_linux::netlink::Mac;
use stead_linux::packet::echo::{Echo, End, Kind, Message};
use stead_linux::packet::{Frame, PacketError, PacketSocket, Wanted, arp, neighbor};

use super::beat::Beat;
use super::{Task, now};
use crate::error::{LabError, Step};
use crate::host::Host;
use crate::launcher::lock;

/// Nodes beyond it do not fit into a beat's bits.
const NODES_AT_MOST: usize = 64;
/// The first identifier of our echoes; the node's number is added.
const ECHO: u16 = 0x5d00;

/// How a node is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// An ICMP echo request: does its network stack answer for the address?
    Echo,
    /// An ARP request or neighbour solicitation: does it claim the address on the segment? The
    /// answer names no question: it counts for the beat in which it arrives.
    Resolve,
}

/// A time in which two or more nodes answered. Times in microseconds of CLOCK_BOOTTIME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoubleSpan {
    /// The first such beat.
    pub from_us: u64,
    /// The last such beat.
    pub to_us: u64,
    /// Who answered, over the whole span.
    pub nodes: Vec<String>,
}

/// What was seen.
#[derive(Debug, Clone, Serialize)]
pub struct DoubleReport {
    /// Beats in all.
    pub beats: u64,
    /// Beats that no node answered.
    pub silent_beats: u64,
    /// Total time in which two or more nodes answered.
    pub double_ms: f64,
    /// When.
    pub spans: Vec<DoubleSpan>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    sent: u64,
    /// One bit for each node that answered.
    answered: u64,
}

struct Shared {
    nodes: Vec<(String, Mac)>,
    interval: Duration,
    slots: Mutex<Vec<Slot>>,
}

/// Asks every node, every beat. Ends when dropped.
pub struct DoubleProber {
    shared: Arc<Shared>,
    task: Task<()>,
}

impl DoubleProber {
    /// Asks from the interface `ifname` of `host`, which has the address `from`, each of the nodes
    /// (name and Ethernet address on that segment, 64 at most) for `service`.
    pub fn start(
        host: &Host,
        (ifname, from): (&str, IpAddr),
        service: IpAddr,
        nodes: &[(String, Mac)],
        interval: Duration,
        question: Question,
    ) -> Result<DoubleProber, LabError> {
        let what = || format!("cannot ask the nodes from {ifname} of {}", host.name());
        if nodes.len() > NODES_AT_MOST || from.is_ipv4() != service.is_ipv4() {
            let cause = "at most 64 nodes, and both addresses of one family";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, cause)).step(what);
        }
        let opened = host.run(|| PacketSocket::open(ifname, Wanted::Echoes))?;
        let socket = opened.map_err(io::Error::other).step(what)?;
        let slots = Mutex::default();
        let shared = Arc::new(Shared { nodes: nodes.to_vec(), interval, slots });
        let asker = Asker { shared: Arc::clone(&shared), socket, from, service, question };
        let task = Task::start(host, "probe-double", move |stop| asker.ask(stop))?;
        Ok(DoubleProber { shared, task })
    }

    /// Total time between two moments in which two or more nodes answered, in milliseconds.
    pub fn double_ms(&self, from_us: u64, to_us: u64) -> f64 {
        let slots = lock(&self.shared.slots);
        let both =
            |slot: &&Slot| (from_us..to_us).contains(&slot.sent) && slot.answered.count_ones() >= 2;
        slots.iter().filter(both).count() as f64 * self.shared.interval.as_secs_f64() * 1000.0
    }

    /// Beats so far.
    pub fn beats(&self) -> usize {
        lock(&self.shared.slots).len()
    }

    /// Who answered at least once in the last so much time.
    pub fn holders(&self, last: Duration) -> Vec<String> {
        let last = u64::try_from(last.as_micros()).unwrap_or(u64::MAX);
        let since = now().saturating_sub(last);
        let slots = lock(&self.shared.slots);
        let recent = slots.iter().rev().take_while(|slot| slot.sent >= since);
        self.shared.names(recent.fold(0, |all, slot| all | slot.answered))
    }

    /// When a node was last asked, at or after `since`, and answered.
    pub fn last_answer(&self, node: &str, since: u64) -> Option<u64> {
        let number = self.shared.nodes.iter().position(|(name, _)| name == node)?;
        let slots = lock(&self.shared.slots);
        let recent = slots.iter().rev().take_while(|slot| slot.sent >= since);
        recent.filter(|slot| slot.answered >> number & 1 == 1).map(|slot| slot.sent).next()
    }

    /// The times in which a node answered, at or after `since`: each from the first to the last
    /// beat of a run. A silence of no more than `apart` ends no run.
    pub fn answered(&self, node: &str, since: u64, apart: Duration) -> Vec<(u64, u64)> {
        let number = self.shared.nodes.iter().position(|(name, _)| name == node);
        let Some(number) = number else { return Vec::new() };
        let slots = lock(&self.shared.slots);
        let first = slots.partition_point(|slot| slot.sent < since);
        runs(&slots[first..], number, apart)
    }

    /// Ends the prober.
    pub fn finish(mut self) -> Result<DoubleReport, LabError> {
        self.task.end()?;
        let double_ms = self.double_ms(0, u64::MAX);
        let slots = lock(&self.shared.slots);
        let silent_beats = slots.iter().filter(|slot| slot.answered == 0).count() as u64;
        let spans = self.shared.spans(&slots);
        Ok(DoubleReport { beats: slots.len() as u64, silent_beats, double_ms, spans })
    }
}

impl Shared {
    fn names(&self, bits: u64) -> Vec<String> {
        let answered = |(number, _): &(usize, &(String, Mac))| bits >> number & 1 == 1;
        self.nodes.iter().enumerate().filter(answered).map(|(_, node)| node.0.clone()).collect()
    }

    fn spans(&self, slots: &[Slot]) -> Vec<DoubleSpan> {
        let double = |slot: &Slot| slot.answered.count_ones() >= 2;
        let runs = slots.chunk_by(|a, b| double(a) == double(b));
        let runs = runs.filter(|run| run.first().is_some_and(double));
        let span = |run: &[Slot]| DoubleSpan {
            from_us: run.first().map_or(0, |slot| slot.sent),
            to_us: run.last().map_or(0, |slot| slot.sent),
            nodes: self.names(run.iter().fold(0, |all, slot| all | slot.answered)),
        };
        runs.map(span).collect()
    }

    fn mark(&self, slot: usize, node: usize) {
        if let Some(slot) = lock(&self.slots).get_mut(slot) {
            slot.answered |= 1 << node;
        }
    }
}

fn runs(slots: &[Slot], node: usize, apart: Duration) -> Vec<(u64, u64)> {
    let apart = u64::try_from(apart.as_micros()).unwrap_or(u64::MAX);
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for slot in slots.iter().filter(|slot| slot.answered >> node & 1 == 1) {
        match runs.last_mut() {
            Some((_, to)) if slot.sent.saturating_sub(*to) <= apart => *to = slot.sent,
            Some(_) | None => runs.push((slot.sent, slot.sent)),
        }
    }
    runs
}

struct Asker {
    shared: Arc<Shared>,
    socket: PacketSocket,
    from: IpAddr,
    service: IpAddr,
    question: Question,
}

impl Asker {
    fn ask(&self, stop: &AtomicBool) -> io::Result<()> {
        let mut beat = Beat::every(self.shared.interval)?;
        beat.watch(&self.socket, 0)?;
        let mut keys = Vec::new();
        let mut buffer = vec![0; 2048];
        while !stop.load(Ordering::Relaxed) {
            let time_to_ask = beat.wait(&mut keys)?;
            self.listen(&mut buffer)?;
            if !time_to_ask {
                continue;
            }
            let slot = {
                let mut slots = lock(&self.shared.slots);
                slots.push(Slot { sent: now(), answered: 0 });
                slots.len() - 1
            };
            for (number, (_, mac)) in self.shared.nodes.iter().enumerate() {
                match self.socket.send(&self.question_to(*mac, number, slot)) {
                    Ok(()) | Err(PacketError::Down(_) | PacketError::Dropped) => {}
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
        }
        Ok(())
    }

    fn question_to(&self, mac: Mac, node: usize, slot: usize) -> Vec<u8> {
        let us = self.socket.mac();
        let data = (slot as u64).to_be_bytes();
        let id = ECHO + node as u16;
        let sequence = (slot & 0xffff) as u16;
        let echo = Message { kind: Kind::Request, id, sequence, data: &data };
        match (self.question, self.from, self.service) {
            (Question::Echo, IpAddr::V4(from), IpAddr::V4(to)) => {
                echo.over_v4(End { mac: us, ip: from }, End { mac, ip: to })
            }
            (Question::Echo, IpAddr::V6(from), IpAddr::V6(to)) => {
                echo.over_v6(End { mac: us, ip: from }, End { mac, ip: to })
            }
            (Question::Resolve, IpAddr::V4(from), IpAddr::V4(to)) => {
                arp::request(us, from, to, mac)
            }
            (Question::Resolve, IpAddr::V6(from), IpAddr::V6(to)) => {
                neighbor::request(us, from, to, Some(mac))
            }
            // `start` refuses mixed families
            (_, IpAddr::V4(_), IpAddr::V6(_)) | (_, IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
        }
    }

    fn listen(&self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let bytes = match self.socket.receive(buffer) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(()),
                Err(PacketError::Down(_)) => continue,
                Err(error) => return Err(io::Error::other(error)),
            };
            let Some(frame) = Frame::parse(bytes) else { continue };
            let answered = match self.question {
                Question::Echo => self.echo(&frame),
                Question::Resolve => self.claim(&frame),
            };
            if let Some((slot, node)) = answered {
                self.shared.mark(slot, node);
            }
        }
    }

    /// Whoever forwarded our question to the holder is no holder: the answer must come from the
    /// Ethernet address that was asked.
    fn echo(&self, frame: &Frame<'_>) -> Option<(usize, usize)> {
        let echo = Echo::parse(frame)?;
        if echo.kind != Kind::Reply || echo.from.ip != self.service {
            return None;
        }
        let node = usize::from(echo.id.checked_sub(ECHO)?);
        let (_, mac) = self.shared.nodes.get(node)?;
        let slot = u64::from_be_bytes(echo.data.get(..8)?.try_into().ok()?);
        (*mac == frame.source).then_some((usize::try_from(slot).ok()?, node))
    }

    fn claim(&self, frame: &Frame<'_>) -> Option<(usize, usize)> {
        let claims = match self.service {
            IpAddr::V4(service) => arp::Arp::parse(frame).is_some_and(|arp| {
                arp.operation == arp::Operation::Reply && arp.sender_ip == service
            }),
            IpAddr::V6(service) => neighbor::Message::parse(frame).is_some_and(|message| {
                matches!(message.kind, neighbor::Kind::Advertisement { .. })
                    && message.target == service
            }),
        };
        let node = self.shared.nodes.iter().position(|(_, mac)| *mac == frame.source)?;
        let slot = lock(&self.shared.slots).len().checked_sub(1)?;
        claims.then_some((slot, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_over_a_lost_beat_and_not_over_a_silence() {
        let slot = |sent, answered| Slot { sent, answered };
        let slots = [
            slot(1_000, 0b01),
            slot(2_000, 0b00),
            slot(3_000, 0b11),
            slot(9_000, 0b10),
            slot(10_000, 0b01),
        ];
        let apart = Duration::from_millis(2);
        assert_eq!(runs(&slots, 0, apart), [(1_000, 3_000), (10_000, 10_000)]);
        assert_eq!(runs(&slots, 1, apart), [(3_000, 3_000), (9_000, 9_000)]);
        assert_eq!(runs(&slots, 5, apart), []);
        assert_eq!(runs(&[], 0, apart), []);
    }
}
