//! I5: no acknowledged change is lost, no epoch goes back, and everybody applies the same.

use stead_core::id::{Epoch, Index, NodeId};
use stead_core::state::{Change, Holder, Outcome, State};

use crate::log::{Entry, Payload};
use crate::world::World;

/// What the judge remembers: what was committed, as whoever applied it first had it.
#[derive(Debug, Default)]
pub struct Durable {
    committed: Vec<(Entry, Outcome)>,
    pub(super) state: State,
    /// Up to where anything was acknowledged.
    acknowledged: usize,
}

impl Durable {
    /// How many entries were committed.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    /// The name under which a node joined, as committed.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&str> {
        self.state.members.get(&node).map(|member| member.name.as_str())
    }
}

impl World {
    /// A member applied an entry: the same as everybody else at that place.
    pub(crate) fn judge_applied(
        &mut self,
        host: usize,
        length: usize,
        entry: &Entry,
        outcome: &Outcome,
    ) {
        let name = self.hosts[host].name;
        self.catch_up(host, length);
        let Some((known, first)) = self.judges.durable.committed.get(length - 1) else {
            self.fail("I5", &format!("{name} applied entry {length} before what comes before it"));
            return;
        };
        if !known.is(entry) {
            self.fail("I5", &format!("{name} applied another entry {length} than others did"));
        } else if first != outcome {
            self.fail("I5", &format!("{name} applied entry {length} with another outcome"));
        }
    }

    /// Takes what that machine's log has up to `length` as committed, where nobody was before.
    fn catch_up(&mut self, host: usize, length: usize) {
        let log = self.hosts[host].disk.log().clone();
        while self.judges.durable.committed.len() < length {
            let at = self.judges.durable.committed.len();
            let Some(entry) = log.get(at) else { return };
            let durable = &mut self.judges.durable;
            let before = durable.state.clone();
            let outcome = entry.apply(&mut durable.state, Index(at as u64 + 1));
            let changed = matches!(outcome, Outcome::Done | Outcome::Joined(_));
            durable.committed.push((entry.clone(), outcome));
            let timers = durable.state.timers;
            self.judges.partition.timers(timers);
            let settled = durable_settled(&before, &self.judges.durable.state);
            if settled {
                self.judges.partition.settled(timers);
            }
            if changed {
                let went_on = match entry.payload() {
                    Payload::Voters(_, Some(Change::Grant { out, .. })) => !out.is_empty(),
                    Payload::Voters(_, change) => change.is_some(),
                    Payload::Blank | Payload::Change(_) => false,
                };
                self.cover.ties += u64::from(went_on);
                self.judge_freed(&before, entry);
            }
            if let Some(why) = went_back(&before, &self.judges.durable.state) {
                self.fail("I5", &why);
            }
        }
    }

    /// A proposer was told that its change is committed there, with that outcome.
    pub(crate) fn judge_acknowledged(&mut self, index: Index, outcome: &Outcome, change: &Change) {
        let at = index.0 as usize;
        let durable = &mut self.judges.durable;
        durable.acknowledged = durable.acknowledged.max(at);
        let known = at.checked_sub(1).and_then(|at| durable.committed.get(at));
        let Some((entry, first)) = known else {
            self.fail("I5", &format!("entry {at} was acknowledged and is not committed"));
            return;
        };
        let same = matches!(entry.payload(), Payload::Change(known) if known == change);
        if !same || first != outcome {
            self.fail("I5", &format!("entry {at} was acknowledged as something else"));
        }
    }

    /// At the end every member has everything that was ever acknowledged.
    pub fn judge_nothing_lost(&mut self) {
        let (needed, applied) = (self.judges.durable.acknowledged as u64, self.applied().0);
        if applied < needed {
            let what = format!("entry {needed} was acknowledged, and all have only {applied}");
            self.fail("I5", &what);
        }
    }
}

/// Former timers count no longer.
fn durable_settled(before: &State, after: &State) -> bool {
    before.former_timers.is_some() && after.former_timers.is_none()
}

fn went_back(before: &State, after: &State) -> Option<String> {
    let newest = |state: &State| state.assignments.values().map(|it| it.epoch).max();
    if after.epoch < before.epoch {
        return Some("the epoch went back".into());
    }
    if newest(after) > Some(after.epoch.max(Epoch::default())) {
        return Some("an assignment's epoch is ahead of the cluster's".into());
    }
    for (service, old) in &before.assignments {
        let Some(new) = after.assignments.get(service) else { continue };
        if new.epoch < old.epoch {
            return Some(format!("the epoch of {service} went back"));
        }
        if let (Holder::Node(a), Holder::Node(b)) = (&old.holder, &new.holder)
            && new.epoch == old.epoch
            && a != b
        {
            return Some(format!("{service} moved without a new epoch"));
        }
    }
    None
}
