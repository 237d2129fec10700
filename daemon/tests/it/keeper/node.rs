//! Whole nodes: what stopped guards and daemons can't do any more happens without them.

use nix::sys::signal::Signal;
use stead::demo::fleet::{Fleet, Part};

use crate::cluster::{
    Must, assert_taken_over, mark, serving, wait_for, wait_moved, web_programs, whole,
};

const BOTH: [Part; 2] = [Part::Guard, Part::Daemon];

/// The program of that node is gone, whatever else is not.
fn wait_ended(fleet: &Fleet, node: &str, before: &[i32]) {
    wait_for(fleet, "the program ended with the lease", || {
        let now = web_programs(fleet, node);
        Ok(before.iter().all(|pid| !now.contains(pid)))
    });
}

#[test]
fn a_program_ends_whose_daemon_and_guard_were_both_killed() {
    let (fleet, client) = serving("keeper-killed", "node2");
    let status = fleet.node("node2").must().status().must();
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let own = nodes.iter().find(|it| it["name"] == "node2").cloned().unwrap_or_default();
    assert_eq!(own["keeper"], "namespace", "{own}");
    let before = web_programs(&fleet, "node2");
    assert_eq!(before.len(), 1);
    let began = mark();
    for part in BOTH {
        fleet.kill_for_good("node2", part).must();
    }
    wait_ended(&fleet, "node2", &before);
    wait_moved(&fleet, &client, "node2");
    assert!(web_programs(&fleet, "node2").is_empty());
    for part in BOTH {
        fleet.start_part("node2", part).must();
    }
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_program_ends_whose_daemon_and_guard_were_both_stopped() {
    let (fleet, client) = serving("keeper-stopped", "node2");
    let before = web_programs(&fleet, "node2");
    assert_eq!(before.len(), 1);
    let began = mark();
    let processes = BOTH.map(|part| fleet.process("node2", part).must());
    for process in &processes {
        process.signal(Signal::SIGSTOP).must();
    }
    wait_ended(&fleet, "node2", &before);
    wait_moved(&fleet, &client, "node2");
    assert!(web_programs(&fleet, "node2").is_empty(), "nobody is there to start one");
    for process in &processes {
        process.signal(Signal::SIGCONT).must();
    }
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}

#[test]
fn a_program_that_was_frozen_with_its_node_ends_when_that_goes_on() {
    let (fleet, client) = serving("keeper-frozen", "node2");
    let before = web_programs(&fleet, "node2");
    let began = mark();
    fleet.freeze("node2").must();
    wait_moved(&fleet, &client, "node2");
    assert_eq!(web_programs(&fleet, "node2"), before, "frozen, not ended");
    // Nobody but its keeper is left to do it then.
    fleet.kill_for_good("node2", Part::Daemon).must();
    fleet.thaw("node2").must();
    wait_ended(&fleet, "node2", &before);
    fleet.start_part("node2", Part::Daemon).must();
    whole(&fleet);
    assert_taken_over(client.seen_since(began));
}
