//! Name servers, and what clients are told: layers beyond the segment.
//!
//! What stands at a service's name is the epoch that was written there last, and an older one is
//! refused, as real servers do by prerequisites (`redirect/src/dns`). Everything else about them is
//! left to chance: now and then they don't answer. What the segment's own caches hold is judged by
//! the clients there.

use stead_core::id::{Epoch, ServiceId};
use stead_core::node::Event;
use stead_core::redirect::{Layer, Seen, Verb};
use stead_core::state::State;

use super::World;

impl World {
    /// A step by one layer.
    pub(super) fn redirect(
        &mut self,
        host: usize,
        service: ServiceId,
        epoch: Epoch,
        (layer, verb): (Layer, Verb),
    ) {
        let (time, seen) = if layer < Layer::Route {
            (100, Seen::Nobody)
        } else {
            let rough = self.plan.rough;
            let time = if rough { self.chance.hands.between(1_000, 41_000) } else { 5_000 };
            let fails = rough && self.chance.hands.between(0, 8) == 0;
            let seen = if fails {
                Seen::No("no answer".into())
            } else {
                self.ask(&service, epoch, (layer, verb))
            };
            let what = if verb == Verb::Announce { "tell" } else { "look at" };
            self.note(Some(host), || format!("> {what} {service} by {layer} (epoch {epoch})"));
            (time, seen)
        };
        let event = Event::Redirected { service: service.clone(), epoch, layer, verb, seen };
        self.performed_after(host, &service, time, event);
    }

    fn ask(&mut self, service: &ServiceId, epoch: Epoch, (layer, verb): (Layer, Verb)) -> Seen {
        let known = self.names.get(service).copied().unwrap_or_default();
        match (layer, verb) {
            (Layer::Dns, Verb::Announce) if known > epoch => {
                Seen::No(format!("epoch {known} stands there already"))
            }
            (Layer::Dns, Verb::Announce) => {
                self.names.insert(service.clone(), epoch);
                Seen::Yes("the name server".into())
            }
            (Layer::Dns, Verb::Verify) if known != epoch => {
                Seen::No(format!("epoch {known} stands there"))
            }
            (
                Layer::Mac | Layer::Arp | Layer::Route | Layer::Dns | Layer::Knowledge,
                Verb::Announce | Verb::Verify,
            ) => Seen::Yes("an observer".into()),
        }
    }

    /// A layer by which clients of a service are led elsewhere than to its holder.
    pub(super) fn led_astray(&self, state: &State, service: &ServiceId) -> Option<String> {
        let holder = state.assignments.get(service)?;
        let epoch = holder.epoch;
        let layers = state.config.as_ref()?.layers(service, &state.name(holder.holder.node()?));
        let told = state.redirect().told.get(service).copied();
        let named = self.names.get(service).copied();
        let astray = |layer, seen: Option<Epoch>| {
            let wrong = layers.contains(&layer) && seen != Some(epoch);
            wrong.then(|| format!("{service}: {layer} is at {seen:?}, not at epoch {epoch}"))
        };
        astray(Layer::Dns, named).or_else(|| astray(Layer::Knowledge, told))
    }
}
