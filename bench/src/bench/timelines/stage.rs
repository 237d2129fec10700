//! The fleet: two sites with two nodes each, a quorum server at a third place, two services.

use std::net::SocketAddr;
use std::time::Duration;

use stead::demo::fleet::{Family, Fleet, Plan, QuorumServer, ServicePlan, service_address};
use stead::journal::Entry;
use stead_lab::prober::now;

use super::told::{APART, Of, Record, spells};
use super::{NAME, Scenario};
use crate::error::BenchError;
use crate::measure::{Watch, rounded};
use crate::report::{Row, TIMELINE};
use crate::tools::{PATIENCE, PORT, Tools};

/// The sites with their names for people. Each has two nodes.
pub(super) const YORK: &str = "new-york";
pub(super) const JERSEY: &str = "new-jersey";
const SITES: [(&str, &str); 2] = [(YORK, "New York"), (JERSEY, "New Jersey")];
/// There and back on every line.
const ROUND_TRIP: Duration = Duration::from_millis(5);
/// What is watched before a fault and after the last change.
const BEFORE: Duration = Duration::from_millis(400);
const AFTERWARDS: Duration = Duration::from_millis(500);
/// So many of a journal's newest lines are read.
const LINES: &str = "2000";

/// A service, its address, and the nodes of its own site.
struct Service {
    name: &'static str,
    octet: u8,
    home: [&'static str; 2],
}

const SERVICES: [Service; 2] = [
    Service { name: "web", octet: 200, home: ["node1", "node2"] },
    Service { name: "api", octet: 201, home: ["node3", "node4"] },
];

/// The settings, for people.
pub(super) fn config() -> String {
    let time = ROUND_TRIP.as_millis();
    format!("ride-out 300 ms, every line {time} ms there and back")
}

/// Everything. It ends when it is dropped.
pub(super) struct Stage<'a> {
    server: QuorumServer,
    pub(super) fleet: Fleet,
    pub(super) tools: &'a Tools,
}

/// Who looks at the services.
pub(super) struct Eyes(Vec<Watch>);

impl<'a> Stage<'a> {
    pub(super) fn build(tools: &'a Tools) -> Result<Self, BenchError> {
        let sites = SITES.map(|(site, _)| (site, 2));
        let mut plan = Plan::of_sites(NAME, &tools.stead, &sites, ROUND_TRIP);
        for Service { name, octet, home, .. } in &SERVICES {
            let addresses = vec![format!("{}/24", service_address(Family::V4, *octet))];
            let service = ServicePlan { name: (*name).to_owned(), addresses, ..Default::default() };
            plan = plan.service(service.prefer(home));
        }
        let fleet = Fleet::build(plan, tools.stop.clone())?;
        for node in fleet.nodes() {
            tools.respond(node.host())?;
        }
        fleet.found()?;
        fleet.join_all()?;
        fleet.wait_votes()?;
        fleet.serve()?;
        let server = QuorumServer::start(&fleet)?;
        let stage = Self { server, fleet, tools };
        stage.server.enrol(&stage.fleet, "node1", &stage.nodes())?;
        stage.whole()?;
        Ok(stage)
    }

    fn nodes(&self) -> Vec<&str> {
        self.fleet.nodes().iter().map(|node| node.name()).collect()
    }

    /// Plays a scenario to its end, when all is whole again. The row gets what came of it.
    pub(super) fn play(&self, scenario: Scenario, row: Row) -> Result<Row, BenchError> {
        self.go_home()?;
        let eyes = self.look()?;
        self.tools.pause(BEFORE)?;
        let (granted, mark) = (self.server.granted()?, now());
        let mut record = Record::begin(mark);
        let status = self.perform(scenario, &eyes, &mut record)?;
        self.tools.pause(AFTERWARDS)?;
        // a server that is down counts nothing
        let granted = self.server.granted().map(|count| count.saturating_sub(granted));
        record.end = now();
        let mut row = row.with("nodes", self.nodes().len());
        let mut outages = serde_json::Map::new();
        for (service, watch) in SERVICES.iter().zip(eyes.0) {
            let seen = watch.seen_since(mark);
            outages.insert(service.name.to_owned(), seen.outage_ms.into());
            row.outage_ms = Some(row.outage_ms.unwrap_or(0.0).max(seen.outage_ms));
            row.double_ms = Some(rounded(row.double_ms.unwrap_or(0.0) + seen.double_ms));
            let seen = self.seen(service, watch, &record)?;
            record.seen.push(seen);
        }
        self.mend(scenario)?;
        self.whole()?;
        record.said = self.journals(&record)?;
        let sites = SITES.map(|(site, name)| {
            (name.to_owned(), self.fleet.nodes_at(site).map(str::to_owned).collect::<Vec<_>>())
        });
        let timeline = record.timeline(scenario.title(), &sites);
        let timeline = serde_json::to_value(timeline).map_err(|error| {
            BenchError::Nothing(format!("a timeline has no form in JSON: {error}"))
        })?;
        let row = row.with("outages_ms", outages).with("granted", granted.ok());
        Ok(row.with("status", status).with(TIMELINE, timeline))
    }

    fn look(&self) -> Result<Eyes, BenchError> {
        let (client, watcher) = (self.fleet.client(), self.fleet.watcher());
        let eyes = SERVICES.iter().map(|service| {
            let address = SocketAddr::new(service_address(Family::V4, service.octet), PORT);
            let watch = Watch::beside(client, watcher, &self.fleet.macs(), address)?;
            watch.wait_steady(self.tools)?;
            Ok(watch)
        });
        eyes.collect::<Result<_, BenchError>>().map(Eyes)
    }

    /// All that was seen of a service.
    fn seen(&self, service: &Service, watch: Watch, record: &Record) -> Result<Of, BenchError> {
        let begin = record.begin_us();
        let answered = |node: &&str| ((*node).to_owned(), watch.answered(node, begin, APART));
        let nodes = self.nodes().iter().map(answered).collect();
        let (report, _) = watch.finish()?;
        let client = spells(&report, begin, record.end);
        Ok(Of { service: service.name, nodes, client })
    }

    /// What all nodes said since the beginning.
    fn journals(&self, record: &Record) -> Result<Vec<Entry>, BenchError> {
        let mut all = Vec::new();
        for node in self.fleet.nodes() {
            let output = node.stead(&["events", "--json", "-n", LINES])?.expect_success()?;
            for line in output.lines() {
                let entry: Entry = serde_json::from_str(line).map_err(|error| {
                    BenchError::Nothing(format!("no line of a journal: {line}: {error}"))
                })?;
                all.push(entry);
            }
        }
        all.retain(|entry| (record.begin_us()..=record.end).contains(&entry.boot));
        Ok(all)
    }

    /// Waits until everybody votes, nobody complains, and a tie would be broken.
    fn whole(&self) -> Result<(), BenchError> {
        self.fleet.wait_whole(PATIENCE)?;
        self.tools.wait_until("all vote", PATIENCE, || {
            let quorum = self.fleet.quorum("node1")?;
            let all = quorum["voters"] == self.nodes().len();
            Ok(all && quorum["out"].as_array().is_some_and(Vec::is_empty))
        })?;
        Ok(self.server.wait_ready(&self.fleet, &self.nodes())?)
    }

    /// Lets each service be at its own site, so that all scenarios begin alike.
    fn go_home(&self) -> Result<(), BenchError> {
        self.whole()?;
        for Service { name, home, .. } in &SERVICES {
            let [home, _] = *home;
            if self.fleet.holder(name, "node1")?.as_deref() != Some(home) {
                self.fleet.node(home)?.stead(&["move", *name, home])?.expect_success()?;
            }
            self.tools.wait_until(&format!("{name} is at home"), PATIENCE, || {
                Ok(self.fleet.holder(name, "node1")?.as_deref() == Some(home))
            })?;
        }
        self.whole()
    }

    pub(super) fn kill_server(&self) -> Result<(), BenchError> {
        self.server.kill()?;
        let says = |node: &str| -> Result<bool, BenchError> {
            let status = self.fleet.node(node)?.status()?;
            Ok(status["problems"].to_string().contains("breaks ties"))
        };
        self.tools.wait_until("the nodes notice that the server is gone", PATIENCE, || {
            self.nodes().into_iter().try_fold(true, |all, node| Ok(all && says(node)?))
        })
    }

    pub(super) fn start_server(&self) -> Result<(), BenchError> {
        Ok(self.server.run(&self.fleet)?)
    }

    pub(super) fn revive(&self, site: &str) -> Result<(), BenchError> {
        self.fleet.revive_site(site)?;
        for node in self.fleet.nodes_at(site) {
            self.tools.respond(self.fleet.node(node)?.host())?;
        }
        Ok(())
    }

    /// What `stead status` says on a node, for people.
    pub(super) fn status(&self, node: &str) -> Result<String, BenchError> {
        // it ends badly where something is wrong: that is what is to be shown
        Ok(self.fleet.node(node)?.stead(&["status"])?.stdout)
    }

    /// Waits until one of these sites serves everything, and clients know; says which.
    pub(super) fn wait_served(
        &self,
        eyes: &Eyes,
        sites: &[&'static str],
    ) -> Result<&'static str, BenchError> {
        let mut served = None;
        self.tools.wait_until("one site serves all", PATIENCE, || {
            served = sites.iter().copied().find(|site| {
                let at = |node: &str| self.fleet.nodes_at(site).any(|it| it == node);
                eyes.0.iter().all(|watch| {
                    let by = watch.answered_by();
                    matches!(&watch.holders()[..], [one] if at(one) && by.as_ref() == Some(one))
                })
            });
            Ok(served.is_some())
        })?;
        served.ok_or_else(|| BenchError::Nothing("no site serves all".to_owned()))
    }

    pub(super) fn wait_silent(&self, eyes: &Eyes) -> Result<(), BenchError> {
        self.tools.wait_until("nobody serves", PATIENCE, || {
            Ok(eyes.0.iter().all(|watch| watch.holders().is_empty()))
        })
    }
}
