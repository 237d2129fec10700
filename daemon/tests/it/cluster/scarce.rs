//! A node that can begin nothing: its /run is full, or the kernel makes it no process any more.
//! What runs there goes on; what shall start says why it can't, and goes elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stead::demo::fleet::{Client, Fleet, Part};

use super::disk::{SmallDisk, mounts_of_our_own};
use super::{
    API, Must, WEB, assert_taken_over, assert_untouched, client, mark, three, told, wait_for,
    wait_moved, wait_preferred, web, whole,
};

/// What the kernel says to who wants a process too many.
const NO_PROCESS: &str = "Resource temporarily unavailable";

/// A control group that bounds how many processes there are in it.
struct Bound(PathBuf);

impl Bound {
    /// None on a machine whose kernel or administrator offers no such thing here.
    fn new() -> Option<Self> {
        let name = format!("stead-scarce-{}", std::process::id());
        ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].into_iter().find_map(|root| {
            let group = Self(Path::new(root).join(&name));
            let made = fs::create_dir(&group.0);
            // Numbers of processes begin anew with each run of the tests.
            let made = made.is_ok() || group.0.exists();
            (made && group.0.join("pids.max").exists()).then_some(group)
        })
    }

    /// That process starts no other any more.
    fn catch(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).must();
        fs::write(self.0.join("pids.max"), "0").must();
    }

    fn let_go(&self) {
        fs::write(self.0.join("pids.max"), "max").must();
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Those in it may be about to end: then there is a folder left, which does nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Moves `web` to node1, where it can't start for a reason with these words: another serves it.
fn fails_on_node1(fleet: &Fleet, web: &Client, words: &str) {
    let began = mark();
    let moved = fleet.node("node2").must().stead(&["move", "web", "node1"]).must();
    assert!(moved.stderr.contains("web failed on node1, and node"), "{moved:?}");
    wait_for(fleet, "node1 says that it can't", || {
        let events = fleet.node("node1")?.events()?;
        let mut failed = events.iter().filter(|it| it.contains("web did not start"));
        Ok(failed.any(|it| it.contains(words)))
    });
    wait_moved(fleet, web, "node1");
    assert_taken_over(web.seen_since(began));
}

#[test]
fn a_node_that_can_begin_nothing_says_why_and_others_do() {
    mounts_of_our_own();
    let plan =
        three("scarce").service(web("web", WEB, &["node2"])).service(web("api", API, &["node1"]));
    // It goes after all that is in it.
    let bound = Bound::new().expect("a control group that bounds how many processes there are");
    let fleet = Fleet::build(plan, Arc::default()).must();
    let node2 = fleet.node("node2").must();
    let run = SmallDisk::mount(&fleet.node("node1").must().paths().run);
    fleet.found().must();
    fleet.join_all().must();
    whole(&fleet);
    fleet.serve().must();
    whole(&fleet);
    let web = client(&fleet, WEB);
    wait_preferred(&fleet, &web, "node2");
    let api = client(&fleet, API);
    wait_for(&fleet, "api where it prefers to be", || {
        if api.answered_by().as_deref() != Some("node1") {
            let _late = node2.stead(&["move", "api", "node1"])?;
        }
        Ok(api.holders() == ["node1"])
    });

    // No room: what runs goes on, and its monitor as well.
    let began = mark();
    run.fill();
    fails_on_node1(&fleet, &web, "No space left on device");
    assert_untouched(api.seen_since(began));
    assert_eq!(api.holders(), ["node1"]);
    run.empty();
    node2.stead(&["clear", "web"]).must().expect_success().must();
    whole(&fleet);

    // No process: a monitor that can't be run is one that fails, and what it looks after leaves.
    let began = mark();
    let restarts = fleet.restarts("node1", Part::Daemon);
    bound.catch(fleet.process("node1", Part::Daemon).must().pid());
    wait_moved(&fleet, &api, "node1");
    wait_for(&fleet, "it is told why", || told(&fleet, "node1", NO_PROCESS));
    fails_on_node1(&fleet, &web, NO_PROCESS);
    assert_taken_over(api.seen_since(began));
    assert_eq!(fleet.restarts("node1", Part::Daemon), restarts, "the daemon goes on");
    bound.let_go();
    node2.stead(&["clear", "web"]).must().expect_success().must();
    node2.stead(&["clear", "api"]).must().expect_success().must();
    whole(&fleet);
    // And now it can.
    node2.stead(&["move", "web", "node1"]).must().expect_success().must();
    wait_for(&fleet, "it is served by node1", || Ok(web.holders() == ["node1"]));
}
