//! The nftables form: a set whose elements end by themselves; and the table of both forms.
//!
//! # How it works
//! One table of family `netdev` named `stead-<instance>`: a base chain for ingress and egress of
//! each device at priority -300, which jump to shared chains: `ingress`, and `egress` or, on a
//! strict device, `strict`; sets `managed4`, `managed6`, `strict` without and `open4`, `open4b`,
//! `open6`, `open6b` with timeouts. Each call is one batch in one `sendmsg`, applied by the kernel
//! as a whole or not at all.
//!
//! The eBPF form has this table too, with no device hooked: it is where a successor finds which
//! addresses are managed and which devices strict, and what says that a guard still lives.
//!
//! *Re-arming.* Before Linux 6.12 the timeout of an element can't be changed, and deleting and
//! adding it in one batch leaves a moment in which a packet on another processor may find neither.
//! So each address has two slots, and a re-arm replaces the older one: the younger is not touched,
//! and not one packet is lost. A packet is dropped only if neither slot is alive. (An earlier end
//! than before empties the younger slot too.) One re-arm costs 9 microseconds when the caches are
//! warm, and 2 more for each further address.
//!
//! # Granularity
//! The kernel compares an element's end with jiffies whenever a packet is looked up; nothing has to
//! run for it to end. Milliseconds are rounded down to jiffies and counted from the last tick, so
//! an address closes up to two ticks *early* (8 ms at HZ=250; measured over 500 openings of 20 ms:
//! 0.04 to 4 ms early for 99 of 100), and late only as far as the tick itself is late: one tick
//! when the processor that keeps time goes to sleep and another takes over, and on a virtual
//! machine for as long as that processor gets no time. A timeout below one tick would round to
//! zero, which the kernel reads as "for ever": whatever is below [`SHORTEST`] shuts the address
//! instead. Jiffies stand still while the machine is suspended: an open element outlives suspend by
//! what was left of it. Machines that can suspend need the other form of the gate, or the guard to
//! shut it before (it has at most the lease's length to do harm).
//! A timeout is relative: if the process is held up between reading the clock and the kernel's
//! work, the element ends that much later. [`Table::open_until`] reads the clock again and mends
//! it.
//!
//! # Failures
//! A refused batch changed nothing. From Linux 6.9 the table belongs to its maker while that lives
//! (`nft flush ruleset` passes it by) and stays after its death. On older kernels somebody may
//! remove it: the next call then says [`GateError::Gone`], and [`Table::repair`] puts it back,
//! shut. [`Table::install`] replaces what an earlier process of the same instance left, in one
//! batch; what that one managed stays managed, so an address is never free between two guards.
//!
//! # Deliberately absent
//! No reading of rules made by others, no running of `nft`. No wrapping crate: `rustables` is under
//! the GPL, `nftnl` needs a C library, `nftables` runs the program; the dozen messages needed are
//! written here.

mod plan;
mod read;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::GateError;
use super::wire::{self, Batch, Changes, Channel, Protocol};
use crate::clock::{self, jiffy};
use plan::Plan;
use read::exists;
pub(super) use read::{Memory, left_behind};
use rules::{Element, Family};

/// The shortest time for which an address can be opened: one tick of the slowest kernel.
pub(super) const SHORTEST: Duration = Duration::from_millis(10);

/// How long the process may be held up between reading the clock and the kernel's work before the
/// time is set anew.
const HELD_UP: Duration = Duration::from_millis(2);

/// The tick that is assumed of a kernel that does not say its own.
const LONGEST_TICK: Duration = Duration::from_millis(10);

/// The group that is told of every change to nftables (`NFNLGRP_NFTABLES`).
const CHANGES: u32 = 1 << 6;

/// The end, in microseconds of [`clock::boottime`], after which an element surely is no more; zero
/// where there is none. One for each slot.
type Ends = [u64; 2];

/// How late the kernel may shut an address: by its tick, and by how long the process may be held
/// up.
pub(super) fn slack() -> Duration {
    HELD_UP + jiffy().unwrap_or(LONGEST_TICK)
}

/// The table of one guard. Dropping it leaves the table and its running timeouts in place.
pub(super) struct Table {
    channel: Channel,
    table: String,
    managed: BTreeMap<IpAddr, Ends>,
    /// The names of the devices on which it is strict, hooked here or not.
    strict: BTreeSet<String>,
    /// What the kernel tells of changes, where somebody wants to know.
    changes: Option<Changes>,
    /// Something was told, and nobody has looked yet.
    suspect: bool,
}

impl Table {
    fn new(channel: Channel, table: String) -> Self {
        let (managed, strict) = (BTreeMap::new(), BTreeSet::new());
        Self { channel, table, managed, strict, changes: None, suspect: false }
    }

    /// Installs the gate of `instance` on `devices`, with what is in `memory` and all addresses
    /// shut, in place of whatever an earlier process of that instance left. Devices that do not
    /// exist (yet) are left out: see [`Table::watch`].
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn install(
        instance: &str,
        devices: &[String],
        memory: &Memory,
    ) -> Result<Self, GateError> {
        let table = super::name_of(instance)?;
        let channel = Channel::open(Protocol::Netfilter).map_err(GateError::Unreachable)?;
        let mut gate = Self::new(channel, table);
        gate.repair(memory, devices)?;
        Ok(gate)
    }

    /// From now on [`Table::look_after_memory`] knows of changes by others.
    ///
    /// # Errors
    /// See [`GateError`].
    pub(super) fn keep_watch(&mut self) -> Result<(), GateError> {
        let changes = Changes::of(Protocol::Netfilter, CHANGES).map_err(GateError::Unreachable)?;
        self.changes = Some(changes);
        Ok(())
    }

    /// Whether the table still says what is managed, and where it is strict.
    ///
    /// # Errors
    /// [`GateError::Gone`] if it does not.
    pub(super) fn look_after_memory(&mut self) -> Result<(), GateError> {
        let Some(changes) = &self.changes else { return Ok(()) };
        let mut told = false;
        let whole = changes.take(|_| told = true);
        self.suspect |= told || !whole;
        if !self.suspect {
            return Ok(());
        }
        let remembered = self.remembered()?.ok_or(GateError::Gone)?;
        let managed = remembered.managed.iter().eq(self.managed.keys());
        if !managed || remembered.strict != self.strict {
            return Err(GateError::Gone);
        }
        self.suspect = false;
        Ok(())
    }

    /// Puts the table back as it ought to be: what is in `memory` is managed and shut, or strict,
    /// and these devices are hooked, in one batch. Says which of them are missing.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn repair(
        &mut self,
        memory: &Memory,
        devices: &[String],
    ) -> Result<Vec<String>, GateError> {
        let leftover = exists(&mut self.channel, &self.table)?;
        let (present, missing) = super::sort_out(devices);
        let mut result = Ok(());
        // Kernels before 6.9 know no lasting ownership, those before 5.12 no ownership at all.
        for flags in [rules::OWNED_AND_LASTING, 0] {
            let mut batch = Batch::default();
            if leftover {
                rules::delete_table(&mut batch, &self.table);
            }
            rules::create_table(&mut batch, &self.table, flags);
            for family in Family::ALL {
                let members = lasting(memory.managed.iter().copied(), family);
                rules::add(&mut batch, &self.table, family.managed(), &members);
            }
            rules::add_strict(&mut batch, &self.table, memory.strict.iter());
            for device in &present {
                rules::hook(&mut batch, &self.table, device, memory.strict.contains(device));
            }
            result = self.channel.commit(&batch);
            match &result {
                Err(refusal) if refusal.step == "create the table" => {}
                Ok(()) | Err(_) => break,
            }
        }
        result.map_err(|refusal| {
            if refusal.is(libc::EPERM) && leftover { GateError::Owned } else { refusal.into() }
        })?;
        self.managed = memory.managed.iter().map(|addr| (*addr, [0; 2])).collect();
        self.strict.clone_from(&memory.strict);
        Ok(missing)
    }

    /// Hooks exactly these devices, is strict on those that are named so, and returns those that
    /// do not exist. To be called again when one appears or is renamed, before it gets an address;
    /// calling it too often does no harm.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn watch(
        &mut self,
        devices: &[String],
        strict: &BTreeSet<String>,
    ) -> Result<Vec<String>, GateError> {
        let (present, missing) = super::sort_out(devices);
        let hooked = self.hooked()?;
        let names = |device: &String| rules::hook_names(device, strict.contains(device));
        let intact = |device: &String| {
            names(device).iter().all(|name| hooked.get(name).is_some_and(|on| on == device))
        };
        let mut batch = Batch::default();
        rules::add_strict(&mut batch, &self.table, strict.difference(&self.strict));
        rules::delete_strict(&mut batch, &self.table, self.strict.difference(strict));
        for chain in hooked.keys() {
            let kept = devices.iter().any(|it| intact(it) && names(it).contains(chain));
            if !kept {
                rules::unhook(&mut batch, &self.table, chain);
            }
        }
        for device in present.iter().filter(|device| !intact(device)) {
            rules::hook(&mut batch, &self.table, device, strict.contains(device));
        }
        self.commit(&batch)?;
        self.strict.clone_from(strict);
        Ok(missing)
    }

    /// Puts exactly these addresses under the gate. New ones are shut at once; those that are no
    /// longer named pass untouched from now on.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn manage(&mut self, wanted: &BTreeSet<IpAddr>) -> Result<(), GateError> {
        let new = || wanted.iter().copied().filter(|addr| !self.managed.contains_key(addr));
        let old = || self.managed.keys().copied().filter(|addr| !wanted.contains(addr));
        let mut batch = Batch::default();
        for family in Family::ALL {
            let set = family.managed();
            rules::add(&mut batch, &self.table, set, &lasting(new(), family));
            rules::delete(&mut batch, &self.table, set, &lasting(old(), family));
            for slot in 0..2 {
                let gone = brief(old(), family);
                rules::delete(&mut batch, &self.table, family.open(slot), &gone);
            }
        }
        self.commit(&batch)?;
        self.managed.retain(|addr, _| wanted.contains(addr));
        for addr in wanted {
            self.managed.entry(*addr).or_insert([0; 2]);
        }
        Ok(())
    }

    /// Opens addresses for a time from now, in one batch, in place of what they had; below
    /// [`SHORTEST`] they are shut.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    fn open_many(&mut self, wanted: &[(IpAddr, Duration)]) -> Result<(), GateError> {
        let wanted: BTreeMap<IpAddr, Duration> = wanted.iter().copied().collect();
        if let Some(addr) = wanted.keys().find(|addr| !self.managed.contains_key(addr)) {
            return Err(GateError::NotManaged(*addr));
        }
        let now = clock::boottime();
        let mut plan = Plan::default();
        for (addr, timeout) in &wanted {
            plan.arm(*addr, *timeout, now, self.managed[addr]);
        }
        let done = self.commit(&plan.batch(&self.table));
        let after = clock::boottime();
        if let Err(error) = done {
            if matches!(error, GateError::Unsure(_)) {
                // Both slots may be alive: the next call on these addresses empties both.
                self.managed.extend(wanted.keys().map(|addr| (*addr, [u64::MAX; 2])));
            }
            return Err(error);
        }
        for (addr, ends) in plan.ends {
            // The kernel's time began at the latest when the call returned.
            let ends = ends.map(|end| end.at(after));
            self.managed.insert(addr, ends);
        }
        Ok(())
    }

    /// Opens addresses until `deadline` (microseconds of [`clock::boottime`]) and never beyond it
    /// by more than [`slack`]: if the process was held up on the way, the time is set anew, and
    /// after three such attempts the addresses are shut.
    ///
    /// # Errors
    /// [`GateError::Late`]: the addresses are shut. See [`GateError`] for others.
    pub(super) fn open_until(&mut self, addrs: &[IpAddr], deadline: u64) -> Result<(), GateError> {
        self.open_within(addrs, deadline, HELD_UP)
    }

    /// [`Table::open_until`], for a process that may be held up for that long.
    fn open_within(
        &mut self,
        addrs: &[IpAddr],
        deadline: u64,
        held_up_at_most: Duration,
    ) -> Result<(), GateError> {
        let mut held_up = Duration::ZERO;
        for _ in 0..3 {
            let before = clock::boottime();
            let left = Duration::from_micros(deadline.saturating_sub(before));
            let wanted: Vec<_> = addrs.iter().map(|addr| (*addr, left)).collect();
            self.open_many(&wanted)?;
            held_up = Duration::from_micros(clock::boottime().saturating_sub(before));
            if left < SHORTEST || held_up <= held_up_at_most {
                return Ok(());
            }
        }
        self.shut_many(addrs)?;
        Err(GateError::Late { held_up })
    }

    /// Shuts addresses at once, in one batch.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn shut_many(&mut self, addrs: &[IpAddr]) -> Result<(), GateError> {
        let wanted: Vec<_> = addrs.iter().map(|addr| (*addr, Duration::ZERO)).collect();
        self.open_many(&wanted)
    }

    /// Shuts everything at once, whatever is believed to be open.
    ///
    /// # Errors
    /// See [`GateError`]; nothing was changed.
    pub(super) fn shut_all(&mut self) -> Result<(), GateError> {
        let mut batch = Batch::default();
        for family in Family::ALL {
            for slot in 0..2 {
                rules::flush(&mut batch, &self.table, family.open(slot));
            }
        }
        self.commit(&batch)?;
        self.managed.values_mut().for_each(|ends| *ends = [0; 2]);
        Ok(())
    }

    /// Takes the gate away: nothing is dropped any more.
    ///
    /// # Errors
    /// See [`GateError`]; the gate is still there.
    pub(super) fn remove(mut self) -> Result<(), GateError> {
        remove_table(&mut self.channel, &self.table)
    }

    /// From now on the table belongs to nobody, as it does on kernels before 6.9.
    #[cfg(test)]
    pub(super) fn disown(&mut self) {
        self.channel = Channel::open(Protocol::Netfilter).expect("a socket");
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), GateError> {
        let mut last = None;
        // Before Linux 6.8 an element may run out between two messages of one batch, which then
        // fails as if it had never been there. The second attempt meets a clean set.
        for _ in 0..3 {
            match self.channel.commit(batch) {
                Ok(()) => return Ok(()),
                Err(refusal) if refusal.is(libc::ENOENT) => last = Some(refusal),
                Err(refusal) => return Err(refusal.into()),
            }
        }
        match last {
            // A device may have vanished a moment ago; then only that is wrong.
            Some(refusal)
                if refusal.step.starts_with("hook") && exists(&mut self.channel, &self.table)? =>
            {
                Err(refusal.into())
            }
            Some(_) => Err(GateError::Gone),
            None => Ok(()),
        }
    }
}

/// Takes away what an earlier process of this instance left; says whether there was anything.
///
/// # Errors
/// See [`GateError`]; nothing was changed.
pub(super) fn uninstall_leftovers(instance: &str) -> Result<bool, GateError> {
    let table = super::name_of(instance)?;
    let mut channel = Channel::open(Protocol::Netfilter).map_err(GateError::Unreachable)?;
    let there = exists(&mut channel, &table)?;
    if there {
        remove_table(&mut channel, &table)?;
    }
    Ok(there)
}

fn remove_table(channel: &mut Channel, table: &str) -> Result<(), GateError> {
    let mut batch = Batch::default();
    rules::delete_table(&mut batch, table);
    match channel.commit(&batch) {
        Ok(()) => Ok(()),
        Err(refusal) if refusal.is(libc::ENOENT) => Ok(()),
        Err(refusal) if refusal.is(libc::EPERM) => Err(GateError::Owned),
        Err(refusal) => Err(refusal.into()),
    }
}

fn lasting(addrs: impl Iterator<Item = IpAddr>, family: Family) -> Vec<Element> {
    let mine = addrs.filter(|addr| Family::of(*addr) == family);
    mine.map(|addr| Element { addr, timeout: None }).collect()
}

/// Elements that are named only to be deleted; should one ever live, it does so briefly.
fn brief(addrs: impl Iterator<Item = IpAddr>, family: Family) -> Vec<Element> {
    let mine = addrs.filter(|addr| Family::of(*addr) == family);
    mine.map(|addr| Element { addr, timeout: Some(SHORTEST) }).collect()
}
