//! What people do: they move, configure, remove, join and replace.

use stead_core::id::{Epoch, NodeId};
use stead_core::node::{Event, Fate, Overridable, Word};
use stead_core::state::{Cause, Change, Confirmation, Maintenance, Outcome, Scope};
use stead_core::time::Span;

use super::{Act, ActError, Care, Target};
use crate::world::World;

/// A machine that waits to be a node: the token that was made for it, in each one's first byte.
const JOINING: u8 = 100;

/// An operator has seen that a machine is off.
fn confirmation(node: NodeId) -> Change {
    let (reason, by) = ("its plug was pulled".into(), "an operator".into());
    Change::ConfirmOff(Confirmation { node, reason, by, wall: 0 })
}

impl World {
    /// A machine whose daemon takes an operator's word: the coordinator's, or any that runs.
    pub(crate) fn helper(&self) -> Option<usize> {
        let running = || (0..self.hosts.len()).find(|host| self.hosts[*host].daemon.is_some());
        self.coordinator().or_else(running)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other acts are performed elsewhere")]
    pub(super) fn operate_act(&mut self, act: &Act) -> Result<(), ActError> {
        let helper = self.helper().ok_or(ActError::NoDaemon)?;
        let node_of = |world: &Self, it: Target| {
            let host = world.target(it).ok_or(ActError::Nobody(it))?;
            Ok(world.hosts[host].id)
        };
        let change = match act {
            Act::Move(number, to) => {
                let service = self.plan.service(*number);
                let base = self.epoch_of(&service);
                let wish = Some(node_of(self, *to)?);
                Change::Stop { service, base, cause: Cause::Planned, wish }
            }
            Act::Standby(it, on) => Change::Standby { node: node_of(self, *it)?, on: *on },
            Act::Satellite(it, on) => {
                let name = self.hosts[self.target(*it).ok_or(ActError::Nobody(*it))?].name;
                let mut config = self.configured(None, None);
                let satellites = &mut config.later.satellites;
                let _ = if *on { satellites.insert(name.into()) } else { satellites.remove(name) };
                Change::Configure { base: self.revision(), config }
            }
            Act::RideOut(millis) => {
                let config = self.configured(Some(*millis), None);
                Change::Configure { base: self.revision(), config }
            }
            Act::Swap(on) => {
                let config = self.configured(None, Some(*on));
                Change::Configure { base: self.revision(), config }
            }
            Act::Leave(it) => Change::Leave { node: node_of(self, *it)? },
            Act::Join(it) => {
                let host = self.target(*it).ok_or(ActError::Nobody(*it))?;
                self.join(host);
                return Ok(());
            }
            Act::Clear => Change::Clear { service: None },
            Act::Disarm(long) => {
                let (base, span) = (self.revision(), Span(*long));
                let (reason, by) = ("network work".into(), "an operator".into());
                Change::Disarm { base, span, reason, by }
            }
            Act::Serve(group, serve) => {
                let nodes: Result<_, ActError> =
                    group.iter().map(|it| node_of(self, *it)).collect();
                Change::Halt { nodes: nodes?, on: !*serve }
            }
            Act::Services(numbers, on) => {
                let services = numbers.iter().map(|number| self.plan.service(*number)).collect();
                Change::StopServices { services, on: !*on }
            }
            Act::Maintain(what, on) => {
                let scope = match what {
                    Care::Cluster => Scope::Cluster,
                    Care::Machine(it) => Scope::Node(node_of(self, *it)?),
                    Care::Service(number) => Scope::Service(self.plan.service(*number)),
                };
                let why = || ("an upgrade by hand".to_string(), "an operator".to_string());
                let begun = |(reason, by)| Maintenance { reason, by, wall: 0 };
                Change::Maintain { scope, maintenance: on.then(why).map(begun) }
            }
            Act::Steady(it) => Change::Steady { node: node_of(self, *it)? },
            Act::ConfirmOff(it) => confirmation(node_of(self, *it)?),
            Act::Arm => Change::Arm { base: self.revision(), by: Some("an operator".into()) },
            _ => return Ok(()),
        };
        self.operate(helper, change);
        Ok(())
    }

    /// An operator who has looked says that the others are off: on a node where that counts.
    pub(super) fn overrule(&mut self, it: Target, forced: bool) -> Result<(), ActError> {
        let host = self.target(it).ok_or(ActError::Nobody(it))?;
        let now = self.local(host);
        let daemon = self.hosts[host].daemon.as_ref().ok_or(ActError::NoDaemon)?;
        let possible = daemon.node.overridable(now);
        let fits = |refused: &Option<_>| refused.is_none() || forced;
        if !matches!(&possible, Overridable::Here { refused, .. } if fits(refused)) {
            return Err(ActError::NotOverridable(format!("{possible:?}")));
        }
        let (span, reason) = (Span(60_000_000), "they burnt down".to_string());
        self.hosts[host].overruled = true;
        self.node_handle(host, Event::Vouched(Word { span, forced, reason, wall: 0 }));
        Ok(())
    }

    /// Services run again, and nothing is left as it is any more.
    pub(super) fn hand_back(&mut self) {
        let next = self.state().map(|it| it.later.next.clone()).unwrap_or_default();
        let Some(helper) = self.helper() else { return };
        let nodes = next.maintenance.nodes.into_keys().map(Scope::Node);
        let services = next.maintenance.services.into_keys().map(Scope::Service);
        let cluster = next.maintenance.cluster.map(|_| Scope::Cluster);
        for scope in nodes.chain(services).chain(cluster) {
            self.operate(helper, Change::Maintain { scope, maintenance: None });
        }
        if !next.stopped.is_empty() {
            self.operate(helper, Change::StopServices { services: next.stopped, on: false });
        }
    }

    fn epoch_of(&self, service: &stead_core::id::ServiceId) -> Epoch {
        let assignment = self.state().and_then(|it| it.assignments.get(service));
        assignment.map(|it| it.epoch).unwrap_or_default()
    }

    fn revision(&self) -> u64 {
        self.state().map(|state| state.revision).unwrap_or_default()
    }

    /// The configuration with another ride-out, or with the first two addresses exchanged.
    fn configured(
        &self,
        ride_out: Option<u64>,
        swap: Option<bool>,
    ) -> stead_core::state::config::Config {
        let mut wanted = self.plan.config();
        let known = self.state().and_then(|state| state.config.clone());
        if let Some(known) = known {
            wanted = known;
        }
        if let Some(millis) = ride_out {
            wanted.ride_out = Span::from_millis(millis);
        }
        if let Some(swap) = swap.filter(|_| self.plan.services > 1) {
            for (number, other) in [(0, 1), (1, 0)] {
                if let Some(config) = wanted.services.get_mut(&self.plan.service(number)) {
                    config.addresses[0].ip = self.plan.address(if swap { other } else { number });
                }
            }
        }
        wanted
    }

    /// A machine is to be a node. One that never was keeps its number; one that was before gets a
    /// new disk and a new number, once the log has given it one.
    fn join(&mut self, host: usize) {
        let Some(helper) = self.helper() else { return };
        let token = [JOINING + host as u8; 32];
        let node = self.hosts[host].name.to_string();
        self.operate(helper, Change::AddToken { token, node });
        self.operate(helper, Change::Join { token, key: [host as u8; 32] });
    }

    /// A node whose disk is lost, or that left, is replaced: removed first, then joined anew.
    pub(crate) fn replace(&mut self, host: usize) {
        let id = self.hosts[host].id;
        let Some(state) = self.state() else { return };
        let member = state.members.contains_key(&id);
        let lost = self.hosts[host].disk.is_lost();
        // A machine may be wiped only when its former node votes no longer.
        let votes = |it: &crate::world::Host| it.disk.voters().iter().any(|set| set.contains(&id));
        let votes = self.hosts.iter().any(votes);
        let Some(helper) = self.helper() else { return };
        if member && lost && state.waiting_for(id).next().is_some() {
            self.power_off(host);
            self.operate(helper, confirmation(id));
        } else if member && lost {
            self.operate(helper, Change::Leave { node: id });
        } else if !member && !votes && state.node(self.hosts[host].name).is_none() {
            self.join(host);
        }
    }

    /// An operator's change has its fate.
    pub(crate) fn on_operated(&mut self, fate: &Fate) {
        let Fate::Committed(_, Outcome::Joined(node)) = fate else { return };
        let Some(member) = self.judges.durable.member(*node) else { return };
        let Some(host) = (0..self.hosts.len()).find(|it| self.hosts[*it].name == member) else {
            return;
        };
        if self.hosts[host].id == *node {
            return;
        }
        // A new node on an old machine, which was off until then: new disk, all starts anew.
        self.kill_daemon(host);
        self.kill_guard(host);
        self.hosts[host].disk.renew();
        self.hosts[host].programs.clear();
        self.hosts[host].left.clear();
        self.hosts[host].cut_off = false;
        self.hosts[host].executors.clear();
        self.hosts[host].copies.clear();
        self.hosts[host].configured.clear();
        self.hosts[host].powered = true;
        self.hosts[host].id = *node;
        self.ids.insert(*node, host);
        let name = self.hosts[host].name;
        self.note(None, || format!("{name} is node {} now", node.0));
        self.repair(host);
    }
}
