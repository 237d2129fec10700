//! What is printed and drawn out of the rows that are kept.

use std::io::Write;
use std::path::Path;

use crate::bench::{
    agents, failover, fencing, idle, layers, operations, plans, quiet, quorum, server, stages,
    timelines,
};
use crate::error::{BenchError, Step};
use crate::report::{self, Machine, Row, Session};

/// The benches that `table` knows, in its order.
pub(crate) const BENCHES: [&str; 12] = [
    failover::NAME,
    quorum::NAME,
    fencing::NAME,
    layers::NAME,
    timelines::NAME,
    quiet::NAME,
    idle::NAME,
    stages::NAME,
    server::NAME,
    agents::NAME,
    operations::NAME,
    plans::NAME,
];

/// The newest session of a bench, or all of them.
fn kept(name: &str, all: bool, results: &Path) -> Result<Vec<Session>, BenchError> {
    let mut sessions = report::read(&results.join(format!("{name}.jsonl")))?;
    let before = if all { 0 } else { sessions.len().saturating_sub(1) };
    Ok(sessions.split_off(before))
}

fn machines(sessions: &[Session]) -> Vec<String> {
    sessions.iter().filter_map(|session| session.machine.as_ref()).map(Machine::told).collect()
}

fn rows(sessions: Vec<Session>) -> Vec<Row> {
    sessions.into_iter().flat_map(|session| session.rows).collect()
}

fn nothing(results: &Path) -> BenchError {
    let text = format!("there are no results in {}; run a bench first", results.display());
    BenchError::Nothing(text)
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(path, text).step(|| format!("cannot write {}", path.display()))
}

/// Draws what a bench has to show: into a file, or into a folder where it is several pictures.
pub(crate) fn plot(
    name: &str,
    all: bool,
    out: Option<&Path>,
    results: &Path,
) -> Result<(), BenchError> {
    if name == timelines::NAME {
        let Some(folder) = out else {
            let text = "these are several pictures: say with --out into which folder they go";
            return Err(BenchError::Nothing(text.to_owned()));
        };
        return pictures(all, folder, results);
    }
    let sessions = kept(name, all, results)?;
    let told = machines(&sessions);
    let rows = rows(sessions);
    let picture = match name {
        plans::NAME => report::growth(&rows, &told),
        layers::NAME => report::layers(&rows, &told),
        _ => report::plot(&rows, &told),
    };
    let picture = picture.ok_or_else(|| nothing(results))?;
    match out {
        Some(path) => write(path, &picture),
        None => say(&picture),
    }
}

/// A picture of each scenario, the newest where there are several.
pub(crate) fn pictures(all: bool, folder: &Path, results: &Path) -> Result<(), BenchError> {
    let sessions = kept(timelines::NAME, all, results)?;
    let drawn: Vec<_> = sessions.iter().flat_map(report::pictures).collect();
    if drawn.is_empty() {
        return Err(nothing(results));
    }
    std::fs::create_dir_all(folder).step(|| format!("cannot make {}", folder.display()))?;
    drawn.iter().try_for_each(|(scenario, picture)| {
        write(&folder.join(format!("{}.svg", timelines::file(scenario))), picture)
    })
}

/// Writes the page of the book about the agents, of the newest session.
pub(crate) fn page(out: &Path, results: &Path) -> Result<(), BenchError> {
    let session = kept(agents::NAME, false, results)?.pop().ok_or_else(|| nothing(results))?;
    write(out, &agents::page(session.machine.as_ref(), &session.rows))
}

/// Whoever reads the output may have seen enough: that is no failure.
pub(crate) fn say(text: &str) -> Result<(), BenchError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.step(|| "cannot write to the standard output".to_owned()),
    }
}

/// Prints the tables of one bench, or of all.
pub(crate) fn table(bench: Option<&str>, all: bool, results: &Path) -> Result<(), BenchError> {
    let mut printed = false;
    for name in BENCHES.iter().filter(|name| bench.is_none_or(|it| it == **name)) {
        let sessions = kept(name, all, results)?;
        let told = machines(&sessions);
        let rows = rows(sessions);
        if !rows.is_empty() {
            printed = true;
            let tables = report::tables(name, &rows);
            say(&format!("## {name}\n\n{}\n\n{tables}\n", told.join("\n")))?;
        }
    }
    if printed { Ok(()) } else { Err(nothing(results)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Lane, Results, TIMELINE, Timeline};

    #[test]
    fn a_table_of_nothing_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = table(None, false, folder.path()).expect_err("nothing");
        assert!(error.to_string().contains("run a bench first"), "{error}");
        for name in [failover::NAME, timelines::NAME] {
            let drawn = plot(name, false, Some(folder.path()), folder.path());
            let error = drawn.expect_err("nothing");
            assert!(error.to_string().contains("run a bench first"), "{error}");
        }
        let error = plot(timelines::NAME, false, None, folder.path()).expect_err("no folder");
        assert!(error.to_string().contains("--out"), "{error}");
    }

    #[test]
    fn a_picture_is_drawn_of_the_newest_session_or_of_all() {
        let folder = tempfile::tempdir().expect("a folder");
        for outage in [40.0, 4_000.0] {
            let mut results = Results::open(folder.path(), failover::NAME, true).expect("opened");
            let row = Row {
                bench: failover::NAME.to_owned(),
                subject: "stead".to_owned(),
                ..Row::default()
            };
            results.add(Row { outage_ms: Some(outage), ..row }).expect("written");
        }
        let path = folder.path().join("failover.svg");
        for (all, wanted) in [(false, "4000 ms (4000 to 4000)"), (true, "2020 ms (40 to 4000)")] {
            plot(failover::NAME, all, Some(&path), folder.path()).expect("drawn");
            let svg = std::fs::read_to_string(&path).expect("written");
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
            assert!(svg.contains(wanted), "{svg}");
        }
    }

    #[test]
    fn each_timeline_becomes_a_file_and_a_row_without_one_becomes_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut results = Results::open(folder.path(), timelines::NAME, true).expect("opened");
        let row = |scenario: &str| {
            let row = Row { bench: timelines::NAME.to_owned(), ..Row::default() };
            row.with("scenario", scenario)
        };
        let lanes = vec![Lane { group: "a <b>".to_owned(), ..Lane::default() }];
        let timeline = Timeline { title: "all & sundry".to_owned(), lanes, ..Timeline::default() };
        let timeline = serde_json::to_value(&timeline).expect("JSON");
        results.add(row("all up").with(TIMELINE, timeline)).expect("kept");
        results.add(Row { error: Some("late".to_owned()), ..row("link lost") }).expect("kept");
        results.add(row("odd").with(TIMELINE, "no timeline")).expect("kept");

        let out = folder.path().join("img");
        plot(timelines::NAME, false, Some(&out), folder.path()).expect("drawn");
        let files: Vec<_> = std::fs::read_dir(&out).expect("a folder").flatten().collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        assert_eq!(file.file_name(), "quorum-all-up.svg");
        let svg = std::fs::read_to_string(file.path()).expect("written");
        assert!(svg.contains("all &amp; sundry") && svg.contains("a &lt;b&gt;"), "{svg}");
        let machine = Machine::here(timelines::NAME);
        assert!(svg.contains(&format!("{} cores", machine.cores)), "its conditions: {svg}");
        let table = report::tables(timelines::NAME, results.rows());
        assert!(table.contains("| link lost | - | - | - | - | late |"), "{table}");
    }
}
