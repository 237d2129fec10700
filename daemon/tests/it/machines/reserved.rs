//! A disk on a storage of its own (LIO, by iSCSI), and nodes that cut each other off from it by
//! SCSI-3 persistent reservations: `fence_scsi`, as Debian has it.

use std::process::Command;

use serde_json::Value;
use stead_lab::vm::MachineSpec;

use super::bed::Cluster;
use super::kernel;
use super::made::{MACHINES, STORAGE, THIRD, format};
use super::shared::{data, mounted, story};
use crate::cluster::Must;

/// The disk, as the nodes see it.
const DISK: &str = "/dev/sda";
const TARGET: &str = "iqn.2026-01.test:storage";

/// Ends the daemon of a node, which is started again.
const KILL_DAEMON: &str = r#"
for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$process/cmdline") in
    "/opt/stead daemon "*) kill -KILL "${process#/proc/}" ;;
    esac
done
"#;

/// Exports a disk to whoever asks.
fn export() -> String {
    format!(
        "modprobe -a target_core_mod target_core_iblock iscsi_target_mod
mount -t configfs configfs /sys/kernel/config
mkdir -p /var/target/pr
core=/sys/kernel/config/target/core/iblock_0/lun
mkdir -p $core
echo udev_path=$(readlink -f /dev/disk/lun) >$core/control
echo shared >$core/wwn/vpd_unit_serial
echo 1 >$core/enable
group=/sys/kernel/config/target/iscsi/{TARGET}/tpgt_1
mkdir -p $group/lun/lun_0 $group/np/{STORAGE}:3260
ln -s $core $group/lun/lun_0/port
for it in authentication=0 generate_node_acls=1 cache_dynamic_acls=1 demo_mode_write_protect=0; do
    echo ${{it#*=}} >$group/attrib/${{it%=*}}
done
echo 1 >$group/enable
"
    )
}

/// Takes the disk of the storage, at every boot.
fn import() -> String {
    format!(
        "mkdir -p /srv/data /etc/iscsi /run/lock/iscsi
modprobe -a iscsi_tcp sd_mod sg
initiator=iqn.2026-01.test:$(hostname)
until iscsistart -i $initiator -t {TARGET} -g 1 -a {STORAGE} -p 3260; do sleep 1; done
until [ -b {DISK} ]; do sleep 0.2; done
"
    )
}

/// The key of a node.
fn key(node: &str) -> &'static str {
    if node == MACHINES[0] { "a1" } else { "b2" }
}

/// The keys that are registered at the disk.
fn keys(cluster: &Cluster, by: &str) -> Vec<String> {
    let said = cluster.shell(by, &format!("sg_persist -n -i -k -d {DISK}"));
    let words = said.stdout.split_whitespace().filter_map(|word| word.strip_prefix("0x"));
    let mut keys: Vec<_> =
        words.filter(|it| MACHINES.map(key).contains(it)).map(str::to_owned).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Writes to the disk what stands there already; whether it may.
fn writes(cluster: &Cluster, node: &str) -> bool {
    let words = format!("dd if={DISK} of={DISK} bs=4096 count=1 iflag=direct oflag=direct");
    cluster.shell(node, &words).status == 0
}

/// How the third node sees the fencing of a node: its state, and what to do about that.
fn fencing(cluster: &Cluster, node: &str) -> (String, Vec<String>) {
    let status = cluster.status(THIRD);
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let own = nodes.into_iter().find(|it| it["name"] == node).unwrap_or_default();
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let problems = status["problems"].as_array().cloned().unwrap_or_default();
    (text(&own["fencing"]["state"]), problems.iter().map(|it| text(&it["next"])).collect())
}

#[test]
fn a_node_that_is_cut_off_from_the_storage_writes_nothing_more_until_it_has_booted() {
    let folder = tempfile::tempdir().must();
    let disk = folder.path().join("storage.disk");
    format(&disk);
    let storage = MachineSpec::new(&kernel()).disk("lun", &disk).setup(&export());
    let services = vec![data(DISK)];
    let cluster = Cluster::begin_beside("vm-reserved", Some(storage), services, |_, spec| {
        spec.setup(&import())
    });
    lets_both_in(&cluster);

    // Who coordinates asks the storage, and the third node has no way to it.
    let stays = cluster.have_a_machine_coordinate();
    let goes = *MACHINES.iter().find(|node| **node != stays).expect("the other");
    cluster.bring(goes);
    assert!(writes(&cluster, goes));
    is_cut_off(&cluster, goes, stays);
    goes_on_without(&cluster, goes, stays);

    // It has booted: what it had in memory is gone, and it asks to be let in.
    cluster.machine(goes).reset().must();
    cluster.wait("it is let in again", || keys(&cluster, stays) == ["a1", "b2"]);
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    cluster.bring(goes);
    let told = story(&cluster, goes);
    assert_eq!(told[told.len() - 3..], [goes, stays, goes], "one story on one disk: {told:?}");
    assert_ne!(fencing(&cluster, goes).0, "cut-off");

    // What its device says is believed as before.
    is_cut_off(&cluster, goes, stays);
    cluster.good(THIRD, &["stop", "web"]);
    cluster.wait("it is unmounted", || !mounted(&cluster, stays));
    let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&disk).output().must();
    assert!(checked.status.success(), "{checked:?}");
}

/// Gives each node its device. Whoever is let in first shuts all others out until they are: so
/// nothing may be mounted.
fn lets_both_in(cluster: &Cluster) {
    cluster.good(THIRD, &["stop", "web"]);
    cluster.wait("it is unmounted", || !mounted(cluster, "node1"));
    let device = |node: &str| {
        format!(
            "[fencing.devices.{node}-lun]\nagent = \"fence_scsi\"\ntimeout = \"60s\"\n\
             parameters = {{ devices = \"{DISK}\", key = \"{}\" }}\n",
            key(node)
        )
    };
    let devices = MACHINES.map(device).concat();
    cluster.configure(|node| format!("fence = [\"{node}-lun:{node}\"]\n"), &devices);
    // Each of them asks to be let in, by itself.
    cluster.wait("both nodes are let in", || keys(cluster, "node1") == ["a1", "b2"]);
    cluster.good(THIRD, &["start", "web"]);
}

/// A node is held still, with its file system mounted: the other one has what it had.
fn is_cut_off(cluster: &Cluster, goes: &str, stays: &str) {
    cluster.machine(goes).pause().must();
    cluster.wait_served_by(stays);
    assert_eq!(keys(cluster, stays), [key(stays)]);
    let told = cluster.good(stays, &["events"]);
    let how = format!("{goes} was fenced: {goes}-lun says that it is cut off");
    assert!(told.contains(&how), "{told}");
}

/// It goes on, and may not write any more. That it is heard is no lie: it has to boot.
fn goes_on_without(cluster: &Cluster, goes: &str, stays: &str) {
    cluster.machine(goes).resume().must();
    assert!(!writes(cluster, goes), "cut off");
    cluster.wait("it says that it has to boot", || {
        let told = cluster.typed(goes, &["events"]).stdout;
        told.contains("is let in again when it has booted: boot it")
    });
    cluster.wait("it has nothing any more", || !mounted(cluster, goes));
    let (state, next) = fencing(cluster, goes);
    assert!(state == "cut-off" && next.contains(&format!("boot {goes}")), "{state}: {next:?}");
    // Also when its daemon has started anew.
    cluster.shell(goes, KILL_DAEMON);
    cluster.wait("its daemon answers", || cluster.typed(goes, &["events"]).status == 0);
    assert!(!writes(cluster, goes), "cut off");
    cluster.wait_served_by(stays);
    assert!(mounted(cluster, stays));
    assert_eq!(keys(cluster, stays), [key(stays)]);
}
