//! Reference points on the services' segment, and the hands of each daemon that ask them.

use stead_core::lease::Order;
use stead_core::points::{MOST, Watch, Watched};
use stead_core::time::{Instant, Span};

use crate::world::{GuardIn, What, World};

/// What one run of a daemon has heard of the points.
#[derive(Debug, Default)]
pub struct Asking {
    points: [Watch; MOST],
    ticked: Option<Instant>,
}

impl World {
    /// The daemon of that run asks every point once, and tells its guard.
    pub(crate) fn ask_points(&mut self, host: usize, run: u64) {
        let it = &self.hosts[host];
        if it.daemon_run != run || it.daemon.is_none() {
            return;
        }
        if let Some(until) = it.daemon_waits(self.now) {
            // What is not asked is not missed.
            self.at(until, What::AskPoints(host, run));
            return;
        }
        let (now, up) = (self.local(host), self.lan.up[host]);
        let lives = self.lan.points.clone();
        let it = &mut self.hosts[host];
        let Some(daemon) = &mut it.daemon else { return };
        let timers = daemon.node.state().timers;
        let period = Span(timers.ride_out.0 / 6).max(Span::from_millis(5));
        let asking = &mut daemon.asking;
        let passed = asking.ticked.map_or(Span::ZERO, |at| now.since(at)).min(period.times(2));
        asking.ticked = Some(now);
        for (watch, lives) in asking.points.iter_mut().zip(lives) {
            *watch = if up && lives {
                Watch { answered: Some(now), missed: Some(Span::ZERO) }
            } else {
                let missed = watch.missed.unwrap_or(Span::ZERO) + passed;
                Watch { missed: Some(missed), ..*watch }
            };
        }
        let watched = Watched { revision: daemon.node.state().revision, points: asking.points };
        // A guard of 0.2 is told nothing.
        let guard = daemon.guard.filter(|_| !self.lan.silent[host]);
        if let Some(guard) = guard {
            let order = GuardIn::Order(run, Order::Points(Box::new(watched)));
            self.order(host, guard, order);
        }
        self.after(period.0, What::AskPoints(host, run));
    }
}
