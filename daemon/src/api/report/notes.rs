//! What deserves a look although all is protected.

use std::collections::BTreeMap;

use stead_core::state::config::{Config, Place};

use crate::guard::Rejected;
use crate::keeper::Form;
use crate::keeper::report::Keeping;

use super::{Concern, Level, NodeReport, ServiceReport, ServiceState, Sight};

pub(super) fn notes(
    sight: &Sight<'_>,
    nodes: &[NodeReport],
    services: &[ServiceReport],
) -> Vec<Concern> {
    let mut notes = Notes(Vec::new());
    notes.standby(sight, nodes);
    notes.quarantines(nodes);
    notes.services(sight.view.state.config.as_ref(), services);
    notes.network(sight, nodes);
    notes.guard(sight, nodes);
    notes.refused(sight);
    notes.rejected(sight);
    if sight.view.state.former_timers.is_some() {
        let what = "leases under the former timers are still running out";
        let next = "wait a second; a node that has not heard of it since the cluster was disarmed \
                    is waited for as long as that was to last";
        notes.note(what.to_owned(), next.to_owned());
    }
    notes.0
}

/// A node that is meant by the first place of `prefer`, if this one is not.
fn better<'c>(config: &'c Config, node: &str, first: &str) -> Option<&'c str> {
    let place = Place::of(first);
    let mut meant = config.nodes.keys().filter(|name| config.is_there(name, &place));
    let better = meant.next().filter(|_| !config.is_there(node, &place));
    better.map(String::as_str)
}

struct Notes(Vec<Concern>);

impl Notes {
    fn note(&mut self, what: String, next: String) {
        self.since(what, None, next);
    }

    fn since(&mut self, what: String, since: Option<String>, next: String) {
        self.0.push(Concern { level: Level::Note, what, since, next });
    }

    fn standby(&mut self, sight: &Sight<'_>, nodes: &[NodeReport]) {
        for NodeReport { name, .. } in nodes.iter().filter(|it| it.standby) {
            let what = format!("{name} is on standby: it votes and serves nothing");
            let next = format!("when it may serve again: stead standby {name} --off");
            self.since(what, sight.history.standby(name), next);
        }
    }

    fn quarantines(&mut self, nodes: &[NodeReport]) {
        for node in nodes {
            let (name, Some(it)) = (&node.name, &node.quarantine) else { continue };
            let until = it.until.as_deref().and_then(|until| until.split_once('T'));
            let until = until.and_then(|(_, time)| time.get(..5)).map_or_else(
                || "for a while after it is back".to_owned(),
                |time| format!("until {time} UTC"),
            );
            let what = format!(
                "{name} was lost {} times: {until} it is given services only where no other node \
                 could take them",
                it.losses
            );
            let next = format!(
                "see why it comes and goes; when that is mended: stead clear --node {name}"
            );
            self.note(what, next);
        }
    }

    fn services(&mut self, config: Option<&Config>, services: &[ServiceReport]) {
        for service in services {
            let name = &service.name;
            if service.stopped {
                let what = format!("{name} is stopped by an operator: it runs nowhere");
                self.note(what, format!("when it shall run again: stead start {name}"));
            }
            if service.state.serves() && !service.lacks.is_empty() {
                let lacks = service.lacks.join(", ");
                let what = format!("{name} runs without {lacks}, which it needs");
                self.note(what, format!("see what keeps {lacks} from running"));
            }
            for (node, count) in &service.failures {
                let times = if *count == 1 { "once" } else { &format!("{count} times") };
                let what = format!("{name} failed {times} on {node}, and other nodes come first");
                self.note(what, format!("when that is mended: stead clear {name}"));
            }
            if let Some(lowered) = &service.lowered {
                let what = format!("names of {name} are {lowered}");
                self.note(what, format!("to end that before: stead move {name} --unprepare"));
            }
            if let Some(visit) = &service.visit {
                // Where it would rather be counts again when that is over.
                let what = format!("{name} is to be {visit}, by an operator's word");
                self.note(what, format!("to have it elsewhere before: stead move {name} NODE"));
                continue;
            }
            let (Some(node), Some(best)) = (&service.node, service.prefers.first()) else {
                continue;
            };
            let better = config.and_then(|config| better(config, node, best));
            if let Some(better) = better.filter(|_| service.state == ServiceState::Runs) {
                let what = format!("{name} is on {node} and would rather be on {best}");
                self.note(what, format!("when it suits you: stead move {name} {better}"));
            }
        }
    }

    fn network(&mut self, sight: &Sight<'_>, nodes: &[NodeReport]) {
        let state = &sight.view.state;
        let Some(config) = &state.config else { return };
        if config.links.len() == 1 && config.nodes.len() > 1 {
            let what = "there is one link only: when it fails, nodes fail with it";
            let next = "add a second one on other cables to cluster.toml";
            self.note(what.to_owned(), next.to_owned());
        }
        let round_trip = state.timers.round_trip;
        for node in nodes {
            let Some(measured) = node.round_trip_ms else { continue };
            if measured > round_trip.as_millis_f64() {
                let what = format!(
                    "the round trip to {} takes {measured:.1} ms, more than the configured \
                     {round_trip}: stalls shorter than the ride-out may cost a lease",
                    node.name
                );
                let next = "raise round-trip in cluster.toml, or mend the network";
                self.note(what, next.to_owned());
            }
        }
    }

    fn guard(&mut self, sight: &Sight<'_>, nodes: &[NodeReport]) {
        let me = &sight.view.identity.name;
        if let Some(own) = nodes.iter().find(|it| it.name == *me) {
            if let Some(reason) = &own.realtime_reason {
                let what = format!("the guard of {me} has no real-time priority: {reason}");
                let next = "allow it (the systemd unit does), or raise the ride-out";
                self.note(what, next.to_owned());
            }
            if let Some(reason) = &own.locked_reason {
                let what = format!("the memory of the guard of {me} is not locked: {reason}");
                let next = "allow it (the systemd unit does), or raise the ride-out";
                self.note(what, next.to_owned());
            }
            if let (Some(gate), Some(reason)) = (&own.gate, &own.gate_reason) {
                let what =
                    format!("the gate of {me} is {gate}; the better form can't be: {reason}");
                let next = "give the guard CAP_BPF and a kernel with clsact; or let it be, where \
                            machines never suspend";
                self.note(what, next.to_owned());
            }
        }
        if let Some(keeping) = &sight.view.keeping {
            let told = nodes.iter().any(|it| it.name == *me && it.realtime == Some(false));
            self.keepers(me, keeping, told);
        }
        if let Some(hello) = &sight.view.guard
            && hello.version != env!("CARGO_PKG_VERSION")
        {
            let what = format!(
                "the guard of {me} is of version {}, its daemon of {}",
                hello.version,
                env!("CARGO_PKG_VERSION")
            );
            let next = format!("when {me} is on standby: systemctl restart stead-guard");
            self.note(what, next);
        }
        for trouble in &sight.view.guard_troubles {
            let next = format!("on {me}: journalctl -u stead-guard");
            self.note(format!("the guard of {me}: {trouble}"), next);
        }
    }

    /// `told`: that this is no machine for real time is said of its guard already.
    fn keepers(&mut self, me: &str, keeping: &Keeping, told: bool) {
        let reason = keeping.reason.as_deref().unwrap_or("it was asked for");
        match keeping.form {
            Some(Form::Namespace) => {}
            Some(Form::Group) => {
                let what = format!(
                    "when the lease of {me} ends, what a program started and hid from stead runs \
                     on: {reason}"
                );
                let next = "give the daemon CAP_SYS_ADMIN (the systemd unit does)";
                self.note(what, next.to_owned());
            }
            None => {
                let what =
                    format!("programs of {me} don't end by themselves with its lease: {reason}");
                let next = "see the guard's journal; restart an older guard while on standby";
                self.note(what, next.to_owned());
            }
        }
        for lack in keeping.lacks.iter().filter(|_| !told) {
            self.note(
                format!("the keepers of programs on {me}: {lack}"),
                "start the daemon by its unit, which allows it".to_owned(),
            );
        }
    }

    fn refused(&mut self, sight: &Sight<'_>) {
        for refusal in &sight.view.refused {
            let whom = match refusal.node {
                Some(node) => sight.view.state.name(node),
                None => "somebody".to_owned(),
            };
            let times =
                if refusal.count == 1 { "once" } else { &format!("{} times", refusal.count) };
            self.note(
                format!(
                    "{whom} at {} was not talked to, {times}: {}",
                    refusal.address, refusal.reason
                ),
                "see the runbook: version, cluster and key must fit".to_owned(),
            );
        }
    }

    /// Datagrams that were not taken, together per reason: strangers can't fill the screen.
    fn rejected(&mut self, sight: &Sight<'_>) {
        let mut reasons: BTreeMap<Rejected, (u64, usize, String)> = BTreeMap::new();
        for ((from, reason), count) in &sight.view.rejected {
            let known = reasons.entry(*reason).or_insert_with(|| (0, 0, from.to_string()));
            known.0 = known.0.saturating_add(*count);
            known.1 += 1;
        }
        for (reason, (count, senders, first)) in reasons {
            let others = match senders {
                1 => String::new(),
                _ => format!(" and {} more", senders - 1),
            };
            self.note(
                format!("{count} datagrams from {first}{others} were not taken: {reason}"),
                "harmless; find the sender if it should not be there".to_owned(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_with_the_label_that_is_preferred_is_as_good_as_another() {
        let text = r#"[cluster]
name = "shop"
[links.lan]
[nodes.node1]
site = "east"
addresses = { lan = "10.0.0.1" }
[nodes.node2]
site = "west"
addresses = { lan = "10.0.0.2" }
[nodes.node3]
site = "west"
addresses = { lan = "10.0.0.3" }
"#;
        let config = crate::config::read("cluster.toml", text).expect("usable").config;
        assert_eq!(better(&config, "node1", "site=west"), Some("node2"));
        assert_eq!(better(&config, "node3", "site=west"), None);
        assert_eq!(better(&config, "node3", "node1"), Some("node1"));
        assert_eq!(better(&config, "node1", "node1"), None);
        assert_eq!(better(&config, "node1", "site=south"), None);
    }
}
