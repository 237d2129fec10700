//! What one could do about a file: the weak spots that are known of configurations, each with what
//! mends it. What is said is said because of what stands in the file, or is missing there.

use std::collections::BTreeMap;

use stead_core::id::ServiceId;
use stead_core::placement::{self, LINTED};
use stead_core::points;
use stead_core::state::config::{Config, Safety};
use stead_sim::own::Sum;

/// A line for each.
pub(super) fn advice(config: &Config, sum: &Sum) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(votes(config));
    lines.extend(sites(config));
    lines.extend(links(config));
    lines.extend(points_of(config));
    lines.extend(proofs(config));
    lines.extend(alone(config));
    let lost = sum.services.iter().map(|it| it.lasting.values().sum::<u64>()).sum::<u64>();
    if lines.is_empty() && lost > 0 {
        let what = "Some faults keep a service down for as long as they last (above)";
        lines.push(format!("{what}: nothing in the file would help against those."));
    }
    lines
}

fn voters(config: &Config) -> Vec<&String> {
    config.nodes.keys().filter(|it| !config.later.satellites.contains(*it)).collect()
}

fn breaks_ties(config: &Config) -> bool {
    config.later.quorum.chain.modules().iter().any(|it| it.breaks_ties())
}

fn votes(config: &Config) -> Option<String> {
    let voters = voters(config).len();
    let add = "add [quorum] with chain = [\"majority\", \"quorum-server\"] (or \"fence\", where \
               each node has a fence device), or another node that votes";
    match voters {
        1 => Some(
            "One node alone has a vote: when it fails everything stops. Let others vote, best of \
             all three."
                .to_owned(),
        ),
        2 if !breaks_ties(config) => Some(format!(
            "With two nodes and nothing that breaks a tie each loss of a node stops everything: \
             {add}."
        )),
        _ if voters.is_multiple_of(2) && !breaks_ties(config) => Some(format!(
            "With {voters} voters and nothing that breaks a tie the loss of half of them stops \
             everything: {add}."
        )),
        _ => None,
    }
}

/// Sites without which no majority is left.
fn sites(config: &Config) -> Vec<String> {
    let voters = voters(config);
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &voters {
        if let Some(site) = config.nodes.get(*name).and_then(|node| node.site.as_deref()) {
            *at.entry(site).or_default() += 1;
        }
    }
    let all = voters.len();
    let weigh = |(site, here): (&str, usize)| {
        let left = all - here;
        let lost = left * 2 < all || left * 2 == all && !breaks_ties(config);
        // A cluster at one site does not outlive that, and knows it.
        (lost && left > 0).then(|| {
            format!(
                "Without site {site} {left} of {all} voters are left, and everything stops: spread \
                 the votes over three sites (one small node is enough for the third), or give two \
                 sites half of them each, and have a quorum server elsewhere."
            )
        })
    };
    if at.len() < 2 { Vec::new() } else { at.into_iter().filter_map(weigh).collect() }
}

fn links(config: &Config) -> Option<String> {
    let link = config.links.keys().next().filter(|_| config.links.len() == 1)?;
    (config.nodes.len() > 1).then(|| {
        format!(
            "All nodes hear each other by one link ({link}): where it fails each of them is alone. \
             Add a second one, [links.NAME], by other cables and another switch."
        )
    })
}

/// Services whose network nobody watches.
fn points_of(config: &Config) -> Option<String> {
    let all = points::of_config(config);
    let blind = |service: &&ServiceId| points::of_service(config, &all, service) == 0;
    let services = named(config.services.keys().filter(blind));
    (!services.is_empty() && config.nodes.len() > 1).then(|| {
        format!(
            "Nobody watches the network of {services}: a node that is cut off from its clients \
             there keeps them. Add [networks.NAME] with gateway = true, or with addresses that can \
             be asked."
        )
    })
}

/// Services that wait for a lost node of which nothing can prove that it is off.
fn proofs(config: &Config) -> Option<String> {
    let bound = |service: &&ServiceId| config.safety(service) == Safety::Fence;
    let services = named(config.services.keys().filter(bound));
    let proven = |name: &&String| {
        config.fencing(name).is_some_and(|it| !it.levels.is_empty() || it.watchdog)
    };
    let nodes: Vec<&str> =
        config.nodes.keys().filter(|it| !proven(it)).map(String::as_str).collect();
    (!services.is_empty() && !nodes.is_empty()).then(|| {
        format!(
            "If one of {} is lost, {services} waits for it, since nothing can prove that it is \
             off: give it a fence device (fence), or rely on its watchdog (watchdog = true).",
            nodes.join(", "),
        )
    })
}

/// Services that hang on one node, as `lint` finds them.
fn alone(config: &Config) -> Option<String> {
    let all = placement::alone(config, LINTED).all;
    let services = named(all.iter().map(|it| &it.service));
    (!services.is_empty()).then(|| {
        format!(
            "Nothing takes over when the one node is lost on which each of these hangs: \
             {services}. Why that is: stead lint."
        )
    })
}

fn named<'a>(services: impl Iterator<Item = &'a ServiceId>) -> String {
    let names: Vec<_> = services.map(|it| it.0.as_str()).collect();
    names.join(", ")
}
