//! What of another configuration has to start anew what runs by the former one.

use super::config::{Config, ServiceConfig};
use super::{PROTOCOL_0_7, State};
use crate::id::ServiceId;

impl State {
    /// Whether what runs of a service has to start anew for that configuration.
    pub(super) fn is_changed(&self, config: &Config, service: &ServiceId) -> bool {
        let Some(known) = &self.config else { return false };
        let look = |config: &Config| config.more_of(service).map(|it| it.look.clone());
        let old = known.services.get(service);
        old.is_some_and(|old| self.is_other(old, config.services.get(service)))
            || known.resources(service) != config.resources(service)
            || look(known).unwrap_or_default() != look(config).unwrap_or_default()
            || known.copies(service) != config.copies(service)
            || known.ways(service) != config.ways(service)
            || self.is_used_otherwise(known, config, service)
    }

    /// Whether its holder would have others of its addresses: a label or a site of it has changed.
    /// Clients would be led to those that it does not have.
    fn is_used_otherwise(&self, known: &Config, config: &Config, service: &ServiceId) -> bool {
        let holder = self.assignments.get(service).and_then(|it| it.holder.node());
        let Some(name) = holder.map(|node| self.name(node)) else { return false };
        let addresses = known.services.get(service).into_iter().flat_map(|it| &it.addresses);
        let here = |config: &Config, ip| config.is_used_on(ip, &name);
        addresses.into_iter().any(|it| here(known, it.ip) != here(config, it.ip))
    }

    /// Whether it is described otherwise. Where it would rather be changes nothing of what runs;
    /// members of before 0.7 start it anew for that, and so do all while one may be among them.
    fn is_other(&self, old: &ServiceConfig, new: Option<&ServiceConfig>) -> bool {
        let Some(new) = new else { return true };
        if self.more.protocol < PROTOCOL_0_7 {
            return old != new;
        }
        let ServiceConfig { addresses, program, monitor, prefer: _, failback: _ } = old;
        (addresses, program, monitor) != (&new.addresses, &new.program, &new.monitor)
    }
}
