//! A node that goes away in order: its services move first.
//!
//! # What it is for
//! A reboot, a shutdown, a suspend and `systemctl stop` are announced. So nobody has to wait for a
//! lease to run out: while guard and daemon are still there, and everything that the programs stand
//! on, each service makes a planned move. Then the lease is given up, and the machine goes on.
//!
//! # Happy path
//! ```text
//!   logind: shutdown, or sleep ─┐                               ┌─▶ logind: go on
//!   guard: asked to end ────────┴▶ standby ─▶ everything moved ─┴─▶ the lease is released
//! ```
//! [`leave`] puts this node on standby, by the same committed change as an operator would, after it
//! has made a mark on its disk that the standby is its own. The coordinator moves the services as
//! it always does. Once nothing is left here, logind's delay is given back ([`logind`]), or the
//! guard, if it was asked to end, gets its release. When the machine is back, or its end was
//! cancelled, the mark takes the standby back. A standby that somebody set before stays.
//!
//! # Failures
//! Nobody to take a service, no quorum, a program that does not end: what does not move within the
//! bounds stops with the release, and the others take it at once ([`leave`] has the bounds). No
//! D-Bus, no logind: the guard is stopped before anything that it stands on (its unit), and all the
//! rest is the same. A daemon that is killed meanwhile finds the mark when it starts again.
//!
//! # Deliberately absent
//! A node that is killed, or whose power goes: a failure, and the others wait for its lease.

mod leave;
pub mod logind;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use leave::start;

use crate::driver::handle::Handle;

/// How long a daemon that is asked to end looks whether its guard, or the machine, is ending too.
/// Whoever stops everything does so in one go.
const SAME_TIME: Duration = Duration::from_millis(100);
/// How long a daemon that is asked to end goes on with a departure. Less than its unit gives it.
const LINGER: Duration = Duration::from_secs(25);

/// Where the machine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// It shuts down, or boots anew.
    Shutdown,
    /// It is suspended.
    Sleep,
}

/// Why this node goes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reasons {
    /// Its guard was asked to end.
    guard: bool,
    /// Its machine goes.
    machine: Option<Machine>,
}

impl Reasons {
    fn any(self) -> bool {
        self.guard || self.machine.is_some()
    }

    /// In words.
    fn text(self) -> &'static str {
        match self.machine {
            Some(Machine::Shutdown) => "the machine shuts down",
            Some(Machine::Sleep) => "the machine is about to sleep",
            None => "the guard was asked to end",
        }
    }
}

/// Whether this node goes away. Copies tell of the same.
#[derive(Clone, Debug)]
pub struct Departure {
    reasons: Arc<watch::Sender<Reasons>>,
    /// Nothing is left here, or nothing more will move.
    gone: Arc<watch::Sender<bool>>,
}

impl Default for Departure {
    fn default() -> Self {
        Self {
            reasons: Arc::new(watch::Sender::new(Reasons::default())),
            gone: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Departure {
    /// The guard was asked to end, or there is another one.
    pub fn guard_ends(&self, ends: bool) {
        self.reasons.send_if_modified(|it| std::mem::replace(&mut it.guard, ends) != ends);
    }

    /// The machine goes, or stays after all.
    pub fn machine_goes(&self, goes: Option<Machine>) {
        self.reasons.send_if_modified(|it| std::mem::replace(&mut it.machine, goes) != goes);
    }

    /// Waits until nothing is left here, or nothing more will move.
    pub async fn gone(&self) {
        // An error means that nobody tells any more; `self` does.
        let mut gone = self.gone.subscribe();
        let _gone = gone.wait_for(|gone| *gone).await;
    }

    /// Before the daemon ends: if this node is going away, goes on until that is done.
    pub async fn linger(&self, mut handle: Handle) {
        let mut reasons = self.reasons.subscribe();
        let going = async { reasons.wait_for(|it| it.any()).await.is_ok() };
        if tokio::time::timeout(SAME_TIME, going).await.is_err() {
            return;
        }
        let over = async {
            loop {
                let view = handle.view();
                let released = view.report.as_ref().is_none_or(|it| it.released);
                let only_machine = !self.reasons.borrow().guard;
                if released || (only_machine && *self.gone.borrow()) || !handle.changed().await {
                    return;
                }
            }
        };
        // What is late is not waited for: systemd would kill this process.
        let _over = tokio::time::timeout(LINGER, over).await;
    }
}
