//! What a visitor sees who knows everything.

use stead_core::id::{Index, NodeId};
use stead_core::node::{Node, Phase};
use stead_core::state::{Holder, State};
use stead_core::time::Instant;

use super::World;

impl World {
    /// What a machine's clock shows.
    #[must_use]
    pub fn local(&self, host: usize) -> Instant {
        self.hosts[host].clock.local(self.now)
    }

    /// The machine that a node is on.
    #[must_use]
    pub fn host_of(&self, node: NodeId) -> Option<usize> {
        self.ids.get(&node).copied()
    }

    /// The name of a node's machine.
    #[must_use]
    pub fn name(&self, node: NodeId) -> &'static str {
        self.host_of(node).map_or("?", |host| self.hosts[host].name)
    }

    /// The state as the most advanced daemon has it.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        let nodes = self.hosts.iter().filter_map(|host| host.daemon.as_ref());
        nodes.map(|daemon| daemon.node.state()).max_by_key(|state| state.applied)
    }

    /// The node machine of a running daemon.
    #[must_use]
    pub fn node(&self, host: usize) -> Option<&Node> {
        self.hosts[host].daemon.as_ref().map(|daemon| &daemon.node)
    }

    /// The machine that holds a service's address open.
    #[must_use]
    pub fn server(&self, service: usize) -> Option<usize> {
        let address = self.plan.address(service);
        (0..self.hosts.len()).find(|host| self.hosts[*host].open_until(address) > self.now)
    }

    /// The machine whose guard is quorate.
    #[must_use]
    pub fn coordinator(&self) -> Option<usize> {
        (0..self.hosts.len()).find(|host| {
            self.hosts[*host].halted.is_none()
                && self.node(*host).is_some_and(|it| it.is_quorate_coordinator(self.local(*host)))
        })
    }

    /// Everything is as it should be when nothing is wrong: all in the view, all served, once.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.unhealthy().is_none()
    }

    /// What is not as it should be.
    #[must_use]
    pub fn unhealthy(&self) -> Option<String> {
        let Some(state) = self.state() else { return Some("no daemon runs".into()) };
        for (at, host) in self.hosts.iter().enumerate() {
            if !state.members.contains_key(&host.id) {
                continue;
            }
            if let Some(why) = self.member_unhealthy(at, state) {
                return Some(format!("{} {why}", host.name));
            }
        }
        let Some(config) = &state.config else { return Some("no configuration".into()) };
        let services = || 0..config.services.len();
        services()
            .filter(|number| {
                let all: Vec<_> = (0..self.hosts.len()).collect();
                // What needs one that has no place waits for it.
                let out = |it: &usize| self.is_crowded_out(state, &self.plan.service(*it), &all);
                !out(number) && !self.plan.stands_on(*number).iter().any(out)
            })
            .find_map(|number| {
                let unserved = self.service_unserved(state, number);
                unserved.or_else(|| self.led_astray(state, &self.plan.service(number)))
            })
            .or_else(|| services().find_map(|number| self.copy_missing(state, number)))
    }

    fn member_unhealthy(&self, at: usize, state: &State) -> Option<&'static str> {
        let host = &self.hosts[at];
        let Some(node) = self.node(at) else { return Some("has no daemon") };
        if node.state() != state {
            return Some("has not applied everything");
        }
        let admitted = state.view.get(&host.id).map(|it| it.incarnation.0);
        if admitted != Some(host.incarnation) {
            return Some("is not in the view");
        }
        let lease = host.guard.as_ref().map(|guard| guard.lease.lease_until());
        if lease.is_none_or(|until| until <= self.local(at)) {
            return Some("has no lease");
        }
        (!node.is_ready()).then_some("is not ready")
    }

    /// Why a service is not served in full, by the holder that the state names and to its client.
    #[must_use]
    pub fn service_unserved(&self, state: &State, number: usize) -> Option<String> {
        let service = self.plan.service(number);
        let wanted = state.config.as_ref()?.services.get(&service)?;
        let holder = state.assignments.get(&service).map(|it| it.holder.clone());
        let Some(Holder::Node(node)) = holder else {
            return Some(format!("{service} is at {holder:?}"));
        };
        let Some(at) = self.host_of(node) else { return Some(format!("{service} is nowhere")) };
        let host = &self.hosts[at];
        let open = wanted.addresses.iter().all(|address| host.answers(address.ip, self.now));
        let parts = !self.plan.parts_of(&service).is_empty();
        let runs = host.programs.contains_key(&service) == (parts || wanted.program.is_some());
        if let Some(why) = self.parts_unwell(at, number) {
            return Some(format!("{service} on {}: {why}", host.name));
        }
        let running = self.node(at).is_some_and(|node| {
            node.local().any(|(name, local)| *name == service && local.phase == Phase::Running)
        });
        if !open || !runs || !running {
            let name = host.name;
            let phase = self.node(at).map(|node| {
                node.local().find(|(name, _)| **name == service).map(|(_, local)| local.phase)
            });
            return Some(format!(
                "{service} on {name}: open {open}, program {runs}, phase {phase:?}"
            ));
        }
        // A client that got no answer for a while would notice.
        let patience = self.plan.probe.0 * 3 + 5_000;
        // Its clients ask at the address that it has now, which was perhaps another's.
        let first = wanted.addresses.first().map(|it| it.ip);
        let asked = (0..self.plan.services).find(|it| Some(self.plan.address(*it)) == first);
        (!self.lan.is_served(asked.unwrap_or(number), self.now, patience))
            .then(|| format!("{service} on {}: its client gets no answer", host.name))
    }

    /// How far the most advanced daemon has applied the log.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.state().map(|state| state.applied).unwrap_or_default()
    }

    /// One line of the trace, its time counted from `begin`.
    #[must_use]
    pub fn line(&self, begin: u64, (time, host, text): &(u64, Option<usize>, String)) -> String {
        let node = host.map_or("-", |host| self.hosts[host].name);
        let time = time.saturating_sub(begin);
        format!("{:>8}.{} {node} {text}", time / 1_000, time % 1_000 / 100)
    }
}
