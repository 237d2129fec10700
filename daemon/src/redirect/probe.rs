//! Does anybody else use an address?

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::redirect::Probing;
use stead_core::time::Span;
use stead_linux::netlink::Mac;
use stead_linux::packet::{Claim, PacketError, arp, neighbor};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::Target;
use super::segment::{Segment, SegmentError, Segments};
use crate::chain::chain;

/// A question that found the queue full is asked again after this long, this often.
const RETRY: Duration = Duration::from_millis(1);
const RETRIES: u32 = 20;

/// Probes all targets at once; the error is the first conflict, in words. The watch begins before
/// this returns, the questions are asked by the future.
pub(super) fn all(
    segments: &Arc<Segments>,
    targets: Vec<Target>,
    probing: Probing,
) -> impl Future<Output = Result<(), String>> + Send + 'static {
    let begin = |target: Target| Probe::begin(segments.clone(), target, probing);
    let begun: Result<Vec<_>, _> = targets.into_iter().map(begin).collect();
    async move {
        let mut running = JoinSet::new();
        for probe in begun.map_err(|error| chain(&error))? {
            running.spawn(probe.run());
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap_or_else(|error| Err(format!("the probe itself broke off: {error}")))?;
        }
        Ok(())
    }
}

struct Probe {
    segments: Arc<Segments>,
    segment: Arc<Segment>,
    claims: Receiver<Claim>,
    target: Target,
    probing: Probing,
}

impl Probe {
    fn begin(
        segments: Arc<Segments>,
        target: Target,
        probing: Probing,
    ) -> Result<Self, SegmentError> {
        let segment = segments.get(&target.interface)?;
        let claims = segment.watch(target.address);
        Ok(Self { segments, segment, claims, target, probing })
    }

    async fn run(mut self) -> Result<(), String> {
        for number in 1..=self.probing.count {
            self.ask().await.map_err(|error| {
                format!("can't ask whether {} is in use: {}", self.target.address, chain(&error))
            })?;
            let last = number == self.probing.count;
            let pause = if last { self.probing.wait } else { self.probing.interval };
            self.listen(pause).await?;
        }
        Ok(())
    }

    async fn ask(&self) -> Result<(), SegmentError> {
        let frame = question(self.segment.mac(), self.target.address);
        let mut tries = 0;
        loop {
            match self.segment.send(&frame) {
                Err(SegmentError::Packet(_, PacketError::Dropped)) if tries < RETRIES => {}
                result => return result,
            }
            tries += 1;
            sleep(RETRY).await;
        }
    }

    async fn listen(&mut self, pause: Span) -> Result<(), String> {
        let until = Instant::now() + Duration::from_micros(pause.as_micros());
        while let Ok(found) = timeout_at(until, self.claims.recv()).await {
            let Some(found) = found else {
                return Err(format!("interface {} was lost meanwhile", self.target.interface));
            };
            if let Some(mac) = self.stranger(found) {
                return Err(in_use(&self.target, mac));
            }
        }
        Ok(())
    }

    /// Who the claim makes a conflict with, if it does.
    fn stranger(&self, found: Claim) -> Option<Mac> {
        let mac = match found {
            Claim::Uses(mac) => mac,
            Claim::Probes(mac) if self.probing.count > 1 => mac,
            Claim::Probes(_) => return None,
        };
        (!self.segments.is_own(mac)).then_some(mac)
    }
}

/// The conflict in words.
pub(super) fn in_use(target: &Target, mac: Mac) -> String {
    format!("{} is in use by {mac} on {}", target.address, target.interface)
}

fn question(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp::probe(mac, address),
        IpAddr::V6(address) => {
            let mut nonce = [0; 6];
            // It only tells our own question, looped back, from another's (RFC 7527); the MAC does
            // that as well.
            let _ = getrandom::fill(&mut nonce);
            neighbor::probe(mac, address, nonce)
        }
    }
}
