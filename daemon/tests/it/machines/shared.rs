//! A disk that two machines reach, and whose file system must never be mounted by both: it goes
//! elsewhere when its node is switched off, by a device that the other machine asks itself.

use std::time::Duration;

use stead::demo::fleet::ServicePlan;
use stead_lab::prober::now;

use super::bed::Cluster;
use super::made::{THIRD, format};
use super::web;
use crate::cluster::Must;

/// What an agent's actions may take in a guest whose processor others want as well.
pub const PATIENT: &str = "monitor-interval = \"10s\"\nmonitor-timeout = \"60s\"\n\
     start-timeout = \"120s\"\nstop-timeout = \"120s\"\n";
/// The disk, as the guests see it.
const DISK: &str = "/dev/disk/shared";

/// A web service that writes down on the disk where it runs, and shows what stands there: what is
/// mounted for a service is seen by that only.
pub fn data(device: &str) -> ServicePlan {
    let plain = web();
    let words: Vec<_> = plain.program.iter().map(|word| format!("'{word}'")).collect();
    let write = "echo $STEAD_NODE >>/srv/data/story && sync && cp /srv/data/story /run/seen";
    let program = format!("{write} && exec {}", words.join(" "));
    let resources = format!(
        "[[services.web.resources]]\nname = \"disk\"\nocf = \"heartbeat:Filesystem\"\n\
         {PATIENT}\
         parameters = {{ device = \"{device}\", directory = \"/srv/data\", fstype = \"ext4\" }}\n\
         [[services.web.resources]]\nname = \"front\"\n\
         program = [\"/bin/sh\", \"-c\", {program:?}]\n"
    );
    ServicePlan { program: Vec::new(), resources, ..plain }
}

/// Who wrote on the disk so far, as the node saw it when it began.
pub fn story(cluster: &Cluster, node: &str) -> Vec<String> {
    let said = cluster.shell(node, "cat /run/seen");
    said.stdout.lines().map(str::to_owned).collect()
}

/// Whether anything on that node has the disk mounted.
pub fn mounted(cluster: &Cluster, node: &str) -> bool {
    let said =
        cluster.shell(node, "cat /proc/[0-9]*/mounts 2>/dev/null | grep -c ' /srv/data ' || true");
    said.stdout.trim() != "0"
}

#[test]
fn a_file_system_on_a_shared_disk_goes_elsewhere_when_its_machine_is_off_and_not_before() {
    let folder = tempfile::tempdir().must();
    let disk = folder.path().join("shared.disk");
    format(&disk);
    let make = "mkdir -p /srv/data\n";
    let cluster = Cluster::begin("vm-shared", vec![data(DISK)], |_, spec| {
        spec.shared_disk("shared", &disk).setup(make)
    });
    cluster.wait_served_by("node1");
    assert_eq!(story(&cluster, "node1"), ["node1"]);

    // It is held still: its lease ends, and it would write what it was about to write.
    cluster.machine("node1").pause().must();
    cluster.wait("it stays with node1", || {
        let web = cluster.service("web");
        web["stays_with"] == "node1" && web["state"] == "lost"
    });
    assert!(!mounted(&cluster, "node2"), "not before node1 is off");
    assert_eq!(cluster.fence("node2", "status", "node1").status, 0, "held still is not off");

    // The other machine switches it off, by itself.
    let fenced = cluster.fence("node2", "off", "node1");
    assert_eq!(fenced.status, 0, "{fenced:?}");
    assert_eq!(cluster.fence("node2", "status", "node1").status, 2);
    assert_eq!(cluster.fence("node2", "off", "node1").status, 0, "once more changes nothing");
    assert_eq!(cluster.machine("node1").status().must(), "prelaunch");
    assert!(!mounted(&cluster, "node2"), "not before anybody says so");
    let off = now();
    let reason = ["--reason", "its power switch says that it is off"];
    cluster.good(THIRD, &[&["fence", "confirm-off", "node1", "--yes"][..], &reason].concat());
    cluster.wait_served_by("node2");
    assert_eq!(story(&cluster, "node2"), ["node1", "node2"], "one story on one disk");

    // What it had in memory is gone: it boots as a node that has nothing.
    assert_eq!(cluster.fence("node2", "on", "node1").status, 0);
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    cluster.wait_served_by("node2");
    assert!(!mounted(&cluster, "node1") && mounted(&cluster, "node2"));
    assert_eq!(cluster.answered_for("node1", off), Duration::ZERO);

    // A switch that does not answer is not "off".
    cluster.machine("node1").power_cut().must();
    let said = cluster.fence("node2", "status", "node1");
    assert!(said.status == 1 && said.stderr.contains("nobody listens"), "{said:?}");
}
