//! The kernel: its version, the lease gate, and settings that concern every interface.

use std::fs;

use stead_linux::gate::Gate;
use stead_linux::namespace::NetNs;

use super::Finding;

/// The instance under which the gate is tried, in a network namespace of its own.
const TRIAL: &str = "doctor";

pub(super) fn examine() -> Vec<Finding> {
    vec![version(), gate(), nonlocal()]
}

fn version() -> Finding {
    const CHECK: &str = "kernel";
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => Finding::good(CHECK, format!("Linux {}", release.trim())),
        Err(error) => Finding::unknown(CHECK, error.to_string()),
    }
}

/// The whole gate is set up and taken down where nobody sees it: in an empty network namespace.
fn gate() -> Finding {
    const CHECK: &str = "gate";
    let namespace = match NetNs::create() {
        Ok(namespace) => namespace,
        Err(error) => {
            let seen = format!("no network namespace to try it in: {}", stead_edge::chain(&error));
            return Finding::unknown(CHECK, seen);
        }
    };
    let advice = "load nf_tables (`modprobe nf_tables`), and run this with CAP_NET_ADMIN; without \
                  a gate the guard does not start";
    let tried = namespace.run(|| {
        let gate = Gate::install(TRIAL, &["lo"])?;
        let form = gate.form();
        let why = gate.fallback().map(|it| stead_edge::chain(it));
        gate.remove().map(|()| (form, why))
    });
    match tried {
        Ok(Ok((form, None))) => Finding::good(CHECK, format!("{form}: it can be set up")),
        Ok(Ok((form, Some(why)))) => Finding::warning(
            CHECK,
            format!("{form}: it can be set up; the other form can't: {why}"),
            "this form is later by up to a tick of the kernel, and is no good on machines that \
             suspend; give the guard CAP_BPF",
        ),
        Ok(Err(error)) => Finding::bad(CHECK, stead_edge::chain(&error), advice),
        Err(error) => Finding::unknown(CHECK, stead_edge::chain(&error)),
    }
}

/// With it, programs bind to addresses that are not here, and nobody notices that they serve none.
fn nonlocal() -> Finding {
    const CHECK: &str = "nonlocal bind";
    match fs::read_to_string("/proc/sys/net/ipv4/ip_nonlocal_bind") {
        Ok(value) if value.trim() == "0" => Finding::good(CHECK, "off"),
        Ok(_) => Finding::good(
            CHECK,
            "on: programs may bind to service addresses before they are here (stead needs it not)",
        ),
        Err(error) => Finding::unknown(CHECK, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn the_gate_is_really_tried() {
        let found = gate();
        assert_eq!(found.verdict, Verdict::Good, "this test needs root: {found:?}");
        // And nothing of it is left to be in the way of the next time.
        assert_eq!(gate(), found);
    }
}
