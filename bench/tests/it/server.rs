//! A quorum server under a few clusters, through the bench's own code.

use std::collections::BTreeMap;

use stead_bench::bench::server::{self, Scale};
use stead_bench::report::{Results, tables};

use super::trial::tools;

#[test]
fn every_part_is_a_row_and_each_cluster_is_granted_one_half() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    // Four of six clusters are connected; the others are on the server's disk.
    let connections = Some(8);
    let scale = Scale { clusters: 6, storm: 4, processes: 2, connections, runs: 2, seconds: 1 };
    let mut results = Results::open(folder.path(), server::NAME, false).expect("opened");
    let outcome = server::run(&tools, scale, &mut results);
    outcome.map_err(|error| error.told()).expect("it came to its end (needs root)");
    let rows = results.rows();
    let wrong: Vec<_> = rows.iter().filter_map(|row| row.error.as_ref()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let part = |row: &stead_bench::report::Row| row.more["part"].as_str().map(str::to_owned);
    let counts: BTreeMap<_, _> =
        rows.iter().filter_map(|row| Some((part(row)?, row.number("count")?))).collect();
    for (part, count) in [
        ("registers: storm", 4.0),
        ("enrolment of all", 4.0),
        ("grants in turn", 4.0),
        ("storm", 4.0),
        ("storm among handshakes", 2.0),
        ("connecting anew", 4.0),
        ("restart: all are back", 8.0),
    ] {
        assert_eq!(counts.get(part), Some(&count), "{part}: {counts:?}");
    }
    let table = tables(server::NAME, rows);
    assert!(table.contains("| 6 clusters, 8 connections | storm | 4 |"), "{table}");
    // In the second run each cluster was granted the number after its last: the server that was
    // killed has forgotten none.
    let storms = rows.iter().filter(|row| part(row).as_deref() == Some("storm"));
    assert_eq!(storms.map(|row| row.run).collect::<Vec<_>>(), [1, 2]);
}
