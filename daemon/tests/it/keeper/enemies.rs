//! Programs that don't want to end, and people who stop or kill their keepers.

use std::time::Duration;

use nix::sys::signal::Signal;
use stead::agent::Confinement;
use stead::keeper::Form;
use stead_core::id::Epoch;

use super::bed::{FORMS, Kept, signal};
use crate::agent::bed::{is_alive, processes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ignores_every_signal_and_walks_away_is_ended() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        // Two sessions away, without a parent; where something is left to find it by that is not
        // its environment, also without that.
        let env = match (form, confinement) {
            (Form::Group, Confinement::Session) => "",
            (Form::Group, Confinement::Group) | (Form::Namespace, _) => "env -i PATH=$PATH",
        };
        let deaf = "trap '' HUP INT QUIT USR1 USR2 PIPE ALRM TERM CHLD TTIN TTOU TSTP;";
        let daemon = kept.bed.path("daemon").display().to_string();
        let script = format!(
            "{deaf} (setsid {env} sh -c \"{deaf} (setsid sh -c '{deaf} echo go > {daemon}; \
             while :; do sleep 0.01; done' &) ; exit 0\" &) ; while :; do sleep 0.01; done"
        );
        let guard = kept.guard();
        let config = kept.bed.script(&script);
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        kept.bed.read("daemon").await;
        guard.stop();
        kept.assert_ended_with_the_lease(&format!("{form}, {confinement:?}, deaf")).await;
        kept.bed.stop(7);
        while kept.bed.told().await != "stopped 7" {}
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_bomb_is_ended() {
    // In the other form a control group is needed: without one nobody promises it.
    for form in [Form::Namespace, Form::Group] {
        let mut kept = Kept::new(form, Confinement::Group);
        let guard = kept.guard();
        // Bounded, as others live on this machine: a dozen that do nothing but fork, each child in
        // a session of its own and without its parent.
        let script = "echo go > ready; n=0; while [ $n -lt 12 ]; do n=$((n+1)); \
            (while :; do (setsid sleep 0.2 &); done) & done; wait";
        let config = kept.bed.script(script);
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        kept.bed.read("ready").await;
        kept.bed.wait_for("it forks", |bed| processes(&bed.run()).len() > 60).await;
        guard.stop();
        kept.assert_ended_with_the_lease(&format!("{form}, fork bomb")).await;
        kept.bed.stop(7);
        while kept.bed.told().await != "stopped 7" {}
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_keeper_that_was_stopped_makes_no_difference() {
    for (form, confinement) in FORMS {
        for stopped in [0, 1] {
            let mut kept = Kept::new(form, confinement);
            let guard = kept.guard();
            let config = kept.bed.script("setsid sleep 600 & echo go > ready; exec sleep 600");
            kept.bed.start(7, &config);
            assert_eq!(kept.bed.told().await, "started 7");
            kept.bed.read("ready").await;
            let half = kept.keeper()[stopped];
            signal(half, Signal::SIGSTOP);
            guard.renewed_for(Duration::from_millis(100)).await;
            guard.stop();
            let name = ["outer", "inner"][stopped];
            if stopped == 1 || form == Form::Namespace && confinement == Confinement::Group {
                let how = format!("{form}, {confinement:?}, {name} stopped");
                // A stopped outer one can't collect the rest, which is dead all the same.
                if stopped == 1 {
                    kept.assert_ended_with_the_lease(&how).await;
                }
            }
            kept.bed
                .wait_for("only the stopped one is left", |bed| {
                    processes(&bed.run()).iter().all(|pid| *pid == half)
                })
                .await;
            signal(half, Signal::SIGCONT);
            kept.bed.wait_for("nothing is left", |bed| processes(&bed.run()).is_empty()).await;
            kept.bed.stop(7);
            while kept.bed.told().await != "stopped 7" {}
            kept.bed.assert_gone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_keeper_keeps_nothing() {
    for (form, confinement) in FORMS {
        for killed in [0, 1] {
            let mut kept = Kept::new(form, confinement);
            kept.permit(Duration::from_secs(60), Epoch(0));
            let config = kept.bed.script("setsid sleep 600 & echo go > ready; exec sleep 600");
            kept.bed.start(7, &config);
            assert_eq!(kept.bed.told().await, "started 7");
            kept.bed.read("ready").await;
            let keeper = kept.keeper();
            signal(keeper[killed], Signal::SIGKILL);
            kept.bed.wait_for("nothing is left", |bed| processes(&bed.run()).is_empty()).await;
            kept.bed
                .wait_for("the keeper is gone", |_| keeper.iter().all(|pid| !is_alive(*pid)))
                .await;
            let told = kept.bed.told().await;
            assert_eq!(told, "ended 7: killed by SIGKILL", "{form}, {confinement:?}, {killed}");
            kept.bed.stop(7);
            assert_eq!(kept.bed.told().await, "stopped 7");
            kept.bed.assert_gone();
        }
    }
}
