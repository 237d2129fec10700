//! stead: three nodes, and a service of addresses without a program. What else there is follows
//! from the layer ([`Between`]).

use ::stead::demo::fleet::{Family, Fleet, Plan, service_address};
use stead_lab::Host;
use stead_lab::prober::Prober;

use super::documents::Documents;
use super::names::Names;
use super::routes::Routes;
use super::{Event, FAMILIES, NODES, Pair, Way, address, client, prefix};
use crate::error::BenchError;
use crate::subject::SERVICE;
use crate::tools::{PATIENCE, Tools};

/// The last octet of a node's own address for the service is its number and this.
const OWN: u8 = 100;

/// What stands between clients and nodes, and how it is led.
pub(super) trait Between {
    /// The tables of the service and of what leads to it.
    fn services(&self) -> String;

    /// The service is served: what needs a cluster that works begins.
    fn serves(&self, _: &Fleet) -> Result<(), BenchError> {
        Ok(())
    }

    /// A client.
    fn ask(&self, fleet: &Fleet, family: Family) -> Result<Prober, BenchError>;

    /// All that leads to the service is as it should be.
    fn is_whole(&self) -> Result<bool, BenchError> {
        Ok(true)
    }

    /// That node has power again, and runs nothing but stead.
    fn powered_on(&self, _: &Fleet, _node: &str) -> Result<(), BenchError> {
        Ok(())
    }
}

/// A running cluster.
pub(super) struct Layered {
    between: Box<dyn Between>,
    fleet: Fleet,
    tools: Tools,
}

impl Layered {
    pub(super) fn start(tools: &Tools, way: Way) -> Result<Self, BenchError> {
        let plan = Plan::of("bench-layers", &tools.stead, NODES.into());
        let fleet = Fleet::build(plan, tools.stop.clone())?;
        for node in fleet.nodes() {
            tools.respond(node.host())?;
        }
        let between: Box<dyn Between> = match way {
            Way::Arp | Way::Mac => Box::new(Segment(way)),
            Way::Route => Box::new(Routes::lay(&fleet)?),
            Way::Name => Box::new(Names::lay(&fleet, tools)?),
            Way::Document => Box::new(Documents::lay(&fleet, tools)?),
        };
        fleet.found()?;
        fleet.join_all()?;
        fleet.wait_whole(PATIENCE)?;
        fleet.apply("node1", &(fleet.plan().configuration() + &between.services()))?;
        fleet.wait_whole(PATIENCE)?;
        between.serves(&fleet)?;
        Ok(Self { between, fleet, tools: tools.clone() })
    }
}

/// Nothing but the segment: the address goes from node to node, with a MAC of its own or without.
struct Segment(Way);

impl Between for Segment {
    fn services(&self) -> String {
        let address = |family| {
            let (ip, prefix, way) = (address(family), prefix(family), self.0);
            format!("{{ ip = \"{ip}\", prefix = {prefix}, layers = [\"{way}\"] }}")
        };
        let addresses = FAMILIES.map(address).join(", ");
        format!("\n[services.{SERVICE}]\naddresses = [{addresses}]\n")
    }

    fn ask(&self, fleet: &Fleet, family: Family) -> Result<Prober, BenchError> {
        client(fleet.client(), address(family))
    }
}

/// Addresses of which each node has its own, as on segments of their own: whoever is led by them
/// has to learn another one.
pub(super) fn own_addresses() -> String {
    let of_node = |node: u8| {
        FAMILIES.map(|family| {
            let (ip, prefix) = (service_address(family, OWN + node), prefix(family));
            format!("{{ ip = \"{ip}\", prefix = {prefix}, on = [\"node{node}\"] }}")
        })
    };
    (1..=NODES).flat_map(of_node).collect::<Vec<_>>().join(", ")
}

impl Pair for Layered {
    fn ask(&self, family: Family) -> Result<Prober, BenchError> {
        self.between.ask(&self.fleet, family)
    }

    fn whole(&self) -> Result<(), BenchError> {
        self.fleet.wait_whole(PATIENCE)?;
        let is_whole = || self.between.is_whole();
        self.tools.wait_until("what leads to the service is whole", PATIENCE, is_whole)
    }

    fn inflict(&mut self, event: Event, node: &str) -> Result<(), BenchError> {
        match event {
            Event::Planned => {
                let mut others = self.fleet.nodes().iter().filter(|it| it.name() != node);
                let Some(to) = others.next() else {
                    return Err(BenchError::Nothing("there is no other node".to_owned()));
                };
                to.stead(&["move", SERVICE, to.name()])?.expect_success()?;
                Ok(())
            }
            Event::Dead => Ok(self.fleet.silence_then_kill(node)?),
        }
    }

    fn mend(&mut self, event: Event, node: &str) -> Result<(), BenchError> {
        if event == Event::Dead {
            self.fleet.power_on(node)?;
            let host: &Host = self.fleet.node(node)?.host();
            self.tools.respond(host)?;
            self.between.powered_on(&self.fleet, node)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_get_the_layer() {
        let text = Segment(Way::Mac).services();
        assert!(text.contains("ip = \"10.77.0.200\", prefix = 24, layers = [\"mac\"]"), "{text}");
        let six = address(Family::V6);
        let wanted = format!("ip = \"{six}\", prefix = 64, layers = [\"mac\"]");
        assert!(text.contains(&wanted), "{text}");
    }

    #[test]
    fn each_node_has_an_address_of_either_family() {
        let text = own_addresses();
        for (ip, node) in [("10.77.0.101", "node1"), ("fd77::67", "node3")] {
            let found = text.split("}, ").any(|it| {
                it.contains(&format!("\"{ip}\"")) && it.contains(&format!("on = [\"{node}\"]"))
            });
            assert!(found, "{ip}: {text}");
        }
    }
}
