//! What an executor left that no end of processes undoes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead_core::state::config::Safety;

use super::bed::{BOTH, Bed};
use super::executor::{begin, dummy, executors, resource};

/// Kills the executor, as its keeper does when the lease is over.
async fn lose_executor(bed: &mut Bed) {
    for pid in executors(bed) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
    }
    bed.wait_for("it is gone", |bed| executors(bed).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_end_of_processes_undoes_is_undone_by_its_agent_before_it_is_told_to_be_gone() {
    for confinement in BOTH {
        let mut bed = Bed::new(confinement);
        // It stands for a mount: nothing but its agent takes it away.
        let state = bed.path("dummy.state");
        let mut mount = resource("mount", &[], dummy(&[("state", state.to_str().expect("text"))]));
        mount.safety = Safety::Fence;
        begin(&mut bed, 3, std::slice::from_ref(&mount));
        assert_eq!(bed.told().await, "started 3");
        lose_executor(&mut bed).await;
        let told = bed.told().await;
        assert!(told.starts_with("ended 3: "), "{told}");
        assert!(state.exists(), "the end of a process leaves it");
        bed.stop(3);
        assert_eq!(bed.told().await, "stopped 3");
        assert!(!state.exists(), "its agent stopped it");
        bed.assert_gone();

        // Nobody saw the end: the next daemon finds that something may be left, without a process.
        begin(&mut bed, 4, std::slice::from_ref(&mount));
        assert_eq!(bed.told().await, "started 4");
        let (_, events) = tokio::sync::mpsc::unbounded_channel();
        drop(std::mem::replace(&mut bed.events, events));
        lose_executor(&mut bed).await;
        bed.restart();
        assert_eq!(bed.told().await, "found 4");
        assert!(state.exists());
        // Whoever takes it for running is told better: it is no second start (rule H3).
        begin(&mut bed, 4, std::slice::from_ref(&mount));
        let told = bed.told().await;
        assert!(told.starts_with("not started 4: an earlier run of it ended unseen"), "{told}");
        assert!(executors(&bed).is_empty());
        bed.stop(4);
        assert_eq!(bed.told().await, "stopped 4");
        assert!(!state.exists());
        bed.restart();
        bed.stop(4);
        assert_eq!(bed.told().await, "stopped 4", "nothing is found any more");

        // Of class `lease` it may stay: nothing is lost by two of it.
        mount.safety = Safety::Lease;
        begin(&mut bed, 5, std::slice::from_ref(&mount));
        assert_eq!(bed.told().await, "started 5");
        lose_executor(&mut bed).await;
        let told = bed.told().await;
        assert!(told.starts_with("ended 5: "), "{told}");
        bed.stop(5);
        assert_eq!(bed.told().await, "stopped 5");
        assert!(state.exists());
        bed.assert_gone();
    }
}
