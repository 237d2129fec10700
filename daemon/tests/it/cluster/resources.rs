//! Services of several resources on real clusters: programs and agents, killed one by one, left
//! alone by their daemon, cut off, taken over.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;
use stead::demo::fleet::{Fleet, FleetError, Part, ServicePlan};

use super::{
    Must, WEB, assert_alone, assert_untouched, client, mark, send, service, three, told, wait_for,
    wait_moved, wait_preferred, web, web_programs, whole,
};

/// How the web service's parts are, by the word of a node.
pub fn parts(fleet: &Fleet, node: &str) -> Result<Vec<Value>, FleetError> {
    let status = fleet.node(node)?.status()?;
    Ok(service(&status, "web")["resources"].as_array().cloned().unwrap_or_default())
}

/// Whether all of them work, by the word of that node.
pub fn all_work(fleet: &Fleet, node: &str) -> Result<bool, FleetError> {
    let parts = parts(fleet, node)?;
    Ok(!parts.is_empty() && parts.iter().all(|part| part["stage"] == "works"))
}

/// The processes on a node whose command line has this word.
fn running(fleet: &Fleet, node: &str, word: &str) -> Vec<i32> {
    let has_it = |pid: &i32| {
        let path = Path::new("/proc").join(pid.to_string()).join("cmdline");
        let line = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|it| it == word)
    };
    let all = fleet.node(node).must().host().processes().must();
    all.into_iter().filter(has_it).collect()
}

/// The small web service on top of a program and an agent.
fn in_parts(folder: &Path) -> ServicePlan {
    let mut service = web("web", WEB, &["node2"]);
    let (program, monitor) = (service.program.clone(), service.monitor.clone());
    (service.program, service.monitor) = (Vec::new(), Vec::new());
    let state = folder.join("dummy.state");
    let data = "echo data; exec sleep 98765";
    service.resources = format!(
        "[[services.web.resources]]\nname = \"data\"\n\
         program = [\"/bin/sh\", \"-c\", {data:?}]\n\
         [[services.web.resources]]\nname = \"agent\"\nocf = \"heartbeat:Dummy\"\n\
         parameters = {{ state = {state:?} }}\nmonitor-interval = \"200ms\"\n\
         [[services.web.resources]]\nname = \"front\"\nprogram = {program:?}\n\
         monitor = {monitor:?}\nneeds = [\"data\"]\n",
    );
    service
}

#[test]
fn parts_are_started_again_in_place_and_outlive_their_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::start(three("parts").service(in_parts(folder.path()))).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    wait_for(&fleet, "all parts work", || all_work(&fleet, "node2"));
    let state = folder.path().join("dummy.state");
    assert!(state.exists(), "the agent started it");
    let screen = fleet.node("node2").must().stead(&["status"]).must().stdout;
    for line in ["data", "agent", "front"] {
        let shown = screen.lines().any(|it| it.contains(line) && it.contains("works"));
        assert!(shown, "{line}: {screen}");
    }

    // The front dies: it is back on the same node, and the address never moved.
    let began = mark();
    let before = web_programs(&fleet, "node2");
    let data = running(&fleet, "node2", "98765");
    send(&before, Signal::SIGKILL);
    wait_for(&fleet, "the front is started again", || {
        let now = web_programs(&fleet, "node2");
        Ok(now.len() == 1 && now != before)
    });
    client.wait_served(&fleet).must();
    wait_for(&fleet, "the journal tells", || told(&fleet, "node2", "front failed and is started"));
    assert_eq!(running(&fleet, "node2", "98765"), data, "what it needs goes on");
    assert_eq!(client.holders(), ["node2"]);
    assert_alone(client.seen_since(began));
    wait_for(&fleet, "all parts work again", || all_work(&fleet, "node2"));

    // The daemon is killed: nothing of it is touched, and the next one knows it all.
    let (front, began) = (web_programs(&fleet, "node2"), mark());
    let restarts = fleet.restarts("node2", Part::Daemon);
    fleet.kill("node2", Part::Daemon).must();
    wait_for(&fleet, "another daemon", || Ok(fleet.restarts("node2", Part::Daemon) > restarts));
    wait_for(&fleet, "it knows the parts", || all_work(&fleet, "node2"));
    whole(&fleet);
    assert_eq!(web_programs(&fleet, "node2"), front);
    assert_eq!(running(&fleet, "node2", "98765"), data);
    assert_untouched(client.seen_since(began));

    // What it needs dies more often than is allowed: all of it goes elsewhere.
    wait_for(&fleet, "it goes elsewhere", || {
        send(&running(&fleet, "node2", "98765"), Signal::SIGKILL);
        Ok(client.answered_by().as_deref() != Some("node2"))
    });
    let holder = wait_moved(&fleet, &client, "node2");
    wait_for(&fleet, "all parts work there", || all_work(&fleet, &holder));
    assert!(
        running(&fleet, "node2", "98765").is_empty() && web_programs(&fleet, "node2").is_empty()
    );
    assert_alone(client.seen_since(began));
}

#[test]
fn parts_end_with_the_lease_and_are_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::start(three("cut-parts").service(in_parts(folder.path()))).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    wait_for(&fleet, "all parts work", || all_work(&fleet, "node2"));

    // Its daemon stands still, and it is cut off: nobody but the keeper is left to end it.
    let began = mark();
    fleet.process("node2", Part::Daemon).must().freeze().must();
    fleet.cut_from_nodes("node2").must();
    let holder = wait_moved(&fleet, &client, "node2");
    wait_for(&fleet, "nothing of it is left", || {
        let left = ["98765", "executor", "demo-web"];
        Ok(left.iter().all(|word| running(&fleet, "node2", word).is_empty()))
    });
    wait_for(&fleet, "all parts work there", || all_work(&fleet, &holder));
    fleet.process("node2", Part::Daemon).must().thaw().must();
    fleet.heal("node2").must();
    whole(&fleet);
    assert_alone(client.seen_since(began));

    // The new holder loses its power.
    let began = mark();
    fleet.silence_then_kill(&holder).must();
    let next = wait_moved(&fleet, &client, &holder);
    wait_for(&fleet, "all parts work on the next", || all_work(&fleet, &next));
    assert_alone(client.seen_since(began));
}
