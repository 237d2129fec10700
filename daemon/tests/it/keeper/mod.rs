//! Programs end with the lease by themselves: real keepers, real processes, and a page that the
//! test writes as a guard does.

pub mod bed;
mod ends;
mod enemies;
mod node;

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use stead::agent::Confinement;
use stead::keeper::Form;
use stead_core::id::Epoch;

use crate::agent::bed::{is_alive, monitored, processes, short};
use bed::{FORMS, Kept, children, signal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_program_runs_as_long_as_the_lease_is_renewed() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        let guard = kept.guard();
        let config = kept.bed.script("echo hello; echo $$ > pid; exec sleep 600");
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        let told = kept.bed.programs.keeping();
        assert_eq!(told.form, Some(form), "{told:?}");
        let number = kept.bed.read("pid").await;
        if form == Form::Namespace {
            assert_eq!(number, "2\n", "numbers are its namespace's own");
        }
        // For several leases.
        guard.renewed_for(Duration::from_millis(1_500)).await;
        assert_eq!(processes(&kept.bed.run()).len(), 3, "the program and its keeper");
        guard.stop();
        kept.assert_ended_with_the_lease("no renewal").await;
        assert_eq!(
            kept.bed.told().await,
            "ended 7: its keeper ended it with this node's lease, it said: hello"
        );
        kept.bed.stop(7);
        assert_eq!(kept.bed.told().await, "stopped 7");
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_without_a_lease_or_under_an_epoch_that_lapsed() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        let config = kept.bed.script("echo began >> began; exec sleep 600");
        let refused =
            |epoch| format!("not started {epoch}: this node's lease ended before it began");
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, refused(7));
        kept.permit(Duration::from_secs(60), Epoch(8));
        kept.bed.start(8, &config);
        assert_eq!(kept.bed.told().await, refused(8));
        kept.bed.assert_gone();
        kept.bed.start(9, &config);
        assert_eq!(kept.bed.told().await, "started 9");
        kept.bed.read("began").await;
        kept.bed.stop(9);
        assert_eq!(kept.bed.told().await, "stopped 9");
        assert_eq!(kept.bed.read("began").await, "began\n", "nothing began before");
        kept.bed.assert_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_lapsed_and_came_back_revives_nobody() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        kept.permit(Duration::from_secs(60), Epoch(0));
        let config = kept.bed.script("exec sleep 600");
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        // Nobody of the keeper looks while it lapses, is regained and lasts.
        let all = processes(&kept.bed.run());
        let keeper: Vec<i32> = kept.keeper();
        assert_eq!(keeper.len(), 2);
        for pid in &keeper {
            signal(*pid, Signal::SIGSTOP);
        }
        kept.permit(Duration::ZERO, Epoch(7));
        kept.permit(Duration::from_millis(300), Epoch(7));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(all.iter().all(|pid| is_alive(*pid)), "nobody looked");
        for pid in &keeper {
            signal(*pid, Signal::SIGCONT);
        }
        kept.permit(Duration::from_secs(60), Epoch(7));
        // The alarm was set for the first deadline; any look is enough, and a signal makes none.
        signal(keeper[1], Signal::SIGKILL);
        kept.bed.wait_for("all is gone", |bed| processes(&bed.run()).is_empty()).await;
        let told = kept.bed.told().await;
        assert!(told.starts_with("ended 7: "), "{told}");
        kept.bed.stop(7);
        assert_eq!(kept.bed.told().await, "stopped 7");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_sees_what_its_program_sees() {
    let mut kept = Kept::new(Form::Namespace, Confinement::Group);
    kept.permit(Duration::from_secs(60), Epoch(0));
    // As most programs do that write their number to a file for their monitor.
    let pid = kept.bed.path("pid").display().to_string();
    let monitor = format!("read pid < {pid} && grep -q sleep /proc/$pid/comm && kill -0 $pid");
    let config = monitored(kept.bed.script("echo $$ > pid; exec sleep 600"), &monitor, 60_000);
    for restarted in [false, true] {
        if restarted {
            kept.restart();
            assert_eq!(short(&kept.bed.next().await), "found 7");
        }
        kept.bed.start(7, &config);
        assert_eq!(short(&kept.bed.next().await), "started 7");
        assert_eq!(short(&kept.bed.next().await), "works 7");
    }
    // One that hangs ends with the program when the lease does.
    kept.bed.stop(7);
    assert_eq!(kept.bed.told().await, "stopped 7");
    let hangs = format!("cd {}; echo go > hangs; exec sleep 600", kept.bed.dir.path().display());
    let config = monitored(config, &hangs, 60_000);
    // Renewed as a guard does: a keeper looks when the deadline comes that it has seen last.
    let guard = kept.guard();
    kept.bed.start(8, &config);
    assert_eq!(kept.bed.told().await, "started 8");
    kept.bed.read("hangs").await;
    guard.stop();
    kept.assert_ended_with_the_lease("with a monitor that hangs").await;
    fs::remove_file(kept.bed.path("hangs")).expect("removed");
}

/// The signals of a line of /proc/PID/status, a bit for each.
fn mask(line: &str) -> u64 {
    let digits = line.split_whitespace().last().expect("a number");
    u64::from_str_radix(digits, 16).expect("hexadecimal")
}

/// What whoever started this test ignores already, but for what our runtime ignores itself.
fn ignored_here() -> u64 {
    const PIPE: u64 = 1 << (Signal::SIGPIPE as i32 - 1);
    let status = fs::read_to_string("/proc/self/status").expect("readable");
    let line = status.lines().find(|line| line.starts_with("SigIgn")).expect("a line");
    mask(line) & !PIPE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keeper_hands_nothing_to_its_program() {
    for (form, confinement) in FORMS {
        let mut kept = Kept::new(form, confinement);
        kept.permit(Duration::from_secs(60), Epoch(0));
        let script = "{ ls /proc/self/fd | tr '\\n' ' '; echo; \
            grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; cut -d' ' -f40,41 /proc/self/stat; \
            env | grep -c ^STEAD; echo end; } > seen; exec sleep 600";
        let config = kept.bed.script(script);
        kept.bed.start(7, &config);
        assert_eq!(kept.bed.told().await, "started 7");
        kept.bed
            .wait_for("all is written", |bed| {
                fs::read_to_string(bed.path("seen")).is_ok_and(|text| text.ends_with("end\n"))
            })
            .await;
        let text = fs::read_to_string(kept.bed.path("seen")).expect("readable");
        let lines: Vec<_> = text.lines().collect();
        // Input, output, errors, and the folder that `ls` reads.
        assert_eq!(lines[0], "0 1 2 3 ", "{text}");
        assert!(lines[1].ends_with("\t0000000000000000"), "none blocked: {text}");
        assert_eq!(mask(lines[2]) & !ignored_here(), 0, "none more is ignored: {text}");
        assert_eq!(lines[4], "0 0", "no real-time priority, an ordinary policy: {text}");
        assert_eq!(lines[5], "5", "{text}");
        let keeper = kept.keeper();
        let program = children(keeper[1]);
        assert_eq!(program.len(), 1);
        let session = |pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("readable");
            let rest = stat.rsplit_once(')').expect("a name").1.to_owned();
            rest.split_whitespace().nth(3).map(str::to_owned).expect("a session")
        };
        assert_eq!(session(program[0]), program[0].to_string(), "leads a session of its own");
        kept.bed.stop(7);
        assert_eq!(kept.bed.told().await, "stopped 7");
        kept.bed.assert_gone();
    }
}
