//! Which failures of a service would be noticed, and which not: from its configuration and from who
//! watches its network. Everything that is said of that is made here.

use stead_core::id::ServiceId;
use stead_core::state::config::{
    Agent, Config, Look, Monitor, Probe, ResourceConfig, Safety, ServiceConfig,
};
use stead_core::time::Span;

use crate::config::DEFAULT_MONITOR_TIMEOUT;
use crate::executor;

/// Both, in words.
#[derive(Debug)]
pub(super) struct Noticed {
    pub(super) noticed: Vec<String>,
    pub(super) unnoticed: Vec<String>,
}

/// Which failures of a service are noticed, and which are not.
pub(super) fn noticed(config: Option<&Config>, name: &ServiceId, watched_by: &[String]) -> Noticed {
    let mut both = Noticed {
        noticed: vec!["its node dies, or loses its lease".to_owned()],
        unnoticed: Vec::new(),
    };
    if let Some(config) = config
        && let Some(wanted) = config.services.get(name)
    {
        let usual = Look::default();
        let look = config.more_of(name).map_or(&usual, |more| &more.look);
        both.of(wanted, look, config.resources(name));
    }
    if watched_by.is_empty() {
        both.unnoticed.push(
            "the network of its addresses fails on its node (no [networks.NAME] has it)".to_owned(),
        );
    } else {
        let who = watched_by.join(", ");
        both.noticed.push(format!("its network fails on its node: it is watched by {who}"));
    }
    if config.is_some_and(|config| config.safety(name) == Safety::Fence) {
        both.noticed.push(
            "its node is lost: it stays there until that is proven to be off (class fence)"
                .to_owned(),
        );
    }
    // Whoever asks does so on the node itself.
    both.unnoticed.push("clients elsewhere can't reach what its own node can".to_owned());
    both
}

impl Noticed {
    fn of(&mut self, wanted: &ServiceConfig, look: &Look, parts: &[ResourceConfig]) {
        if wanted.program.is_some() {
            self.noticed.push("its program ends".to_owned());
        }
        for part in parts {
            let (seen, unseen) = part_of(part);
            self.noticed.push(seen);
            self.unnoticed.extend(unseen);
        }
        match &wanted.monitor {
            Some(monitor) => self.monitored(monitor, look),
            None if wanted.program.is_some() => {
                self.unnoticed
                    .push("its program hangs or answers wrongly (it has no monitor)".to_owned());
            }
            None if !parts.is_empty() => {
                self.unnoticed
                    .push("clients can't reach what works (no monitor of the whole)".to_owned());
            }
            None => self.unnoticed.push(
                "only the node's death is noticed: what answers at the addresses is not looked at \
                 (no monitor)"
                    .to_owned(),
            ),
        }
    }

    fn monitored(&mut self, monitor: &Monitor, look: &Look) {
        let runs = u64::from(look.failures);
        let within = (monitor.interval + monitor.timeout).times(runs);
        let within = within.as_micros().div_ceil(1_000_000);
        let asks = match &look.probe {
            None => "its monitor fails",
            Some(Probe::Tcp(_)) => "it accepts no connection",
            Some(Probe::Http { .. }) => "it answers wrongly or not at all",
        };
        let row = if runs > 1 { format!(", {runs} times in a row") } else { String::new() };
        self.noticed.push(format!("{asks}{row}: within {within} s"));
        if matches!(look.probe, Some(Probe::Tcp(_))) {
            self.unnoticed.push("it accepts connections and answers wrongly".to_owned());
        }
        match look.slower_than {
            Some(span) => self.noticed.push(format!("it answers slower than {}", span.in_words())),
            None => self.unnoticed.push(format!(
                "it answers slowly, up to {} (its monitor has no slower-than)",
                monitor.timeout.in_words()
            )),
        }
    }
}

/// Which failure of one of its resources is noticed, and which is not.
fn part_of(part: &ResourceConfig) -> (String, Option<String>) {
    let ResourceConfig { name, times, .. } = part;
    let within = |default: Span| {
        let interval = times.interval.unwrap_or(executor::MONITOR_INTERVAL);
        let longest = interval + times.monitor.unwrap_or(default);
        longest.as_micros().div_ceil(1_000_000)
    };
    match &part.agent {
        Agent::Process { monitor: Some(_), .. } => {
            let within = within(DEFAULT_MONITOR_TIMEOUT);
            (format!("{name} ends, or its monitor fails: within {within} s"), None)
        }
        Agent::Process { monitor: None, .. } => (
            format!("{name} ends"),
            Some(format!("{name} hangs or answers wrongly (it has no monitor)")),
        ),
        Agent::Unit { monitor: Some(_), .. } => {
            let within = within(DEFAULT_MONITOR_TIMEOUT);
            (format!("{name}: its unit ends, or its monitor fails: within {within} s"), None)
        }
        Agent::Unit { monitor: None, .. } => (
            format!("{name}: its unit ends"),
            Some(format!("{name} hangs or answers wrongly (it has no monitor)")),
        ),
        Agent::Container { monitor: Some(_), .. } => {
            let within = within(DEFAULT_MONITOR_TIMEOUT);
            (format!("{name}: its container ends, or its monitor fails: within {within} s"), None)
        }
        Agent::Container { monitor: None, .. } => (
            format!("{name}: its container ends, or the check of its image fails, if it has one"),
            Some(format!("{name} hangs or answers wrongly (it has no monitor)")),
        ),
        Agent::Ocf { .. } => {
            let within = within(executor::AGENT_TIMEOUT);
            (format!("{name}: its agent's monitor fails: within {within} s"), None)
        }
    }
}
