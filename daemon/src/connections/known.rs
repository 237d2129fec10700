//! The newest list of each service, on every node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::state::State;

use super::{Ends, List, MOST, Taken, Told};

/// What is known. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<BTreeMap<ServiceId, Entry>>>);

#[derive(Debug)]
struct Entry {
    from: NodeId,
    epoch: Epoch,
    number: u64,
    list: Arc<List>,
}

impl Known {
    /// Takes what another node tells, if the state gives the service to it.
    #[must_use]
    pub fn take(&self, from: NodeId, told: Told, state: &State) -> Taken {
        let assigned = state.assignments.get(&told.service);
        let assigned = assigned.filter(|it| it.epoch == told.epoch);
        let Some(assigned) = assigned.filter(|it| it.holder.node() == Some(from)) else {
            return Taken::Behind;
        };
        let mut known = self.lock();
        known.retain(|service, _| state.assignments.contains_key(service));
        let mut list = match told.base {
            None => List::new(),
            Some(base) => {
                let same =
                    |it: &&mut Entry| (it.from, it.epoch, it.number) == (from, told.epoch, base);
                let Some(entry) = known.get_mut(&told.service).filter(same) else {
                    return Taken::Behind;
                };
                std::mem::take(Arc::make_mut(&mut entry.list))
            }
        };
        for gone in &told.gone {
            list.remove(gone);
        }
        let fits = |it: &Ends| assigned.addresses.contains(&it.0.ip());
        list.extend(told.added.into_iter().filter(fits).take(MOST));
        while list.len() > MOST {
            list.pop_last();
        }
        let (epoch, number, list) = (told.epoch, told.number, Arc::new(list));
        known.insert(told.service, Entry { from, epoch, number, list });
        Taken::Known
    }

    /// Keeps what this node itself has: it may be the one that gets the service again.
    pub fn keep(&self, me: NodeId, service: &ServiceId, epoch: Epoch, list: Arc<List>) {
        let entry = Entry { from: me, epoch, number: 0, list };
        self.lock().insert(service.clone(), entry);
    }

    /// The newest list of a service from before that assignment.
    #[must_use]
    pub fn before(&self, service: &ServiceId, epoch: Epoch) -> Arc<List> {
        let known = self.lock();
        let entry = known.get(service).filter(|it| it.epoch < epoch);
        entry.map(|it| it.list.clone()).unwrap_or_default()
    }

    /// How many connections are known of each service.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<ServiceId, usize> {
        let known = self.lock();
        known.iter().map(|(service, entry)| (service.clone(), entry.list.len())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServiceId, Entry>> {
        // Whatever panicked, each entry is whole: the worst is a list that is asked for anew.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
