//! A machine's own watchdog, which a real kernel drives: relied on, it frees what is bound to a
//! node whose guard stands still; not relied on, nothing does but an operator's word.

use std::time::Duration;

use serde_json::Value;
use stead_core::time::Span;
use stead_core::timers::Timers;
use stead_lab::prober::now;

use super::bed::Cluster;
use super::made::{MACHINES, THIRD, format};
use super::shared::{data, mounted, story};
use super::{PATIENCE, RIDE_OUT, ROUND_TRIP};
use crate::cluster::Must;

/// Where a node's guard and daemon look for who they are: without it they do not start.
const IDENTITY: &str = "/var/lib/stead/node.json";
/// Two answers further apart are of two times.
const APART: Duration = Duration::from_millis(500);

/// Has guard and daemon of a node stand still. Whatever they do next, the node can't know.
const STAND_STILL: &str = r#"
for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$process/cmdline") in
    "/opt/stead guard "* | "/opt/stead daemon "*) kill -STOP "${process#/proc/}" ;;
    esac
done
"#;

/// How long after the end of a node's lease its watchdog has certainly reset it.
fn reset_within() -> Duration {
    let span = |time: Duration| Span(u64::try_from(time.as_micros()).expect("short"));
    let timers = Timers::derive(span(RIDE_OUT), span(ROUND_TRIP)).expect("usable numbers");
    let whole = Span(timers.watchdog().0.div_ceil(1_000_000) * 1_000_000);
    Duration::from_micros(Timers::reset_within(whole).0)
}

/// What a node says of its own watchdog.
fn watchdog(cluster: &Cluster, node: &str) -> Value {
    let status = cluster.status(node);
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let own = nodes.into_iter().find(|it| it["name"] == node).unwrap_or_default();
    own["watchdog"].clone()
}

fn wait_armed(cluster: &Cluster) {
    for node in MACHINES {
        cluster.wait(&format!("the watchdog of {node} is armed and relied on"), || {
            let it = watchdog(cluster, node);
            let device = it["device"].as_str().unwrap_or_default();
            it["timeout_s"].is_number() && it["relied_on"] == true && device.contains("i6300ESB")
        });
    }
}

fn wait_stays(cluster: &Cluster, node: &str) {
    cluster.wait(&format!("it stays with {node}"), || {
        let web = cluster.service("web");
        web["stays_with"] == node && web["state"] == "lost"
    });
}

/// How often a machine was reset so far.
fn resets(cluster: &Cluster, node: &str) -> usize {
    let events = cluster.machine(node).events();
    events.iter().filter(|event| event.name == "RESET").count()
}

#[test]
fn a_watchdog_that_is_relied_on_resets_its_machine_before_another_has_the_file_system() {
    let folder = tempfile::tempdir().must();
    let disk = folder.path().join("shared.disk");
    format(&disk);
    let cluster = Cluster::begin("vm-watchdog", vec![data("/dev/disk/shared")], |_, spec| {
        let spec = spec.shared_disk("shared", &disk).setup("mkdir -p /srv/data");
        spec.watchdog().module("i6300esb")
    });
    cluster.wait_served_by("node1");
    waits_for_an_operator(&cluster);

    cluster.configure(|_| "watchdog = true\n".to_owned(), "");
    wait_armed(&cluster);
    cluster.wait_served_by("node2");
    is_reset_first(&cluster);
    stops_in_order(&cluster);
    assert_eq!(cluster.double.double_ms(0, u64::MAX), 0.0, "never two");
}

/// Nobody relies on a watchdog: node1 stands still, and what it has waits.
fn waits_for_an_operator(cluster: &Cluster) {
    assert!(watchdog(cluster, "node1").is_null(), "nobody wants it");
    let before = resets(cluster, "node1");
    cluster.shell("node1", STAND_STILL);
    wait_stays(cluster, "node1");
    let screen = cluster.good(THIRD, &["status"]);
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("stead fence confirm-off node1 --reason"), "{screen}");
    assert_eq!(cluster.machine("node1").status().must(), "running", "nothing resets it");
    assert!(resets(cluster, "node1") == before && !mounted(cluster, "node2"));
    cluster.machine("node1").power_cut().must();
    let reason = ["--reason", "its plug is in my hand"];
    cluster.good(THIRD, &[&["fence", "confirm-off", "node1", "--yes"][..], &reason].concat());
    cluster.wait_served_by("node2");
    cluster.machine("node1").power_on().must();
    cluster.wait_in_view(&["node1", "node2", THIRD]);
}

/// Guard and daemon of node2 stand still: it is reset, and only then node1 has what it had.
fn is_reset_first(cluster: &Cluster) {
    let machine = cluster.machine("node2");
    let boot = machine.wait_up(PATIENCE).must();
    let seen = machine.events().len();
    // Nothing that it says after its reset frees anything: it stays a node that nobody hears.
    cluster.shell("node2", &format!("mv {IDENTITY} {IDENTITY}.away && sync"));
    let stopped = now();
    cluster.shell("node2", STAND_STILL);
    let bite = machine.wait_for_event("WATCHDOG", seen, PATIENCE).must();
    assert_eq!(bite.data["action"], "reset", "{bite:?}");
    let reset = machine.wait_for_event("RESET", seen, PATIENCE).must();
    cluster.wait_served_by("node1");
    let first = cluster.double.answered("node1", stopped, APART)[0].0;
    assert!(reset.at_us < first, "reset at {}, taken over at {first}", reset.at_us);
    let waited = Duration::from_micros(first - stopped);
    println!("reset after {} us, taken over after {waited:?}", reset.at_us - stopped);
    assert!(waited > reset_within(), "{waited:?}, and others wait {:?}", reset_within());
    let told = cluster.good(THIRD, &["events"]);
    assert!(told.contains("watchdog"), "{told}");
    assert_eq!(story(cluster, "node1"), ["node1", "node2", "node1"], "one story on one disk");

    cluster.wait("node2 boots anew", || machine.wait_up(PATIENCE).is_ok_and(|it| it != boot));
    cluster.shell("node2", &format!("mv {IDENTITY}.away {IDENTITY}"));
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    cluster.wait_served_by("node1");
    wait_armed(cluster);
}

/// node1 is only cut off, and stops in time what it had: it is not reset, and they wait all the
/// same.
fn stops_in_order(cluster: &Cluster) {
    let machine = cluster.machine("node1");
    let (boot, before, cut) = (machine.wait_up(PATIENCE).must(), resets(cluster, "node1"), now());
    cluster.cut("node1");
    cluster.wait_served_by("node2");
    let first = cluster.double.answered("node2", cut, APART)[0].0;
    let waited = Duration::from_micros(first - cut);
    assert!(waited > reset_within(), "{waited:?}, and others wait {:?}", reset_within());
    cluster.heal("node1");
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    cluster.wait_served_by("node2");
    assert_eq!(machine.wait_up(PATIENCE).must(), boot, "it was this machine all the time");
    assert_eq!(resets(cluster, "node1"), before);
}
