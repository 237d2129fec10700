//! The lease gate in the guard's hands: brought to every interface, and put back when it fails.
//!
//! Happy path: [`install`] at the start, [`Kernel::rescan`] when interfaces come and go. Failures:
//! whatever does not obey ends in [`Kernel::gate_failed`]; as long as the gate is not whole no
//! service address stands, and it is tried again.

use std::collections::BTreeMap;

use stead_core::time::Instant;
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_linux::gate::{Gate, GateError};
use stead_linux::netlink::{Netlink, NetlinkError};

use super::{FORM, Kernel, KernelError, RETRY};

impl Kernel {
    /// Brings the gate to interfaces that are new, also to one that came back under its old name.
    pub(super) fn rescan(&mut self) {
        match devices(&mut self.netlink) {
            Ok(devices) if devices != self.devices => {
                self.devices = devices;
                self.watch_devices();
            }
            Ok(_) => {}
            Err(error) => self.troubles.push(chain(&error)),
        }
    }

    fn watch_devices(&mut self) {
        let names: Vec<_> = self.devices.values().map(String::as_str).collect();
        match self.gate.watch(&names) {
            Ok(watched) => self.refuse(watched.refused),
            Err(error) => {
                self.gate_failed(&error);
                // To be seen as new again.
                self.devices.clear();
            }
        }
    }

    /// What stands where the gate can't work answers nobody: it goes, and can't be held.
    fn refuse(&mut self, refused: Vec<String>) {
        self.refused = refused.into_iter().collect();
        let shut =
            |index: &u32| self.devices.get(index).is_some_and(|name| self.refused.contains(name));
        let shut = self.standing.iter().filter(|(_, it)| shut(&it.index));
        let shut: Vec<_> = shut.map(|(address, _)| *address).collect();
        self.take_away(&shut);
        if !shut.is_empty() {
            self.retry_at = Some(Instant(boottime()));
        }
    }

    /// A gate that does not obey is put back, shut; until it is, nothing stands.
    pub(super) fn gate_failed(&mut self, error: &GateError) {
        self.retry_at = Some(Instant(boottime()) + RETRY);
        self.gate_whole = false;
        self.gate_troubled(error);
        self.mend_gate();
    }

    /// Puts the gate back, all addresses shut; says whether that worked.
    pub(super) fn mend_gate(&mut self) -> bool {
        match self.gate.repair() {
            Ok(watched) => {
                self.gate_whole = true;
                self.gate_trouble = None;
                self.refuse(watched.refused);
                true
            }
            Err(error) => {
                self.retry_at = Some(Instant(boottime()) + RETRY);
                self.gate_troubled(&error);
                // The gate can't be shut: then the addresses have to go.
                let all: Vec<_> = self.standing.keys().copied().collect();
                self.take_away(&all);
                false
            }
        }
    }

    fn gate_troubled(&mut self, error: &GateError) {
        self.gate_errors += 1;
        let trouble = chain(error);
        if self.gate_trouble.as_ref() != Some(&trouble) {
            self.troubles.push(trouble.clone());
            self.gate_trouble = Some(trouble);
        }
    }
}

pub(super) fn install(instance: &str, devices: &[&str]) -> Result<Gate, KernelError> {
    match std::env::var(FORM) {
        Ok(form) => {
            let form = form.parse().map_err(KernelError::Form)?;
            Ok(Gate::install_form(form, instance, devices)?)
        }
        Err(std::env::VarError::NotPresent) => Ok(Gate::install(instance, devices)?),
        Err(error) => Err(KernelError::Form(error.to_string())),
    }
}

/// All interfaces that something could come in by.
pub(super) fn devices(netlink: &mut Netlink) -> Result<BTreeMap<u32, String>, NetlinkError> {
    let links = netlink.links()?;
    Ok(links.into_iter().filter(|link| !link.loopback).map(|it| (it.index, it.name)).collect())
}
