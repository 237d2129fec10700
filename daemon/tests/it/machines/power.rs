//! The power of a whole machine, and a kernel that gives up.

use super::bed::Cluster;
use super::made::THIRD;
use super::{PATIENCE, web};

#[test]
fn a_machine_without_power_and_one_whose_kernel_panics_come_back_as_who_they_were() {
    let cluster = Cluster::begin("vm-power", vec![web()], |_, spec| spec);
    cluster.wait_served_by("node1");
    let identity = cluster.identity("node1");
    assert!(identity.contains("node1"), "{identity}");

    cluster.machine("node1").power_cut().expect("cut");
    cluster.wait_served_by("node2");
    cluster.wait_in_view(&["node2", THIRD]);
    cluster.machine("node1").power_on().expect("power");
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    assert_eq!(cluster.identity("node1"), identity);

    // Its kernel stops in the middle of everything and boots anew a second later, by itself.
    let (machine, other) = (cluster.machine("node2"), cluster.identity("node2"));
    let before = machine.wait_up(PATIENCE).expect("it is there");
    machine.send("echo c >/proc/sysrq-trigger", PATIENCE).expect("sent");
    cluster.wait_served_by("node1");
    cluster.wait("node2 boots anew", || machine.wait_up(PATIENCE).is_ok_and(|boot| boot != before));
    assert!(machine.console().contains("Kernel panic"), "{}", machine.console());
    cluster.wait_in_view(&["node1", "node2", THIRD]);
    assert_eq!(cluster.identity("node2"), other);
    assert_eq!(cluster.double.double_ms(0, u64::MAX), 0.0, "never two");
}
