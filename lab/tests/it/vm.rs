//! Machines with kernels of their own.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use stead_lab::vm::{Kernel, Machine, MachineSpec};
use stead_lab::{Bed, Host, LinkSpec, Mac};

use crate::helper::{PATIENCE, ip, wait_until};

/// One machine and one host at a switch.
struct Trial {
    // The order matters: with the bed QEMU ends, and then the folder goes.
    bed: Bed,
    client: Host,
    machine: Machine,
    _folder: tempfile::TempDir,
}

impl Trial {
    /// A machine that has booted, with a disk and a watchdog that bites after two seconds.
    fn begin(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bed = Bed::new(name).expect("these tests need root");
        let switch = bed.switch("lan").expect("a switch");
        let client = bed.host("client").expect("a host");
        let spec = LinkSpec::new("eth0").addr(ip("10.0.0.100"), 24).addr(ip("fd00::100"), 64);
        bed.connect(&client, &switch, spec).expect("a cable");
        let image = folder.path().join("image");
        File::create(&image).and_then(|file| file.set_len(16 << 20)).expect("a disk");
        let link = LinkSpec::new("front").addr(ip("10.0.0.1"), 24).addr(ip("fd00::1"), 64);
        let spec = MachineSpec::new(&kernel())
            .cable(&switch, link.mac(Mac([2, 0, 0, 0, 0, 1])))
            .disk("own", &image)
            .watchdog()
            .file("/etc/greeting/text", 0o600, b"good morning\n")
            .setup("modprobe i6300esb heartbeat=2")
            .program("clerk", Duration::from_millis(500), "cat /proc/sys/kernel/random/boot_id");
        let machine = bed.machine("guest", spec, folder.path()).expect("a machine");
        machine.power_on().expect("power");
        machine.wait_up(PATIENCE).expect("it boots");
        Self { bed, client, machine, _folder: folder }
    }

    /// What a script prints that ends well.
    fn typed(&self, script: &str) -> String {
        let answer = self.machine.run(script, PATIENCE).expect("an answer");
        assert_eq!(answer.status, 0, "{script}: {answer:?}");
        answer.stdout.trim().to_owned()
    }

    /// The life after that one, once its clerk was started again.
    fn life_after(&self, before: &str) -> String {
        let mut life = String::new();
        wait_until("it has booted anew", || {
            life = self.machine.wait_up(PATIENCE).expect("it is there");
            life != before
        });
        let clerk = || self.machine.printed("clerk");
        wait_until("its clerk was started again", || clerk().matches(&life).count() > 1);
        life
    }
}

/// The kernel that `tests/guest-kernel` lays down beside this program.
fn kernel() -> Kernel {
    let program = std::env::current_exe().expect("our own path");
    // target/release/deps/it-...
    let target = program.ancestors().nth(3).unwrap_or(Path::new("target"));
    Kernel::at(&target.join("guests/kernel")).expect("a kernel")
}

#[test]
fn a_guest_is_a_host_on_the_switch_and_its_clocks_know_nothing_of_a_pause() {
    let trial = Trial::begin("vm-host");
    assert_eq!(trial.typed("hostname; cat /etc/greeting/text"), "guest\ngood morning");
    assert_eq!(trial.typed("stat -c %a /etc/greeting/text"), "600");
    let failed = trial.machine.run("echo so >&2; exit 3", PATIENCE).expect("an answer");
    assert_eq!((failed.status, failed.stderr.trim()), (3, "so"));
    let stuck = trial.machine.run("sleep 1000", Duration::from_secs(1)).expect("an answer");
    assert_eq!(stuck.status, 137, "{stuck:?}");

    // Both ways, both families, and the fault that every host knows.
    trial.typed("for at in 10.0.0.100 fd00::100; do /guest/busybox ping -c 1 -W 60 $at; done");
    let ping = |wait: &str| {
        let words = ["ping", "-c", "1", "-W", wait, "10.0.0.1"];
        let done = trial.client.run(|| Command::new("busybox").args(words).output());
        done.expect("on the client").expect("busybox is there")
    };
    assert!(ping("60").status.success());
    let mut netlink = trial.client.netlink().expect("a socket");
    let known = netlink.neighbours().expect("a list");
    let guest = known.iter().find(|it| it.addr == ip("10.0.0.1")).expect("it is known");
    assert_eq!(guest.mac, trial.machine.mac("front"));
    assert_eq!(guest.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
    trial.bed.cut(trial.machine.host()).expect("cut");
    assert!(!ping("1").status.success(), "it is cut off");
    assert_eq!(trial.typed("cat /sys/class/net/front/carrier"), "1", "and does not know");
    trial.bed.heal(trial.machine.host()).expect("healed");
    assert!(ping("60").status.success());

    // Three seconds pass that are none inside.
    let pause = Duration::from_secs(3);
    let uptime = || -> f64 { trial.typed("cut -d' ' -f1 /proc/uptime").parse().expect("one") };
    let (began, before) = (Instant::now(), uptime());
    trial.machine.pause().expect("paused");
    assert_eq!(trial.machine.status().expect("asked"), "paused");
    std::thread::sleep(pause);
    trial.machine.resume().expect("resumed");
    let inside = Duration::from_secs_f64(uptime() - before);
    let outside = began.elapsed();
    assert!(inside + pause < outside + Duration::from_millis(20), "{inside:?} of {outside:?}");
}

#[test]
fn a_watchdog_a_panic_and_a_loss_of_power_each_begin_another_life() {
    let trial = Trial::begin("vm-lives");
    let machine = &trial.machine;
    let first = trial.life_after("");
    trial.typed("mkfs.ext4 -q /dev/disk/own && mount /dev/disk/own /mnt");
    trial.typed("echo kept >/mnt/word && sync");

    // Opened, and not fed.
    let seen = machine.events().len();
    trial.typed("test -c /dev/watchdog && echo >/dev/watchdog");
    let bite = machine.wait_for_event("WATCHDOG", seen, PATIENCE).expect("it bites");
    assert_eq!(bite.data["action"], "reset");
    let second = trial.life_after(&first);
    assert_eq!(trial.typed("mount /dev/disk/own /mnt && cat /mnt/word"), "kept");

    let seen = machine.events().len();
    machine.send("echo c >/proc/sysrq-trigger", PATIENCE).expect("sent");
    machine.wait_for_event("RESET", seen, PATIENCE).expect("it boots anew after a panic");
    let third = trial.life_after(&second);
    assert!(machine.console().contains("Kernel panic"), "{}", machine.console());

    machine.power_cut().expect("cut");
    assert!(!machine.has_qemu());
    assert!(machine.run("true", PATIENCE).is_err());
    machine.power_on().expect("power");
    let fourth = trial.life_after(&third);

    // What switches itself off waits to be switched on.
    machine.send("/guest/busybox poweroff -f", PATIENCE).expect("sent");
    machine.wait_for_event("SHUTDOWN", 0, PATIENCE).expect("it is off");
    assert_eq!(machine.status().expect("asked"), "shutdown");
    machine.power_on().expect("power");
    trial.life_after(&fourth);
    assert!(machine.power_on().is_err(), "it is on");
}
