//! Connections: one HTTP question, or lines echoed for as long as the client likes.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use socket2::Socket;

/// Beyond it the oldest connection is closed: one for each of these must fit into the usual limit
/// of 1024 open files, with room for the rest of the process.
const OPEN_AT_MOST: usize = 700;
/// A client that sends more than this without a line's end is no client of ours.
const LONGEST: usize = 4096;

struct Connection {
    socket: Socket,
    heard: Vec<u8>,
    http: bool,
}

pub(super) struct Streams {
    node: String,
    open: BTreeMap<u64, Connection>,
    next: u64,
}

impl Streams {
    pub(super) fn new(node: &str) -> Streams {
        Streams { node: node.to_owned(), open: BTreeMap::new(), next: 0 }
    }

    pub(super) fn accept_all(&mut self, listener: &Socket, epoll: &Epoll) {
        loop {
            let accepted = listener.accept().and_then(|(socket, _)| {
                socket.set_nonblocking(true)?;
                socket.set_tcp_nodelay(true)?;
                Ok(socket)
            });
            let Ok(socket) = accepted else { return };
            self.next = (self.next + 1) % u64::from(u32::MAX);
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, self.next);
            if epoll.add(&socket, event).is_ok() {
                let connection = Connection { socket, heard: Vec::new(), http: false };
                self.open.insert(self.next, connection);
            }
            while self.open.len() > OPEN_AT_MOST {
                self.open.pop_first();
            }
            // most questions are here already, with the handshake's end
            self.serve(self.next);
        }
    }

    /// Answers what has come on a connection; closes it when it is done.
    pub(super) fn serve(&mut self, key: u64) {
        let Some(connection) = self.open.get_mut(&key) else { return };
        if !connection.go_on(&self.node) {
            self.open.remove(&key);
        }
    }
}

impl Connection {
    /// `false`: the connection is finished.
    fn go_on(&mut self, node: &str) -> bool {
        let mut piece = [0; 1024];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return false,
                Ok(length) => self.heard.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            if !self.answer_lines(node) || self.heard.len() > LONGEST {
                return false;
            }
        }
        true
    }

    fn answer_lines(&mut self, node: &str) -> bool {
        while let Some(end) = self.heard.iter().position(|&octet| octet == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let line = line.trim_ascii();
            self.http |= line.starts_with(b"GET ");
            if self.http {
                if line.is_empty() {
                    let _ = self.say(&page(node));
                    return false;
                }
            } else if !self.say(&[line, b" ", node.as_bytes(), b"\n"].concat()) {
                return false;
            }
        }
        true
    }

    /// Answers are short: one that does not fit into the socket's buffer has a client that does not
    /// read.
    fn say(&mut self, answer: &[u8]) -> bool {
        self.socket.write(answer).is_ok_and(|length| length == answer.len())
    }
}

fn page(node: &str) -> Vec<u8> {
    let body = format!("{node}\n");
    format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
