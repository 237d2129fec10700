//! redis, and nginx in front, by the agents of Debian: killed, hanging, kept from starting on one
//! node and from stopping on another.
//!
//! All nodes share one folder, and each has a configuration of its own there, which can be broken.
//! nginx's agent only looks whether it runs, unless it is told to ask (`OCF_CHECK_LEVEL`): here it
//! asks by a command of ours.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use stead::demo::fleet::{Fleet, FleetError, ServicePlan, WEB_PORT};

use super::resources::all_work;
use super::{Must, WEB, address, daemon_said, send, three, told, wait_for, web};

const NODES: [&str; 3] = ["node1", "node2", "node3"];
/// Each server: what its processes call themselves (the agents have the same names), its resource,
/// and its file.
const CACHE: Server = Server("/usr/bin/redis-server", "cache", "redis.conf");
const FRONT: Server = Server("nginx: ", "front", "nginx.conf");

struct Server(&'static str, &'static str, &'static str);

impl Server {
    /// Its processes on a node.
    fn processes(&self, fleet: &Fleet, node: &str) -> Vec<i32> {
        let is_it = |pid: &i32| {
            let path = Path::new("/proc").join(pid.to_string()).join("cmdline");
            fs::read(path).is_ok_and(|line| line.starts_with(self.0.as_bytes()))
        };
        let all = fleet.node(node).must().host().processes().must();
        all.into_iter().filter(is_it).collect()
    }
}

/// What a server answers on the way of a client; nothing if it doesn't.
fn page(fleet: &Fleet) -> Option<String> {
    let ask = || -> std::io::Result<String> {
        let second = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&(address(WEB), WEB_PORT).into(), second)?;
        stream.set_read_timeout(Some(second))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = fleet.client().run(ask).must().ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned())
}

/// The files that the servers need on a node.
fn write_files(folder: &Path, node: &str) {
    let own = folder.join(node);
    fs::create_dir_all(&own).must();
    let at = own.display();
    let nginx = format!(
        "pid {at}/nginx.pid;\nerror_log {at}/error.log;\nuser root;\nworker_processes 1;\n\
         events {{ }}\nhttp {{\n  access_log off;\n  client_body_temp_path {at}/body;\n  \
         proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fast;\n  uwsgi_temp_path {at}/u;\n  \
         scgi_temp_path {at}/s;\n  server {{\n    listen {}:{WEB_PORT};\n    \
         listen 127.0.0.1:{WEB_PORT};\n    location / {{ return 200 \"hello\"; }}\n  }}\n}}\n",
        address(WEB),
    );
    fs::write(own.join(FRONT.2), nginx).must();
    let redis = format!(
        "bind 127.0.0.1\nport 6390\ndir {at}\npidfile {at}/redis.pid\n\
         unixsocket {at}/redis.sock\ndaemonize yes\nlogfile {at}/redis.log\n"
    );
    fs::write(own.join(CACHE.2), redis).must();
}

/// redis, and nginx in front, each by its own agent.
fn redis_and_nginx(folder: &Path) -> ServicePlan {
    let at = folder.display();
    for node in NODES {
        write_files(folder, node);
    }
    let asks = format!(
        "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{WEB_PORT} || exit 1\n\
         printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3\ngrep -q hello <&3\n"
    );
    fs::write(folder.join("asks"), asks).must();
    fs::set_permissions(folder.join("asks"), Permissions::from_mode(0o755)).must();
    let times = "monitor-interval = \"300ms\"\nmonitor-timeout = \"2s\"\nstart-timeout = \"4s\"\n\
                 stop-timeout = \"2s\"\nrestarts = 1\n";
    let mut service = web("web", WEB, &["node2"]);
    (service.program, service.monitor) = (Vec::new(), Vec::new());
    service.resources = format!(
        "[[services.web.resources]]\nname = \"cache\"\nocf = \"heartbeat:redis\"\n\
         safety = \"lease\"\n{times}\
         parameters = {{ bin = \"/usr/bin/redis-server\", config = \"{at}/{{node}}/redis.conf\", \
         user = \"root\", rundir = \"{at}/{{node}}\", pidfile_name = \"redis.pid\", \
         socket_name = \"redis.sock\", port = 6390 }}\n\
         [[services.web.resources]]\nname = \"front\"\nocf = \"heartbeat:nginx\"\n{times}\
         parameters = {{ configfile = \"{at}/{{node}}/nginx.conf\", httpd = \"/usr/sbin/nginx\", \
         OCF_CHECK_LEVEL = 30, external_monitor30_cmd = \"{at}/asks\" }}\n",
    );
    service
}

/// Whether both serve on that node.
fn serves(fleet: &Fleet, node: &str) -> Result<bool, FleetError> {
    let holder = fleet.holder("web", "node1")?.or(fleet.holder("web", "node3")?);
    let here = holder.as_deref() == Some(node) && all_work(fleet, node)?;
    Ok(here && page(fleet).as_deref() == Some("hello"))
}

fn clear(fleet: &Fleet) {
    fleet.node("node1").must().stead(&["clear", "web"]).must().expect_success().must();
}

/// Waits until the server on node2 is another than before, and both serve there.
fn wait_back(fleet: &Fleet, server: &Server, before: &[i32]) {
    assert!(!before.is_empty(), "{} runs on node2", server.1);
    wait_for(fleet, &format!("{} is back in place", server.1), || {
        let now = server.processes(fleet, "node2");
        let others = !now.is_empty() && now.iter().all(|pid| !before.contains(pid));
        Ok(others && serves(fleet, "node2")?)
    });
    let words = format!("{} failed and is started", server.1);
    wait_for(fleet, "the journal tells", || told(fleet, "node2", &words));
    clear(fleet);
}

#[test]
fn redis_and_nginx_serve_by_the_agents_of_debian() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::start(three("agents").service(redis_and_nginx(folder.path()))).must();
    wait_for(&fleet, "both serve on node2", || {
        let holder = fleet.holder("web", "node1")?;
        if let Some(holder) = holder.filter(|holder| holder != "node2") {
            let _late = fleet.node(&holder)?.stead(&["move", "web", "node2"])?;
        }
        serves(&fleet, "node2")
    });

    // Each is killed behind its agent's back, and hangs: it is back in place. What hangs can't be
    // stopped by its agent either.
    for server in [CACHE, FRONT] {
        let before = server.processes(&fleet, "node2");
        send(&before, Signal::SIGKILL);
        wait_back(&fleet, &server, &before);

        let before = server.processes(&fleet, "node2");
        send(&before, Signal::SIGSTOP);
        wait_back(&fleet, &server, &before);
        let why = format!("{} failed and is started again: monitor: no answer", server.1);
        wait_for(&fleet, "the journal tells why", || told(&fleet, "node2", &why));
        let forced = format!("all of {} is killed: stop: no answer within 2 s", server.1);
        wait_for(&fleet, "the forced stop is told", || daemon_said(&fleet, "node2", &forced));
    }

    // It is moved while both hang, so that both stops are forced, to where nginx can't start; then
    // to where redis can't: its agent waits for it without an end, and says nothing.
    let former = [CACHE, FRONT].map(|it| it.processes(&fleet, "node2")).concat();
    send(&former, Signal::SIGSTOP);
    comes_back(&fleet, folder.path(), "node1", &FRONT, "front: start: ");
    assert!(former.iter().all(|pid| !Path::new("/proc").join(pid.to_string()).exists()));
    comes_back(&fleet, folder.path(), "node3", &CACHE, "cache: start: no answer within 4 s");

    // Its node goes on standby: both stop in order there, and serve elsewhere.
    fleet.node("node2").must().stead(&["standby", "node2"]).must().expect_success().must();
    wait_for(&fleet, "both serve elsewhere", || {
        Ok(serves(&fleet, "node1")? || serves(&fleet, "node3")?)
    });
    let left = [CACHE, FRONT].map(|server| server.processes(&fleet, "node2"));
    assert!(left.iter().all(Vec::is_empty), "{left:?}");
}

/// Moves it to a node where one server's file is broken. Nothing starts there before all is gone
/// from node2; it says why it failed there, and is back on node2.
fn comes_back(fleet: &Fleet, folder: &Path, node: &str, broken: &Server, why: &str) {
    fs::write(folder.join(node).join(broken.2), "nonsense here;\n").must();
    let former = [CACHE, FRONT].map(|it| it.processes(fleet, "node2")).concat();
    let moving = fleet.node("node1").must().stead(&["move", "web", node, "--wait", "0"]).must();
    moving.expect_success().must();
    let why = format!("web did not start: {why}");
    wait_for(fleet, "it is back on node2", || {
        // What runs there is looked at first: what was on node2 must have been gone before.
        if [CACHE, FRONT].iter().any(|it| !it.processes(fleet, node).is_empty()) {
            let left = [CACHE, FRONT].map(|it| it.processes(fleet, "node2")).concat();
            assert!(!former.iter().any(|pid| left.contains(pid)), "{left:?} beside {node}");
        }
        Ok(told(fleet, node, &why)? && serves(fleet, "node2")?)
    });
    let screen = fleet.node(node).must().stead(&["status"]).must().stdout;
    let head = format!("web failed on {node}; the last that it printed:");
    let printed = screen.split(&head).nth(1);
    // What nginx said of its file is there; redis's agent said nothing, so the reason has to do.
    let expected = if broken.1 == FRONT.1 { "unknown directive" } else { "start: no answer" };
    assert!(printed.is_some_and(|it| it.contains(expected)), "{screen}");
    write_files(folder, node);
    clear(fleet);
}
