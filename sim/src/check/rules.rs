//! Rules of placement: what is assigned obeys them, and nobody is left out for somebody who counts
//! for less.
//!
//! Whatever the coordinator had in mind, each assignment is looked at in the state that comes of
//! it. A service that is nowhere is excused only if no machine could take it beside all that count
//! for as much; that is asked of the core's own judge of plans, which shares no code with its
//! planner.

use stead_core::id::{NodeId, ServiceId};
use stead_core::placement::{self, Able, Broken, Decision, Plan, Sight, Why};
use stead_core::points::Seen;
use stead_core::state::config::{ServiceRules, Strength};
use stead_core::state::{Change, State};

use crate::world::World;

impl World {
    /// A member has applied a change: what it gives to whom obeys the rules.
    pub(crate) fn judge_rules(&mut self, host: usize, change: &Change) {
        if !self.plan.has_rules() {
            return;
        }
        // Nothing else gives anything to anybody.
        let given: Vec<ServiceId> = if let Change::Assign { service, .. } = change {
            vec![service.clone()]
        } else if let Change::Takeover(takeover) = change {
            let to = takeover.assignments.iter().filter(|(_, to)| to.is_some());
            to.map(|(service, _)| service.clone()).collect()
        } else {
            return;
        };
        let Some(daemon) = &self.hosts[host].daemon else { return };
        let state = daemon.node.state();
        let why = given.iter().find_map(|service| broken_by(state, service));
        if let Some(why) = why {
            self.fail("rules", &why);
        }
    }
}

/// What rule is broken by where a service is.
fn broken_by(state: &State, service: &ServiceId) -> Option<String> {
    let config = state.config.as_ref()?;
    let at = |service: &ServiceId| state.assignments.get(service)?.holder.node();
    let node = at(service)?;
    let name = state.name(node);
    let is = |place: &_| config.is_there(&name, place);
    let may = config.rules(service).is_none_or(|rules| {
        (rules.only.is_empty() || rules.only.iter().any(is)) && !rules.never.iter().any(is)
    });
    if !may {
        return Some(format!("{service} is given to {name}, and may not be there"));
    }
    // A copy uses what it uses, promoted or not, and where it is nobody chooses.
    let copied = |service: &ServiceId| config.copies(service).is_some_and(|it| it.is_on(&name));
    let on = || config.services.keys().filter(|other| at(other) == Some(node) || copied(other));
    let uses = |service: &ServiceId, quantity: &str| {
        config.rules(service).and_then(|rules| rules.uses.get(quantity)).copied().unwrap_or(0)
    };
    let quantities = config.rules(service).into_iter().flat_map(|rules| rules.uses.keys());
    for quantity in quantities.filter(|it| uses(service, it) > 0 && !copied(service)) {
        let used: u64 = on().map(|other| uses(other, quantity)).sum();
        let has = config.capacity(&name, quantity);
        if used > has {
            let what = format!("{used} {quantity} used there, and it has {has}");
            return Some(format!("{service} is given to {name}: {what}"));
        }
    }
    let apart = config.services.keys().find(|other| {
        let says = |one: &ServiceId, named: &ServiceId| {
            let rules = config.rules(one)?;
            (rules.apart.get(named) == Some(&Strength::Must)).then_some(rules)
        };
        let there = at(other).filter(|it| state.view.contains_key(it));
        let one_place = |rules: &ServiceRules| {
            let label = |node| {
                let by = rules.apart_by.as_ref()?;
                config.label(&state.name(node), by).map(str::to_string)
            };
            there == Some(node) || label(node).is_some() && there.and_then(label) == label(node)
        };
        let both = [says(service, other), says(other, service)];
        *other != service && both.into_iter().flatten().any(one_place)
    });
    apart.map(|other| format!("{service} is given to {name}, where {other} is, and they are apart"))
}

impl World {
    /// Whether a service that is nowhere has no place by the rules beside what counts for as much,
    /// on machines that could take it.
    pub(crate) fn is_crowded_out(
        &self,
        state: &State,
        service: &ServiceId,
        hosts: &[usize],
    ) -> bool {
        let unheld = state.assignments.get(service).is_some_and(|it| it.holder.node().is_none());
        let ids: Vec<NodeId> = hosts.iter().map(|host| self.hosts[*host].id).collect();
        self.plan.has_rules() && unheld && has_no_room(state, service, &ids, false)
    }
}

/// Whether there is no room for a service on these machines, beside everybody or beside all that
/// count for as much.
pub(super) fn has_no_room(
    state: &State,
    service: &ServiceId,
    nodes: &[NodeId],
    beside_all: bool,
) -> bool {
    let Some(config) = &state.config else { return false };
    let importances = placement::Importances::new(config);
    let able = Able::from(nodes.iter().copied().collect::<std::collections::BTreeSet<_>>());
    let seen = Seen::default();
    let sight = Sight::new(state, &able, &seen);
    let counts = |other: &ServiceId| {
        // What is in maintenance makes room for nobody.
        let counts = beside_all
            || state.is_maintained(other)
            || importances.of(other) >= importances.of(service);
        counts && other != service
    };
    let decisions = state.assignments.iter().filter(|(id, _)| config.services.contains_key(*id));
    let decisions = decisions.map(|(id, it)| {
        let from = it.holder.node().filter(|node| state.view.contains_key(node));
        let to = from.filter(|_| counts(id));
        let leaves = Some(placement::Leave::Stopped).filter(|_| to.is_none());
        let leaves = leaves.filter(|_| id != service);
        (id.clone(), Decision { from, to, leaves, why: Why::Left })
    });
    let plan = Plan { decisions: decisions.collect() };
    let broken = placement::check(sight, &plan);
    !broken.iter().any(|it| matches!(it, Broken::LeftOut(who, _) if who == service))
}
