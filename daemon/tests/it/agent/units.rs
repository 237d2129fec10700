//! Units under a real systemd: held, killed, left alone by their daemon, ended with the lease,
//! given back.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use stead::agent::{Confinement, Wish};
use stead::executor::{Picture, State};
use stead::keeper::Form;
use stead_core::id::Epoch;
use stead_core::state::config::{Agent, ResourceConfig};

use super::bed::{config, web};
use super::executor::{executors, resource};
use super::systemd::{Systemd, groups};
use crate::keeper::bed::{Kept, signal};

/// Long enough for a test that is held up.
const LEASE: Duration = Duration::from_secs(5);
const DROP_IN: &str = "/run/systemd/system/good.service.d/zzz-stead.conf";

fn unit(name: &str) -> ResourceConfig {
    let unit = format!("{name}.service");
    let mut resource = resource(name, &[], Agent::Unit { unit, monitor: None });
    resource.restarts = 1;
    resource
}

struct Trial {
    kept: Kept,
    systemd: Systemd,
}

impl Trial {
    fn begin() -> Self {
        let mut kept = Kept::new(Form::Namespace, Confinement::Group);
        let dir = kept.bed.dir.path().to_owned();
        // A unit that everything would start again, if it were let.
        let good = format!(
            "[Service]\nRestart=always\nRestartSec=0\n\
             ExecStart=/bin/sh -c 'echo run >> {}/runs; exec sleep 1000'\n",
            dir.display()
        );
        let bad = "[Service]\nExecStartPre=/bin/sh -c 'echo no such luck; exit 3'\n\
                   ExecStart=/bin/sleep 1000\n";
        let systemd = Systemd::boot(&dir, &[("good.service", &good), ("bad.service", bad)]);
        kept.bed.program = systemd.stead();
        kept.restart();
        Self { kept, systemd }
    }

    fn start(&mut self, epoch: u64, name: &str) {
        let wish = Wish { resources: vec![unit(name)], ..Wish::from(&config(None)) };
        self.kept.bed.programs.start(web(), Epoch(epoch), wish);
    }

    async fn told(&mut self, what: &str) {
        assert_eq!(self.kept.bed.news().await, what);
    }

    async fn started(&mut self, epoch: u64) {
        self.start(epoch, "good");
        self.told(&format!("started {epoch}")).await;
    }

    async fn stopped(&mut self, epoch: u64) {
        self.kept.bed.stop(epoch);
        self.told(&format!("stopped {epoch}")).await;
    }

    /// How often the unit's program has begun.
    fn runs(&self) -> usize {
        fs::read_to_string(self.kept.bed.path("runs")).unwrap_or_default().lines().count()
    }

    fn process(&self) -> i32 {
        let all = self.systemd.processes("good.service");
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }

    /// Everything is as if stead had never been there.
    fn assert_given_back(&self) {
        assert_eq!(self.systemd.shown("good.service", "ActiveState"), "inactive");
        assert_eq!(self.systemd.shown("good.service", "Restart"), "always");
        assert_eq!(self.systemd.shown("good.service", "Slice"), "system.slice");
        assert!(!self.systemd.path(DROP_IN).exists());
        assert!(!self.kept.bed.run().join("web.beside").exists());
        self.kept.bed.assert_gone();
    }

    async fn nothing_of_it_runs(&mut self) {
        let slice = self.systemd.shown("good.service", "Slice");
        let above = groups().join(self.systemd.root()).join("system.slice");
        let events = above.join(slice).join("cgroup.events");
        assert!(events.exists(), "{events:?}");
        let empty = || {
            let text = fs::read_to_string(&events).expect("readable");
            text.lines().any(|line| line == "populated 0")
        };
        self.kept.bed.wait_for("nothing of the unit runs", |_| empty()).await;
    }
}

fn works(picture: &Picture) -> bool {
    picture.state == State::Works
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_is_held_and_ends_with_the_lease_and_is_given_back() {
    let mut trial = Trial::begin();
    let guard = trial.kept.guard_of(LEASE);

    // It is held: nobody but stead starts it again.
    trial.started(7).await;
    assert_eq!(trial.systemd.shown("good.service", "Restart"), "no");
    assert_eq!(trial.runs(), 1);
    let first = trial.process();
    signal(first, Signal::SIGKILL);
    let told = trial.kept.bed.told().await;
    assert!(told.starts_with("Restarting {") && told.contains("killed by SIGKILL"), "{told}");
    let picture = |trial: &Trial| trial.kept.bed.programs.pictures().get(&web()).cloned();
    trial.kept.bed.works_again().await;
    assert_eq!(trial.runs(), 2, "by stead alone");

    // The daemon is killed: the unit is found again.
    let second = trial.process();
    trial.kept.restart();
    trial.told("found 7").await;
    trial.started(7).await;
    assert_eq!((trial.process(), trial.runs()), (second, 2), "neither restarted nor doubled");
    assert!(picture(&trial).is_some_and(|it| works(&it)));

    // The lease ends, while everybody stands still who could stop the unit.
    let executor = executors(&trial.kept.bed).pop_first().expect("there is one");
    signal(executor, Signal::SIGSTOP);
    trial.systemd.signal(Signal::SIGSTOP);
    assert!(super::bed::is_alive(second));
    guard.stop();
    trial.kept.bed.wait_for("the unit has ended", |_| !super::bed::is_alive(second)).await;
    trial.systemd.signal(Signal::SIGCONT);
    let told = trial.kept.bed.news().await;
    assert!(told.starts_with("ended 7: its keeper ended it with this node's lease"), "{told}");
    trial.nothing_of_it_runs().await;
    // Whoever starts it now has a process that does not take its first step.
    trial.systemd.systemctl(&["start", "good.service"]);
    assert_eq!(trial.systemd.processes("good.service").len(), 1);
    assert_eq!(trial.runs(), 2);
    trial.stopped(7).await;
    trial.nothing_of_it_runs().await;

    // The next lease takes it up again. The executor is killed, and no daemon looks.
    let guard = trial.kept.guard_of(LEASE);
    trial.started(8).await;
    assert_eq!(trial.runs(), 3);
    let third = trial.process();
    trial.kept.restart();
    trial.told("found 8").await;
    let executor = executors(&trial.kept.bed).pop_first().expect("there is one");
    signal(executor, Signal::SIGKILL);
    let told = trial.kept.bed.news().await;
    assert!(told.starts_with("ended 8: killed by SIGKILL"), "{told}");
    assert!(super::bed::is_alive(third), "it left its unit, which is the daemon's to stop");
    guard.stop();
    trial.kept.bed.wait_for("the unit has ended", |_| !super::bed::is_alive(third)).await;
    trial.stopped(8).await;

    // A whole life, and the unit is given back as it was.
    let _guard = trial.kept.guard_of(LEASE);
    trial.started(9).await;
    trial.stopped(9).await;
    assert_eq!(trial.runs(), 4);
    trial.assert_given_back();

    // It runs by itself: it is told, and started anew under the lease.
    trial.systemd.systemctl(&["start", "good.service"]);
    let stranger = trial.process();
    trial.started(10).await;
    assert!(trial.process() != stranger && !super::bed::is_alive(stranger));
    let shown = picture(&trial).expect("shown");
    let reason = shown.resources[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("runs by itself"), "{reason}");
    trial.stopped(10).await;
    trial.assert_given_back();

    cannot_be_had(&mut trial).await;
    trial.assert_given_back();
}

/// It is said, with the reason.
async fn cannot_be_had(trial: &mut Trial) {
    trial.start(11, "bad");
    let told = trial.kept.bed.news().await;
    let said = "not started 11: bad: bad.service did not start (failed): exit-code";
    // The journal may be a moment behind with what the unit said.
    assert!(told.starts_with(said), "{told}");
    trial.stopped(11).await;
    trial.start(12, "absent");
    trial.told("not started 12: absent: there is no unit absent.service on this node").await;
    trial.stopped(12).await;
}
