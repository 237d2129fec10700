//! One failover of stead, through the bench's own code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use stead_bench::bench::failover;
use stead_bench::bench::quorum::{self, Scenario};
use stead_bench::report::{Results, Row, read, tables};
use stead_bench::subject::{self, Choice, Failure, GATES, Spec, Stead};
use stead_bench::{BenchError, Tools};

/// A copy of our program that is called `stead` is stead.
pub fn tools(folder: &Path) -> Tools {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_stead-bench"));
    let stead = folder.join("stead");
    std::fs::copy(&own, &stead).expect("copied");
    Tools { stead, own, stop: Arc::default() }
}

#[test]
fn a_failover_of_stead_is_a_row_with_its_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    let specs = [Spec::Stead(Stead::with(300, &GATES[0]))];
    let mut results = Results::open(folder.path(), failover::NAME, false).expect("opened");
    let outcome = failover::run(&tools, &specs, &[Failure::Dead], 1, &mut results);
    outcome.map_err(|error| error.told()).expect("it came to its end (needs root)");

    let path = folder.path().join("failover.jsonl");
    let text = std::fs::read_to_string(&path).expect("written");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [header, row] = &lines[..] else { panic!("{text}") };
    assert!(header["header"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{header}");
    assert_eq!(row["error"], Value::Null, "{row:#}");
    assert_eq!(row["bench"], "failover");
    assert_eq!(row["subject"], "stead");
    assert_eq!(row["config"], specs[0].config());
    assert_eq!(row["failure"], "node dead");
    assert_eq!(row["run"], 1);
    assert_eq!(row["gate"], GATES[0].name, "the form that was asked for is in force");
    // no takeover can come before the lease has run out, and that outlasts the ride-out
    assert!(row["outage_ms"].as_f64().is_some_and(|ms| ms > 300.0), "{row:#}");
    assert_eq!(row["double_ms"], 0.0, "{row:#}");

    let sessions = read(&path).expect("read");
    let table = tables(failover::NAME, &sessions[0].rows);
    assert!(table.contains("| node dead | stead | ride-out 300 ms"), "{table}");
}

#[test]
fn a_cluster_that_cannot_start_is_a_row_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = Tools { stead: folder.path().join("absent"), ..tools(folder.path()) };
    let specs = [Spec::Stead(Stead::with(300, &GATES[0]))];
    let mut results = Results::open(folder.path(), failover::NAME, false).expect("opened");
    failover::run(&tools, &specs, &[Failure::Dead], 1, &mut results).expect("it went on");
    let [row] = results.rows() else { panic!("{:?}", results.rows()) };
    assert_eq!((row.outage_ms, row.double_ms), (None, None));
    assert!(row.error.as_ref().is_some_and(|error| error.contains("cannot copy")), "{row:?}");
}

#[test]
fn the_wish_to_end_is_heard_and_leaves_no_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    tools.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let specs = [Spec::Stead(Stead::with(300, &GATES[0]))];
    let mut results = Results::open(folder.path(), failover::NAME, false).expect("opened");
    let outcome = failover::run(&tools, &specs, &[Failure::Dead], 1, &mut results);
    assert!(outcome.as_ref().is_err_and(BenchError::is_interruption), "{outcome:?}");
    assert!(results.rows().is_empty());
}

#[test]
fn a_reader_who_has_seen_enough_of_the_tables_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut results = Results::open(folder.path(), failover::NAME, true).expect("opened");
    let row = Row { bench: failover::NAME.to_owned(), outage_ms: Some(1.0), ..Row::default() };
    results.add(row).expect("kept");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead-bench"));
    let command = command.arg("table").arg("--results").arg(folder.path()).stdout(writer);
    let done = command.stderr(Stdio::piped()).output().expect("it ran");
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn a_holder_without_its_server_is_silent_before_the_other_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = tools(folder.path());
    let specs = subject::quorum(&Choice { only: Some("300 ms".to_owned()), ..Choice::default() });
    let [spec] = &specs[..] else { panic!("{specs:?}") };
    let mut results = Results::open(folder.path(), quorum::NAME, false).expect("opened");
    let scenarios = [Scenario::LinkCutHolderAlone];
    let outcome = quorum::round(&tools, spec, &scenarios, 1, &mut results);
    outcome.map_err(|error| error.told()).expect("it came to its end (needs root)");
    let [row] = results.rows() else { panic!("{:?}", results.rows()) };
    assert_eq!(row.error, None, "{row:?}");
    assert_eq!(row.more["scenario"], "link cut, holder without server");
    assert_eq!((&row.more["holder"], &row.more["moved"]), (&"node1".into(), &true.into()));
    assert_eq!((&row.more["nodes"], row.double_ms), (&2.into(), Some(0.0)));
    // its lease ends before the other one may answer
    let silent = row.number("silent_ms").expect("it was heard after the cut");
    assert!(row.outage_ms.is_some_and(|outage| outage > 0.0) && silent > 0.0, "{row:?}");
    let table = tables(quorum::NAME, results.rows());
    assert!(table.contains("| link cut, holder without server | stead | ride-out 300"), "{table}");
}
