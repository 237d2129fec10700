//! Nodes that are switched off: by a power strip with an outlet for each, which every node reaches
//! over a network that carries no heartbeats.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::{Client, Fleet, FleetError, Outlet, Plan, PowerStrip, strip_table};

use super::bound::{Disk, stays_with};
use super::server::{quorum, wait_verdict};
use super::{
    Must, WEB, assert_alone, assert_taken_over, client, mark, stead, told, wait_for, wait_moved,
    wait_preferred, web, web_programs, whole,
};

/// A plan whose nodes each have an outlet, which is tried once a day.
fn fenced(mut plan: Plan, folder: &Path) -> Plan {
    for node in &mut plan.nodes {
        node.lines = format!("fence = [\"strip:{}\"]\nfence-rehearse = \"1d\"\n", node.name);
    }
    // Behind the table of the cluster.
    plan.cluster.push_str(&strip_table(folder));
    plan
}

/// Two nodes of which one switches the other off, and no quorum server.
fn pair(name: &str, folder: &Path) -> Plan {
    let plan = Plan::of(name, &stead(), 2).service(web("web", WEB, &["node2"]));
    let mut plan = fenced(plan, folder);
    plan.cluster.push_str("\n[quorum]\nchain = [\"majority\", \"fence\"]\n");
    plan
}

/// Does something with a fleet whose services run, beside its power strip.
fn beside(plan: Plan, folder: &Path, act: impl FnOnce(&Fleet, &PowerStrip<'_>)) {
    let fleet = Fleet::build(plan, Arc::default()).must();
    PowerStrip::beside(&fleet, folder, |strip| {
        fleet.found().must();
        fleet.join_all().must();
        fleet.wait_votes().must();
        fleet.serve().must();
        // Every outlet was tried, or it would not be protected.
        whole(&fleet);
        act(&fleet, strip);
        assert_eq!(strip.trouble(), None);
    })
    .must();
}

fn fencing(fleet: &Fleet, by: &str, node: &str) -> Result<Value, FleetError> {
    let status = fleet.node(by)?.status()?;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let found = nodes.into_iter().find(|it| it["name"] == node).unwrap_or_default();
    Ok(found["fencing"].clone())
}

/// What was switched, without when.
fn switched(strip: &PowerStrip<'_>) -> Vec<String> {
    strip.switched().into_iter().map(|it| format!("{} {}", it.node, it.action)).collect()
}

/// Who answers instead of that node began after it had been switched off.
#[track_caller]
fn assert_after_the_switch(client: &Client, strip: &PowerStrip<'_>, lost: &str, began: u64) {
    let off = strip.switched().into_iter().find(|it| it.node == lost && it.action == "off");
    let off = off.expect("it was switched off").at;
    let gaps = client.http().gaps(Duration::from_millis(1));
    let taken = gaps
        .into_iter()
        .find(|it| it.to_us > began && it.before.as_deref() == Some(lost) && it.after != it.before);
    let taken = taken.expect("somebody else answered");
    assert!(taken.to_us > off, "{taken:?}: switched off at {off}");
}

#[test]
fn a_lost_node_is_switched_off_and_then_its_file_system_goes_elsewhere() {
    let (disk, folder) = (Disk::new(), tempfile::tempdir().must());
    let plan = fenced(super::three("fenced").service(disk.service()), folder.path());
    beside(plan, folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        assert!(strip.switched().is_empty(), "a trial switches nothing");

        // It is cut off, and goes on running.
        let began = mark();
        fleet.cut_from_nodes("node2").must();
        let next = wait_moved(fleet, &client, "node2");
        assert_after_the_switch(&client, strip, "node2", began);
        assert_eq!(disk.story().last(), Some(&next));
        wait_for(fleet, "node2 is switched on again", || {
            Ok(switched(strip) == ["node2 off", "node2 on"])
        });
        whole(fleet);
        for node in ["node1", "node3"] {
            wait_for(fleet, "its journal tells", || {
                told(fleet, node, "node2 was fenced: strip says that it is off")
            });
        }
        assert_alone(client.seen_since(began));
    });
}

#[test]
fn what_is_bound_waits_while_its_device_fails_and_goes_on_when_that_is_mended() {
    let (disk, folder) = (Disk::new(), tempfile::tempdir().must());
    let plan = fenced(super::three("fence-fails").service(disk.service()), folder.path());
    beside(plan, folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        strip.make("node2", Outlet::Refuses);
        let began = mark();
        fleet.silence_then_kill("node2").must();
        wait_for(fleet, "status says that it failed, and what can be done", || {
            let node1 = fleet.node("node1")?;
            let text = node1.status()?["problems"].to_string();
            let failed = text.contains("its fence devices failed") && text.contains("out of order");
            Ok(failed && text.contains("confirm-off node2"))
        });
        assert!(stays_with(fleet, "node1", "node2").must());
        for node in ["node1", "node3"] {
            assert!(web_programs(fleet, node).is_empty(), "{node} runs it");
        }
        assert!(strip.switched().is_empty());
        strip.make("node2", Outlet::Good);
        wait_moved(fleet, &client, "node2");
        assert_after_the_switch(&client, strip, "node2", began);
        whole(fleet);
        assert_alone(client.seen_since(began));
    });
}

#[test]
fn who_has_nothing_bound_is_not_switched_off() {
    let folder = tempfile::tempdir().must();
    let plan =
        fenced(super::three("fence-none").service(web("web", WEB, &["node2"])), folder.path());
    beside(plan, folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        let began = mark();
        fleet.silence_then_kill("node2").must();
        wait_moved(fleet, &client, "node2");
        assert_taken_over(client.seen_since(began));
        fleet.power_on("node2").must();
        whole(fleet);
        assert!(strip.switched().is_empty(), "{:?}", strip.switched());
    });
}

#[test]
fn a_node_that_goes_on_after_its_device_called_it_off_is_rid_of_all_and_the_device_not_believed() {
    let (disk, folder) = (Disk::new(), tempfile::tempdir().must());
    let plan = fenced(super::three("fence-lies").service(disk.service()), folder.path());
    beside(plan, folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        strip.make("node2", Outlet::Lies);
        fleet.cut_from_nodes("node2").must();
        let next = wait_moved(fleet, &client, "node2");
        fleet.heal("node2").must();
        wait_for(fleet, "its device is not believed", || {
            Ok(fencing(fleet, "node1", "node2")?["state"] == "doubted")
        });
        let screen = fleet.node("node1").must().stead(&["status"]).must().stdout;
        assert!(screen.contains("rehearse node2 --power-cycle"), "{screen}");
        // A later start of its guard is admitted.
        wait_for(fleet, "node2 is back", || {
            let status = fleet.node("node1")?.status()?;
            Ok(status["nodes"][1]["state"] == "in-view")
        });
        wait_for(fleet, "nothing of it is left there", || {
            Ok(web_programs(fleet, "node2").is_empty() && client.holders() == [next.as_str()])
        });
        assert_eq!(fencing(fleet, "node1", "node2").must()["state"], "doubted");
    });
}

#[test]
fn of_two_without_a_link_exactly_one_goes_on() {
    let folder = tempfile::tempdir().must();
    beside(pair("fence-cut", folder.path()), folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        strip.keep_apart("node1", true);
        let began = mark();
        fleet.cut_from_nodes("node1").must();
        // The half that serves goes first.
        wait_for(fleet, "node1 is switched off and on", || {
            Ok(switched(strip) == ["node1 off", "node1 on"])
        });
        wait_verdict(fleet, "node2", "HAVEQUORUM");
        // It boots beside a link that is still cut: it knows too little to do the same.
        wait_for(fleet, "node1 answers its operator", || Ok(quorum(fleet, "node1").is_ok()));
        wait_verdict(fleet, "node1", "NOQUORUM");
        fleet.pause(Duration::from_secs(8)).must();
        assert_eq!(switched(strip), ["node1 off", "node1 on"]);
        assert_eq!(client.holders(), ["node2"]);
        fleet.heal("node1").must();
        whole(fleet);
        // From the end of its lease until the strip has answered it may be silent.
        assert_taken_over(client.seen_since(began));
        assert_eq!(switched(strip), ["node1 off", "node1 on"]);
    });
}

#[test]
fn one_of_two_loses_its_power_and_the_other_one_goes_on_once_that_is_proven() {
    let folder = tempfile::tempdir().must();
    beside(pair("fence-death", folder.path()), folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        let began = mark();
        fleet.silence_then_kill("node2").must();
        assert_eq!(wait_moved(fleet, &client, "node2"), "node1");
        assert_after_the_switch(&client, strip, "node2", began);
        whole(fleet);
        assert_eq!(switched(strip), ["node2 off", "node2 on"]);
        assert_alone(client.seen_since(began));
    });
}

#[test]
fn of_two_whose_devices_fail_nobody_goes_on() {
    let folder = tempfile::tempdir().must();
    beside(pair("fence-both", folder.path()), folder.path(), |fleet, strip| {
        let client = client(fleet, WEB);
        wait_preferred(fleet, &client, "node2");
        strip.make("node1", Outlet::Refuses);
        strip.make("node2", Outlet::Hangs);
        let began = mark();
        fleet.cut_from_nodes("node1").must();
        for node in ["node1", "node2"] {
            wait_verdict(fleet, node, "NOQUORUM");
            wait_for(fleet, "what its device said", || told(fleet, node, "could not be fenced"));
        }
        wait_for(fleet, "nobody serves", || Ok(client.holders().is_empty()));
        fleet.heal("node1").must();
        wait_for(fleet, "one of them serves again", || Ok(client.holders().len() == 1));
        assert!(strip.switched().is_empty(), "{:?}", strip.switched());
        assert_alone(client.seen_since(began));
    });
}
