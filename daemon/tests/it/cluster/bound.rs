//! What stays with its node until that is proven to be off: a file system on an image that all
//! nodes can reach, as on a shared disk, mounted by the agent that everybody uses for that.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use stead::demo::fleet::{Fleet, FleetError, ServicePlan};

use super::{
    Must, WEB, assert_alone, client, mark, service, three, told, wait_for, wait_moved,
    wait_preferred, web, web_programs, whole,
};

/// A folder with a disk, and what was on it when its user last looked.
pub struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub fn new() -> Self {
        let disk = Self { folder: tempfile::tempdir().must() };
        fs::create_dir(disk.path("mount")).must();
        let image = fs::File::create(disk.path("image")).must();
        image.set_len(16 << 20).must();
        let mut make = Command::new("mkfs.ext4");
        let made = make.args(["-q", "-F"]).arg(disk.path("image")).output().must();
        assert!(made.status.success(), "{made:?}");
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A web service that writes down on the disk where it runs, and shows what stands there.
    pub fn service(&self) -> ServicePlan {
        let mut service = web("web", WEB, &["node2"]);
        let words: Vec<_> = service.program.iter().map(|word| format!("'{word}'")).collect();
        let at = self.folder.path().display();
        let program = format!(
            "echo $STEAD_NODE >> {at}/mount/story && sync && cp {at}/mount/story {at}/seen && \
             exec {}",
            words.join(" ")
        );
        let monitor = service.monitor.clone();
        (service.program, service.monitor) = (Vec::new(), Vec::new());
        service.resources = format!(
            "[[services.web.resources]]\nname = \"disk\"\nocf = \"heartbeat:Filesystem\"\n\
             monitor-interval = \"500ms\"\n\
             parameters = {{ device = \"{at}/image\", directory = \"{at}/mount\", \
             fstype = \"ext4\", options = \"loop\" }}\n\
             [[services.web.resources]]\nname = \"front\"\n\
             program = [\"/bin/sh\", \"-c\", {program:?}]\nmonitor = {monitor:?}\n"
        );
        service
    }

    /// Who wrote on the disk so far, as the newest of them saw it.
    pub fn story(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("seen")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

pub fn stays_with(fleet: &Fleet, by: &str, node: &str) -> Result<bool, FleetError> {
    let status = fleet.node(by)?.status()?;
    let web = service(&status, "web");
    Ok(web["stays_with"] == node && web["state"] == "lost")
}

#[test]
fn a_file_system_goes_elsewhere_when_its_node_is_proven_to_be_off_and_not_before() {
    let disk = Disk::new();
    let fleet = Fleet::start(three("bound").service(disk.service())).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let first = disk.story();
    assert_eq!(first.last().map(String::as_str), Some("node2"), "{first:?}");

    // A planned move needs nothing: its node says that it has stopped it.
    let began = mark();
    fleet.node("node1").must().stead(&["move", "web", "node3"]).must().expect_success().must();
    assert_eq!(wait_moved(&fleet, &client, "node2"), "node3");
    fleet.node("node1").must().stead(&["move", "web", "node2"]).must().expect_success().must();
    assert_eq!(wait_moved(&fleet, &client, "node3"), "node2");
    assert_eq!(disk.story()[first.len()..], ["node3", "node2"], "one story on one disk");

    // Its node loses power. The lease is over, and that is not enough.
    fleet.silence_then_kill("node2").must();
    wait_for(&fleet, "it stays with node2", || stays_with(&fleet, "node1", "node2"));
    for node in ["node1", "node3"] {
        wait_for(&fleet, "the journal tells", || told(&fleet, node, "web stays with node2"));
        assert!(web_programs(&fleet, node).is_empty(), "{node} runs it");
    }
    let node1 = fleet.node("node1").must();
    let screen = node1.stead(&["status"]).must().stdout;
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("say so: stead fence confirm-off node2 --reason"), "{screen}");
    let confirm = |words: &[&str]| {
        let all = [&["fence", "confirm-off"], words, &["--reason", "no lamp is lit"]].concat();
        node1.stead(&all).must()
    };
    for (words, said) in [
        (&["node2"][..], "nobody can be asked"),
        (&["node3", "--yes"], "node3 is in the view: it is not off"),
        (&["node9", "--yes"], "node9 is no member"),
    ] {
        let refused = confirm(words);
        assert!(
            !refused.status.success() && refused.stderr.contains(said),
            "{words:?}: {refused:?}"
        );
        assert!(refused.stderr.contains("nothing was changed"), "{refused:?}");
    }
    let refused = node1.stead(&["move", "web", "node3"]).must();
    assert!(
        !refused.status.success() && refused.stderr.contains("stays with node2"),
        "{refused:?}"
    );

    // Somebody has looked.
    confirm(&["node2", "--yes"]).expect_success().must();
    let next = wait_moved(&fleet, &client, "node2");
    assert_eq!(disk.story().last(), Some(&next));
    assert!(confirm(&["node2", "--yes"]).stderr.contains("nothing waits for node2"));
    fleet.power_on("node2").must();
    whole(&fleet);
    assert_alone(client.seen_since(began));
}

#[test]
fn a_node_that_was_cut_off_is_rid_of_its_file_system_first() {
    let disk = Disk::new();
    let fleet = Fleet::start(three("cut-bound").service(disk.service())).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    let began = mark();
    fleet.cut_from_nodes("node2").must();
    wait_for(&fleet, "it stays with node2", || stays_with(&fleet, "node1", "node2"));
    wait_for(&fleet, "nothing of it runs", || Ok(web_programs(&fleet, "node2").is_empty()));
    wait_for(&fleet, "nobody answers", || Ok(client.holders().is_empty()));
    // It is back, and it is not asked for anything: it has stopped it, says so, and it goes on.
    fleet.heal("node2").must();
    wait_for(&fleet, "node2 tells that it has stopped", || {
        told(&fleet, "node1", "web stopped on node2")
    });
    whole(&fleet);
    client.wait_served(&fleet).must();
    assert_alone(client.seen_since(began));
}
