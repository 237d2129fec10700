//! What was committed, in words: one notice for each change that people want to know of.
//!
//! Absent on purpose: what only its holder or its coordinator can say; they say it themselves.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Node;
use crate::id::{NodeId, ServiceId};
use crate::notice::{Notice, RedirectNews};
use crate::state::{Change, RegisterChange, Scope, Visit};

impl Node {
    fn visit_in_words(&self, service: &ServiceId, visit: Option<Visit>) -> Notice {
        let told = visit.map(|it| (self.state.name(it.node), !it.once, it.until));
        Notice::Visit(service.clone(), told)
    }

    /// Says a committed change in words.
    pub(super) fn tell_change(&mut self, change: &Change) {
        let name = |node: &NodeId| self.state.name(*node);
        let notice = match change {
            Change::Found { .. } | Change::Configure { .. } | Change::Settle { .. } => {
                Notice::Configured(self.state.revision)
            }
            Change::Admit { node, .. } => Notice::Admitted(name(node)),
            Change::Takeover(takeover) => {
                Notice::Removed(self.state.name(takeover.node), takeover.proof, takeover.cause)
            }
            Change::Assign { service, node, .. } => {
                let epoch = self.state.assignments.get(service).map(|it| it.epoch);
                Notice::Assigned(service.clone(), name(node), epoch.unwrap_or_default())
            }
            Change::Stopped { service, node, cause, .. } => {
                Notice::Stopped(service.clone(), name(node), *cause)
            }
            Change::Standby { node, on } => Notice::Standby(name(node), *on),
            Change::Leave { node } => Notice::Membership(name(node), false),
            Change::Disarm { span, by, reason, .. } => {
                Notice::Disarmed(by.clone(), *span, reason.clone())
            }
            Change::Arm { by, .. } => Notice::Armed(by.clone()),
            Change::Join { .. } => {
                let newest = self.state.members.keys().next_back();
                Notice::Membership(newest.map(name).unwrap_or_default(), true)
            }
            Change::Grant { number, out } if !out.is_empty() => {
                Notice::WentOn(*number, out.iter().map(name).collect())
            }
            Change::Override(word) => Notice::WentOn(word.number, alloc::vec![name(&word.out)]),
            Change::Halt { nodes, on } => Notice::Halted(nodes.iter().map(name).collect(), *on),
            Change::ConfirmOff(word) => {
                Notice::ConfirmedOff(name(&word.node), word.by.clone(), word.reason.clone())
            }
            Change::StopServices { services, on } => {
                Notice::ServicesStopped(services.iter().map(ToString::to_string).collect(), *on)
            }
            Change::Maintain { scope, maintenance } => {
                let what = match scope {
                    Scope::Cluster => "the cluster".to_string(),
                    Scope::Node(node) => name(node),
                    Scope::Service(service) => service.to_string(),
                };
                let why = maintenance.as_ref().map(|it| (it.by.clone(), it.reason.clone()));
                Notice::Maintenance(what, why)
            }
            Change::Fence(change) => return self.tell_fence(change),
            Change::Back { node } => Notice::VotesAgain(name(node)),
            Change::Enrol { server } => Notice::Enrolled(server.is_some()),
            Change::Times { open } => Notice::Times(open.iter().cloned().collect()),
            Change::Visit { service, visit } => self.visit_in_words(service, *visit),
            Change::Register(change) => return self.tell_register(change),
            Change::Grant { .. }
            | Change::Stop { .. }
            | Change::AddToken { .. }
            | Change::Clear { .. }
            | Change::Lead { .. }
            | Change::ClearResource { .. }
            | Change::Works { .. }
            | Change::Steady { .. }
            | Change::Watch(_)
            | Change::WatchdogElapsed { .. }
            | Change::Copy { .. }
            | Change::Attribute { .. }
            | Change::Observe { .. } => return,
        };
        self.notice(notice);
        if let Change::Takeover(takeover) = change {
            self.tell_waiting(takeover.node);
        }
    }

    fn tell_register(&mut self, change: &RegisterChange) {
        let notice = match change {
            RegisterChange::Reserve { what, reservation } => {
                Notice::Reserved(what.to_string(), Some(reservation.in_words()))
            }
            RegisterChange::Release { what } => Notice::Reserved(what.to_string(), None),
            RegisterChange::Lower { service, lowered } => {
                Notice::Redirect(service.clone(), RedirectNews::Lowered(lowered.is_some()))
            }
            // The holder says it itself.
            RegisterChange::Told { .. } => return,
        };
        self.notice(notice);
    }

    /// What stays with a node that was lost.
    fn tell_waiting(&mut self, node: NodeId) {
        let name = self.state.name(node);
        let waiting: Vec<_> = self.state.waiting_for(node).cloned().collect();
        for service in waiting {
            self.notice(Notice::StaysWith(service, name.clone()));
        }
    }
}
