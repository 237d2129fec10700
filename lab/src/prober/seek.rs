//! A client that looks up where the service is before each question, and asks there with a
//! datagram: what it finds is used once and never kept.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::beat::Beat;
use super::record::Record;
use super::{now, udp};

/// Keys of the two sockets.
const ANSWERS: u64 = 0;
const FINDINGS: u64 = 1;

/// Finds out where a service is.
pub trait Seek: Send + 'static {
    /// How often.
    const EVERY: Duration;

    /// It is time to look, once.
    ///
    /// # Errors
    /// It can't be looked any more: the client ends.
    fn begin(&mut self) -> io::Result<()>;

    /// What was found since, one place a call.
    fn found(&mut self) -> Option<SocketAddr>;

    /// What tells that there may be something to be found.
    fn socket(&self) -> Option<&UdpSocket> {
        None
    }
}

/// Looks at each beat, asks at each finding, and listens in between.
pub(super) fn ask<S: Seek>(
    record: &Record,
    v4: bool,
    timeout: Duration,
    mut seek: S,
    stop: &AtomicBool,
) -> io::Result<()> {
    let any = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.set_nonblocking(true)?;
    let mut beat = Beat::every(S::EVERY)?;
    beat.watch(&socket, ANSWERS)?;
    if let Some(socket) = seek.socket() {
        beat.watch(socket, FINDINGS)?;
    }
    let timeout = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
    let mut keys = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if beat.wait(&mut keys)? {
            record.asked(now());
            seek.begin()?;
        }
        while let Some(place) = seek.found() {
            // Where nobody is there is no answer: that is all that a client learns.
            if socket.send_to(now().to_string().as_bytes(), place).is_err() {
                record.refused();
            }
        }
        udp::listen(record, timeout, |answer| socket.recv(answer));
    }
    Ok(())
}
