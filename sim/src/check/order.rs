//! Services of several resources: order, ends, bounds.
//!
//! - `order`: a resource starts before what it needs works, before its own end, or after the end is
//!   wanted; one stops before what needs it has stopped.
//! - `gone`: an executor says that all has stopped, and an honest agent could show something.
//! - `bounds`: a resource failed more often than is allowed and the service goes on here, or it is
//!   given up before.
//! - I1, I2: resources of one service are on two nodes; some are there after the lease.
//!
//! The judge hears what agents are asked and what they answer, and knows how things really are. It
//! takes no word of the machine for it. Where an agent lied, nobody could know better: a resource
//! that it said to be gone counts as gone until it is started again, and what it said to work may
//! be stood upon. The machine is then judged by what it was told.

use std::collections::BTreeMap;

use stead_core::id::ServiceId;
use stead_core::resource::{Answer, Care, Operation, Whole};
use stead_core::state::State;
use stead_core::time::{Instant, Span};

use super::Why;
use crate::world::{Executor, Habit, LATE, Truth, World};

/// After more failures than that the pauses between two tries are longer than a lull can wait for.
const CALM: u32 = 5;
/// The longest time that a service may try in vain on a machine, in microseconds, to be judged.
const VISIT: u64 = 3_000_000;

/// What the judge remembers: of each executor that it heard of last, by machine and service.
#[derive(Debug, Default)]
pub struct Order {
    records: BTreeMap<(usize, ServiceId), Record>,
    /// How often resources failed.
    pub failures: u64,
    /// How often a service was given up on a node.
    pub given_up: u64,
    /// How often everything of a service was said to have stopped.
    pub stopped: u64,
}

#[derive(Debug)]
struct Record {
    executor: u64,
    restarts: u32,
    forget_after: Span,
    /// The end is wanted.
    ending: bool,
    given_up: bool,
    /// How it is looked after.
    care: Care,
    parts: Vec<Known>,
}

/// What was said of one resource.
#[derive(Debug)]
struct Known {
    name: String,
    needs: Vec<usize>,
    /// The newest word is that it works.
    works: bool,
    /// The newest word is that nothing of it is there.
    gone: bool,
    /// It failed and was not stopped since.
    bad: bool,
    failures: u32,
    /// It failed and is left as it is: nothing was to be done about it then.
    left: bool,
    works_since: Option<Instant>,
    /// What its agent was asked last.
    asked: Operation,
}

impl Record {
    fn carries(&self, place: usize) -> bool {
        let it = &self.parts[place];
        it.works && it.needs.iter().all(|need| self.carries(*need))
    }

    /// It failed. Says whether that counts.
    fn fail(&mut self, now: Instant, place: usize, hopeless: bool) -> bool {
        let (forget_after, restarts) = (self.forget_after, self.restarts);
        let it = &mut self.parts[place];
        it.works = false;
        if core::mem::replace(&mut it.bad, true) {
            return false;
        }
        if it.works_since.take().is_some_and(|since| now.since(since) >= forget_after) {
            it.failures = 0;
        }
        it.failures += 1;
        self.given_up |= !self.ending && (hopeless || it.failures > restarts);
        true
    }
}

/// Whether anything of a resource can be shown.
fn is_there(executor: &Executor, place: usize) -> bool {
    let part = &executor.parts[place];
    part.truth != Truth::Down && !part.hidden
}

impl World {
    /// An executor begins.
    pub(crate) fn judge_executor(&mut self, host: usize, service: &ServiceId) {
        let Some(executor) = self.hosts[host].executors.get(service) else { return };
        let parts = self.plan.parts_of(service);
        let place = |name: &String| parts.iter().position(|part| part.name == *name);
        let known = parts.iter().map(|part| Known {
            name: part.name.clone(),
            needs: part.needs.iter().filter_map(place).collect(),
            works: false,
            gone: false,
            bad: false,
            failures: 0,
            left: false,
            works_since: None,
            asked: Operation::Probe,
        });
        let record = Record {
            executor: executor.number,
            restarts: self.plan.parts.restarts,
            forget_after: self.plan.parts.forget_after,
            ending: false,
            given_up: false,
            care: Care::Full,
            parts: known.collect(),
        };
        self.judges.order.records.insert((host, service.clone()), record);
    }

    fn record(&mut self, host: usize, service: &ServiceId) -> Option<&mut Record> {
        let executor = self.hosts[host].executors.get(service)?.number;
        let record = self.judges.order.records.get_mut(&(host, service.clone()));
        record.filter(|record| record.executor == executor)
    }

    /// An agent is asked for something.
    pub(crate) fn judge_asked(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: usize,
        operation: Operation,
    ) {
        let wrong = match operation {
            Operation::Start => self.wrong_start(host, service, place),
            Operation::Stop | Operation::Kill => self.wrong_stop(host, service, place),
            Operation::Probe | Operation::Monitor => None,
            Operation::Promote | Operation::Demote | Operation::Notify => {
                Some(("order", format!("{} is asked of what has no copies", operation.word())))
            }
        };
        if let Some((judge, why)) = wrong {
            let name = self.hosts[host].name;
            self.fail(judge, &format!("{name}: {service}: {why}"));
        }
        if operation == Operation::Start {
            self.judge_act(host, "starts a resource");
        }
        let Some(record) = self.record(host, service) else { return };
        let it = &mut record.parts[place];
        it.asked = operation;
        if matches!(operation, Operation::Start | Operation::Stop | Operation::Kill) {
            (it.works, it.gone) = (false, false);
        }
    }

    fn wrong_start(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: usize,
    ) -> Option<(&'static str, String)> {
        let record = self.record(host, service)?;
        let (it, parts) = (&record.parts[place], &record.parts);
        let name = &it.name;
        if record.given_up {
            return Some(("bounds", format!("{name} starts, and the service was given up")));
        }
        if record.ending {
            return Some(("order", format!("{name} starts, and the end is wanted")));
        }
        if !it.gone {
            return Some(("order", format!("{name} starts, and was not stopped before")));
        }
        if let Some(need) = it.needs.iter().find(|need| !record.carries(**need)) {
            let need = &parts[*need].name;
            return Some(("order", format!("{name} starts before {need} works")));
        }
        // What was left as it is counts as it counted before.
        let needs = it.needs.iter().filter(|need| !parts[**need].left);
        let needs: Vec<_> = needs.map(|need| (*need, parts[*need].name.clone())).collect();
        let name = name.clone();
        let executor = self.hosts[host].executors.get(service)?;
        let down = needs.iter().find(|(need, _)| {
            let part = &executor.parts[*need];
            part.truth != Truth::Up && !part.doubtful
        });
        down.map(|(_, need)| ("order", format!("{name} starts, and {need} does not work")))
    }

    fn wrong_stop(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: usize,
    ) -> Option<(&'static str, String)> {
        let record = self.record(host, service)?;
        let name = record.parts[place].name.clone();
        let needing = record.parts.iter().enumerate().filter(|(_, it)| it.needs.contains(&place));
        let needing: Vec<_> =
            needing.map(|(other, it)| (other, it.name.clone(), it.gone)).collect();
        if let Some((_, other, _)) = needing.iter().find(|(.., gone)| !gone) {
            return Some(("order", format!("{name} stops before {other} has stopped")));
        }
        let executor = self.hosts[host].executors.get(service)?;
        let there = needing.iter().find(|(other, ..)| is_there(executor, *other));
        there.map(|(_, other, _)| ("order", format!("{name} stops, and {other} is there")))
    }

    /// An agent answers.
    pub(crate) fn judge_answered(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: usize,
        (operation, answer): (Operation, &Answer),
    ) {
        let now = self.local(host);
        let Some(record) = self.record(host, service) else { return };
        let hopeless = matches!(answer, Answer::Hopeless(_));
        let care = record.care;
        let it = &mut record.parts[place];
        let mut failed = false;
        if it.works && !it.bad && operation == Operation::Monitor {
            it.left = match answer {
                Answer::Failed(_) | Answer::Hopeless(_) => care != Care::Full,
                Answer::Stopped => care == Care::Nothing,
                Answer::Works | Answer::Promoted => false,
            };
            if it.left {
                it.works_since = None;
                return;
            }
        }
        match (operation, answer) {
            (Operation::Probe, Answer::Works) => it.works = true,
            (Operation::Monitor, Answer::Works) if !it.bad => {
                it.works = true;
                it.works_since.get_or_insert(now);
            }
            // Something is there that has to be cleared away: no failure of what was started here.
            (Operation::Probe, Answer::Failed(_)) => it.bad = true,
            (Operation::Probe | Operation::Stop | Operation::Kill, Answer::Stopped) => {
                (it.gone, it.bad) = (true, false);
            }
            (Operation::Probe, Answer::Hopeless(_)) => {
                it.gone = true;
                failed = record.fail(now, place, hopeless);
            }
            (Operation::Start, Answer::Works) if !it.bad => {}
            (Operation::Start | Operation::Monitor, _) => {
                failed = record.fail(now, place, hopeless);
            }
            (Operation::Stop | Operation::Kill, _) => {}
            // Nothing here has copies.
            (Operation::Promote | Operation::Demote | Operation::Notify, _)
            | (Operation::Probe, Answer::Promoted) => {}
        }
        self.judges.order.failures += u64::from(failed);
    }

    /// A resource ended by itself, and its agent says so.
    pub(crate) fn judge_part_ended(&mut self, host: usize, service: &ServiceId, place: usize) {
        let now = self.local(host);
        let Some(record) = self.record(host, service) else { return };
        let it = &record.parts[place];
        let up = matches!(it.asked, Operation::Start | Operation::Monitor)
            || it.asked == Operation::Probe && it.works;
        if up && it.works && record.care == Care::Nothing {
            let it = &mut record.parts[place];
            (it.left, it.works_since) = (true, None);
            return;
        }
        if up && !it.gone {
            let failed = record.fail(now, place, false);
            self.judges.order.failures += u64::from(failed);
        }
    }

    /// The executor was told how it looks after everything from now on.
    pub(crate) fn judge_care(&mut self, host: usize, service: &ServiceId, care: Care) {
        if let Some(record) = self.record(host, service) {
            record.care = care;
        }
    }

    /// Failures of a resource, or of all, are forgotten.
    pub(crate) fn judge_forgotten(
        &mut self,
        host: usize,
        service: &ServiceId,
        place: Option<usize>,
    ) {
        let Some(record) = self.record(host, service) else { return };
        for (at, it) in record.parts.iter_mut().enumerate() {
            if place.is_none_or(|place| place == at) {
                it.failures = 0;
            }
        }
        let restarts = record.restarts;
        record.given_up &= record.parts.iter().any(|it| it.failures > restarts);
    }

    /// The executor was told to stop everything.
    pub(crate) fn judge_end_wanted(&mut self, host: usize, service: &ServiceId) {
        if let Some(record) = self.record(host, service) {
            record.ending = true;
        }
    }

    /// What the executor says of the whole: by the words of agents, and no others.
    pub(crate) fn judge_whole(&mut self, host: usize, service: &ServiceId) {
        let Some(executor) = self.hosts[host].executors.get(service) else { return };
        let whole = executor.life.whole();
        let Some(record) = self.record(host, service) else { return };
        let wrong = match whole {
            Whole::Works => {
                let not = (0..record.parts.len()).find(|place| !record.carries(*place));
                not.map(|it| {
                    (
                        "order",
                        format!("{} does not work, and all is said to", record.parts[it].name),
                    )
                })
            }
            Whole::Failed(place, _) if !record.given_up => {
                let it = &record.parts[place];
                Some(("bounds", format!("{} is given up after {} failures", it.name, it.failures)))
            }
            Whole::Starting | Whole::Restarting if record.given_up => {
                Some(("bounds", "it failed too often, and is not given up".to_string()))
            }
            Whole::Starting
            | Whole::Restarting
            | Whole::Failed(..)
            | Whole::Stopping
            | Whole::Stopped => None,
        };
        if let Some((judge, why)) = wrong {
            let name = self.hosts[host].name;
            self.fail(judge, &format!("{name}: {service}: {why}"));
        }
    }

    /// An executor says that nothing is left.
    pub(crate) fn judge_all_gone(&mut self, host: usize, service: &ServiceId) {
        self.judges.order.stopped += 1;
        let Some(executor) = self.hosts[host].executors.get(service) else { return };
        let all = 0..executor.parts.len();
        if let Some(place) = all.into_iter().find(|place| is_there(executor, *place)) {
            let (name, part) = (self.hosts[host].name, executor.names[place].clone());
            self.fail("gone", &format!("{name}: {service} has stopped, and {part} is there"));
        }
    }

    /// Whether what is there of a service's resources on that machine counts now.
    fn parts_count(&self, host: usize, service: &ServiceId) -> bool {
        let it = &self.hosts[host];
        let executor = it.executors.get(service);
        it.halted.is_none()
            && self.now >= it.woke_at + LATE
            && self.now >= it.astray_until
            && executor.is_some_and(|it| (0..it.parts.len()).any(|place| is_there(it, place)))
    }

    /// Something of a service may have come to be there: nowhere else is anything of it.
    pub(crate) fn judge_part_appears(&mut self, host: usize, service: &ServiceId, place: usize) {
        let executor = self.hosts[host].executors.get(service);
        if !executor.is_some_and(|it| is_there(it, place)) {
            return;
        }
        let there: Vec<_> =
            (0..self.hosts.len()).filter(|host| self.parts_count(*host, service)).collect();
        if there.len() > 1 && self.excused_where(&there, Why::holds_for_programs).is_none() {
            let names: Vec<_> = there.iter().map(|host| self.hosts[*host].name).collect();
            let what = format!("resources of {service} are on {}", names.join(" and "));
            self.fail("I1", &what);
        }
    }

    /// What is past its last majority echo has no resources (protocol, section 4): asked whenever
    /// an executor does anything.
    pub(crate) fn judge_lease_of_parts(&mut self, host: usize, service: &ServiceId) {
        if !self.parts_count(host, service) {
            return;
        }
        if let Some(why) = self.uncarried(host, self.longest_timers().lease)
            && self.excused_where(&[host], Why::holds_for_programs).is_none()
        {
            let name = self.hosts[host].name;
            self.fail("I2", &format!("resources of {service} are on {name}, and {why}"));
        }
    }

    /// Whether bad agents on these machines explain that a service is not served. They don't where
    /// all that goes wrong is starts and looks, which end in time, and a machine with good agents
    /// is next in turn: there it has to go.
    pub(crate) fn agents_excuse(&self, block: &[usize], state: &State, number: usize) -> bool {
        let name = self.plan.service(number);
        let habits = |host: usize| self.hosts[host].habits.iter().filter(|it| it.service == name);
        let (bad, good): (Vec<usize>, Vec<usize>) =
            block.iter().partition(|host| habits(**host).next().is_some());
        let ends = |habit: Habit| !matches!(habit, Habit::Lies | Habit::Good);
        let soft = bad
            .iter()
            .flat_map(|host| habits(*host))
            .all(|it| !matches!(it.operation, Operation::Stop | Operation::Kill) && ends(it.habit));
        let parts = &self.plan.parts;
        let visit = parts.timeout.0 * 3 * (u64::from(parts.restarts) + 1);
        let failed = state.assignments.get(&name).map(|it| it.failures.clone()).unwrap_or_default();
        let failures = |host: &usize| failed.get(&self.hosts[*host].id).copied().unwrap_or(0);
        let able = |host: &&usize| {
            let it = &self.hosts[**host];
            state.takes(it.id) && state.members.contains_key(&it.id)
        };
        let next = good.iter().filter(able).map(failures).min();
        let before = bad.iter().map(failures).min().unwrap_or(u32::MAX);
        let due = next.is_some_and(|next| next <= before.saturating_add(1));
        let calm = failed.values().sum::<u32>() <= CALM && visit <= VISIT;
        !(bad.is_empty() || soft && due && calm && self.by_failures_alone(block, state, &name))
    }

    /// Whether failures decide where a service goes, and nothing that counts more.
    fn by_failures_alone(&self, block: &[usize], state: &State, name: &ServiceId) -> bool {
        let wished = state.assignments.get(name).is_none_or(|it| it.wish.is_some());
        let odd = |host: &usize| {
            let node = self.node(*host);
            self.lan.unsteady[*host]
                || node.is_none_or(|node| !node.quarantined(self.local(*host)).is_empty())
        };
        !wished && !block.iter().any(odd)
    }

    /// Why the resources of a service are not all there on a machine; nothing if it has none.
    pub(crate) fn parts_unwell(&self, host: usize, number: usize) -> Option<String> {
        let service = self.plan.service(number);
        if self.plan.parts_of(&service).is_empty() {
            return None;
        }
        match self.hosts[host].executors.get(&service) {
            Some(executor) if executor.works() => None,
            Some(executor) => {
                let parts = executor.names.iter().zip(&executor.parts);
                let parts: Vec<_> =
                    parts.map(|(name, it)| format!("{name} {:?}", it.truth)).collect();
                Some(format!("{:?}: {}", executor.life.whole(), parts.join(", ")))
            }
            None => Some("no executor".to_string()),
        }
    }
}
