//! The eBPF form: a program for each packet, which compares an absolute deadline with the clock.
//!
//! # How it works
//! On each side of each device hangs one filter named `stead-<instance>` (`tc filter show dev DEV
//! ingress`), with a program that we assemble ourselves (`asm`, `program`): one for what comes in,
//! one for what goes out, another for what goes out of a strict device. All of them share two
//! maps. One leads from a managed address to a slot, the other from a slot to a deadline in
//! nanoseconds of `CLOCK_BOOTTIME`, the clock that the programs read too. The second one is mapped
//! into the guard's memory: to open an address is one store of eight bytes, to shut it as well.
//! Because the deadline is absolute, a guard that is held up between computing and storing it
//! stores something that has passed. Because the clock counts suspend, so does the gate.
//!
//! # Why filters of `clsact`, not links
//! Filters live in the device and hold program and maps: they outlive the guard without a file
//! system to pin them in, vanish with the network namespace, can be listed and removed with
//! `CAP_NET_ADMIN` alone, and are replaced one for one between two packets. Links (`tcx`) would
//! have to be pinned, in a file system that may not be mounted, or mounted for this process only,
//! and would then end with it. A former guard's maps can't be opened without `CAP_SYS_ADMIN`, so a
//! successor brings its own, shut, and learns what is managed from the table of `nft`.
//!
//! # Failures
//! Whatever the kernel refuses is a [`GateError::Ebpf`] with the verifier's words, and the caller
//! takes the other form. The clock is compared once, at the start: in a time namespace ours is not
//! the kernel's, and this form is refused. Filters have no owner: someone may take them away. The
//! kernel tells of every change, and the next call looks whether ours are still there.
//!
//! # Deliberately absent
//! No clang, no skeleton, no loader crate: three programs of less than 300 instructions. A `clsact`
//! qdisc that we made stays when our filters go, since another may use it by then. What a program
//! before ours redirects or accepts (`XDP`, a filter of the same priority that came later) is not
//! seen.

mod asm;
mod bpf;
mod program;
mod tc;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::net::if_::if_nametoindex;

use super::{GateError, Memory, Watched, name_of, sort_out};
use crate::clock;
use bpf::{Map, Program, Slots};
use program::{CLOCK, DROPS, Direction, KEY, Maps};
use tc::Tc;

/// How late an address may be shut: a packet that was judged just before is still on its way.
pub(super) const SLACK: Duration = Duration::from_millis(1);

/// How many slots there are.
const SLOTS: u32 = 16_384;
/// The first one that is an address's.
const FIRST: u32 = CLOCK + 1;
/// How far the kernel's fast clock may be from ours at the same moment.
const CLOCKS_APART: u64 = 1_000_000;
/// The shortest frame that the kernel runs a program on.
const SHORTEST_FRAME: usize = 64;

/// A program, and the kernel's number of it.
struct Loaded {
    program: Program,
    id: u32,
}

impl Loaded {
    fn new(code: &[asm::Instruction]) -> Result<Self, GateError> {
        let program = Program::load(code)?;
        Ok(Self { id: program.id()?, program })
    }
}

struct Programs {
    incoming: Loaded,
    outgoing: Loaded,
    /// For what goes out of a strict device.
    strict: Loaded,
}

impl Programs {
    fn load(maps: Maps<'_>) -> Result<Self, GateError> {
        Ok(Self {
            incoming: Loaded::new(&program::gate(Direction::In, maps))?,
            outgoing: Loaded::new(&program::gate(Direction::Out, maps))?,
            strict: Loaded::new(&program::strict_gate(maps))?,
        })
    }

    /// The two of a device.
    fn of(&self, strict: bool) -> [(Direction, &Loaded); 2] {
        let outgoing = if strict { &self.strict } else { &self.outgoing };
        [(Direction::In, &self.incoming), (Direction::Out, outgoing)]
    }
}

/// The filters of one guard. Dropping it leaves them in place, with the deadlines they have.
pub(super) struct Filters {
    name: String,
    tc: Tc,
    addresses: Map,
    slots: Slots,
    programs: Programs,
    /// The devices that have our filters, by number, and whether they are strict.
    hooked: BTreeMap<u32, bool>,
    /// Of these it is not known whether they still have them; `None`: of any.
    suspect: Option<BTreeSet<u32>>,
    taken: BTreeMap<IpAddr, u32>,
    free: Vec<u32>,
}

impl Filters {
    /// Puts filters on the devices, in place of those that an earlier process left. What is managed
    /// by `memory` is shut.
    ///
    /// # Errors
    /// See [`GateError`]. Where there were no filters before there are none now.
    pub(super) fn install(
        instance: &str,
        devices: &[String],
        memory: &Memory,
    ) -> Result<Self, GateError> {
        let name = name_of(instance)?;
        let tc = Tc::open().map_err(|source| GateError::Ebpf {
            step: "speak of traffic control",
            detail: String::new(),
            source,
        })?;
        let addresses = Map::hash::<KEY>(SLOTS)?;
        let slots = Slots::new(SLOTS)?;
        let maps = Maps { addresses: addresses.as_fd(), slots: slots.as_fd() };
        let programs = Programs::load(maps)?;
        let mut filters = Self {
            name,
            tc,
            addresses,
            slots,
            programs,
            hooked: BTreeMap::new(),
            suspect: None,
            taken: BTreeMap::new(),
            free: (FIRST..SLOTS).rev().collect(),
        };
        filters.compare_clocks()?;
        filters.manage(&memory.managed)?;
        filters.take_over(devices, &memory.strict)?;
        Ok(filters)
    }

    /// The kernel's clock must be ours: else every deadline would mean something else.
    fn compare_clocks(&self) -> Result<(), GateError> {
        let clock = Program::load(&program::clock(self.slots.as_fd()))?;
        let before = clock::boottime() * 1_000;
        clock.try_on(&[0; SHORTEST_FRAME])?;
        let after = clock::boottime() * 1_000;
        let kernel = self.slots.slot(CLOCK).load(Ordering::SeqCst);
        let near = before.saturating_sub(CLOCKS_APART)..=after.saturating_add(CLOCKS_APART);
        if near.contains(&kernel) {
            return Ok(());
        }
        Err(GateError::Ebpf {
            step: "use the clock of this process",
            detail: "it is in a time namespace".to_owned(),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    /// Hooks the devices. If one can't be, those that were free before are free again.
    fn take_over(
        &mut self,
        devices: &[String],
        strict: &BTreeSet<String>,
    ) -> Result<(), GateError> {
        let mut new = Vec::new();
        let mut result = Ok(());
        for device in sort_out(devices).0 {
            let Some(index) = index_of(&device) else { continue };
            let there = self.tc.filters(&self.name, index, Direction::In)?;
            if there.is_empty() {
                new.push(index);
            }
            result = self.hook(index, strict.contains(&device));
            if result.is_err() {
                break;
            }
        }
        if result.is_err() {
            for index in new {
                self.tc.unhook(&self.name, index)?;
            }
            return result;
        }
        // Also what an earlier process hooked: whatever has our name and is not wanted goes.
        for index in self.tc.devices()? {
            self.hooked.entry(index).or_insert(false);
        }
        self.watch(devices, strict).map(drop)
    }

    fn hook(&mut self, index: u32, strict: bool) -> Result<(), GateError> {
        for (side, loaded) in self.programs.of(strict) {
            self.tc.hook(&self.name, index, side, loaded.program.as_fd())?;
        }
        self.hooked.insert(index, strict);
        Ok(())
    }

    /// Whether both sides of a device have our filters, with the programs that they ought to have.
    fn intact(&mut self, index: u32, strict: bool) -> Result<bool, GateError> {
        for (side, loaded) in self.programs.of(strict) {
            let filters = self.tc.filters(&self.name, index, side)?;
            if !filters.iter().any(|filter| filter.program == loaded.id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hooks exactly these devices, and is strict on those that are named so.
    ///
    /// # Errors
    /// See [`GateError`].
    pub(super) fn watch(
        &mut self,
        devices: &[String],
        strict: &BTreeSet<String>,
    ) -> Result<Watched, GateError> {
        self.note_changes();
        let (present, missing) = sort_out(devices);
        let mut refused = Vec::new();
        let mut wanted = BTreeMap::new();
        for device in present {
            // One that has just gone again is told as missing the next time.
            let Some(index) = index_of(&device) else { continue };
            let strict = strict.contains(&device);
            let sure = self.hooked.get(&index) == Some(&strict) && self.is_sure(index);
            if sure || self.intact(index, strict)? || self.hook(index, strict).is_ok() {
                wanted.insert(index, strict);
            } else if self.tc.exists(index)? {
                refused.push(device);
            }
        }
        for index in self.hooked.keys().filter(|index| !wanted.contains_key(index)) {
            self.tc.unhook(&self.name, *index)?;
        }
        self.hooked = wanted;
        self.suspect = Some(BTreeSet::new());
        Ok(Watched { missing, refused })
    }

    /// Takes note of what the kernel told of changes. It is kept until somebody has looked at all
    /// of it; what is told meanwhile waits for the next look.
    fn note_changes(&mut self) {
        let changed = self.tc.changed();
        self.suspect = self.suspect.take().zip(changed).map(|(mut suspect, changed)| {
            suspect.extend(changed);
            suspect
        });
    }

    /// Whether a device is known to have what it had.
    fn is_sure(&self, index: u32) -> bool {
        self.suspect.as_ref().is_some_and(|suspect| !suspect.contains(&index))
    }

    /// Puts filters and addresses back, all shut.
    ///
    /// # Errors
    /// See [`GateError`].
    pub(super) fn repair(
        &mut self,
        devices: &[String],
        memory: &Memory,
    ) -> Result<Watched, GateError> {
        self.shut_all();
        self.suspect = None;
        self.manage(&memory.managed)?;
        for (addr, slot) in &self.taken {
            self.addresses.put(&key(*addr), *slot)?;
        }
        self.watch(devices, &memory.strict)
    }

    /// Puts exactly these addresses under the gate; new ones are shut.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn manage(&mut self, wanted: &BTreeSet<IpAddr>) -> Result<(), GateError> {
        let new: Vec<_> =
            wanted.iter().copied().filter(|addr| !self.taken.contains_key(addr)).collect();
        if self.free.len() < new.len() {
            return Err(GateError::Full { room: (SLOTS - FIRST) as usize });
        }
        for (at, addr) in new.iter().enumerate() {
            let slot = self.free[self.free.len() - 1 - at];
            if let Err(error) = self.addresses.put(&key(*addr), slot) {
                for undone in &new[..at] {
                    self.addresses.delete(&key(*undone))?;
                }
                return Err(error);
            }
        }
        for addr in new {
            if let Some(slot) = self.free.pop() {
                self.taken.insert(addr, slot);
            }
        }
        let old: Vec<_> =
            self.taken.keys().copied().filter(|addr| !wanted.contains(addr)).collect();
        for addr in old {
            self.addresses.delete(&key(addr))?;
            if let Some(slot) = self.taken.remove(&addr) {
                self.slots.slot(slot).store(0, Ordering::SeqCst);
                self.free.push(slot);
            }
        }
        Ok(())
    }

    /// Opens addresses until `deadline`, in microseconds; one that has passed shuts them.
    ///
    /// # Errors
    /// See [`GateError`].
    pub(super) fn open_until(&mut self, addrs: &[IpAddr], deadline: u64) -> Result<(), GateError> {
        if let Some(addr) = addrs.iter().find(|addr| !self.taken.contains_key(addr)) {
            return Err(GateError::NotManaged(*addr));
        }
        let deadline = deadline.saturating_mul(1_000);
        for slot in addrs.iter().filter_map(|addr| self.taken.get(addr)) {
            self.slots.slot(*slot).store(deadline, Ordering::SeqCst);
        }
        self.look_after_filters()
    }

    /// Whether all filters are where they were, save on devices that are gone.
    fn look_after_filters(&mut self) -> Result<(), GateError> {
        self.note_changes();
        for (index, strict) in self.hooked.clone() {
            if self.is_sure(index) || self.intact(index, strict)? {
                continue;
            }
            if self.tc.exists(index)? {
                return Err(GateError::Gone);
            }
            self.hooked.remove(&index);
        }
        self.suspect = Some(BTreeSet::new());
        Ok(())
    }

    /// Shuts everything.
    pub(super) fn shut_all(&mut self) {
        for slot in self.taken.values() {
            self.slots.slot(*slot).store(0, Ordering::SeqCst);
        }
    }

    /// How many packets were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.slots.slot(DROPS).load(Ordering::Relaxed)
    }

    /// Takes all filters away.
    ///
    /// # Errors
    /// See [`GateError`]; some may still be there.
    pub(super) fn remove(&mut self) -> Result<(), GateError> {
        remove_all(&mut self.tc, &self.name).map(drop)
    }
}

/// Takes away the filters that an earlier process of this instance left; says whether there were
/// any.
///
/// # Errors
/// See [`GateError`]; some may still be there.
pub(super) fn remove_leftovers(instance: &str) -> Result<bool, GateError> {
    let mut tc = Tc::open().map_err(GateError::Unreachable)?;
    remove_all(&mut tc, &name_of(instance)?)
}

fn remove_all(tc: &mut Tc, name: &str) -> Result<bool, GateError> {
    let mut any = false;
    for index in tc.devices()? {
        any |= tc.unhook(name, index)?;
    }
    Ok(any)
}

fn index_of(device: &str) -> Option<u32> {
    if_nametoindex(device).ok()
}

/// What the programs look an address up by.
fn key(addr: IpAddr) -> [u8; KEY] {
    let mut key = [0; KEY];
    let (family, rest) = key.split_at_mut(4);
    match addr {
        IpAddr::V4(addr) => {
            family.copy_from_slice(&program::V4.to_ne_bytes());
            rest[..4].copy_from_slice(&addr.octets());
        }
        IpAddr::V6(addr) => {
            family.copy_from_slice(&program::V6.to_ne_bytes());
            rest.copy_from_slice(&addr.octets());
        }
    }
    key
}
