//! A machine: a host of the bed with a QEMU on it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stead_linux::netlink::Mac;

use crate::bed::Bed;
use crate::error::{LabError, Step};
use crate::host::{Host, Process};
use crate::launcher::lock;
use crate::link::LinkSpec;
use crate::switch::be_quiet;

use super::commands::{Answer, Commands};
use super::image::initramfs;
use super::qemu::command;
use super::qmp::{Event, Events, Qmp};
use super::spec::MachineSpec;

/// How long a QEMU may take for what it does in milliseconds on an idle machine.
const QEMU_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// A network card of a guest, and how the lab lays its cable.
#[derive(Debug, Clone)]
pub(super) struct Card {
    /// Its name in the guest, and that of the cable's end on the host.
    pub(super) ifname: String,
    pub(super) mac: Mac,
    pub(super) addrs: Vec<(IpAddr, u8)>,
    /// The bridge on the host that ties the cable to the card.
    bridge: u32,
    /// The name of the card's other end on the host.
    pub(super) tap: String,
}

/// A QEMU that runs.
#[derive(Clone)]
struct Powered {
    process: Process,
    qmp: Arc<Qmp>,
    commands: Arc<Mutex<Commands>>,
}

struct Inner {
    host: Host,
    spec: MachineSpec,
    folder: PathBuf,
    cards: Vec<Card>,
    events: Arc<Events>,
    powered: Mutex<Option<Powered>>,
}

/// A machine of a bed. Cheap to clone; ends with its bed.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

impl Bed {
    /// A new machine, without power. What it needs and what it prints is kept in `folder`, which
    /// must be there, has a short path, and belongs to it alone.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn machine(
        &self,
        name: &str,
        spec: MachineSpec,
        folder: &Path,
    ) -> Result<Machine, LabError> {
        let host = self.host(name)?;
        // what stands on the cables is the guest; the host only carries its frames
        be_quiet(&host.namespace()).step(|| format!("cannot make the host of machine {name}"))?;
        let mut cards = Vec::new();
        for (number, (switch, link)) in spec.cables.iter().enumerate() {
            self.connect(&host, switch, LinkSpec::new(&link.ifname))?;
            cards.push(card(&host, number, link)?);
        }
        let image = initramfs(name, &spec, &cards)?;
        let path = folder.join("initramfs");
        fs::write(&path, image).step(|| format!("cannot write {}", path.display()))?;
        let (folder, events) = (folder.to_owned(), Arc::default());
        let powered = Mutex::default();
        Ok(Machine(Arc::new(Inner { host, spec, folder, cards, events, powered })))
    }
}

/// Makes ready on the host what ties a cable to a card.
fn card(host: &Host, number: usize, link: &LinkSpec) -> Result<Card, LabError> {
    let what = || format!("cannot tie {} to the machine {}", link.ifname, host.name());
    let mut netlink = host.netlink()?;
    let bridge = netlink.create_bridge(&format!("br{number}"), None).step(what)?.index;
    let cable = netlink.link_named(&link.ifname).step(what)?.index;
    netlink.set_port_of(cable, Some(bridge)).step(what)?;
    netlink.set_up(bridge).step(what)?;
    Ok(Card {
        ifname: link.ifname.clone(),
        mac: link.mac.unwrap_or_else(|| mac(host.name(), &link.ifname)),
        addrs: link.addrs.clone(),
        bridge,
        tap: format!("tap{number}"),
    })
}

/// An Ethernet address that is the same in every run.
fn mac(machine: &str, ifname: &str) -> Mac {
    let mut hasher = DefaultHasher::new();
    (machine, ifname).hash(&mut hasher);
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    // given by ourselves, to one card
    Mac([0x02, 0x60, a, b, c, d])
}

impl Machine {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.host.name()
    }

    /// The host underneath. What is done to its cables ([`Bed::cut`]) is done to the guest's. To
    /// freeze it stops the guest, whose clocks then jump; [`Machine::pause`] is another thing.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The Ethernet address of the guest on that interface.
    pub fn mac(&self, ifname: &str) -> Option<Mac> {
        self.0.cards.iter().find(|card| card.ifname == ifname).map(|card| card.mac)
    }

    /// Switches it on: the guest begins to boot. A machine that was switched off by its power
    /// switch, or by itself, has its QEMU still.
    ///
    /// # Errors
    /// See [`LabError`]. It has power already.
    pub fn power_on(&self) -> Result<(), LabError> {
        if self.has_qemu() {
            let status = self.status()?;
            if status != "prelaunch" && status != "shutdown" {
                return Err(std::io::Error::other(status))
                    .step(|| format!("{} is on already", self.name()));
            }
            self.reset()?;
            self.wait_for_status("prelaunch")?;
            return self.resume();
        }
        // Sockets of an earlier QEMU, that nobody answers.
        for socket in ["qmp", "power", "commands"] {
            let _ = fs::remove_file(self.path(socket));
        }
        let inner = &self.0;
        let mut qemu = command(self.name(), &inner.spec, &inner.cards, &inner.folder);
        let what = || format!("cannot start the QEMU of {}", self.name());
        let log = File::options().create(true).append(true).open(self.path("qemu.log"));
        let log = log.step(what)?;
        qemu.stdin(Stdio::null()).stdout(log.try_clone().step(what)?).stderr(log);
        let process = self.start(qemu)?;
        let qmp = Qmp::connect(self.name(), &self.path("qmp"), Arc::clone(&inner.events));
        let qmp = qmp.map_err(|error| self.or_why_it_ended(&process, error))?;
        self.tie()?;
        let commands = Commands::connect(&self.path("commands")).step(what)?;
        qmp.execute("cont", &json!({}))?;
        let (qmp, commands) = (Arc::new(qmp), Arc::new(Mutex::new(commands)));
        *lock(&inner.powered) = Some(Powered { process, qmp, commands });
        Ok(())
    }

    fn start(&self, qemu: Command) -> Result<Process, LabError> {
        let program = qemu.get_program().to_string_lossy().into_owned();
        self.0.host.spawn_as_is(qemu).step(|| {
            format!("cannot start {program} on {}; is qemu-system-x86 installed?", self.name())
        })
    }

    /// What QEMU said, if that is why nobody can speak with it.
    fn or_why_it_ended(&self, process: &Process, error: LabError) -> LabError {
        match process.ended() {
            Ok(Some(status)) => {
                let said = fs::read_to_string(self.path("qemu.log")).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                let source = std::io::Error::other(format!("{status}: {last}"));
                LabError::Io { what: format!("the QEMU of {} has ended", self.name()), source }
            }
            Ok(None) | Err(_) => error,
        }
    }

    /// Ties the cards of a QEMU that has just made them to their cables.
    fn tie(&self) -> Result<(), LabError> {
        let what = || format!("cannot tie the network cards of {} to their cables", self.name());
        let mut netlink = self.0.host.netlink()?;
        let deadline = Instant::now() + QEMU_WITHIN;
        for card in &self.0.cards {
            let tap = loop {
                match netlink.link_named(&card.tap) {
                    Err(error) if error.not_there() && Instant::now() < deadline => {
                        std::thread::sleep(LOOK);
                    }
                    other => break other.step(what)?.index,
                }
            };
            netlink.set_port_of(tap, Some(card.bridge)).step(what)?;
            netlink.set_up(tap).step(what)?;
        }
        Ok(())
    }

    fn wait_for_status(&self, wanted: &str) -> Result<(), LabError> {
        let deadline = Instant::now() + QEMU_WITHIN;
        while self.status()? != wanted {
            if Instant::now() > deadline {
                let what = format!("{} in the state {wanted}", self.name());
                return Err(LabError::Late { what, seconds: QEMU_WITHIN.as_secs() });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Takes its power away: QEMU is killed, and no part of it answers any more, its power switch
    /// included. What a guest had written to its disks is there, what it had not is lost.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn power_cut(&self) -> Result<(), LabError> {
        let powered = lock(&self.0.powered).take();
        powered.map_or(Ok(()), |powered| powered.process.kill())
    }

    /// Whether it has a QEMU: since it was switched on nobody has taken its power away.
    pub fn has_qemu(&self) -> bool {
        let powered = lock(&self.0.powered);
        powered.as_ref().is_some_and(|it| matches!(it.process.ended(), Ok(None)))
    }

    /// What QEMU says of it: `running`, `paused`; `prelaunch` if it was switched off by its power
    /// switch, `shutdown` if it switched itself off.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn status(&self) -> Result<String, LabError> {
        let status = self.execute("query-status", &json!({}))?;
        Ok(status["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Holds the guest still, as a hypervisor does: none of its clocks goes on, so that nothing in
    /// it can know.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn pause(&self) -> Result<(), LabError> {
        self.execute("stop", &json!({})).map(drop)
    }

    /// Lets a guest that was held still go on.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn resume(&self) -> Result<(), LabError> {
        self.execute("cont", &json!({})).map(drop)
    }

    /// Presses its reset button.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn reset(&self) -> Result<(), LabError> {
        self.execute("system_reset", &json!({})).map(drop)
    }

    /// Any command of QMP.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value, LabError> {
        self.powered()?.qmp.execute(command, arguments)
    }

    /// All that QEMU told by itself since the machine was made, through losses of power too.
    pub fn events(&self) -> Vec<Event> {
        self.0.events.all()
    }

    /// Waits for an event of that name behind the first `seen` of [`Machine::events`].
    ///
    /// # Errors
    /// None came in time.
    pub fn wait_for_event(
        &self,
        name: &str,
        seen: usize,
        within: Duration,
    ) -> Result<Event, LabError> {
        let what = || format!("the event {name} of {}", self.name());
        let late = || LabError::Late { what: what(), seconds: within.as_secs() };
        self.0.events.wait(name, seen, within).ok_or_else(late)
    }

    /// Waits until the guest answers; the identity that its kernel gave this boot.
    ///
    /// # Errors
    /// It does not, in time; the end of its console says why, if it knows.
    pub fn wait_up(&self, within: Duration) -> Result<String, LabError> {
        let commands = self.powered()?.commands;
        let up = lock(&commands).wait_up(self.name(), within);
        up.map_err(|error| match error {
            LabError::Late { what, seconds } => {
                let console = self.console();
                let last: Vec<&str> = console.lines().rev().take(3).collect();
                let last = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
                LabError::Late { what: format!("{what} (its console: {last})"), seconds }
            }
            LabError::Namespace { .. }
            | LabError::Netlink { .. }
            | LabError::Io { .. }
            | LabError::NotRoot(_) => error,
        })
    }

    /// Runs a shell script in the guest. It is killed after that time.
    ///
    /// # Errors
    /// The guest does not answer, or was reset meanwhile. That the script ended badly is no error.
    pub fn run(&self, script: &str, within: Duration) -> Result<Answer, LabError> {
        let commands = self.powered()?.commands;
        lock(&commands).run(self.name(), script, within)
    }

    /// Has the guest run a shell script, and does not wait: of what brings it down there is no
    /// answer.
    ///
    /// # Errors
    /// The guest does not answer before that.
    pub fn send(&self, script: &str, within: Duration) -> Result<(), LabError> {
        let commands = self.powered()?.commands;
        lock(&commands).send(self.name(), script, within)
    }

    /// All that came out of its console so far.
    pub fn console(&self) -> String {
        self.printed("console")
    }

    /// All that a program of [`MachineSpec::program`] has printed so far, through every boot.
    pub fn printed(&self, program: &str) -> String {
        let bytes = fs::read(self.path(&format!("{program}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The second QMP socket, for whoever switches the machine's power from outside. It is there
    /// while the machine has a QEMU.
    pub fn power_socket(&self) -> PathBuf {
        self.path("power")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.folder.join(name)
    }

    fn powered(&self) -> Result<Powered, LabError> {
        let powered = lock(&self.0.powered).clone();
        let cause = std::io::Error::other("it was not switched on, or lost its power");
        powered.ok_or(cause).step(|| format!("{} has no power", self.name()))
    }
}
