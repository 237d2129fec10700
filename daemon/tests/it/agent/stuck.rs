//! What can't be stopped, and whose node boots itself anew for that. The kernel boots a process
//! namespace as it boots a machine: all that runs in it ends at once. So the node is one here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::libc::SIGHUP;
use stead_core::state::config::{Agent, Stuck};
use stead_core::time::Span;

use super::bed::{BOTH, Bed};
use super::executor::{begin, resource};

/// Set inside of the namespace, to the name of the one outside.
const OUTSIDE: &str = "STEAD_TEST_OUTSIDE";
const NAMESPACE: &str = "/proc/self/ns/pid";
const TEST: &str = "agent::stuck::a_node_boots_itself_anew_when_it_is_to_and_nothing_else_helps";

#[test]
fn a_node_boots_itself_anew_when_it_is_to_and_nothing_else_helps() {
    let namespace = fs::read_link(NAMESPACE).expect("it can be looked at");
    if let Some(outside) = std::env::var_os(OUTSIDE) {
        assert!(outside != namespace.as_os_str() && std::process::id() == 1, "not a machine");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(inside());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run = |stuck: &str| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--mount-proc", "--fork", "--kill-child"]);
        command.arg(std::env::current_exe().expect("known")).args([TEST, "--exact", "--nocapture"]);
        command.env(OUTSIDE, &namespace).env("TMPDIR", folder.path()).env("STUCK", stuck);
        command.status().expect("it can be run")
    };
    // The signal by which the kernel tells whoever waits that it was to boot anew: reboot(2).
    assert_eq!(run("reboot").signal(), Some(SIGHUP));
    for otherwise in ["wait", "kept"] {
        assert_eq!(run(otherwise).code(), Some(0), "{otherwise}");
    }
}

/// A mount that somebody uses whom its agent must not kill: this process.
async fn inside() {
    let mut bed = Bed::new(BOTH[1]);
    bed.programs.reboot_by(stead_linux::reboot::now);
    let at = bed.path("mount");
    fs::create_dir(&at).expect("made");
    let parameters = [
        ("device", "tmpfs"),
        ("directory", at.to_str().expect("a text")),
        ("fstype", "tmpfs"),
        ("force_unmount", "false"),
    ];
    let parameters: BTreeMap<_, _> =
        parameters.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let (provider, kind) = ("heartbeat".to_owned(), "Filesystem".to_owned());
    let mut mount = resource("mount", &[], Agent::Ocf { provider, kind, parameters });
    let stuck = std::env::var("STUCK").expect("it is set");
    let reboots = stuck == "reboot";
    // In maintenance, for one.
    bed.programs.may_boot(stuck != "kept");
    mount.times.stop = Some(Span::from_millis(2_000));
    mount.stuck = if stuck != "wait" { Stuck::Reboot } else { Stuck::Wait };
    begin(&mut bed, 3, &[mount]);
    assert_eq!(bed.told().await, "started 3");
    let used = File::create(at.join("used")).expect("it is mounted");
    bed.stop(3);
    bed.wait_for("it is stuck", |bed| stage(bed).as_deref() == Some("stuck")).await;
    if reboots {
        // Until the kernel ends this.
        std::future::pending::<()>().await;
    }
    assert!(at.join("used").exists(), "it goes on all the same");
    drop(used);
    assert_eq!(bed.told().await, "stopped 3");
}

/// Where the resource is.
fn stage(bed: &Bed) -> Option<String> {
    let pictures = bed.programs.pictures();
    let picture = pictures.values().next()?;
    Some(picture.resources.first()?.stage.clone())
}
