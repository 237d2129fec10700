//! Services of several resources: real programs and real agents under a real executor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::agent::Wish;
use stead::executor::{Picture, State};
use stead_core::id::Epoch;
use stead_core::resource::Care;
use stead_core::state::config::{Agent, ProcessHow, ResourceConfig, ResourceTimes, Safety, Stuck};
use stead_core::time::Span;

use super::bed::{BOTH, Bed, config, is_alive, monitored, processes, short, web};

pub fn resource(name: &str, needs: &[&str], agent: Agent) -> ResourceConfig {
    let second = Some(Span::from_millis(20_000));
    ResourceConfig {
        name: name.to_owned(),
        agent,
        needs: needs.iter().map(|it| (*it).to_owned()).collect(),
        times: ResourceTimes {
            start: second,
            stop: second,
            monitor: second,
            interval: Some(Span::from_millis(50)),
        },
        restarts: 2,
        forget_after: Span::from_millis(600_000),
        safety: Safety::Lease,
        stuck: Stuck::Wait,
    }
}

/// A program that writes down when it starts and when it is asked to end.
fn program(bed: &Bed, name: &str) -> Agent {
    let text = format!(
        "cd {dir}; trap 'echo stop {name} >> story; kill $!; exit 0' TERM; \
         echo start {name} >> story; echo $$ > {name}.pid; \
         echo {name} says hello; sleep 600 & wait",
        dir = bed.dir.path().display()
    );
    let command = ["/bin/sh", "-c", &text].map(str::to_owned).to_vec();
    // Not before this start of it has written its number: a former one's is nobody's.
    let begun = format!("kill -0 \"$(cat {}/{name}.pid)\"", bed.dir.path().display());
    let monitor = Some(["/bin/sh", "-c", &begun].map(str::to_owned).to_vec());
    Agent::Process { command, monitor, how: ProcessHow::default() }
}

pub fn dummy(parameters: &[(&str, &str)]) -> Agent {
    let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Agent::Ocf {
        provider: "heartbeat".to_owned(),
        kind: "Dummy".to_owned(),
        parameters: parameters.collect(),
    }
}

pub fn begin(bed: &mut Bed, epoch: u64, resources: &[ResourceConfig]) {
    let wish = Wish { resources: resources.to_vec(), ..Wish::from(&config(None)) };
    bed.programs.start(web(), Epoch(epoch), wish);
}

fn picture(bed: &Bed) -> Option<Picture> {
    bed.programs.pictures().get(&web()).map(|picture| picture.as_ref().clone())
}

/// Says what may be done about resources, and waits until the executor has heard it.
async fn care(bed: &mut Bed, care: Care, word: &str) {
    bed.programs.care(&web(), Epoch(3), care);
    bed.wait_for("it is heard", |bed| picture(bed).is_some_and(|it| it.care == word)).await;
}

fn story(bed: &Bed) -> Vec<String> {
    let text = fs::read_to_string(bed.path("story")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// One that is about to end counts as gone when it can do nothing any more, a moment before the
/// kernel has taken it apart.
async fn ends(bed: &mut Bed, pid: i32) {
    bed.wait_for("it has ended", |_| !is_alive(pid)).await;
}

async fn pid(bed: &mut Bed, name: &str) -> i32 {
    pid_after(bed, name, 0).await
}

/// The number of a program that was started after the one with that number.
async fn pid_after(bed: &mut Bed, name: &str, before: i32) -> i32 {
    let path = bed.path(&format!("{name}.pid"));
    let now = move || -> Option<i32> {
        let text = fs::read_to_string(&path).ok()?;
        text.ends_with('\n').then(|| text.trim().parse().ok())?.filter(|pid| *pid != before)
    };
    bed.wait_for("it was started", |_| now().is_some()).await;
    now().expect("it is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_start_in_order_and_stop_in_the_opposite_one() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let resources = [
            resource("front", &["back"], program(&bed, "front")),
            resource("data", &[], program(&bed, "data")),
            resource("back", &["data"], program(&bed, "back")),
        ];
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "started 3");
        let shown = picture(&bed).expect("it was told");
        assert_eq!(shown.state, State::Works);
        let names: Vec<_> = shown.resources.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["front", "data", "back"]);
        for name in ["front", "back", "data"] {
            let pid = pid(&mut bed, name).await;
            assert!(is_alive(pid));
        }
        assert_eq!(story(&bed), ["start data", "start back", "start front"]);
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");
        assert_eq!(story(&bed)[3..], ["stop front", "stop back", "stop data"]);
        assert_eq!(picture(&bed), None);
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_is_started_again_in_place_until_it_is_given_up() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let resources = [
            resource("data", &[], program(&bed, "data")),
            resource("front", &["data"], program(&bed, "front")),
        ];
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "started 3");
        let mut pid = 0;
        for round in 1..=3 {
            pid = pid_after(&mut bed, "data", pid).await;
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
            let told = bed.told().await;
            if round == 3 {
                assert_eq!(told, "ended 3: data: it ended: killed by SIGKILL");
                let words = bed.programs.last_words();
                let words = words.get(&web()).expect("they were kept");
                assert!(words.iter().any(|line| line == "data: data says hello"), "{words:?}");
                break;
            }
            assert!(told.starts_with("Restarting {"), "{told}");
            assert!(told.contains("data") && told.contains("killed by SIGKILL"), "{told}");
            bed.wait_for("all work again", |bed| {
                picture(bed).is_some_and(|it| it.state == State::Works)
            })
            .await;
        }
        let acts = story(&bed);
        let again = ["stop front", "start data", "start front"];
        assert_eq!(acts, [&["start data", "start front"], &again[..], &again[..]].concat());
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_gone_is_missed_by_nobody() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let resources = [
            resource("data", &[], program(&bed, "data")),
            resource("agent", &["data"], dummy(&[])),
        ];
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "started 3");
        let first = pid(&mut bed, "data").await;
        bed.restart();
        assert_eq!(bed.told().await, "found 3");
        // While no daemon is told to go on, a program dies and is started again all the same.
        kill(Pid::from_raw(first), Signal::SIGKILL).expect("killed");
        let second = pid_after(&mut bed, "data", first).await;
        begin(&mut bed, 3, &resources);
        let mut told = vec![bed.told().await, bed.told().await];
        told.sort();
        assert!(told[0].starts_with("Restarting {"), "{told:?}");
        assert_eq!(told[1], "started 3");
        assert!(is_alive(second));
        assert_eq!(story(&bed), ["start data", "start data"]);
        bed.restart();
        assert_eq!(bed.told().await, "found 3");
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");
        assert_eq!(story(&bed).last().map(String::as_str), Some("stop data"));
        bed.assert_gone();
    }
}

/// The processes of executors.
pub fn executors(bed: &Bed) -> BTreeSet<i32> {
    let is_one = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        // A keeper has the executor's command line in its own.
        line.contains("\0executor\0") && !line.contains("\0keeper\0")
    };
    processes(&bed.run()).into_iter().filter(is_one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_or_dies_while_no_daemon_looks_is_told_to_the_next() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let mut data = resource("data", &[], program(&bed, "data"));
        data.restarts = 0;
        let resources = [data];
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "started 3");
        let first = pid(&mut bed, "data").await;
        bed.restart();
        assert_eq!(bed.told().await, "found 3");
        kill(Pid::from_raw(first), Signal::SIGKILL).expect("killed");
        bed.wait_for("it is given up", |bed| {
            picture(bed).is_some_and(|it| matches!(it.state, State::Failed { .. }))
        })
        .await;
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "not started 3: data: it ended: killed by SIGKILL");
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");

        begin(&mut bed, 4, &resources);
        assert_eq!(bed.told().await, "started 4");
        let data = pid_after(&mut bed, "data", first).await;
        let executor = executors(&bed).pop_first().expect("there is one");
        bed.restart();
        assert_eq!(bed.told().await, "found 4");
        kill(Pid::from_raw(executor), Signal::SIGKILL).expect("killed");
        bed.wait_for("it is gone", |bed| executors(bed).is_empty()).await;
        assert!(is_alive(data), "it left its program");
        // Told when it is seen, and again to a core that has only now become ready.
        let told = bed.told().await;
        assert!(told.starts_with("ended 4: "), "{told}");
        begin(&mut bed, 4, &resources);
        let told = bed.told().await;
        assert!(told.starts_with("ended 4: "), "{told}");
        bed.stop(4);
        assert_eq!(bed.told().await, "stopped 4");
        ends(&mut bed, data).await;
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_monitor_of_the_whole_is_quiet_while_a_part_is_started_again() {
    let mut bed = Bed::new(BOTH[0]);
    let resources = [resource("data", &[], program(&bed, "data"))];
    // It fails whenever the program is not there, and looks all the time.
    let looks = format!("kill -0 $(cat {}/data.pid)", bed.dir.path().display());
    let whole = monitored(config(None), &looks, 5_000);
    let wish = Wish { resources: resources.to_vec(), ..Wish::from(&whole) };
    bed.programs.start(web(), Epoch(3), wish);
    assert_eq!(bed.told().await, "started 3");
    assert_eq!(short(&bed.next().await), "works 3");
    let mut pid = 0;
    for _ in 0..2 {
        pid = pid_after(&mut bed, "data", pid).await;
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
        let told = bed.told().await;
        assert!(told.starts_with("Restarting {"), "{told}");
        assert_eq!(short(&bed.next().await), "works 3", "it looks again, and says nothing else");
    }
    bed.stop(3);
    assert_eq!(bed.told().await, "stopped 3");
    bed.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_called_as_they_are() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let state = bed.path("dummy.state");
        let state = state.to_str().expect("text");
        let resources = [resource("agent", &[], dummy(&[("state", state)]))];
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "started 3");
        assert!(fs::exists(state).expect("looked"), "the agent started it");
        // It stops behind everybody's back: the monitor sees it, and it is started again.
        fs::remove_file(state).expect("removed");
        let told = bed.told().await;
        assert!(told.starts_with("Restarting {") && told.contains("not running"), "{told}");
        bed.wait_for("it is there again", |_| fs::exists(state).expect("looked")).await;
        bed.stop(3);
        loop {
            match bed.told().await.as_str() {
                "stopped 3" => break,
                other => assert!(other.starts_with("Restarting {"), "{other}"),
            }
        }
        assert!(!fs::exists(state).expect("looked"), "the agent stopped it");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_cannot_do_is_said_with_its_own_words() {
    let mut bed = Bed::new(BOTH[0]);
    let wrong: [(&str, Agent, &str); 3] = [
        ("no agent", agent("Dumy"), "there is no agent ocf:heartbeat:Dumy"),
        ("no such parameter", dummy(&[("stat", "/x")]), "no parameter `stat`"),
        ("a folder that is none", dummy(&[("state", "/nowhere/at/all")]), "agent: "),
    ];
    for (epoch, (what, agent, said)) in (3..).zip(wrong) {
        begin(&mut bed, epoch, &[resource("agent", &[], agent)]);
        let mut told = bed.told().await;
        while told.starts_with("Restarting {") {
            told = bed.told().await;
        }
        assert!(told.starts_with(&format!("not started {epoch}: agent: ")), "{what}: {told}");
        assert!(told.contains(said), "{what}: {told}");
        bed.stop(epoch);
        assert_eq!(bed.told().await, format!("stopped {epoch}"));
        bed.assert_gone();
    }
}

fn agent(kind: &str) -> Agent {
    let parameters = BTreeMap::new();
    Agent::Ocf { provider: "heartbeat".to_owned(), kind: kind.to_owned(), parameters }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_start_leaves_nothing() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let text = format!("sleep 599 & echo half >> {}; wait", bed.path("half").display());
        let command = ["/bin/sh", "-c", &text].map(str::to_owned).to_vec();
        let never = ["/bin/sh", "-c", "exit 1"].map(str::to_owned).to_vec();
        let how = ProcessHow::default();
        let slow = Agent::Process { command, monitor: Some(never), how };
        let resources =
            [resource("data", &[], program(&bed, "data")), resource("slow", &["data"], slow)];
        begin(&mut bed, 3, &resources);
        bed.read("half").await;
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");
        assert_eq!(story(&bed), ["start data", "stop data"]);
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ignores_a_stop_is_killed_and_what_an_executor_leaves_too() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let text = format!(
            "trap '' TERM; echo $$ > {}; while :; do sleep 1; done",
            bed.path("deaf.pid").display()
        );
        let command = ["/bin/sh", "-c", &text].map(str::to_owned).to_vec();
        let how = ProcessHow::default();
        let mut deaf = resource("deaf", &[], Agent::Process { command, monitor: None, how });
        deaf.times.stop = Some(Span::from_millis(100));
        let resources = [resource("data", &[], program(&bed, "data")), deaf];
        begin(&mut bed, 3, &resources);
        assert_eq!(bed.told().await, "started 3");
        let stubborn = pid(&mut bed, "deaf").await;
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");
        ends(&mut bed, stubborn).await;
        bed.assert_gone();

        // The executor itself is killed: what it looked after is stopped like any program.
        let former = pid(&mut bed, "data").await;
        begin(&mut bed, 4, &resources[..1]);
        assert_eq!(bed.told().await, "started 4");
        let data = pid_after(&mut bed, "data", former).await;
        let executor = executors(&bed);
        assert_eq!(executor.len(), 1, "{executor:?}");
        for pid in executor {
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
        }
        let told = bed.told().await;
        assert!(told.starts_with("ended 4: killed by SIGKILL"), "{told}");
        bed.stop(4);
        assert_eq!(bed.told().await, "stopped 4");
        ends(&mut bed, data).await;
        bed.assert_gone();
    }
}

/// In maintenance nothing is started or stopped, and while the cluster is disarmed only what ended
/// is; afterwards everything is looked at anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_alone_is_watched_and_not_touched() {
    let mut bed = Bed::new(BOTH[0]);
    let sick = bed.path("sick");
    let Agent::Process { command, monitor: Some(monitor), how } = program(&bed, "data") else {
        panic!("it is a program");
    };
    let healthy = format!("! test -e {} && {}", sick.display(), monitor[2]);
    let monitor = Some(["/bin/sh", "-c", &healthy].map(str::to_owned).to_vec());
    let resources = [
        resource("data", &[], Agent::Process { command, monitor, how }),
        resource("front", &["data"], program(&bed, "front")),
    ];
    begin(&mut bed, 3, &resources);
    assert_eq!(bed.told().await, "started 3");
    let before = story(&bed);
    // In maintenance: its monitor fails, then it ends.
    care(&mut bed, Care::Nothing, "nothing").await;
    let first = pid(&mut bed, "data").await;
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("killed");
    let told = bed.told().await;
    assert!(told.starts_with("Unwell {") && told.contains("data: it ended"), "{told}");
    let looks = |bed: &Bed| {
        let parts = picture(bed).map(|it| it.resources).unwrap_or_default();
        parts.iter().any(|it| it.name == "data" && it.unwell && it.failures == 0)
    };
    bed.wait_for("it is shown", looks).await;
    let asked = |bed: &Bed| {
        let parts = picture(bed).map(|it| it.resources).unwrap_or_default();
        parts.iter().any(|it| it.reason.as_deref() == Some("it is not running"))
    };
    bed.wait_for("its monitor goes on", asked).await;
    assert_eq!(story(&bed), before, "nothing was touched");
    bed.programs.care(&web(), Epoch(3), Care::Full);
    let second = pid_after(&mut bed, "data", first).await;
    let works = |bed: &Bed| picture(bed).is_some_and(|it| it.state == State::Works);
    bed.wait_for("all work again", works).await;
    assert_eq!(story(&bed)[2..], ["stop front", "start data", "start front"]);
    // Disarmed: what a monitor says is not acted upon, what ends begins again.
    care(&mut bed, Care::Ended, "ended").await;
    fs::write(&sick, "").expect("written");
    bed.wait_for("it is shown", |bed| {
        let parts = picture(bed).map(|it| it.resources).unwrap_or_default();
        parts.iter().any(|it| it.name == "data" && it.unwell)
    })
    .await;
    assert!(is_alive(second) && story(&bed).len() == 5, "nothing was touched");
    fs::remove_file(&sick).expect("removed");
    kill(Pid::from_raw(second), Signal::SIGKILL).expect("killed");
    let third = pid_after(&mut bed, "data", second).await;
    bed.wait_for("all work again", works).await;
    // Two failures count by now, and a third would be too many; none does once they are forgotten.
    bed.programs.care(&web(), Epoch(3), Care::Full);
    bed.programs.forget(&web(), Epoch(3), Some("data".to_owned()));
    bed.wait_for("they are forgotten", |bed| {
        let parts = picture(bed).map(|it| it.resources).unwrap_or_default();
        parts.iter().any(|it| it.name == "data" && it.failures == 0)
    })
    .await;
    kill(Pid::from_raw(third), Signal::SIGKILL).expect("killed");
    pid_after(&mut bed, "data", third).await;
    bed.wait_for("all work again", works).await;
    bed.stop(3);
    bed.wait_for("all is gone", |bed| picture(bed).is_none()).await;
    while bed.told().await != "stopped 3" {}
    bed.assert_gone();
}
