//! What only the form itself can be asked.

use super::*;
use crate::namespace::NetNs;

#[test]
fn a_process_that_is_held_up_for_too_long_leaves_the_address_shut() {
    let ns = NetNs::create().expect("these tests need root");
    let addr = IpAddr::from([10, 0, 0, 100]);
    let devices = ["lo".to_owned()];
    let table = ns.run(|| Table::install("late", &devices, &Memory::default())).expect("inside");
    let mut table = table.expect("a table");
    table.manage(&BTreeSet::from([addr])).expect("managed");
    let deadline = clock::boottime() + 600_000_000;
    table.open_until(&[addr], deadline).expect("opened");
    assert_ne!(table.managed[&addr], [0; 2]);
    // No process is as fast as that: three attempts, then shut.
    let late = table.open_within(&[addr], deadline, Duration::ZERO);
    assert!(matches!(late, Err(GateError::Late { .. })), "{late:?}");
    assert_eq!(table.managed[&addr], [0; 2]);
}
