//! A power strip with an outlet for each node, behind HTTP on the client's host: a fence device
//! that really switches nodes of a fleet off and on.
//!
//! It stands where the client stands, on a network that carries no heartbeats: nodes that are cut
//! off from each other still reach it, as two machines in one rack reach their power strip.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use stead_lab::prober::now;
use stead_linux::durable::write_atomically;

use super::error::{FleetError, Step};
use super::{Family, Fleet, client_address};

/// Where it listens.
const PORT: u16 = 8901;
/// What who asks it has to say.
const SECRET: &str = "Bearer outlet-secret";
/// Where that stands, in a folder of the trial's.
const SECRET_FILE: &str = "strip-secret";
/// How long a machine takes until its programs start: longer than what has to be decided meanwhile,
/// as with every real one.
const BOOT: Duration = Duration::from_secs(1);
/// For how long it waits for somebody's next bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// How an outlet behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// It does what it is asked and tells the truth.
    Good,
    /// It refuses everything.
    Refuses,
    /// It does nothing and says that it did.
    Lies,
    /// It never answers.
    Hangs,
}

/// What an outlet was asked, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// When it was done, in microseconds of the clock that the client counts by.
    pub at: u64,
    /// `off` or `on`.
    pub action: String,
    /// Which node.
    pub node: String,
}

/// A power strip that listens for as long as what is done beside it.
pub struct PowerStrip<'a> {
    fleet: &'a Fleet,
    end: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    outlets: BTreeMap<String, Outlet>,
    off: BTreeSet<String>,
    /// Nodes whose cables to the others stay cut when they boot.
    apart: BTreeSet<String>,
    done: Vec<Switched>,
    failed: Option<String>,
}

#[derive(Deserialize)]
struct Question {
    action: String,
    plug: Option<String>,
}

/// The tables of a configuration that name it, with its secret in that folder. `[nodes.NAME]` then
/// has `fence = ["strip:NAME"]`.
#[must_use]
pub fn strip_table(folder: &Path) -> String {
    let at = SocketAddr::new(client_address(Family::V4), PORT);
    let secret = folder.join(SECRET_FILE);
    format!(
        "\n[fencing.devices.strip]\nwebhook = \"http://{at}/outlets\"\nsecret = {secret:?}\n\
         timeout = \"5s\"\nretries = 0\n"
    )
}

impl<'a> PowerStrip<'a> {
    /// Runs something beside a strip that listens. Its secret is written into that folder.
    ///
    /// # Errors
    /// It can't listen.
    pub fn beside<T>(
        fleet: &'a Fleet,
        folder: &Path,
        act: impl FnOnce(&Self) -> T,
    ) -> Result<T, FleetError> {
        let at = SocketAddr::new(client_address(Family::V4), PORT);
        let written = write_atomically(&folder.join(SECRET_FILE), SECRET.as_bytes(), 0o600);
        written.map_err(io::Error::other).step(|| "cannot write the strip's secret".to_owned())?;
        let bound = fleet.client().run(move || TcpListener::bind(at))?;
        let listener = bound.step(|| format!("the strip can't listen at {at}"))?;
        let strip = Self { fleet, end: AtomicBool::new(false), inner: Mutex::default() };
        Ok(thread::scope(|scope| {
            scope.spawn(|| strip.listen(scope, &listener));
            // However it ends, the thread has to.
            let end = End { strip: &strip, at };
            let done = act(&strip);
            drop(end);
            done
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an outlet behave so from now on.
    pub fn make(&self, node: &str, outlet: Outlet) {
        self.inner().outlets.insert(node.to_owned(), outlet);
    }

    /// Has a node's cables to the others stay cut when it is switched on, or not any more.
    pub fn keep_apart(&self, node: &str, apart: bool) {
        let mut inner = self.inner();
        if apart {
            inner.apart.insert(node.to_owned())
        } else {
            inner.apart.remove(node)
        };
    }

    /// All that was switched so far, oldest first.
    #[must_use]
    pub fn switched(&self) -> Vec<Switched> {
        self.inner().done.clone()
    }

    /// Why a node could not be switched, if that ever happened.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.inner().failed.clone()
    }

    fn listen<'scope>(&'scope self, scope: &'scope thread::Scope<'scope, '_>, from: &TcpListener) {
        for stream in from.incoming() {
            if self.end.load(Ordering::Acquire) {
                return;
            }
            let Ok(stream) = stream else { continue };
            // Who goes away in the middle of it has asked nothing.
            scope.spawn(|| drop(self.answer(stream)));
        }
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let (head, question) = read(&mut stream)?;
        if !head.to_lowercase().contains(&format!("authorization: {}", SECRET.to_lowercase())) {
            return say(&mut stream, "403 Forbidden", "who are you?");
        }
        let node = question.plug.unwrap_or_default();
        let outlet = self.inner().outlets.get(&node).copied().unwrap_or(Outlet::Good);
        match outlet {
            Outlet::Refuses => return say(&mut stream, "503 Service Unavailable", "out of order"),
            Outlet::Hangs => {
                let mut none = [0];
                // Until who asks has had enough.
                return stream.read(&mut none).map(drop);
            }
            Outlet::Good | Outlet::Lies => {}
        }
        if question.action != "status" {
            self.switch(&node, &question.action, outlet);
        }
        let state = if self.inner().off.contains(&node) { "off" } else { "on" };
        say(&mut stream, "200 OK", &format!("{{\"state\": \"{state}\"}}"))
    }

    fn switch(&self, node: &str, action: &str, outlet: Outlet) {
        let on = action == "on";
        if outlet == Outlet::Good {
            let apart = self.inner().apart.contains(node);
            let done = if on && self.inner().off.contains(node) {
                thread::sleep(BOOT);
                self.fleet.boot(node, apart)
            } else if on {
                Ok(())
            } else {
                self.fleet.silence_then_kill(node)
            };
            if let Err(error) = done {
                self.inner().failed = Some(format!("{action} of {node}: {error}"));
                return;
            }
        }
        let mut inner = self.inner();
        if on {
            inner.off.remove(node)
        } else {
            inner.off.insert(node.to_owned())
        };
        let (node, action) = (node.to_owned(), action.to_owned());
        inner.done.push(Switched { at: now(), action, node });
    }
}

/// Ends the strip when what is done beside it is over.
struct End<'a, 'b> {
    strip: &'a PowerStrip<'b>,
    at: SocketAddr,
}

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.strip.end.store(true, Ordering::Release);
        // It waits for a connection: here is one.
        let at = self.at;
        drop(self.strip.fleet.client().run(move || TcpStream::connect(at).map(drop)));
    }
}

/// The head of a question, and its body, which is one object.
fn read(stream: &mut TcpStream) -> io::Result<(String, Question)> {
    let mut bytes = Vec::new();
    let mut part = [0; 4_096];
    while !bytes.ends_with(b"}") {
        match stream.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => bytes.extend_from_slice(part.get(..length).unwrap_or_default()),
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(ErrorKind::InvalidData)?;
    Ok((head.to_owned(), serde_json::from_str(body)?))
}

fn say(stream: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    stream.write_all(format!("{head}\r\n{body}").as_bytes())
}
