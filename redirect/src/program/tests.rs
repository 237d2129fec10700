//! Programs that do as they are told, fail, talk much, or do not end.

use super::*;

const PATIENCE: Duration = Duration::from_secs(120);

fn command(words: &[&str]) -> Command {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.try_into().expect("a command")
}

fn shell(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

#[tokio::test]
async fn it_is_told_and_its_end_counts() {
    let reads = shell("read line; test \"$line\" = hello && test \"$STEAD_KIND\" = moved");
    let environment = vec![("STEAD_KIND".into(), "moved".into())];
    run(&reads, environment, b"hello\n", PATIENCE).await.expect("it does as it is told");
    let fails = shell("echo first; echo 'last\x1b[1m' >&2; exit 3");
    let error = run(&fails, Vec::new(), b"", PATIENCE).await.expect_err("it fails").to_string();
    assert!(error.contains("ended with 3") && error.contains("first | last"), "{error}");
    assert!(!error.contains('\x1b'), "{error:?}");
    // It is told more than it reads, and says more than is kept.
    let talks = shell("yes | head -c 300000; kill -9 $$");
    let told = vec![b'x'; 300_000];
    let error = run(&talks, Vec::new(), &told, PATIENCE).await.expect_err("a signal").to_string();
    assert!(error.contains("signal 9"), "{error}");
    let none = command(&["/nowhere/program"]);
    let error = run(&none, Vec::new(), b"", PATIENCE).await.expect_err("nothing there");
    assert!(matches!(error, RunError::Process(_)), "{error:?}");
}

#[tokio::test]
async fn what_it_leaves_behind_lives_on_and_what_hangs_is_killed_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).expect("a number");
        text.trim().parse::<i32>().expect("a number")
    };
    let at = folder.path().display();
    let leaves = shell(&format!("sleep 1000 & echo $! > {at}/left"));
    run(&leaves, Vec::new(), b"", PATIENCE).await.expect("it ends by itself");
    let left = pid("left");
    let state = std::fs::read_to_string(format!("/proc/{left}/stat")).expect("it runs");
    assert!(!state.contains(" Z "), "{state}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), Signal::SIGKILL).expect("ours");

    let hangs = shell(&format!("sleep 1000 & echo $! > {at}/child; wait"));
    let within = Duration::from_secs(10);
    let error = run(&hangs, Vec::new(), b"", within).await.expect_err("it hangs");
    assert!(matches!(error, RunError::Late { .. }), "{error}");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid("child")));
    assert!(stat.is_err() || stat.is_ok_and(|stat| stat.contains(" Z ")), "its child is dead");
}

#[test]
fn a_command_has_a_whole_path_and_no_shell() {
    let refused = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Command::try_from(words).expect_err("no command")
    };
    assert_eq!(refused(&[]), CommandError::Empty);
    assert_eq!(refused(&["nginx", "-t"]), CommandError::Relative);
    assert_eq!(refused(&["/bin/a", "b\0"]), CommandError::Zero);
    let checks = command(&["/bin/{file}", "-c", "x={file}"]);
    assert_eq!(checks.with("{file}", "/a b").to_string(), "/bin/{file} -c x=/a b");
}
