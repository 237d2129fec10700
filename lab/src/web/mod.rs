//! A small service to be moved about: it tells every client which node answered.
//!
//! One thread, one port, three ways to ask. `GET` over TCP gets an HTTP/1.0 answer whose body is
//! the node's name in a line. Any other line over TCP comes back with the node's name behind it,
//! again and again on the same connection. A datagram comes back with the node's name behind it,
//! from the very address that was asked.
//!
//! It may start before its address is there (IP_FREEBIND), so it can stand ready on every node.
//!
//! Failures: a socket that cannot be opened ends [`Service::bind`]. A client that misbehaves loses
//! its connection; when too many are open, the oldest loses its own.
//!
//! Deliberately absent: everything else that makes a web server.

mod datagram;
mod stream;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{LabError, Step};
use datagram::Datagrams;
use stream::Streams;

/// How often a running service looks whether it shall stop, in milliseconds.
const LOOK_UP: u16 = 100;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Epoll keys of listeners and datagram sockets; connections count up from zero.
const LISTENERS: u64 = 1 << 32;
const DATAGRAMS: u64 = 1 << 33;

/// A service that is ready to answer.
pub struct Service {
    epoll: Epoll,
    listeners: Vec<Socket>,
    datagrams: Vec<Datagrams>,
    streams: Streams,
}

/// Opens the service and answers for ever: on one address, or with `None` on all of both families.
/// Returns only with an error.
pub fn serve(addr: Option<IpAddr>, port: u16, node: &str) -> Result<(), LabError> {
    let everywhere = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut service = match &addr {
        Some(addr) => Service::bind(std::slice::from_ref(addr), port, node)?,
        None => Service::bind(&everywhere, port, node)?,
    };
    service.run(&AtomicBool::new(false)).step(|| "the web service ended".to_owned())
}

impl Service {
    /// Opens TCP and UDP sockets on each of the addresses.
    pub fn bind(addrs: &[IpAddr], port: u16, node: &str) -> Result<Service, LabError> {
        let what = || format!("cannot open the web service on port {port}");
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).step(what)?;
        let streams = Streams::new(node);
        let mut service = Service { epoll, listeners: Vec::new(), datagrams: Vec::new(), streams };
        for &addr in addrs {
            service.open(SocketAddr::new(addr, port), node).step(what)?;
        }
        Ok(service)
    }

    fn open(&mut self, addr: SocketAddr, node: &str) -> io::Result<()> {
        let listener = bound(addr, Type::STREAM, Protocol::TCP)?;
        listener.listen(BACKLOG)?;
        let key = LISTENERS + self.listeners.len() as u64;
        self.epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        self.listeners.push(listener);
        let datagrams = Datagrams::new(bound(addr, Type::DGRAM, Protocol::UDP)?, addr, node)?;
        let key = DATAGRAMS + self.datagrams.len() as u64;
        self.epoll.add(&datagrams, EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        self.datagrams.push(datagrams);
        Ok(())
    }

    /// Answers until `stop` is set.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 128];
        while !stop.load(Ordering::Relaxed) {
            let count = match self.epoll.wait(&mut events, LOOK_UP) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            for event in &events[..count] {
                let key = event.data();
                if let Some(datagrams) = at(&self.datagrams, key, DATAGRAMS) {
                    datagrams.answer_all();
                } else if let Some(listener) = at(&self.listeners, key, LISTENERS) {
                    self.streams.accept_all(listener, &self.epoll);
                } else {
                    self.streams.serve(key);
                }
            }
        }
        Ok(())
    }
}

fn at<T>(sockets: &[T], key: u64, base: u64) -> Option<&T> {
    sockets.get(usize::try_from(key.checked_sub(base)?).ok()?)
}

fn bound(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let kind = kind.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    // a restarted service must not wait for the remains of the old one's connections
    socket.set_reuse_address(true)?;
    match addr {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}
