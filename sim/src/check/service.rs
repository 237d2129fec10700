//! I4: a quorate partition that exists for long enough runs everything, and when all faults are
//! lifted everything heals.

use std::collections::BTreeSet;

use stead_core::id::NodeId;
use stead_core::quorum::register::Half;
use stead_core::state::{Holder, State};

use crate::log::Mode;
use crate::world::{Manner, World};

/// A disk that takes longer than that for a write, in microseconds, makes no whole partition.
const SLOW: u64 = 200_000;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Service {
    /// How often a partition under standing faults was found to serve everything.
    pub lulls: u64,
    /// How often a service left a machine that was cut off from the services' segment.
    pub reached: u64,
}

impl World {
    /// The machines of a partition that could serve: more than half of the voters, or half with a
    /// grant, whole, with every way between them open, and with open ports. Nothing if there is
    /// none.
    fn whole_partition(&self) -> Option<Vec<usize>> {
        let fit = |host: &usize| {
            let it = &self.hosts[*host];
            let released = it.guard.as_ref().is_none_or(|guard| guard.lease.is_released());
            it.powered
                && it.halted.is_none()
                && it.guard_waits(self.now).is_none()
                && it.daemon_waits(self.now).is_none()
                && !released
                && !it.slewed
                && it.disk.is_writable()
                && !matches!(it.disk.mode, Mode::Slow(late) if late > SLOW)
                && it.daemon.as_ref().is_some_and(|daemon| !daemon.raft.is_dead())
                && !it.daemon.as_ref().is_some_and(|daemon| daemon.retiring)
                && self.lan.up[*host]
        };
        let fit: Vec<_> = (0..self.hosts.len()).filter(fit).collect();
        let meets = |a: usize, b: usize| a == b || self.net.talks(a, b);
        let blocks = fit.iter().map(|first| {
            let block = fit.iter().copied().filter(|other| meets(*first, *other));
            block.collect::<Vec<_>>()
        });
        // Satellites make none, however many meet.
        let voting = |block: &Vec<usize>| {
            let votes = |host: &&usize| {
                let it = &self.hosts[**host];
                it.disk.voters().iter().any(|set| set.contains(&it.id))
            };
            block.iter().filter(votes).count()
        };
        let largest = blocks.max_by_key(|block| (voting(block), block.len()))?;
        let clique = largest.iter().all(|a| largest.iter().all(|b| meets(*a, *b)));
        // Nobody outside can talk with it. Who is only heard, or only hears, is no excuse.
        let apart = largest.iter().all(|a| {
            let others = (0..self.hosts.len()).filter(|b| !largest.contains(b));
            others.into_iter().all(|b| !self.net.talks(*a, b))
        });
        let members: BTreeSet<NodeId> = largest.iter().map(|host| self.hosts[*host].id).collect();
        // By the newest voters that one of them knows.
        let newest = largest.iter().max_by_key(|host| self.hosts[**host].disk.log().len())?;
        let voters = self.hosts[*newest].disk.voters();
        let enough = voters.iter().all(|set| set.intersection(&members).count() * 2 > set.len());
        let enough = enough || self.would_be_granted(&largest, *newest);
        (clique && apart && enough && !voters.is_empty()).then_some(largest)
    }

    /// Whether that partition is a half that the quorum server would grant, and the only one that
    /// could ask.
    fn would_be_granted(&self, block: &[usize], newest: usize) -> bool {
        let (Some(server), Some(node)) = (&self.register, self.node(newest)) else { return false };
        let sets = self.hosts[newest].disk.voters();
        let [voters] = &sets[..] else { return false };
        let members: BTreeSet<NodeId> = block.iter().map(|host| self.hosts[*host].id).collect();
        let present = members.intersection(voters).copied().collect();
        let half = Half { present, voters: voters.clone() };
        let alone = (0..self.hosts.len()).filter(|host| !block.contains(host));
        let alone = alone.into_iter().all(|host| !server.open[host]);
        alone
            && half.is_one()
            && block.iter().all(|host| server.open[*host])
            && server.would_grant(node.state().later.grant, &half)
    }

    /// Whether some partition could serve.
    pub(crate) fn has_whole_partition(&self) -> bool {
        self.whole_partition().is_some()
    }

    /// The faults stand still. If a partition could serve, it has to, within that many ms.
    pub(crate) fn judge_lull(&mut self, millis: u64) {
        self.judge_reach(millis);
        let Some(block) = self.whole_partition() else { return };
        let within = |world: &Self| world.block_serves(&block).is_none();
        if self.run_until(millis, within) {
            self.judges.service.lulls += 1;
        } else if self.judges.verdict.is_none() && self.whole_partition().as_ref() == Some(&block) {
            let names: Vec<_> = block.iter().map(|host| self.hosts[*host].name).collect();
            let why = self.block_serves(&block).unwrap_or_default();
            let names = names.join(" ");
            self.fail("I4", &format!("{names} could serve for {millis} ms and do not: {why}"));
        }
    }

    /// Whether a machine works in every way but, perhaps, on the segment of the services.
    fn is_whole(&self, host: usize) -> bool {
        let it = &self.hosts[host];
        let released = it.guard.as_ref().is_none_or(|guard| guard.lease.is_released());
        it.powered
            && it.halted.is_none()
            && it.guard_waits(self.now).is_none()
            && it.daemon_waits(self.now).is_none()
            && !released
            && !it.slewed
            && it.disk.mode == Mode::Good
            && it.daemon.as_ref().is_some_and(|daemon| !daemon.raft.is_dead())
    }

    /// The faults stand still, all machines work and talk to each other, and a reference point
    /// lives. Then no service stays on a machine that is cut off from the segment, if another may
    /// have it that never was (rule P2).
    fn judge_reach(&mut self, millis: u64) {
        if self.stranded().is_none() {
            return;
        }
        if self.run_until(millis, |world| world.stranded().is_none()) {
            self.judges.service.reached += 1;
        } else if let Some(why) = self.stranded().filter(|_| self.judges.verdict.is_none()) {
            self.fail("I4", &format!("for {millis} ms {why}"));
        }
    }

    /// A service whose holder sees less of the segment than another machine, if there is one.
    fn stranded(&self) -> Option<String> {
        let all = || 0..self.hosts.len();
        let lives = self.lan.points.iter().any(|lives| *lives);
        let silent = self.lan.silent.iter().any(|silent| *silent);
        let whole = all().all(|host| self.is_whole(host))
            && all().all(|a| all().all(|b| a == b || self.net.talks(a, b)));
        if !lives || silent || !whole {
            return None;
        }
        let state = self.state()?;
        let services = 0..state.config.as_ref()?.services.len();
        services.into_iter().find_map(|number| {
            let holder = state.assignments.get(&self.plan.service(number))?.holder.node()?;
            let at = self.host_of(holder).filter(|at| !self.lan.up[*at])?;
            if state.is_maintained(&self.plan.service(number)) || !self.is_watched(state, number) {
                return None;
            }
            let better = all().find(|host| {
                let it = &self.hosts[*host];
                let service = self.plan.service(number);
                self.lan.up[*host]
                    && !self.lan.unsteady[*host]
                    && state.view.contains_key(&it.id)
                    && state.takes(it.id)
                    && !super::rules::has_no_room(state, &service, &[it.id], true)
            })?;
            let (at, better) = (self.hosts[at].name, self.hosts[better].name);
            Some(format!(
                "s{number} stays on {at}, which is cut off from its network; {better} is not"
            ))
        })
    }

    /// Whether a reference point speaks for a service.
    fn is_watched(&self, state: &State, number: usize) -> bool {
        let watched = state.config.as_ref().map(|config| {
            let points = stead_core::points::of_config(config);
            stead_core::points::of_service(config, &points, &self.plan.service(number)) != 0
        });
        watched.unwrap_or(false)
    }

    fn block_serves(&self, block: &[usize]) -> Option<String> {
        let nodes = block.iter().filter_map(|host| self.hosts[*host].daemon.as_ref());
        let state = nodes.map(|it| it.node.state()).max_by_key(|state| state.applied)?;
        let config = state.config.as_ref()?;
        let able = |host: &&usize| {
            let it = &self.hosts[**host];
            let broken = !it.broken.is_empty();
            state.members.contains_key(&it.id) && state.takes(it.id) && !broken
        };
        block.iter().find(able)?;
        let broken = |number: &usize| {
            let service = self.plan.service(*number);
            self.agents_excuse(block, state, *number)
                || block.iter().any(|host| self.hosts[*host].broken.contains(&service))
        };
        // While nothing moves, what was on a machine elsewhere waits for it.
        let waits = |number: &usize| {
            let holder = state.assignments.get(&self.plan.service(*number));
            let last = holder.and_then(|it| match it.holder {
                Holder::Never => None,
                Holder::Stopped { node, .. }
                | Holder::Node(node)
                | Holder::Stopping { node, .. } => self.host_of(node),
            });
            let gone = |host: usize| !block.contains(&host) || state.is_halted(self.hosts[host].id);
            state.is_disarmed() && last.is_some_and(gone)
        };
        // What is bound to a machine waits for it, unless that can be switched off, or its watchdog
        // is relied on.
        let bound = |number: &usize| {
            let service = self.plan.service(*number);
            let holder = state.assignments.get(&service).and_then(|it| it.holder.node());
            let at = holder.and_then(|holder| self.host_of(holder));
            let waits = state.is_bound(&service) && at.is_none_or(|at| !block.contains(&at));
            let freed = |node| self.can_be_fenced(state, node) || state.relied_on(node).is_some();
            waits && !holder.is_some_and(freed)
        };
        // What a machine that was asked to end has, and has not been able to stop.
        let leaves = |number: &usize| {
            let holder = state.assignments.get(&self.plan.service(*number));
            let at = holder.and_then(|it| it.holder.node()).and_then(|node| self.host_of(node));
            let daemon = at.and_then(|at| self.hosts[at].daemon.as_ref());
            daemon.is_some_and(|daemon| daemon.retiring)
        };
        // What an operator keeps from running.
        let kept = |number: &usize| {
            let service = self.plan.service(*number);
            state.is_kept(&service)
        };
        let excused = |number: &usize| {
            let theirs = waits(number) || bound(number) || leaves(number);
            let crowded = self.is_crowded_out(state, &self.plan.service(*number), block);
            broken(number) || theirs || kept(number) || crowded
        };
        // What needs another waits for it, and for all before it.
        let missed = |number: &usize| self.plan.stands_on(*number).iter().any(excused);
        let numbers =
            (0..config.services.len()).filter(|number| !excused(number) && !missed(number));
        numbers.into_iter().find_map(|number| self.service_unserved(state, number))
    }

    /// Whether nothing stands in the way of a node's being switched off.
    fn can_be_fenced(&self, state: &State, node: NodeId) -> bool {
        let good = |host: usize| self.hosts[host].device == Manner::Good;
        self.host_of(node).is_some_and(good)
            && state.is_fenceable(node)
            && !state.is_node_maintained(node)
            && !state.is_disarmed()
            // After a failure nobody tries again for a while.
            && !state.later.fencing.failures.contains_key(&node)
            && !state.is_being_fenced(node)
    }

    /// All faults are lifted: everything has to heal within that many ms.
    pub fn judge_healed(&mut self, millis: u64) {
        if self.run_until(millis, Self::is_healthy) || self.judges.verdict.is_some() {
            return;
        }
        let why = self.unhealthy().unwrap_or_default();
        self.fail("I4", &format!("not healed within {millis} ms: {why}"));
    }
}
