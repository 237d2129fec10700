//! `stead-sim` as a developer types it.

use std::process::{Command, Output};

use serde_json::Value;

fn sim(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_stead-sim")).args(arguments).output();
    output.expect("stead-sim runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_ends_with_one_json_object() {
    let output = sim(&["run", "--seeds", "0..6", "--jobs", "2"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let sums: Value = serde_json::from_str(last).expect("the last line is JSON");
    assert_eq!(sums["seeds"], 6);
    assert_eq!(sums["failed"], 0);
    assert!(sums["virtual_hours"].as_f64() >= Some(6.0 * 30.0 / 3_600.0), "{last}");
    let faults = sums["faults"].as_object().expect("faults by kind");
    assert!(faults.values().filter_map(Value::as_u64).sum::<u64>() > 20, "{last}");
    // In whatever order the processors come to them, the sums are the same.
    let again = text(&sim(&["run", "--seeds", "0..6", "--jobs", "3"]).stdout);
    let again: Value =
        serde_json::from_str(again.lines().last().unwrap_or_default()).expect("JSON");
    assert_eq!((&again["faults"], &again["steps"]), (&sums["faults"], &sums["steps"]));
}

#[test]
fn bad_input_names_line_and_column_and_never_hangs() {
    for (arguments, said) in [
        (vec!["run", "--seeds", "5..x"], "column 4"),
        (vec!["run", "--seeds", "9..3"], "no seed is in there"),
        (vec!["replay", "abc"], "invalid digit"),
        (vec!["play", "no-such-file.txt"], "No such file"),
        (vec!["shrink", "0"], "holds"),
    ] {
        let output = sim(&arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let folder = std::env::temp_dir().join(format!("stead-sim-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the file");
    let file = folder.join("wrong.txt");
    std::fs::write(&file, "# Why.\nrun 5\n  cut a z\n").expect("the file is written");
    let output = sim(&["play", &file.display().to_string()]);
    let error = text(&output.stderr);
    assert!(error.contains("line 3, column 9: z is no machine"), "{error}");
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
}

#[test]
fn a_soak_goes_on_where_the_last_one_ended() {
    let folder = std::env::temp_dir().join(format!("stead-soak-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the counts");
    let state = folder.join("soak.json");
    let path = state.display().to_string();
    let seeds = || {
        let counts = std::fs::read_to_string(&state).expect("the counts are there");
        let counts: Value = serde_json::from_str(&counts).expect("they are JSON");
        let (_, entry) = counts.as_object().and_then(|it| it.iter().next()).expect("one core");
        (entry["next"].as_u64(), entry["total"]["seeds"].as_u64())
    };
    let soak = ["soak", "--minutes", "0", "--chunk", "3", "--state", &path];
    assert!(sim(&soak).status.success());
    assert_eq!(seeds(), (Some(3), Some(3)));
    assert!(sim(&soak).status.success());
    assert_eq!(seeds(), (Some(6), Some(6)));
    let report = text(&sim(&["report", "--state", &path]).stdout);
    assert!(report.contains("6 seeds, 0 failed"), "{report}");
    std::fs::write(&state, "[]").expect("the file is spoiled");
    let output = sim(&["report", "--state", &path]);
    assert_eq!(output.status.code(), Some(2));
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
}
