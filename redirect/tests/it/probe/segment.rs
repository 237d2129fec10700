//! The segment of these trials: two holders and an observer at one switch, and the way to them.

use std::net::IpAddr;
use std::time::Duration;

use stead_core::time::Span;
use stead_lab::{Bed, Host, Link, LinkSpec, Mac};
use stead_redirect::probe::{
    Answer, Cast, Findings, Form, Nodes, Order, Place, Roles, Station, Trial, TrialError, run,
};

pub const NAMES: [&str; 3] = ["node1", "node2", "node3"];
pub const V4: &str = "10.0.0.77";
pub const V6: &str = "fd00::77";

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// node1 and node2 hold, node3 observes; each has parts of its own.
pub struct Segment {
    pub bed: Bed,
    pub nodes: Vec<Node>,
}

pub struct Node {
    pub host: Host,
    pub link: Link,
    pub roles: Roles,
}

impl Segment {
    /// To be called inside a runtime.
    pub fn new(name: &str) -> Self {
        let bed = Bed::new(name).expect("these tests need root");
        let switch = bed.switch("switch").expect("a switch");
        let mut nodes = Vec::new();
        for (number, name) in (1..).zip(NAMES) {
            let host = bed.host(name).expect("a host");
            let spec = LinkSpec::new("eth0")
                .addr(ip(&format!("10.0.0.{number}")), 24)
                .addr(ip(&format!("fd00::{number}")), 64)
                .mac(Mac([2, 0, 0, 0, 0, number]));
            let link = bed.connect(&host, &switch, spec).expect("a cable");
            nodes.push(Node { host, link, roles: Roles::new(tokio::runtime::Handle::current()) });
        }
        Self { bed, nodes }
    }

    pub fn link(&self, number: usize) -> &Link {
        &self.nodes[number - 1].link
    }

    /// How long the observer trusts an entry that was confirmed, and how long it hesitates then.
    pub fn forgets_within(&self, millis: u64) {
        let namespace = self.nodes[2].host.namespace();
        for family in ["ipv4", "ipv6"] {
            let set = |name: &str, value: u64| {
                let path = format!("net/{family}/neigh/eth0/{name}");
                namespace.write_sysctl(&path, &value.to_string()).expect("set");
            };
            set("base_reachable_time_ms", millis);
            set("delay_first_probe_time", 1);
            set("retrans_time_ms", 200);
        }
    }

    pub async fn run(&self, trial: &Trial) -> Result<Findings, TrialError> {
        run(trial, &cast(), &owned(), self).await
    }

    pub async fn findings(&self, trial: &Trial) -> Findings {
        let findings = self.run(trial).await.expect("a trial");
        println!("{findings:#?}");
        findings
    }
}

impl Nodes for Segment {
    async fn ask(&self, node: &str, order: Order) -> Result<Answer, String> {
        let at = NAMES.iter().position(|name| *name == node).ok_or("no such node")?;
        let node = &self.nodes[at];
        // as text, for so it travels between nodes
        let text = serde_json::to_string(&order).expect("text");
        let order = serde_json::from_str(&text).expect("the same again");
        let done = node.host.run(|| node.roles.perform(order, &owned())).expect("inside");
        let answer = done.map_err(|error| error.to_string())?;
        let text = serde_json::to_string(&answer).expect("text");
        Ok(serde_json::from_str(&text).expect("the same again"))
    }
}

pub fn owned() -> Vec<IpAddr> {
    vec![ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3"), ip("10.0.0.100")]
}

pub fn place(node: &str) -> Place {
    Place { node: node.to_owned(), interface: "eth0".to_owned() }
}

pub fn cast() -> Cast {
    let [first, second, third] = NAMES.map(place);
    Cast { holders: [first, second], observers: vec![third] }
}

pub fn trial(form: Form, address: &str, bound: Duration) -> Trial {
    let address = ip(address);
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    let mut trial = Trial::new(form, address, prefix).expect("chance");
    trial.bound = Span::from_millis(u64::try_from(bound.as_millis()).expect("short"));
    trial
}

pub fn mac_of(trial: &Trial) -> Mac {
    let Station(mac) = trial.mac.expect("a throw-away MAC");
    mac
}
