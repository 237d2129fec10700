//! Ways of fencing a node that can't be, and what the operator is told.

use expect_test::expect_file;

use super::broken_devices::check;
use super::fencing::DEVICES;

#[test]
fn levels_that_can_not_be() {
    let nodes = [
        "fence = [[\"pdu-a:3\"], []]\nfence-after = \"off\"",
        "fence = [\"bmc\", [\"pdu-b:3\"]]\nfence-rehearse = \"90d\"",
        "fence = [\"pdu-a:\", 5]\nfence-rehearse = \"daily\"",
    ];
    check(nodes, DEVICES, &expect_file!["golden/levels-that-can-not-be.txt"]);
    let nodes = ["fence = []", "fence-after = \"on\"", "fence = \"bmc1\"\nwatchdog = 1"];
    check(nodes, DEVICES, &expect_file!["golden/no-levels.txt"]);
    let nine = |plug: fn(u8) -> String| (0..9).map(plug).collect::<Vec<_>>().join(", ");
    let many = format!("fence = [{}]", nine(|plug| format!("\"pdu-a:{plug}\"")));
    let deep = format!("fence = [{}]", nine(|plug| format!("[\"pdu-a:{plug}\"]")));
    check([&many, &deep, ""], DEVICES, &expect_file!["golden/too-many.txt"]);
}

#[test]
fn a_tie_that_nobody_could_break() {
    let tables = format!("{DEVICES}\n[quorum]\nchain = [\"majority\", \"fence\"]\n");
    let nodes = ["fence = [\"bmc1\"]", "watchdog = true", "satellite = true"];
    check(nodes, &tables, &expect_file!["golden/a-tie-that-nobody-could-break.txt"]);
}

#[test]
fn devices_that_are_shared_by_mistake() {
    let nodes = [
        "fence = [[\"bmc1\", \"vm\"], [\"pdu-a:3\", \"pdu-a:3\"]]",
        "fence = [[\"bmc1\"], [\"vm\"], [\"pdu-a:3\"]]",
        "fence = [\"pdu-b:1\", \"vm:a\"]",
    ];
    check(nodes, DEVICES, &expect_file!["golden/shared-devices.txt"]);
}
