//! Containers of a real engine: held, killed, left alone by their daemon, ended with the lease,
//! taken away.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use stead::agent::Confinement;
use stead::executor::State;
use stead::keeper::Form;
use stead_core::state::config::{Agent, ContainerHow, MountConfig, ResourceConfig};
use stead_core::time::Span;

use super::bed::{is_alive, web};
use super::engine::{Engine, IMAGE};
use super::executor::{begin, executors, resource};
use crate::keeper::bed::{Kept, signal};

/// Long enough for a test that is held up.
const LEASE: Duration = Duration::from_secs(5);
/// It writes down that it began, stays, and ends when it is asked to: the first process of a
/// container has to say that it listens.
const STAYS: &str =
    "trap 'exit 0' TERM; echo run >> /shared/runs; while :; do sleep 1000 & wait $!; done";

struct Trial {
    kept: Kept,
    engine: Engine,
    /// Of each trial another one: control groups are the machine's.
    resource: &'static str,
}

impl Trial {
    fn begin(resource: &'static str) -> Self {
        let kept = Kept::new(Form::Namespace, Confinement::Group);
        Self { kept, engine: Engine::run(resource), resource }
    }

    /// A container that runs this script and sees the folder of the test.
    fn container(&self, script: &str) -> ResourceConfig {
        let shared = MountConfig {
            source: self.kept.bed.dir.path().display().to_string(),
            target: "/shared".to_owned(),
            read_only: false,
        };
        let how = ContainerHow {
            socket: Some(self.engine.socket().display().to_string()),
            mounts: vec![shared],
            ..ContainerHow::default()
        };
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let image = IMAGE.to_owned();
        let agent = Agent::Container { image, command, monitor: None, how };
        let mut resource = resource(self.resource, &[], agent);
        resource.restarts = 1;
        resource
    }

    fn name(&self) -> &str {
        &self.engine.name
    }

    fn start(&mut self, epoch: u64, resource: ResourceConfig) {
        begin(&mut self.kept.bed, epoch, &[resource]);
    }

    async fn started(&mut self, epoch: u64, script: &str) {
        self.start(epoch, self.container(script));
        assert_eq!(self.kept.bed.news().await, format!("started {epoch}"));
    }

    async fn stopped(&mut self, epoch: u64) {
        self.kept.bed.stop(epoch);
        assert_eq!(self.kept.bed.news().await, format!("stopped {epoch}"));
    }

    /// Waits until the container's program has begun that often.
    async fn has_run(&mut self, times: usize) {
        self.kept.bed.wait_for("it has begun", |bed| runs(&bed.path("runs")) >= times).await;
        assert_eq!(runs(&self.kept.bed.path("runs")), times);
    }

    /// The first process of the container: the others are its children.
    fn process(&self) -> i32 {
        self.engine.processes().into_iter().min().expect("it runs")
    }

    async fn ends(&mut self, pid: i32) {
        self.kept.bed.wait_for("the container has ended", |_| !is_alive(pid)).await;
    }

    /// Everything is as if stead had never been there.
    fn assert_nothing_is_left(&self) {
        assert_eq!(self.engine.containers(), [""; 0]);
        assert!(!self.engine.group().exists());
        assert!(!self.kept.bed.run().join("web.beside").exists());
        self.kept.bed.assert_gone();
    }

    /// It does not come up, and why is told.
    async fn is_not_started(&mut self, epoch: u64, resource: ResourceConfig) -> String {
        self.start(epoch, resource);
        let told = self.kept.bed.news().await;
        let said = format!("not started {epoch}: {}: ", self.resource);
        told.strip_prefix(&said).unwrap_or_else(|| panic!("{told}")).to_owned()
    }
}

fn runs(path: &std::path::Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_held_and_ends_with_the_lease_and_leaves_nothing() {
    let mut trial = Trial::begin("front");
    let guard = trial.kept.guard_of(LEASE);

    // It is killed, and back in place; by stead alone.
    trial.started(7, STAYS).await;
    trial.has_run(1).await;
    assert_eq!(trial.engine.containers(), [trial.name()]);
    let (status, told) =
        trial.engine.ask("POST", &format!("/containers/{}/kill", trial.name()), "");
    assert_eq!(status, 204, "{told}");
    let told = trial.kept.bed.told().await;
    assert!(told.starts_with("Restarting {") && told.contains("137 (SIGKILL)"), "{told}");
    trial.kept.bed.works_again().await;
    trial.has_run(2).await;

    // The daemon is killed: the container is found again.
    let second = trial.process();
    trial.kept.restart();
    assert_eq!(trial.kept.bed.news().await, "found 7");
    trial.started(7, STAYS).await;
    assert_eq!(trial.process(), second, "not restarted");
    assert_eq!(trial.engine.containers(), [trial.name()], "not doubled");
    trial.has_run(2).await;

    // The lease ends, while everybody stands still who could stop the container.
    let executor = executors(&trial.kept.bed).pop_first().expect("there is one");
    signal(executor, Signal::SIGSTOP);
    trial.engine.signal(Signal::SIGSTOP);
    assert!(is_alive(second));
    guard.stop();
    trial.ends(second).await;
    assert!(trial.engine.is("frozen"));
    trial.engine.signal(Signal::SIGCONT);
    let told = trial.kept.bed.news().await;
    assert!(told.starts_with("ended 7: its keeper ended it with this node's lease"), "{told}");
    trial.stopped(7).await;

    // Whoever starts it now has a process that does not take its first step. An engine that has not
    // seen its end yet would start nothing.
    let path = format!("/containers/{}/json", trial.name());
    let runs_still = || trial.engine.ask("GET", &path, "").1.contains("\"Running\":true");
    trial.kept.bed.wait_for("the engine has seen its end", |_| !runs_still()).await;
    let (socket, path) = (trial.engine.socket(), format!("/containers/{}/start", trial.name()));
    let stranger = std::thread::spawn(move || Engine::send(&socket, "POST", &path, b""));
    let populated = trial.kept.bed.wait_for("something came", |_| trial.engine.is("populated"));
    populated.await;
    trial.has_run(2).await;

    // The next lease takes it up again, and away from whoever that was.
    let guard = trial.kept.guard_of(LEASE);
    trial.started(8, STAYS).await;
    trial.has_run(3).await;
    let stranger = stranger.join().expect("it did not panic");
    assert!(stranger.is_none_or(|(status, _)| status >= 400));

    // The executor is killed, and no daemon looks.
    let third = trial.process();
    trial.kept.restart();
    assert_eq!(trial.kept.bed.news().await, "found 8");
    let executor = executors(&trial.kept.bed).pop_first().expect("there is one");
    signal(executor, Signal::SIGKILL);
    let told = trial.kept.bed.news().await;
    assert!(told.starts_with("ended 8: killed by SIGKILL"), "{told}");
    assert!(is_alive(third), "it left its container, which is the daemon's to stop");
    guard.stop();
    trial.ends(third).await;
    trial.stopped(8).await;

    // A whole life, and nothing is left.
    let _guard = trial.kept.guard_of(LEASE);
    trial.started(9, STAYS).await;
    trial.stopped(9).await;
    trial.assert_nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_that_do_not_start_or_do_not_stop() {
    let mut trial = Trial::begin("back");
    let _guard = trial.kept.guard_of(LEASE);

    // It ends at once: its last lines are shown.
    let mut short = trial.container("echo no such luck; exit 3");
    // So that it is never taken for one that has started.
    set(&mut short, |monitor, _, _| *monitor = Some(vec!["/bin/false".to_owned()]));
    let told = trial.is_not_started(1, short).await;
    assert!(told.ends_with("exit status 3, it said: no such luck"), "{told}");
    let picture = trial.kept.bed.programs.pictures().get(&web()).cloned().expect("shown");
    assert!(matches!(picture.state, State::Failed { .. }), "{picture:?}");
    assert_eq!(picture.resources[0].lines, ["no such luck"]);
    trial.stopped(1).await;
    trial.assert_nothing_is_left();

    // What it needs is not there: no second try helps.
    let mut other = trial.container(STAYS);
    set(&mut other, |_, image, _| *image = "nowhere:1".to_owned());
    let told = trial.is_not_started(2, other).await;
    assert!(
        told.contains("no image nowhere:1") && told.contains("docker pull nowhere:1"),
        "{told}"
    );
    trial.stopped(2).await;
    let mut other = trial.container(STAYS);
    set(&mut other, |_, _, how| how.mounts[0].source = "/nowhere".to_owned());
    let told = trial.is_not_started(3, other).await;
    assert!(told.contains("bind source path does not exist: /nowhere"), "{told}");
    trial.stopped(3).await;
    let mut other = trial.container(STAYS);
    set(&mut other, |_, _, how| how.socket = Some("/nowhere/sock".to_owned()));
    let told = trial.is_not_started(4, other).await;
    assert_eq!(told, "there is no container engine on this node: /nowhere/sock is not there");
    trial.stopped(4).await;
    trial.assert_nothing_is_left();

    // It ignores the request to end, and is killed.
    let mut deaf =
        trial.container("trap '' TERM; echo run >> /shared/runs; while :; do sleep 1; done");
    deaf.times.stop = Some(Span::from_millis(300));
    trial.start(5, deaf);
    assert_eq!(trial.kept.bed.news().await, "started 5");
    trial.has_run(1).await;
    trial.stopped(5).await;
    trial.assert_nothing_is_left();

    trial = stands_still(trial).await;

    // Somebody has something of that name.
    let body = format!("{{\"Image\":\"{IMAGE}\",\"Cmd\":[\"/bin/sh\"]}}");
    let (status, told) =
        trial.engine.ask("POST", &format!("/containers/create?name={}", trial.name()), &body);
    assert_eq!(status, 201, "{told}");
    let told = trial.is_not_started(10, trial.container(STAYS)).await;
    assert!(told.contains("was not made by this node of stead"), "{told}");
    trial.stopped(10).await;
    assert_eq!(trial.engine.containers(), [trial.name()], "it was let be");
}

/// The engine stands still: nothing starts, and what must end does.
async fn stands_still(mut trial: Trial) -> Trial {
    let soon = Some(Span::from_millis(300));
    let mut slow = trial.container(STAYS);
    (slow.times.start, slow.times.stop, slow.restarts) = (soon, soon, 0);
    trial.engine.signal(Signal::SIGSTOP);
    let told = trial.is_not_started(6, slow).await;
    assert!(told.contains("is not done within 300 ms"), "{told}");
    trial.engine.signal(Signal::SIGCONT);
    trial.stopped(6).await;

    let mut held = trial.container(STAYS);
    held.times.stop = soon;
    trial.start(7, held);
    assert_eq!(trial.kept.bed.news().await, "started 7");
    trial.has_run(2).await;
    let pid = trial.process();
    trial.engine.signal(Signal::SIGSTOP);
    trial.stopped(7).await;
    assert!(!is_alive(pid), "the kernel has ended it");
    assert!(trial.engine.is("frozen"), "and nothing of it can come back");
    trial.engine.signal(Signal::SIGCONT);

    // What was left then goes with the next life.
    trial.started(9, STAYS).await;
    trial.has_run(3).await;
    trial.stopped(9).await;
    trial.assert_nothing_is_left();
    trial
}

fn set(
    resource: &mut ResourceConfig,
    change: impl FnOnce(&mut Option<Vec<String>>, &mut String, &mut ContainerHow),
) {
    let Agent::Container { monitor, image, how, .. } = &mut resource.agent else {
        panic!("a container")
    };
    change(monitor, image, how);
}
