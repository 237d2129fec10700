//! Module `exec` of the quorum's chain: a real etcd behind `contrib/quorum-etcd`, and programs that
//! do not keep their promise.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use stead::tie_breaker::exec::{ExecError, ask};
use stead_core::id::ClusterId;
use stead_core::quorum::ask::{Answer, Question};
use stead_core::state::config::ExecConfig;
use stead_core::time::Span;
use stead_lab::{Bed, Host, Process};

use crate::cluster::Must;
use crate::quorum_server::{ask as asks, cluster, granted, hear, refusal, trust};

const PATIENCE: Duration = Duration::from_secs(60);

/// An etcd on a host of its own.
struct Etcd {
    _lab: Bed,
    host: Host,
    folder: tempfile::TempDir,
}

impl Etcd {
    fn new() -> Self {
        let lab = Bed::new("etcd").must();
        let host = lab.host("etcd").must();
        let done = host.run(|| Command::new("ip").args(["link", "set", "lo", "up"]).status());
        assert!(done.must().expect("iproute2 is installed").success());
        Self { _lab: lab, host, folder: tempfile::tempdir().must() }
    }

    fn run(&self) -> Process {
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.folder.path().join("data"));
        command.args(["--listen-client-urls", CLIENT, "--advertise-client-urls", CLIENT]);
        command.args(["--listen-peer-urls", PEER, "--initial-advertise-peer-urls", PEER]);
        command.args(["--initial-cluster", &format!("default={PEER}")]);
        let process = self.host.spawn(command, &self.folder.path().join("log")).must();
        let deadline = Instant::now() + PATIENCE;
        while self.ask(cluster(200), &hear(0)).is_err() {
            assert!(Instant::now() < deadline, "etcd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        process
    }

    fn ask(&self, of: ClusterId, question: &Question) -> Result<Answer, ExecError> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/quorum-etcd");
        let exec = exec(&[script.to_str().expect("a path in UTF-8"), CLIENT], 5_000);
        self.host.run(|| block_on(ask(&exec, of, question))).must()
    }
}

const CLIENT: &str = "http://127.0.0.1:2379";
const PEER: &str = "http://127.0.0.1:2380";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn exec(command: &[&str], millis: u64) -> ExecConfig {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    ExecConfig { command, timeout: Span::from_millis(millis) }
}

#[test]
fn a_register_in_etcd_grants_one_half_and_survives_etcd() {
    let etcd = Etcd::new();
    let process = etcd.run();
    let of = cluster(1);
    // Nothing is kept yet: what was granted before is not known.
    let first = etcd.ask(of, &asks(0, &[1])).must();
    assert!(first.standing.distrusted.is_some(), "{first:?}");
    let trusted = etcd.ask(of, &trust(&first, 1)).must();
    assert_eq!(trusted.standing.distrusted, None);
    assert_eq!(granted(&etcd.ask(of, &asks(1, &[1])).must()), Some(2));
    let other = etcd.ask(of, &asks(1, &[2])).must();
    assert!(refusal(&other).contains("other half"), "{other:?}");
    // Another cluster has a register of its own.
    assert!(etcd.ask(cluster(2), &hear(0)).must().standing.distrusted.is_some());
    process.kill().must();
    assert!(etcd.ask(of, &asks(1, &[1])).is_err());
    let process = etcd.run();
    assert_eq!(granted(&etcd.ask(of, &asks(1, &[1])).must()), Some(2));
    assert_eq!(granted(&etcd.ask(of, &asks(1, &[2])).must()), None);
    process.kill().must();
}

#[test]
fn of_two_halves_that_ask_at_once_one_is_granted() {
    let etcd = Etcd::new();
    let process = etcd.run();
    for round in 0..5_u8 {
        let of = cluster(10 + round);
        let first = etcd.ask(of, &hear(0)).must();
        etcd.ask(of, &trust(&first, 0)).must();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let etcd = &etcd;
            let half = |node: u64| scope.spawn(move || etcd.ask(of, &asks(0, &[node])));
            [half(1), half(2)].map(|it| it.join().expect("it answers")).into()
        });
        let given = answers.iter().filter(|it| it.as_ref().is_ok_and(|it| granted(it).is_some()));
        assert_eq!(given.count(), 1, "{answers:?}");
    }
    process.kill().must();
}

/// A program with that text.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).must();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).must();
    path
}

fn try_one(text: &str, millis: u64) -> ExecError {
    let folder = tempfile::tempdir().must();
    let path = script(folder.path(), text);
    let exec = exec(&[path.to_str().expect("a path in UTF-8")], millis);
    block_on(ask(&exec, cluster(1), &hear(0))).expect_err("no answer")
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().must();
    let mark = folder.path().join("child");
    let text = format!("sleep 1000 & echo $! > {}; wait", mark.display());
    let error = try_one(&text, 500);
    assert!(matches!(error, ExecError::TooLate { .. }), "{error}");
    let child = std::fs::read_to_string(&mark).must();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z"))
    };
    let deadline = Instant::now() + PATIENCE;
    while alive() {
        assert!(Instant::now() < deadline, "its child lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whatever_else_a_program_does_is_no_answer() {
    let error = try_one("echo broken >&2; exit 3", 5_000);
    assert!(error.to_string().contains("broken"), "{error}");
    let error = try_one("[ $1 = get ] && echo something else", 5_000);
    assert!(matches!(error, ExecError::Unreadable(_)), "{error}");
    let error = try_one("[ $1 = get ] || exit 1", 5_000);
    assert!(matches!(error, ExecError::Contended), "{error}");
    let error = try_one("[ $1 = get ] || exit 4", 5_000);
    assert!(matches!(error, ExecError::Failed { .. }), "{error}");
    let missing = exec(&["/nonexistent/program"], 1_000);
    let error = block_on(ask(&missing, cluster(1), &hear(0))).expect_err("no answer");
    assert!(matches!(error, ExecError::Run { .. }), "{error}");
}
