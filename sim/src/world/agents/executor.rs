//! The executor of a service: drives the core's machine, shows how things are, takes one order.

use stead_core::id::{Epoch, ServiceId};
use stead_core::resource::{Command, Life, Shown, Stage, Whole};
use stead_core::state::config::ResourceConfig;
use stead_core::time::Instant;

use super::{AgentsIn, Part, Truth, World};
use crate::parts::resources;

/// The executor of a service on a machine, and all that its agents have started. It is there as
/// long as anything of that is.
#[derive(Debug)]
pub struct Executor {
    /// Its own, in this world.
    pub number: u64,
    /// Under which assignment it runs.
    pub epoch: Epoch,
    /// The machine of the core.
    pub life: Life,
    /// What it looks after.
    pub parts: Vec<Part>,
    /// What they are called.
    pub names: Vec<String>,
    /// Its own process is there.
    pub main: bool,
    wake: u64,
    /// It is about to show how things are.
    sending: bool,
    shown: Option<Picture>,
    /// The next picture arrives after that.
    line: u64,
}

/// How things are, as a daemon is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// All together.
    pub whole: Whole,
    /// Each: name, stage, failures, reason, whether it is left as it is though it fails.
    parts: Vec<(String, Stage, u64, Option<String>, bool)>,
}

impl Picture {
    fn of(executor: &Executor) -> Self {
        let parts = executor.names.iter().zip(executor.life.views()).map(|(name, view)| {
            let reason = view.reason.map(str::to_string);
            (name.clone(), view.stage, view.all_failures, reason, view.unwell)
        });
        Self { whole: executor.life.whole(), parts: parts.collect() }
    }

    /// Each resource, as far as it may be news.
    pub(super) fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.parts.iter().map(|(name, _, all_failures, reason, unwell)| Shown {
            name,
            all_failures: *all_failures,
            reason: reason.as_deref(),
            unwell: *unwell,
        })
    }
}

impl Executor {
    pub(super) fn new(number: u64, epoch: Epoch, all: &[ResourceConfig]) -> Self {
        Self {
            number,
            epoch,
            life: Life::begin(resources(all)),
            parts: all.iter().map(|_| Part::default()).collect(),
            names: all.iter().map(|config| config.name.clone()).collect(),
            main: true,
            wake: u64::MAX,
            sending: false,
            shown: None,
            line: 0,
        }
    }

    /// Whether anything is left of what agents started.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.parts.iter().any(|part| part.truth != Truth::Down)
    }

    /// Whether everything works, in truth and by its own word.
    #[must_use]
    pub fn works(&self) -> bool {
        self.main
            && self.life.whole() == Whole::Works
            && self.parts.iter().all(|part| part.truth == Truth::Up)
    }
}

impl World {
    fn executor(&mut self, host: usize, service: &ServiceId, number: u64) -> Option<&mut Executor> {
        let executor = self.hosts[host].executors.get_mut(service);
        executor.filter(|it| it.number == number && it.main)
    }

    /// Has the agents do what is decided, waits for what comes next, shows what changed.
    pub(super) fn executor_goes_on(&mut self, host: usize, service: &ServiceId) {
        self.judge_lease_of_parts(host, service);
        while let Some(executor) = self.hosts[host].executors.get_mut(service) {
            let Some(Command::Ask { resource, operation, number }) = executor.life.poll() else {
                break;
            };
            self.ask_agent(host, service, resource, (operation, number));
        }
        self.judge_whole(host, service);
        let clock = self.hosts[host].clock;
        let Some(executor) = self.hosts[host].executors.get_mut(service) else { return };
        let number = executor.number;
        if executor.life.whole() == Whole::Stopped {
            self.judge_all_gone(host, service);
            self.executor_ends(host, service);
            return;
        }
        let due = clock.global(executor.life.next_deadline());
        let sooner = due < executor.wake;
        if sooner {
            executor.wake = due;
        }
        let picture = Picture::of(executor);
        let news = executor.shown.as_ref() != Some(&picture);
        let send = news && !executor.sending;
        executor.sending |= send;
        executor.shown = Some(picture);
        if sooner {
            let at = due.saturating_sub(self.now);
            self.agents_after(at, host, service, AgentsIn::Tick(number));
        }
        if send {
            let late = self.agents_take(100, 3_000);
            self.agents_after(late, host, service, AgentsIn::Send(number));
        }
    }

    pub(super) fn executor_ticks(&mut self, host: usize, service: &ServiceId, number: u64) {
        let now = self.local(host);
        let Some(executor) = self.executor(host, service, number) else { return };
        executor.wake = u64::MAX;
        executor.life.tick(now);
        self.executor_goes_on(host, service);
    }

    /// A daemon asked for the end.
    pub(super) fn executor_stops(&mut self, host: usize, service: &ServiceId, number: u64) {
        let now = self.local(host);
        let Some(executor) = self.executor(host, service, number) else { return };
        executor.life.stop(now);
        self.judge_end_wanted(host, service);
        self.executor_goes_on(host, service);
    }

    /// A daemon says something to the executor of that assignment.
    pub(super) fn tell_executor(
        &mut self,
        host: usize,
        service: &ServiceId,
        epoch: Epoch,
        say: impl FnOnce(&mut Life, Instant),
    ) {
        let now = self.local(host);
        let executor = self.hosts[host].executors.get_mut(service);
        let Some(executor) = executor.filter(|it| it.epoch == epoch && it.main) else { return };
        say(&mut executor.life, now);
        self.executor_goes_on(host, service);
    }

    /// The newest picture leaves for whichever daemon is there.
    pub(super) fn executor_sends(&mut self, host: usize, service: &ServiceId, number: u64) {
        let (now, late) = (self.now, self.agents_take(100, 2_000));
        let run = self.hosts[host].daemon_run;
        let Some(executor) = self.executor(host, service, number) else { return };
        executor.sending = false;
        executor.line = executor.line.max(now + late);
        let (at, picture) = (executor.line, Box::new(Picture::of(executor)));
        self.agents_after(at - now, host, service, AgentsIn::Picture(run, number, picture));
    }

    /// A daemon that just started connects to what runs.
    pub(super) fn executor_connected(&mut self, host: usize, service: &ServiceId) {
        let late = self.agents_take(5_000, 100_000);
        let Some(executor) = self.hosts[host].executors.get(service) else { return };
        let number = executor.number;
        self.agents_after(late, host, service, AgentsIn::Send(number));
    }

    /// The executor's own process ends, or is killed. What its agents left stays, until a daemon
    /// stops it or the keeper does.
    pub fn executor_ends(&mut self, host: usize, service: &ServiceId) {
        let Some(executor) = self.hosts[host].executors.get_mut(service) else { return };
        executor.main = false;
        for part in &mut executor.parts {
            part.run = None;
        }
        if !executor.has_left() {
            self.parts_gone(host, service);
        }
        self.task_looks(host, service);
    }

    /// Nothing of the service is left there.
    pub(super) fn parts_gone(&mut self, host: usize, service: &ServiceId) {
        let it = &mut self.hosts[host];
        it.executors.remove(service);
        it.programs.remove(service);
    }
}
