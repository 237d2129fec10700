//! Routes: real BIRD on the nodes and on the client's host, which is their router.

use std::fs;
use std::path::Path;

use stead::demo::fleet::Fleet;
use stead_lab::{Host, Process};

use super::{answers, program, said, start, wait_elsewhere, wait_runs, wait_seen};
use crate::cluster::{Must, wait_for};

const V4: &str = "10.99.0.1";
const V6: &str = "fd99::1";
/// The router's address on the first network.
const ROUTER: &str = "10.77.0.250";

/// A routing daemon.
struct Bird {
    _process: Process,
}

fn bird(host: &Host, folder: &Path, conf: &str) -> Bird {
    fs::create_dir_all(folder).must();
    let (file, control) = (folder.join("bird.conf"), folder.join("bird.ctl"));
    fs::write(&file, conf).must();
    let [conf, ctl] = [&file, &control].map(|it| it.display().to_string());
    let pid = folder.join("bird.pid").display().to_string();
    let words = ["-f", "-c", &conf, "-s", &ctl, "-P", &pid];
    let process = start(host, "/usr/sbin/bird", &words, &folder.join("log"));
    Bird { _process: process }
}

const TIMERS: &str = "hold time 9; connect delay time 1; connect retry time 1; \
                      error wait time 1, 2;";

fn router(fleet: &Fleet) -> Bird {
    let session = |number: u8| {
        format!(
            "protocol bgp n{number} {{ local {ROUTER} as 65000; neighbor 10.77.0.{number} as \
             6500{number}; {TIMERS} ipv4 {{ import all; export none; next hop self; }}; \
             ipv6 {{ import all; export none; }}; }}\n"
        )
    };
    let conf = format!(
        "router id 10.77.0.250;\nprotocol device {{ scan time 1; }}\n\
         protocol kernel {{ ipv4 {{ export all; import none; }}; }}\n\
         protocol kernel {{ ipv6 {{ export all; import none; }}; }}\n{}",
        [1, 2, 3].map(session).concat()
    );
    bird(fleet.client(), &fleet.folder().join("router"), &conf)
}

/// The configuration of a node's operator, with the place where stead's own part comes in.
fn node(fleet: &Fleet, number: u8) -> Bird {
    let name = format!("node{number}");
    let folder = fleet.folder().join("bird").join(&name);
    fs::create_dir_all(&folder).must();
    let include = folder.join("stead.conf");
    // As the book says: until stead has written it.
    fs::write(&include, "function stead_announces() { return false; }\n").must();
    let conf = format!(
        "router id 10.77.0.{number};\nprotocol device {{ scan time 1; }}\n\
         include {:?};\n\
         protocol bgp up {{ local 10.77.0.{number} as 6500{number}; neighbor {ROUTER} as 65000; \
         {TIMERS} ipv4 {{ import none; export where stead_announces(); next hop self; }}; \
         ipv6 {{ import none; export where stead_announces(); next hop address fd77::{number}; \
         }}; }}\n",
        include.display().to_string(),
    );
    bird(fleet.node(&name).must().host(), &folder, &conf)
}

fn route(fleet: &Fleet) -> [String; 2] {
    [("-4", V4), ("-6", V6)].map(|(family, address)| {
        said(fleet.client(), "ip", &[family, "route", "show", address]).unwrap_or_default()
    })
}

#[test]
fn a_route_leads_to_the_holder_and_to_nobody_else() {
    let fleet = Fleet::start(crate::cluster::three("routes")).must();
    let _router = router(&fleet);
    // As nodes have it: everywhere else is behind the router.
    for node in fleet.nodes() {
        said(node.host(), "ip", &["route", "add", "default", "via", ROUTER]).expect("a route");
        said(node.host(), "ip", &["-6", "route", "add", "default", "via", "fd77::fa"])
            .expect("a route");
    }
    std::mem::drop(said(fleet.client(), "sysctl", &["-q", "-w", "net.ipv4.ip_forward=1"]));
    std::mem::drop(said(fleet.client(), "sysctl", &["-q", "-w", "net.ipv6.conf.all.forwarding=1"]));
    let _birds = [1, 2, 3].map(|number| node(&fleet, number));
    let text = format!(
        "{}\n[services.web]\nprefer = [\"node1\"]\n\
         addresses = [{{ ip = \"{V4}\", prefix = 32, layers = [\"route\"] }}, \
         {{ ip = \"{V6}\", prefix = 128, layers = [\"route\"] }}]\n{}\
         \n[redirect]\nrouting = {{ daemon = \"bird\", control = \"{folder}/{{node}}/bird.ctl\", \
         include = \"{folder}/{{node}}/stead.conf\" }}\n",
        fleet.plan().configuration(),
        program(V4),
        folder = fleet.folder().join("bird").display(),
    );
    fleet.apply("node1", &text).must();
    wait_runs(&fleet, "node1");
    wait_for(&fleet, "the router has the routes", || {
        Ok(route(&fleet).iter().all(|route| !route.is_empty()))
    });
    assert!(route(&fleet)[0].contains("via 10.77.0.1 "), "{:?}", route(&fleet));
    wait_for(&fleet, "clients behind it are served", || {
        Ok(answers(fleet.client(), &format!("{V4}:8080")))
    });
    wait_seen(&fleet, "node1", "route");

    fleet.silence_then_kill("node1").must();
    let by = wait_elsewhere(&fleet, "node1");
    let via = format!("via 10.77.0.{} ", by.trim_start_matches("node"));
    wait_for(&fleet, "the route leads there", || Ok(route(&fleet)[0].contains(&via)));
    wait_for(&fleet, "clients behind it are served", || {
        Ok(answers(fleet.client(), &format!("{V4}:8080")))
    });
}
