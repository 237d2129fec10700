//! What QEMU is told, and what it tells: its machine protocol, JSON by lines.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{LabError, Step};
use crate::launcher::lock;
use crate::prober::now;

/// How long QEMU may take to answer. It takes milliseconds, on an idle machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Something that QEMU told by itself.
#[derive(Debug, Clone)]
pub struct Event {
    /// What it is called there, such as `WATCHDOG` or `RESET`.
    pub name: String,
    /// What else is said of it.
    pub data: Value,
    /// When it came, in microseconds of CLOCK_BOOTTIME ([`crate::prober::now`]).
    pub at_us: u64,
}

/// All events of a machine, through every life of its QEMU.
#[derive(Debug, Default)]
pub(super) struct Events {
    all: Mutex<Vec<Event>>,
    more: Condvar,
}

impl Events {
    pub(super) fn all(&self) -> Vec<Event> {
        lock(&self.all).clone()
    }

    /// The first event of that name behind so many others, if it comes in time.
    pub(super) fn wait(&self, name: &str, seen: usize, within: Duration) -> Option<Event> {
        let found = |all: &Vec<Event>| all.iter().skip(seen).find(|it| it.name == name).cloned();
        let all = lock(&self.all);
        let waited = self.more.wait_timeout_while(all, within, |all| found(all).is_none());
        let (all, _) = waited.unwrap_or_else(PoisonError::into_inner);
        found(&all)
    }

    fn add(&self, event: Event) {
        lock(&self.all).push(event);
        self.more.notify_all();
    }
}

/// A connection to a QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    name: String,
    socket: Mutex<UnixStream>,
    answers: Mutex<Receiver<Value>>,
}

impl Qmp {
    /// Connects, and has all events added to `events` from here on.
    pub(super) fn connect(name: &str, path: &Path, events: Arc<Events>) -> Result<Qmp, LabError> {
        let what = || format!("cannot speak with the QEMU of {name}");
        let socket = dial(path).step(what)?;
        let lines = BufReader::new(socket.try_clone().step(what)?);
        let (sender, answers) = channel();
        let body = move || {
            for line in lines.lines() {
                let Ok(line) = line else { break };
                let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
                match message["event"].as_str() {
                    Some(name) => {
                        let (name, data) = (name.to_owned(), message["data"].clone());
                        events.add(Event { name, data, at_us: now() });
                    }
                    // nobody waits any more once the machine is dropped
                    None => drop(sender.send(message)),
                }
            }
        };
        std::thread::Builder::new().name("qmp".to_owned()).spawn(body).step(what)?;
        let (socket, answers) = (Mutex::new(socket), Mutex::new(answers));
        let qmp = Qmp { name: name.to_owned(), socket, answers };
        qmp.answer("its greeting", &lock(&qmp.answers))?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Has a command carried out, and returns what it returns.
    pub(super) fn execute(&self, command: &str, arguments: &Value) -> Result<Value, LabError> {
        let answers = lock(&self.answers);
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        let sent = lock(&self.socket).write_all(line.as_bytes());
        sent.step(|| format!("cannot tell the QEMU of {}: {command}", self.name))?;
        let answer = self.answer(command, &answers)?;
        match answer.get("return") {
            Some(value) => Ok(value.clone()),
            None => Err(std::io::Error::other(answer.to_string()))
                .step(|| format!("the QEMU of {} refused: {command}", self.name)),
        }
    }

    fn answer(&self, to: &str, answers: &Receiver<Value>) -> Result<Value, LabError> {
        let answer = answers.recv_timeout(ANSWER_WITHIN).map_err(std::io::Error::other);
        answer.step(|| format!("the QEMU of {} did not answer: {to}", self.name))
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        // ends the thread
        let _ = lock(&self.socket).shutdown(std::net::Shutdown::Both);
    }
}

/// A socket that QEMU is about to open.
pub(super) fn dial(path: &Path) -> std::io::Result<UnixStream> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    loop {
        match UnixStream::connect(path) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
}
