//! Every scenario file goes as written. `UPDATE=1` writes what happens into them; read the
//! difference before you keep it.

use std::path::{Path, PathBuf};

use stead_sim::scenario::{PlayError, Script, play};

const RULE: &str = "----\n";

fn check(path: &Path) -> Result<(), String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let (script, expected) = text.split_once(RULE).unwrap_or((&text, ""));
    let read = Script::read(script).map_err(|error| format!("{name}: {error}"))?;
    let played = play(&read).map_err(|error| format!("{name}: {error}"))?;
    // No scenario is kept that a judge speaks against.
    if let Some(verdict) = played.verdict() {
        return Err(format!("{name}: {}: {}", verdict.judge, verdict.what));
    }
    let happened = played.transcript();
    if happened == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{script}{RULE}{happened}");
        return std::fs::write(path, text).map_err(|error| format!("{name}: {error}"));
    }
    let first = expected.lines().zip(happened.lines()).find(|(old, new)| old != new);
    Err(format!("{name}: expected and happened differ first in {first:#?}"))
}

#[test]
fn every_scenario_goes_as_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder).expect("sim/scenarios is there");
    let mut files: Vec<_> = files.filter_map(|file| file.ok().map(|file| file.path())).collect();
    files.sort();
    assert!(files.len() >= 40, "scenarios are missing");
    let failed: Vec<_> = files.iter().filter_map(|file| check(file).err()).collect();
    assert!(failed.is_empty(), "{}\nUPDATE=1 writes what happened.", failed.join("\n"));
}

#[test]
fn what_never_comes_ends_with_the_last_notices() {
    let text = "# Nobody says that.\npower-off holder\nawait 500 said pigs fly\n";
    let error = play(&Script::read(text).expect("it can be read")).expect_err("it never comes");
    let PlayError::InVain { line, wanted, last } = &error else { panic!("{error}") };
    assert_eq!((*line, wanted.as_str()), (3, "said pigs fly"));
    assert!(last.contains("is suspected"), "{last}");
}

#[test]
fn what_cannot_be_done_says_which_line() {
    let text = "# Nobody holds it any more.\npower-off a b c\nrun 5\nremove-address s0\n";
    let error = play(&Script::read(text).expect("it can be read")).expect_err("nobody is there");
    assert!(matches!(error, PlayError::Act { line: 4, .. }), "{error}");
}

/// What a watchdog does not give (protocol, section 18): stopped with its machine it resets
/// nothing, and the machine goes on with what others have started meanwhile. The judge has no
/// excuse for it.
#[test]
fn a_watchdog_that_stands_still_with_its_machine_is_no_proof() {
    let text = "# Paused.\nfenced\nwatchdogs inside\nhypervisor b 8000\nrun 7000\n";
    let played = play(&Script::read(text).expect("it can be read")).expect("it goes on");
    let verdict = played.verdict().expect("two have it");
    assert_eq!(verdict.judge, "I1", "{}", verdict.what);
}
