//! The stage: the fleet, its clients, and what is known of it at any moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stead_core::time::Span;

use super::fleet::{
    Client, Family, Fleet, FleetError, NodePlan, Plan, ServicePlan, service_address,
};
use super::outcome::{Bounds, Outcome};
use super::picture::Scene;
use super::show::{Ink, Show};

/// The service that everything is done to.
pub(super) const WEB: &str = "web";
/// The service that must notice nothing of it.
pub(super) const API: &str = "api";
pub(super) const WEB_OCTET: u8 = 100;
pub(super) const API_OCTET: u8 = 101;
/// How long a cluster may take to recover from a scenario that went wrong.
pub(super) const RECOVERY: Duration = Duration::from_secs(10);
/// How often the picture moves.
const FRAME: Duration = Duration::from_millis(100);
/// How often a node is asked who coordinates.
const ASK: Duration = Duration::from_millis(500);

/// The fleet and those who look at it.
pub(super) struct Stage<'a> {
    pub(super) show: &'a Show,
    pub(super) scene: Scene,
    pub(super) fleet: Fleet,
    pub(super) web: Arc<Client>,
    pub(super) api: Arc<Client>,
    pub(super) bounds: Bounds,
}

/// Two sites with two nodes each and a third place with one node; `web` would rather not be where
/// `api` is.
pub(super) fn plan(program: PathBuf, ride_out: Span) -> Plan {
    let mut plan = Plan::of("demo", &program, 0);
    plan.ride_out = Some(format!("{}us", ride_out.as_micros()));
    let places = ["east", "east", "west", "west", "third"];
    let named = places.iter().zip(1..);
    plan.nodes = named.map(|(site, n)| NodePlan::at(&format!("node{n}"), site)).collect();
    let web = ServicePlan::web(WEB, &program, Family::V4, WEB_OCTET);
    let api = ServicePlan::web(API, &program, Family::V4, API_OCTET);
    let web = web.prefer(&["node1", "node2", "node3", "node5"]);
    plan.service(web).service(api.prefer(&["node4"]))
}

/// Builds the network, lets the cluster begin and its services start.
pub(super) fn set<'a>(
    show: &'a Show,
    plan: Plan,
    bounds: Bounds,
    stop: Arc<AtomicBool>,
) -> Result<Stage<'a>, FleetError> {
    let began = Instant::now();
    show.say("Building five nodes at three sites: network namespaces, switches, three networks.");
    let nodes = plan.nodes.iter().map(|node| (node.name.clone(), node.site.clone()));
    let scene = Scene::new(nodes.collect());
    let fleet = Fleet::build(plan, stop)?;
    show.say("Founding a cluster on node1; node2 to node5 join it, each with a token.");
    fleet.found()?;
    fleet.join_all()?;
    fleet.wait_whole(super::fleet::PATIENCE)?;
    show.say(&format!(
        "Five members after {:.1} s. Two services are added: {WEB} and {API}, each an address \
         and a program.",
        began.elapsed().as_secs_f64()
    ));
    fleet.serve()?;
    for line in waiting(&bounds) {
        show.say(&show.ink(Ink::Dim, &line));
    }
    let web = Arc::new(Client::start(&fleet, service_address(Family::V4, WEB_OCTET))?);
    let api = Arc::new(Client::start(&fleet, service_address(Family::V4, API_OCTET))?);
    scene.set_clients([(WEB, Arc::clone(&web)), (API, Arc::clone(&api))]);
    let stage = Stage { show, scene, fleet, web, api, bounds };
    stage.watched(|stage| {
        stage.web.wait_served(&stage.fleet)?;
        stage.api.wait_served(&stage.fleet)?;
        stage.fleet.wait_whole(super::fleet::PATIENCE)
    })?;
    stage.say_priority()?;
    Ok(stage)
}

/// What is told while the first conflict probes take their time.
fn waiting(bounds: &Bounds) -> Vec<String> {
    let Bounds { ride_out, wait, .. } = bounds;
    let (ride_out, wait) = (ride_out.as_millis(), wait.as_millis());
    [
        "  A first assignment asks the network for some seconds whether the address is free",
        "  (RFC 5227). Later ones need not: they rest on a proof.",
        "  Meanwhile: a client asks each service every millisecond, over a new connection, by a",
        "  datagram, and over one long connection. Beside it every node is asked at its own",
        "  Ethernet address whether it answers, so that no second holder can hide.",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("  The ride-out is {ride_out} ms: shorter stalls move nothing."),
        format!("  From a node's last sign of life until others act: {wait} ms."),
    ])
    .collect()
}

impl Stage<'_> {
    /// Does something while the picture moves.
    pub(super) fn watched<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        if !self.show.moves() {
            return act(self);
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // set also by a panic, which would wait for the threads otherwise
            let _over = Over(&done);
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.show.paint(self.scene.draw(self.show));
                    std::thread::sleep(FRAME);
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.scene.set_coordinator(self.coordinator(None));
                    std::thread::sleep(ASK);
                }
            });
            act(self)
        })
    }

    /// Who coordinates, by the word of the first node that knows. `except` is not asked.
    pub(super) fn coordinator(&self, except: Option<&str>) -> Option<String> {
        let asked = self.fleet.nodes().iter().filter(|node| Some(node.name()) != except);
        asked.filter(|node| !self.scene.is_harmed(node.name())).find_map(|node| {
            let status = node.status().ok()?;
            status["cluster"]["coordinator"].as_str().map(str::to_owned)
        })
    }

    /// Plays all of these scenarios, until one leaves the cluster broken.
    pub(super) fn play_all<T>(
        &self,
        all: impl IntoIterator<Item = T>,
        play: impl Fn(T) -> Result<Outcome, FleetError>,
    ) -> Result<Vec<Outcome>, FleetError> {
        let mut outcomes = Vec::new();
        for scenario in all {
            let outcome = play(scenario)?;
            let broken = outcome.reason.is_some();
            outcomes.push(outcome);
            if broken && self.fleet.wait_whole(RECOVERY).is_err() {
                self.show.say("The cluster did not recover from that; the rest is left out.");
                break;
            }
        }
        Ok(outcomes)
    }

    /// Says once what the machine grants.
    pub(super) fn say_priority(&self) -> Result<(), FleetError> {
        let Some(first) = self.fleet.nodes().first() else { return Ok(()) };
        let status = first.status()?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let own = nodes.iter().find(|node| node["name"].as_str() == Some(first.name()));
        let Some(own) = own else { return Ok(()) };
        if let Some(gate) = own["gate"].as_str() {
            self.show.say(&self.show.ink(Ink::Dim, &format!("  The gate in the kernel: {gate}.")));
        }
        if own["realtime"].as_bool() == Some(false) {
            let reason = own["realtime_reason"].as_str().unwrap_or("it is not permitted");
            let text = format!(
                "  No real-time priority here ({reason}): on a busy machine expect longer gaps."
            );
            self.show.say(&self.show.ink(Ink::Yellow, &text));
        }
        Ok(())
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
