//! A disk that two machines keep between them (DRBD), promoted by its own agent where the service
//! is: what is written on one is on the other, and who was left behind is promoted by nobody.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::ServicePlan;
use stead_lab::prober::now;

use super::bed::Cluster;
use super::made::{MACHINES, THIRD, power_of};
use super::shared::{PATIENT, data, story};
use crate::cluster::Must;

/// The disk below it, in bytes, and the file system on it in KiB: DRBD's own data stand at the end.
const DISK: u64 = 16 << 20;
const FILE_SYSTEM: &str = "15000";

const CONFIGURATION: &str = "
global { usage-count no; }
resource data {
    net { protocol C; ping-timeout 30; timeout 100; connect-int 3; }
    disk { fencing resource-and-stonith; }
    handlers {
        fence-peer \"/opt/drbd-peer fence\";
        unfence-peer \"/opt/drbd-peer unfence\";
    }
    device /dev/drbd0;
    disk /dev/disk/data;
    meta-disk internal;
    on node1 { address 10.77.1.1:7788; }
    on node2 { address 10.77.1.2:7788; }
}
";
const PEER: &[u8] = include_bytes!("../../../../contrib/drbd-peer");

/// Both disks are the same from the beginning, so nothing has to be copied: that is said where DRBD
/// keeps its own data, once.
const SETUP: &str = "
mkdir -p /srv/data /etc/drbd.d /var/lib/drbd /var/lock
modprobe drbd
if ! [ -e /disk/drbd-made ]; then
    drbdmeta --force 0 v08 $(readlink -f /dev/disk/data) internal create-md
    drbdmeta --force 0 v08 $(readlink -f /dev/disk/data) internal set-gi 8D8A8C8B8E8F8082:0:0:0:1:1
    touch /disk/drbd-made
fi
";

/// A disk with a file system that ends before it does.
fn make(disk: &Path) {
    File::create(disk).and_then(|file| file.set_len(DISK)).must();
    let mut make = Command::new("mkfs.ext4");
    make.args(["-q", "-F", "-U", "0fcb9a4c-5f3e-4f3a-9c61-0c3f2d1e5a77"]);
    let made = make.arg(disk).arg(FILE_SYSTEM).output().must();
    assert!(made.status.success(), "{made:?}");
}

/// The web service that writes on the disk, with copies of that.
fn replicated() -> ServicePlan {
    let plain = data("/dev/drbd0");
    let drbd = format!(
        "copies = [\"node1\", \"node2\"]\n\
         [[services.web.resources]]\nname = \"drbd\"\nocf = \"linbit:drbd\"\npromotable = true\n\
         {PATIENT}\
         parameters = {{ drbd_resource = \"data\", adjust_master_score = \"5 10 1000 10000\", \
         unfence_if_all_uptodate = \"true\" }}\n"
    );
    ServicePlan { resources: drbd + &plain.resources, ..plain }
}

fn role(cluster: &Cluster, node: &str) -> String {
    cluster.shell(node, "drbdadm role data; drbdadm dstate data").stdout
}

/// Waits until both have all that was written.
fn wait_whole(cluster: &Cluster, primary: &str) {
    cluster.wait("both disks are up to date", || {
        role(cluster, primary) == "Primary/Secondary\nUpToDate/UpToDate\n"
    });
    cluster.wait("nobody is left behind", || only_on(cluster) == "nobody");
}

/// Who alone has all that was written, as the cluster remembers it.
fn only_on(cluster: &Cluster) -> String {
    let words = "/run/stead/tools/crm_attribute -t crm_config -n drbd-data-only-on -G -q -d nobody";
    let said = MACHINES.iter().map(|node| cluster.shell(node, words)).find(|it| it.status == 0);
    said.map(|it| it.stdout.trim().to_owned()).unwrap_or_default()
}

fn promoted(cluster: &Cluster) -> Vec<String> {
    let copies = cluster.service("web")["copies"].as_array().cloned().unwrap_or_default();
    let promoted = copies.iter().filter(|copy| copy["state"] == "promoted");
    promoted.filter_map(|copy| copy["node"].as_str().map(str::to_owned)).collect()
}

/// Writes a word on the disk where it is mounted, and waits until DRBD says that it is kept.
fn write(cluster: &Cluster, node: &str, word: &str) {
    let script = format!(
        "for mounts in /proc/[0-9]*/mounts; do
    grep -q ' /srv/data ' $mounts 2>/dev/null || continue
    exec nsenter -t $(basename ${{mounts%/mounts}}) -m sh -c 'echo {word} >>/srv/data/story; sync'
done
exit 1"
    );
    let said = cluster.shell(node, &script);
    assert_eq!(said.status, 0, "{said:?}");
}

#[test]
fn who_alone_has_all_that_was_written_is_the_only_one_to_be_promoted() {
    let folder = tempfile::tempdir().must();
    let disk = |node: &str| folder.path().join(format!("{node}.data"));
    MACHINES.iter().for_each(|node| make(&disk(node)));
    let cluster = Cluster::begin("vm-drbd", vec![replicated()], |node, spec| {
        let spec = spec.disk("data", &disk(node)).setup(SETUP);
        let spec = spec.file("/etc/drbd.conf", 0o644, CONFIGURATION.as_bytes());
        spec.file("/opt/drbd-peer", 0o755, PEER)
    });
    // Whose copy was there first is promoted.
    let by = || cluster.http.node_now();
    cluster.wait("a machine serves", || by().is_some());
    let one = *MACHINES.iter().find(|node| by().as_deref() == Some(node)).expect("a machine");
    let other = *MACHINES.iter().find(|node| **node != one).expect("the other");
    wait_whole(&cluster, one);
    let device = format!(
        "[fencing.devices.vm]\nexec = [\"{}\"]\ntimeout = \"60s\"\n",
        cluster.fence_program()
    );
    let by = |node: &str| format!("fence = [\"vm:{}\"]\n", power_of(node));
    cluster.configure(by, &device);
    goes_where_it_is_written_too(&cluster, one, other);
    waits_for_who_has_all(&cluster, one, other);
}

/// The machine of one is held still, and switched off before the other copy is promoted.
fn goes_where_it_is_written_too(cluster: &Cluster, one: &str, other: &str) {
    let paused = now();
    cluster.machine(one).pause().must();
    cluster.wait_served_by(other);
    assert_eq!(story(cluster, other), [one, other]);
    assert_eq!(only_on(cluster), other);
    assert!(cluster.good(THIRD, &["events"]).contains(&format!("{one} was fenced")));
    assert_eq!(cluster.answered_for(one, paused), Duration::ZERO);
    // It was switched on again, and gets what it lacks.
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    wait_whole(cluster, other);
    assert_eq!(promoted(cluster), [other]);
}

/// One goes, the other writes on alone, and goes as well. One comes back, and lacks something.
fn waits_for_who_has_all(cluster: &Cluster, one: &str, other: &str) {
    cluster.machine(one).power_cut().must();
    write(cluster, other, "alone");
    assert_eq!(only_on(cluster), other, "it was kept after that");
    cluster.machine(other).power_cut().must();
    cluster.machine(one).power_on().must();
    cluster.wait("it is back", || in_view(&cluster.status(THIRD), one));
    let answers = cluster.http.answers();
    let reason = ["--reason", "its plug is in my hand"];
    cluster.wait("the other is said to be off", || {
        let words = [&["fence", "confirm-off", other, "--yes"][..], &reason].concat();
        cluster.typed(THIRD, &words).status == 0
    });
    cluster.wait("it was asked, and is not promoted", || {
        cluster.shell(one, "dmesg").stdout.contains("outdating myself")
    });
    assert!(promoted(cluster).is_empty());
    assert_eq!(cluster.http.answers(), answers, "no client gets to see what lacks something");

    // The other one is back: whoever is promoted now, by itself or by what it gets from there, has
    // all that was written.
    cluster.machine(other).power_on().must();
    cluster.wait("a client is answered", || cluster.http.answers() > answers);
    let by = cluster.http.node_now().expect("a machine");
    assert_eq!(story(cluster, &by), [one, other, "alone", &by]);
    wait_whole(cluster, &by);
}

fn in_view(status: &Value, node: &str) -> bool {
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().any(|it| it["name"] == node && it["state"] == "in-view")
}
