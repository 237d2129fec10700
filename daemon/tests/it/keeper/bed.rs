//! Programs under keepers, and a page that is renewed as a guard does it.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::agent::Confinement;
use stead::keeper::Form;
use stead::keeper::page::{LeasePage, LeaseShown};
use stead_core::id::Epoch;
use stead_core::time::Instant;
use stead_linux::clock::boottime;

use crate::agent::bed::{Bed, processes};

/// Every form, with what it has to do with: a control group, or the session alone.
pub const FORMS: [(Form, Confinement); 4] = [
    (Form::Namespace, Confinement::Group),
    (Form::Namespace, Confinement::Session),
    (Form::Group, Confinement::Group),
    (Form::Group, Confinement::Session),
];
/// As long as a lease at the default ride-out.
const LEASE: Duration = Duration::from_millis(386);
const HEARTBEAT: Duration = Duration::from_millis(15);
/// How late the last process of a program may be, on a machine that is busy with everything else.
/// What it really was is printed.
const GENEROUS: Duration = Duration::from_secs(10);

/// Programs whose keepers watch the test's page.
pub struct Kept {
    pub bed: Bed,
    page: Arc<LeasePage>,
}

impl Kept {
    pub fn new(form: Form, confinement: Confinement) -> Self {
        let mut bed = Bed::with(confinement, Some(form));
        let page = Arc::new(LeasePage::create().expect("a page"));
        bed.programs.keep_by(Some(Arc::new(shown(&page))));
        Self { bed, page }
    }

    /// Another daemon begins, and the guard shows it the page.
    pub fn restart(&mut self) {
        self.bed.restart();
        self.bed.programs.keep_by(Some(Arc::new(shown(&self.page))));
    }

    /// Programs may run for that long, save those of lapsed epochs.
    pub fn permit(&self, time: Duration, lapsed: Epoch) {
        let micros = u64::try_from(time.as_micros()).expect("a short time");
        self.page.set(Instant(boottime() + micros), lapsed);
    }

    /// Renews the lease until it is stopped.
    pub fn guard(&self) -> Guard {
        self.guard_of(LEASE)
    }

    /// The same, with leases of that length.
    pub fn guard_of(&self, lease: Duration) -> Guard {
        let page = self.page.clone();
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let lease = u64::try_from(lease.as_micros()).expect("short");
        page.set(Instant(boottime() + lease), Epoch(0));
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                page.set(Instant(boottime() + lease), Epoch(0));
                thread::sleep(HEARTBEAT);
            }
        });
        Guard { over, thread: Some(thread) }
    }

    /// The keeper's two processes, the outer one first.
    pub fn keeper(&self) -> Vec<i32> {
        let note = fs::read_to_string(self.bed.run().join("web.note")).expect("a note");
        let line = note.lines().nth(1).expect("signed");
        let outer = line.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
        let mut keeper = vec![outer];
        keeper.extend(children(outer));
        keeper
    }

    /// Waits until nothing of the program is left, which must not be before the deadline, and
    /// prints how long after it that was.
    pub async fn assert_ended_with_the_lease(&mut self, how: &str) {
        let shown = LeaseShown::map(&*self.page).expect("mapped");
        let deadline = shown.until(Epoch(u64::MAX));
        let all = processes(&self.bed.run());
        assert!(!all.is_empty() || Instant(boottime()) >= deadline, "{how}: it ended too early");
        let mut before = None;
        let run = self.bed.run();
        self.bed
            .wait_for("nothing is left", |_| {
                let left = processes(&run);
                if Instant(boottime()) < deadline {
                    before = Some(left.len());
                }
                left.is_empty()
            })
            .await;
        let late = Instant(boottime()).since(deadline);
        assert_ne!(before, Some(0), "{how}: it ended before its lease did");
        println!("{how}: the last process was gone {late} after the deadline");
        assert!(late.as_micros() < GENEROUS.as_micros() as u64, "{how}: {late}");
    }
}

fn shown(page: &LeasePage) -> OwnedFd {
    page.as_fd().try_clone_to_owned().expect("copied")
}

/// What renews the page.
pub struct Guard {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// It is killed, or stopped: to a keeper that is the same.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("renewed");
        }
    }

    pub async fn renewed_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

/// The children of a process, in no particular order.
pub fn children(parent: i32) -> Vec<i32> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("/proc") {
        let name = entry.expect("readable").file_name();
        let Some(pid) = name.to_str().and_then(|it| it.parse::<i32>().ok()) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        if rest.split_whitespace().nth(1) == Some(&parent.to_string()) {
            found.insert(pid);
        }
    }
    found.into_iter().collect()
}

/// Sends a signal; who is gone has nothing to do with it.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}
