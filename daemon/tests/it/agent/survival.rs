//! Programs outlive the daemon, and the next one finds them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::agent::Confinement;
use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::state::config::Program;
use stead_core::time::Span;

use super::bed::{BOTH, Bed, config, is_alive, monitored, open, processes, short};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_survive_the_daemon_and_are_found_again() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let config = bed.script("echo $$ >> pids; echo before; exec sleep 600");
        let config = monitored(config, "exit 0", 5_000);
        bed.start(7, &config);
        assert_eq!(bed.told().await, "started 7");
        let pid: i32 = bed.read("pids").await.trim().parse().expect("a number");
        bed.restart();
        assert_eq!(bed.told().await, "found 7");
        assert!(is_alive(pid));
        bed.start(7, &config);
        assert_eq!(short(&bed.next().await), "started 7");
        assert_eq!(short(&bed.next().await), "works 7");
        assert_eq!(bed.read("pids").await.lines().count(), 1, "it was not begun anew");
        assert_eq!(bed.printed(), "before\n");
        // Found once more, and stopped without having been asked to go on.
        bed.restart();
        assert_eq!(bed.told().await, "found 7");
        bed.stop(7);
        assert_eq!(bed.told().await, "stopped 7");
        assert!(!is_alive(pid));
        bed.assert_gone();
        // One that ends after it was found is told like any other.
        bed.start(8, &config);
        assert_eq!(bed.told().await, "started 8");
        bed.wait_for("it wrote its number", |bed| {
            fs::read_to_string(bed.path("pids")).is_ok_and(|text| text.lines().count() == 2)
        })
        .await;
        bed.restart();
        assert_eq!(bed.told().await, "found 8");
        bed.start(8, &config);
        assert_eq!(bed.told().await, "started 8");
        let pids = fs::read_to_string(bed.path("pids")).expect("readable");
        let pid = pids.lines().last().and_then(|pid| pid.parse().ok()).expect("a number");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
        let told = bed.told().await;
        assert!(told.starts_with("ended 8: it is not known how"), "{told}");
        bed.stop(8);
        assert_eq!(bed.told().await, "stopped 8");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_without_a_daemon_is_found_only_if_it_left_something() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let script =
            "setsid sleep 600 & echo $$ > pid; trap 'exit 0' TERM; while :; do sleep 0.05; done";
        let config = bed.script(script);
        bed.start(1, &config);
        assert_eq!(bed.told().await, "started 1");
        let pid: i32 = bed.read("pid").await.trim().parse().expect("a number");
        drop(std::mem::replace(&mut bed.programs, open(bed.dir.path(), confinement, None).0));
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
        bed.wait_for("it is gone", |_| !is_alive(pid)).await;
        bed.restart();
        assert_eq!(bed.told().await, "found 1");
        bed.start(1, &config);
        assert_eq!(bed.told().await, "started 1");
        assert_eq!(bed.told().await, "ended 1: while no daemon watched it");
        bed.stop(1);
        assert_eq!(bed.told().await, "stopped 1");
        bed.assert_gone();
    }
}

/// A process that is none of the daemon's, ended with its test.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_used_again_fools_nobody() {
    let mut bed = Bed::new(Confinement::Session);
    let bystander = Command::new("/usr/bin/setsid").args(["sleep", "600"]).spawn();
    let bystander = Bystander(bystander.expect("started"));
    let pid = i32::try_from(bystander.0.id()).expect("a number");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
    let header = |boot: &str| {
        format!(
            "{{\"service\":\"web\",\"epoch\":7,\"command\":[\"/bin/sleep\"],\"boot\":\"{}\",\
             \"patience\":1,\"group\":null}}\n",
            boot.trim()
        )
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("readable");
    let start = stat.split(' ').nth(21).expect("a field");
    let earlier = stat.replacen(&format!(" {start} "), " 17 ", 1);
    let note = bed.run().join("web.note");
    // Another start time; another start of the machine; nothing signed; not whole.
    for text in [
        header(&boot) + &earlier,
        header("11111111-2222-3333-4444-555555555555") + &stat,
        header(&boot),
        header(&boot)[..20].to_owned(),
        String::new(),
    ] {
        fs::write(&note, &text).expect("written");
        bed.restart();
        assert!(!note.exists(), "{text}");
        bed.stop(7);
        assert_eq!(bed.told().await, "stopped 7", "{text}");
        assert!(is_alive(pid), "{text}");
    }
    // The right one is taken for what it says.
    fs::write(&note, header(&boot) + &stat).expect("written");
    bed.restart();
    assert_eq!(bed.told().await, "found 7");
    bed.stop(7);
    assert_eq!(bed.told().await, "stopped 7");
    assert!(!is_alive(pid));
}

const STARTER: &str = "STEAD_TEST_STARTER";
const STARTED_AT_ONCE: usize = 12;

/// No test of its own: the daemon of the test below, which is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starter() {
    let Some(dir) = std::env::var_os(STARTER) else { return };
    let (mut programs, mut events) = open(Path::new(&dir), Confinement::Session, None);
    let command = ["/bin/sleep", "600"].map(str::to_owned).to_vec();
    let config = config(Some(Program { command, stop_timeout: Span::from_millis(1_000) }));
    for number in 0..STARTED_AT_ONCE {
        programs.start(ServiceId(format!("s{number}")), Epoch(1), (&config).into());
    }
    while events.recv().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_while_it_starts_programs_loses_none() {
    let mut bed = Bed::new(Confinement::Session);
    for round in 0..=STARTED_AT_ONCE {
        let exe = std::env::current_exe().expect("known");
        let mut starter = Command::new(exe);
        starter
            .args(["--exact", "agent::survival::starter", "--nocapture"])
            .env(STARTER, bed.dir.path());
        let starter = starter.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut starter = Bystander(starter.spawn().expect("started"));
        let run = bed.run();
        let notes = move || {
            let entries = fs::read_dir(&run).into_iter().flatten().flatten();
            entries.filter(|it| it.path().extension().is_some_and(|end| end == "note")).count()
        };
        bed.wait_for("that many were begun", |_| notes() >= round).await;
        starter.0.kill().expect("killed");
        starter.0.wait().expect("ended");
        bed.restart();
        let mut found = BTreeSet::new();
        while let Ok(event) = bed.events.try_recv() {
            if let Event::Found { service, .. } = event {
                found.insert(service);
            }
        }
        // What signed its note and is no program yet ends by itself, having lost its starter.
        let running = processes(&bed.run()).len();
        assert!(running <= found.len(), "round {round}: {running} run, {found:?}");
        for service in &found {
            bed.programs.stop(service.clone(), Epoch(1));
        }
        for _ in &found {
            assert_eq!(bed.told().await, "stopped 1");
        }
        bed.assert_gone();
    }
}
