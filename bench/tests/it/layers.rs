//! One round of each layer whose clients ask elsewhere first, through the bench's own code.

use stead_bench::bench::layers::{self, Way, subjects};
use stead_bench::report::{Results, Row, tables};

use super::trial::tools;

/// The rows of one round of the subject whose name and settings begin so, and their table.
fn round(way: Way, subject: &str) -> (Vec<Row>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    let mut results = Results::open(folder.path(), layers::NAME, false).expect("opened");
    let all = subjects(&[way], true);
    let name = |it: &layers::Subject| format!("{} {}", it.name(), it.settings());
    let one: Vec<_> = all.into_iter().filter(|it| name(it).starts_with(subject)).collect();
    assert_eq!(one.len(), 1, "{subject}: {one:?}");
    let outcome = layers::run(&tools, &one, 1, &mut results);
    outcome.map_err(|error| error.told()).expect("it came to its end (needs root)");
    (results.rows().to_vec(), tables(layers::NAME, results.rows()))
}

/// Both events over both families have figures: of the death longer than what is certain, if
/// anything is.
#[track_caller]
fn complete((rows, table): &(Vec<Row>, String), least_ms: f64) {
    let wrong: Vec<_> = rows.iter().filter_map(|row| row.error.as_ref()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(rows.len(), 4, "{rows:?}");
    for row in rows {
        let least = if row.failure.as_deref() == Some("node dead") { least_ms } else { 0.0 };
        assert!(row.outage_ms.is_some_and(|outage| outage > least), "{row:?}");
    }
    for line in ["| planned | ", "| node dead | "] {
        assert_eq!(table.matches(line).count(), 2, "{table}");
    }
}

/// No takeover of stead can come before the lease has run out, and that outlasts the ride-out.
const RIDE_OUT_MS: f64 = 300.0;

#[test]
fn a_client_behind_a_router_is_led_by_routes() {
    complete(&round(Way::Route, "stead"), RIDE_OUT_MS);
}

#[test]
fn a_client_that_looks_a_name_up_is_led_by_it() {
    complete(&round(Way::Name, "stead"), RIDE_OUT_MS);
}

#[test]
fn a_client_that_is_told_is_led_by_documents() {
    complete(&round(Way::Document, "stead"), RIDE_OUT_MS);
}

/// When the router misses it is between its last keepalive and the hold time: nothing to rely on.
#[test]
fn exabgp_is_led_to_by_routes_as_well() {
    complete(&round(Way::Route, "exabgp route, hold 3 s"), 0.0);
}
