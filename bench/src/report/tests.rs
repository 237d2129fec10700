use super::*;

fn row(config: &str, outage_ms: Option<f64>) -> Row {
    let (bench, subject) = ("failover".to_owned(), "stead".to_owned());
    let config = config.to_owned();
    Row { bench, subject, config, run: 1, outage_ms, ..Row::default() }
}

#[test]
fn a_row_always_says_what_programs_rely_on() {
    let line = serde_json::to_value(row("a", None).with("moves", 3)).expect("JSON");
    for key in ["bench", "subject", "config", "run", "outage_ms", "double_ms"] {
        assert!(line.get(key).is_some(), "{key}: {line}");
    }
    assert!(line["outage_ms"].is_null() && line["double_ms"].is_null());
    assert!(line.get("error").is_none() && line.get("failure").is_none());
    assert_eq!(line["moves"], 3);
    assert_eq!(Row::deserialize(line).expect("a row").number("moves"), Some(3.0));
}

#[test]
fn what_was_written_is_read_again_session_by_session() {
    let folder = tempfile::tempdir().expect("a folder");
    for outage in [1.0, 2.0] {
        let mut results = Results::open(folder.path(), "failover", false).expect("opened");
        results.add(row("a", Some(outage))).expect("written");
        assert_eq!(results.rows().len(), 1);
    }
    let sessions = read(&folder.path().join("failover.jsonl")).expect("read");
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[1].rows, [row("a", Some(2.0))]);
    let machine = sessions[0].machine.as_ref().expect("a header");
    assert!(machine.cores > 0 && !machine.kernel.is_empty() && machine.versions.len() >= 2);
    assert_eq!(read(&folder.path().join("none.jsonl")).expect("no file").len(), 0);
}

#[test]
fn a_line_that_is_no_result_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.jsonl");
    for wrong in ["{", "{\"bench\": 1}", "{\"header\": {}}"] {
        fs::write(&path, format!("\n{wrong}\n")).expect("written");
        let error = read(&path).expect_err("refused");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}

#[test]
fn people_see_figures_and_reasons() {
    let short = in_short(&row("a", Some(70.4)));
    assert_eq!(short, "run 1: stead a: outage 70 ms");
    let failed = Row { error: Some("nobody".to_owned()), ..row("a", None) };
    assert_eq!(in_short(&failed), "run 1: stead a: nobody");
}
