//! What the lease means to the kernel: which addresses stand on which interface, and how long they
//! may answer.
//!
//! Three lines, each behind the one before: the gate shuts at the end of the lease without anyone's
//! help; the guard removes the address when it sees the lease end; and the address itself has a
//! finite lifetime in the kernel (whole seconds), should the guard be gone and never come back.
//!
//! The end of the lease also stands in a page that the keepers of programs watch ([`LeasePage`]).

mod gate;
pub mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use stead_core::id::Epoch;
use stead_core::time::{Instant, Span};
use stead_edge::chain;
use stead_linux::clock::boottime;
use stead_linux::gate::{Form, Gate, GateError};
use stead_linux::netlink::{AddressSpec, Event, Link, Monitor, Netlink, NetlinkError};

use super::ipc::{Network, Place, Reach};
use crate::keeper::page::LeasePage;
use gate::{devices, install};

/// Names the form of the gate that is wanted, and no other. If it is not set, the better one is
/// taken that is to be had.
const FORM: &str = "STEAD_GATE";
/// The time between two attempts at what did not work.
const RETRY: Span = Span::from_millis(100);
/// The lifetime of an address before the daemon has said one.
const FIRST_LIFETIME: Span = Span::from_millis(3_000);

/// The kernel could not be asked at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum KernelError {
    /// The gate can't be installed.
    #[error("the lease gate can't be installed, so nothing can be served here")]
    Gate(#[from] GateError),
    /// The form of the gate that was asked for does not exist.
    #[error("the environment's {FORM} can't be obeyed, so nothing can be served here: {0}")]
    Form(String),
    /// Links and addresses can't be managed.
    #[error("links and addresses can't be managed, so nothing can be served here")]
    Netlink(#[from] NetlinkError),
}

/// An address that stands.
#[derive(Clone, Copy, Debug)]
struct Standing {
    index: u32,
    prefix: u8,
    refreshed: Instant,
    /// Its interface can carry it: up, with a carrier.
    usable: bool,
    /// It is on no segment: its interface has no cable.
    alone: bool,
    /// It stands there as well, to be announced: which interface, and with which prefix.
    announced: Option<(u32, u8)>,
}

/// Where an address is put.
struct Spot {
    link: Link,
    /// Another address there brings the way to its network.
    covered: bool,
}

/// The guard's hands in the kernel.
pub(super) struct Kernel {
    /// What the keepers of programs watch, if it could be made.
    pub(super) page: Option<LeasePage>,
    gate: Gate,
    netlink: Netlink,
    pub(super) monitor: Monitor,
    devices: BTreeMap<u32, String>,
    places: BTreeMap<IpAddr, Place>,
    reaches: BTreeMap<IpAddr, Reach>,
    /// The interfaces with a MAC of their own that are there.
    mac_devices: BTreeSet<String>,
    lifetime: Span,
    standing: BTreeMap<IpAddr, Standing>,
    wanted: (Vec<IpAddr>, Instant),
    lapsed: Epoch,
    retry_at: Option<Instant>,
    /// What does not work at present, by address, so that it is said once.
    broken: BTreeMap<IpAddr, String>,
    /// The gate is in place, or not all of it; then nothing may stand.
    gate_whole: bool,
    /// What is wrong with the gate, so that it is said once.
    gate_trouble: Option<String>,
    /// How often it did not obey.
    pub(super) gate_errors: u64,
    /// The interfaces on which every service address is shut, as the gate can't work there.
    refused: BTreeSet<String>,
    /// What to tell the daemon: addresses that were put back, and troubles.
    pub(super) restored: Vec<IpAddr>,
    pub(super) troubles: Vec<String>,
}

impl Kernel {
    /// Takes over from a former guard, if there was one: everything shut, its addresses gone.
    pub(super) fn take_over(instance: &str) -> Result<Self, KernelError> {
        let mut netlink = Netlink::open()?;
        // Before the list is read, so that nothing that appears in between is missed.
        let monitor = Monitor::open()?;
        let devices = devices(&mut netlink)?;
        let names: Vec<_> = devices.values().map(String::as_str).collect();
        let gate = install(instance, &names)?;
        let mut troubles = Vec::new();
        let page = LeasePage::create().inspect_err(|error| {
            troubles.push(format!("programs won't end by themselves with the lease: {error}"));
        });
        let mut kernel = Self {
            page: page.ok(),
            gate,
            netlink,
            monitor,
            devices,
            places: BTreeMap::new(),
            reaches: BTreeMap::new(),
            mac_devices: BTreeSet::new(),
            lifetime: FIRST_LIFETIME,
            standing: BTreeMap::new(),
            wanted: (Vec::new(), Instant::START),
            lapsed: Epoch::default(),
            retry_at: None,
            broken: BTreeMap::new(),
            gate_whole: true,
            gate_trouble: None,
            gate_errors: 0,
            refused: BTreeSet::new(),
            restored: Vec::new(),
            troubles,
        };
        let left: Vec<_> = kernel.gate.managed().collect();
        kernel.clear(&left)?;
        reach::clear(&mut kernel.netlink)?;
        kernel.gate.be_strict_on(&[])?;
        Ok(kernel)
    }

    /// How late the kernel may shut the gate at most.
    pub(super) fn slack(&self) -> Span {
        Span(self.gate.slack().as_micros().try_into().unwrap_or(u64::MAX))
    }

    /// The form of the gate that is in force.
    pub(super) fn form(&self) -> Form {
        self.gate.form()
    }

    /// Why it is not the better one, if it isn't and nobody asked for that.
    pub(super) fn fallback(&self) -> Option<String> {
        self.gate.fallback().map(|error| chain(error))
    }

    /// Takes the places of all service addresses. Those of no service are let go.
    pub(super) fn set_places(&mut self, network: &Network) {
        self.lifetime = network.lifetime.max(FIRST_LIFETIME);
        let places: BTreeMap<_, _> =
            network.places.iter().map(|it| (it.address, it.clone())).collect();
        let reaches = network.reaches.clone();
        if (&places, &reaches) == (&self.places, &self.reaches) {
            return;
        }
        // What is now to stand otherwise goes first; it comes back with the next order.
        let gone =
            |it: &IpAddr| !places.contains_key(it) || reaches.get(it) != self.reaches.get(it);
        let gone: Vec<_> = self.standing.keys().copied().filter(gone).collect();
        self.drop_addresses(&gone);
        (self.places, self.reaches) = (places, reaches);
        let beside = reach::beside(self.places.keys(), &self.reaches);
        let managed: Vec<_> = self.places.keys().copied().chain(beside).collect();
        if let Err(error) = self.gate.manage(&managed) {
            self.gate_failed(&error);
        }
    }

    /// These addresses may answer until then, and no others; the same goes for the programs behind
    /// them, save those of epochs that lapsed.
    pub(super) fn enforce(&mut self, addresses: Vec<IpAddr>, until: Instant, lapsed: Epoch) {
        if let Some(page) = &self.page {
            page.set(until, lapsed);
        }
        self.lapsed = lapsed;
        self.wanted = (addresses, until);
        self.apply();
    }

    /// The addresses that stand where they can be used.
    pub(super) fn stands(&self, address: IpAddr) -> bool {
        self.standing.get(&address).is_some_and(|it| it.usable)
    }

    /// When something that did not work is to be tried again.
    pub(super) fn deadline(&self) -> Instant {
        self.retry_at.unwrap_or(Instant::NEVER)
    }

    /// Tries again what did not work, if it is time.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| now >= at) {
            if !self.refused.is_empty() || self.devices.is_empty() {
                // Perhaps the gate can work there by now.
                self.devices.clear();
                self.rescan();
            }
            self.apply();
        }
    }

    /// Lets everything go.
    pub(super) fn shut(&mut self) {
        self.enforce(Vec::new(), Instant::START, self.lapsed);
    }

    /// Ends in order: everything is let go, and the next guard, of whatever version, finds a gate
    /// that it can take over.
    pub(super) fn leave(mut self) {
        self.shut();
        for trouble in self.troubles {
            eprintln!("stead guard: {trouble}");
        }
        if let Err(error) = self.gate.leave() {
            eprintln!("stead guard: {}", chain(&error));
        }
    }

    fn apply(&mut self) {
        self.retry_at = None;
        if !self.gate_whole && !self.mend_gate() {
            return;
        }
        let (wanted, until) = self.wanted.clone();
        let gone: Vec<_> =
            self.standing.keys().copied().filter(|it| !wanted.contains(it)).collect();
        self.drop_addresses(&gone);
        self.broken.retain(|address, _| wanted.contains(address));
        let now = Instant(boottime());
        for address in &wanted {
            let refresh = Span(self.lifetime.0 / 3);
            let known = self.standing.get(address).copied();
            if known.is_none_or(|it| now.since(it.refreshed) > refresh)
                && let Err(detail) = self.stand(*address, now)
            {
                self.break_down(*address, detail);
            }
        }
        let beside = reach::beside(self.standing.keys(), &self.reaches);
        let open: Vec<_> = self.standing.keys().copied().chain(beside).collect();
        if open.is_empty() {
            return;
        }
        if let Err(error) = self.gate.open_until(&open, until.0) {
            self.gate_failed(&error);
        }
    }

    /// Puts an address on its interface, or renews its lifetime there.
    fn stand(&mut self, address: IpAddr, now: Instant) -> Result<(), String> {
        let place = self.places.get(&address).cloned();
        let place = place.ok_or_else(|| format!("{address} is in no service's configuration"))?;
        let reach = self.reaches.get(&address).copied().unwrap_or_default();
        let Spot { link, covered } = self.spot(&place, reach)?;
        if self.refused.contains(&link.name) {
            return Err(format!(
                "{address} can't be served: the lease gate can't work on {}, where something else \
                 has the place of its filters (see: tc qdisc show dev {})",
                link.name, link.name
            ));
        }
        let seconds = u32::try_from(self.lifetime.0.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        // What is on no segment stands as it is announced.
        let alone = reach.route.filter(|_| reach.alone);
        let prefix = alone.map_or(place.prefix, |it| it.length);
        let mut spec = AddressSpec::new(address, prefix).for_seconds(seconds);
        // Never chosen as the source of what this node begins by itself.
        spec.preferred_seconds = Some(0);
        spec.no_prefix_route = covered;
        self.netlink.replace_address(link.index, &spec).map_err(|error| chain(&error))?;
        // What is on no segment needs no cable.
        let usable = link.up && (link.carrier || reach.alone);
        let index = link.index;
        let announced = self.announce(&spec, reach)?;
        if let Some(mac) = reach.mac.filter(|_| address.is_ipv6()) {
            let mut spec = AddressSpec::new(reach::link_local(mac), 64).for_seconds(seconds);
            spec.no_prefix_route = true;
            self.netlink.replace_address(link.index, &spec).map_err(|error| chain(&error))?;
        }
        let alone = reach.alone;
        let standing = Standing { index, prefix, refreshed: now, usable, alone, announced };
        self.standing.insert(address, standing);
        if !usable {
            return Err(format!("{address} can't be used: {} is down", link.name));
        }
        self.broken.remove(&address);
        Ok(())
    }

    /// Puts an address where a routing daemon sees it, if one shall.
    fn announce(&mut self, spec: &AddressSpec, reach: Reach) -> Result<Option<(u32, u8)>, String> {
        let Some(prefix) = reach.route.filter(|_| !reach.alone) else { return Ok(None) };
        let link = self.stub()?;
        let mut spec = *spec;
        (spec.prefix, spec.no_prefix_route) = (prefix.length, false);
        self.netlink.replace_address(link.index, &spec).map_err(|error| chain(&error))?;
        Ok(Some((link.index, prefix.length)))
    }

    /// The interface on which an address belongs that is reached so.
    fn spot(&mut self, place: &Place, reach: Reach) -> Result<Spot, String> {
        if reach.alone {
            return Ok(Spot { link: self.stub()?, covered: false });
        }
        let (link, covered) = self.link_for(place)?;
        let Some(mac) = reach.mac else { return Ok(Spot { link, covered }) };
        if !(link.up && link.carrier) {
            return Err(format!("{} can't be used: {} is down", place.address, link.name));
        }
        Ok(Spot { link: self.mac_link(mac, &link)?, covered: true })
    }

    /// The interface of a place, and whether this node has an address of its own in that network
    /// there. If so the way to the network is known, and the service's address must not bring one:
    /// the kernel may forget to take it away again when an address ends by its lifetime.
    fn link_for(&mut self, place: &Place) -> Result<(Link, bool), String> {
        let own = self.netlink.addresses().map_err(|error| chain(&error))?;
        let foreign = |address: &IpAddr| !self.places.contains_key(address);
        let inside = |address: &IpAddr, prefix| {
            prefix > 0 && network(*address, prefix) == network(place.address, prefix)
        };
        let own = own.iter().filter(|it| foreign(&it.addr) && inside(&it.addr, it.prefix));
        if let Some(name) = &place.interface {
            let link = self.netlink.link_named(name).map_err(|error| chain(&error))?;
            let covered = own.into_iter().any(|it| it.index == link.index);
            return Ok((link, covered));
        }
        let index = own.max_by_key(|it| it.prefix).map(|it| it.index).ok_or_else(|| {
            format!(
                "no interface of this node has an address in the network of {}/{}: name one with \
                 `interface`",
                place.address, place.prefix
            )
        })?;
        Ok((self.netlink.link(index).map_err(|error| chain(&error))?, true))
    }

    fn drop_addresses(&mut self, addresses: &[IpAddr]) {
        if addresses.is_empty() {
            return;
        }
        let beside = reach::beside(addresses, &self.reaches);
        let shut: Vec<_> = addresses.iter().copied().chain(beside).collect();
        if let Err(error) = self.gate.shut(&shut) {
            self.gate_failed(&error);
        }
        self.take_away(addresses);
    }

    /// Takes addresses off their interfaces. The gate has to be shut for them, or not to work
    /// there.
    fn take_away(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            let Some(standing) = self.standing.remove(address) else { continue };
            let spots = [Some((standing.index, standing.prefix)), standing.announced];
            for (index, prefix) in spots.into_iter().flatten() {
                let deleted = self.netlink.delete_address(index, *address, prefix);
                if let Err(error) = deleted
                    && !error.not_there()
                {
                    self.troubles.push(format!("{address} can't be removed: {}", chain(&error)));
                }
            }
        }
        self.drop_mac_links();
    }

    /// Removes addresses wherever they stand: what a former guard left.
    fn clear(&mut self, addresses: &[IpAddr]) -> Result<(), NetlinkError> {
        for standing in self.netlink.addresses()? {
            if addresses.contains(&standing.addr) {
                let (index, prefix) = (standing.index, standing.prefix);
                match self.netlink.delete_address(index, standing.addr, prefix) {
                    Err(error) if !error.not_there() => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Reads what the kernel tells of links and addresses, and mends what others changed.
    pub(super) fn read_monitor(&mut self) {
        loop {
            match self.monitor.poll() {
                Ok(None) => return,
                Ok(Some(event)) => self.on_event(&event),
                Err(error) => {
                    self.troubles.push(chain(&error));
                    return;
                }
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::AddressRemoved { index, addr, .. } => {
                let ours = self.standing.get(addr).is_some_and(|it| it.index == *index);
                if ours {
                    self.standing.remove(addr);
                    self.apply();
                    if self.standing.contains_key(addr) {
                        self.restored.push(*addr);
                    }
                }
            }
            Event::Link { index, up, carrier, gone, .. } => {
                self.rescan();
                if !self.standing.values().any(|it| it.index == *index) {
                    return;
                }
                // What is told may be over: an interface that was made a moment ago is told of as
                // it was before it was turned on. Whatever comes later is told of again.
                let (carries, up, gone) = match self.netlink.link(*index) {
                    Ok(link) => (link.carrier, link.up, false),
                    Err(error) if error.not_there() => (false, false, true),
                    Err(_) => (*carrier, *up, *gone),
                };
                let changed: Vec<_> = self
                    .standing
                    .iter_mut()
                    .filter(|(_, it)| it.index == *index)
                    .filter_map(|(address, it)| {
                        let usable = up && (carries || it.alone);
                        let changed = std::mem::replace(&mut it.usable, usable) != usable;
                        changed.then_some((*address, usable))
                    })
                    .collect();
                for (address, usable) in changed {
                    if gone {
                        self.standing.remove(&address);
                    }
                    if !usable {
                        self.break_down(address, format!("{address} lost its interface"));
                    } else {
                        self.broken.remove(&address);
                    }
                }
            }
            Event::Overrun => {
                self.rescan();
                // Renewed as if their time had come: what is gone is put back by it.
                self.standing.values_mut().for_each(|it| it.refreshed = Instant::START);
                self.apply();
            }
            Event::AddressAdded { .. } => {}
        }
    }

    fn break_down(&mut self, address: IpAddr, detail: String) {
        self.retry_at = Some(Instant(boottime()) + RETRY);
        if self.broken.get(&address) != Some(&detail) {
            self.troubles.push(detail.clone());
            self.broken.insert(address, detail);
        }
    }
}

/// The network part of an address.
fn network(address: IpAddr, prefix: u8) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => {
            let host = 32 - u32::from(prefix.min(32));
            (true, u128::from((u64::from(address.to_bits()) >> host) << host))
        }
        IpAddr::V6(address) => {
            let host = 128 - u32::from(prefix.min(128));
            (false, address.to_bits().checked_shr(host).unwrap_or(0))
        }
    }
}
