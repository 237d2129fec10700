//! Locks: what locked-down switches and routers do against addresses that move.
//!
//! What it is for: a takeover is a MAC or an IP address that turns up at another port. That is also
//! what an attack looks like, and switches can be told to refuse it. Each [`Lock`] is one such
//! feature, on one port of a [`crate::Switch`]; [`Bed::lock`] turns it on, [`Bed::unlock`] off.
//! [`Bed::pin_neighbour`] is the static entry of a client or a gateway.
//!
//! Happy path: `bed.lock(&link, &Lock::NoGratuitous)`, try a takeover, `bed.unlock(locked)`.
//!
//! ```text
//!              learns     lets in through this port             what vendors call it
//! PinMac       nothing    all; frames for the MAC go here       sticky or static secure MAC
//! OnlyMacs     nothing    frames of these MACs                  port security, maximum N
//! Ageing       as ever    its MACs, and nowhere else, until     port security with ageing by
//!                         they were silent for a while          inactivity
//! Inspected    as ever    ARP and ND of these addresses, IP     dynamic ARP and ND inspection
//! Guarded      as ever    IP from these addresses, ARP          IP source guard
//! NoGratuitous as ever    ARP and ND, but no announcements      gratuitous ARP refused
//! Answered     as ever    all; answers for the port itself      ARP suppression of a VXLAN fabric
//! ArpRate      as ever    so many ARP and ND a second           ARP rate limit
//! ```
//!
//! Failures: [`LabError`] says which program of `iproute2` or `nftables` refused what. A lock that
//! failed half-way stays as far as it got, until its bed ends.
//!
//! Deliberately absent: err-disable (a port that is shut down for good at the first violation): to
//! a client that is [`Bed::cut_link`].

mod rules;

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use stead_linux::namespace::NetNs;
use stead_linux::netlink::Mac;

use crate::bed::Bed;
use crate::error::{LabError, Step};
use crate::host::Host;
use crate::link::Link;
use crate::switch::BRIDGE;

/// What a port of a switch is locked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// Frames for this MAC go to this port, whatever port frames from it come in by.
    PinMac(Mac),
    /// Only frames from these MACs come in; nothing is learned from the others.
    OnlyMacs(Vec<Mac>),
    /// A MAC that was heard at this port is refused at every other one, until this port has not
    /// heard it for so long.
    Ageing(Duration),
    /// Only these addresses may be spoken for in ARP and neighbour discovery.
    Inspected(Vec<IpAddr>),
    /// Only from these addresses may packets be sent, those of neighbour discovery among them.
    Guarded(Vec<IpAddr>),
    /// No ARP about its own sender, and no neighbour advertisement that nobody asked for, comes in.
    NoGratuitous,
    /// Who asks for one of these addresses is answered by the switch out of this table, if the MAC
    /// is behind a port that is locked so. The question never leaves through this port.
    Answered(Vec<(IpAddr, Mac)>),
    /// No more than so many ARP packets, and as many of neighbour discovery, come in each second.
    ArpRate(u32),
}

/// A lock that was turned on. To drop it leaves it on.
#[derive(Debug)]
#[must_use]
pub struct Locked {
    namespace: NetNs,
    /// How it is turned off again, in this order.
    undo: Vec<Vec<String>>,
}

/// A neighbour entry that was set by hand. To drop it leaves it in place.
#[derive(Debug)]
#[must_use]
pub struct Pinned(Locked);

impl Bed {
    /// Locks the port of the switch at which a cable ends.
    pub fn lock(&self, link: &Link, lock: &Lock) -> Result<Locked, LabError> {
        let (switch, port) = link.port()?;
        let mut locked = Locked { namespace: switch.namespace().clone(), undo: Vec::new() };
        match lock {
            Lock::PinMac(mac) => locked.pin(*mac, &port)?,
            Lock::OnlyMacs(macs) => {
                for mac in macs {
                    locked.pin(*mac, &port)?;
                }
                let set = |locked: &str, learning: &str| {
                    let port = port.as_str();
                    words(&[
                        "bridge", "link", "set", "dev", port, "locked", locked, "learning",
                        learning,
                    ])
                };
                locked.perform(&set("on", "off"), set("off", "on"))?;
            }
            Lock::Answered(table) => locked.answer(table, &port)?,
            Lock::Ageing(silence) => locked.filter(&port, &rules::ageing(&port, *silence))?,
            Lock::Inspected(addrs) => locked.filter(&port, &rules::inspected(&port, addrs))?,
            Lock::Guarded(addrs) => locked.filter(&port, &rules::guarded(&port, addrs))?,
            Lock::NoGratuitous => locked.filter(&port, &rules::no_gratuitous(&port))?,
            Lock::ArpRate(each_second) => {
                locked.filter(&port, &rules::arp_rate(&port, *each_second))?;
            }
        }
        Ok(locked)
    }

    /// Turns a lock off.
    pub fn unlock(&self, locked: Locked) -> Result<(), LabError> {
        locked.undo.iter().try_for_each(|command| run(&locked.namespace, command, ""))
    }

    /// Sets an entry in a host's neighbour table by hand: no announcement changes it, and it does
    /// not age.
    pub fn pin_neighbour(
        &self,
        host: &Host,
        link: &Link,
        addr: IpAddr,
        mac: Mac,
    ) -> Result<Pinned, LabError> {
        let mut locked = Locked { namespace: host.namespace(), undo: Vec::new() };
        locked.neighbour(link.ifname(), addr, mac)?;
        Ok(Pinned(locked))
    }

    /// Removes such an entry.
    pub fn unpin_neighbour(&self, pinned: Pinned) -> Result<(), LabError> {
        self.unlock(pinned.0)
    }
}

impl Locked {
    /// Runs a command, and remembers what undoes it.
    fn perform(&mut self, command: &[String], undo: Vec<String>) -> Result<(), LabError> {
        run(&self.namespace, command, "")?;
        self.undo.push(undo);
        Ok(())
    }

    /// Plain `static` is not enough: such an entry still moves with the frames it is seen in.
    fn pin(&mut self, mac: Mac, port: &str) -> Result<(), LabError> {
        let mac = mac.to_string();
        let set = ["bridge", "fdb", "replace", &mac, "dev", port, "master", "static", "sticky"];
        let undo = ["bridge", "fdb", "del", &mac, "dev", port, "master"];
        self.perform(&words(&set), words(&undo))
    }

    fn neighbour(&mut self, device: &str, addr: IpAddr, mac: Mac) -> Result<(), LabError> {
        let (addr, mac) = (addr.to_string(), mac.to_string());
        let set =
            ["ip", "neigh", "replace", &addr, "lladdr", &mac, "nud", "permanent", "dev", device];
        let undo = ["ip", "neigh", "del", &addr, "dev", device];
        self.perform(&words(&set), words(&undo))
    }

    /// The kernel answers only for neighbours of the bridge itself whose MAC it has learned behind
    /// a port that is to be spared the questions.
    fn answer(&mut self, table: &[(IpAddr, Mac)], port: &str) -> Result<(), LabError> {
        for (addr, mac) in table {
            self.neighbour(BRIDGE, *addr, *mac)?;
        }
        let set = |on: &str| words(&["bridge", "link", "set", "dev", port, "neigh_suppress", on]);
        self.perform(&set("on"), set("off"))
    }

    /// Loads a table of rules that has the port's name and the lock's.
    fn filter(&mut self, port: &str, rules: &rules::Rules) -> Result<(), LabError> {
        let table = format!("{}-{port}", rules.name);
        let text = format!("table bridge {table} {{\n{}}}\n", rules.text);
        run(&self.namespace, &words(&["nft", "-f", "-"]), &text)?;
        self.undo.push(words(&["nft", "delete", "table", "bridge", &table]));
        Ok(())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs a program inside a namespace, with that input; it must succeed.
fn run(namespace: &NetNs, command: &[String], input: &str) -> Result<(), LabError> {
    let what = || format!("cannot run `{}`", command.join(" "));
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let outcome = namespace.run(|| {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        // dropped at once, so that the program sees the end of it
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    });
    let output = outcome.step(what)?.step(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(std::io::Error::other(said)).step(what)
}
