//! Contradictions: values that are right alone and wrong together.
//!
//! Values that couldn't be read are passed over, so that one mistake is one problem.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use stead_core::state::config::Agent;
use stead_core::state::{MOST_NODES, MOST_VOTERS};
use stead_core::time::Span;
use stead_core::timers::{LONGEST_RIDE_OUT, SHORTEST_RIDE_OUT, Timers, TimersError};

use super::between;
use super::copies;
use super::draft::{Cluster, Draft, Node};
use super::duration::{say, write};
use super::fence_checks;
use super::keys::nearest;
use super::network;
use super::problem::Findings;
use super::resource;
use super::rule_checks;
use super::section::shown;
use super::unit;
use crate::ocf::{self, AgentName};

/// The most links: every node sends its heartbeats on each of them.
const MOST_LINKS: usize = 8;

/// Holds the values of the file against each other.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    timers(&draft.cluster, findings);
    link_count(draft, findings);
    node_count(draft, findings);
    if draft.links.len() > MOST_LINKS || draft.nodes.len() > MOST_NODES {
        return;
    }
    for node in &draft.nodes {
        node_links(draft, node, findings);
    }
    families(draft, findings);
    unique_addresses(draft, findings);
    for service in &draft.services {
        let name = service.name.get_ref();
        fence_checks::bound(draft, name, &service.resources, findings);
        resource::check(name, &service.resources, findings);
        copies::check(draft, service, findings);
    }
    owned_twice(draft, findings);
    between::check(draft, findings);
    unit::check(draft, findings);
    let owners = all_addresses(draft).into_iter().map(|(ip, owner)| (ip, owner.who)).collect();
    network::check(draft, &owners, findings);
    rule_checks::check(draft, findings);
    fence_checks::check(draft, findings);
}

/// An address that an agent puts on the card must not be stead's as well: what the agent takes away
/// to stop would be put back at once.
fn owned_twice(draft: &Draft, findings: &mut Findings) {
    let all = draft.services.iter().flat_map(|it| &it.addresses);
    let all: BTreeSet<IpAddr> = all.map(|it| it.get_ref().ip).collect();
    for resource in draft.services.iter().flat_map(|it| &it.resources) {
        let Agent::Ocf { provider, kind, parameters } = &resource.get_ref().agent else { continue };
        let agent = AgentName { provider: provider.clone(), kind: kind.clone() };
        let said = ocf::address_of_cloud(&agent).and_then(|key| parameters.get(key));
        let ip = said.and_then(|ip| ip.parse().ok());
        if let Some(ip) = ip.filter(|ip| all.contains(ip)) {
            let message = format!("{ip} is put on the card by {agent}, and by stead as well");
            let help = "take it out of `addresses`: it is the agent's alone \
                        (docs/how-to/redirect.md, In a cloud)";
            findings.error(&resource.span(), message, help);
        }
    }
}

fn timers(cluster: &Cluster, findings: &mut Findings) {
    let (ride_out, round_trip) = (*cluster.ride_out.get_ref(), *cluster.round_trip.get_ref());
    let Err(error) = Timers::derive(ride_out, round_trip) else { return };
    match error {
        TimersError::RideOutTooShort(_) => {
            let message = format!("a ride-out of {} is too short to be kept", say(ride_out));
            let help = format!(
                "the shortest is {}; 300 ms suits most networks, 50 ms a quiet one",
                say(SHORTEST_RIDE_OUT)
            );
            findings.error(&cluster.ride_out.span(), message, help);
        }
        TimersError::RideOutTooLong(_) => {
            let message = format!("a ride-out of {} is too long", say(ride_out));
            let help = format!(
                "the longest is {}: a service stays away at least that long when its node dies",
                say(LONGEST_RIDE_OUT)
            );
            findings.error(&cluster.ride_out.span(), message, help);
        }
        TimersError::RoundTripTooLong { round_trip, ride_out } => {
            let message = format!(
                "a round trip of {} does not fit into a ride-out of {}: less than a third does",
                say(round_trip),
                say(ride_out)
            );
            findings.error(&cluster.round_trip.span(), message, round_trip_help(round_trip));
        }
    }
}

/// The ride-out that goes with a round trip, in whole milliseconds, with room to spare.
fn round_trip_help(round_trip: Span) -> String {
    let needed = Span::from_millis(round_trip.times(4).as_micros().div_ceil(1_000));
    if needed > LONGEST_RIDE_OUT {
        return "write how long a packet and its answer take, for example  round-trip = \"2ms\""
            .to_owned();
    }
    format!("if the network is that slow, write  ride-out = \"{}\"  or longer", write(needed))
}

fn link_count(draft: &Draft, findings: &mut Findings) {
    if let Some(link) = draft.links.get(MOST_LINKS) {
        let count = draft.links.len();
        let message = format!("{count} links, and {MOST_LINKS} is the most");
        findings.error(&link.name.span(), message, "two links that share no cable are enough");
    }
    if let [link] = draft.links.as_slice() {
        let message = format!("`{}` is the only link", shown(link.name.get_ref()));
        let help = "if it breaks, every node is cut off from every other: \
                    a second link on another network keeps them together";
        findings.warning(&link.name.span(), message, help);
    }
}

fn node_count(draft: &Draft, findings: &mut Findings) {
    let count = draft.nodes.len();
    if let Some(node) = draft.nodes.get(MOST_NODES) {
        let message = format!("{count} nodes, and {MOST_NODES} is the most");
        findings.error(&node.name.span(), message, "make two clusters");
    }
    let voters = || draft.nodes.iter().filter(|node| !node.is_satellite());
    if let Some(node) = voters().nth(MOST_VOTERS) {
        let message =
            format!("{} nodes that vote, and {MOST_VOTERS} is the most", voters().count());
        let help = "more votes make every decision slower: make the rest satellites, which serve \
                    and have no vote, with  satellite = true";
        findings.error(&node.name.span(), message, help);
    }
    let Some(last) = draft.nodes.last() else { return };
    let Some(last) = voters().next_back() else {
        let help = "somebody must decide who serves: remove  satellite = true  of three of them";
        findings.error(&last.name.span(), "every node is a satellite, and none votes", help);
        return;
    };
    let chain = draft.quorum.as_ref().and_then(|quorum| quorum.chain.as_ref());
    let ties_are_broken = chain.is_some_and(|chain| chain.register().is_some());
    let voters = voters().count();
    if !(ties_are_broken && voters.is_multiple_of(2)) {
        few_voters(voters, count, &last.name.span(), findings);
    }
}

/// What so many voters do not survive.
fn few_voters(voters: usize, nodes: usize, at: &Range<usize>, findings: &mut Findings) {
    match voters {
        1 if nodes == 1 => findings.warning(
            at,
            "a cluster of one node: nothing can take over from it",
            "three nodes survive the loss of any one of them",
        ),
        1 => findings.warning(
            at,
            "one node votes: when it dies, everything stops",
            "three nodes that vote survive the loss of any one of them",
        ),
        2 => findings.warning(
            at,
            "two nodes and no tie-breaker: when one dies, the survivor stops too",
            "one of two is no majority, and the survivor can't tell a dead peer from a cut cable; \
             a third node gives it one, even a small one that runs no service, or a quorum server \
             on any third machine",
        ),
        _ if voters.is_multiple_of(2) => findings.warning(
            at,
            format!("an even number of nodes ({voters}): cut into two halves, both stop"),
            format!(
                "{} nodes survive as many failures, {} survive more, and so do {voters} with a \
                 quorum server",
                voters - 1,
                voters + 1
            ),
        ),
        _ => {}
    }
}

/// A node has one address on every link, and none elsewhere.
fn node_links(draft: &Draft, node: &Node, findings: &mut Findings) {
    let name = shown(node.name.get_ref());
    let links = || draft.links.iter().map(|known| known.name.get_ref().as_str());
    let given = || node.addresses.iter().map(|address| &address.link);
    // What a mistyped link was meant to be isn't missing as well.
    let mut meant = Vec::new();
    for link in given().filter(|link| !links().any(|known| known == link.get_ref().as_str())) {
        let near = nearest(link.get_ref(), links());
        meant.extend(near);
        let link_name = shown(link.get_ref());
        let help = match near {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("add a table  [links.{link_name}]  or remove this address"),
        };
        let message = format!("there is no link `{link_name}` for an address of {name}");
        findings.error(&link.span(), message, help);
    }
    for link in links().filter(|link| node.given && !meant.contains(link)) {
        if !given().any(|given| given.get_ref() == link) {
            let link = shown(link);
            let message = format!("{name} has no address on link {link}");
            let help = format!(
                "every node needs one on every link: add  {link} = \"ADDRESS\"  to its addresses"
            );
            findings.error(&node.at, message, help);
        }
    }
}

/// The addresses of one link are all IPv4 or all IPv6: its sockets are of one family.
fn families(draft: &Draft, findings: &mut Findings) {
    for link in &draft.links {
        let on_link = |node: &Node| {
            let mut addresses = node.addresses.iter();
            let address = addresses.find(|a| a.link.get_ref() == link.name.get_ref())?;
            address.ip.clone()
        };
        let mut addresses = draft.nodes.iter().filter_map(on_link);
        let Some(first) = addresses.next() else { continue };
        for other in addresses {
            if first.get_ref().is_ipv4() == other.get_ref().is_ipv4() {
                continue;
            }
            let (this, that) = (family(*other.get_ref()), family(*first.get_ref()));
            let name = shown(link.name.get_ref());
            let message = format!("link {name} mixes IPv4 and IPv6");
            let help = "give all nodes addresses of one family there; a second link may use \
                        the other family on the same cable";
            findings.error(&other.span(), message, help).compare(this, &first.span(), that);
        }
    }
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Whose an address is.
struct Owner {
    /// In words.
    who: String,
    /// Whether it moves.
    service: bool,
    at: Range<usize>,
}

/// No address is given twice.
fn unique_addresses(draft: &Draft, findings: &mut Findings) {
    let mut owners: BTreeMap<IpAddr, Owner> = BTreeMap::new();
    for (ip, owner) in all_addresses(draft) {
        let Some(first) = owners.get(&ip) else {
            owners.insert(ip, owner);
            continue;
        };
        if owner.service && !first.service {
            let message = format!("{} uses {ip}, which belongs to {}", owner.who, first.who);
            let help =
                "an address of a service moves from node to node: choose one that no node has";
            findings.error(&owner.at, message, help).compare(
                "the service's",
                &first.at,
                "the node's own",
            );
        } else {
            let message = format!("{ip} is given twice: to {} and to {}", first.who, owner.who);
            let help = "write another address at one of the two places";
            findings.error(&owner.at, message, help).compare("again here", &first.at, "first here");
        }
    }
}

/// Every address that could be read, those of nodes first, each kind in the order of the file.
fn all_addresses(draft: &Draft) -> Vec<(IpAddr, Owner)> {
    let mut all = Vec::new();
    for node in &draft.nodes {
        for address in &node.addresses {
            let Some(ip) = &address.ip else { continue };
            let (name, link) = (shown(node.name.get_ref()), shown(address.link.get_ref()));
            let who = format!("{name} (link {link})");
            all.push((*ip.get_ref(), Owner { who, service: false, at: ip.span() }));
        }
    }
    all.sort_by_key(|(_, owner)| owner.at.start);
    for service in &draft.services {
        for address in &service.addresses {
            let who = format!("service {}", shown(service.name.get_ref()));
            let owner = Owner { who, service: true, at: address.span() };
            all.push((address.get_ref().ip, owner));
        }
    }
    all
}
