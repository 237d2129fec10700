//! The demo itself, as an ordinary user types it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;

const NOBODY: u32 = 65534;

fn as_nobody(act: impl FnOnce(&mut Command) -> std::process::Output) -> std::process::Output {
    // the build's folders need not be open to others
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open.clone()).expect("opened");
    let copy = folder.path().join("stead");
    std::fs::copy(super::stead(), &copy).expect("copied");
    std::fs::set_permissions(&copy, open).expect("opened");
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).expect("a folder");
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o777)).expect("opened");
    let mut command = Command::new(&copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null());
    command.env("TMPDIR", &temporary).env("HOME", "/");
    let output = act(&mut command);
    let left: Vec<_> = std::fs::read_dir(&temporary).expect("a folder").collect();
    assert!(left.is_empty(), "something is left behind: {left:?}");
    output
}

fn whole_demo(words: &[&str]) -> Vec<Value> {
    let output = as_nobody(|command| command.args(words).output().expect("started"));
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    println!("{text}\n{error}");
    assert!(output.status.success(), "{}", output.status);
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let outcomes: Vec<Value> = lines.collect();
    for outcome in &outcomes {
        assert_eq!(outcome["ok"], true, "{outcome:#}");
        assert_eq!(outcome["double_ms"], 0.0, "{outcome:#}");
        assert!(outcome["outage_ms"].is_number() && outcome["scenario"].is_string());
    }
    outcomes
}

#[test]
fn an_ordinary_user_sees_the_whole_demo() {
    assert_eq!(whole_demo(&["demo", "--json"]).len(), 7);
}

#[test]
fn an_ordinary_user_sees_two_sites_in_all_five_scenarios() {
    let outcomes = whole_demo(&["demo", "--sites", "--json"]);
    let names: Vec<&str> = outcomes.iter().filter_map(|it| it["scenario"].as_str()).collect();
    let all = ["all-up", "site-down", "link-lost", "server-down", "site-and-server-down"];
    assert_eq!(names, all);
    for outcome in outcomes.iter().filter(|it| it["scenario"] != "site-and-server-down") {
        assert!(outcome["to"].is_string(), "somebody serves: {outcome:#}");
    }
}

#[test]
fn the_demo_ends_cleanly_when_it_is_asked_to() {
    use nix::sys::signal::{Signal, kill};
    use std::io::Read;
    let output = as_nobody(|command| {
        let mut child = command
            .arg("demo")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        // the first word means that there is something to clean up
        let mut first = [0];
        child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a word");
        let pid = i32::try_from(child.id()).expect("a number");
        kill(nix::unistd::Pid::from_raw(pid), Signal::SIGINT).expect("sent");
        child.wait_with_output().expect("ended")
    });
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Nothing is left behind"));
}
