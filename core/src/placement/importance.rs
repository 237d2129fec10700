//! How much services count: each as much as the most important of itself and all that needs it.
//!
//! Otherwise something important could take the room of what it stands on, and wait for that for
//! ever.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::ServiceId;
use crate::state::config::Config;

/// How much each service of a configuration counts, from 1 to 100.
#[derive(Debug)]
pub struct Importances<'a> {
    config: &'a Config,
    /// Those that count for more than their own importance.
    raised: BTreeMap<&'a ServiceId, (u8, &'a ServiceId)>,
}

impl<'a> Importances<'a> {
    /// Of that configuration.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        let mut all = Self { config, raised: BTreeMap::new() };
        for (service, more) in &config.later.next.services {
            if more.needs.is_empty() {
                continue;
            }
            let mut reached: Vec<_> = more.needs.iter().collect();
            while let Some(other) = reached.pop() {
                // What rises no further ends it, in a circle too.
                if all.of(other) < more.importance {
                    all.raised.insert(other, (more.importance, service));
                    reached.extend(config.needs(other));
                }
            }
        }
        all
    }

    /// How much that one counts.
    #[must_use]
    pub fn of(&self, service: &ServiceId) -> u8 {
        let own = || self.config.importance(service);
        self.raised.get(service).map_or_else(own, |(importance, _)| *importance)
    }

    /// The service for whose sake it counts for more than its own importance.
    #[must_use]
    pub fn raised_by(&self, service: &ServiceId) -> Option<&'a ServiceId> {
        self.raised.get(service).map(|(_, by)| *by)
    }
}

/// All that a service needs, at once and through others, the nearest first.
#[must_use]
pub fn stands_on<'a>(config: &'a Config, service: &ServiceId) -> Vec<&'a ServiceId> {
    let mut all: Vec<&ServiceId> = Vec::new();
    let (mut next, mut done) = (Some(service), 0);
    while let Some(one) = next {
        for needed in config.needs(one) {
            if needed != service && !all.contains(&needed) {
                all.push(needed);
            }
        }
        next = all.get(done).copied();
        done += 1;
    }
    all
}
