//! Ways to run a program among resources: when it counts as started, as whom, how it is stopped.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use stead_core::state::config::{Agent, ProcessHow, Ready, ResourceConfig};
use stead_core::time::Span;

use super::bed::{BOTH, Bed, web};
use super::executor::{begin, resource};

fn run_as(name: &str, script: &str, how: ProcessHow) -> ResourceConfig {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    resource(name, &[], Agent::Process { command, monitor: None, how })
}

/// Waits until the program runs and has not counted as started.
async fn is_starting(bed: &mut Bed, name: &str, printed: &str) {
    let log = bed.run().join(format!("web.{name}.log"));
    bed.wait_for("it is being started", |bed| {
        let shown = bed.programs.pictures().get(&web()).cloned();
        let starting = shown.is_some_and(|it| it.resources[0].stage == "starting");
        starting && fs::read_to_string(&log).unwrap_or_default().contains(printed)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_ready_when_it_says_so_as_another_user() {
    let mut bed = Bed::new(BOTH[0]);
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bed.dir.path(), everybody).expect("set");
    let script = format!(
        "echo I am $(id -un) $USER at $HOME; systemd-notify --status=warming; \
         until [ -e {}/go ]; do sleep 0.02; done; systemd-notify --ready; exec sleep 600",
        bed.dir.path().display()
    );
    let user = Some("nobody".to_owned());
    let how = ProcessHow { ready: Ready::Notify, user, ..Default::default() };
    let resource = run_as("front", &script, how.clone());
    begin(&mut bed, 3, std::slice::from_ref(&resource));
    is_starting(&mut bed, "front", "I am nobody nobody at /nonexistent").await;
    fs::write(bed.path("go"), "").expect("written");
    assert_eq!(bed.told().await, "started 3");
    bed.stop(3);
    assert_eq!(bed.told().await, "stopped 3");

    // One that never says it, one that ends before, and one that can't be.
    let mut silent = run_as("front", "systemd-notify --status=warming; sleep 600", how.clone());
    (silent.restarts, silent.times.start) = (0, Some(Span::from_millis(500)));
    let mut ended = run_as("front", "exit 4", how.clone());
    ended.restarts = 0;
    let stranger = ProcessHow { user: Some("no-such-user".to_owned()), ..how };
    let stranger = run_as("front", "exit 4", stranger);
    for (epoch, resource, said) in [
        (4, silent, "front: it did not say that it is ready"),
        (5, ended, "front: it ended: exit status 4"),
        (6, stranger, "front: there is no user `no-such-user` here"),
    ] {
        begin(&mut bed, epoch, std::slice::from_ref(&resource));
        let told = bed.told().await;
        assert!(told.starts_with(&format!("not started {epoch}: {said}")), "{told}");
        bed.stop(epoch);
        assert_eq!(bed.told().await, format!("stopped {epoch}"));
    }
    bed.assert_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_ready_when_it_takes_connections_and_ends_by_its_signal() {
    let mut bed = Bed::new(BOTH[1]);
    // An address of its own, and no port that the kernel gives to anybody.
    let address: SocketAddr = "127.83.1.1:7383".parse().expect("an address");
    let script = format!(
        "trap 'echo told to end > {}; kill $!; exit 0' INT; trap 'exit 1' TERM; \
         echo began; sleep 600 & wait",
        bed.path("end").display()
    );
    let stop_signal = Some("SIGINT".to_owned());
    let how = ProcessHow { ready: Ready::Tcp(address), stop_signal, ..Default::default() };
    begin(&mut bed, 3, &[run_as("front", &script, how)]);
    is_starting(&mut bed, "front", "began").await;
    let listener = TcpListener::bind(address).expect("bound");
    assert_eq!(bed.told().await, "started 3");
    drop(listener);
    bed.stop(3);
    assert_eq!(bed.told().await, "stopped 3");
    assert_eq!(bed.read("end").await, "told to end\n");
    bed.assert_gone();
}
