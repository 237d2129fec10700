//! "The address is here": said, repeated, defended.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::notice::Notice;
use stead_core::redirect::announcement;
use stead_edge::chain;
use stead_linux::netlink::Mac;
use stead_linux::packet::{Claim, arp, neighbor};
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Target;
use super::nudge::Nudger;
use super::probe::in_use;
use super::returns::Returns;
use super::segment::{Segment, SegmentError, Segments};

/// Between two defences of one address, and between two beginnings of the schedule (the folder's
/// page says why).
const DEFEND: Duration = Duration::from_secs(1);
/// Between two notices about one MAC, and about one reason that an announcement can't leave.
const REPEAT: Duration = Duration::from_secs(10);
/// After which an announcement that could not leave is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How many MACs are told about per address in that time; who makes up more says nothing new.
const REMEMBERED: usize = 64;

/// Announces the addresses of one service.
pub(super) struct Announcer {
    segments: Arc<Segments>,
    service: ServiceId,
    epoch: Epoch,
    spots: Vec<Spot>,
    /// When the first announcement was due; who nudges goes by it as well.
    began: watch::Sender<Instant>,
    /// When the schedule begins anew, an interface having come back.
    again: Option<Instant>,
    /// Interfaces that come back, and the newest return that is known.
    returns: Option<(watch::Receiver<Returns>, u64)>,
    /// The number of the next one.
    number: u32,
    /// From when on it may leave, all that this node sends taken together; it is counted.
    paced: Option<Instant>,
    /// `Announced` was sent.
    told: bool,
    events: UnboundedSender<Event>,
    notices: UnboundedSender<Notice>,
}

/// One address.
struct Spot {
    target: Target,
    watch: Option<(Arc<Segment>, Receiver<Claim>)>,
    /// When it has to be announced again, the last attempt having failed.
    retry: Option<Instant>,
    defended: Option<Instant>,
    /// When it has to be defended next.
    defend: Option<Instant>,
    /// What was said last of an announcement that could not leave.
    failure: Option<(String, Instant)>,
    /// When each stranger was told about.
    strangers: HashMap<Mac, Instant>,
}

/// Whether the interface is looked up before a frame leaves through it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Not if it was before: clients wait. Should it have changed since, the next one, 5 ms later,
    /// puts it right.
    AsKnown,
    /// It is.
    Anew,
}

/// What ends a wait.
enum Woken {
    /// The time came.
    Due,
    /// Somebody said something about the address of that place in the list.
    Claimed(usize, Option<Claim>),
    /// An interface came back.
    Returned,
}

impl Announcer {
    /// Sends the first announcements, before it returns.
    pub(super) fn first(
        segments: Arc<Segments>,
        service: ServiceId,
        epoch: Epoch,
        targets: Vec<Target>,
        (events, notices): (UnboundedSender<Event>, UnboundedSender<Notice>),
    ) -> Self {
        let spots = targets.into_iter().map(Spot::new).collect();
        let began = watch::Sender::new(Instant::now());
        let mut new = Self {
            segments,
            service,
            epoch,
            spots,
            began,
            again: None,
            returns: None,
            number: 0,
            paced: None,
            told: false,
            events,
            notices,
        };
        for at in 0..new.spots.len() {
            new.announce(at, Look::AsKnown);
        }
        // Only now: clients wait for those frames, and nobody for what is noted of them.
        let began = *new.began.borrow();
        for spot in &new.spots {
            new.segments.pace.reserve(spot.frames());
            new.segments.memory.begin(&new.service, &spot.target, began);
        }
        new.after(true);
        new
    }

    /// Begins anew when an interface of its addresses comes back.
    pub(super) fn following(self, returns: watch::Receiver<Returns>) -> Self {
        let known = returns.borrow().newest;
        Self { returns: Some((returns, known)), ..self }
    }

    /// Goes on for ever, and tells neighbours one by one beside it.
    pub(super) async fn run(self) {
        let targets = self.spots.iter().map(|spot| spot.target.clone()).collect();
        let nudger = Nudger::new(self.segments.clone(), targets, self.began.subscribe());
        tokio::join!(self.announce_for_ever(), nudger.run());
    }

    async fn announce_for_ever(mut self) {
        loop {
            match self.wait().await {
                Woken::Claimed(at, claim) => self.on_claim(at, claim),
                Woken::Due => self.on_due(),
                Woken::Returned => self.on_return(),
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let due = self.due();
        let claims = std::future::poll_fn(|context| {
            for (at, spot) in self.spots.iter_mut().enumerate() {
                if let Some((_, claims)) = &mut spot.watch
                    && let std::task::Poll::Ready(claim) = claims.poll_recv(context)
                {
                    return std::task::Poll::Ready(Woken::Claimed(at, claim));
                }
            }
            std::task::Poll::Pending
        });
        tokio::select! {
            // A flood of claims must not keep announcements from leaving.
            biased;
            () = sleep_until(due) => Woken::Due,
            () = returned(self.returns.as_mut()) => Woken::Returned,
            woken = claims => woken,
        }
    }

    /// When something has to be sent next.
    fn due(&self) -> Instant {
        let scheduled = self.scheduled();
        let each = self.spots.iter().flat_map(|spot| [spot.defend, spot.retry]);
        each.flatten().chain(self.again).fold(scheduled, Instant::min)
    }

    /// When the next one is due for every address.
    fn scheduled(&self) -> Instant {
        let planned = self.planned(self.number);
        self.paced.map_or(planned, |paced| planned.max(paced))
    }

    fn planned(&self, number: u32) -> Instant {
        *self.began.borrow() + Duration::from_micros(announcement(number).as_micros())
    }

    fn on_return(&mut self) {
        let Some((returns, known)) = &mut self.returns else { return };
        let now_known = returns.borrow_and_update();
        let concerned =
            self.spots.iter().any(|spot| now_known.after(*known, &spot.target.interface));
        *known = now_known.newest;
        if concerned {
            self.again.get_or_insert(Instant::now().max(*self.began.borrow() + DEFEND));
        }
    }

    fn on_due(&mut self) {
        let now = Instant::now();
        if self.again.is_some_and(|again| again <= now) {
            (self.again, self.number, self.paced) = (None, 0, None);
            self.began.send_replace(now);
        }
        if self.paced.is_none() && self.planned(self.number) <= now {
            let frames = self.spots.iter().map(Spot::frames).sum();
            self.paced = Some(self.segments.pace.reserve(frames));
        }
        let scheduled = self.scheduled();
        let all = scheduled <= now;
        for at in 0..self.spots.len() {
            let spot = &self.spots[at];
            let own = spot.defend.into_iter().chain(spot.retry).fold(scheduled, Instant::min);
            if own <= now {
                if !all {
                    // It does not wait, but what can wait does so for it.
                    self.segments.pace.reserve(spot.frames());
                }
                self.announce(at, Look::Anew);
            }
        }
        self.after(all);
    }

    /// Something was announced; whether it was all.
    fn after(&mut self, all: bool) {
        if all {
            self.paced = None;
            // What was missed while the machine stood still is not made up for.
            let now = Instant::now();
            while self.planned(self.number) <= now {
                self.number = self.number.saturating_add(1);
            }
        }
        if !self.told && self.spots.iter().all(|spot| spot.retry.is_none()) {
            self.told = true;
            let (service, epoch) = (self.service.clone(), self.epoch);
            // Nobody listens any more only when the daemon ends.
            let _ = self.events.send(Event::Announced { service, epoch });
        }
    }

    fn announce(&mut self, at: usize, look: Look) {
        let spot = &mut self.spots[at];
        match spot.announce(&self.segments, look) {
            Ok(()) => spot.retry = None,
            Err(error) => {
                spot.retry = Some(Instant::now() + RETRY);
                let address = spot.target.address;
                self.on_failure(at, format!("{address} can't be announced: {}", chain(&error)));
            }
        }
        let now = Instant::now();
        let spot = &mut self.spots[at];
        if spot.defend.is_some_and(|defend| defend <= now) {
            spot.defend = None;
            spot.defended = Some(now);
        }
    }

    fn on_failure(&mut self, at: usize, text: String) {
        let now = Instant::now();
        let spot = &mut self.spots[at];
        let known = spot.failure.as_ref();
        if known.is_some_and(|(said, at)| *said == text && now < *at + REPEAT) {
            return;
        }
        spot.failure = Some((text.clone(), now));
        let _ = self.notices.send(Notice::AnnounceFailed(self.service.clone(), text));
    }

    fn on_claim(&mut self, at: usize, claim: Option<Claim>) {
        let now = Instant::now();
        let spot = &mut self.spots[at];
        let mac = match claim {
            Some(Claim::Uses(mac)) => mac,
            // Whoever asks is answered by the kernel, and may be another node of ours that wants to
            // know whether this one still is there.
            Some(Claim::Probes(_)) => return,
            None => {
                // The interface was opened anew: so will the watch be, with the next announcement.
                spot.watch = None;
                spot.retry = Some(now + RETRY);
                return;
            }
        };
        let known = spot.strangers.get(&mac).is_some_and(|told| now < *told + REPEAT);
        if !known && spot.has_room(now) {
            if self.segments.is_own(mac) {
                return;
            }
            spot.strangers.insert(mac, now);
            let text = in_use(&spot.target, mac);
            let _ = self.notices.send(Notice::Conflict(self.service.clone(), text));
        }
        if spot.strangers.contains_key(&mac) {
            self.segments.strangers.heard(&self.service, &spot.target, mac);
        }
        let earliest = spot.defended.map_or(now, |defended| defended + DEFEND);
        spot.defend.get_or_insert(earliest.max(now));
    }
}

impl Spot {
    fn new(target: Target) -> Self {
        Self {
            target,
            watch: None,
            retry: None,
            defended: None,
            defend: None,
            failure: None,
            strangers: HashMap::new(),
        }
    }

    /// Sends the announcement in every form that somebody may need.
    fn announce(&mut self, segments: &Segments, look: Look) -> Result<(), SegmentError> {
        let known = segments.known(&self.target.interface).filter(|_| look == Look::AsKnown);
        let sent = known.filter(|segment| send(segment, &self.target).is_ok());
        let segment = match sent {
            Some(segment) => segment,
            None => {
                let segment = segments.get(&self.target.interface)?;
                send(&segment, &self.target)?;
                segment
            }
        };
        let same = |(watched, _): &(Arc<Segment>, _)| Arc::ptr_eq(watched, &segment);
        if !self.watch.as_ref().is_some_and(same) {
            let claims = segment.watch(self.target.address);
            self.watch = Some((segment, claims));
        }
        Ok(())
    }

    /// How many frames an announcement takes.
    fn frames(&self) -> usize {
        match self.target.address {
            IpAddr::V4(_) => 2,
            IpAddr::V6(_) => 1,
        }
    }

    /// Whether one more stranger can be told about.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.strangers.len() >= REMEMBERED {
            self.strangers.retain(|_, told| now < *told + REPEAT);
        }
        self.strangers.len() < REMEMBERED
    }
}

fn send(segment: &Segment, target: &Target) -> Result<(), SegmentError> {
    frames(segment.mac(), target).iter().try_for_each(|frame| segment.send(frame))
}

fn frames(mac: Mac, target: &Target) -> Vec<Vec<u8>> {
    match target.address {
        IpAddr::V4(address) => {
            vec![arp::announcement(mac, address), arp::announcement_as_reply(mac, address)]
        }
        IpAddr::V6(address) => {
            vec![neighbor::announcement(mac, address, forwards(&target.interface))]
        }
    }
}

/// Waits until some interface comes back.
async fn returned(returns: Option<&mut (watch::Receiver<Returns>, u64)>) {
    if let Some((returns, _)) = returns
        && returns.changed().await.is_ok()
    {
        return;
    }
    // Nobody watches any more.
    std::future::pending().await
}

/// Whether this node is a router on that interface, as its advertisements must say.
pub(super) fn forwards(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}
