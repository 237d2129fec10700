//! The reference points of the services' networks: whether they answer this machine.

use stead_core::points::What;
use stead_core::state::config::Config;
use stead_edge::chain;

use super::Finding;
use crate::points::{Found, look};

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let unwatched = config.services.iter().filter(|(_, service)| {
        let networks = || config.more.networks.values();
        !service.addresses.iter().any(|it| networks().any(|network| network.contains(it.ip)))
    });
    let mut findings: Vec<_> = unwatched
        .map(|(name, _)| {
            let advice = "name its network and who is asked there in [networks.NAME]";
            let seen = "its network would not be noticed to fail";
            Finding::warning(&format!("network of {name}"), seen, advice)
        })
        .collect();
    match look(config) {
        Ok(found) => findings.extend(found.into_iter().map(finding)),
        Err(error) => findings.push(Finding::unknown("reference points", chain(&error))),
    }
    findings
}

fn finding(found: Found) -> Finding {
    let what = match found.what {
        What::Gateway => "gateway".to_owned(),
        What::Address(address) => address.to_string(),
    };
    let check = format!("{what} of {}", found.network);
    match found.answers {
        Err(why) => Finding::warning(&check, why, "this node would see less than others"),
        Ok((who, interface, answered, asked)) => {
            let who: Vec<_> = who.iter().map(ToString::to_string).collect();
            let who = who.join(", ");
            let seen = format!("{who} on {interface}: {answered} of {asked} questions answered");
            if answered == asked {
                return Finding::good(&check, seen);
            }
            let advice = "choose a point that always answers, or look at the way to it";
            Finding::warning(&check, seen, advice)
        }
    }
}
