//! What operators do with services and nodes, and services that need each other, on real clusters.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::demo::fleet::{Client, Fleet, Plan, ServicePlan, WEB_PORT};

use super::{
    API, Must, WEB, address, assert_alone, client, mark, service, stead, three, told, wait_for,
    wait_moved, web, web_programs, whole,
};

/// What a command of stead prints that works.
fn says(fleet: &Fleet, node: &str, words: &[&str]) -> String {
    fleet.node(node).must().stead(words).must().expect_success().must()
}

/// What one says that is refused.
#[track_caller]
fn refused(fleet: &Fleet, node: &str, words: &[&str]) -> String {
    let output = fleet.node(node).must().stead(words).must();
    output.expect_success().expect_err("it is refused").to_string()
}

/// A web service that is asked over HTTP, writes down when it comes and goes, and may need another.
fn plan(name: &str, octet: u8, node: &str, needs: &str, folder: &Path) -> ServicePlan {
    let mut service = web(name, octet, &[node]);
    service.monitor = Vec::new();
    let story = folder.join("story");
    let hook = format!("echo $STEAD_HOOK $STEAD_SERVICE $STEAD_CAUSE >> {}", story.display());
    service.resources = format!(
        "monitor = {{ http = \"http://{}:{WEB_PORT}/\", interval = \"200ms\" }}\n{needs}\n\
         hooks = {{ takeover = [\"/bin/sh\", \"-c\", {hook:?}], release = [\"/bin/sh\", \"-c\", \
         {hook:?}] }}\n",
        address(octet)
    );
    service
}

fn story(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("story")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the hooks have written down just this.
fn wait_story(fleet: &Fleet, folder: &Path, wanted: &[&str]) {
    wait_for(fleet, &format!("hooks said {wanted:?}"), || Ok(story(folder) == wanted));
}

#[test]
fn services_are_stopped_left_alone_and_drained_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let needs = "needs = [\"db\"]\nimportance = 90";
    let plan = three("verbs").service(plan("db", API, "node2", "", folder.path())).service(plan(
        "web",
        WEB,
        "node2",
        needs,
        folder.path(),
    ));
    let fleet = Fleet::start(plan).must();
    let (web, db) = (client(&fleet, WEB), client(&fleet, API));
    wait_story(&fleet, folder.path(), &["takeover db first", "takeover web first"]);
    let holder = web.answered_by().expect("it was answered");
    wait_for(&fleet, "the answer is measured", || {
        let status = fleet.node(&holder)?.status()?;
        Ok(service(&status, "web")["answer_ms"].as_f64().is_some())
    });

    let began = mark();
    stopped_in_order(&fleet, folder.path(), &web, &db);
    left_alone(&fleet, &web);
    drained(&fleet, &web, &db);
    for node in ["node1", "node2", "node3"] {
        says(&fleet, "node1", &["standby", node, "--off"]);
    }
    whole(&fleet);
    assert_alone(web.seen_since(began));
    assert_alone(db.seen_since(began));
}

fn stopped_in_order(fleet: &Fleet, folder: &Path, web: &Client, db: &Client) {
    // Stopped, in order, and started in the opposite one.
    let no = refused(fleet, "node1", &["stop", "db"]);
    assert!(no.contains("web needs db") && no.contains("stead stop db web"), "{no}");
    says(fleet, "node1", &["stop", "db", "web"]);
    wait_for(fleet, "nobody answers", || Ok(web.holders().is_empty() && db.holders().is_empty()));
    wait_story(
        fleet,
        folder,
        &["takeover db first", "takeover web first", "release web planned", "release db planned"],
    );
    let no = refused(fleet, "node3", &["start", "web"]);
    assert!(no.contains("web needs db, which is stopped"), "{no}");
    let status = says(fleet, "node3", &["status"]);
    assert!(status.contains("web is stopped by an operator: it runs nowhere"), "{status}");
    fs::remove_file(folder.join("story")).expect("removed");
    says(fleet, "node3", &["start", "web", "db"]);
    web.wait_served(fleet).must();
    wait_story(fleet, folder, &["takeover db planned", "takeover web planned"]);
}

fn left_alone(fleet: &Fleet, web: &Client) {
    // Left alone: its program is killed, and nobody touches anything.
    let holder = web.answered_by().expect("it was answered");
    let said = says(fleet, "node1", &["maintenance", "web", "--reason", "upgrade by hand"]);
    assert!(said.contains("left as it is"), "{said}");
    wait_for(fleet, "its node knows", || {
        let status = fleet.node(&holder)?.status()?;
        Ok(service(&status, "web")["maintenance"]["reason"] == "upgrade by hand")
    });
    let dbs = web_programs(fleet, &holder).len();
    kill_of(fleet, &holder, "web");
    wait_for(fleet, "its end is told", || told(fleet, &holder, "web ended by itself"));
    let gone = web_programs(fleet, &holder).len();
    assert_eq!(gone + 1, dbs, "nobody started it again");
    let status = fleet.node(&holder).must().status().must();
    let first = status["problems"][0]["what"].as_str().unwrap_or_default();
    assert!(first.starts_with("Maintenance of web, begun on node1"), "{first}");
    assert!(first.contains("upgrade by hand"), "{first}");
    let no = refused(fleet, "node2", &["move", "web", "node1"]);
    assert!(no.contains("is in maintenance"), "{no}");
    assert_eq!(service(&status, "web")["node"].as_str(), Some(holder.as_str()), "{status:#}");
    assert_eq!(web_programs(fleet, &holder).len(), gone, "nor did anybody meanwhile");
    says(fleet, "node2", &["maintenance", "web", "--off"]);
    wait_for(fleet, "it is back where it was", || {
        Ok(web.answered_by().as_deref() == Some(holder.as_str())
            && web_programs(fleet, &holder).len() == dbs)
    });
    web.wait_served(fleet).must();
    let status = fleet.node(&holder).must().status().must();
    assert_eq!(service(&status, "web")["failures"], serde_json::json!({}), "it has not failed");
}

fn drained(fleet: &Fleet, web: &Client, db: &Client) {
    let holder = web.answered_by().expect("it was answered");
    // Drained: both leave, and where nobody else may take them they stay, with the reason.
    let said = says(fleet, "node1", &["drain", &holder]);
    assert!(said.contains(&format!("Nothing is served by {holder} any more")), "{said}");
    let next = wait_moved(fleet, web, &holder);
    for node in ["node1", "node2", "node3"].into_iter().filter(|it| *it != next) {
        says(fleet, &next, &["standby", node]);
    }
    wait_for(fleet, "all is there", || {
        Ok(web.holders() == [next.as_str()] && db.holders() == [next.as_str()])
    });
    let output = fleet.node(&next).must().stead(&["drain", &next]).must();
    let (said, failed) = (output.stdout.clone(), output.expect_success().is_err());
    assert!(failed && said.contains(&format!("web stays on {next}")), "{said}");
    assert!(said.contains("is on standby"), "{said}");
}

/// Kills the program of one of the web services of a node: that which its address names.
fn kill_of(fleet: &Fleet, node: &str, name: &str) {
    let variable = format!("STEAD_SERVICE={name}");
    for pid in web_programs(fleet, node) {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|it| it == variable.as_bytes()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[test]
fn one_machine_alone_runs_services_that_need_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::of("alone", &stead(), 1)
        .service(plan("db", API, "node1", "", folder.path()))
        .service(plan("web", WEB, "node1", "needs = [\"db\"]", folder.path()));
    // Never protected, as it is the only one: that is not waited for.
    let fleet = Fleet::build(plan, Default::default()).must();
    fleet.found().must();
    fleet.serve().must();
    let (web, db) = (client(&fleet, WEB), client(&fleet, API));
    wait_story(&fleet, folder.path(), &["takeover db first", "takeover web first"]);
    // What it needs fails: that begins again, and it goes on.
    let programs = web_programs(&fleet, "node1");
    kill_of(&fleet, "node1", "db");
    wait_for(&fleet, "it begins again", || {
        let now = web_programs(&fleet, "node1");
        Ok(now.len() == 2 && now != programs)
    });
    db.wait_served(&fleet).must();
    wait_for(&fleet, "its hook is run", || {
        Ok(story(folder.path()).last().map(String::as_str) == Some("takeover db failed"))
    });
    says(&fleet, "node1", &["stop", "--all", "--yes"]);
    wait_for(&fleet, "nobody answers", || Ok(web.holders().is_empty() && db.holders().is_empty()));
    let told = story(folder.path());
    assert_eq!(told[told.len() - 2..], ["release web planned", "release db planned"]);
    says(&fleet, "node1", &["start", "--all"]);
    web.wait_served(&fleet).must();
    let screen = says(&fleet, "node1", &["status", "--verbose"]);
    assert!(screen.contains("it answers wrongly or not at all: within"), "{screen}");
}
