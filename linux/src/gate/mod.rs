//! The lease gate: the kernel silences an address whose lease has run out.
//!
//! # What it is for
//! A *managed* address is dropped on the given interfaces, in both directions, unless it is *open*;
//! it is open only until the last call's deadline, and the kernel itself compares that with time.
//! If everything above stops, hangs or is killed, the address falls silent without anybody's help.
//! Dropped is: coming in, ARP and neighbour solicitations that ask for the address and IP packets
//! to it; going out, ARP and neighbour advertisements that claim it and IP packets from it. All
//! other addresses pass untouched. The guard of a node uses it; nothing else does.
//!
//! # Strict devices
//! A MAC that belongs to services, on a macvlan, must leave by one port of the segment alone: the
//! switches learn it from any frame, whatever is in it. But the kernel speaks of its own accord:
//! listener reports and IGMP when an address or a group comes or goes, router solicitations,
//! duplicate address detection. Out of a device that is *strict* ([`Gate::be_strict_on`]) goes only
//! what an open address sends: an ARP packet by its sender, an IP packet by its source, a neighbour
//! advertisement by its target too. All else is dropped, whatever the protocol: also what comes
//! from an address that is not managed, or from none. So with the last address the MAC falls
//! silent, by the same clock. What comes in is judged as elsewhere. A successor takes the names
//! over.
//!
//! Such a device needs a link-local address among the managed ones, opened with the others, if it
//! serves IPv6: in its name the kernel asks again for neighbours that it knows (without it, it
//! forgets them and loses a packet each time) and tells switches that snoop which groups it is in.
//!
//! # Two forms, one gate
//! `ebpf` holds the deadline itself, in memory that the guard shares with the kernel: opening is
//! one store, and however late that store is, it can't lengthen anything. `nft` holds timeouts,
//! which count from when they arrive. [`Gate::install`] takes the first where the kernel and our
//! privileges allow it and says by [`Gate::fallback`] why it did not. Both drop the same packets.
//!
//! The table of the second form exists in both: without hooks it only remembers which addresses are
//! managed and which devices strict. So each form takes over from the other, and from versions that
//! know one of them alone, or no strict devices: those find the addresses where they always were.
//!
//! # Failures
//! What is refused changed nothing, and all else leaves addresses shut. Somebody who takes the
//! gate's parts away is noticed by the next call ([`GateError::Gone`]); [`Gate::repair`] puts them
//! back, shut. A guard that ends leaves the gate in place: killed, in its form, to shut at the
//! deadline; in order, by [`Gate::leave`], shut and in the form that every version knows.
//!
//! # Deliberately absent
//! Interfaces that are not given are not watched, neither is the loopback: give every interface on
//! which the address could be asked for. A strict device that a version without them takes over is
//! to it like any other: take it away before going back to one. No difference between a packet of
//! this node and one that it forwards for another holder: a node of the cluster is not its router,
//! and where the address stands on a bridge, the bridge is hooked, not its ports. A frame sent with
//! `PACKET_QDISC_BYPASS` passes by every egress hook; nothing in stead does that.

mod ebpf;
mod error;
#[cfg(test)]
mod fuzz;
mod nft;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use nix::net::if_::if_nametoindex;

use ebpf::Filters;
pub use error::GateError;
use nft::{Memory, Table};

/// Names of instances are at most this long.
pub const INSTANCE_LENGTH: usize = 32;
/// Names of devices are at most this long (`IFNAMSIZ`, without its closing zero).
const DEVICE_LENGTH: usize = 15;

/// The two forms of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Programs on the interfaces, with absolute deadlines.
    Ebpf,
    /// A table of nftables, with timeouts.
    Nftables,
}

impl Form {
    /// Both, the better one first.
    pub const ALL: [Self; 2] = [Self::Ebpf, Self::Nftables];
}

impl std::str::FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let form = Self::ALL.into_iter().find(|form| form.to_string() == name);
        form.ok_or_else(|| format!("{name:?} is no form of the gate: say ebpf or nftables"))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ebpf => "ebpf",
            Self::Nftables => "nftables",
        })
    }
}

/// What became of the devices that were to be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// They are not there.
    pub missing: Vec<String>,
    /// They can't have the filters of the eBPF form, as others use that place: managed addresses
    /// are shut there, always.
    pub refused: Vec<String>,
}

/// The gate of one guard. Dropping it leaves it in place: what is open shuts at its deadline.
pub struct Gate {
    /// What is to be managed and strict, whether or not all parts know it yet.
    wanted: Memory,
    /// The devices that are to be watched.
    devices: Vec<String>,
    table: Table,
    /// In the eBPF form; the table has no hooks then, save on devices that refuse the filters.
    filters: Option<Filters>,
    fallback: Option<GateError>,
}

impl Gate {
    /// Installs the gate of `instance` on `devices`, all addresses shut, in place of whatever an
    /// earlier process of that instance left; its managed addresses and strict devices are taken
    /// over. In the eBPF form if that is to be had. Devices that do not exist (yet) are left out:
    /// see [`Gate::watch`].
    ///
    /// # Errors
    /// See [`GateError`]; nothing was opened.
    pub fn install(instance: &str, devices: &[&str]) -> Result<Self, GateError> {
        match Self::install_form(Form::Ebpf, instance, devices) {
            Err(refused @ GateError::Ebpf { .. }) => {
                let mut gate = Self::install_form(Form::Nftables, instance, devices)?;
                gate.fallback = Some(refused);
                Ok(gate)
            }
            done => done,
        }
    }

    /// [`Gate::install`] in this form and no other.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was opened. [`GateError::Ebpf`] where that form is not to be had.
    pub fn install_form(form: Form, instance: &str, devices: &[&str]) -> Result<Self, GateError> {
        let wanted = nft::left_behind(instance)?;
        let devices = owned(devices);
        let hooks = hooks(&devices, &wanted.strict);
        let (table, filters) = match form {
            Form::Ebpf => {
                let filters = Filters::install(instance, &hooks, &wanted)?;
                // From here on the filters drop what is managed, so the table may lose its hooks.
                let mut table = Table::install(instance, &[], &wanted)?;
                table.keep_watch()?;
                (table, Some(filters))
            }
            Form::Nftables => {
                let table = Table::install(instance, &hooks, &wanted)?;
                ebpf::remove_leftovers(instance)?;
                (table, None)
            }
        };
        Ok(Self { wanted, devices, table, filters, fallback: None })
    }

    /// The form in force.
    #[must_use]
    pub fn form(&self) -> Form {
        if self.filters.is_some() { Form::Ebpf } else { Form::Nftables }
    }

    /// Why [`Gate::install`] did not take the eBPF form, if it did not.
    #[must_use]
    pub fn fallback(&self) -> Option<&GateError> {
        self.fallback.as_ref()
    }

    /// How late after its deadline the kernel may shut an address.
    #[must_use]
    pub fn slack(&self) -> Duration {
        if self.filters.is_some() { ebpf::SLACK } else { nft::slack() }
    }

    /// Packets that were dropped, where the form counts them within reach (eBPF).
    #[must_use]
    pub fn dropped(&self) -> Option<u64> {
        self.filters.as_ref().map(Filters::dropped)
    }

    /// Puts everything back as it ought to be, with all addresses shut: also those that a failed
    /// [`Gate::manage`] was to bring.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was opened, and not everything is in place: no managed address
    /// may stand on a device before this has worked.
    pub fn repair(&mut self) -> Result<Watched, GateError> {
        let hooks = hooks(&self.devices, &self.wanted.strict);
        match &mut self.filters {
            Some(filters) => {
                filters.shut_all();
                let watched = filters.repair(&hooks, &self.wanted)?;
                self.table.repair(&self.wanted, &watched.refused)?;
                Ok(watched)
            }
            None => {
                let missing = self.table.repair(&self.wanted, &hooks)?;
                Ok(Watched { missing, refused: Vec::new() })
            }
        }
    }

    /// Hooks exactly these devices, and the strict ones, and says which of them could not be. To be
    /// called again when one appears or is renamed, before it gets an address; calling it too often
    /// does no harm.
    ///
    /// # Errors
    /// See [`GateError`]. What was not done is done by [`Gate::repair`].
    pub fn watch(&mut self, devices: &[&str]) -> Result<Watched, GateError> {
        self.devices = owned(devices);
        self.hook()
    }

    /// The names of the devices on which the gate is strict, whether they are there or not.
    pub fn strict(&self) -> impl Iterator<Item = &str> {
        self.wanted.strict.iter().map(String::as_str)
    }

    /// Is strict on exactly these devices, of those that there are or will be: see the page. They
    /// are watched without being named to [`Gate::watch`]. A new device is hooked only by the next
    /// call of that or of this, and speaks as soon as it is up: create it, call one of them, see
    /// that it is neither missing nor refused, and only then turn it on.
    ///
    /// # Errors
    /// [`GateError::Device`]: nothing was changed. See [`GateError`] for others; what was not done
    /// is done by [`Gate::repair`].
    pub fn be_strict_on(&mut self, devices: &[&str]) -> Result<Watched, GateError> {
        let fits =
            |name: &&str| (1..=DEVICE_LENGTH).contains(&name.len()) && !name.contains(['/', '\0']);
        if let Some(bad) = devices.iter().find(|name| !fits(name)) {
            return Err(GateError::Device((*bad).to_owned()));
        }
        self.wanted.strict = owned(devices).into_iter().collect();
        self.hook()
    }

    fn hook(&mut self) -> Result<Watched, GateError> {
        let strict = &self.wanted.strict;
        let hooks = hooks(&self.devices, strict);
        match &mut self.filters {
            Some(filters) => {
                let watched = filters.watch(&hooks, strict)?;
                self.table.watch(&watched.refused, strict)?;
                Ok(watched)
            }
            None => {
                let missing = self.table.watch(&hooks, strict)?;
                Ok(Watched { missing, refused: Vec::new() })
            }
        }
    }

    /// The addresses under the gate.
    pub fn managed(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.wanted.managed.iter().copied()
    }

    /// Puts exactly these addresses under the gate. New ones are shut at once; those that are no
    /// longer named pass untouched from now on.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was opened. What was not done is done by [`Gate::repair`].
    pub fn manage(&mut self, addrs: &[IpAddr]) -> Result<(), GateError> {
        self.wanted.managed = addrs.iter().copied().collect();
        if let Some(filters) = &mut self.filters {
            filters.manage(&self.wanted.managed)?;
        }
        self.table.manage(&self.wanted.managed)
    }

    /// Opens addresses until `deadline` (microseconds of [`crate::clock::boottime`]) and never
    /// beyond it by more than [`Gate::slack`]; a deadline in the past shuts them.
    ///
    /// # Errors
    /// [`GateError::Late`]: the addresses are shut. See [`GateError`] for others.
    pub fn open_until(&mut self, addrs: &[IpAddr], deadline: u64) -> Result<(), GateError> {
        match &mut self.filters {
            Some(filters) => {
                filters.open_until(addrs, deadline)?;
                // It is all that a successor would know of what is managed.
                self.table.look_after_memory()
            }
            None => self.table.open_until(addrs, deadline),
        }
    }

    /// Shuts addresses at once.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub fn shut(&mut self, addrs: &[IpAddr]) -> Result<(), GateError> {
        match &mut self.filters {
            Some(filters) => filters.open_until(addrs, 0),
            None => self.table.shut_many(addrs),
        }
    }

    /// Shuts everything at once, whatever is believed to be open.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub fn shut_all(&mut self) -> Result<(), GateError> {
        match &mut self.filters {
            Some(filters) => {
                filters.shut_all();
                Ok(())
            }
            None => self.table.shut_all(),
        }
    }

    /// Ends in order: leaves everything shut, strict devices included, in the form that every
    /// version can take over.
    ///
    /// # Errors
    /// See [`GateError`]; the addresses are shut all the same.
    pub fn leave(mut self) -> Result<(), GateError> {
        self.shut_all()?;
        if let Some(mut filters) = self.filters {
            let strict = &self.wanted.strict;
            self.table.watch(&hooks(&self.devices, strict), strict)?;
            filters.remove()?;
        }
        Ok(())
    }

    /// Takes the gate away: nothing is dropped any more.
    ///
    /// # Errors
    /// See [`GateError`]; the gate, or a part of it, is still there.
    pub fn remove(self) -> Result<(), GateError> {
        if let Some(mut filters) = self.filters {
            filters.remove()?;
        }
        self.table.remove()
    }
}

/// Takes away what an earlier process of this instance left; says whether there was anything.
///
/// # Errors
/// See [`GateError`]; nothing was opened that is still managed by somebody.
pub fn uninstall_leftovers(instance: &str) -> Result<bool, GateError> {
    let table = nft::uninstall_leftovers(instance)?;
    let filters = ebpf::remove_leftovers(instance)?;
    Ok(table || filters)
}

/// What the parts of an instance's gate are called in the kernel.
fn name_of(instance: &str) -> Result<String, GateError> {
    let fits = (1..=INSTANCE_LENGTH).contains(&instance.len())
        && instance.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(format!("stead-{instance}")) } else { Err(GateError::Name(instance.to_owned())) }
}

/// The devices that have to be hooked: a strict one has to be whether or not somebody asked.
fn hooks(devices: &[String], strict: &BTreeSet<String>) -> Vec<String> {
    let all: BTreeSet<&String> = devices.iter().chain(strict).collect();
    all.into_iter().cloned().collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The devices that are there, and those that are not.
fn sort_out(devices: &[String]) -> (Vec<String>, Vec<String>) {
    devices.iter().cloned().partition(|device| if_nametoindex(device.as_str()).is_ok())
}
