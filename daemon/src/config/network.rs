//! A table `[networks.NAME]`: a network of services, and who is asked whether it works.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use stead_core::points::MOST;
use stead_core::state::config::NetworkConfig;
use toml::Spanned;

use super::address;
use super::draft::{Draft, Network};
use super::problem::Findings;
use super::redirect;
use super::section::{Section, shown};
use super::service::check_interface;

/// Reads the table of one network.
pub(super) fn network(
    name: Spanned<String>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Network {
    if section.get("prefix").is_none() {
        section.missing("prefix", findings);
    }
    let interface = section.text("interface", findings);
    if let Some(interface) = &interface {
        check_interface(interface, findings);
    }
    let gateway = section.truth("gateway", findings);
    let (addresses, all_read) = addresses(section, findings);
    Network {
        at: section.at.clone(),
        prefix: prefix(section, findings),
        interface: interface.map(Spanned::into_inner),
        pool: redirect::pool(section, findings),
        unclear: !all_read || gateway.is_none() && section.get("gateway").is_some(),
        gateway: gateway.is_some_and(Spanned::into_inner),
        addresses,
        name,
    }
}

fn prefix(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Spanned<(IpAddr, u8)>> {
    let text = section.text("prefix", findings)?;
    match address::parse_network(text.get_ref()) {
        Ok(network) => Some(Spanned::new(text.span(), network)),
        Err(wrong) => {
            findings.error(&text.span(), wrong.message, wrong.help);
            None
        }
    }
}

/// The addresses, and whether all that stands there could be read as such.
fn addresses(section: &Section<'_, '_>, findings: &mut Findings) -> (Vec<Spanned<IpAddr>>, bool) {
    let Some(texts) = section.texts("addresses", findings) else {
        return (Vec::new(), section.get("addresses").is_none());
    };
    let read = |text: Spanned<String>| match address::parse_ip(text.get_ref()) {
        Ok(ip) => Some(Spanned::new(text.span(), ip)),
        Err(wrong) => {
            findings.error(&text.span(), wrong.message, wrong.help);
            None
        }
    };
    let count = texts.len();
    let addresses: Vec<_> = texts.into_iter().filter_map(read).collect();
    let all_read = addresses.len() == count;
    (addresses, all_read)
}

impl Network {
    /// As it is configured, once there are no problems.
    pub(super) fn config(self) -> Option<(String, NetworkConfig)> {
        let (network, prefix) = self.prefix?.into_inner();
        let config = NetworkConfig {
            network,
            prefix,
            interface: self.interface,
            gateway: self.gateway,
            addresses: self.addresses.into_iter().map(Spanned::into_inner).collect(),
        };
        Some((self.name.into_inner(), config))
    }

    fn contains(&self, address: IpAddr) -> Option<bool> {
        let (network, prefix) = *self.prefix.as_ref()?.get_ref();
        let bare =
            NetworkConfig { network, prefix, interface: None, gateway: false, addresses: vec![] };
        Some(bare.contains(address))
    }
}

/// Holds the networks against each other, and against who has which address.
pub(super) fn check(draft: &Draft, owners: &BTreeMap<IpAddr, String>, findings: &mut Findings) {
    let mut count = 0;
    for network in &draft.networks {
        let name = shown(network.name.get_ref());
        let points = usize::from(network.gateway) + network.addresses.len();
        // A network from which addresses are given out may be one that nobody watches.
        if points == 0 && !network.unclear && network.pool.is_none() {
            let message = format!("the network {name} has no reference point");
            let help = "write  gateway = true  , or list machines on it that are no nodes:  \
                        addresses = [\"10.0.0.1\"]";
            findings.error(&network.at, message, help);
        }
        if count <= MOST && count + points > MOST {
            let message = format!("more than {MOST} reference points");
            let help = format!(
                "all networks together have at most {MOST}; two or three for each are enough"
            );
            findings.error(&network.at, message, help);
        }
        count += points;
        points_fit(network, &name, owners, findings);
        useless(draft, network, &name, findings);
    }
    overlaps(draft, findings);
}

/// Its points lie in it, belong to nobody of the cluster, and stand there once.
fn points_fit(
    network: &Network,
    name: &str,
    owners: &BTreeMap<IpAddr, String>,
    findings: &mut Findings,
) {
    let mut seen: BTreeMap<IpAddr, Range<usize>> = BTreeMap::new();
    // A list that is longer than allowed shows its mistakes at its beginning.
    for address in network.addresses.iter().take(2 * MOST) {
        let ip = *address.get_ref();
        if network.contains(ip) == Some(false) {
            let message = format!("{ip} does not lie in the network {name}");
            let help = "what is asked by ARP or neighbour discovery is on the network itself: \
                        check the address and the prefix";
            findings.error(&address.span(), message, help);
        }
        if let Some(owner) = owners.get(&ip) {
            let message = format!("{ip} belongs to {owner} and can't be a reference point");
            let help = "name a machine that stays when a node fails: a router, a switch, a server \
                        of another cluster";
            findings.error(&address.span(), message, help);
        }
        if let Some(first) = seen.get(&ip) {
            let message = format!("{ip} is listed twice");
            findings.error(&address.span(), message, "remove one of the two").compare(
                "again here",
                first,
                "first here",
            );
        }
        seen.insert(ip, address.span());
    }
}

/// A network that no service uses is asked for nothing.
fn useless(draft: &Draft, network: &Network, name: &str, findings: &mut Findings) {
    let addresses = draft.services.iter().flat_map(|service| &service.addresses);
    let mut inside = addresses.map(|address| network.contains(address.get_ref().ip));
    if network.prefix.is_some() && !inside.any(|inside| inside == Some(true)) {
        let message = format!("no service has an address in the network {name}");
        let help = "it is watched, and nothing follows from it: check its prefix";
        findings.warning(&network.name.span(), message, help);
    }
}

/// An address of a service lies in one network at most.
fn overlaps(draft: &Draft, findings: &mut Findings) {
    for (number, network) in draft.networks.iter().enumerate() {
        let Some(own) = &network.prefix else { continue };
        let clashes = |other: &&super::draft::Network| {
            let Some(theirs) = &other.prefix else { return false };
            let (a, b) = (network.contains(theirs.get_ref().0), other.contains(own.get_ref().0));
            a == Some(true) || b == Some(true)
        };
        if let Some(first) = draft.networks[..number].iter().find(clashes) {
            let (name, other) = (shown(network.name.get_ref()), shown(first.name.get_ref()));
            let message = format!("the networks {other} and {name} overlap");
            let at = first.prefix.as_ref().map_or(0..0, Spanned::span);
            let help = "each address belongs to one network: make one table of both, or correct \
                        a prefix";
            findings.error(&own.span(), message, help).compare("this one", &at, "and this");
        }
    }
}
