//! A cable between a host and a switch.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use stead_linux::namespace::NetNs;
use stead_linux::netlink::{AddressSpec, Mac, PortState, VethPeer};

use crate::error::{LabError, Step};
use crate::launcher::lock;
use crate::relay::Relay;
use crate::switch::Switch;

/// How a host's end of a cable shall look.
#[derive(Debug, Clone)]
pub struct LinkSpec {
    /// Name of the interface inside the host; at most 15 octets.
    pub ifname: String,
    /// Its addresses with the lengths of their network parts.
    pub addrs: Vec<(IpAddr, u8)>,
    /// Its Ethernet address; `None` lets the kernel choose.
    pub mac: Option<Mac>,
}

impl LinkSpec {
    /// An interface without addresses.
    pub fn new(ifname: &str) -> LinkSpec {
        LinkSpec { ifname: ifname.to_owned(), addrs: Vec::new(), mac: None }
    }

    /// With an address more.
    pub fn addr(mut self, addr: IpAddr, prefix: u8) -> LinkSpec {
        self.addrs.push((addr, prefix));
        self
    }

    /// With this Ethernet address.
    pub fn mac(mut self, mac: Mac) -> LinkSpec {
        self.mac = Some(mac);
        self
    }
}

/// The far end that decides over the host's carrier.
#[derive(Debug)]
struct FarEnd {
    namespace: NetNs,
    index: u32,
}

#[derive(Debug)]
struct Plugged {
    index: u32,
    /// Port of the switch.
    port: u32,
    far: FarEnd,
    relay: Option<Relay>,
}

#[derive(Debug)]
struct Inner {
    spec: LinkSpec,
    mac: Mac,
    switch: Switch,
    relay_seed: Option<u64>,
    plugged: Mutex<Plugged>,
    cut: Mutex<bool>,
}

/// A cable between a host and a switch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Link(Arc<Inner>);

impl Link {
    pub(crate) fn connect(
        host: &NetNs,
        switch: &Switch,
        mut spec: LinkSpec,
        relay_seed: Option<u64>,
    ) -> Result<Link, LabError> {
        let (plugged, mac) = plug(host, switch, &spec, relay_seed)?;
        spec.mac = Some(mac);
        Ok(Link(Arc::new(Inner {
            spec,
            mac,
            switch: switch.clone(),
            relay_seed,
            plugged: Mutex::new(plugged),
            cut: Mutex::new(false),
        })))
    }

    /// Pulls the old cable's remains off the switch and lays a new one to `host`.
    pub(crate) fn reconnect(&self, host: &NetNs) -> Result<(), LabError> {
        let inner = &self.0;
        let mut plugged = lock(&inner.plugged);
        inner.switch.remove_port(plugged.port)?;
        plugged.relay = None;
        *plugged = plug(host, &inner.switch, &inner.spec, inner.relay_seed)?.0;
        *lock(&inner.cut) = false;
        Ok(())
    }

    /// Name of the interface inside the host.
    pub fn ifname(&self) -> &str {
        &self.0.spec.ifname
    }

    /// The interface's index inside the host.
    pub fn index(&self) -> u32 {
        lock(&self.0.plugged).index
    }

    /// The host's Ethernet address on this cable.
    pub fn mac(&self) -> Mac {
        self.0.mac
    }

    /// The addresses it was made with.
    pub fn addrs(&self) -> &[(IpAddr, u8)] {
        &self.0.spec.addrs
    }

    /// The switch at its far end, and its port there by name.
    pub(crate) fn port(&self) -> Result<(Switch, String), LabError> {
        let port = lock(&self.0.plugged).port;
        Ok((self.0.switch.clone(), self.0.switch.port_name(port)?))
    }

    /// The relay in the cable, where there is one.
    pub fn relay(&self) -> Option<Relay> {
        lock(&self.0.plugged).relay.clone()
    }

    /// Frames on this cable are dropped in the switch.
    pub fn is_cut(&self) -> bool {
        *lock(&self.0.cut)
    }

    pub(crate) fn set_cut(&self, cut: bool) -> Result<(), LabError> {
        let port = lock(&self.0.plugged).port;
        self.0
            .switch
            .set_port(port, if cut { PortState::Disabled } else { PortState::Forwarding })?;
        *lock(&self.0.cut) = cut;
        Ok(())
    }

    pub(crate) fn set_carrier(&self, on: bool) -> Result<(), LabError> {
        {
            let plugged = lock(&self.0.plugged);
            let what = || format!("cannot turn the carrier of {} on or off", self.ifname());
            let mut netlink = plugged.far.namespace.netlink().step(what)?;
            let index = plugged.far.index;
            if on { netlink.set_up(index) } else { netlink.set_down(index) }.step(what)?;
            if !on {
                return Ok(());
            }
            self.0.switch.wait_for_port(plugged.port)?;
        }
        // with a new carrier the switch forwards again, unless told otherwise
        let cut = self.is_cut();
        self.set_cut(cut)
    }
}

fn plug(
    host: &NetNs,
    switch: &Switch,
    spec: &LinkSpec,
    relay_seed: Option<u64>,
) -> Result<(Plugged, Mac), LabError> {
    let peer = VethPeer { name: &spec.ifname, namespace: None, mac: spec.mac };
    let (port, far, relay) = match relay_seed {
        None => {
            let port = switch.add_port(host, peer)?;
            let far = FarEnd { namespace: switch.namespace().clone(), index: port };
            (port, far, None)
        }
        Some(seed) => {
            let (relay, port) = Relay::insert(host, switch, peer, seed)?;
            let far =
                FarEnd { namespace: relay.namespace().clone(), index: relay.host_side_index() };
            (port, far, Some(relay))
        }
    };
    let (index, mac) = dress(host, spec)?;
    switch.wait_for_port(port)?;
    Ok((Plugged { index, port, far, relay }, mac))
}

/// Turns the host's end on and gives it its addresses.
fn dress(host: &NetNs, spec: &LinkSpec) -> Result<(u32, Mac), LabError> {
    let what = || format!("cannot set up interface {}", spec.ifname);
    let mut netlink = host.netlink().step(what)?;
    let link = netlink.link_named(&spec.ifname).step(what)?;
    netlink.set_up(link.index).step(what)?;
    for &(addr, prefix) in &spec.addrs {
        netlink.add_address(link.index, &AddressSpec::new(addr, prefix)).step(what)?;
    }
    let mac = link.mac.or(spec.mac).unwrap_or(Mac([0; 6]));
    Ok((link.index, mac))
}
