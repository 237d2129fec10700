//! stead: three nodes, an address of either family without a program.

use ::stead::demo::fleet::{Fleet, Plan, ServicePlan};
use stead_lab::Host;

use super::{Event, FAMILIES, Pair, Way, address, prefix};
use crate::error::BenchError;
use crate::subject::SERVICE;
use crate::tools::{PATIENCE, Tools};

/// A running cluster.
pub(super) struct Layered {
    fleet: Fleet,
    tools: Tools,
}

impl Layered {
    pub(super) fn start(tools: &Tools, way: Way) -> Result<Self, BenchError> {
        let with_prefix = |family| format!("{}/{}", address(family), prefix(family));
        let addresses = FAMILIES.map(with_prefix).into();
        let service = ServicePlan { name: SERVICE.to_owned(), addresses, ..ServicePlan::default() };
        let plan = Plan::of("bench-layers", &tools.stead, 3).service(service);
        let fleet = Fleet::build(plan, tools.stop.clone())?;
        for node in fleet.nodes() {
            tools.respond(node.host())?;
        }
        fleet.found()?;
        fleet.join_all()?;
        fleet.wait_whole(PATIENCE)?;
        let plain = fleet.plan().configuration();
        fleet.apply("node1", &configured(&plain, way))?;
        fleet.wait_whole(PATIENCE)?;
        Ok(Self { fleet, tools: tools.clone() })
    }
}

/// The configuration with its addresses led to by that layer.
fn configured(plain: &str, way: Way) -> String {
    let mut text = plain.to_owned();
    for family in FAMILIES {
        let (ip, prefix) = (address(family), prefix(family));
        let with = format!("{{ ip = \"{ip}\", prefix = {prefix}, layers = [\"{way}\"] }}");
        text = text.replace(&format!("\"{ip}/{prefix}\""), &with);
    }
    text
}

impl Pair for Layered {
    fn client(&self) -> Host {
        self.fleet.client().clone()
    }

    fn whole(&self) -> Result<(), BenchError> {
        Ok(self.fleet.wait_whole(PATIENCE)?)
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
            self.tools.respond(self.fleet.node(node)?.host())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_get_the_layer() {
        let text = configured("addresses = [\"10.77.0.200/24\", \"fd77::c8/64\"]", Way::Mac);
        assert!(text.contains("ip = \"10.77.0.200\", prefix = 24, layers = [\"mac\"]"), "{text}");
        let six = address(FAMILIES[1]);
        let text = configured(&format!("addresses = [\"{six}/64\"]"), Way::Mac);
        assert!(text.contains(&format!("ip = \"{six}\", prefix = 64, layers = [\"mac\"]")));
    }
}
