//! The loop: asks by its clock, and takes answers and changes of interfaces as they come.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use stead_core::points::{MOST, Watched, What};
use stead_core::time::{Instant, Span};
use stead_edge::chain;
use stead_edge::polled::Polled;
use stead_linux::clock::boottime;
use stead_linux::netlink::{Event, Mac, Monitor, Netlink, NetlinkError};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

use super::point::{Asked, Point};
use super::port::{Answer, Port};
use super::way::{Machine, Way};
use super::{Network, Wanted};

/// The shortest time between two questions to one point.
const SHORTEST: Span = Span::from_millis(5);
/// Interfaces, addresses and routes are looked at anew after this long, though nothing was told.
const LOOK: Span = Span::from_millis(10_000);
/// And not more often than this, whatever was told.
const LOOK_PAUSE: Span = Span::from_millis(500);
/// Answers that wait to be taken.
const WAITING: usize = 64;
/// How many next hops of one network are asked.
const GATEWAYS: usize = 4;

/// Asks what is wanted, until nobody wants anything any more.
pub(super) async fn run(mut wanted: watch::Receiver<Wanted>, tell: watch::Sender<Watched>) {
    let (sender, mut answers) = channel(WAITING);
    let mut asker = Asker::new(sender, tell);
    loop {
        if asker.wanted.networks.is_empty() {
            asker.close();
            if wanted.changed().await.is_err() {
                return;
            }
            asker.take(wanted.borrow_and_update().clone());
            continue;
        }
        let wait = Duration::from_micros(asker.due.0.saturating_sub(boottime()));
        // What came is read before time is counted as if nothing had.
        tokio::select! {
            biased;
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                asker.take(wanted.borrow_and_update().clone());
            }
            answer = next(&mut answers) => asker.answered(answer),
            event = changes(&mut asker.monitor) => asker.changed(event),
            () = tokio::time::sleep(wait) => asker.tick(Instant(boottime())),
        }
    }
}

async fn next(answers: &mut Receiver<Answer>) -> Answer {
    match answers.recv().await {
        Some(answer) => answer,
        // The asker keeps a sender.
        None => pending().await,
    }
}

/// The kernel's word of changed interfaces and addresses.
struct Changes {
    monitor: Monitor,
    readable: Polled<OwnedFd>,
}

impl Changes {
    fn open() -> Result<Self, io::Error> {
        let monitor = Monitor::open().map_err(io::Error::other)?;
        let readable = Polled::new(monitor.as_fd().try_clone_to_owned()?)?;
        Ok(Self { monitor, readable })
    }
}

async fn changes(changes: &mut Option<Changes>) -> Result<Event, String> {
    let Some(Changes { monitor, readable }) = changes else { return pending().await };
    match readable.next(|_| monitor.poll().transpose()).await {
        Ok(Ok(event)) => Ok(event),
        Ok(Err(error)) => Err(chain(&error)),
        Err(error) => Err(chain(&error)),
    }
}

struct Asker {
    wanted: Wanted,
    points: [Point; MOST],
    machine: Machine,
    /// The way to each network, in their order.
    ways: Vec<Option<Way>>,
    ports: HashMap<String, Port>,
    /// From which MAC an address answered last.
    macs: HashMap<IpAddr, Mac>,
    netlink: Option<Netlink>,
    monitor: Option<Changes>,
    looked: Option<Instant>,
    /// Something was told since.
    stale: bool,
    ticked: Instant,
    due: Instant,
    answers: Sender<Answer>,
    tell: watch::Sender<Watched>,
}

impl Asker {
    fn new(answers: Sender<Answer>, tell: watch::Sender<Watched>) -> Self {
        let now = Instant(boottime());
        Self {
            wanted: Wanted::default(),
            points: Default::default(),
            machine: Machine::default(),
            ways: Vec::new(),
            ports: HashMap::new(),
            macs: HashMap::new(),
            netlink: None,
            monitor: None,
            looked: None,
            stale: false,
            ticked: now,
            due: now,
            answers,
            tell,
        }
    }

    /// Nothing is to be asked: nothing is kept open.
    fn close(&mut self) {
        let (answers, tell) = (self.answers.clone(), self.tell.clone());
        *self = Self::new(answers, tell);
        self.publish();
    }

    /// Other points are wanted. What is known of those that stay is kept.
    fn take(&mut self, wanted: Wanted) {
        let mut points: [Point; MOST] = Default::default();
        for network in &wanted.networks {
            for (number, what) in &network.points {
                let old = self.wanted.networks.iter().filter(|old| old.config == network.config);
                let old = old.flat_map(|old| &old.points).find(|(_, old)| old == what);
                if let Some((old, _)) = old {
                    points[*number] = self.points[*old];
                }
            }
        }
        (self.points, self.wanted) = (points, wanted);
        self.looked = None;
        self.tick(Instant(boottime()));
    }

    /// The time between two questions: a third of the usual while one is not answered, so that
    /// others know sooner.
    fn period(&self) -> Span {
        let usual = self.wanted.timers.ride_out.0 / 6;
        let trouble = self.points.iter().any(Point::is_missed);
        Span(if trouble { usual / 3 } else { usual }).max(SHORTEST)
    }

    /// Asks every point, and says what is known.
    fn tick(&mut self, now: Instant) {
        let period = self.period();
        let time = now.since(self.ticked);
        self.points.iter_mut().for_each(|point| point.passed(time, period.times(2)));
        self.ticked = now;
        self.look(now);
        self.ask();
        self.publish();
        self.due = now + self.period();
    }

    /// Looks at the machine again, if it may have changed.
    fn look(&mut self, now: Instant) {
        let due = self.looked.is_none_or(|at| {
            let pause = if self.stale { LOOK_PAUSE } else { LOOK };
            now.since(at) >= pause
        });
        if !due {
            return;
        }
        (self.looked, self.stale) = (Some(now), false);
        if self.monitor.is_none() {
            match Changes::open() {
                Ok(changes) => self.monitor = Some(changes),
                Err(error) => tracing::warn!("changes of interfaces come late: {}", chain(&error)),
            }
        }
        match self.read_machine() {
            Ok(machine) => self.machine = machine,
            Err(error) => {
                // The answer to this question must not be taken for one to the next.
                self.netlink = None;
                tracing::warn!("the interfaces can't be looked up: {}", chain(&error));
                return;
            }
        }
        self.find_ways();
    }

    fn read_machine(&mut self) -> Result<Machine, NetlinkError> {
        let netlink = match self.netlink.take() {
            Some(netlink) => netlink,
            None => Netlink::open()?,
        };
        let routes = self.wanted.networks.iter().any(|it| it.config.gateway);
        Machine::look(self.netlink.insert(netlink), routes)
    }

    /// Finds the way to each network, and opens what it needs.
    fn find_ways(&mut self) {
        let find = |network: &Network| self.machine.way(&network.config, &self.wanted.moving);
        let mut ways: Vec<Option<Way>> = self.wanted.networks.iter().map(find).collect();
        for (way, old) in ways.iter_mut().zip(&self.ways) {
            match (way, old) {
                // Routes go with their interface. Who was the gateway is asked all the same.
                (Some(way), Some(old)) if !way.passes && way.gateways.is_empty() => {
                    way.gateways.clone_from(&old.gateways);
                }
                (way @ None, Some(old)) => *way = Some(Way { passes: false, ..old.clone() }),
                (Some(_) | None, Some(_) | None) => {}
            }
        }
        self.ways = ways;
        let (machine_ways, answers) = (&self.ways, &self.answers);
        self.ports.retain(|name, port| {
            machine_ways
                .iter()
                .flatten()
                .any(|way| way.name == *name && way.passes && port.is(way.index, way.mac))
        });
        for way in machine_ways.iter().flatten().filter(|way| way.passes) {
            if self.ports.contains_key(&way.name) {
                continue;
            }
            match Port::open(&way.name, answers.clone()) {
                Ok(port) => drop(self.ports.insert(way.name.clone(), port)),
                Err(error) => tracing::warn!("reference points are not asked: {error}"),
            }
        }
    }

    fn ask(&mut self) {
        let timers = self.wanted.timers;
        // Two heartbeats and a round trip: as late as what two nodes tell may be apart.
        let margin = timers.heartbeat.times(2) + timers.round_trip;
        for (at, network) in self.wanted.networks.iter().enumerate() {
            let way = self.ways.get(at).and_then(Option::as_ref);
            for (number, what) in &network.points {
                let point = &mut self.points[*number];
                let targets = targets(way, *what);
                let Some(way) = way else {
                    // No interface of this node was ever in that network.
                    if *what == What::Gateway {
                        point.nobody()
                    } else {
                        point.asked(Asked::Yes)
                    }
                    continue;
                };
                if targets.is_empty() {
                    point.nobody();
                    continue;
                }
                if !way.passes {
                    point.cut(timers.ride_out, margin);
                    continue;
                }
                let missed = point.is_missed();
                let known = |target: &IpAddr| self.macs.get(target).copied().filter(|_| !missed);
                let asked = targets.iter().map(|target| match self.ports.get(&way.name) {
                    Some(port) => port.ask(*target, way.from(*target), known(target)),
                    None => Asked::No,
                });
                let asked: Vec<_> = asked.collect();
                let best = [Asked::Yes, Asked::No].into_iter().find(|it| asked.contains(it));
                match best {
                    Some(asked) => point.asked(asked),
                    None => point.cut(timers.ride_out, margin),
                }
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        let mut news = false;
        for (network, way) in self.wanted.networks.iter().zip(&self.ways) {
            let Some(way) = way.as_ref().filter(|way| way.index == answer.index) else { continue };
            for (number, what) in &network.points {
                if targets(Some(way), *what).contains(&answer.address) {
                    news |= self.points[*number].is_missed();
                    self.points[*number].answer(answer.at);
                    self.macs.insert(answer.address, answer.mac);
                }
            }
        }
        // Not after each of several.
        if news || !self.points.iter().any(Point::is_open) {
            self.publish();
        }
    }

    /// An interface or address changed: what that cuts off is known at once.
    fn changed(&mut self, event: Result<Event, String>) {
        match event {
            Ok(Event::Link { index, up, carrier, gone, .. }) => {
                self.stale = true;
                let passes = up && carrier && !gone;
                let mut own = self.ways.iter_mut().flatten().filter(|way| way.index == index);
                let Some(way) = own.next() else { return };
                let (was, name) = (way.passes, way.name.clone());
                way.passes = passes;
                own.for_each(|way| way.passes = passes);
                if was && !passes {
                    drop(self.ports.remove(&name));
                    self.tick(Instant(boottime()));
                } else if passes && !was {
                    self.looked = None;
                    self.tick(Instant(boottime()));
                }
            }
            Ok(Event::AddressAdded { addr, .. } | Event::AddressRemoved { addr, .. }) => {
                self.stale |= !self.wanted.moving.contains(&addr);
            }
            Ok(Event::Overrun) => self.stale = true,
            Err(error) => {
                tracing::warn!("changes of interfaces come late: {error}");
                self.monitor = None;
            }
        }
    }

    fn publish(&self) {
        let points = self.points.map(|point| point.watch());
        let watched = Watched { revision: self.wanted.revision, points };
        self.tell.send_if_modified(|old| {
            let news = *old != watched;
            *old = watched;
            news
        });
    }
}

/// Whom to ask at a point.
fn targets(way: Option<&Way>, what: What) -> Vec<IpAddr> {
    match what {
        What::Address(address) => vec![address],
        What::Gateway => {
            let gateways = way.map(|way| way.gateways.as_slice()).unwrap_or_default();
            gateways.iter().take(GATEWAYS).copied().collect()
        }
    }
}
