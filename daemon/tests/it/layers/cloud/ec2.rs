//! Amazon's API for what is moved here, and the metadata that each instance sees, from recorded
//! answers.
//!
//! The answers lie in `answers`, in the shape that Amazon documents. Of state there is only to whom
//! the route leads, and whom the API refuses. Who asks is known by the key that the request is
//! signed with, as there: each node gets one of its own from its metadata, as an instance with a
//! role does. That the signature fits is not looked at.
//!
//! Failures: what is not recorded is answered with 404. Whoever falls silent is left after a while.
//! All threads end soon after the [`Cloud`].

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use stead::demo::fleet::{Family, Fleet, client_address};
use stead_lab::Host;

use crate::cluster::Must;
use crate::layers::said;

/// The address that moves: outside of every network, as the agent wants it.
pub(super) const OVERLAY: &str = "198.51.100.7";
/// The route table, as it stands in the recorded answer.
pub(super) const TABLE: &str = "rtb-0a1b2c3d4e5f60718";

/// Where every instance finds its metadata.
const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
/// What has to be shown for each word of it (the second version, which asks for a token first).
const TOKEN: &str = "AQAEAHRoaXMtaXMtYS10b2tlbg==";
/// For how long it waits for somebody's next bytes.
const PATIENCE: Duration = Duration::from_secs(10);

const DESCRIBED: &str = include_str!("answers/DescribeRouteTables.xml");
const REPLACED: &str = include_str!("answers/ReplaceRoute.xml");
const REFUSED: &str = include_str!("answers/UnauthorizedOperation.xml");
const CREDENTIALS: &str = include_str!("answers/credentials.json");

/// Where the API listens.
pub(super) fn api() -> SocketAddr {
    SocketAddr::new(client_address(Family::V4), 4_566)
}

/// A cloud for as long as it lives.
pub(super) struct Cloud(Arc<Inner>);

struct Inner {
    /// Each node, with the Ethernet address of its card.
    nodes: Vec<(String, String)>,
    /// It follows the route.
    router: Host,
    state: Mutex<State>,
}

struct State {
    leads: String,
    refused: BTreeSet<String>,
    /// Who asked, one by one.
    asked: Vec<String>,
}

/// What somebody asks: the first line, the rest of the head in small letters, and the body.
struct Request {
    line: String,
    head: String,
    body: String,
}

struct Answer(&'static str, String);

impl Cloud {
    /// Its API and the metadata of each node. Its route leads to the last node, where somebody has
    /// made it by hand: the agent can only replace one.
    pub(super) fn begin(fleet: &Fleet) -> Self {
        let nodes: Vec<_> =
            fleet.macs().into_iter().map(|(node, mac)| (node, mac.to_string())).collect();
        let leads = nodes.last().map(|(node, _)| node.clone()).unwrap_or_default();
        let state = State { leads, refused: BTreeSet::new(), asked: Vec::new() };
        let (router, state) = (fleet.client().clone(), Mutex::new(state));
        let inner = Arc::new(Inner { nodes, router, state });
        serve(&inner, fleet.client(), api(), Inner::of_api);
        for node in fleet.nodes() {
            let lo = ["addr", "add", "169.254.169.254/32", "dev", "lo"];
            said(node.host(), "ip", &lo).expect("an address");
            let name = node.name().to_owned();
            serve(&inner, node.host(), METADATA, move |inner, asked| {
                inner.of_metadata(&name, asked)
            });
        }
        Self(inner)
    }

    /// The node to which the route leads.
    pub(super) fn leads(&self) -> String {
        self.0.state().leads.clone()
    }

    /// Refuses a node everything from now on.
    pub(super) fn refuse(&self, node: &str) {
        self.0.state().refused.insert(node.to_owned());
    }

    /// Ends that.
    pub(super) fn permit(&self, node: &str) {
        self.0.state().refused.remove(node);
    }

    /// How often a node has asked the API.
    pub(super) fn asked(&self, node: &str) -> usize {
        self.0.state().asked.iter().filter(|it| *it == node).count()
    }
}

/// Listens on a host as long as the trial runs; nobody is answered once the cloud is gone.
fn serve(
    inner: &Arc<Inner>,
    host: &Host,
    at: SocketAddr,
    answer: impl Fn(&Inner, &Request) -> Answer + Clone + Send + 'static,
) {
    let listener = host.run(move || TcpListener::bind(at)).must().must();
    let weak = Arc::downgrade(inner);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (weak, answer) = (Weak::clone(&weak), answer.clone());
            // Who goes away in the middle of it has asked nothing.
            thread::spawn(move || drop(converse(stream, &weak, answer)));
        }
    });
}

fn converse(
    mut stream: TcpStream,
    cloud: &Weak<Inner>,
    answer: impl Fn(&Inner, &Request) -> Answer,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let asked = read(&mut stream)?;
    let Some(inner) = cloud.upgrade() else { return Ok(()) };
    let Answer(status, body) = answer(&inner, &asked);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Type: text/xml\r\n\r\n{body}").as_bytes())
}

fn read(stream: &mut TcpStream) -> io::Result<Request> {
    let mut bytes = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (line, head) = head.split_once("\r\n").unwrap_or((head, ""));
            let length = header(&head.to_lowercase(), "content-length").parse().unwrap_or(0);
            if body.len() >= length {
                let (line, head, body) = (line.to_owned(), head.to_owned(), body.to_owned());
                return Ok(Request { line, head, body });
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => bytes.extend_from_slice(part.get(..length).unwrap_or_default()),
        }
    }
}

/// What a head says under a name in small letters; nothing if it doesn't.
fn header(head: &str, name: &str) -> String {
    let named = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.to_lowercase() == name).then(|| value.trim().to_owned())
    };
    head.lines().find_map(named).unwrap_or_default()
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the metadata of an instance say.
    fn of_metadata(&self, node: &str, asked: &Request) -> Answer {
        let ok = |body: String| Answer("200 OK", body);
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        if asked.line.starts_with("PUT /latest/api/token ") {
            return ok(TOKEN.to_owned());
        }
        if header(&asked.head, "x-aws-ec2-metadata-token") != TOKEN {
            return Answer("401 Unauthorized", String::new());
        }
        let card = self.nodes.iter().find(|(name, _)| name == node);
        let card = card.map(|(_, mac)| format!("network/interfaces/macs/{mac}/interface-id"));
        match path.trim_start_matches("/latest/meta-data/") {
            "instance-id" => ok(instance(node)),
            "iam/security-credentials/" => ok("cluster-node".to_owned()),
            "iam/security-credentials/cluster-node" => ok(CREDENTIALS.replace("{key}", &key(node))),
            other if Some(other) == card.as_deref() => ok(interface(node)),
            _ => Answer("404 Not Found", String::new()),
        }
    }

    /// What the API says.
    fn of_api(&self, asked: &Request) -> Answer {
        let signed = header(&asked.head, "authorization");
        let by = |(node, _): &&(String, String)| signed.contains(&format!("={}/", key(node)));
        let Some((by, _)) = self.nodes.iter().find(by) else {
            return Answer("401 Unauthorized", String::new());
        };
        let mut state = self.state();
        state.asked.push(by.clone());
        if state.refused.contains(by) {
            return Answer("403 Forbidden", REFUSED.to_owned());
        }
        let field = |name: &str| {
            let mut pairs = asked.body.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.replace("%2F", "/"))
        };
        match field("Action").as_deref() {
            Some("DescribeRouteTables") if field("RouteTableId.1").as_deref() == Some(TABLE) => {
                let body = DESCRIBED.replace("{instance}", &instance(&state.leads));
                Answer("200 OK", body.replace("{interface}", &interface(&state.leads)))
            }
            Some("ReplaceRoute")
                if field("RouteTableId").as_deref() == Some(TABLE)
                    && field("DestinationCidrBlock") == Some(format!("{OVERLAY}/32")) =>
            {
                let to = field("NetworkInterfaceId").unwrap_or_default();
                let Some((node, _)) = self.nodes.iter().find(|(it, _)| interface(it) == to) else {
                    return Answer("404 Not Found", String::new());
                };
                state.leads.clone_from(node);
                self.follow(node);
                Answer("200 OK", REPLACED.to_owned())
            }
            _ => Answer("404 Not Found", String::new()),
        }
    }

    /// The router leads to that node.
    fn follow(&self, node: &str) {
        let via = format!("10.77.0.{}", number(node));
        let words = ["route", "replace", &format!("{OVERLAY}/32"), "via", &via];
        said(&self.router, "ip", &words).expect("a route");
    }
}

fn number(node: &str) -> &str {
    node.trim_start_matches("node")
}

fn instance(node: &str) -> String {
    format!("i-{:0>17}", number(node))
}

fn interface(node: &str) -> String {
    format!("eni-{:0>17}", number(node))
}

fn key(node: &str) -> String {
    format!("ASIA{}", node.to_uppercase())
}
