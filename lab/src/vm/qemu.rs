//! The command line of a QEMU.

use std::path::Path;
use std::process::Command;

use super::machine::Card;
use super::spec::MachineSpec;

/// What the kernel is told. A panic ends in a reset after a second, as on most servers. On a busy
/// machine its check of the timers fails for no reason, and with programs at other places in each
/// run nothing that was translated is of use again.
const KERNEL: &str = "console=ttyS0 loglevel=5 panic=1 no_timer_check norandmaps";

/// QEMU for this machine, its processor not yet running.
pub(super) fn command(name: &str, spec: &MachineSpec, cards: &[Card], folder: &Path) -> Command {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut all: Vec<String> = Vec::new();
    let mut say = |words: &[&str]| all.extend(words.iter().map(|&word| word.to_owned()));
    say(&["-nodefaults", "-no-user-config", "-display", "none", "-name", name, "-S"]);
    // Emulated, so that it works wherever the tests do: in a machine that is one itself, too. What
    // was translated outlives a reset, and QEMU looks through it at each write of the next life to
    // the same memory: a boot that takes minutes, if there is much of it.
    say(&["-machine", "q35", "-accel", "tcg,tb-size=64", "-cpu", "Westmere", "-smp", "1"]);
    say(&["-m", &spec.memory_mib.to_string()]);
    // After its guest has switched itself off QEMU stays, and says so to whoever asks.
    say(&["-action", "shutdown=pause,watchdog=reset"]);
    say(&["-kernel", &spec.kernel.vmlinux().display().to_string()]);
    say(&["-initrd", &file("initramfs"), "-append", KERNEL]);
    say(&["-chardev", &format!("file,id=console,append=on,path={}", file("console.log"))]);
    say(&["-serial", "chardev:console"]);
    say(&["-qmp", &format!("unix:{},server=on,wait=off", file("qmp"))]);
    say(&["-qmp", &format!("unix:{},server=on,wait=off", file("power"))]);
    if let Some(at) = spec.power_switch {
        say(&["-qmp", &format!("tcp:{at},server=on,wait=off")]);
    }

    // All that the guest sees of this machine, and it can't write there.
    say(&["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"]);
    say(&["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]);

    // Without it nothing is random for the first minute.
    say(&["-device", "virtio-rng-pci"]);

    say(&["-device", "virtio-serial-pci"]);
    let commands = format!("socket,id=commands,path={},server=on,wait=off", file("commands"));
    say(&["-chardev", &commands]);
    say(&["-device", "virtserialport,chardev=commands,name=commands"]);
    for program in &spec.programs {
        let (name, log) = (&program.name, file(&format!("{}.log", program.name)));
        say(&["-chardev", &format!("file,id=port-{name},append=on,path={log}")]);
        say(&["-device", &format!("virtserialport,chardev=port-{name},name={name}")]);
    }

    for (number, card) in cards.iter().enumerate() {
        let (tap, mac) = (&card.tap, card.mac);
        say(&["-netdev", &format!("tap,id=net{number},ifname={tap},script=no,downscript=no")]);
        say(&["-device", &format!("virtio-net-pci,netdev=net{number},mac={mac},romfile=")]);
    }
    for disk in &spec.disks {
        let (name, image) = (&disk.name, disk.image.display());
        // What a guest has written is in this kernel's memory, for all machines at once, and these
        // disks lose their power with that: nothing has to wait for the real one.
        let drive = format!("if=none,id=disk-{name},file={image},format=raw,cache=unsafe");
        let shared = if disk.shared { ",share-rw=on" } else { "" };
        say(&["-drive", &drive]);
        say(&["-device", &format!("virtio-blk-pci,drive=disk-{name},serial={name}{shared}")]);
    }
    if spec.watchdog {
        say(&["-device", "i6300esb"]);
    }
    let mut command = Command::new("qemu-system-x86_64");
    command.args(all);
    command
}
