//! The bed: what was built, and the building of it.

use std::sync::{Arc, Mutex};

use crate::error::LabError;
use crate::host::Host;
use crate::launcher::{Launcher, lock};
use crate::link::{Link, LinkSpec};
use crate::switch::{Switch, Trunk};

/// One network. Everything in it ends when it is dropped, or when this process ends.
pub struct Bed {
    name: String,
    pub(crate) launcher: Arc<Launcher>,
    switches: Mutex<Vec<Switch>>,
    hosts: Mutex<Vec<Host>>,
}

impl Bed {
    /// An empty network. The name is for people only.
    pub fn new(name: &str) -> Result<Bed, LabError> {
        Ok(Bed {
            name: name.to_owned(),
            launcher: Arc::new(Launcher::new(name)?),
            switches: Mutex::default(),
            hosts: Mutex::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hosts and routers, in the order in which they were made.
    pub fn hosts(&self) -> Vec<Host> {
        lock(&self.hosts).clone()
    }

    /// The switches, in the order in which they were made.
    pub fn switches(&self) -> Vec<Switch> {
        lock(&self.switches).clone()
    }

    /// A new switch.
    pub fn switch(&self, name: &str) -> Result<Switch, LabError> {
        let switch = Switch::create(name)?;
        lock(&self.switches).push(switch.clone());
        Ok(switch)
    }

    /// A new host without cables.
    pub fn host(&self, name: &str) -> Result<Host, LabError> {
        self.add_host(name, false)
    }

    /// A new router: a host that forwards between its cables.
    pub fn router(&self, name: &str, cables: &[(&Switch, LinkSpec)]) -> Result<Host, LabError> {
        let router = self.add_host(name, true)?;
        for (switch, spec) in cables {
            self.connect(&router, switch, spec.clone())?;
        }
        Ok(router)
    }

    fn add_host(&self, name: &str, forwards: bool) -> Result<Host, LabError> {
        let host = Host::create(name, forwards, Arc::clone(&self.launcher))?;
        lock(&self.hosts).push(host.clone());
        Ok(host)
    }

    /// Lays a cable from a host to a switch; when it returns, frames pass.
    pub fn connect(&self, host: &Host, switch: &Switch, spec: LinkSpec) -> Result<Link, LabError> {
        let link = Link::connect(&host.namespace(), switch, spec, None)?;
        host.add_link(link.clone());
        Ok(link)
    }

    /// Lays a cable with a relay in it that delays, loses and reorders frames as told by
    /// [`Link::relay`]; at first it does nothing of that. Chance follows from `seed`.
    pub fn connect_by_relay(
        &self,
        host: &Host,
        switch: &Switch,
        spec: LinkSpec,
        seed: u64,
    ) -> Result<Link, LabError> {
        let link = Link::connect(&host.namespace(), switch, spec, Some(seed))?;
        host.add_link(link.clone());
        Ok(link)
    }

    /// Lays a cable between two switches. No loops: the switches know no spanning tree.
    pub fn trunk(&self, a: &Switch, b: &Switch) -> Result<Trunk, LabError> {
        a.trunk_to(b)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // handles of hosts may live on; the programs do not
        self.launcher.end();
        for host in self.hosts() {
            let _ = host.kill_all();
        }
    }
}
