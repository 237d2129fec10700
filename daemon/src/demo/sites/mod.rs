//! `stead demo --sites`: two sites and a quorum server at a third place, in five scenarios.
//!
//! What it is for: to see what breaks a tie does, and what it doesn't. New York and New Jersey have
//! two nodes each behind a router of their own; a quorum server is at a third place, and every line
//! between the three has delay. Each site serves something, and clients ask both without a pause.
//!
//! The scenarios are those with which the quorum server of Linux-HA was explained: all up, one site
//! down, the link between the sites lost, the server down, and a site and the server down. `acts`
//! does and undoes them; the judgement is that of the demo (`outcome`).
//!
//! Failures: a scenario that went wrong is in the table. Deliberately absent: any word of its own
//! about who was granted; the demo asks nodes and server, as an operator does.

mod acts;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use stead_core::time::Span;

use super::fleet::{
    Client, Family, Fleet, FleetError, Plan, QuorumServer, ServicePlan, service_address,
};
use super::outcome::{Bounds, Outcome};
use super::picture::Scene;
use super::show::{Ink, Show};
use super::stage::{API, API_OCTET, Stage, WEB, WEB_OCTET};
use acts::Act;

/// The sites.
const YORK: &str = "new-york";
const JERSEY: &str = "new-jersey";
/// There and back on every line.
const ROUND_TRIP: Duration = Duration::from_millis(5);
/// What the picture shows beside the nodes.
const LINE: &str = "line between the sites";
const SERVER: &str = "quorum server";

/// The sites, what breaks their ties, and those who look at it.
pub(super) struct Story<'a> {
    server: QuorumServer,
    stage: Stage<'a>,
}

/// Two nodes at each site; each site serves something.
pub(super) fn plan(program: &Path, ride_out: Span) -> Plan {
    let mut plan = Plan::of_sites("sites", program, &[(YORK, 2), (JERSEY, 2)], ROUND_TRIP);
    plan.ride_out = Some(format!("{}us", ride_out.as_micros()));
    let service = |name, octet, nodes: [&str; 2]| {
        ServicePlan::web(name, program, Family::V4, octet).prefer(&nodes)
    };
    let web = service(WEB, WEB_OCTET, ["node1", "node2"]);
    plan.service(web).service(service(API, API_OCTET, ["node3", "node4"]))
}

/// Builds it all, and lets the cluster be enrolled at its quorum server.
pub(super) fn set<'a>(
    show: &'a Show,
    plan: Plan,
    bounds: Bounds,
    stop: Arc<AtomicBool>,
) -> Result<Story<'a>, FleetError> {
    let began = Instant::now();
    show.say("Building two sites with two nodes each, routers, lines, and a third place.");
    let nodes = plan.nodes.iter().map(|node| (node.name.clone(), node.site.clone()));
    let scene = Scene::new(nodes.collect());
    let fleet = Fleet::build(plan, stop)?;
    show.say("Founding a cluster on node1; node2 to node4 join it, each with a token.");
    fleet.found()?;
    fleet.join_all()?;
    fleet.wait_votes()?;
    show.say("Four members, each half of them at one site: without more, a cut would stop both.");
    fleet.serve()?;
    let server = QuorumServer::start(&fleet)?;
    let all: Vec<&str> = fleet.nodes().iter().map(|node| node.name()).collect();
    server.enrol(&fleet, "node1", &all)?;
    show.say(&format!(
        "A quorum server at the third place has the cluster enrolled, after {:.1} s.",
        began.elapsed().as_secs_f64()
    ));
    for line in told(&bounds) {
        show.say(&show.ink(Ink::Dim, &line));
    }
    let client = |octet| Client::start(&fleet, service_address(Family::V4, octet)).map(Arc::new);
    let (web, api) = (client(WEB_OCTET)?, client(API_OCTET)?);
    scene.set_clients([(WEB, Arc::clone(&web)), (API, Arc::clone(&api))]);
    [LINE, SERVER].into_iter().for_each(|thing| scene.set_thing(thing, None));
    let story = Story { server, stage: Stage { show, scene, fleet, web, api, bounds } };
    story.stage.watched(|stage| {
        stage.web.wait_served(&stage.fleet)?;
        stage.api.wait_served(&stage.fleet)?;
        stage.fleet.wait_whole(super::fleet::PATIENCE)
    })?;
    story.stage.say_priority()?;
    Ok(story)
}

fn told(bounds: &Bounds) -> [String; 5] {
    let (ride_out, wait) = (bounds.ride_out.as_millis(), bounds.wait.as_millis());
    [
        format!(
            "  {WEB} is at home in New York, {API} in New Jersey. Clients ask both of them every"
        ),
        "  millisecond, from behind a router that reaches both sites whatever happens between"
            .into(),
        "  them: whoever may not answer must be silent by itself.".into(),
        format!("  Every line takes {} ms there and back.", ROUND_TRIP.as_millis()),
        format!("  Ride-out {ride_out} ms; from the last sign of life until others act {wait} ms."),
    ]
}

impl<'a> Story<'a> {
    /// Plays all scenarios, until one leaves the cluster broken.
    pub(super) fn play(&self) -> Result<Vec<Outcome>, FleetError> {
        self.stage.play_all(Act::ALL, |act| self.act(act))
    }

    /// How many outcomes there are if it comes to its end.
    pub(super) fn scenarios() -> usize {
        Act::ALL.len()
    }

    /// What is left running when the demo has ended.
    pub(super) fn leave(self) -> Stage<'a> {
        self.server.leave();
        self.stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_a_configuration_of_four_nodes_at_two_sites() {
        let plan = plan(Path::new("/usr/bin/stead"), Span::from_millis(300));
        let read = crate::config::read("cluster.toml", &plan.configuration());
        let config = read.expect("a usable configuration").config;
        assert_eq!((config.nodes.len(), config.services.len()), (4, 2));
        assert_eq!(plan.sites(), [YORK, JERSEY]);
    }
}
