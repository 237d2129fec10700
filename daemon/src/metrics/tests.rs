//! The text of a cluster on paper.

#[path = "../../tests/it/metrics/parser.rs"]
mod parser;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{Epoch, Index, NodeId, ServiceId};
use stead_core::notice::Notice;
use stead_core::state::{Cause, Incident, Moved, Reached, Stage};
use stead_core::time::{Instant, Span};
use tokio::sync::watch;

use super::family::{ALL, Family};
use super::tally::Tally;
use super::*;
use crate::api::tests::{CLUSTER, change_state, driver, journal, picture, silence};
use crate::driver::view::View;
use parser::{Exposition, parse};

const TABLE: &str = include_str!("../../../docs/reference/metrics.md");

fn exposed(view: &View, tally: &Tally) -> Exposition {
    let text = expose::expose(view, &report::status(view, &[]), tally);
    parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `web` moved to node1 because node3 fell silent.
fn move_web(view: &mut View) {
    let web = ServiceId::from("web");
    change_state(view, |state| {
        state.incident_count += 1;
        let stage = |reached, ms, service| Stage {
            node: NodeId(1),
            service,
            reached,
            after: Span::from_millis(ms),
            detail: String::new(),
        };
        state.incidents.push_back(Incident {
            number: state.incident_count,
            index: Index(9),
            node: NodeId(3),
            cause: Cause::Silent,
            moved: vec![Moved { service: web.clone(), to: Some(NodeId(1)), epoch: Epoch(9) }],
            stages: vec![
                stage(Reached::Proven, 392, None),
                stage(Reached::Verified, 633, Some(web.clone())),
                stage(Reached::Claimed, 396, Some(web)),
            ],
        });
    });
}

/// The row that the book has for a family.
fn row(family: &Family) -> String {
    let labels: Vec<_> = family.labels.iter().map(|it| format!("`{it}`")).collect();
    let (name, kind, help) = (family.name, family.kind.name(), family.help);
    format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
}

#[test]
fn the_book_has_every_family_and_no_other() {
    let rows: Vec<_> = TABLE.lines().filter(|line| line.starts_with("| `stead_")).collect();
    let declared: Vec<_> = ALL.iter().map(row).collect();
    assert_eq!(rows, declared, "docs/reference/metrics.md, in the order of the declarations");
}

#[test]
fn the_book_has_every_kind_of_notice_with_its_message_id() {
    let row = |it: &notice::Kind| format!("| `{}` | `{}` |", it.name, it.id);
    let rows: Vec<_> = TABLE
        .lines()
        .filter(|line| line.len() > 40 && line.starts_with("| `") && line.ends_with("` |"))
        .collect();
    let declared: Vec<_> = notice::KINDS.iter().map(row).collect();
    assert_eq!(rows, declared, "docs/reference/metrics.md, in the order of the declarations");
}

#[test]
fn names_follow_the_conventions() {
    for Family { name, kind, .. } in ALL {
        let word = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.starts_with("stead_") && name.chars().all(word), "{name}");
        assert_eq!(name.ends_with("_total"), kind.name() == "counter", "{name}");
        assert!(!name.contains("milli") && !name.ends_with("_ms"), "{name}");
    }
}

#[test]
fn a_whole_cluster_as_one_of_its_nodes_sees_it() {
    let mut view = picture(CLUSTER, 3);
    let mut tally = Tally::default();
    tally.look(&view);
    move_web(&mut view);
    tally.look(&view);
    tally.notice(&Notice::LeaseLost);
    let text = exposed(&view, &tally);
    assert_eq!(text.value("stead_protected", &[]), Some(1.0));
    assert_eq!(text.value("stead_node_info", &[("cluster", "shop"), ("node", "node1")]), Some(1.0));
    assert_eq!(text.value("stead_voters_spare", &[]), Some(1.0));
    assert_eq!(text.value("stead_lease_held", &[]), Some(1.0));
    assert_eq!(text.value("stead_service_here", &[("service", "web")]), Some(1.0));
    assert_eq!(text.value("stead_service_here", &[("service", "db")]), Some(0.0));
    assert_eq!(text.value("stead_service_last_outage_seconds", &[("service", "web")]), Some(0.633));
    assert_eq!(text.value("stead_service_last_outage_seconds", &[("service", "db")]), None);
    assert_eq!(text.value("stead_moves_total", &[("cause", "silent")]), Some(1.0));
    assert_eq!(text.value("stead_moves_total", &[("cause", "planned")]), Some(0.0));
    assert_eq!(text.value("stead_service_moves_total", &[("service", "web")]), Some(1.0));
    assert_eq!(text.value("stead_notices_total", &[("notice", "lease-lost")]), Some(1.0));
    let link = [("peer", "node2"), ("link", "lan")];
    assert_eq!(text.value("stead_link_silence_seconds", &link), Some(0.009));
    assert_eq!(text.value("stead_peer_round_trip_seconds", &[("peer", "node3")]), Some(0.00035));
    assert_eq!(text.value("stead_peer_round_trip_seconds", &[("peer", "node1")]), None);
    let gate = [("form", "nftables")];
    assert_eq!(text.value("stead_gate_info", &gate), Some(1.0));
}

#[test]
fn a_silent_node_is_seen_as_one() {
    let mut view = picture(CLUSTER, 3);
    silence(&mut view, 3, Span::from_millis(5_000));
    let text = exposed(&view, &Tally::default());
    assert_eq!(text.value("stead_protected", &[]), Some(0.0));
    let state = |state| text.value("stead_node_state", &[("node", "node3"), ("state", state)]);
    assert_eq!((state("suspect"), state("in-view")), (Some(1.0), Some(0.0)));
    let link = [("peer", "node3"), ("link", "lan")];
    assert_eq!(text.value("stead_link_up", &link), Some(0.0));
    assert_eq!(text.value("stead_link_silence_seconds", &link), Some(5.0));
    // What can't be known now has no sample.
    assert_eq!(text.value("stead_peer_hears_us", &[("peer", "node3")]), None);
}

#[test]
fn without_its_guard_a_node_shows_no_numbers_of_it() {
    let mut view = picture(CLUSTER, 3);
    (view.report, view.guard) = (None, None);
    let text = exposed(&view, &Tally::default());
    assert_eq!(text.value("stead_guard_connected", &[]), Some(0.0));
    assert_eq!(text.value("stead_lease_held", &[]), Some(0.0));
    for unknown in ["stead_clock_distrusted", "stead_gate_slack_seconds", "stead_gate_info"] {
        assert!(text.names().iter().all(|(name, ..)| name != unknown), "{unknown}");
    }
}

#[test]
fn each_incident_counts_once_and_those_of_former_runs_not_at_all() {
    let mut view = picture(CLUSTER, 3);
    let mut tally = Tally::default();
    move_web(&mut view);
    view.ready = false;
    tally.look(&view);
    move_web(&mut view);
    view.ready = true;
    tally.look(&view);
    assert_eq!(tally.moves("web"), 0, "it was applied while catching up");
    let older = view.clone();
    move_web(&mut view);
    for _ in 0..3 {
        tally.look(&view);
        tally.look(&older);
    }
    assert_eq!(tally.moves("web"), 1);
}

#[test]
fn a_name_can_not_break_out_of_its_line() {
    let mut view = picture(CLUSTER, 3);
    let gate = "a\"} 1\nstead_protected 0\n\\";
    view.guard.as_mut().unwrap().gate = gate.to_owned();
    let text = exposed(&view, &Tally::default());
    assert_eq!(text.value("stead_gate_info", &[("form", gate)]), Some(1.0));
    assert_eq!(text.value("stead_protected", &[]), Some(1.0));
}

/// Metrics over HTTP at a port of the loopback; gone with it.
struct Served {
    address: std::net::SocketAddr,
    journal: Journal,
    metrics: Metrics,
    ending: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Served {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = listen::Address::read(&free.to_string(), false).unwrap();
        let (ending, ended) = watch::channel(false);
        let metrics = runtime.block_on(async {
            let (handle, _) = driver(picture(CLUSTER, 3));
            let metrics = Metrics::start(handle, journal.clone());
            tokio::spawn(listen::serve(address, metrics.clone(), ended));
            metrics
        });
        Self { address: free, journal, metrics, ending, runtime, _folder: folder }
    }

    /// A connection, as soon as somebody listens.
    fn connect(&self) -> TcpStream {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    return stream;
                }
                Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that comes back until the connection ends.
    fn says(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // It may have seen enough before it has seen all.
        let _cut = stream.write_all(request);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: node1\r\n\r\n";

#[test]
fn http_has_the_same_text() {
    let served = Served::new();
    let answer = served.says(GET);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("content-type: {CONTENT_TYPE}")), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    let http = parse(body).unwrap();
    let asked = parse(&served.metrics.text()).unwrap();
    assert_eq!(http.names(), asked.names());
    let head = served.says(b"HEAD /metrics HTTP/1.1\r\nHost: node1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn there_is_nothing_else_to_be_had() {
    let served = Served::new();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("GET /metrics/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", "405"),
        ("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", "400"),
        ("GET /metrics HTTP/9.9\r\n\r\n", "400"),
    ] {
        let answer = served.says(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(!answer.contains("stead_"), "{request:?}: {answer}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(!served.says(long.as_bytes()).contains("200 OK"));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    assert!(!served.says(many.as_bytes()).contains("200 OK"));
    assert!(served.says(GET).contains("200 OK"));
}

#[test]
fn those_who_say_nothing_are_cut_off_and_others_get_their_turn() {
    let served = Served::new();
    // More than there are places: some say nothing, some begin and never go on.
    let slow: Vec<_> = (0..12)
        .map(|number| {
            let mut stream = served.connect();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
            }
            stream
        })
        .collect();
    assert!(served.says(GET).contains("200 OK"));
    drop(slow);
    // All the while whoever asks within the process was answered.
    assert!(parse(&served.metrics.text()).is_ok());
}

#[test]
fn what_the_journal_is_told_is_counted() {
    let served = Served::new();
    for _ in 0..3 {
        served.journal.write(Instant(1), &Notice::LeaseLost);
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let lost = || {
        let text = parse(&served.metrics.text()).unwrap();
        text.value("stead_notices_total", &[("notice", "lease-lost")])
    };
    while lost() != Some(3.0) {
        assert!(std::time::Instant::now() < deadline, "{:?}", lost());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_ends_when_it_is_told_to_and_nobody_counts_for_nobody() {
    let served = Served::new();
    assert!(served.says(GET).contains("200 OK"));
    let Served { address, journal, metrics, ending, runtime, _folder } = served;
    ending.send_replace(true);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "it still listens");
        std::thread::sleep(Duration::from_millis(5));
    }
    let weak = Arc::downgrade(&metrics.0);
    drop(metrics);
    while weak.upgrade().is_some() {
        assert!(std::time::Instant::now() < deadline, "somebody holds it");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop((runtime, journal));
}
