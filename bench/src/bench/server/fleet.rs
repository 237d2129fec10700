//! The server on its host, and the hosts of its clients around it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use stead::api::client::{Client, Whom};
use stead::quorum_server::{AdminRequest, DEFAULT_PORT, EnrolAnswer, socket};
use stead_lab::{Bed, Host, LinkSpec, Process};

use super::orders::Worker;
use crate::error::{BenchError, Step};
use crate::measure::{Usage, of_process};
use crate::tools::{Folder, PATIENCE, Tools};

/// Where the server's host shows its counters.
const METRICS: &str = "127.0.0.1:9818";
/// A token has to last for a bench.
const TTL_S: u64 = 4 * 3_600;
/// Operators that ask for tokens at once: they share durable writes.
const OPERATORS: usize = 8;
/// Hosts are numbered from here on.
const FIRST: usize = 16;

/// The bed. Everything in it ends when it is dropped.
pub struct Fleet {
    // first the processes end, then their folder goes
    _bed: Bed,
    host: Host,
    server: Process,
    pub workers: Vec<Worker>,
    folder: Folder,
    tools: Tools,
}

fn address(number: usize) -> IpAddr {
    let [.., high, low] = (number as u64).to_be_bytes();
    Ipv4Addr::new(10, 79, high, low).into()
}

fn folder_of(folder: &Folder) -> PathBuf {
    folder.path().join("state")
}

impl Fleet {
    /// A server over the registers in `folder`, and hosts of clients around it.
    pub fn build(tools: &Tools, folder: Folder, processes: usize) -> Result<Self, BenchError> {
        let bed = Bed::new("bench-server")?;
        let lan = bed.switch("lan")?;
        let host = bed.host("server")?;
        let link = |number| LinkSpec::new("eth0").addr(address(number), 16);
        bed.connect(&host, &lan, link(1))?;
        let server = start(tools, &host, &folder)?;
        let orders = folder.path().join("orders.sock");
        let listener = UnixListener::bind(&orders).step(|| "cannot give orders".to_owned())?;
        let mut workers = Vec::new();
        for number in 0..processes {
            let place = bed.host(&format!("nodes{number}"))?;
            bed.connect(&place, &lan, link(FIRST + number))?;
            let command = tools.part(&["clients", &orders.display().to_string()]);
            place.spawn(command, &folder.path().join("clients.log"))?;
            workers.push(Worker::next(tools, &listener)?);
        }
        let fleet = Self { _bed: bed, host, server, workers, folder, tools: tools.clone() };
        fleet.answers()?;
        Ok(fleet)
    }

    /// Waits until the server answers its operator.
    fn answers(&self) -> Result<(), BenchError> {
        let socket = socket(&folder_of(&self.folder));
        let what = "the quorum server answers its operator";
        self.tools.wait_until(what, PATIENCE, || {
            let asked = Client::connect_to(Whom::QuorumServer, &socket)
                .and_then(|mut it| it.ask::<serde_json::Value>(&AdminRequest::List));
            Ok(asked.is_ok())
        })
    }

    /// The folder of the registers.
    pub fn registers(&self) -> PathBuf {
        folder_of(&self.folder)
    }

    /// What the server has used.
    pub fn usage(&self) -> Result<Usage, BenchError> {
        of_process(self.server.pid())
    }

    /// Ends the server as a power cut would; the clients lose it at once.
    pub fn kill(&self) -> Result<(), BenchError> {
        Ok(self.server.kill()?)
    }

    /// Starts it again.
    pub fn restart(&mut self) -> Result<(), BenchError> {
        self.server = start(&self.tools, &self.host, &self.folder)?;
        Ok(())
    }

    /// Asks the server to end, so that it writes what it may still have to write.
    pub fn stop(&self) -> Result<(), BenchError> {
        self.server.signal(Signal::SIGTERM)?;
        self.server.wait(PATIENCE)?;
        Ok(())
    }

    /// So many tokens.
    pub fn tokens(&self, count: usize) -> Result<Vec<String>, BenchError> {
        let socket = socket(&self.registers());
        let own = count.div_ceil(OPERATORS);
        let shares = (0..OPERATORS).map(|at| own.min(count.saturating_sub(at * own)));
        let operators: Vec<_> = std::thread::scope(|scope| {
            let socket = &socket;
            let asking = shares.map(|share| scope.spawn(move || some_tokens(socket, share)));
            // all of them begin before the first is waited for
            let asking: Vec<_> = asking.collect();
            asking.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut all = Vec::new();
        for tokens in operators {
            let ended = tokens.map_err(|_panic| std::io::Error::other("a thread panicked"));
            all.extend(ended.step(|| "cannot get tokens".to_owned())??);
        }
        Ok(all)
    }

    /// One of the server's counters.
    pub fn counter(&self, name: &str) -> Result<f64, BenchError> {
        let text = self.host.run(|| {
            let mut stream = TcpStream::connect(METRICS)?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        })?;
        let text = text.step(|| "cannot read the server's metrics".to_owned())?;
        let name = format!("stead_quorum_server_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        let value = line.and_then(|value| value.trim().parse().ok());
        value.ok_or_else(|| BenchError::Nothing(format!("the metrics lack {name}")))
    }
}

fn some_tokens(socket: &Path, count: usize) -> Result<Vec<String>, BenchError> {
    let refused = |error: &dyn std::error::Error| BenchError::Nothing(format!("no token: {error}"));
    let client = Client::connect_to(Whom::QuorumServer, socket);
    let mut client = client.map_err(|error| refused(&error))?;
    let addresses = vec![SocketAddr::new(address(1), DEFAULT_PORT)];
    let request = AdminRequest::Enrol { name: None, seconds: TTL_S, addresses };
    let token = |_| client.ask(&request).map(|answer: EnrolAnswer| answer.token);
    (0..count).map(token).collect::<Result<_, _>>().map_err(|error| refused(&error))
}

/// A few hosts play thousands: what an address may have is not what is measured.
fn start(tools: &Tools, host: &Host, folder: &Folder) -> Result<Process, BenchError> {
    let mut command = Command::new(&tools.stead);
    command.args(["quorum-server", "run", "--connections", "100000"]);
    command.args(["--connections-per-address", "100000", "--metrics", METRICS]);
    command.arg("--dir").arg(folder_of(folder));
    Ok(host.spawn(command, &folder.path().join("server.log"))?)
}
