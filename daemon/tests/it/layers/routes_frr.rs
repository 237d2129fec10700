//! The same with FRR on the nodes: it is told by its shell, and has its sockets in a folder of each
//! node's own.

use stead::demo::fleet::Fleet;

use super::routes_bed::{V4, V6, behind_the_router, frr, routed, router, services, wait_routes};
use super::{move_to, wait_answers, wait_elsewhere, wait_runs, wait_well};
use crate::cluster::{Must, three};

#[test]
fn a_route_leads_to_the_holder_with_frr_as_well() {
    let sockets = tempfile::tempdir().must();
    let fleet = Fleet::start(three("routes-frr")).must();
    let _router = router(&fleet);
    behind_the_router(&fleet);
    for number in [1, 2] {
        frr(&fleet, number, sockets.path(), " bgp graceful-restart-disable\n");
    }
    // As it is without a word.
    frr(&fleet, 3, sockets.path(), "");
    let routing =
        format!("{{ daemon = \"frr\", control = \"{}/{{node}}\" }}", sockets.path().display());
    let text = services(&[V4, V6].map(routed), V4, &routing);
    fleet.apply("node1", &(fleet.plan().configuration() + &text)).must();
    wait_runs(&fleet, "node1");
    let leads_to = |node: &str| {
        wait_routes(&fleet, node);
        wait_answers(&fleet, V4);
        wait_answers(&fleet, &format!("[{V6}]"));
        wait_well(&fleet, node, "route");
    };
    leads_to("node1");
    let node = fleet.node("node1").must();
    let advice = node.stead(&["redirect", "advise", "web", "--json"]).must().expect_success();
    let advice = advice.must();
    assert!(advice.contains("120 s of graceful restart"), "{advice}");

    // As planned, there and back.
    for node in ["node2", "node1"] {
        move_to(&fleet, node);
        leads_to(node);
    }
    fleet.silence_then_kill("node1").must();
    leads_to(&wait_elsewhere(&fleet, "node1"));
}
