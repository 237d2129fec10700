//! The network of these tests: a switch, the server's host, and hosts of nodes and strangers.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use stead::quorum_client::{ClientOptions, EnrolError, Link, QuorumClient, enrol};
use stead::quorum_server::token::EnrolToken;
use stead::quorum_server::wire::{Members, Reply, ToServer};
use stead_core::id::{ClusterId, Index};
use stead_core::quorum::ask::{Answer, Question, Standing};
use stead_core::state::QuorumServer;
use stead_lab::{Host, LinkSpec, Process, Switch};
use stead_log::transport::{ClientStream, Identity, KeyHash, Tls, read_bytes, write_bytes};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::cluster::{Must, stead};

/// How long anything is waited for; the machine is busy.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The port of the server.
pub const PORT: u16 = 7745;
/// The longest frame that a test reads.
const FRAME: usize = 16 << 10;

/// Waits for a condition.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server on its host, and a switch for all others.
pub struct Bed {
    lab: stead_lab::Bed,
    switch: Switch,
    host: Host,
    folder: TempDir,
    arguments: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Bed {
    /// A server that runs, with these arguments beside its folder.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let lab = stead_lab::Bed::new(name).must();
        let switch = lab.switch("lan").must();
        let host = lab.host("server").must();
        connect(&lab, &switch, &host, 9);
        let arguments = arguments.iter().map(|&it| it.to_owned()).collect();
        let folder = tempfile::tempdir().must();
        let bed = Self { lab, switch, host, folder, arguments, process: Mutex::default() };
        bed.run();
        bed
    }

    /// The server's host.
    pub fn server_host(&self) -> &Host {
        &self.host
    }

    /// The server's folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A file beside it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server, and waits until it answers its operator.
    pub fn run(&self) {
        let mut command = Command::new(stead());
        command.args(["quorum-server", "run", "--dir"]).arg(self.folder()).args(&self.arguments);
        let process = self.host.spawn(command, &self.file("log")).must();
        *self.process.lock().expect("the lock") = Some(process);
        until("the server answers", || self.operator(&["list"]).status.success());
    }

    /// Its process.
    pub fn process(&self) -> Process {
        self.process.lock().expect("the lock").clone().expect("it runs")
    }

    /// Ends it, as a power cut would, if its disk kept what it was told to.
    pub fn kill(&self) {
        self.process().kill().must();
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.process().signal(Signal::SIGTERM).must();
        let ended = self.process().wait(PATIENCE).must().expect("it ends");
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).must()
    }

    /// Runs a command of its operator.
    pub fn operator(&self, words: &[&str]) -> Output {
        let mut command = Command::new(stead());
        command.arg("quorum-server").args(words).arg("--dir").arg(self.folder());
        command.output().must()
    }

    /// The output of one that succeeds.
    #[track_caller]
    pub fn told(&self, words: &[&str]) -> String {
        let output = self.operator(words);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{words:?}: {out}{err}");
        out
    }

    /// The words of one that is refused.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) -> String {
        let output = self.operator(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// The answer of one in JSON.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.told(&words)).must()
    }

    /// What `show` has of a cluster.
    #[track_caller]
    pub fn show(&self, cluster: ClusterId) -> Value {
        self.json(&["show", &cluster.to_string()])
    }

    /// A new token.
    #[track_caller]
    pub fn token(&self, words: &[&str]) -> EnrolToken {
        let words: Vec<&str> = ["enrol"].iter().chain(words).copied().collect();
        self.told(&words).parse().must()
    }

    /// A new host at that octet, on both families.
    pub fn host(&self, name: &str, octet: u8) -> Host {
        let host = self.lab.host(name).must();
        connect(&self.lab, &self.switch, &host, octet);
        host
    }

    /// A node with a key of its own on a host of its own.
    pub fn node(&self, octet: u8) -> Node {
        Node::on(self.host(&format!("node{octet}"), octet))
    }

    /// Frames to and from that host are dropped, or pass again.
    pub fn cut(&self, host: &Host, cut: bool) {
        if cut { self.lab.cut(host).must() } else { self.lab.heal(host).must() }
    }

    /// Nodes 1 and 2 of a cluster that is enrolled and trusted, with its newest number at zero.
    pub fn pair(&self, cluster: ClusterId) -> (Node, Node) {
        let (one, two) = (self.node(1), self.node(2));
        let members = members(1, &[&one, &two]);
        let (server, _) = one.enrol(&self.token(&[]), cluster, "shop", members).must();
        for node in [&one, &two] {
            node.connect(server.clone(), cluster);
        }
        let heard = one.ask(super::hear(0));
        let trusted = one.ask(super::trust(&heard, 0));
        assert_eq!(trusted.standing.distrusted, None);
        (one, two)
    }
}

fn connect(lab: &stead_lab::Bed, switch: &Switch, host: &Host, octet: u8) {
    let (four, six) = (format!("10.78.0.{octet}"), format!("fd78::{octet}"));
    let spec = LinkSpec::new("eth0").addr(four.parse().must(), 24).addr(six.parse().must(), 64);
    lab.connect(host, switch, spec).must();
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where the server is.
pub fn server() -> SocketAddr {
    SocketAddr::new("10.78.0.9".parse().must(), PORT)
}

/// These nodes, as members since that position.
pub fn members(at: u64, nodes: &[&Node]) -> Members {
    Members { at: Index(at), keys: nodes.iter().map(|node| node.identity.key()).collect() }
}

/// A host with a runtime whose sockets are made there, and a key.
pub struct Node {
    pub host: Host,
    pub identity: Identity,
    _keys: TempDir,
    runtime: Handle,
    /// Ends the runtime when dropped.
    _end: oneshot::Sender<()>,
    client: Mutex<Option<std::sync::Arc<QuorumClient>>>,
}

impl Node {
    /// On that host.
    pub fn on(host: Host) -> Self {
        let keys = tempfile::tempdir().must();
        let identity = Identity::generate(keys.path()).must();
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let there = host.clone();
        std::thread::spawn(move || {
            let serve = move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build().must();
                tell.send(runtime.handle().clone()).must();
                // An error means that the node was dropped.
                let _dropped = runtime.block_on(ended);
            };
            // The bed may be gone first.
            let _ended = there.run(serve);
        });
        let runtime = told.recv().must();
        let client = Mutex::default();
        Self { host, identity, _keys: keys, runtime, _end: end, client }
    }

    /// Runs something on the host.
    pub fn on_host<T: Send + 'static>(&self, act: impl Future<Output = T> + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.runtime.spawn(async move {
            let done = act.await;
            let _gone = tell.send(done);
        });
        told.recv_timeout(PATIENCE).expect("it comes to an end")
    }

    /// Has something run on the host until the node goes.
    pub fn spawn(&self, act: impl Future<Output = ()> + Send + 'static) {
        // It ends with the runtime.
        drop(self.runtime.spawn(act));
    }

    /// Shows a token.
    pub fn enrol(
        &self,
        token: &EnrolToken,
        cluster: ClusterId,
        name: &str,
        members: Members,
    ) -> Result<(QuorumServer, Standing), EnrolError> {
        let (token, identity) = (token.clone(), self.identity.clone());
        let name = name.to_owned();
        self.on_host(
            async move { enrol(&token, &identity, cluster, &name, members, PATIENCE).await },
        )
    }

    /// Begins to keep a connection.
    pub fn connect(&self, server: QuorumServer, cluster: ClusterId) {
        let options = ClientOptions { identity: self.identity.clone(), server, cluster };
        let client = self.on_host(async { QuorumClient::start(options) }).must();
        *self.client.lock().expect("the lock") = Some(std::sync::Arc::new(client));
    }

    /// The client.
    pub fn client(&self) -> std::sync::Arc<QuorumClient> {
        self.client.lock().expect("the lock").clone().expect("it is connected")
    }

    /// Asks, and is answered or not.
    pub fn try_ask(
        &self,
        question: Question,
        members: Option<Members>,
        within: Duration,
    ) -> Result<Answer, stead::quorum_client::Unanswered> {
        let client = self.client();
        self.on_host(async move { client.ask(question, members, within).await })
    }

    /// Asks, and is answered.
    #[track_caller]
    pub fn ask(&self, question: Question) -> Answer {
        self.try_ask(question, None, PATIENCE).must()
    }

    /// Why it is not connected, in words; nothing if it is.
    pub fn trouble(&self) -> String {
        match self.client().link() {
            Link::Up { .. } => String::new(),
            Link::Down { why, .. } => why.to_string(),
        }
    }

    /// Waits until it is connected.
    #[track_caller]
    pub fn wait_up(&self) {
        until("connected", || self.trouble().is_empty());
    }

    /// Waits until it is not, for that reason.
    #[track_caller]
    pub fn wait_down(&self, why: &str) {
        until(why, || self.trouble().contains(why));
    }
}

/// One connection by hand: it says whatever a test wants.
pub struct Stranger(ClientStream);

impl Stranger {
    /// Connects with that key, as far as the handshake.
    pub async fn connect(identity: Identity, to: SocketAddr, key: KeyHash) -> Self {
        let tls = Tls::new(&identity).must();
        let tcp = TcpStream::connect(to).await.must();
        Self(tls.connect(tcp, to.ip(), key).await.must())
    }

    /// Sends a frame.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        write_bytes(&mut self.0, bytes).await.is_ok()
    }

    /// The next answer; nothing if the connection is over.
    pub async fn next(&mut self) -> Option<Reply> {
        let frame = tokio::time::timeout(PATIENCE, read_bytes(&mut self.0, FRAME)).await;
        Reply::read(&frame.expect("an end in time").ok()?).ok()
    }

    /// Asks and is answered; nothing if the connection is over.
    pub async fn ask(&mut self, asked: &ToServer) -> Option<Reply> {
        if self.send(&asked.write()).await { self.next().await } else { None }
    }

    /// The stream itself.
    pub fn stream(&mut self) -> &mut ClientStream {
        &mut self.0
    }
}

/// Whether nobody but the owner may read that file.
pub fn is_secret(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).must().permissions().mode() & 0o077 == 0
}
