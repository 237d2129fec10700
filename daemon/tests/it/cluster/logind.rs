//! What systemd-logind says, over a real dbus-daemon; by a stand-in for logind itself
//! (`tests/absent.toml`).

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::OFlag;
use serde_json::Value;
use stead::demo::fleet::{Client, Fleet, Part};
use zbus::object_server::{InterfaceRef, SignalEmitter};
use zbus::{connection, interface};

use super::{
    Must, WEB, address, assert_untouched, mark, three, told, wait_for, wait_moved, wait_preferred,
    web, whole,
};

const PATH: &str = "/org/freedesktop/login1";

/// As much of logind's manager as a daemon uses.
struct Manager {
    preparing: bool,
    /// Our ends of the delays that were taken: each ends when the other one is closed.
    delays: Arc<Mutex<Vec<OwnedFd>>>,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    fn inhibit(
        &self,
        what: &str,
        who: &str,
        _why: &str,
        mode: &str,
    ) -> zbus::fdo::Result<zbus::zvariant::OwnedFd> {
        assert_eq!((what, who, mode), ("shutdown:sleep", "stead", "delay"));
        let (ours, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC)
            .map_err(|it| zbus::fdo::Error::Failed(it.to_string()))?;
        self.delays.lock().unwrap().push(ours);
        Ok(theirs.into())
    }

    #[zbus(property)]
    fn preparing_for_shutdown(&self) -> bool {
        self.preparing
    }

    #[zbus(property, name = "InhibitDelayMaxUSec")]
    fn inhibit_delay_max(&self) -> u64 {
        5_000_000
    }

    #[zbus(signal)]
    async fn prepare_for_shutdown(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
}

/// A bus of its own with logind on it.
struct Logind {
    runtime: tokio::runtime::Runtime,
    manager: InterfaceRef<Manager>,
    delays: Arc<Mutex<Vec<OwnedFd>>>,
    bus: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Logind {
    fn start() -> Self {
        let folder = tempfile::tempdir().must();
        let socket = folder.path().join("bus");
        let bus = dbus_daemon(folder.path(), &socket);
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !socket.exists() {
            assert!(std::time::Instant::now() < deadline, "dbus-daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        let delays = Arc::new(Mutex::new(Vec::new()));
        let manager = Manager { preparing: false, delays: delays.clone() };
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().must();
        let address = format!("unix:path={}", socket.display());
        let manager = runtime.block_on(async {
            let builder = connection::Builder::address(address.as_str())?;
            let builder = builder.serve_at(PATH, manager)?.name("org.freedesktop.login1")?;
            builder.build().await?.object_server().interface(PATH).await
        });
        Self { runtime, manager: manager.must(), delays, bus, socket, _folder: folder }
    }

    /// What a daemon needs in its environment to find it, as a service of systemd has it.
    fn variables(&self) -> Vec<(String, String)> {
        let address = format!("unix:path={}", self.socket.display());
        let notify = self.socket.with_extension("notify").display().to_string();
        vec![("DBUS_SYSTEM_BUS_ADDRESS".to_owned(), address), ("NOTIFY_SOCKET".to_owned(), notify)]
    }

    fn says(&self, sleep: bool, start: bool) {
        let emitter = self.manager.signal_emitter();
        self.runtime.block_on(async {
            let mut manager = self.manager.get_mut().await;
            manager.preparing = start && !sleep;
            drop(manager);
            if sleep {
                Manager::prepare_for_sleep(emitter, start).await.must();
            } else {
                Manager::prepare_for_shutdown(emitter, start).await.must();
            }
        });
    }

    /// Waits until a delay is taken.
    fn delay(&self, fleet: &Fleet) -> OwnedFd {
        wait_for(fleet, "the daemon takes a delay", || Ok(!self.delays.lock().unwrap().is_empty()));
        self.delays.lock().unwrap().remove(0)
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        drop(self.bus.kill());
        drop(self.bus.wait());
    }
}

fn dbus_daemon(folder: &Path, socket: &Path) -> Child {
    let configuration = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>custom</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
         </policy></busconfig>",
        socket.display()
    );
    std::fs::write(&configuration, text).must();
    let mut command = Command::new("dbus-daemon");
    command.arg("--nofork").arg("--nopidfile");
    command.arg(format!("--config-file={}", configuration.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().must()
}

/// Three nodes with `web` on node1, whose daemon follows that logind.
fn following(name: &str, logind: &Logind) -> (Fleet, Client) {
    let mut plan = three(name).service(web("web", WEB, &["node1"]));
    plan.nodes[0].variables = logind.variables();
    let fleet = Fleet::start(plan).must();
    let client = Client::start(&fleet, address(WEB)).must();
    client.wait_served(&fleet).must();
    wait_preferred(&fleet, &client, "node1");
    (fleet, client)
}

/// The delay is over: the daemon has closed its end.
fn given_back(delay: OwnedFd) {
    let mut left = Vec::new();
    File::from(delay).read_to_end(&mut left).must();
    assert!(left.is_empty());
}

fn standby(status: &Value, node: usize) -> bool {
    status["nodes"][node]["standby"] == true
}

#[test]
fn a_machine_that_shuts_down_waits_until_its_services_have_moved() {
    let logind = Logind::start();
    let (fleet, client) = following("shutdown", &logind);
    let delay = logind.delay(&fleet);
    let began = mark();
    logind.says(false, true);
    given_back(delay);
    let status = fleet.node("node1").must().status().must();
    assert_ne!(super::service(&status, "web")["node"], "node1", "moved before the delay ended");
    assert!(told(&fleet, "node1", "the machine shuts down").must());
    // and then systemd stops the units, the guard first
    fleet.stop_part("node1", Part::Guard).must();
    fleet.stop_part("node1", Part::Daemon).must();
    wait_moved(&fleet, &client, "node1");
    assert_untouched(client.seen_since(began));
    logind.runtime.block_on(async { logind.manager.get_mut().await.preparing = false });
    fleet.start_node("node1").must();
    whole(&fleet);
    wait_for(&fleet, "it may serve again", || Ok(!standby(&fleet.node("node2")?.status()?, 0)));
}

#[test]
fn a_machine_that_slept_takes_part_again_and_waits_again_the_next_time() {
    let logind = Logind::start();
    let (fleet, client) = following("sleep", &logind);
    for _ in 0..2 {
        let delay = logind.delay(&fleet);
        let began = mark();
        logind.says(true, true);
        given_back(delay);
        wait_moved(&fleet, &client, "node1");
        logind.says(true, false);
        wait_for(&fleet, "it may serve again", || Ok(!standby(&fleet.node("node2")?.status()?, 0)));
        assert_untouched(client.seen_since(began));
        fleet.node("node2").must().stead(&["move", "web", "node1"]).must().expect_success().must();
        wait_for(&fleet, "it is back", || Ok(client.holders() == ["node1"]));
        client.wait_served(&fleet).must();
        whole(&fleet);
    }
}

#[test]
fn a_daemon_that_starts_while_the_machine_goes_down_goes_on_with_that() {
    let logind = Logind::start();
    let (fleet, client) = following("restart-down", &logind);
    drop(logind.delay(&fleet));
    logind.says(false, true);
    wait_moved(&fleet, &client, "node1");
    fleet.kill("node1", Part::Daemon).must();
    // it takes a delay anew, and gives it back as there is nothing left to move
    given_back(logind.delay(&fleet));
    assert!(standby(&fleet.node("node2").must().status().must(), 0));
    logind.says(false, false);
    wait_for(&fleet, "the shutdown was called off", || {
        Ok(!standby(&fleet.node("node2")?.status()?, 0))
    });
    whole(&fleet);
}
