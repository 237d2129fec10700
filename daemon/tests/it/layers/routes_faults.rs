//! Routes that do not come to the router, or not through it: whose fault it is stands where an
//! operator looks, the same service's address on the segment goes on, and what is mended converges
//! without anybody's help.

use stead::demo::fleet::Fleet;

use super::routes_bed::{
    Bird, ROUTER, V4, V6, behind_the_router, by_bird, node, route, routed, router,
    router_accepting, services, wait_routes,
};
use super::{move_to, wait_answers, wait_runs, wait_trouble, wait_well};
use crate::cluster::{Must, three, wait_for};

/// The address on the segment, by ARP.
const AT: &str = "10.77.0.100";

/// A cluster whose `web` has an address on the segment and two beyond it, each node's BIRD, and the
/// router.
struct Net {
    fleet: Fleet,
    router: Bird,
    nodes: [Bird; 3],
}

impl Net {
    /// With the service on node1, and led to by everything.
    fn new(name: &str) -> Self {
        let fleet = Fleet::start(three(name)).must();
        let router = router(&fleet);
        behind_the_router(&fleet);
        let nodes = [1, 2, 3].map(|number| node(&fleet, number));
        let addresses = [format!("\"{AT}/24\""), routed(V4), routed(V6)];
        let text = services(&addresses, AT, &by_bird(&fleet));
        fleet.apply("node1", &(fleet.plan().configuration() + &text)).must();
        wait_runs(&fleet, "node1");
        let net = Self { fleet, router, nodes };
        net.wait_leads("node1");
        net
    }

    /// The routes and the segment lead there, and clients are served by both.
    #[track_caller]
    fn wait_leads(&self, node: &str) {
        wait_routes(&self.fleet, node);
        wait_answers(&self.fleet, V4);
        wait_well(&self.fleet, node, "route");
        self.segment_leads(node);
    }

    #[track_caller]
    fn segment_leads(&self, node: &str) {
        wait_answers(&self.fleet, AT);
        wait_well(&self.fleet, node, "arp");
    }

    #[track_caller]
    fn wait_no_route(&self) {
        wait_for(&self.fleet, "the router has no route", || Ok(route(&self.fleet)[0].is_empty()));
    }
}

/// While the service runs: nobody but the router knows, until somebody looks again.
#[test]
fn a_session_that_the_router_closes_is_told_by_name() {
    let net = Net::new("session-closed");
    net.router.tell(&["disable", "n1"], "disabled");
    net.wait_no_route();
    let who = format!("neighbour up ({ROUTER})");
    wait_trouble(&net.fleet, "node1", "route", &["session", &who]);
    net.segment_leads("node1");
    net.router.tell(&["enable", "n1"], "enabled");
    net.wait_leads("node1");
}

/// Told apart from a session that the other side closed: this one the operator turned off here.
#[test]
fn a_session_that_is_turned_off_on_the_node_is_told_when_it_gets_the_service() {
    let net = Net::new("session-off");
    let [_, second, _] = &net.nodes;
    second.tell(&["disable", "up"], "disabled");
    move_to(&net.fleet, "node2");
    let words = format!("neighbour up ({ROUTER}) is turned off in this node's own routing daemon");
    wait_trouble(&net.fleet, "node2", "route", &[&words]);
    net.wait_no_route();
    net.segment_leads("node2");
    second.tell(&["enable", "up"], "enabled");
    net.wait_leads("node2");
}

/// As seen from the node all is well: only others see that the route came to nothing.
#[test]
fn a_router_that_filters_is_seen_by_another_node() {
    let net = Net::new("filtered");
    net.router.configure(&router_accepting(&format!("where net != {V4}/32")));
    net.wait_no_route();
    move_to(&net.fleet, "node2");
    wait_trouble(
        &net.fleet,
        "node2",
        "route",
        &["has no route of its own to", V4, "no answer by way of 10.77.0.250"],
    );
    net.wait_no_route();
    net.segment_leads("node2");
    // It is of that address alone, which is what is said.
    wait_answers(&net.fleet, &format!("[{V6}]"));
    net.router.configure(&router_accepting("all"));
    net.wait_leads("node2");
}
