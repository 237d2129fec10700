//! A real PostgreSQL on one node at a time, by Debian's agent: killed, hanging, kept from starting
//! and from stopping, and left behind by a node that is lost.
//!
//! All nodes have the same folder, as if it stood on a shared disk: whatever a former node left
//! there (a stale `postmaster.pid`) meets the next one.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use stead::demo::fleet::{Fleet, ServicePlan};

use super::{
    API, Must, WEB, address, client, daemon_said, send, service, three, told, wait_for, wait_moved,
    wait_preferred, web, whole,
};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const PORT: u16 = 5432;

/// Makes an empty database below the folder.
fn make(folder: &Path) -> PathBuf {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).must();
    let data = folder.join("data");
    let initdb = format!("{PROGRAMS}/initdb");
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", &initdb, "--auth=trust", "--no-sync", "-D"]).arg(&data);
    let output = command.current_dir(folder).output().must();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).must();
    let sockets = format!("unix_socket_directories = '{}/run'\n", folder.display());
    std::io::Write::write_all(&mut &config, sockets.as_bytes()).must();
    let access = fs::OpenOptions::new().append(true).open(data.join("pg_hba.conf")).must();
    std::io::Write::write_all(&mut &access, b"host all all 10.77.0.0/24 trust\n").must();
    data
}

fn database(folder: &Path, data: &Path) -> ServicePlan {
    let mut service = web("db", API, &["node2"]);
    (service.program, service.monitor) = (Vec::new(), Vec::new());
    let (at, data) = (folder.display(), data.display());
    service.resources = format!(
        "[[services.db.resources]]\nname = \"postgres\"\nocf = \"heartbeat:pgsql\"\n\
         monitor-interval = \"300ms\"\nmonitor-timeout = \"2s\"\n\
         start-timeout = \"6s\"\nstop-timeout = \"3s\"\nrestarts = 1\n\
         parameters = {{ pgctl = \"{PROGRAMS}/pg_ctl\", psql = \"{PROGRAMS}/psql\", \
         pgdata = \"{data}\", socketdir = \"{at}/run\", logfile = \"{at}/log\", \
         start_opt = \"-h 0.0.0.0 -c fsync=off\" }}\n"
    );
    service
}

/// What the database answers to a client of its address; nothing if it does not.
fn ask(fleet: &Fleet, words: &str) -> Option<String> {
    let mut command = Command::new(format!("{PROGRAMS}/psql"));
    command.args(["-h", &address(API).to_string(), "-U", "postgres", "-Atqc", words]);
    command.env("PGCONNECT_TIMEOUT", "2").stdin(Stdio::null()).stderr(Stdio::null());
    let output = fleet.client().run(|| command.output()).must().must();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The processes of the database on a node.
fn processes(fleet: &Fleet, node: &str) -> Vec<i32> {
    let is_one = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.starts_with("postgres: ") || line.starts_with(&format!("{PROGRAMS}/postgres"))
    };
    fleet.node(node).must().host().processes().must().into_iter().filter(is_one).collect()
}

/// Waits until the database on that node works, and answers a client with what was written before,
/// by other processes than those. It answers before its agent's start is over.
fn wait_back(fleet: &Fleet, what: &str, node: &str, before: &[i32]) {
    wait_for(fleet, what, || {
        let holder = fleet.holder("db", "node1")?;
        let now = processes(fleet, node);
        let others = !now.is_empty() && now.iter().all(|pid| !before.contains(pid));
        let answer = ask(fleet, "SELECT what FROM kept");
        let works = service(&fleet.node(node)?.status()?, "db")["resources"][0]["stage"] == "works";
        let here = holder.as_deref() == Some(node);
        Ok(others && works && here && answer.as_deref() == Some("it"))
    });
}

/// The database on node2, which takes what is written.
fn serving(folder: &Path) -> Fleet {
    let data = make(folder);
    let plan = three("postgres").service(database(folder, &data));
    let fleet = Fleet::start(plan.service(web("web", WEB, &["node2"]))).must();
    wait_for(&fleet, "it takes what is written", || {
        if fleet.holder("db", "node1")?.as_deref() != Some("node2") {
            let _late = fleet.node("node1")?.stead(&["move", "db", "node2"])?;
        }
        let made = ask(&fleet, "CREATE TABLE IF NOT EXISTS kept (what text PRIMARY KEY)");
        let words = "INSERT INTO kept VALUES ('it') ON CONFLICT DO NOTHING";
        Ok(made.is_some() && ask(&fleet, words).is_some())
    });
    fleet
}

fn clear(fleet: &Fleet) {
    fleet.node("node1").must().stead(&["clear", "db"]).must().expect_success().must();
}

#[test]
fn postgres_is_back_when_it_is_killed_or_hangs_and_moves_when_it_can_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = serving(folder.path());

    // Killed: back in place.
    let before = processes(&fleet, "node2");
    send(&before, Signal::SIGKILL);
    wait_back(&fleet, "it is back after a kill", "node2", &before);
    wait_for(&fleet, "the journal tells", || told(&fleet, "node2", "postgres failed"));
    clear(&fleet);

    // It hangs, and nothing can be asked of it: its monitor is late, its stop as well, and it is
    // killed.
    let before = processes(&fleet, "node2");
    send(&before, Signal::SIGSTOP);
    wait_back(&fleet, "it is back after it hung", "node2", &before);
    wait_for(&fleet, "the journal tells why", || told(&fleet, "node2", "no answer within 2 s"));
    let forced = "all of postgres is killed: stop: no answer within 3 s";
    wait_for(&fleet, "the forced stop is told", || daemon_said(&fleet, "node2", forced));
    assert!(before.iter().all(|pid| !Path::new("/proc").join(pid.to_string()).exists()));

    // It can't start on node1: its port is taken there. It says why, and goes elsewhere.
    let host = fleet.node("node1").must().host().clone();
    let taken = host.run(|| TcpListener::bind(("0.0.0.0", PORT))).must().must();
    // ... and while it is moved it hangs again, so that its stop has to be forced.
    let before = processes(&fleet, "node2");
    send(&before, Signal::SIGSTOP);
    let moving = fleet.node("node2").must().stead(&["move", "db", "node1", "--wait", "0"]).must();
    moving.expect_success().must();
    wait_for(&fleet, "it answers elsewhere", || {
        // What runs there is looked at first: what hung must have been gone before.
        let (there, here) = (processes(&fleet, "node1"), processes(&fleet, "node2"));
        assert!(there.is_empty() || !before.iter().any(|pid| here.contains(pid)), "two databases");
        let holder = fleet.holder("db", "node1")?.filter(|holder| holder != "node1");
        let tried = told(&fleet, "node1", "db did not start: postgres: start: ")?;
        let answers = ask(&fleet, "SELECT what FROM kept").as_deref() == Some("it");
        Ok(tried && holder.is_some() && answers)
    });
    assert!(processes(&fleet, "node1").is_empty());
    let screen = fleet.node("node1").must().stead(&["status"]).must().stdout;
    let printed = screen.split("db failed on node1; the last that it printed:").nth(1);
    assert!(printed.is_some_and(|it| it.contains("PostgreSQL")), "{screen}");
    drop(taken);
    clear(&fleet);
    whole(&fleet);

    stays_with_a_lost_node(&fleet);
}

/// Its node is lost: what may move does. The database stays until that node is said to be off, for
/// two of them on the same files would be the end of these.
fn stays_with_a_lost_node(fleet: &Fleet) {
    let holder = fleet.holder("db", "node1").must().expect("it runs");
    let by = if holder == "node1" { "node2" } else { "node1" };
    let client = client(fleet, WEB);
    wait_preferred(fleet, &client, &holder);
    fleet.silence_then_kill(&holder).must();
    wait_moved(fleet, &client, &holder);
    wait_for(fleet, "it stays with its node", || {
        let status = fleet.node(by)?.status()?;
        let db = service(&status, "db");
        Ok(db["stays_with"] == holder.as_str() && db["state"] == "lost")
    });
    let others = ["node1", "node2", "node3"].into_iter().filter(|it| *it != holder);
    assert!(others.clone().all(|node| processes(fleet, node).is_empty()));
    let words = ["fence", "confirm-off", &holder, "--yes", "--reason", "it is dark"];
    fleet.node(by).must().stead(&words).must().expect_success().must();
    wait_for(fleet, "it goes on with all that was written", || {
        Ok(ask(fleet, "SELECT what FROM kept").as_deref() == Some("it"))
    });
    assert!(others.clone().any(|node| !processes(fleet, node).is_empty()));
    fleet.power_on(&holder).must();
    whole(fleet);
}
