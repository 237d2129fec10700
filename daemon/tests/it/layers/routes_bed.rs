//! A router on the client's host (BIRD), and a routing daemon on each node (BIRD or FRR), as their
//! operators would configure them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use stead::demo::fleet::Fleet;
use stead_lab::Host;

use super::{program, said, start};
use crate::cluster::{Must, wait_for};

pub(super) const V4: &str = "10.99.0.1";
pub(super) const V6: &str = "fd99::1";
/// The router's address on the first network.
pub(super) const ROUTER: &str = "10.77.0.250";

const TIMERS: &str = "hold time 9; connect delay time 1; connect retry time 1; \
                      error wait time 1, 2;";

/// BIRD on a host.
pub(super) struct Bird {
    host: Host,
    folder: PathBuf,
}

impl Bird {
    fn start(host: &Host, folder: &Path, conf: &str) -> Self {
        fs::create_dir_all(folder).must();
        let bird = Self { host: host.clone(), folder: folder.to_owned() };
        fs::write(bird.file("bird.conf"), conf).must();
        let [conf, ctl, pid] = ["bird.conf", "bird.ctl", "bird.pid"].map(|it| bird.file(it));
        let words = ["-f", "-c", &conf, "-s", &ctl, "-P", &pid];
        start(host, "/usr/sbin/bird", &words, &folder.join("log"));
        bird
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Types a command of BIRD's, which has to succeed in that word.
    #[track_caller]
    pub(super) fn tell(&self, words: &[&str], succeeds: &str) {
        let control = self.file("bird.ctl");
        let told = said(&self.host, "birdc", &[&["-s", &control], words].concat());
        assert!(told.as_ref().is_ok_and(|it| it.contains(succeeds)), "{words:?}: {told:?}");
    }

    /// Another configuration of a running one.
    #[track_caller]
    pub(super) fn configure(&self, conf: &str) {
        fs::write(self.file("bird.conf"), conf).must();
        self.tell(&["configure"], "Reconfig");
    }
}

/// The router, which has a session with each node, and takes everything.
pub(super) fn router(fleet: &Fleet) -> Bird {
    Bird::start(fleet.client(), &fleet.folder().join("router"), &router_accepting("all"))
}

/// What a router has to say that takes of IPv4 only that.
pub(super) fn router_accepting(what: &str) -> String {
    let session = |number: u8| {
        format!(
            "protocol bgp n{number} {{ local {ROUTER} as 65000; neighbor 10.77.0.{number} as \
             6500{number}; {TIMERS} ipv4 {{ import {what}; export none; next hop self; }}; \
             ipv6 {{ import all; export none; }}; }}\n"
        )
    };
    format!(
        "router id 10.77.0.250;\nprotocol device {{ scan time 1; }}\n\
         protocol kernel {{ ipv4 {{ export all; import none; }}; }}\n\
         protocol kernel {{ ipv6 {{ export all; import none; }}; }}\n{}",
        [1, 2, 3].map(session).concat()
    )
}

/// The configuration of a node's operator, with the place where stead's own part comes in.
pub(super) fn node(fleet: &Fleet, number: u8) -> Bird {
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
    Bird::start(fleet.node(&name).must().host(), &folder, &conf)
}

/// How stead reaches BIRD on each node.
pub(super) fn by_bird(fleet: &Fleet) -> String {
    let folder = fleet.folder().join("bird");
    format!(
        "{{ daemon = \"bird\", control = \"{folder}/{{node}}/bird.ctl\", \
         include = \"{folder}/{{node}}/stead.conf\" }}",
        folder = folder.display()
    )
}

/// FRR on a node, with the folders of all nodes below that one; its daemons are another user's.
/// Without `more` in its configuration routers keep the routes of a node that falls silent.
pub(super) fn frr(fleet: &Fleet, number: u8, above: &Path, more: &str) {
    fs::set_permissions(above, Permissions::from_mode(0o755)).must();
    let name = format!("node{number}");
    let folder = above.join(&name);
    fs::create_dir_all(&folder).must();
    let bgp = format!(
        "hostname {name}\nrouter bgp 6500{number}\n bgp router-id 10.77.0.{number}\n \
         no bgp ebgp-requires-policy\n{more} neighbor {ROUTER} remote-as 65000\n \
         neighbor {ROUTER} timers 3 9\n neighbor {ROUTER} timers connect 1\n \
         address-family ipv6 unicast\n  neighbor {ROUTER} activate\n exit-address-family\n"
    );
    for (daemon, text) in [("zebra", format!("hostname {name}\n")), ("bgpd", bgp)] {
        fs::write(folder.join(format!("{daemon}.conf")), text).must();
    }
    let owned = Command::new("chown").arg("-R").arg("frr:frr").arg(&folder).status();
    assert!(owned.must().success(), "FRR is installed");
    let path = |name: &str| folder.join(name).display().to_string();
    for daemon in ["zebra", "bgpd"] {
        let [conf, pid] = ["conf", "pid"].map(|end| path(&format!("{daemon}.{end}")));
        let (zebra, sockets) = (path("zserv.api"), folder.display().to_string());
        let words = ["-f", &conf, "-i", &pid, "-z", &zebra, "--vty_socket", &sockets, "-P", "0"];
        let program = format!("/usr/lib/frr/{daemon}");
        let log = folder.join(format!("{daemon}.log"));
        start(fleet.node(&name).must().host(), &program, &words, &log);
        // One that starts before those it needs looks for them again only after ten seconds.
        let sockets = [folder.join("zserv.api"), folder.join(format!("{daemon}.vty"))];
        wait_for(fleet, &format!("{daemon} listens on {name}"), || {
            Ok(sockets.iter().all(|it| it.exists()))
        });
    }
}

/// As nodes have it: everywhere else is behind the router. That stands on their own segment here,
/// and must not send them past itself: they would go on to a former holder for minutes.
pub(super) fn behind_the_router(fleet: &Fleet) {
    for node in fleet.nodes() {
        said(node.host(), "ip", &["route", "add", "default", "via", ROUTER]).expect("a route");
        said(node.host(), "ip", &["-6", "route", "add", "default", "via", "fd77::fa"])
            .expect("a route");
        for family in ["ipv4", "ipv6"] {
            for scope in ["all", "front"] {
                set(node.host(), &format!("net/{family}/conf/{scope}/accept_redirects"), "0");
            }
        }
    }
    set(fleet.client(), "net/ipv4/ip_forward", "1");
    set(fleet.client(), "net/ipv6/conf/all/forwarding", "1");
}

fn set(host: &Host, setting: &str, value: &str) {
    host.namespace().write_sysctl(setting, value).must();
}

/// `web` with these addresses and a check at one of them, led to by routing daemons so reached.
pub(super) fn services(addresses: &[String], check: &str, routing: &str) -> String {
    format!(
        "\n[services.web]\nprefer = [\"node1\"]\naddresses = [{}]\n{}\
         \n[redirect]\nrouting = {routing}\n",
        addresses.join(", "),
        program(check),
    )
}

/// An address that is announced by a route.
pub(super) fn routed(address: &str) -> String {
    let prefix = if address.contains(':') { 128 } else { 32 };
    format!("{{ ip = \"{address}\", prefix = {prefix}, layers = [\"route\"] }}")
}

/// The routes of the router to the two addresses.
pub(super) fn route(fleet: &Fleet) -> [String; 2] {
    [("-4", V4), ("-6", V6)].map(|(family, address)| {
        said(fleet.client(), "ip", &[family, "route", "show", address]).unwrap_or_default()
    })
}

/// Waits until the router leads both families to that node.
#[track_caller]
pub(super) fn wait_routes(fleet: &Fleet, node: &str) {
    let number = node.trim_start_matches("node");
    let via = [format!("via 10.77.0.{number} "), format!("via fd77::{number} ")];
    wait_for(fleet, &format!("the routes lead to {node}"), || {
        Ok(route(fleet).iter().zip(&via).all(|(route, via)| route.contains(via)))
    });
}
