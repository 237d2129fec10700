//! The running cluster is upgraded node by node, as the book says, and no client sees a gap.
//!
//! `STEAD_FORMER` names the program of the version before; without it the present one stands in for
//! it, and what is tried is the procedure (`docs/how-to/upgrade.md`).

use std::fs;
use std::path::{Path, PathBuf};

use stead::demo::fleet::{Fleet, Part, Plan};

use super::*;

/// The program of the version before.
fn former() -> PathBuf {
    std::env::var_os("STEAD_FORMER").map_or_else(stead, PathBuf::from)
}

/// Puts a program in place as a package does: beside the old one, then over its name.
fn install(program: &Path, place: &Path) {
    let beside = place.with_extension("new");
    fs::copy(program, &beside).unwrap();
    fs::rename(&beside, place).unwrap();
}

#[test]
fn a_cluster_is_upgraded_node_by_node_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let installed = folder.path().join("stead");
    install(&former(), &installed);
    let plan = Plan::of("upgrade", &installed, 3).service(web("web", WEB, &[]));
    let fleet = Fleet::start(plan).must();
    let client = client(&fleet, WEB);
    whole(&fleet);
    install(&stead(), &installed);
    let began = mark();
    let first = coordinator(&fleet, "node1");
    let mut order: Vec<String> = fleet.nodes().iter().map(|node| node.name().to_owned()).collect();
    // The coordinator last.
    order.sort_by_key(|name| *name == first);
    for name in &order {
        let by = order.iter().find(|other| *other != name).unwrap();
        let operator = fleet.node(by).must();
        operator.stead(&["standby", name]).must().expect_success().must();
        wait_for(&fleet, "the node serves nothing", || Ok(client.holders() != [name.clone()]));
        client.wait_served(&fleet).must();
        fleet.stop_part(name, Part::Guard).must();
        fleet.stop_part(name, Part::Daemon).must();
        fleet.start_part(name, Part::Guard).must();
        fleet.start_part(name, Part::Daemon).must();
        wait_for(&fleet, "the node is back", || {
            let status = fleet.node(name)?.status()?;
            Ok(status["cluster"]["coordinator"].is_string())
        });
        operator.stead(&["standby", name, "--off"]).must().expect_success().must();
        whole(&fleet);
    }
    assert_untouched(client.seen_since(began));
}
