//! The watchdog: which there is, and whether it can do what the configuration relies on.

use stead_linux::watchdog::{Found, is_in_virtual_machine};

use super::{Finding, Patient};
use crate::guard::watchdog::candidates;

const CHECK: &str = "watchdog";

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config.zip(patient.node);
    let fencing = config.and_then(|(config, node)| config.fencing(node));
    let wanted = fencing.is_some_and(|fencing| fencing.watchdog);
    vec![finding(wanted, candidates(), is_in_virtual_machine())]
}

/// None is opened: that would start it.
fn finding(wanted: bool, found: Result<Vec<Found>, String>, virtual_machine: bool) -> Finding {
    let found = match found {
        Ok(found) => found,
        Err(why) if wanted => {
            let advice = "without one nobody may rely on it (`[nodes.NAME] watchdog = true`): load \
                          its driver at every boot (/etc/modules-load.d), softdog if there is no \
                          other";
            return Finding::warning(CHECK, why, advice);
        }
        Err(why) => return Finding::good(CHECK, format!("none is wanted here; {why}")),
    };
    let names: Vec<_> = found.iter().map(name).collect();
    let seen = names.join(", ");
    if !wanted {
        return Finding::good(CHECK, format!("none is wanted here; there is: {seen}"));
    }
    if virtual_machine {
        let advice = "where hypervisors may pause this machine, fence it by a device that reaches \
                      its hypervisor";
        let seen =
            format!("{seen}; this is a virtual machine: paused, its watchdog stands still too");
        return Finding::warning(CHECK, seen, advice);
    }
    if found.iter().all(Found::is_software) {
        let advice = "load the driver of the board's own watchdog, if it has one: a kernel that \
                      hangs takes its own timer with it";
        return Finding::warning(CHECK, seen, advice);
    }
    Finding::good(CHECK, seen)
}

fn name(found: &Found) -> String {
    let identity = if found.identity.is_empty() { "unnamed" } else { found.identity.as_str() };
    let mut name = format!("{identity} ({})", found.path.display());
    if found.runs {
        name.push_str(", which runs");
    }
    if found.no_way_out {
        name.push_str(", which can't be stopped again");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn device(identity: &str) -> Found {
        Found {
            path: "/dev/watchdog0".into(),
            identity: identity.into(),
            no_way_out: false,
            runs: true,
            longest: 0,
        }
    }

    #[test]
    fn one_that_is_wanted_has_to_be_there_and_outside_of_what_it_watches() {
        let none = || Err("this machine has no watchdog".to_owned());
        assert_eq!(finding(false, none(), true).verdict, Verdict::Good);
        assert_eq!(finding(true, none(), false).verdict, Verdict::Warning);
        let board = || Ok(vec![device("iTCO_wdt")]);
        let found = finding(true, board(), false);
        assert_eq!(found.verdict, Verdict::Good);
        assert_eq!(found.seen, "iTCO_wdt (/dev/watchdog0), which runs");
        assert_eq!(finding(true, board(), true).verdict, Verdict::Warning);
        let own = finding(true, Ok(vec![device("Software Watchdog")]), false);
        assert_eq!(own.verdict, Verdict::Warning);
    }
}
