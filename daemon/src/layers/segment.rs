//! The segment's own layers: whether announcements arrive at all where an observer is.
//!
//! An observer that sees the holder may have learned of it because it asked, or was told alone.
//! Whether it heard what was said to all is another question. Where nobody did, neighbours are told
//! one by one for as long as the service is here (`daemon/src/redirect`), and people are told so.

use std::net::IpAddr;

use stead_core::id::ServiceId;
use stead_core::redirect::{Layer, Seen};
use stead_core::state::State;
use tokio::time::Instant;

use super::observe::{Observers, Question, macs_of};
use crate::redirect::{Ears, Reached};

/// What others see of a segment's layer, with what they say of announcements there.
pub(super) async fn verify(
    (observers, ears): (&Observers, &Ears),
    state: &State,
    (service, layer): (&ServiceId, Layer),
    seen: Seen,
    deadline: Instant,
) -> Seen {
    let Some(config) = &state.config else { return seen };
    let macs = macs_of(state, service, layer);
    let mut deaf = Vec::new();
    for reached in ears.reached(service) {
        if !config.layers_of(reached.target.address).contains(&layer) {
            continue;
        }
        let question = Question::Announced {
            address: reached.target.address,
            macs: macs.clone(),
            since_ms: u64::try_from(reached.since.as_millis()).unwrap_or(u64::MAX),
        };
        match observers.ask(state, vec![question], deadline).await {
            Seen::Yes(_) => ears.set_swallowed(&reached.target, false),
            Seen::No(_) => {
                ears.set_swallowed(&reached.target, true);
                deaf.push(reached);
            }
            // Nobody can say; what was known of that segment holds.
            Seen::Nobody if reached.swallowed => deaf.push(reached),
            Seen::Nobody => {}
        }
    }
    if deaf.is_empty() {
        return seen;
    }
    match seen {
        Seen::Yes(by) => Seen::Yes(format!("{by} ({}: {})", words(&deaf), answers(&deaf))),
        // Without numbers: they change, and this is told once.
        Seen::No(why) => Seen::No(format!("{why} ({})", words(&deaf))),
        Seen::Nobody => Seen::Nobody,
    }
}

fn words(deaf: &[Reached]) -> String {
    let any = |wanted: fn(&IpAddr) -> bool| deaf.iter().any(|it| wanted(&it.target.address));
    let (kinds, verb) = match (any(IpAddr::is_ipv4), any(IpAddr::is_ipv6)) {
        (true, false) => ("gratuitous ARP", "does"),
        (false, _) => ("unsolicited neighbour advertisements", "do"),
        (true, true) => ("gratuitous ARP and unsolicited neighbour advertisements", "do"),
    };
    format!("{kinds} {verb} not arrive on this segment; told one by one")
}

fn answers(deaf: &[Reached]) -> String {
    let sum = |count: fn(&Reached) -> usize| deaf.iter().map(count).sum::<usize>();
    format!("{} of {} neighbours answered", sum(|it| it.answered), sum(|it| it.asked))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::redirect::Target;

    #[test]
    fn what_does_not_arrive_is_named() {
        let reached = |address: &str, answered| Reached {
            target: Target { address: address.parse().unwrap(), interface: "eth0".to_owned() },
            service: "web".into(),
            since: Duration::ZERO,
            asked: 4,
            answered,
            swallowed: true,
        };
        let v4 = reached("10.0.0.100", 3);
        assert_eq!(
            words(std::slice::from_ref(&v4)),
            "gratuitous ARP does not arrive on this segment; told one by one"
        );
        let both = [v4, reached("fd00::100", 4)];
        assert_eq!(answers(&both), "7 of 8 neighbours answered");
        assert!(words(&both).contains("gratuitous ARP and unsolicited"));
        assert!(words(&both[1..]).starts_with("unsolicited neighbour advertisements do not"));
    }
}
