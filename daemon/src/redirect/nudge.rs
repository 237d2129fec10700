//! Neighbours are told one by one, for segments that do not carry what nobody asked for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::redirect::{is_for_all, nudge};
use stead_linux::netlink::Mac;
use stead_linux::packet::echo::End;
use stead_linux::packet::{arp, neighbor};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Target;
use super::announce::forwards;
use super::neighbours::Neighbour;
use super::segment::Segments;

/// Tells those whom this node knows of the addresses of one service.
pub(super) struct Nudger {
    segments: Arc<Segments>,
    targets: Vec<Target>,
    /// When the schedule began; anew when an interface comes back.
    began: watch::Receiver<Instant>,
}

impl Nudger {
    pub(super) fn new(
        segments: Arc<Segments>,
        targets: Vec<Target>,
        began: watch::Receiver<Instant>,
    ) -> Self {
        Self { segments, targets, began }
    }

    /// Goes on for ever, or until nobody announces any more.
    pub(super) async fn run(mut self) {
        let mut number = 0;
        loop {
            let began = *self.began.borrow_and_update();
            let due = |number| began + Duration::from_micros(nudge(number).as_micros());
            tokio::select! {
                biased;
                changed = self.began.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    number = 0;
                    continue;
                }
                () = sleep_until(due(number)) => {}
            }
            for target in &self.targets {
                if is_for_all(number) || self.segments.memory.swallows(target) {
                    self.tell_all(target).await;
                }
            }
            // What was missed while the machine stood still is not made up for.
            let now = Instant::now();
            number = number.saturating_add(1);
            while due(number) <= now {
                number = number.saturating_add(1);
            }
        }
    }

    /// Tells everybody on one segment. What can't leave is told by the announcer.
    async fn tell_all(&self, target: &Target) {
        let Ok(segment) = self.segments.get(&target.interface) else { return };
        let Some(tables) = self.segments.tables().await else { return };
        let neighbours = tables.around(target);
        let addresses = neighbours.iter().map(|it| it.address);
        self.segments.memory.asks(target, addresses.collect());
        let router = target.address.is_ipv6() && forwards(&target.interface);
        for neighbour in &neighbours {
            let frames = frames((segment.mac(), target.address), neighbour, router);
            self.segments.pace.nudge(frames.len()).await;
            if frames.iter().any(|frame| segment.send(frame).is_err()) {
                return;
            }
        }
    }
}

/// What tells one neighbour: an answer that it did not ask for, and a question from the address. A
/// question updates what it knows also within its lock time (RFC 826), and its answer shows that
/// it was heard.
fn frames((mac, address): (Mac, IpAddr), to: &Neighbour, router: bool) -> Vec<Vec<u8>> {
    match (address, to.address, to.mac) {
        (IpAddr::V4(address), IpAddr::V4(asked), Some(its)) => {
            let to = End { mac: its, ip: asked };
            vec![arp::reply(mac, address, to), arp::request(mac, address, asked, its)]
        }
        (IpAddr::V4(address), IpAddr::V4(asked), None) => {
            vec![arp::request(mac, address, asked, Mac::BROADCAST)]
        }
        (IpAddr::V6(address), IpAddr::V6(asked), Some(its)) => vec![
            neighbor::tell(mac, address, End { mac: its, ip: asked }, router),
            neighbor::request(mac, address, asked, Some(its)),
        ],
        (IpAddr::V6(address), IpAddr::V6(asked), None) => {
            vec![neighbor::request(mac, address, asked, None)]
        }
        (IpAddr::V4(_), IpAddr::V6(_), _) | (IpAddr::V6(_), IpAddr::V4(_), _) => Vec::new(),
    }
}
