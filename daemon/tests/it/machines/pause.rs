//! The pause that no clock shows.

use std::time::Duration;

use stead_core::time::Span;
use stead_core::timers::Timers;
use stead_lab::prober::now;

use super::bed::Cluster;
use super::made::THIRD;
use super::{PATIENCE, RIDE_OUT, ROUND_TRIP, web};

/// The lease of these clusters.
fn lease() -> Duration {
    let span = |time: Duration| Span(u64::try_from(time.as_micros()).expect("short"));
    let timers = Timers::derive(span(RIDE_OUT), span(ROUND_TRIP)).expect("usable numbers");
    Duration::from_micros(timers.lease.0)
}

#[test]
fn a_machine_held_still_by_its_hypervisor_is_taken_over_and_falls_silent_when_it_goes_on() {
    let cluster = Cluster::begin("vm-pause", vec![web()], |_, spec| spec);
    cluster.wait_served_by("node1");
    let boot = cluster.machine("node1").wait_up(PATIENCE).expect("it is there");
    let uptime = || cluster.shell("node1", "cut -d' ' -f1 /proc/uptime").stdout;
    let (paused, before) = (now(), uptime());
    cluster.machine("node1").pause().expect("paused");
    cluster.wait_served_by("node2");
    cluster.wait_in_view(&["node2", THIRD]);

    // It finds its clocks where they were and believes the rest of its lease, less than all of it;
    // with its first echo it learns the truth.
    let resumed = now();
    cluster.machine("node1").resume().expect("resumed");
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    cluster.wait_served_by("node2");
    let wrong = cluster.answered_for("node1", resumed);
    println!("answered for {wrong:?} more, of a lease of {:?}", lease());
    assert!(wrong < lease(), "{wrong:?} of {:?}", lease());

    // It was this machine all the time, and did not know how long.
    assert_eq!(cluster.machine("node1").wait_up(PATIENCE).expect("it is there"), boot);
    let seconds = |text: String| text.trim().parse::<f64>().expect("a number");
    let inside = seconds(uptime()) - seconds(before);
    let outside = Duration::from_micros(now() - paused).as_secs_f64();
    assert!(inside + RIDE_OUT.as_secs_f64() < outside, "{inside} s of {outside} s");

    // Nothing is wrong with it: it can have the service again.
    cluster.good(THIRD, &["move", "web", "node1"]);
    cluster.wait_served_by("node1");
}
