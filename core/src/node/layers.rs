//! What clients are told of this node's services beyond their segment, and whether they know it.
//!
//! The steps of each service are [`Steps`]; here they are moved on, turned into commands, and told
//! to people. The layer of what clients know is announced by a committed record
//! ([`RegisterChange::Told`]): every node serves the document that follows from it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::local::Phase;
use super::{Command, Node, Purpose};
use crate::id::{Epoch, ServiceId};
use crate::notice::{Notice, RedirectNews};
use crate::redirect::{Layer, News, Seen, StepView, Steps, Told, Verb};
use crate::state::{Change, PROTOCOL_0_8, Reached, RegisterChange, Stage};
use crate::time::{Instant, Span};

impl Node {
    /// The layers of each service that runs here, as they stand.
    pub fn layers(&self) -> impl Iterator<Item = (&ServiceId, Vec<StepView>)> {
        let up = self.local.iter().filter(|(_, local)| local.is_up());
        up.map(|(service, local)| (service, local.steps.view().collect()))
    }

    /// By which layers clients are led to a service here.
    pub(super) fn steps_here(&self, service: &ServiceId) -> Steps {
        let Some(config) = &self.state.config else { return Steps::default() };
        Steps::new(&config.layers(service, &self.state.name(self.me)))
    }

    /// Does what is due by any layer of any service here.
    pub(super) fn redirect_clients(&mut self, now: Instant) {
        if !self.ready {
            return;
        }
        let mut due = Vec::new();
        for (service, local) in &mut self.local {
            if !local.is_up() {
                continue;
            }
            match local.phase {
                Phase::Starting => local.steps.reach(Told::Claimed),
                Phase::Running if local.worked => local.steps.reach(Told::Works),
                Phase::Running => local.steps.reach(Told::Started),
                Phase::Probing(_)
                | Phase::Claiming
                | Phase::Stopping(_)
                | Phase::Releasing(_)
                | Phase::Stopped(..) => continue,
            }
            while let Some((layer, verb)) = local.steps.next(now) {
                due.push((service.clone(), local.epoch, layer, verb));
            }
        }
        for (service, epoch, layer, verb) in due {
            self.redirect(service, epoch, layer, verb);
        }
        self.tell_where(now);
        self.end_lowered();
    }

    fn redirect(&mut self, service: ServiceId, epoch: Epoch, layer: Layer, verb: Verb) {
        let first = self.local.get(&service).is_some_and(|it| !it.steps.was_announced(layer));
        match (layer, verb) {
            // The announcer has been told already, before anything else.
            (Layer::Mac | Layer::Arp, Verb::Announce) if first => {}
            (Layer::Knowledge, Verb::Announce) => {}
            (
                Layer::Mac | Layer::Arp | Layer::Route | Layer::Dns | Layer::Knowledge,
                Verb::Announce | Verb::Verify,
            ) => self.command(Command::Redirect { service, epoch, layer, verb }),
        }
    }

    /// Has committed where services are that clients may be told of, and takes note once it is.
    fn tell_where(&mut self, now: Instant) {
        let telling = self.local.iter().filter(|(_, it)| it.steps.is_announcing(Layer::Knowledge));
        let telling: Vec<_> = telling.map(|(it, local)| (it.clone(), local.epoch)).collect();
        for (service, epoch) in telling {
            let purpose = Purpose::Told(service.clone());
            if self.state.redirect().told.get(&service) >= Some(&epoch) {
                let told = Seen::Yes(self.state.name(self.me));
                self.take_step(now, &service, epoch, (Layer::Knowledge, Verb::Announce), told);
            } else if !self.is_proposed(&purpose) {
                let change = RegisterChange::Told { service, epoch };
                self.propose(purpose, Change::Register(change));
            }
        }
    }

    /// Takes what came of a step.
    pub(super) fn take_step(
        &mut self,
        now: Instant,
        service: &ServiceId,
        epoch: Epoch,
        (layer, verb): (Layer, Verb),
        seen: Seen,
    ) {
        let Some(local) = self.local.get_mut(service).filter(|it| it.epoch == epoch && it.is_up())
        else {
            return;
        };
        let Some(news) = local.steps.take(now, layer, verb, seen) else { return };
        let after = now.since(local.origin);
        let service = service.clone();
        match news {
            News::Announced if layer < Layer::Route => {}
            News::Announced => {
                self.layer_reached(&service, epoch, Reached::Redirected, (layer, after, None));
                self.notice(Notice::Redirect(service, RedirectNews::Announced(layer, after)));
            }
            News::Converged(by) => {
                let seen = (layer, after, Some(by.as_str()));
                self.layer_reached(&service, epoch, Reached::Converged, seen);
                let news = RedirectNews::Converged(layer, by, after);
                self.notice(Notice::Redirect(service, news));
            }
            News::NotConverged(why) => {
                self.notice(Notice::Redirect(service, RedirectNews::NotConverged(layer, why)));
            }
            News::Failed(why) => {
                self.notice(Notice::Redirect(service, RedirectNews::Failed(layer, why)));
            }
        }
    }

    /// Has it written into the incident, if all members read that.
    fn layer_reached(
        &mut self,
        service: &ServiceId,
        epoch: Epoch,
        reached: Reached,
        (layer, after, by): (Layer, Span, Option<&str>),
    ) {
        if self.state.more.protocol < PROTOCOL_0_8 {
            return;
        }
        let by = by.map(|by| alloc::format!(", seen by {by}")).unwrap_or_default();
        let detail: String = layer.to_string() + &by;
        let stage = Stage { node: self.me, service: Some(service.clone()), reached, after, detail };
        let (service, stages) = (service.clone(), Vec::from([stage]));
        self.observations.push_back(Change::Observe { service, epoch, stages });
    }

    /// What name servers say of a service that has moved, and that they all say of it by now, may
    /// be kept as usual again.
    fn end_lowered(&mut self) {
        let lowered = self.state.redirect().lowered.iter();
        let moved = lowered.filter(|(service, it)| {
            let local = self.local.get(*service).filter(|local| local.is_up());
            local
                .is_some_and(|local| local.epoch > it.epoch && local.steps.is_converged(Layer::Dns))
        });
        let moved: Vec<_> = moved.map(|(service, _)| service.clone()).collect();
        for service in moved {
            let purpose = Purpose::Lowered(service.clone());
            if !self.is_proposed(&purpose) {
                let change = RegisterChange::Lower { service, lowered: None };
                self.propose(purpose, Change::Register(change));
            }
        }
    }

    /// A committed change alters what a layer has to say.
    pub(super) fn steps_applied(&mut self, change: &Change) {
        if let Change::Register(RegisterChange::Lower { service, .. }) = change {
            if let Some(local) = self.local.get_mut(service) {
                local.steps.renew(Layer::Dns);
            }
        } else if let Change::Found { .. } | Change::Configure { .. } = change {
            self.renew_names();
        }
    }

    /// Another configuration may have other names, and other layers.
    fn renew_names(&mut self) {
        let Some(config) = &self.state.config else { return };
        let name = self.state.name(self.me);
        for (service, local) in &mut self.local {
            local.steps.adopt(&config.layers(service, &name));
            local.steps.renew(Layer::Dns);
        }
    }

    /// When a layer of a service here has something to do next.
    pub(super) fn steps_deadline(&self) -> Instant {
        let up = self.local.values().filter(|local| local.is_up());
        up.map(|local| local.steps.deadline()).min().unwrap_or(Instant::NEVER)
    }
}
