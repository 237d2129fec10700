//! The short form of `bench/run operations`: a dozen operations of one seed.

use stead_bench::bench::operations;
use stead_bench::report::{Results, tables};

use super::trial::tools;

/// Of its dozen, most are of different kinds.
const SEED: u64 = 11;
const COUNT: u32 = 12;

#[test]
fn a_dozen_operations_by_chance_leave_a_whole_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    let mut results = Results::open(folder.path(), operations::NAME, false).expect("opened");
    let outcome = operations::run(&tools, SEED, COUNT, &mut results);
    if let Some(doubles) = std::env::var_os("STEAD_DOUBLES")
        && results.rows().iter().any(|row| row.double_ms > Some(0.0))
    {
        // no second try makes up for it: ./test looks here
        std::fs::write(doubles, format!("operations: {:?}\n", results.rows())).expect("written");
    }
    outcome.map_err(|error| error.told()).expect("all healed (needs root)");
    assert!(results.rows().iter().all(|row| row.error.is_none() && row.double_ms == Some(0.0)));
    let table = tables(operations::NAME, results.rows());
    assert!(table.contains(&format!("| seed {SEED} | {COUNT} |")), "{table}");
}
