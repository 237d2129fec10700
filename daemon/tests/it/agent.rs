//! Programs: real processes, in folders of their own.

pub mod bed;
mod beside;
mod containers;
mod engine;
mod executor;
mod left;
mod stuck;
mod survival;
mod systemd;
mod units;
mod ways;

use std::collections::BTreeSet;
use std::fs;

use stead::agent::Confinement;
use stead_core::id::Epoch;
use stead_core::state::config::Program;
use stead_core::time::Span;

use bed::{BOTH, Bed, config, is_alive, monitored, processes, short, web};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_started_watched_and_stopped() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let script = "echo hello; echo $$ > pid; exec sleep 600";
        let config = monitored(bed.script(script), "test -n \"$STEAD_SERVICE\"", 5_000);
        bed.start(7, &config);
        assert_eq!(short(&bed.next().await), "started 7");
        assert_eq!(short(&bed.next().await), "works 7");
        let pid: i32 = bed.read("pid").await.trim().parse().expect("a number");
        assert!(is_alive(pid));
        assert_eq!(bed.printed(), "hello\n");
        assert!(bed.programs.last_words().is_empty(), "nothing failed");
        bed.stop(7);
        assert_eq!(bed.told().await, "stopped 7");
        assert!(!is_alive(pid));
        bed.assert_gone();
        // The epoch is over; stopping it again is answered at once.
        bed.stop(7);
        assert_eq!(bed.told().await, "stopped 7");
        bed.start(7, &config);
        assert_eq!(bed.told().await, "not started 7: epoch 7 is over here: it was stopped already");
        bed.start(8, &config);
        assert_eq!(bed.told().await, "started 8");
        // A late order does not touch the later one.
        bed.stop(7);
        assert_eq!(bed.told().await, "stopped 7");
        bed.start(7, &config);
        assert_eq!(bed.told().await, "not started 7: it runs under the later epoch 8");
        assert_eq!(short(&bed.next().await), "works 8");
        // A newer start replaces an older one.
        bed.start(9, &config);
        assert_eq!(bed.told().await, "started 9");
        // Asked for together, the stop comes after the start.
        bed.stop(9);
        bed.start(10, &config);
        bed.stop(10);
        assert_eq!(bed.told().await, "stopped 9");
        assert_eq!(bed.told().await, "started 10");
        assert_eq!(bed.told().await, "stopped 10");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_finds_its_own_surroundings_and_nothing_of_the_daemons() {
    let mut bed = Bed::new(Confinement::Group);
    let script = "/usr/bin/env | cut -d= -f1 | sort | tr '\\n' ' ' > names; \
        { echo; ls /proc/self/fd; cut -d' ' -f1,5,6 /proc/$$/stat; \
        echo \"$STEAD_SERVICE $STEAD_EPOCH $STEAD_NODE $STEAD_ADDRESSES\"; echo end; } >> names
        exec sleep 600";
    let config = bed.script(script);
    bed.start(7, &config);
    assert_eq!(bed.told().await, "started 7");
    bed.wait_for("all is written", |bed| {
        fs::read_to_string(bed.path("names")).is_ok_and(|text| text.ends_with("end\n"))
    })
    .await;
    let text = fs::read_to_string(bed.path("names")).expect("readable");
    let lines: Vec<_> = text.lines().collect();
    let names =
        lines[0].split_whitespace().filter(|name| name.starts_with("STEAD") || *name == "PATH");
    let wanted =
        ["PATH", "STEAD_ADDRESSES", "STEAD_EPOCH", "STEAD_NODE", "STEAD_NOTE", "STEAD_SERVICE"];
    assert_eq!(names.collect::<Vec<_>>(), wanted);
    // What a shell sets by itself.
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    assert_eq!(
        lines[0].split_whitespace().filter(|it| !wanted.contains(it) && !own.contains(it)).count(),
        0,
        "{text}"
    );
    // Input, output, errors, and the folder that `ls` reads.
    assert_eq!(lines[1..5], ["0", "1", "2", "3"], "{text}");
    let ids: BTreeSet<_> = lines[5].split(' ').collect();
    assert_eq!(ids.len(), 1, "leads its group and session: {text}");
    assert_eq!(lines[6], "web 7 node1 10.0.0.100 fd00::100");
    bed.stop(7);
    assert_eq!(bed.told().await, "stopped 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_started_says_why() {
    let mut bed = Bed::new(Confinement::Group);
    let program = |file: &str| Program {
        command: vec![file.to_owned()],
        stop_timeout: Span::from_millis(1_000),
    };
    let missing = bed.path("missing").display().to_string();
    bed.start(1, &config(Some(program(&missing))));
    let told = bed.told().await;
    assert!(told.starts_with("not started 1: can't start "), "{told}");
    assert!(told.ends_with("No such file or directory (os error 2)"), "{told}");
    bed.stop(1);
    assert_eq!(bed.told().await, "stopped 1");
    bed.assert_gone();
    bed.start(2, &config(Some(program("sleep"))));
    assert_eq!(bed.told().await, "not started 2: its command is empty, or not an absolute path");
    bed.assert_gone();
    bed.programs.start("../evil".into(), Epoch(1), (&config(Some(program("/bin/true")))).into());
    let told = bed.told().await;
    assert!(told.contains("can't be the name"), "{told}");
    // Without a program there is nothing to fail.
    bed.start(3, &config(None));
    assert_eq!(bed.told().await, "started 3");
    bed.stop(3);
    assert_eq!(bed.told().await, "stopped 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_by_itself_is_told_with_its_last_words() {
    let mut bed = Bed::new(Confinement::Group);
    let config = bed.script("echo one; echo two; echo three >&2; echo four; exit 3");
    bed.start(1, &config);
    assert_eq!(bed.told().await, "started 1");
    assert_eq!(bed.told().await, "ended 1: exit status 3, it said: two / three / four");
    assert_eq!(bed.programs.last_words()[&web()][..], ["one", "two", "three", "four"]);
    // It is not begun anew under the same epoch.
    bed.start(1, &config);
    assert_eq!(bed.told().await, "started 1");
    assert_eq!(bed.told().await, "ended 1: exit status 3, it said: two / three / four");
    bed.stop(1);
    assert_eq!(bed.told().await, "stopped 1");
    bed.assert_gone();
    let config = bed.script("kill -SEGV $$");
    bed.start(2, &config);
    assert_eq!(bed.told().await, "started 2");
    assert_eq!(bed.told().await, "ended 2: killed by SIGSEGV");
    bed.stop(2);
    assert_eq!(bed.told().await, "stopped 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_left_behind_is_stopped_with_it() {
    // Out of the session and handed to init; with a group also without the environment.
    for (confinement, env) in [(Confinement::Group, "env -i"), (Confinement::Session, "")] {
        let mut bed = Bed::new(confinement);
        let script = format!(
            "(setsid {env} sh -c 'echo $$ > {}; exec sleep 600' &) ; exit 0",
            bed.path("daemon").display()
        );
        let config = bed.script(&script);
        bed.start(1, &config);
        assert_eq!(bed.told().await, "started 1");
        assert_eq!(bed.told().await, "ended 1: exit status 0");
        let daemon: i32 = bed.read("daemon").await.trim().parse().expect("a number");
        assert!(is_alive(daemon), "{confinement:?}");
        bed.stop(1);
        assert_eq!(bed.told().await, "stopped 1");
        assert!(!is_alive(daemon), "{confinement:?}");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ignores_the_request_is_killed_with_its_children() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        let script = "trap '' TERM; sleep 600 & setsid sleep 600 & echo go > ready; \
            while :; do sleep 600; done";
        let mut config = bed.script(script);
        if let Some(program) = &mut config.program {
            program.stop_timeout = Span::from_millis(50);
        }
        bed.start(1, &config);
        assert_eq!(bed.told().await, "started 1");
        bed.read("ready").await;
        bed.wait_for("all four run", |bed| processes(&bed.run()).len() == 4).await;
        bed.stop(1);
        assert_eq!(bed.told().await, "stopped 1");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_may_tidy_up_and_its_children_may_take_longer() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        // The shell ends at once; the one in the background takes its time, in a session of its
        // own.
        let worker = "trap 'sleep 0.3; echo done > tidy; exit 0' TERM; echo go > ready; \
            while :; do sleep 0.05; done";
        let config = bed.script(&format!(
            "setsid sh -c \"{worker}\" & trap 'exit 0' TERM; while :; do sleep 0.05; done"
        ));
        bed.start(1, &config);
        assert_eq!(bed.told().await, "started 1");
        bed.read("ready").await;
        bed.stop(1);
        assert_eq!(bed.told().await, "stopped 1");
        assert_eq!(bed.read("tidy").await, "done\n");
        bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_that_fail_or_hang_are_told_after_the_start() {
    let mut bed = Bed::new(Confinement::Group);
    // Failures count from the first success on.
    let monitor = format!(
        "cd {}; echo run >> runs; test -e good && exit 0; echo not yet; echo down; exit 2",
        bed.dir.path().display()
    );
    let config = monitored(bed.script("echo up; exec sleep 600"), &monitor, 60_000);
    bed.start(1, &config);
    assert_eq!(bed.told().await, "started 1");
    bed.wait_for("a few runs failed", |bed| {
        fs::read_to_string(bed.path("runs")).is_ok_and(|text| text.lines().count() > 3)
    })
    .await;
    fs::write(bed.path("good"), "").expect("written");
    assert_eq!(short(&bed.next().await), "works 1");
    fs::remove_file(bed.path("good")).expect("removed");
    assert_eq!(bed.told().await, "fails 1: exit status 2 of its monitor, it said: down");
    assert_eq!(bed.programs.last_words()[&web()][..], ["up"], "the program's, not the monitor's");
    bed.stop(1);
    loop {
        // It may have failed once more in the meantime.
        let told = bed.told().await;
        if told == "stopped 1" {
            break;
        }
        assert!(told.starts_with("fails 1"), "{told}");
    }
    // One that hangs counts when the time to start is over, and leaves nothing behind.
    let config = monitored(bed.script("exec sleep 600"), "sleep 600 & sleep 600", 100);
    bed.start(2, &config);
    assert_eq!(bed.told().await, "started 2");
    assert_eq!(bed.told().await, "fails 2: no answer of its monitor within 100 ms");
    bed.stop(2);
    while bed.told().await != "stopped 2" {}
    bed.wait_for("its last run is gone", |bed| processes(&bed.run()).is_empty()).await;
    bed.assert_gone();
}
