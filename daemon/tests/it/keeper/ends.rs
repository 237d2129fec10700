//! A keeper is not in the way: ends are told as they were, stops keep their grace.

use std::time::Duration;

use nix::sys::signal::Signal;
use stead_core::id::Epoch;
use stead_core::state::config::Program;
use stead_core::time::Span;

use super::bed::{FORMS, Kept, children, signal};
use crate::agent::bed::{config, is_alive, processes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_program_is_told_as_it_was() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        kept.permit(Duration::from_secs(60), Epoch(0));
        for (epoch, script, wanted) in [
            (1, "echo one; echo two; exit 3", "exit status 3, it said: one / two"),
            (2, "exit 0", "exit status 0"),
            (3, "kill -SEGV $$", "killed by SIGSEGV"),
            (4, "kill -KILL $$", "killed by SIGKILL"),
            (5, "exec kill -TERM 0", "killed by SIGTERM"),
        ] {
            let config = kept.bed.script(script);
            kept.bed.start(epoch, &config);
            assert_eq!(kept.bed.told().await, format!("started {epoch}"));
            let told = kept.bed.told().await;
            assert_eq!(told, format!("ended {epoch}: {wanted}"), "{form}, {confinement:?}");
            kept.bed.stop(epoch);
            assert_eq!(kept.bed.told().await, format!("stopped {epoch}"));
            kept.bed.assert_gone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_says_why() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        kept.permit(Duration::from_secs(60), Epoch(0));
        let missing = kept.bed.path("missing").display().to_string();
        let command = vec![missing.clone()];
        let program = Program { command, stop_timeout: Span::from_millis(1_000) };
        kept.bed.start(1, &config(Some(program)));
        let wanted = format!(
            "not started 1: can't start {missing}: the program can't be run; nothing runs: No such \
             file or directory (os error 2)"
        );
        assert_eq!(kept.bed.told().await, wanted);
        kept.bed.stop(1);
        assert_eq!(kept.bed.told().await, "stopped 1");
        kept.bed.wait_for("the keeper is gone", |bed| processes(&bed.run()).is_empty()).await;
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_the_program_and_its_children_with_their_grace() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        kept.permit(Duration::from_secs(600), Epoch(0));
        // The shell ends at once; the one in the background, in a session of its own, takes its
        // time. Each is asked once.
        let worker = "trap 'echo asked >> asked; sleep 0.3; echo done > tidy; exit 0' TERM; \
            echo go > ready; while :; do sleep 0.05; done";
        let config = kept.bed.script(&format!(
            "setsid sh -c \"{worker}\" & trap 'exit 0' TERM; while :; do sleep 0.05; done"
        ));
        kept.bed.start(1, &config);
        assert_eq!(kept.bed.told().await, "started 1");
        kept.bed.read("ready").await;
        kept.bed.stop(1);
        assert_eq!(kept.bed.told().await, "stopped 1");
        assert_eq!(kept.bed.read("tidy").await, "done\n");
        assert_eq!(kept.bed.read("asked").await, "asked\n", "{form}, {confinement:?}");
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_leaves_behind_is_kept_on() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        let guard = kept.guard();
        let script = "(setsid sh -c 'echo go > left; exec sleep 600' &) ; sleep 0.1; exit 5";
        let config = kept.bed.script(script);
        kept.bed.start(1, &config);
        assert_eq!(kept.bed.told().await, "started 1");
        assert_eq!(kept.bed.told().await, "ended 1: exit status 5");
        kept.bed.read("left").await;
        // What was left, the inner process, and the outer one's copy.
        assert_eq!(processes(&kept.bed.run()).len(), 3, "{form}, {confinement:?}");
        guard.stop();
        kept.assert_ended_with_the_lease(&format!("{form}, {confinement:?}, left behind")).await;
        kept.bed.stop(1);
        assert_eq!(kept.bed.told().await, "stopped 1");
        // The same, and the daemon stops it.
        kept.permit(Duration::from_secs(600), Epoch(0));
        kept.bed.start(2, &config);
        assert_eq!(kept.bed.told().await, "started 2");
        assert_eq!(kept.bed.told().await, "ended 2: exit status 5");
        kept.bed.stop(2);
        assert_eq!(kept.bed.told().await, "stopped 2");
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_another_daemon_started_is_still_kept() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        let guard = kept.guard();
        let config =
            kept.bed.script("echo go > ready; trap 'exit 4' USR1; while :; do sleep 0.05; done");
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        kept.bed.read("ready").await;
        kept.restart();
        assert_eq!(kept.bed.told().await, "found 7");
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        // How it ends reaches the daemon that did not start it.
        let program = children(kept.keeper()[1]);
        signal(program[0], Signal::SIGUSR1);
        assert_eq!(kept.bed.told().await, "ended 7: exit status 4");
        kept.bed.stop(7);
        assert_eq!(kept.bed.told().await, "stopped 7");
        kept.bed.assert_gone();
        // And the lease ends it, whoever watches.
        kept.bed.start(8, &config);
        assert_eq!(kept.bed.told().await, "started 8");
        kept.restart();
        assert_eq!(kept.bed.told().await, "found 8");
        kept.bed.start(8, &config);
        assert_eq!(kept.bed.told().await, "started 8");
        guard.stop();
        kept.assert_ended_with_the_lease(&format!("{form}, {confinement:?}, adopted")).await;
        assert_eq!(kept.bed.told().await, "ended 8: its keeper ended it with this node's lease");
        kept.bed.stop(8);
        assert_eq!(kept.bed.told().await, "stopped 8");
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_paused_and_its_keeper_is_not() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        let guard = kept.guard();
        let config = kept.bed.script("exec sleep 600");
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        let program = children(kept.keeper()[1]);
        signal(program[0], Signal::SIGSTOP);
        guard.stop();
        kept.assert_ended_with_the_lease(&format!("{form}, {confinement:?}, paused")).await;
        kept.bed.wait_for("the program is gone", |_| !is_alive(program[0])).await;
        kept.bed.stop(7);
        while kept.bed.told().await != "stopped 7" {}
    }
}
