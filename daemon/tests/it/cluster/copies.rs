//! Services with copies on real clusters, by Debian's agents: redis with a replica, PostgreSQL with
//! a standby. One is promoted; it is moved, its daemon and its node are killed, and what clients
//! wrote is there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stead::demo::fleet::{Fleet, FleetError, Part, ServicePlan};
use stead_lab::Host;

use super::{Must, WEB, address, service, three, told, wait_for, web};

const REDIS: &str = "/usr/bin/redis-cli";
const BIN: &str = "/usr/lib/postgresql/15/bin";
const NODES: [&str; 2] = ["node1", "node2"];

/// What a command on a host prints; nothing if it fails.
fn said(host: &Host, words: &[&str]) -> Option<String> {
    let run = || Command::new(words[0]).args(&words[1..]).current_dir("/").output();
    let output = host.run(run).must().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// A folder that other users may enter.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).must();
    folder
}

/// A service with copies on two of three nodes, of these resources.
fn with_copies(resources: &str) -> ServicePlan {
    let mut service = web("web", WEB, &[]);
    (service.program, service.monitor) = (Vec::new(), Vec::new());
    service.resources = format!("copies = [\"node1\", \"node2\"]\n{resources}");
    service
}

/// The copies, by the word of a node: where each is, and its score.
fn copies(fleet: &Fleet, by: &str) -> Result<Vec<Value>, FleetError> {
    let status = fleet.node(by)?.status()?;
    Ok(service(&status, "web")["copies"].as_array().cloned().unwrap_or_default())
}

/// Which node's copy is promoted, by the word of a node.
fn promoted(fleet: &Fleet, by: &str) -> Result<Option<String>, FleetError> {
    let all = copies(fleet, by)?;
    let found = all.iter().find(|copy| copy["state"] == "promoted");
    Ok(found.and_then(|copy| copy["node"].as_str()).map(str::to_owned))
}

fn score(fleet: &Fleet, by: &str, node: &str) -> Result<i64, FleetError> {
    let all = copies(fleet, by)?;
    let found = all.iter().find(|copy| copy["node"] == node && copy["state"] != "none");
    Ok(found.and_then(|copy| copy["score"].as_i64()).unwrap_or_default())
}

/// Waits until one copy is promoted, that both could be, and says which and which not.
fn wait_pair(fleet: &Fleet) -> (String, String) {
    let mut pair = (String::new(), String::new());
    wait_for(fleet, "one copy is promoted, and the other could be", || {
        let Some(first) = promoted(fleet, "node3")? else { return Ok(false) };
        let second = if first == "node1" { "node2" } else { "node1" };
        pair = (first, second.to_owned());
        Ok(score(fleet, "node3", second)? > 0)
    });
    pair
}

/// redis with a replica. Its agent takes the primary's node name for its host's, so each node has
/// to find the other by name: here by a file of hosts that only what runs for the service sees.
fn redis(folder: &Path) -> ServicePlan {
    let at = folder.display();
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for (number, node) in NODES.iter().enumerate() {
        let own = folder.join(node);
        fs::create_dir(&own).must();
        let config = format!(
            "bind 0.0.0.0\nprotected-mode no\nport 6379\ndir {own}\nsave \"\"\n\
             repl-diskless-sync-delay 0\nlogfile {own}/redis.log\n",
            own = own.display()
        );
        fs::write(own.join("redis.conf"), config).must();
        hosts.push_str(&format!("10.77.0.{} {node}\n", number + 1));
    }
    fs::write(folder.join("hosts"), hosts).must();
    let names = format!("mount --bind {at}/hosts /etc/hosts && exec sleep 98701");
    with_copies(&format!(
        "[[services.web.resources]]\nname = \"names\"\n\
         program = [\"/bin/sh\", \"-c\", {names:?}]\n\
         [[services.web.resources]]\nname = \"db\"\nocf = \"heartbeat:redis\"\n\
         safety = \"lease\"\nmonitor-interval = \"500ms\"\n\
         parameters = {{ config = \"{at}/{{node}}/redis.conf\", user = \"root\", \
         rundir = \"{at}/{{node}}\" }}\n"
    ))
}

#[test]
fn redis_is_promoted_moved_and_taken_over_with_what_was_written() {
    let folder = open_folder();
    let fleet = Fleet::start(three("redis").service(redis(folder.path()))).must();
    let ip = address(WEB).to_string();
    let ask = |words: &[&str]| {
        let base = ["/usr/bin/timeout", "2", REDIS, "-h", ip.as_str()];
        said(fleet.client(), &[&base, words].concat())
    };
    let (first, second) = wait_pair(&fleet);
    wait_for(&fleet, "the primary takes what is written", || {
        Ok(ask(&["set", "a", "1"]).as_deref() == Some("OK"))
    });
    wait_for(&fleet, "the replica follows", || {
        Ok(ask(&["info", "replication"]).is_some_and(|it| it.contains("state=online")))
    });

    // Its daemon is killed: the next one finds both copies in their roles.
    let restarts = fleet.restarts(&first, Part::Daemon);
    let before = ask(&["info", "server"]).unwrap_or_default();
    let run = |text: &str| text.lines().find(|it| it.starts_with("run_id")).map(str::to_owned);
    fleet.kill(&first, Part::Daemon).must();
    wait_for(&fleet, "another daemon", || Ok(fleet.restarts(&first, Part::Daemon) > restarts));
    wait_for(&fleet, "it knows the copy", || {
        let status = fleet.node(&first)?.status()?;
        let all = promoted(&fleet, &first)?;
        Ok(all.as_deref() == Some(&first) && service(&status, "web")["state"] == "runs")
    });
    let after = ask(&["info", "server"]).unwrap_or_default();
    assert!(run(&before).is_some() && run(&before) == run(&after), "{before}\n{after}");

    // It is moved: what was written is there.
    fleet.node("node3").must().stead(&["move", "web", &second]).must().expect_success().must();
    wait_for(&fleet, "the other one is promoted", || {
        Ok(promoted(&fleet, "node3")?.as_deref() == Some(&second))
    });
    wait_for(&fleet, "what was written is read", || Ok(ask(&["get", "a"]).as_deref() == Some("1")));
    wait_for(&fleet, "it can be written to", || {
        Ok(ask(&["set", "b", "2"]).as_deref() == Some("OK"))
    });
    wait_for(&fleet, "the former primary follows", || {
        let follows = ask(&["info", "replication"]).is_some_and(|it| it.contains("state=online"));
        Ok(follows && score(&fleet, "node3", &first)? > 0)
    });

    // Its node loses its power: the first one is promoted again.
    fleet.silence_then_kill(&second).must();
    wait_for(&fleet, "the first one is promoted again", || {
        Ok(promoted(&fleet, "node3")?.as_deref() == Some(&first))
    });
    wait_for(&fleet, "both are read", || Ok(ask(&["mget", "a", "b"]).as_deref() == Some("1\n2")));
}

/// Has PostgreSQL's owner do something.
fn as_postgres(host: &Host, words: &[&str]) -> Option<String> {
    said(host, &[&["/usr/sbin/runuser", "-u", "postgres", "--"], words].concat())
}

/// A database on the first node, and the same on the second.
fn postgresql(folder: &Path) -> ServicePlan {
    let at = folder.display();
    for node in NODES {
        fs::create_dir(folder.join(node)).must();
    }
    assert!(Command::new("chown").args(["-R", "postgres"]).arg(folder).status().must().success());
    let data = format!("{at}/node1/data");
    let run = |words: &[&str]| {
        let mut command = Command::new("/usr/sbin/runuser");
        let output = command.args(["-u", "postgres", "--"]).args(words).current_dir("/").output();
        let output = output.must();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&[&format!("{BIN}/initdb"), "-D", &data, "-A", "trust", "--no-sync", "-E", "UTF8"]);
    let config = Path::new(&data).join("postgresql.conf");
    let mut text = fs::read_to_string(&config).must();
    text.push_str(
        "listen_addresses = '*'\nwal_level = replica\nhot_standby = on\nwal_keep_size = 64MB\n\
         shared_buffers = 16MB\nwal_receiver_status_interval = 1\n\
         unix_socket_directories = '/nowhere'\n",
    );
    fs::write(&config, text).must();
    let access = Path::new(&data).join("pg_hba.conf");
    let mut text = fs::read_to_string(&access).must();
    text.push_str("host all all 10.77.0.0/24 trust\nhost replication all 10.77.0.0/24 trust\n");
    fs::write(&access, text).must();
    run(&["/bin/cp", "-a", &data, &folder.join("node2").display().to_string()]);
    for node in NODES {
        let own = folder.join(node);
        let socket = own.join("socket");
        run(&["/bin/mkdir", &socket.display().to_string()]);
        let config = own.join("data/postgresql.conf");
        let text = fs::read_to_string(&config).must();
        fs::write(&config, text.replace("/nowhere", &socket.display().to_string())).must();
    }
    with_copies(&format!(
        "[[services.web.resources]]\nname = \"db\"\nocf = \"heartbeat:pgsql\"\n\
         safety = \"lease\"\nmonitor-interval = \"500ms\"\n\
         parameters = {{ pgctl = \"{BIN}/pg_ctl\", psql = \"{BIN}/psql\", \
         pgdata = \"{at}/{{node}}/data\", socketdir = \"{at}/{{node}}/socket\", \
         tmpdir = \"{at}/{{node}}/tmp\", logfile = \"{at}/{{node}}/log\", rep_mode = \"async\", \
         node_list = \"node1 node2\", master_ip = \"{}\", repuser = \"postgres\", \
         xlog_check_count = 1, primary_conninfo_opt = \"keepalives_idle=1\" }}\n",
        address(WEB),
    ))
}

#[test]
fn postgresql_is_taken_over_by_its_standby_with_what_was_committed() {
    let folder = open_folder();
    let fleet = Fleet::start(three("postgresql").service(postgresql(folder.path()))).must();
    let ip = address(WEB).to_string();
    let ask = |statement: &str| {
        let psql = format!("{BIN}/psql");
        let words = ["/usr/bin/timeout", "5", &psql, "-h", &ip, "-U", "postgres", "-Atqc"];
        said(fleet.client(), &[&words[..], &[statement]].concat())
    };
    let streams = || ask("select count(*) from pg_stat_replication where state = 'streaming'");
    let (first, second) = wait_pair(&fleet);
    wait_for(&fleet, "the standby streams", || Ok(streams().as_deref() == Some("1")));
    assert!(ask("create table t (n int)").is_some() && ask("insert into t values (1)").is_some());

    // It is moved, as an operator would: the former primary has to be told that its data are good.
    fleet.node("node3").must().stead(&["move", "web", &second]).must().expect_success().must();
    wait_for(&fleet, "the standby is promoted", || {
        Ok(promoted(&fleet, "node3")?.as_deref() == Some(&second))
    });
    wait_for(&fleet, "what was committed is read", || {
        Ok(ask("select n from t").as_deref() == Some("1"))
    });
    wait_for(&fleet, "the former primary waits for a word", || {
        told(&fleet, &first, "PGSQL.lock file to force start")
    });
    let lock = folder.path().join(&first).join("tmp/PGSQL.lock");
    fs::remove_file(&lock).must();
    let clear = || fleet.node(&first).must().stead(&["clear", "web"]).must();
    clear().expect_success().must();
    assert_eq!(wait_pair(&fleet), (second.clone(), first.clone()));
    wait_for(&fleet, "the former primary streams", || Ok(streams().as_deref() == Some("1")));
    wait_for(&fleet, "another row", || Ok(ask("insert into t values (2)").is_some()));
    let position = "select sent_lsn = replay_lsn from pg_stat_replication";
    wait_for(&fleet, "the standby has it", || Ok(ask(position).as_deref() == Some("t")));

    // The primary's node loses its power: the standby is promoted, with both rows.
    fleet.silence_then_kill(&second).must();
    wait_for(&fleet, "the standby is promoted again", || {
        Ok(promoted(&fleet, "node3")?.as_deref() == Some(&first))
    });
    wait_for(&fleet, "both rows are read", || {
        Ok(ask("select sum(n) from t").as_deref() == Some("3"))
    });
    wait_for(&fleet, "a third row", || Ok(ask("insert into t values (3)").is_some()));

    // The node is back, and its copy made anew from the primary's.
    fleet.power_on(&second).must();
    wait_for(&fleet, "the former primary is given up", || {
        // Before that its agent is still called, and its data are needed for that.
        let all = copies(&fleet, "node3")?;
        let gone = all.iter().any(|copy| copy["node"] == second && copy["state"] == "none");
        Ok(gone && told(&fleet, &second, "PGSQL.lock file to force start")?)
    });
    let own = folder.path().join(&second);
    let host = fleet.node(&second).must().host();
    let data = own.join("data").display().to_string();
    let config = fs::read(own.join("data/postgresql.conf")).must();
    fs::remove_dir_all(&data).must();
    let backup = format!("{BIN}/pg_basebackup");
    let words = [backup.as_str(), "-h", &ip, "-U", "postgres", "-D", &data, "-c", "fast"];
    assert!(as_postgres(host, &words).is_some(), "a copy of the primary");
    fs::write(own.join("data/postgresql.conf"), config).must();
    fs::remove_file(own.join("tmp/PGSQL.lock")).must();
    clear().expect_success().must();
    assert_eq!(wait_pair(&fleet), (first, second));
    wait_for(&fleet, "it streams", || Ok(streams().as_deref() == Some("1")));
}
