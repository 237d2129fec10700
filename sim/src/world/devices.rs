//! Fence devices: each machine has one, which switches it off and on, or does not.
//!
//! An attempt has two moments: at the first the power is cut, at the second the device says so.
//! What runs of it ends with the daemon that began it, and when that is told to. A daemon that
//! stands still can't be told.

use stead_core::id::NodeId;
use stead_core::node::Event;
use stead_core::state::FenceSaid;
use stead_core::time::Span;

use super::{DaemonIn, What, World};

/// How long an agent may take, in microseconds; then it is killed.
const TIMEOUT: u64 = 20_000_000;
/// Numbers of attempts that break a tie begin here (`core::node::fence`).
const OF_TIES: u64 = 1 << 63;

/// How a device goes about what it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// It cuts the power within two seconds, and says so.
    #[default]
    Good,
    /// It takes up to eight seconds.
    Slow,
    /// It says that it can't.
    Fails,
    /// It says nothing until it is killed, and has done nothing.
    Hangs,
    /// The same, and the power goes five seconds after that.
    Late,
    /// It says that the machine is off, and has done nothing.
    Lies,
    /// It leaves the machine on, and cuts it off from what is bound until it has booted.
    Cuts,
    /// It has the machine's own power: without that it says nothing.
    Shared,
}

impl Manner {
    /// All, with their words.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Good, "good"),
        (Self::Slow, "slow"),
        (Self::Fails, "fails"),
        (Self::Hangs, "hangs"),
        (Self::Late, "late"),
        (Self::Lies, "lies"),
        (Self::Cuts, "cuts"),
        (Self::Shared, "shared"),
    ];

    /// Its word in scenarios.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(it, _)| *it == self).map_or("?", |(_, word)| word)
    }
}

/// What happens in an attempt.
#[derive(Clone, Debug)]
pub enum DeviceIn {
    /// The power is cut, if the device does that.
    Cuts(Attempt),
    /// The device speaks.
    Says(Attempt, Result<String, String>),
    /// It cuts the power though nobody waits for it any more.
    CutsLate(usize),
    /// The machine is switched on again.
    SwitchesOn(usize),
}

/// An attempt that a daemon of that run makes.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    host: usize,
    run: u64,
    node: NodeId,
    number: u64,
    /// Only the machine's power counts.
    power: bool,
    /// It is on, and cut off.
    cut_off: bool,
}

impl World {
    /// A daemon asks for a node to be switched off.
    pub(super) fn fence(&mut self, host: usize, node: NodeId, number: u64, power: bool) {
        let run = self.hosts[host].daemon_run;
        let Some(daemon) = &mut self.hosts[host].daemon else { return };
        daemon.fences.insert(number);
        let manner = self.host_of(node).map_or(Manner::Fails, |target| self.hosts[target].device);
        let longest = if manner == Manner::Slow { 8_000_000 } else { 2_000_000 };
        let time = self.chance.devices.between(50_000, longest);
        let attempt = Attempt { host, run, node, number, power, cut_off: false };
        self.note(Some(host), || format!("> fence {} ({})", node.0, manner.word()));
        self.after(time, What::Device(DeviceIn::Cuts(attempt)));
    }

    /// An attempt is not its daemon's to make any more.
    pub(super) fn stop_fence(&mut self, host: usize, number: u64) {
        if let Some(daemon) = &mut self.hosts[host].daemon {
            daemon.fences.remove(&number);
        }
    }

    /// Whether what was begun still runs.
    fn is_made(&self, attempt: &Attempt) -> bool {
        let it = &self.hosts[attempt.host];
        let daemon = it.daemon.as_ref().filter(|_| it.daemon_run == attempt.run);
        daemon.is_some_and(|daemon| daemon.fences.contains(&attempt.number))
    }

    pub(super) fn device(&mut self, what: DeviceIn) {
        match what {
            DeviceIn::Cuts(attempt) => {
                if let Some((_, until)) = self.hosts[attempt.host].halted {
                    self.at(until, What::Device(DeviceIn::Cuts(attempt)));
                } else if self.is_made(&attempt) {
                    self.cut_power(attempt);
                }
            }
            DeviceIn::Says(attempt, outcome) => self.said(attempt, outcome),
            DeviceIn::CutsLate(target) => {
                let name = self.hosts[target].name;
                self.note(None, || format!("the power of {name} goes late"));
                self.power_off_by_device(target);
            }
            DeviceIn::SwitchesOn(target) => {
                if !self.hosts[target].powered {
                    let name = self.hosts[target].name;
                    self.note(None, || format!("{name} is on again"));
                    self.hosts[target].powered = true;
                    self.repair(target);
                }
            }
        }
    }

    fn cut_power(&mut self, attempt: Attempt) {
        let Some(target) = self.host_of(attempt.node) else {
            return self.says(attempt, 0, Err("there is no such machine".to_string()));
        };
        let manner = self.hosts[target].device;
        let dead = manner == Manner::Shared && !self.hosts[target].powered;
        match manner {
            Manner::Good | Manner::Slow | Manner::Shared if !dead => {
                let of_tie = attempt.number >= OF_TIES;
                self.judge_fence(attempt.host, attempt.node, attempt.number, of_tie);
                self.power_off_by_device(target);
                let status = self.chance.devices.between(20_000, 300_000);
                self.says(attempt, status, Ok("its device".to_string()));
            }
            Manner::Cuts if !attempt.power => {
                self.judge_fence(attempt.host, attempt.node, attempt.number, false);
                self.hosts[target].cut_off = true;
                let attempt = Attempt { cut_off: true, ..attempt };
                self.says(attempt, 20_000, Ok("its device".to_string()));
            }
            Manner::Cuts => self.says(attempt, 0, Err("its device takes no power".to_string())),
            Manner::Fails => self.says(attempt, 0, Err("its device refuses".to_string())),
            Manner::Lies => {
                self.hosts[target].called_off = true;
                self.says(attempt, 20_000, Ok("its device".to_string()));
            }
            Manner::Late => {
                self.after(TIMEOUT + 5_000_000, What::Device(DeviceIn::CutsLate(target)));
                self.says(attempt, TIMEOUT, Err("its device said nothing".to_string()));
            }
            Manner::Good | Manner::Slow | Manner::Shared | Manner::Hangs => {
                self.says(attempt, TIMEOUT, Err("its device said nothing".to_string()));
            }
        }
    }

    /// After the faults somebody looks after all that is off, whoever had it switched off and
    /// whether they still know.
    fn power_off_by_device(&mut self, target: usize) {
        self.power_off(target);
        if self.healed_at.is_some() {
            self.after(5_000_000, What::Device(DeviceIn::SwitchesOn(target)));
        }
    }

    fn says(&mut self, attempt: Attempt, time: u64, outcome: Result<String, String>) {
        self.after(time, What::Device(DeviceIn::Says(attempt, outcome)));
    }

    fn said(&mut self, attempt: Attempt, outcome: Result<String, String>) {
        if let Some((_, until)) = self.hosts[attempt.host].halted {
            return self.at(until, What::Device(DeviceIn::Says(attempt, outcome)));
        }
        // What was switched off is switched on by whoever did that, or stays off until somebody
        // looks.
        let target = self.host_of(attempt.node).filter(|_| outcome.is_ok());
        if !self.is_made(&attempt) {
            return;
        }
        if let Some(target) = target.filter(|_| !attempt.cut_off) {
            let boots = self.chance.devices.between(1_500_000, 4_000_000);
            self.after(boots, What::Device(DeviceIn::SwitchesOn(target)));
        }
        self.stop_fence(attempt.host, attempt.number);
        let Attempt { host, run, node, number, power: _, cut_off } = attempt;
        let said = FenceSaid { outcome, cut_off, steps: Vec::new(), took: Span::ZERO, wall: 0 };
        let event = Event::Fenced { node, number, said };
        self.daemon_input(host, run, DaemonIn::Event(Box::new(event)));
    }
}
