//! What machines are made of: their addresses, their disks, and what makes a node of one.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stead_lab::vm::MachineSpec;
use stead_lab::{LinkSpec, Mac};

use super::{PROGRAM, kernel};
use crate::cluster::{Must, stead};

/// The nodes that are machines.
pub const MACHINES: [&str; 2] = ["node1", "node2"];
/// The node that is none.
pub const THIRD: &str = "node3";
/// The networks, in the order of the plan's; the last one is where power is switched.
pub(super) const LANS: [&str; 3] = ["front", "ring", "power"];
/// How many of them the plan has.
pub(super) const PLANNED: usize = 2;
/// The number of a machine's power switch on its network is that of the machine and this.
const SWITCHES: u8 = 100;
const SWITCH_PORT: u16 = 4444;
/// The number of a storage, and its address on the network of the clients.
pub(super) const STORAGE_OCTET: u8 = 60;
pub const STORAGE: &str = "10.77.0.60";
/// A disk of a guest, in bytes. The file has holes.
const DISK: u64 = 64 << 20;

/// The folders of a node on its disk, and the program where no rebuild can touch it.
const SETUP: &str = "
mkdir -p /disk /etc/stead /var/lib/stead /run/stead
mount /dev/disk/state /disk
mkdir -p -m 700 /disk/etc /disk/state
mount --bind /disk/etc /etc/stead
mount --bind /disk/state /var/lib/stead
";

/// Starts a part of a node once it belongs to a cluster, as its unit does.
const UNIT: &str = "
until [ -e /var/lib/stead/node.json ]; do sleep 0.2; done
exec /opt/stead \"$1\"
";

/// A machine that is a node once it has joined.
pub(super) fn node_spec(disk: &Path) -> MachineSpec {
    format(disk);
    let source = stead().canonicalize().must();
    let copy = format!("cp /host{} {PROGRAM}\n", source.display());
    let unit = |part: &str| format!("sh /etc/unit {part}");
    MachineSpec::new(&kernel())
        .disk("state", disk)
        .file("/etc/unit", 0o644, UNIT.as_bytes())
        .setup(&format!("{SETUP}{copy}"))
        .program("guard", Duration::from_millis(20), &unit("guard"))
        .program("daemon", Duration::from_millis(100), &unit("daemon"))
}

/// A disk with a file system on it.
pub fn format(disk: &Path) {
    fs::File::create(disk).and_then(|file| file.set_len(DISK)).must();
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk).output().must();
    assert!(made.status.success(), "{made:?}");
}

/// The cable's end of a node, or of the client, on a network.
pub(super) fn link(lan: u8, octet: u8) -> LinkSpec {
    let v4 = Ipv4Addr::new(10, 77, lan, octet).into();
    let v6 = Ipv6Addr::new(0xfd77, lan.into(), 0, 0, 0, 0, 0, octet.into()).into();
    LinkSpec::new(LANS[usize::from(lan)]).addr(v4, 24).addr(v6, 64).mac(mac(lan, octet))
}

/// Where the power of a machine is switched.
pub fn power_of(node: &str) -> SocketAddr {
    let octet = (1..).zip(MACHINES).find(|(_, name)| *name == node).map_or(0, |(n, _)| n);
    switch_of(octet)
}

/// Where the power of the machine with that number is switched.
pub(super) fn switch_of(octet: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 77, 2, SWITCHES + octet).into(), SWITCH_PORT)
}

pub(super) fn mac(lan: u8, octet: u8) -> Mac {
    Mac([0x02, 0x77, 0, 0, lan, octet])
}
