//! Names that the configuration has no more are taken out of their zones.
//!
//! Happy path: the node that has the service, or still stops it, removes the records and their
//! marker, on the condition that it is this service's. So a name can go from one service to
//! another: the new one is refused until the old one's marker is gone.
//!
//! Failures: servers that do not take it are asked again, for an hour. What a node does not know
//! any more (its daemon started anew meanwhile), or what nobody has (the service had stopped),
//! stays and is told by whoever wants the name next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::id::{Epoch, NodeId, ServiceId};
use stead_core::state::State;
use stead_core::state::config::{Config, ZoneConfig};
use stead_edge::chain;
use stead_redirect::dns::{self, DnsError, Writer};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::names;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The pauses after attempts that nobody took; the last one is repeated.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];
/// How often it is tried.
const ATTEMPTS: usize = 63;

/// A service and a name of it.
type Owned = (ServiceId, String);

/// The names of the configuration that was seen last. Copies share it.
#[derive(Clone, Default)]
pub struct Former(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    revision: Option<u64>,
    names: BTreeMap<Owned, ZoneConfig>,
    /// Who takes names out.
    tasks: BTreeMap<Owned, AbortHandle>,
}

impl Former {
    /// Takes out what the configuration has no more, where that is this node's to do.
    pub fn follow(&self, state: &State, me: NodeId) {
        let Some(config) = &state.config else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.revision == Some(state.revision) {
            return;
        }
        let before = std::mem::replace(&mut known.names, owned(config));
        known.revision = Some(state.revision);
        let gone = before.into_iter().filter(|(name, _)| !known.names.contains_key(name));
        let gone: Vec<_> =
            gone.filter_map(|it| Some((epoch_here(state, &it.0.0, me)?, it))).collect();
        // What is wanted again is not taken out.
        let Known { names, tasks, .. } = &mut *known;
        tasks.retain(|name, task| {
            let unwanted = !names.contains_key(name);
            if !unwanted {
                task.abort();
            }
            unwanted && !task.is_finished()
        });
        let cluster = state.cluster.map(|it| it.to_string()).unwrap_or_default();
        for (epoch, (name, zone)) in gone {
            let task = tokio::spawn(take_out(cluster.clone(), name.clone(), zone, epoch));
            tasks.insert(name, task.abort_handle());
        }
    }
}

/// Under which assignment this node has the service, or still stops it.
fn epoch_here(state: &State, service: &ServiceId, me: NodeId) -> Option<Epoch> {
    let assignment = state.assignments.get(service)?;
    (assignment.holder.node() == Some(me)).then_some(assignment.epoch)
}

fn owned(config: &Config) -> BTreeMap<Owned, ZoneConfig> {
    let named = config.redirect().services.iter();
    let all = named.flat_map(|(service, named)| named.names.iter().map(move |it| (service, it)));
    let owned = all.filter_map(|(service, name)| {
        let zone = config.zone_of(&name.name)?;
        Some(((service.clone(), name.name.clone()), zone.clone()))
    });
    owned.collect()
}

async fn take_out(cluster: String, (service, name): Owned, zone: ZoneConfig, epoch: Epoch) {
    for attempt in 0..ATTEMPTS {
        match once(&cluster, &service, &name, &zone, epoch).await {
            Ok(Outcome::Gone) => {
                tracing::info!("{name} of {service} is out of its zone");
                return;
            }
            Ok(Outcome::NotOurs(why)) => {
                tracing::info!("{name} of {service} stays in its zone: {why}");
                return;
            }
            Err(why) if attempt == 0 => {
                tracing::warn!("{name} of {service} is not out of its zone yet: {why}");
            }
            Err(why) if attempt + 1 == ATTEMPTS => {
                tracing::warn!(
                    "{name} of {service} stays in its zone, to be deleted by hand: {why}"
                );
            }
            Err(_) => {}
        }
        sleep(PAUSES[attempt.min(PAUSES.len() - 1)]).await;
    }
}

enum Outcome {
    Gone,
    NotOurs(String),
}

async fn once(
    cluster: &str,
    service: &ServiceId,
    name: &str,
    zone: &ZoneConfig,
    epoch: Epoch,
) -> Result<Outcome, String> {
    let zone = names::open(zone)?;
    let writer = Writer::new(cluster, &service.0, epoch).map_err(|it| chain(&it))?;
    let name = name.parse().map_err(|error| chain(&error))?;
    match dns::remove(&zone, &writer, &name, Instant::now() + ATTEMPT).await {
        Ok(_) => Ok(Outcome::Gone),
        Err(error @ DnsError::Untaken { .. }) => Err(chain(&error)),
        Err(error) => Ok(Outcome::NotOurs(chain(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{CLUSTER, change_state, picture};
    use crate::config;

    #[test]
    fn only_who_has_a_service_takes_its_names_out() {
        let view = picture(CLUSTER, 3);
        let here = |node| epoch_here(&view.state, &"web".into(), NodeId(node));
        assert!(here(1).is_some() && here(2).is_none());
        assert!(epoch_here(&view.state, &"none".into(), NodeId(1)).is_none());
    }

    #[tokio::test]
    async fn what_is_wanted_again_is_not_taken_out() {
        let with = |names: &str| {
            let line = format!("[services.web]\nnames = [{names}]\n");
            let zone = "[zones.shop]\ndomain = \"shop.test\"\nservers = [\"192.0.2.53\"]\n\
                        key = \"/nowhere/key\"\n";
            config::read("cluster.toml", &(CLUSTER.replace("[services.web]\n", &line) + zone))
        };
        let mut view = picture(CLUSTER, 3);
        let former = Former::default();
        let mut see = |names: &str| {
            let config = with(names).unwrap().config;
            change_state(&mut view, |state| {
                state.revision += 1;
                state.config = Some(config);
            });
            former.follow(&view.state, NodeId(1));
            let known = former.0.lock().unwrap();
            known.tasks.keys().map(|(_, name)| name.clone()).collect::<Vec<_>>()
        };
        assert!(see("\"a.shop.test\", \"b.shop.test\"").is_empty());
        assert_eq!(see("\"a.shop.test\""), ["b.shop.test"]);
        assert_eq!(see(""), ["a.shop.test", "b.shop.test"]);
        assert_eq!(see("\"b.shop.test\""), ["a.shop.test"]);
    }
}
