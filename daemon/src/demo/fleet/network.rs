//! The networks of a fleet: switches and cables, and where the client and a quorum server stand.

use std::net::IpAddr;
use std::time::Duration;

use stead_lab::relay::Impairment;
use stead_lab::{Bed, Host, Link, Switch, Trunk};

use super::error::FleetError;
use super::plan::{self, Family, Lan, Place, Plan, Third, number_of};
use super::sites::{self, Sites};

/// The quorum server's number on its network; no node has it.
pub(super) const SERVER: u8 = 251;
/// Its network's name where it has one of its own.
const THIRD: &str = "third";

/// What was laid.
pub(super) struct Laid {
    pub(super) client: Host,
    pub(super) watcher: Host,
    /// Where a quorum server can stand, and its address there.
    pub(super) quorum: (Host, IpAddr),
    pub(super) trunks: Vec<Trunk>,
    pub(super) sites: Option<Sites>,
}

/// Lays all networks of a plan between these nodes, its own in its order.
pub(super) fn lay(bed: &Bed, plan: &Plan, nodes: &[Host]) -> Result<Laid, FleetError> {
    let round_trip = match plan.third {
        Third::Sites { between, third } => return sites::lay(bed, plan, nodes, between, third),
        Third::Network { round_trip } => Some(round_trip),
        Third::Client => None,
    };
    let client = bed.host("client")?;
    let mut trunks = Vec::new();
    for (at, lan) in plan.lans.iter().enumerate() {
        let network = Network::lay(bed, plan, at, lan)?;
        for (number, host) in nodes.iter().enumerate() {
            network.plug(bed, plan, number, host)?;
        }
        if at == 0 {
            bed.connect(&client, network.hub(), plan::client_link(lan))?;
        }
        trunks.extend(network.trunks);
    }
    let quorum = match round_trip {
        Some(round_trip) => beside(bed, plan, nodes, round_trip)?,
        None => (client.clone(), plan::client_address(Family::V4)),
    };
    Ok(Laid { watcher: client.clone(), client, quorum, trunks, sites: None })
}

/// A network more, with all nodes and the quorum server's host.
fn beside(
    bed: &Bed,
    plan: &Plan,
    nodes: &[Host],
    round_trip: Duration,
) -> Result<(Host, IpAddr), FleetError> {
    let (at, switch, host) = (plan.lans.len(), bed.switch(THIRD)?, bed.host("quorum")?);
    for (number, node) in nodes.iter().enumerate() {
        bed.connect(node, &switch, plan.node_link(at, THIRD, number))?;
    }
    let place = Place { site: 0, lan: number_of(at) };
    let link = bed.connect_by_relay(&host, &switch, place.link(THIRD, SERVER), 0)?;
    delay(&link, round_trip);
    Ok((host, place.address(Family::V4, SERVER)))
}

/// Lets a question and its answer by this cable take so long.
pub(super) fn delay(link: &Link, round_trip: Duration) {
    if let Some(relay) = link.relay() {
        relay.set_both(Impairment { delay: round_trip / 2, ..Impairment::default() });
    }
}

/// One network: a switch for each site, all tied to the last one.
struct Network<'a> {
    at: usize,
    lan: &'a Lan,
    switches: Vec<(String, Switch)>,
    trunks: Vec<Trunk>,
}

impl<'a> Network<'a> {
    fn lay(bed: &Bed, plan: &Plan, at: usize, lan: &'a Lan) -> Result<Self, FleetError> {
        let mut switches: Vec<(String, Switch)> = Vec::new();
        for node in &plan.nodes {
            if switches.iter().all(|(site, _)| *site != node.site) {
                let switch = bed.switch(&format!("{}-{}", lan.name, node.site))?;
                switches.push((node.site.clone(), switch));
            }
        }
        let mut trunks = Vec::new();
        if let Some(((_, hub), others)) = switches.split_last() {
            for (_, switch) in others {
                trunks.push(bed.trunk(switch, hub)?);
            }
        }
        Ok(Self { at, lan, switches, trunks })
    }

    fn hub(&self) -> &Switch {
        &self.switches[self.switches.len() - 1].1
    }

    fn plug(&self, bed: &Bed, plan: &Plan, number: usize, host: &Host) -> Result<(), FleetError> {
        let site = &plan.nodes[number].site;
        let switch = self.switches.iter().find(|(name, _)| name == site).map(|(_, it)| it);
        let switch = switch.unwrap_or_else(|| self.hub());
        let spec = plan.node_link(self.at, &self.lan.name, number);
        if plan.nodes[number].relayed {
            let seed = (self.at * 100 + number) as u64;
            bed.connect_by_relay(host, switch, spec, seed)?;
        } else {
            bed.connect(host, switch, spec)?;
        }
        Ok(())
    }
}
