//! The running cluster goes from the version before to this one and back, node by node, as the book
//! says (`docs/how-to/upgrade.md`), and no client sees a gap.
//!
//! Both versions really run: `tests/former.toml` names the one before, `tests/former` builds it. So
//! whatever changes between them in heartbeats, in the connections between daemons, in the words
//! between guard and daemon, in the log and the state on disk, or in the notes about programs, is
//! tried here.

use std::fs;
use std::path::{Path, PathBuf};

use stead::demo::fleet::{Client, Fleet, Part, Plan, ServicePlan};

use super::server::{Server, wait_voters};
use super::*;

const NODES: [&str; 3] = ["node1", "node2", "node3"];

/// The program of the version before.
fn former() -> PathBuf {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/former.toml");
    let table: toml::Table = fs::read_to_string(list).must().parse().must();
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let (tag, commit) = (text("tag"), text("commit"));
    let stead = stead();
    let target = stead.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let program = target.join("former").join(commit).join("stead");
    assert!(
        program.exists(),
        "the version before ({tag}) is not built, so the upgrade from it can't be tested; type:  \
         tests/former  ({} is missing)",
        program.display()
    );
    program
}

/// A cluster whose nodes have a program of their own each, and a client of its service.
struct Trial {
    fleet: Fleet,
    client: Client,
    /// Where the nodes' programs are installed. Removed after the fleet has ended.
    folder: tempfile::TempDir,
}

impl Trial {
    /// All nodes begin with the version before; node1 serves.
    fn begin(name: &str) -> Self {
        Self::of(name, |_| {})
    }

    /// The same with another service.
    fn of(name: &str, alter: impl FnOnce(&mut ServicePlan)) -> Self {
        let folder = tempfile::tempdir().must();
        let mut service = web("web", WEB, &["node1"]);
        alter(&mut service);
        let mut plan = Plan::of(name, &former(), 3).service(service);
        for node in &mut plan.nodes {
            let installed = folder.path().join(&node.name);
            install(&former(), &installed);
            node.program = Some(installed);
        }
        let fleet = Fleet::start(plan).must();
        let client = client(&fleet, WEB);
        wait_preferred(&fleet, &client, "node1");
        Self { fleet, client, folder }
    }

    fn install(&self, node: &str, program: &Path) {
        install(program, &self.folder.path().join(node));
    }

    /// `systemctl restart` with these units. The guard is ordered behind the daemon: it ends first
    /// and starts last.
    fn restart(&self, node: &str, parts: &[Part]) {
        let both = [Part::Daemon, Part::Guard];
        for part in both.iter().rev().filter(|part| parts.contains(part)) {
            self.fleet.stop_part(node, *part).must();
        }
        for part in both.iter().filter(|part| parts.contains(part)) {
            self.fleet.start_part(node, *part).must();
        }
        wait_for(&self.fleet, "the node is back", || {
            let status = self.fleet.node(node)?.status()?;
            Ok(status["cluster"]["coordinator"].is_string())
        });
    }

    /// One node gets a version, step by step as in the book.
    fn replace(&self, node: &str, program: &Path) {
        let Self { fleet, client, .. } = self;
        let by = NODES.iter().find(|other| **other != node).expect("another node");
        let operator = fleet.node(by).must();
        whole(fleet);
        self.install(node, program);
        operator.stead(&["standby", node]).must().expect_success().must();
        wait_for(fleet, "the node serves nothing", || Ok(client.holders() != [node]));
        client.wait_served(fleet).must();
        self.restart(node, &[Part::Guard, Part::Daemon]);
        operator.stead(&["standby", node, "--off"]).must().expect_success().must();
        whole(fleet);
        self.assert_runs(node, Part::Guard, program);
        self.assert_runs(node, Part::Daemon, program);
        // This version asks for a change, whoever coordinates, and serves in its turn.
        let its_own = fleet.node(node).must();
        its_own.stead(&["move", "web", node]).must().expect_success().must();
        wait_for(fleet, "it answers there", || Ok(client.holders() == [node]));
        whole(fleet);
        self.wait_all_talk();
    }

    /// The part of the node is this program and no other.
    fn assert_runs(&self, node: &str, part: Part, program: &Path) {
        let process = self.fleet.process(node, part).must();
        let running = fs::read(format!("/proc/{}/exe", process.pid())).must();
        let same = running == fs::read(program).must();
        assert!(same, "the {} of {node} is not {}", part.name(), program.display());
    }

    /// All guards hear each other, and the coordinator has a live connection to every other daemon.
    fn wait_all_talk(&self) {
        for node in self.fleet.nodes() {
            wait_for(&self.fleet, &format!("{} talks to all others", node.name()), || {
                let status = node.status()?;
                let follows = status["cluster"]["coordinator"] != node.name();
                let all = status["nodes"].as_array().cloned().unwrap_or_default();
                let mut others = all.iter().filter(|it| it["name"] != node.name());
                let talks = |it: &Value| follows || it["version"].is_string();
                Ok(others.all(|it| it["hears_us"] == true && talks(it)))
            });
        }
    }
}

/// Puts a program in place as a package does: beside the old one, then over its name.
fn install(program: &Path, place: &Path) {
    let beside = place.with_extension("new");
    fs::copy(program, &beside).must();
    fs::rename(&beside, place).must();
}

/// What every version must find again: who the cluster is, what was committed, what happened.
fn memory(fleet: &Fleet, node: &str) -> (Vec<Value>, u64, Vec<String>) {
    let node = fleet.node(node).must();
    let cluster = node.status().must()["cluster"].clone();
    let kept = ["name", "id", "revision"].map(|key| cluster[key].clone()).to_vec();
    (kept, cluster["incidents"].as_u64().unwrap_or_default(), node.events().must())
}

#[test]
fn a_cluster_is_upgraded_node_by_node_and_back_without_a_gap() {
    let trial = Trial::begin("upgrade");
    let (fleet, client) = (&trial.fleet, &trial.client);
    let before = NODES.map(|node| memory(fleet, node));
    let began = mark();
    let first = coordinator(fleet, "node1");
    let mut order = NODES;
    // The coordinator last.
    order.sort_by_key(|name| *name == first);

    trial.replace(order[0], &stead());
    trial.replace(order[1], &stead());
    // Two of three are new. One thinks better of it, and of that again.
    trial.replace(order[0], &former());
    trial.replace(order[0], &stead());
    // Its end lets a new version coordinate, with an old log behind it.
    trial.replace(order[2], &stead());
    // All are new, and one goes back: the old version has to understand what the new one wrote.
    let next = coordinator(fleet, "node1");
    let back = NODES.into_iter().find(|name| *name != next).expect("one that doesn't coordinate");
    trial.replace(back, &former());

    for (node, (kept, incidents, events)) in NODES.into_iter().zip(before) {
        let (now_kept, now_incidents, now_events) = memory(fleet, node);
        assert_eq!(now_kept, kept, "{node}");
        assert!(now_incidents >= incidents, "{node}: {now_incidents} after {incidents}");
        assert_eq!(now_events[..events.len()], events, "{node}");
    }
    assert_untouched(client.seen_since(began));
}

/// What a release's notes may allow: the guard stays, with all its leases, and so do the programs.
#[test]
fn a_daemon_alone_is_replaced_and_keeps_the_programs_of_the_other_version() {
    let trial = Trial::begin("daemons-alone");
    let (fleet, client) = (&trial.fleet, &trial.client);
    let program = web_programs(fleet, "node1");
    assert_eq!(program.len(), 1);
    let began = mark();
    for version in [stead(), former(), stead()] {
        for node in NODES {
            trial.install(node, &version);
            trial.restart(node, &[Part::Daemon]);
            whole(fleet);
            trial.assert_runs(node, Part::Daemon, &version);
            trial.assert_runs(node, Part::Guard, &former());
        }
        trial.wait_all_talk();
    }
    assert_eq!(web_programs(fleet, "node1"), program, "the program was not started again");
    assert_eq!(client.holders(), ["node1"]);
    assert_untouched(client.seen_since(began));
}

/// Two nodes of the version before, where the survivor of a failure stops, become two where it goes
/// on: upgraded first, then enrolled.
#[test]
fn two_nodes_of_the_version_before_are_given_a_quorum_server() {
    let folder = tempfile::tempdir().must();
    let mut plan = Plan::of("late-server", &stead(), 2).service(web("web", WEB, &["node1"]));
    for node in &mut plan.nodes {
        let installed = folder.path().join(&node.name);
        install(&former(), &installed);
        node.program = Some(installed);
    }
    let fleet = Fleet::build(plan, Default::default()).must();
    fleet.found().must();
    fleet.join_all().must();
    let both_vote = || {
        wait_for(&fleet, "both vote and are here", || {
            let quorum = fleet.node("node1")?.status()?["quorum"].clone();
            Ok(quorum["voters"] == 2 && quorum["present"] == 2)
        });
    };
    both_vote();
    fleet.serve().must();
    let client = client(&fleet, WEB);
    let began = mark();
    for node in ["node2", "node1"] {
        install(&stead(), &folder.path().join(node));
        for part in [Part::Daemon, Part::Guard] {
            fleet.stop_part(node, part).must();
        }
        for part in [Part::Guard, Part::Daemon] {
            fleet.start_part(node, part).must();
        }
        both_vote();
    }
    client.wait_served(&fleet).must();
    let server = Server::start(&fleet);
    server.enrol("node1");
    whole(&fleet);
    let holder = client.answered_by().unwrap_or_default();
    fleet.silence_then_kill(&holder).must();
    let by = wait_moved(&fleet, &client, &holder);
    fleet.power_on(&holder).must();
    whole(&fleet);
    wait_voters(&fleet, &by, 2);
    assert_alone(client.seen_since(began));
}

/// A service of several resources goes through all of it, as one with a program does.
#[test]
fn a_service_of_resources_is_upgraded_node_by_node_without_a_gap() {
    let trial = Trial::of("upgrade-resources", |service| {
        let parts = std::mem::take(&mut service.program);
        let monitor = std::mem::take(&mut service.monitor);
        service.resources = format!(
            "[[services.web.resources]]\nname = \"data\"\nprogram = [\"/bin/sleep\", \"98765\"]\n\
             [[services.web.resources]]\nname = \"front\"\nprogram = {parts:?}\n\
             monitor = {monitor:?}\n",
        );
    });
    let (fleet, client) = (&trial.fleet, &trial.client);
    let began = mark();
    for node in ["node3", "node2", "node1"] {
        trial.replace(node, &stead());
    }
    let status = fleet.node("node1").must().status().must();
    let parts = service(&status, "web")["resources"].as_array().cloned().unwrap_or_default();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_untouched(client.seen_since(began));
}

/// What is new waits until every member can read it, and then works.
#[test]
fn layers_wait_for_the_last_member_of_the_version_before() {
    let trial = Trial::begin("late-layers");
    let (fleet, client) = (&trial.fleet, &trial.client);
    let wanted = fleet.plan().configuration() + "\n[redirect]\ndocuments = 7420\n";
    let holder = client.holders().concat();
    let began = mark();
    let others: Vec<_> = NODES.into_iter().filter(|node| *node != "node1").collect();
    for node in &others {
        trial.replace(node, &stead());
    }
    let refused = fleet.apply("node2", &wanted).expect_err("node1 could not read it").to_string();
    assert!(
        refused.contains("new in stead 0.8") && refused.contains("node1 runs stead 0.7"),
        "{refused}"
    );
    trial.replace("node1", &stead());
    fleet.apply("node1", &wanted).must();
    wait_for(fleet, "another node has the document that its holder signed", || {
        let web = service(&fleet.node(&holder)?.status()?, "web");
        let layers = web["layers"].as_array().cloned().unwrap_or_default();
        let told = layers.iter().find(|it| it["layer"] == "knowledge");
        Ok(told.is_some_and(|it| it["seen-by"].is_string()))
    });
    assert_untouched(client.seen_since(began));
}
