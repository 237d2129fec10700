//! A cluster of two machines and a third node beside them, founded as an operator does it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::{Family, Plan, ServicePlan, client_address};
use stead_lab::prober::{DoubleProber, Prober, Question, Target, now};
use stead_lab::vm::{Machine, MachineSpec};
use stead_lab::{Bed, Host, LinkSpec, Process, Waited, wait_until};

use super::made::{
    LANS, MACHINES, PLANNED, STORAGE_OCTET, THIRD, link, mac, node_spec, power_of, switch_of,
};
use super::{PATIENCE, PROGRAM, RIDE_OUT, ROUND_TRIP};
use crate::cluster::{Must, service, stead};

/// What switches power.
const FENCE: &[u8] = include_bytes!("../../../../contrib/fence-qmp");

/// How often a client asks, and how often each machine is asked whether it has the address. A guest
/// that has to answer more often has no time for anything else.
const HTTP: Duration = Duration::from_millis(50);
const ECHO: Duration = Duration::from_millis(10);
/// How much of what a node printed is shown when a test fails.
const LAST_WORDS: usize = 40;
/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The cluster, and a client that asks `web` all the time.
pub struct Cluster {
    pub http: Prober,
    pub double: DoubleProber,
    // The order matters: with the bed all machines end, then their folder goes.
    bed: Bed,
    machines: Vec<Machine>,
    _storage: Option<Machine>,
    third: Host,
    daemon: Mutex<Option<Process>>,
    client: Host,
    plan: Plan,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Founds it with these services and waits until a machine answers for the address of `web`.
    /// `shape` says what a machine has besides.
    pub fn begin(
        name: &str,
        services: Vec<ServicePlan>,
        shape: impl Fn(&str, MachineSpec) -> MachineSpec,
    ) -> Self {
        Self::begin_beside(name, None, services, shape)
    }

    /// The same beside a machine that is no node: a storage, at [`super::made::STORAGE`].
    pub fn begin_beside(
        name: &str,
        storage: Option<MachineSpec>,
        services: Vec<ServicePlan>,
        shape: impl Fn(&str, MachineSpec) -> MachineSpec,
    ) -> Self {
        let folder = tempfile::tempdir().must();
        let bed = Bed::new(name).must();
        let switches = LANS.map(|lan| bed.switch(lan).must());
        let client = bed.host("client").must();
        let third = bed.host(THIRD).must();
        bed.connect(&client, &switches[0], link(0, 250)).must();
        for (at, switch) in (0..).zip(&switches) {
            bed.connect(&third, switch, link(at, 3)).must();
        }
        let storage = storage.map(|spec| {
            let place = folder.path().join("storage");
            fs::create_dir(&place).must();
            let spec = spec.cable(&switches[0], link(0, STORAGE_OCTET));
            bed.machine("storage", spec, &place).must()
        });
        storage.iter().for_each(|machine| machine.power_on().must());
        let mut machines = Vec::new();
        let fence = folder.path().join("fence-qmp");
        fs::write(&fence, FENCE).must();
        fs::set_permissions(&fence, fs::Permissions::from_mode(0o755)).must();
        for (node, octet) in MACHINES.into_iter().zip(1..) {
            let mut spec = node_spec(&folder.path().join(format!("{node}.disk")));
            spec = spec.file(&fence.display().to_string(), 0o755, FENCE);
            for (at, switch) in (0..).zip(&switches) {
                spec = spec.cable(switch, link(at, octet));
            }
            let (board, spec) = (switch_of(octet), shape(node, spec));
            let place = folder.path().join(node);
            fs::create_dir(&place).must();
            let machine = bed.machine(node, spec.power_switch(board), &place).must();
            let cable = LinkSpec::new("board").addr(board.ip(), 24);
            bed.connect(machine.host(), &switches[PLANNED], cable).must();
            machines.push(machine);
        }
        machines.iter().for_each(|machine| machine.power_on().must());
        let web = services.first().and_then(|it| it.addresses.first());
        let web = web.and_then(|it| it.split('/').next()).expect("a service with an address");
        let web: IpAddr = web.parse().must();
        let http = Target { interval: HTTP, ..target(web) };
        let http = Prober::http(&client, http).must();
        let from = (LANS[0], client_address(Family::V4));
        let macs: Vec<_> =
            MACHINES.into_iter().zip(1..).map(|(node, n)| (node.to_owned(), mac(0, n))).collect();
        let double = DoubleProber::start(&client, from, web, &macs, ECHO, Question::Echo).must();
        let mut cluster = Self {
            http,
            double,
            bed,
            machines,
            _storage: storage,
            third,
            daemon: Mutex::default(),
            client,
            plan: plan(name),
            folder,
        };
        cluster.found();
        cluster.plan.services = services;
        cluster.apply(&cluster.plan.configuration());
        cluster.wait("a machine serves", || cluster.holders().len() == 1);
        cluster
    }

    /// What an operator types (docs/how-to/first-cluster.md), and the third node votes only.
    fn found(&self) {
        let root = self.folder.path().join(THIRD);
        for name in ["etc", "state", "run"] {
            fs::create_dir_all(root.join(name)).must();
        }
        fs::write(root.join("etc/cluster.toml"), self.plan.configuration()).must();
        self.good(THIRD, &["init", "--node", THIRD]);
        self.third.spawn(self.command(&["guard"]), &root.join("guard.log")).must();
        self.start_daemon();
        self.wait("node3 coordinates", || self.status(THIRD)["cluster"]["coordinator"] == THIRD);
        std::thread::scope(|scope| {
            for node in MACHINES {
                scope.spawn(move || self.join(node));
            }
        });
        self.wait_in_view(&["node1", "node2", THIRD]);
        self.good(THIRD, &["standby", THIRD]);
    }

    fn start_daemon(&self) {
        let log = self.folder.path().join(THIRD).join("daemon.log");
        let process = self.third.spawn(self.command(&["daemon"]), &log).must();
        *self.daemon.lock().expect("whole") = Some(process);
    }

    /// Has a machine coordinate: the third node's daemon is away for a moment. Which of them it is.
    pub fn have_a_machine_coordinate(&self) -> &'static str {
        let by = |node: &str| {
            let status = self.status(node);
            MACHINES.into_iter().find(|it| status["cluster"]["coordinator"] == *it)
        };
        let daemon = self.daemon.lock().expect("whole").take();
        daemon.iter().for_each(|process| process.kill().must());
        self.wait("a machine coordinates", || by("node1").is_some());
        self.start_daemon();
        self.wait_in_view(&["node1", "node2", THIRD]);
        let mut found = None;
        self.wait("a machine still coordinates", || {
            found = by(THIRD);
            found.is_some()
        });
        found.expect("a machine coordinates")
    }

    fn join(&self, node: &str) {
        let answer = self.good(THIRD, &["token", node, "--json"]);
        let answer: Value = serde_json::from_str(&answer).must();
        let [address, token] = [&answer["addresses"][0], &answer["token"]]
            .map(|it| it.as_str().expect("a text").to_owned());
        self.machine(node).wait_up(PATIENCE).must();
        // A member that did not answer in time changed nothing, and the token is good.
        self.wait(&format!("{node} joins"), || {
            self.typed(node, &["join", &address, &token]).status == 0
        });
    }

    /// The machine that is this node.
    pub fn machine(&self, node: &str) -> &Machine {
        self.machines.iter().find(|it| it.name() == node).expect("a machine")
    }

    fn command(&self, words: &[&str]) -> Command {
        let root = self.folder.path().join(THIRD);
        let mut command = Command::new(stead());
        for name in ["etc", "state", "run"] {
            command.arg(format!("--{name}")).arg(root.join(name));
        }
        command.args(words);
        command
    }

    /// A command of stead on a node, whatever becomes of it.
    pub fn typed(&self, node: &str, words: &[&str]) -> Said {
        if node == THIRD {
            let done = self.third.run(|| self.command(words).output()).must().must();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let status = done.status.code().unwrap_or(-1);
            return Said { status, stdout: text(&done.stdout), stderr: text(&done.stderr) };
        }
        let quoted = words.iter().map(|word| format!(" '{}'", word.replace('\'', r"'\''")));
        self.shell(node, &format!("{PROGRAM}{}", quoted.collect::<String>()))
    }

    /// A command of stead on a node that ends well; what it printed.
    #[track_caller]
    pub fn good(&self, node: &str, words: &[&str]) -> String {
        let said = self.typed(node, words);
        assert_eq!(said.status, 0, "stead {words:?} on {node}: {said:?}");
        said.stdout
    }

    /// A script in a guest, whatever becomes of it. While a guest does not answer there is none.
    pub fn shell(&self, node: &str, script: &str) -> Said {
        match self.machine(node).run(script, PATIENCE) {
            Ok(it) => Said { status: it.status, stdout: it.stdout, stderr: it.stderr },
            Err(error) => Said { status: -1, stdout: String::new(), stderr: error.to_string() },
        }
    }

    /// `stead status --json` of a node; null if it does not answer.
    pub fn status(&self, node: &str) -> Value {
        let said = self.typed(node, &["status", "--json"]);
        serde_json::from_str(&said.stdout).unwrap_or_default()
    }

    /// What the third node reports of a service.
    pub fn service(&self, name: &str) -> Value {
        service(&self.status(THIRD), name)
    }

    /// Makes a configuration the one in force.
    #[track_caller]
    pub fn apply(&self, text: &str) {
        fs::write(self.folder.path().join(THIRD).join("etc/cluster.toml"), text).must();
        self.good(THIRD, &["apply", "--yes"]);
    }

    /// Adds lines to the table of each machine, and tables behind all that there is.
    pub fn configure(&self, lines: impl Fn(&str) -> String, tables: &str) {
        let mut text = self.plan.configuration();
        for node in MACHINES {
            let head = format!("\n[nodes.{node}]\n");
            assert!(text.contains(&head), "{text}");
            text = text.replace(&head, &format!("{head}{}", lines(node)));
        }
        self.apply(&(text + tables));
    }

    /// Runs a program where the client is.
    pub fn by_client(&self, command: &mut Command) -> std::process::Output {
        self.client.run(|| command.output()).must().must()
    }

    /// Cuts all cables of a machine.
    pub fn cut(&self, node: &str) {
        self.bed.cut(self.machine(node).host()).must();
    }

    /// Mends all cables of a machine.
    pub fn heal(&self, node: &str) {
        self.bed.heal(self.machine(node).host()).must();
    }

    /// What switches power, at the same place on every node.
    pub fn fence_program(&self) -> String {
        self.folder.path().join("fence-qmp").display().to_string()
    }

    /// Has the fence device of a machine do something, on another one.
    pub fn fence(&self, by: &str, action: &str, node: &str) -> Said {
        let (plug, program) = (power_of(node), self.fence_program());
        let words = format!("STEAD_FENCE_ACTION={action} STEAD_FENCE_PLUG={plug} {program}");
        self.shell(by, &words)
    }

    /// Which machines answer for the address of `web`.
    pub fn holders(&self) -> Vec<String> {
        self.double.holders(Duration::from_millis(200))
    }

    /// Waits for a condition; a panic if it is in vain.
    #[track_caller]
    pub fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let holds = || Ok::<_, std::convert::Infallible>(holds());
        match wait_until(&AtomicBool::new(false), PATIENCE, holds) {
            Waited::Held => {}
            Waited::Stopped | Waited::Late(_) => panic!("in vain: {what}"),
        }
    }

    /// Waits until the third node has these, and no others, in its view.
    #[track_caller]
    pub fn wait_in_view(&self, nodes: &[&str]) {
        self.wait(&format!("{nodes:?} are together"), || {
            let status = self.status(THIRD);
            let list = status["nodes"].as_array().cloned().unwrap_or_default();
            let here = list.iter().filter(|node| node["state"] == "in-view");
            let mut here: Vec<_> = here.filter_map(|node| node["name"].as_str()).collect();
            here.sort_unstable();
            here == nodes
        });
    }

    /// Waits until this machine, and no other, answers for `web`, to clients too.
    #[track_caller]
    pub fn wait_served_by(&self, node: &str) {
        self.wait(&format!("{node} serves, and nobody else"), || {
            self.holders() == [node] && self.http.node_now().as_deref() == Some(node)
        });
        let answers = self.http.answers();
        self.wait("a client is answered", || self.http.answers() > answers);
    }

    /// Has `web` served by that machine.
    #[track_caller]
    pub fn bring(&self, node: &str) {
        if self.holders() != [node] {
            self.good(THIRD, &["move", "web", node]);
        }
        self.wait_served_by(node);
    }

    /// For how long after a moment a machine answered what it was asked after that moment.
    pub fn answered_for(&self, node: &str, since: u64) -> Duration {
        let last = self.double.last_answer(node, since).unwrap_or(since);
        Duration::from_micros(last.saturating_sub(since))
    }

    /// The node that a machine is knows its name and its cluster.
    pub fn identity(&self, node: &str) -> String {
        self.shell(node, "cat /var/lib/stead/node.json").stdout
    }

    /// What every node printed last.
    fn last_words(&self) {
        let mut all: Vec<(String, String)> = Vec::new();
        for machine in &self.machines {
            let state = machine.status().unwrap_or_else(|error| error.to_string());
            all.push((format!("{}: {state}", machine.name()), machine.console()));
            for part in ["guard", "daemon"] {
                all.push((format!("{part} of {}", machine.name()), machine.printed(part)));
            }
        }
        let root = self.folder.path().join(THIRD);
        for file in ["guard.log", "daemon.log"] {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            all.push((format!("{file} of {THIRD}"), text));
        }
        all.push((format!("events of {THIRD}"), self.typed(THIRD, &["events"]).stdout));
        for (title, text) in all {
            eprintln!("--- {title}");
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(LAST_WORDS);
            lines[from..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test failed at {}", now());
            self.last_words();
        }
    }
}

/// A cluster of three without services, and as slow as its guests.
fn plan(name: &str) -> Plan {
    let mut plan = Plan::of(name, &stead(), 3);
    plan.lans.truncate(PLANNED);
    plan.ride_out = Some(format!("{}ms", RIDE_OUT.as_millis()));
    plan.cluster = format!("round-trip = \"{}ms\"\n", ROUND_TRIP.as_millis());
    plan
}

fn target(web: IpAddr) -> Target {
    Target::every_millisecond(SocketAddr::new(web, stead::demo::fleet::WEB_PORT))
}
