//! I3: at most one node answers for an address at any instant; and how long none does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Why;
use crate::plan::address;
use crate::world::World;

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Address {
    /// Up to when each address is certain to be open somewhere.
    covered: BTreeMap<IpAddr, u64>,
    gaps: BTreeMap<IpAddr, Vec<(u64, u64)>>,
    /// Who has it open, as far as the judge was last told.
    holder: BTreeMap<IpAddr, usize>,
    /// Addresses that two machines answer for under an excuse: since when, until when at most, why.
    doubled: BTreeMap<IpAddr, (u64, u64, Why)>,
    /// How often an address was opened by another machine than before.
    pub moved: u64,
}

impl Address {
    /// The gaps count from now on.
    pub fn forget_gaps(&mut self) {
        self.gaps.clear();
    }

    /// When a service's address was open nowhere: from, to, in microseconds.
    pub fn gaps(&self, service: usize) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.gaps.get(&address(service)).into_iter().flatten().copied()
    }

    /// The longest of them, in microseconds.
    #[must_use]
    pub fn longest_gap(&self, service: usize) -> u64 {
        self.gaps(service).map(|(from, to)| to - from).max().unwrap_or(0)
    }
}

impl World {
    /// A machine's gate was changed for these addresses.
    pub(crate) fn judge_gate(&mut self, host: usize, touched: &[IpAddr]) {
        for address in touched {
            if self.hosts[host].open_until(*address) > self.now {
                self.judges.proof.opens(host, *address, self.now);
            }
            self.judge_address(*address);
            self.count_gap(host, *address);
        }
    }

    /// Looks at every gate: an excuse has ended.
    pub(crate) fn judge_all_gates(&mut self) {
        for service in 0..self.plan.services {
            for address in self.plan.addresses(service) {
                self.judge_address(address);
            }
        }
    }

    fn judge_address(&mut self, address: IpAddr) {
        let now = self.now;
        let mut open = (0..self.hosts.len()).filter(|it| self.hosts[*it].open_until(address) > now);
        let (Some(first), Some(second)) = (open.next(), open.next()) else {
            self.end_double(address);
            return;
        };
        let both = [first, second];
        let Some(why) = self.excused(&both) else {
            let names = both.map(|host| self.hosts[host].name);
            self.fail("I3", &format!("{address} is open on {} and {}", names[0], names[1]));
            return;
        };
        let until = both.map(|host| self.hosts[host].open_until(address)).into_iter().min();
        let until = until.unwrap_or(now);
        let doubled = self.judges.address.doubled.entry(address).or_insert((now, until, why));
        doubled.1 = until;
    }

    /// Nobody answers beside another any more: how long was it?
    fn end_double(&mut self, address: IpAddr) {
        let Some((since, until, why)) = self.judges.address.doubled.remove(&address) else {
            return;
        };
        let (times, longest) = self.judges.excused.entry(why).or_default();
        *times += 1;
        *longest = (*longest).max(until.min(self.now) - since);
    }

    /// A client asked the segment who has the address.
    pub(crate) fn judge_answers(&mut self, address: IpAddr, answering: &[usize]) {
        if answering.len() > 1 && self.excused(answering).is_none() {
            let names: Vec<_> = answering.iter().map(|host| self.hosts[*host].name).collect();
            let what = format!("a client had answers for {address} from {}", names.join(" and "));
            self.fail("I3", &what);
        }
    }

    fn count_gap(&mut self, host: usize, address: IpAddr) {
        let now = self.now;
        let until = self.hosts[host].sure_until(address);
        let covered = self.judges.address.covered.get(&address).copied();
        if until > now {
            let judge = &mut self.judges.address;
            let former = judge.holder.insert(address, host);
            judge.moved += u64::from(former.is_some_and(|former| former != host));
            judge.covered.insert(address, until.max(covered.unwrap_or(0).min(until)));
            match covered.filter(|covered| *covered < now) {
                Some(covered) => {
                    judge.gaps.entry(address).or_default().push((covered, now));
                    let gap = (now - covered) / 100;
                    let (whole, part) = (gap / 10, gap % 10);
                    self.note(Some(host), || {
                        format!("answers for {address} after {whole}.{part} ms")
                    });
                }
                None if covered.is_none() => {
                    self.note(Some(host), || format!("answers for {address}"));
                }
                None => {}
            }
        } else if covered.is_some_and(|covered| covered > now)
            && !self.hosts.iter().any(|other| other.open_until(address) > now)
        {
            self.judges.address.covered.insert(address, now);
            self.note(Some(host), || format!("is silent for {address}"));
        }
    }
}
