//! Switches: bridges in namespaces of their own, out of reach of every host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use std::os::fd::AsFd;
use stead_linux::namespace::NetNs;
use stead_linux::netlink::{PortState, VethPeer};

use crate::error::{LabError, Step};

pub(crate) const BRIDGE: &str = "br0";
/// How long a cable may take until frames pass; milliseconds on an idle machine.
const PORT_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: NetNs,
    bridge: u32,
    ports: AtomicU32,
}

/// A switch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Switch(Arc<Inner>);

/// A cable between two switches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trunk {
    near: Switch,
    port: u32,
}

impl Switch {
    pub(crate) fn create(name: &str) -> Result<Switch, LabError> {
        let what = || format!("cannot make switch {name}");
        let namespace = NetNs::create().step(what)?;
        be_quiet(&namespace).step(what)?;
        let mut netlink = namespace.netlink().step(what)?;
        let bridge = netlink.create_bridge(BRIDGE, None).step(what)?.index;
        netlink.set_up(bridge).step(what)?;
        let ports = AtomicU32::new(1);
        Ok(Switch(Arc::new(Inner { name: name.to_owned(), namespace, bridge, ports })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The namespace in which its bridge is.
    pub fn namespace(&self) -> &NetNs {
        &self.0.namespace
    }

    /// Lays a cable from a new port to `far`; `peer.namespace` is taken from `far`. Both ends are
    /// turned on only here; the caller turns its own on.
    pub(crate) fn add_port(&self, far: &NetNs, peer: VethPeer<'_>) -> Result<u32, LabError> {
        let inner = &self.0;
        let what = || format!("cannot lay a cable to switch {}", inner.name);
        let name = format!("p{}", inner.ports.fetch_add(1, Ordering::Relaxed));
        let peer = VethPeer { namespace: Some(far.as_fd()), ..peer };
        let mut netlink = inner.namespace.netlink().step(what)?;
        let port = netlink.create_veth(&name, None, peer).step(what)?.index;
        netlink.set_port_of(port, Some(inner.bridge)).step(what)?;
        netlink.set_up(port).step(what)?;
        Ok(port)
    }

    /// Takes a port away, its cable with it. It may be gone already, with the host at its end.
    pub(crate) fn remove_port(&self, port: u32) -> Result<(), LabError> {
        let what = || format!("cannot remove a cable from switch {}", self.0.name);
        match self.0.namespace.netlink().step(what)?.delete_link(port) {
            Err(error) if error.not_there() => Ok(()),
            other => other.step(what),
        }
    }

    /// Waits until frames pass through a port whose far end was turned on.
    pub(crate) fn wait_for_port(&self, port: u32) -> Result<(), LabError> {
        let what = || format!("cannot look at a port of switch {}", self.0.name);
        let mut netlink = self.0.namespace.netlink().step(what)?;
        let deadline = Instant::now() + PORT_WITHIN;
        while !netlink.link(port).step(what)?.running {
            if Instant::now() > deadline {
                let what = format!("the carrier at switch {}", self.0.name);
                return Err(LabError::Late { what, seconds: PORT_WITHIN.as_secs() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(crate) fn set_port(&self, port: u32, state: PortState) -> Result<(), LabError> {
        let what = || format!("cannot cut or heal a cable at switch {}", self.0.name);
        self.0.namespace.netlink().step(what)?.set_port_state(port, state).step(what)
    }

    /// The name of a port inside the switch.
    pub(crate) fn port_name(&self, port: u32) -> Result<String, LabError> {
        let what = || format!("cannot look at a port of switch {}", self.0.name);
        Ok(self.0.namespace.netlink().step(what)?.link(port).step(what)?.name)
    }

    pub(crate) fn trunk_to(&self, other: &Switch) -> Result<Trunk, LabError> {
        let what = || format!("cannot lay a trunk from {} to {}", self.name(), other.name());
        let name = format!("t{}", other.0.ports.fetch_add(1, Ordering::Relaxed));
        let peer = VethPeer { name: &name, namespace: None, mac: None };
        let port = self.add_port(&other.0.namespace, peer)?;
        let mut netlink = other.0.namespace.netlink().step(what)?;
        let far = netlink.link_named(&name).step(what)?.index;
        netlink.set_port_of(far, Some(other.0.bridge)).step(what)?;
        netlink.set_up(far).step(what)?;
        self.wait_for_port(port)?;
        other.wait_for_port(far)?;
        Ok(Trunk { near: self.clone(), port })
    }
}

impl Trunk {
    /// One disabled port drops the frames of both directions.
    pub(crate) fn set_cut(&self, cut: bool) -> Result<(), LabError> {
        let state = if cut { PortState::Disabled } else { PortState::Forwarding };
        self.near.set_port(self.port, state)
    }
}

/// No address, and so no word of its own, for what only carries frames.
pub(crate) fn be_quiet(namespace: &NetNs) -> Result<(), stead_linux::namespace::NamespaceError> {
    for scope in ["all", "default"] {
        namespace.write_sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
    }
    Ok(())
}
