//! Echo requests by an ordinary socket: the kernel's own neighbour table says to which MAC they go,
//! as it does for every program that talks to the address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use thiserror::Error;

use super::echo::Message;

/// Why echo requests can't be sent.
#[derive(Debug, Error)]
pub enum PingError {
    /// The kernel refused the socket or one of its settings.
    #[error("can't {step} on {device}; no socket was opened; CAP_NET_RAW is needed")]
    Open {
        /// The interface.
        device: String,
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// This node has no address on that interface from which it could ask, or no route.
    #[error("this node has no way to {to} of its own; nothing was sent; give it an address there")]
    NoWay {
        /// The address.
        to: IpAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// This one request was not sent.
    #[error("the kernel did not take the echo request; it was not sent; the next one may be")]
    Refused(#[source] io::Error),
}

/// A nonblocking raw socket that only sends. Answers are read with a [`super::PacketSocket`], which
/// shows whom they come from.
pub struct Pinger {
    socket: Socket,
    to: IpAddr,
}

impl Pinger {
    /// A socket that sends through `device` alone, in this network namespace.
    ///
    /// # Errors
    /// [`PingError::Open`].
    pub fn open(device: &str, to: IpAddr) -> Result<Self, PingError> {
        let failed = |step| {
            let device = device.to_owned();
            move |source| PingError::Open { device, step, source }
        };
        let (domain, protocol) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let kind = Type::RAW.nonblocking().cloexec();
        let socket =
            Socket::new(domain, kind, Some(protocol)).map_err(failed("open a raw socket"))?;
        // Return zero octets of whatever arrives: nobody reads here.
        let nothing = [SockFilter::new(0x06, 0, 0, 0)];
        socket.attach_filter(&nothing).map_err(failed("refuse answers"))?;
        socket.bind_device(Some(device.as_bytes())).map_err(failed("bind to the interface"))?;
        Ok(Self { socket, to })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`PingError::NoWay`] and [`PingError::Refused`].
    pub fn send(&self, message: &Message<'_>) -> Result<(), PingError> {
        let bytes = message.alone(self.to.is_ipv6());
        let to = SocketAddr::new(self.to, 0);
        loop {
            match self.socket.send_to(&bytes, &to.into()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(classify(self.to, source)),
            }
        }
    }
}

fn classify(to: IpAddr, source: io::Error) -> PingError {
    match source.raw_os_error() {
        Some(libc::ENETUNREACH | libc::EADDRNOTAVAIL | libc::ENODEV) => {
            PingError::NoWay { to, source }
        }
        // Also what became of earlier ones: nobody answered for the address (EHOSTUNREACH).
        Some(_) | None => PingError::Refused(source),
    }
}
