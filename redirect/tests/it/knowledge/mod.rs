//! Documents over real connections, in the words of HTTP and in pieces.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use stead_edge::private::Secret;
use stead_redirect::knowledge::{
    Cluster, Document, Envelope, Key, Order, Shelf, Stamp, VERSION, Whereabouts, serve_on,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Long enough for a machine that is busy with everything else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const CLUSTER: &str = "00112233445566778899aabbccddeeff";

pub(crate) fn key() -> Arc<Key> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    Arc::new(Key::new(any_supported_type(&der).expect("it signs")).expect("a key"))
}

/// What is said of service `web`: on which node, at which address, and when in the log.
pub(crate) fn document(node: &str, address: &str, sequence: u64) -> Document {
    let now = Stamp::now();
    Document {
        version: VERSION,
        cluster: Cluster { id: CLUSTER.to_owned(), name: "shop".to_owned() },
        service: "web".to_owned(),
        order: Order { epoch: 1, sequence, issued: now },
        state: Whereabouts::Here,
        node: Some(node.to_owned()),
        site: None,
        addresses: vec![address.parse().expect("an address")],
        names: Vec::new(),
        valid_until: now.after(Duration::from_secs(3_600)),
        signers: Vec::new(),
    }
}

pub(crate) fn signed(document: &Document, key: &Key) -> Envelope {
    Envelope::sign(document, key).expect("it is signed")
}

/// A node that hands out documents. It ends with this.
pub(crate) struct Node {
    pub(crate) at: SocketAddr,
    pub(crate) shelf: Shelf,
    ending: watch::Sender<bool>,
    serves: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(token: Option<Secret>) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), token).await
    }

    pub(crate) async fn start_at(at: SocketAddr, token: Option<Secret>) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let at = listener.local_addr().expect("its address");
        let (shelf, (ending, ends)) = (Shelf::new(), watch::channel(false));
        let serves = tokio::spawn(serve_on(listener, token, shelf.clone(), ends));
        Self { at, shelf, ending, serves }
    }

    pub(crate) async fn says(self, envelope: Envelope) -> Self {
        self.shelf.put(envelope).expect("it is news");
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Ends; its port is free then.
    pub(crate) async fn end(self) {
        self.ending.send_replace(true);
        self.serves.await.expect("it ends");
    }
}

/// Sends text, and reads until the other end closes.
async fn talk(at: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(PATIENCE, read).await.expect("it ends").expect("text");
    answer
}

async fn get(at: SocketAddr, path: &str, headers: &str) -> String {
    talk(at, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await
}

/// Reads until a piece of text came.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = Vec::new();
    let mut part = [0; 4_096];
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let read = timeout(PATIENCE, stream.read(&mut part)).await.expect("more comes");
        let length = read.expect("it is read");
        assert_ne!(length, 0, "it ended: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&part[..length]);
    }
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn a_node_says_where_services_are() {
    let key = key();
    let envelope = signed(&document("node1", "10.0.0.1", 1), &key);
    let node = Node::start(None).await.says(envelope.clone()).await;
    let list = get(node.at, "/where", "").await;
    assert!(list.starts_with("HTTP/1.1 200") && list.contains("application/json"), "{list}");
    assert!(list.contains("\"service\":\"web\"") && list.contains("\"sequence\":1"), "{list}");
    let one = get(node.at, "/where/web", "").await;
    assert!(one.ends_with(envelope.text()), "{one}");
    let tag = format!("etag: \"{}\"", envelope.tag());
    assert!(one.contains(&tag), "{one}");
    for known in [format!("\"{}\"", envelope.tag()), format!("\"x\", W/\"{}\"", envelope.tag())] {
        let same = get(node.at, "/where/web", &format!("If-None-Match: {known}\r\n")).await;
        assert!(same.starts_with("HTTP/1.1 304") && !same.contains("stead-where"), "{same}");
    }
    let other = get(node.at, "/where/web", "If-None-Match: \"x\"\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    let head = talk(node.at, "HEAD /where/web HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("stead-where"), "{head}");
    for path in ["/where/mail", "/where/mail/stream", "/", "/where/../x", "/where/web/other"] {
        let none = get(node.at, path, "").await;
        assert!(none.starts_with("HTTP/1.1 404"), "{path}: {none}");
    }
    let post = talk(node.at, "POST /where/web HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
}

#[tokio::test]
async fn a_stream_tells_what_is_and_what_comes() {
    let key = key();
    let first = signed(&document("node1", "10.0.0.1", 1), &key);
    let node = Node::start(None).await.says(first.clone()).await;
    let mut stream = TcpStream::connect(node.at).await.expect("a connection");
    stream.write_all(b"GET /where/web/stream HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let text = read_until(&mut stream, &first.tag()).await;
    assert!(text.contains("text/event-stream"), "{text}");
    let second = signed(&document("node2", "10.0.0.2", 2), &key);
    node.shelf.put(second.clone()).expect("news");
    read_until(&mut stream, &second.tag()).await;
    // Nothing new comes, so that it is seen to live by its heartbeat.
    read_until(&mut stream, "\n:\n\n").await;
    assert!(node.shelf.remove("web"));
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut rest));
    read.await.expect("it ends with its service").expect("it is read");
}

#[tokio::test]
async fn without_the_token_nothing_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "open sesame\n").expect("a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
    let token = Secret::read(&path).expect("a secret");
    let envelope = signed(&document("node1", "10.0.0.1", 1), &key());
    let node = Node::start(Some(token)).await.says(envelope).await;
    let wrong = [
        "",
        "Authorization: Bearer open sesam\r\n",
        "Authorization: Bearer open sesame \u{e9}\r\n",
        "Authorization: Basic open sesame\r\n",
        "Authorization: Bearer\r\n",
    ];
    for headers in wrong {
        for path in ["/where", "/where/web", "/where/web/stream", "/nothing"] {
            let refused = get(node.at, path, headers).await;
            assert!(refused.starts_with("HTTP/1.1 401"), "{headers}{path}: {refused}");
            assert!(!refused.contains("sesame") && !refused.contains("node1"), "{refused}");
        }
    }
    let told = get(node.at, "/where/web", "Authorization: bearer open sesame\r\n").await;
    assert!(told.contains("node1"), "{told}");
}

#[tokio::test]
async fn who_says_nonsense_or_nothing_is_sent_away() {
    let envelope = signed(&document("node1", "10.0.0.1", 1), &key());
    let node = Node::start(None).await.says(envelope).await;
    let long = format!("GET /where/web HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(60_000));
    for (nonsense, status) in [
        ("GARBAGE\r\n\r\n", "400"),
        (long.as_str(), "431"),
        (&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)), "431"),
    ] {
        let mut stream = TcpStream::connect(node.at).await.expect("a connection");
        // It may be sent away while it still speaks.
        let _ = stream.write_all(nonsense.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.contains(status), "{answer}");
    }
    // Whoever begins and does not go on does not keep its place.
    let begun = talk(node.at, "GET /where/web HTTP/1.1\r\nHos").await;
    assert!(!begun.contains("200 OK"), "{begun}");
    // Others are served meanwhile and afterwards.
    assert!(get(node.at, "/where/web", "").await.contains("node1"));
    node.end().await;
}
