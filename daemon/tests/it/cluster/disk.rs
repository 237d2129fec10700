//! A disk that is full under the store, one that is slow, and one that hangs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use stead::demo::fleet::{Fleet, FleetError};

use super::{
    Must, WEB, assert_alone, assert_taken_over, assert_untouched, client, daemon_said, mark, three,
    wait_for, wait_moved, wait_preferred, web, whole,
};

/// A small file system that nobody outside this test sees. Gone before the folder under it is
/// removed.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// What of it is taken can be given back.
    pub fn fill(&self) {
        fill(&self.0);
    }

    /// Gives it back.
    pub fn empty(&self) {
        fs::remove_file(self.0.join("filler")).must();
    }

    /// Mounts it there.
    pub fn mount(path: &Path) -> Self {
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("size=16m")).must();
        Self(path.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Mounts of this thread, and of those that it starts from now on, are its own.
pub fn mounts_of_our_own() {
    unshare(CloneFlags::CLONE_NEWNS).must();
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).must();
}

fn fill(folder: &Path) {
    let mut file = fs::File::create(folder.join("filler")).must();
    let mut piece = vec![0x55; 1 << 20];
    while !piece.is_empty() {
        if file.write_all(&piece).is_err() {
            piece.truncate(piece.len() / 2);
        }
    }
}

#[test]
fn a_node_whose_disk_is_full_gives_its_services_up_and_says_so() {
    mounts_of_our_own();
    let plan = three("disk").service(web("web", WEB, &["node2"]));
    let fleet = Fleet::build(plan, Arc::default()).must();
    let node2 = fleet.node("node2").must();
    let state = node2.paths().state;
    let disk = SmallDisk::mount(&state);
    fleet.found().must();
    fleet.join_all().must();
    whole(&fleet);
    fleet.serve().must();
    whole(&fleet);
    let client = client(&fleet, WEB);
    assert_eq!(client.holders(), ["node2"]);

    let began = mark();
    disk.fill();
    // every change has to be written everywhere
    let node1 = fleet.node("node1").must();
    let mut acknowledged = false;
    wait_for(&fleet, "node2 gives up", || {
        let word: &[&str] = if acknowledged { &["--off"] } else { &[] };
        let line = [&["standby", "node3"], word].concat();
        if node1.stead(&line)?.status.success() {
            acknowledged = !acknowledged;
        }
        Ok(!client.holders().contains(&"node2".to_owned()))
    });
    wait_moved(&fleet, &client, "node2");
    assert_taken_over(client.seen_since(began));
    wait_for(&fleet, "its daemon ends and says why", || {
        daemon_said(&fleet, "node2", "the daemon can't go on: ")
    });

    // no acknowledged change is lost
    let standby = |node: &str| {
        let status = fleet.node(node)?.status()?;
        Ok::<_, FleetError>(status["nodes"][2]["standby"] == true)
    };
    assert_eq!(standby("node1").must(), acknowledged);
    assert_eq!(standby("node3").must(), acknowledged);

    // with room again it comes back with all of it: its daemon has ended by itself, and is started
    // again and again
    disk.empty();
    if acknowledged {
        node1.stead(&["standby", "node3", "--off"]).must().expect_success().must();
    }
    whole(&fleet);
    assert!(!standby("node2").must());
    assert_alone(client.seen_since(began));
}

/// A file system in a file, which can be held: then every write to it waits, and none fails, as
/// with a disk that is gone behind its cable. Let go before the folder under it is removed.
struct HeldDisk(PathBuf);

fn command(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().must();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {said}");
}

impl HeldDisk {
    fn mount(path: &Path) -> Self {
        let file = path.with_extension("disk");
        fs::File::create(&file).must().set_len(64 << 20).must();
        let [file, at] = [&file, path].map(|it| it.to_str().expect("text"));
        command("mkfs.ext4", &["-q", "-F", file]);
        command("mount", &["-o", "loop", file, at]);
        Self(path.to_owned())
    }

    fn hold(&self, held: bool) {
        let word = if held { "--freeze" } else { "--unfreeze" };
        command("fsfreeze", &[word, self.0.to_str().expect("text")]);
    }
}

impl Drop for HeldDisk {
    fn drop(&mut self) {
        // who waits for it could not even be killed
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.0).output();
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Does it again and again while the other end is not dropped: lets a disk write for a moment, then
/// holds it for a second and a half. What writes waits as it does for a disk that is that slow.
fn slow_down(disk: &HeldDisk, over: &Receiver<()>) {
    loop {
        disk.hold(true);
        let end = over.recv_timeout(Duration::from_millis(1_500));
        disk.hold(false);
        if end != Err(RecvTimeoutError::Timeout) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Whether a node knows that node3 is on standby, or that it is not.
fn knows(fleet: &Fleet, node: &str, standby: bool) -> Result<bool, FleetError> {
    Ok(fleet.node(node)?.status()?["nodes"][2]["standby"] == standby)
}

#[test]
fn a_node_whose_disk_is_slow_serves_on_and_one_whose_disk_hangs_gives_its_services_up() {
    mounts_of_our_own();
    let plan = three("hangs").service(web("web", WEB, &["node2"]));
    let fleet = Fleet::build(plan, Arc::default()).must();
    let (node1, node2) = (fleet.node("node1").must(), fleet.node("node2").must());
    let disk = HeldDisk::mount(&node2.paths().state);
    fleet.found().must();
    fleet.join_all().must();
    whole(&fleet);
    fleet.serve().must();
    whole(&fleet);
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");

    // Slow: changes are made, and reach its disk in the end. Clients notice nothing.
    let began = mark();
    std::thread::scope(|threads| {
        let (goes_on, over) = channel();
        let slow = threads.spawn(|| slow_down(&disk, &{ over }));
        for standby in [true, false] {
            let word: &[&str] = if standby { &[] } else { &["--off"] };
            let line = [&["standby", "node3"], word].concat();
            node1.stead(&line).must().expect_success().must();
            wait_for(&fleet, "node2 knows", || knows(&fleet, "node2", standby));
        }
        drop(goes_on);
        slow.join().expect("it ends");
    });
    assert_untouched(client.seen_since(began));
    assert_eq!(client.holders(), ["node2"]);

    // It hangs.
    let began = mark();
    disk.hold(true);
    let mut away = false;
    wait_for(&fleet, "node2 gives up", || {
        let word: &[&str] = if away { &["--off"] } else { &[] };
        if node1.stead(&[&["standby", "node3"], word].concat())?.status.success() {
            away = !away;
        }
        Ok(!client.holders().contains(&"node2".to_owned()))
    });
    wait_moved(&fleet, &client, "node2");
    assert_taken_over(client.seen_since(began));
    wait_for(&fleet, "its daemon ends and says why", || {
        daemon_said(
            &fleet,
            "node2",
            "the daemon can't go on: the store failed: the log's disk hangs",
        )
    });

    disk.hold(false);
    if away {
        node1.stead(&["standby", "node3", "--off"]).must().expect_success().must();
    }
    // What is left of the daemon goes now; the next one reads what is there.
    whole(&fleet);
    wait_for(&fleet, "node2 knows all", || knows(&fleet, "node2", false));
    assert_alone(client.seen_since(began));
}
