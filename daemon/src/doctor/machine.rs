//! Privileges, priority, memory, and the clock.

use stead_linux::clock::{Discipline, clock_discipline, jiffy};
use stead_linux::realtime::{lock_memory, set_fifo, unlock_memory};

use super::Finding;
use crate::keeper::report::Keeping;

/// Beyond this rate a node gets no lease (protocol, rule H6), in millionths.
const CLOCK_BOUND_PPM: f64 = 1_000.0;
/// From here on a small further correction crosses the bound.
const CLOCK_NEAR_PPM: f64 = 500.0;
/// CAP_NET_ADMIN, CAP_NET_RAW: without them there is no gate and no announcement.
const NETWORK: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")];

pub(super) fn examine() -> Vec<Finding> {
    vec![privileges(), realtime(), memory(), keeper(), clock(clock_discipline()), tick()]
}

fn privileges() -> Finding {
    const CHECK: &str = "privileges";
    let status = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => status,
        Err(error) => return Finding::unknown(CHECK, format!("/proc/self/status: {error}")),
    };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(bits) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Finding::unknown(CHECK, "the kernel does not tell the capabilities");
    };
    let missing = |(bit, _): &&(u32, &str)| bits >> bit & 1 == 0;
    let missing: Vec<_> = NETWORK.iter().filter(missing).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Finding::good(CHECK, "addresses, gate and announcements are allowed");
    }
    let advice = "run this as root, or as the user and with the capabilities of the units";
    Finding::bad(CHECK, format!("{} missing", missing.join(" and ")), advice)
}

/// Tried in a thread that ends at once, so that nothing of it stays.
fn realtime() -> Finding {
    const CHECK: &str = "real-time priority";
    match std::thread::spawn(|| set_fifo(1)).join() {
        Ok(Ok(())) => Finding::good(CHECK, "granted"),
        Ok(Err(error)) => {
            let advice = "start the guard by its unit, or grant LimitRTPRIO; in a container, allow \
                          real-time scheduling";
            Finding::warning(CHECK, error.to_string(), advice)
        }
        Err(_) => Finding::unknown(CHECK, "the thread that tried it ended in a panic"),
    }
}

fn memory() -> Finding {
    const CHECK: &str = "locked memory";
    match lock_memory() {
        Ok(()) => match unlock_memory() {
            Ok(()) => Finding::good(CHECK, "granted"),
            Err(error) => Finding::unknown(CHECK, format!("granted, and kept: {error}")),
        },
        Err(error) => Finding::warning(
            CHECK,
            error.to_string(),
            "start the guard by its unit, or grant \
                                                        LimitMEMLOCK=infinity",
        ),
    }
}

/// What ends programs with the lease: the kernel, or what can be found.
fn keeper() -> Finding {
    const CHECK: &str = "keeper";
    let keeping = Keeping::expected(None);
    match keeping.reason {
        None => Finding::good(CHECK, "programs can have process namespaces, which end as a whole"),
        Some(reason) => Finding::warning(
            CHECK,
            reason,
            "programs end with the lease as far as they can be found; to leave nothing behind, \
             start the daemon by its unit, or give it CAP_SYS_ADMIN",
        ),
    }
}

fn clock(discipline: Option<Discipline>) -> Finding {
    const CHECK: &str = "clock";
    let Some(discipline) = discipline else {
        return Finding::unknown(CHECK, "the kernel does not tell how its clock is steered");
    };
    let worst = discipline.worst_ppm();
    let seen = format!("its rate is steered by {worst:.1} millionths (at most 1000 may be)");
    let advice = "let the time daemon correct in small steps: chrony `maxslewrate 500`, or wait \
                  until it has caught up";
    if worst > CLOCK_BOUND_PPM {
        Finding::bad(CHECK, format!("{seen}; a node with such a clock gets no lease"), advice)
    } else if worst > CLOCK_NEAR_PPM {
        Finding::warning(CHECK, seen, advice)
    } else {
        Finding::good(CHECK, seen)
    }
}

fn tick() -> Finding {
    const CHECK: &str = "kernel tick";
    match jiffy() {
        Some(tick) => Finding::good(CHECK, format!("{} ms", tick.as_micros() as f64 / 1_000.0)),
        None => Finding::unknown(CHECK, "the kernel does not tell it; 10 ms are taken for it"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_its_distance_from_the_bound() {
        let at = |frequency_ppm| {
            let tick = (10_000, 0.0);
            clock(Some(Discipline {
                frequency_ppm,
                tick_micros: tick.0,
                tick_ppm: tick.1,
                slew_ppm: 0.0,
            }))
            .verdict
        };
        assert_eq!(at(12.5), Verdict::Good);
        assert_eq!(at(-700.0), Verdict::Warning);
        assert_eq!(at(-1_001.0), Verdict::Bad);
        assert_eq!(clock(None).verdict, Verdict::Unknown);
    }

    #[test]
    fn each_thing_is_looked_at_once() {
        let mut checks: Vec<_> = examine().into_iter().map(|it| it.check).collect();
        checks.sort();
        let mut all =
            ["clock", "kernel tick", "locked memory", "privileges", "real-time priority"].to_vec();
        all.insert(1, "keeper");
        assert_eq!(checks, all);
    }
}
