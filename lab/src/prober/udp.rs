//! A datagram for every question. The question is the time of asking, so the answer needs no
//! memory.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use super::beat::Beat;
use super::record::Record;
use super::{Target, now};

pub(super) fn ask(record: &Record, target: Target, stop: &AtomicBool) -> io::Result<()> {
    let mut beat = Beat::every(target.interval)?;
    let mut socket: Option<Socket> = None;
    let mut keys = Vec::new();
    let timeout = u64::try_from(target.timeout.as_micros()).unwrap_or(u64::MAX);
    while !stop.load(Ordering::Relaxed) {
        let time_to_ask = beat.wait(&mut keys)?;
        if let Some(socket) = &mut socket {
            listen(record, timeout, |answer| socket.read(answer));
        }
        if !time_to_ask {
            continue;
        }
        let asked = now();
        record.asked(asked);
        // without a route there is nothing to connect to yet
        if socket.is_none() {
            socket = open(target).ok();
            if let Some(socket) = &socket {
                beat.watch(socket, 0)?;
            }
        }
        let sent = socket.as_mut().is_some_and(|s| s.write(asked.to_string().as_bytes()).is_ok());
        if !sent {
            record.refused();
        }
    }
    Ok(())
}

fn open(target: Target) -> io::Result<Socket> {
    let domain = Domain::for_address(target.service);
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(Protocol::UDP))?;
    socket.connect(&target.service.into())?;
    Ok(socket)
}

/// Writes down all answers that are there; later than `timeout`, in microseconds, is none.
pub(super) fn listen(
    record: &Record,
    timeout: u64,
    mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>,
) {
    let mut answer = [0; 256];
    loop {
        match receive(&mut answer) {
            Ok(length) => {
                let now = now();
                if let Some((asked, node)) = read(&answer[..length]) {
                    if now.saturating_sub(asked) <= timeout {
                        record.answered(asked, now, node);
                    } else {
                        record.abandoned();
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // an ICMP error for an earlier question
            Err(_) => record.refused(),
        }
    }
}

fn read(answer: &[u8]) -> Option<(u64, &str)> {
    let (asked, node) = std::str::from_utf8(answer).ok()?.trim_end().split_once(' ')?;
    Some((asked.parse().ok()?, node))
}
