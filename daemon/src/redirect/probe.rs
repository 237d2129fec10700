//! Does anybody else use an address?

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::redirect::Probing;
use stead_core::time::Span;
use stead_edge::chain;
use stead_linux::netlink::Mac;
use stead_linux::packet::{Claim, PacketError, arp, neighbor};
use thiserror::Error;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::Target;
use super::segment::{Segment, SegmentError, Segments};

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
    let others = if probing.count > 1 { Others::Count } else { Others::AreAllowed };
    let begin = |target: Target| Probe::begin(segments.clone(), target, (probing, others));
    let begun: Result<Vec<_>, _> = targets.into_iter().map(begin).collect();
    async move {
        let mut running = JoinSet::new();
        for probe in begun.map_err(|error| chain(&error))? {
            running.spawn(probe.run());
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(broken_off)?.map_err(|unfree| unfree.to_string())?;
        }
        Ok(())
    }
}

/// Asks for each target by itself who else uses it, if anybody does; the error is that this can't
/// be found out. Another who only asks as well does not use it: who is first, the log says.
pub(super) async fn each(
    segments: &Arc<Segments>,
    targets: Vec<Target>,
    probing: Probing,
) -> Result<Vec<(Target, Option<String>)>, String> {
    let mut running = Vec::new();
    for target in targets {
        let probe = Probe::begin(segments.clone(), target.clone(), (probing, Others::AreAllowed));
        running.push((target, tokio::spawn(probe.map_err(|error| chain(&error))?.run())));
    }
    let mut all = Vec::new();
    for (target, probe) in running {
        match probe.await.map_err(broken_off)? {
            Ok(()) => all.push((target, None)),
            Err(Unfree::InUse(by)) => all.push((target, Some(by))),
            Err(Unfree::Unknown(why)) => return Err(why),
        }
    }
    Ok(all)
}

fn broken_off(error: tokio::task::JoinError) -> String {
    format!("the probe itself broke off: {error}")
}

/// Why an address is not known to be free.
#[derive(Debug, Error)]
enum Unfree {
    /// Somebody else uses it.
    #[error("{0}")]
    InUse(String),
    /// It could not be asked, or listened for answers.
    #[error("{0}")]
    Unknown(String),
}

/// Whether another who asks at the same time is a conflict (RFC 5227, section 2.1.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Count,
    AreAllowed,
}

struct Probe {
    segments: Arc<Segments>,
    segment: Arc<Segment>,
    claims: Receiver<Claim>,
    target: Target,
    probing: Probing,
    others: Others,
}

impl Probe {
    fn begin(
        segments: Arc<Segments>,
        target: Target,
        (probing, others): (Probing, Others),
    ) -> Result<Self, SegmentError> {
        let segment = segments.get(&target.interface)?;
        let claims = segment.watch(target.address);
        Ok(Self { segments, segment, claims, target, probing, others })
    }

    async fn run(mut self) -> Result<(), Unfree> {
        for number in 1..=self.probing.count {
            self.ask().await.map_err(|error| {
                let address = self.target.address;
                Unfree::Unknown(format!("can't ask whether {address} is in use: {}", chain(&error)))
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

    async fn listen(&mut self, pause: Span) -> Result<(), Unfree> {
        let until = Instant::now() + Duration::from_micros(pause.as_micros());
        while let Ok(found) = timeout_at(until, self.claims.recv()).await {
            let Some(found) = found else {
                let why = format!("interface {} was lost meanwhile", self.target.interface);
                return Err(Unfree::Unknown(why));
            };
            if let Some(mac) = self.stranger(found) {
                return Err(Unfree::InUse(in_use(&self.target, mac)));
            }
        }
        Ok(())
    }

    /// Who the claim makes a conflict with, if it does.
    fn stranger(&self, found: Claim) -> Option<Mac> {
        let mac = match found {
            Claim::Uses(mac) => mac,
            Claim::Probes(mac) if self.others == Others::Count => mac,
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
