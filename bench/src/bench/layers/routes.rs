//! Routes: a router that speaks BGP with the nodes, a client behind it, and how stead's nodes do
//! their part. The router is BIRD for every subject.
//!
//! ```text
//!  client ── outside ── router ── front ──┬── node1
//!                                         ├── node2
//!                                         └── node3 (stead)
//! ```

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ::stead::demo::fleet::{Family, Fleet, client_address, service_address};
use stead_lab::prober::Prober;
use stead_lab::{Bed, Host, LinkSpec};
use stead_linux::netlink::Route;

use super::stead::Between;
use super::{FAMILIES, NODES, client, number, prefix};
use crate::error::{BenchError, Step};
use crate::subject::SERVICE;
use crate::tools::{said, write};

/// The program; Debian does not have its folder in everybody's path.
pub(super) const BIRD: &str = "/usr/sbin/bird";
/// What brings it on Debian.
pub(super) const PACKAGE: &str = "bird2";
/// The router's number.
pub(super) const ROUTER_AS: u32 = 65_000;
/// BFD on both sides, in milliseconds, and how many may be missed.
pub(super) const BFD: (u32, u32) = (50, 3);
/// The hold time in seconds where BFD is faster anyway.
const HOLD: u32 = 9;
/// The network of the client.
const OUTSIDE: &str = "outside";
/// What a routing daemon of a node reads until stead has written it.
const NOTHING: &str = "function stead_announces() { return false; }\n";

/// The address that is announced.
pub(super) fn announced(family: Family) -> IpAddr {
    match family {
        Family::V4 => [10, 99, 0, 1].into(),
        Family::V6 => [0xfd99, 0, 0, 0, 0, 0, 0, 1].into(),
    }
}

/// Its prefix: nothing but itself.
pub(super) fn length(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// The address of a host on the client's network: 1 is the router, 2 the client.
fn outside(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => [10, 90, 0, number].into(),
        Family::V6 => [0xfd90, 0, 0, 0, 0, 0, 0, number.into()].into(),
    }
}

/// A session of the router with a node.
pub(super) struct Session {
    pub(super) name: String,
    /// The family by which they speak, and the node's number on the network.
    pub(super) over: Family,
    pub(super) node: u8,
    pub(super) number: u32,
    /// What it hears of.
    pub(super) families: &'static [Family],
    pub(super) hold: u32,
    pub(super) bfd: bool,
}

impl Session {
    fn told(&self) -> String {
        let Self { name, over, node, number, families, hold, bfd } = self;
        let (own, node) = (client_address(*over), service_address(*over, *node));
        let bfd = if *bfd { "bfd on; " } else { "" };
        let channel =
            |family: &Family| format!("{} {{ import all; export none; }}; ", word(*family));
        let channels: String = families.iter().map(channel).collect();
        format!(
            "protocol bgp {name} {{ local {own} as {ROUTER_AS}; neighbor {node} as {number}; {} \
             {bfd}{channels}}}\n",
            timers(*hold)
        )
    }
}

/// What BIRD calls a family.
fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// A session that ended is there again soon: that is in no figure.
fn timers(hold: u32) -> String {
    format!("hold time {hold}; connect delay time 1; connect retry time 1; error wait time 1, 2;")
}

fn bfd() -> String {
    let (interval, multiplier) = BFD;
    format!(
        "protocol bfd {{ interface \"*\" {{ interval {interval} ms; multiplier {multiplier}; }}; \
         }}\n"
    )
}

/// A router, and a client that reaches everything by it.
pub(super) struct Router {
    pub(super) client: Host,
    host: Host,
    folder: PathBuf,
}

impl Router {
    /// Makes the host that clients of a segment have into a router, and a client behind it.
    pub(super) fn build(
        bed: &Bed,
        host: &Host,
        folder: &Path,
        sessions: &[Session],
    ) -> Result<Self, BenchError> {
        let (switch, client) = (bed.switch(OUTSIDE)?, bed.host("behind")?);
        for (end, number) in [(host, 1), (&client, 2)] {
            let add = |spec: LinkSpec, family| spec.addr(outside(family, number), prefix(family));
            bed.connect(end, &switch, FAMILIES.into_iter().fold(LinkSpec::new(OUTSIDE), add))?;
        }
        for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            let written = host.namespace().write_sysctl(setting, "1");
            let what = || format!("cannot make {} a router", host.name());
            written.map_err(std::io::Error::other).step(what)?;
        }
        for family in FAMILIES {
            client.add_route(Route::default_via(outside(family, 1)))?;
        }
        let router = Self { client, host: host.clone(), folder: folder.join("router") };
        bird(host, &router.folder, &configuration(sessions))?;
        Ok(router)
    }

    /// A client of the announced address.
    pub(super) fn ask(&self, family: Family) -> Result<Prober, BenchError> {
        client(&self.client, announced(family))
    }

    /// All routes that it has heard of, in the daemon's words.
    pub(super) fn heard(&self) -> Result<String, BenchError> {
        self.says(&["show", "route", "all"])
    }

    /// How many sessions of BFD are up.
    fn watched(&self) -> Result<usize, BenchError> {
        let said = self.says(&["show", "bfd", "sessions"])?;
        let up = |line: &&str| line.split_whitespace().nth(2) == Some("Up");
        Ok(said.lines().filter(up).count())
    }

    fn says(&self, words: &[&str]) -> Result<String, BenchError> {
        let control = self.folder.join(CONTROL).display().to_string();
        said(&self.host, "/usr/sbin/birdc", &[&["-s", &control], words].concat())
    }
}

fn configuration(sessions: &[Session]) -> String {
    let kernel = |family: Family| {
        format!(
            "protocol kernel {{ {} {{ import none; export where source = RTS_BGP; }}; }}\n",
            word(family)
        )
    };
    let fast = if sessions.iter().any(|it| it.bfd) { bfd() } else { String::new() };
    format!(
        "router id {};\nprotocol device {{ scan time 1; }}\n{}{fast}{}",
        client_address(Family::V4),
        FAMILIES.map(kernel).concat(),
        sessions.iter().map(Session::told).collect::<String>()
    )
}

/// The name of the daemon's socket in its folder.
const CONTROL: &str = "bird.ctl";

/// Starts BIRD on a host.
fn bird(host: &Host, folder: &Path, conf: &str) -> Result<(), BenchError> {
    let file = folder.join("bird.conf");
    write(&file, conf)?;
    let mut command = Command::new(BIRD);
    command.arg("-f").arg("-c").arg(&file).arg("-s").arg(folder.join(CONTROL));
    command.arg("-P").arg(folder.join("bird.pid"));
    host.spawn(command, &folder.join("log"))?;
    Ok(())
}

/// stead's part: BIRD on each node, which announces what stead says.
pub(super) struct Routes {
    router: Router,
    folder: PathBuf,
}

impl Routes {
    pub(super) fn lay(fleet: &Fleet) -> Result<Self, BenchError> {
        let session = |node: u8| Session {
            name: format!("node{node}"),
            over: Family::V4,
            node,
            number: node_as(node),
            families: &FAMILIES,
            hold: HOLD,
            bfd: true,
        };
        let sessions: Vec<Session> = (1..=NODES).map(session).collect();
        let folder = fleet.folder().join("routing");
        let router = Router::build(fleet.bed(), fleet.client(), &folder, &sessions)?;
        let routes = Self { router, folder };
        for node in fleet.nodes() {
            for family in FAMILIES {
                node.host().add_route(Route::default_via(client_address(family)))?;
            }
            write(&routes.folder.join(node.name()).join("stead.conf"), NOTHING)?;
            routes.powered_on(fleet, node.name())?;
        }
        Ok(routes)
    }
}

/// A node's number.
fn node_as(node: u8) -> u32 {
    ROUTER_AS + u32::from(node)
}

/// What a node's operator writes.
fn of_node(node: u8, include: &Path) -> String {
    let [four, six] = FAMILIES.map(|family| service_address(family, node));
    let router = client_address(Family::V4);
    format!(
        "router id {four};\nprotocol device {{ scan time 1; }}\ninclude \"{}\";\n{}\
         protocol bgp up {{ local {four} as {}; neighbor {router} as {ROUTER_AS}; {} bfd on; \
         ipv4 {{ import none; export where stead_announces(); next hop self; }}; \
         ipv6 {{ import none; export where stead_announces(); next hop address {six}; }}; }}\n",
        include.display(),
        bfd(),
        node_as(node),
        timers(HOLD),
    )
}

impl Between for Routes {
    fn services(&self) -> String {
        let address = |family| {
            let (ip, length) = (announced(family), length(family));
            format!("{{ ip = \"{ip}\", prefix = {length}, layers = [\"route\"] }}")
        };
        let folder = self.folder.display();
        format!(
            "\n[services.{SERVICE}]\naddresses = [{}]\n\n[redirect]\nrouting = {{ daemon = \
             \"bird\", control = \"{folder}/{{node}}/{CONTROL}\", include = \
             \"{folder}/{{node}}/stead.conf\" }}\n",
            FAMILIES.map(address).join(", "),
        )
    }

    fn ask(&self, _: &Fleet, family: Family) -> Result<Prober, BenchError> {
        self.router.ask(family)
    }

    /// Without BFD a figure would be the hold time's.
    fn is_whole(&self) -> Result<bool, BenchError> {
        Ok(self.router.watched()? == usize::from(NODES))
    }

    /// Its daemon starts with it; what stead wrote for it is on its disk.
    fn powered_on(&self, fleet: &Fleet, name: &str) -> Result<(), BenchError> {
        let folder = self.folder.join(name);
        let conf = of_node(number(name)?, &folder.join("stead.conf"));
        bird(fleet.node(name)?.host(), &folder, &conf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIRD itself says whether it reads that.
    fn accepted(text: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let (conf, include) = (folder.path().join("bird.conf"), folder.path().join("stead.conf"));
        write(&include, NOTHING).expect("written");
        write(&conf, &text.replace("INCLUDE", &include.display().to_string())).expect("written");
        let output = Command::new(BIRD).arg("-p").arg("-c").arg(&conf).output();
        let output = output.expect("it is installed");
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn what_routers_and_nodes_are_told_is_what_bird_reads() {
        let session = |over, bfd, families| Session {
            name: "one".to_owned(),
            over,
            node: 1,
            number: 65_010,
            families,
            hold: 3,
            bfd,
        };
        accepted(&configuration(&[session(Family::V4, true, &FAMILIES)]));
        let alone = configuration(&[session(Family::V6, false, &[Family::V6])]);
        assert!(!alone.contains("bfd") && alone.contains("hold time 3;"), "{alone}");
        accepted(&alone);
        accepted(&of_node(2, Path::new("INCLUDE")));
    }
}
