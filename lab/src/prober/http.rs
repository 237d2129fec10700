//! A fresh connection for every question.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::beat::Beat;
use super::record::Record;
use super::{Target, now};

const QUESTION: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// More open questions than this would meet the usual limit of 1024 open files.
const OPEN_AT_MOST: usize = 600;
/// Our service's answers are far shorter.
const LONGEST: usize = 4096;

struct Attempt {
    socket: Socket,
    asked: u64,
    sent: bool,
    heard: Vec<u8>,
}

/// How far an attempt has come.
enum Progress {
    Waiting,
    Answered(String),
    Refused,
}

pub(super) fn ask(record: &Record, target: Target, stop: &AtomicBool) -> io::Result<()> {
    let mut beat = Beat::every(target.interval)?;
    let timeout = u64::try_from(target.timeout.as_micros()).unwrap_or(u64::MAX);
    let mut open: HashMap<u64, Attempt> = HashMap::new();
    let mut by_age: VecDeque<(u64, u64)> = VecDeque::new();
    let mut keys = Vec::new();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let time_to_ask = beat.wait(&mut keys)?;
        for &key in &keys {
            go_on(record, &mut open, key);
        }
        if !time_to_ask {
            continue;
        }
        let asked = now();
        record.asked(asked);
        while by_age.front().is_some_and(|&(at, _)| {
            at.saturating_add(timeout) <= asked || by_age.len() > OPEN_AT_MOST
        }) {
            let oldest = by_age.pop_front().and_then(|(_, key)| open.remove(&key));
            if oldest.is_some() {
                record.abandoned();
            }
        }
        match begin(target, asked) {
            Ok(attempt) => {
                beat.watch(&attempt.socket, next)?;
                open.insert(next, attempt);
                by_age.push_back((asked, next));
                next += 1;
            }
            Err(_) => record.refused(),
        }
    }
    Ok(())
}

fn begin(target: Target, asked: u64) -> io::Result<Attempt> {
    let domain = Domain::for_address(target.service);
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(Protocol::TCP))?;
    // closing sends RST and forgets: a thousand connections a second must not pile up in TIME_WAIT
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&target.service.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    Ok(Attempt { socket, asked, sent: false, heard: Vec::new() })
}

fn go_on(record: &Record, open: &mut HashMap<u64, Attempt>, key: u64) {
    let Some(attempt) = open.get_mut(&key) else { return };
    match attempt.go_on() {
        Progress::Waiting => return,
        Progress::Answered(node) => record.answered(attempt.asked, now(), &node),
        Progress::Refused => record.refused(),
    }
    open.remove(&key);
}

impl Attempt {
    fn go_on(&mut self) -> Progress {
        match self.step() {
            Ok(progress) => progress,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Progress::Waiting,
            // a write before the handshake's end
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Progress::Waiting,
            Err(_) => Progress::Refused,
        }
    }

    fn step(&mut self) -> io::Result<Progress> {
        if !self.sent {
            self.socket.write_all(QUESTION)?;
            self.sent = true;
        }
        let mut piece = [0; 512];
        loop {
            let length = self.socket.read(&mut piece)?;
            self.heard.extend_from_slice(&piece[..length]);
            if let Some(node) = node_of(&self.heard) {
                return Ok(Progress::Answered(node));
            }
            if length == 0 || self.heard.len() > LONGEST {
                return Ok(Progress::Refused);
            }
        }
    }
}

/// The first line of the body of a complete, good answer.
fn node_of(heard: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(heard).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (node, _) = body.split_once('\n')?;
    let good = head.starts_with("HTTP/1.") && head.split(' ').nth(1) == Some("200");
    good.then(|| node.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_good_answer_names_its_node() {
        let whole = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nnode1\n";
        assert_eq!(node_of(whole).as_deref(), Some("node1"));
        for end in 0..whole.len() {
            assert_eq!(node_of(&whole[..end]), None);
        }
        assert_eq!(node_of(b"HTTP/1.0 503 No\r\n\r\nnode1\n"), None);
        assert_eq!(node_of(b"\xff\r\n\r\nnode1\n"), None);
    }
}
