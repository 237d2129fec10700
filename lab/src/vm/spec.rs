//! What a machine is to be.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::link::LinkSpec;
use crate::switch::Switch;

use super::kernel::Kernel;

/// A machine to be made.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    pub(super) kernel: Kernel,
    pub(super) memory_mib: u32,
    pub(super) cables: Vec<(Switch, LinkSpec)>,
    pub(super) disks: Vec<Disk>,
    pub(super) modules: Vec<String>,
    pub(super) watchdog: bool,
    pub(super) etc: Vec<String>,
    pub(super) files: Vec<(String, u32, Vec<u8>)>,
    pub(super) setup: String,
    pub(super) programs: Vec<Program>,
    pub(super) power_switch: Option<SocketAddr>,
}

/// A disk: a file with its blocks, as they are.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) name: String,
    pub(super) image: PathBuf,
    pub(super) shared: bool,
}

/// What runs in a guest for as long as that does.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) again: Duration,
    pub(super) command: String,
}

impl MachineSpec {
    /// A machine with this kernel, 256 MiB, a processor, and nothing else.
    pub fn new(kernel: &Kernel) -> MachineSpec {
        // What Debian's programs look for, and what does no harm.
        let etc = ["alternatives", "group", "ld.so.cache", "nsswitch.conf", "passwd", "protocols"];
        MachineSpec {
            kernel: kernel.clone(),
            memory_mib: 256,
            cables: Vec::new(),
            disks: Vec::new(),
            modules: Vec::new(),
            watchdog: false,
            etc: etc.map(str::to_owned).into(),
            files: Vec::new(),
            setup: String::new(),
            programs: Vec::new(),
            power_switch: None,
        }
    }

    /// With this much memory, in MiB.
    pub fn memory(mut self, mib: u32) -> MachineSpec {
        self.memory_mib = mib;
        self
    }

    /// With a cable to a switch: the interface, its Ethernet address and its addresses are the
    /// guest's. Without an Ethernet address it gets one that follows from the interface's name and
    /// the machine's.
    pub fn cable(mut self, switch: &Switch, link: LinkSpec) -> MachineSpec {
        self.cables.push((switch.clone(), link));
        self
    }

    /// With a disk of its own, whose blocks are that file's: `/dev/disk/NAME` in the guest.
    pub fn disk(self, name: &str, image: &Path) -> MachineSpec {
        self.add_disk(name, image, false)
    }

    /// With a disk that other machines may have at the same time, as on a storage network. What one
    /// of them has written all others can read at once.
    pub fn shared_disk(self, name: &str, image: &Path) -> MachineSpec {
        self.add_disk(name, image, true)
    }

    fn add_disk(mut self, name: &str, image: &Path, shared: bool) -> MachineSpec {
        self.disks.push(Disk { name: name.to_owned(), image: image.to_owned(), shared });
        self
    }

    /// With a hardware watchdog (`i6300esb`, `/dev/watchdog`) that resets the machine.
    pub fn watchdog(mut self) -> MachineSpec {
        self.watchdog = true;
        self
    }

    /// With a module of the kernel that is loaded at boot. Others are loaded when the kernel or a
    /// program asks for them.
    pub fn module(mut self, name: &str) -> MachineSpec {
        self.modules.push(name.to_owned());
        self
    }

    /// With that file or folder of this machine's /etc.
    pub fn etc(mut self, name: &str) -> MachineSpec {
        self.etc.push(name.to_owned());
        self
    }

    /// With a file of these bits of mode; the path begins with `/`. It is there before anything
    /// runs, and anew at every boot.
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> MachineSpec {
        self.files.push((path.to_owned(), mode, bytes.to_vec()));
        self
    }

    /// With lines of shell that are run at every boot, when there are disks and networks and no
    /// programs yet. The first that fails switches the machine off.
    pub fn setup(mut self, lines: &str) -> MachineSpec {
        self.setup.push_str(lines);
        self.setup.push('\n');
        self
    }

    /// With a program that is started at boot, and again so long after every end of it. The name is
    /// that of its output ([`super::Machine::printed`]); the command is words with spaces between.
    pub fn program(mut self, name: &str, again: Duration, command: &str) -> MachineSpec {
        let (name, command) = (name.to_owned(), command.to_owned());
        self.programs.push(Program { name, again, command });
        self
    }

    /// With a second QMP socket, of TCP, where others can switch the machine's power. It is the
    /// management controller of this machine: the address must be one of its *host*, on a cable of
    /// its own ([`super::Machine::host`] and [`crate::Bed::connect`]).
    pub fn power_switch(mut self, at: SocketAddr) -> MachineSpec {
        self.power_switch = Some(at);
        self
    }
}
