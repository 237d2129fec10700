//! The segment that makes a client say what it believes.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::{Connection, TcpError};
use crate::packet::checksum;

const HEADER: usize = 20;
/// Where the checksum stands.
const SUM: usize = 16;
const ACK: u8 = 0x10;

/// Which of the two numbers a segment carries. They lie half of all numbers apart, and no window is
/// longer than a quarter (RFC 7323, 2.3): what is by chance inside a client's window in one turn is
/// outside in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The one.
    First,
    /// The other.
    Second,
}

impl Turn {
    fn number(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Second => 1 << 31,
        }
    }
}

/// Sends such segments from one address of this machine, by the kernel's routes and through the
/// lease gate.
pub struct Tickler {
    socket: Socket,
    from: IpAddr,
}

impl Tickler {
    /// The address has to be there.
    ///
    /// # Errors
    /// See [`TcpError`].
    pub fn open(from: IpAddr) -> Result<Self, TcpError> {
        let failed = |source| TcpError::Open { from, source };
        let end = SocketAddr::new(from, 0);
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(end), kind, Some(Protocol::TCP));
        let socket = socket.map_err(failed)?;
        // It would get a copy of every segment that comes in.
        let nothing = [SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0)];
        socket.attach_filter(&nothing).map_err(failed)?;
        socket.bind(&end.into()).map_err(failed)?;
        Ok(Self { socket, from })
    }

    /// The address that it sends from.
    #[must_use]
    pub fn from(&self) -> IpAddr {
        self.from
    }

    /// Asks one client. Connections with another end here are passed over.
    ///
    /// # Errors
    /// It did not leave; the queue may be full, the gate shut, or there is no route.
    pub fn ask(&self, connection: &Connection, turn: Turn) -> io::Result<()> {
        if connection.local.ip() != self.from {
            return Ok(());
        }
        let Some(segment) = segment(connection, turn) else { return Ok(()) };
        let to = SocketAddr::new(connection.remote.ip(), 0);
        loop {
            match self.socket.send_to(&segment, &to.into()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A bare acknowledgement; nothing if the two ends are not of one family.
fn segment(connection: &Connection, turn: Turn) -> Option<Vec<u8>> {
    let Connection { local, remote } = connection;
    let number = turn.number().to_be_bytes();
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(remote.port().to_be_bytes());
    bytes.extend(number);
    bytes.extend(number);
    // Five words of header; no window, checksum still zero, nothing urgent.
    bytes.extend([(HEADER as u8 / 4) << 4, ACK, 0, 0, 0, 0, 0, 0]);
    let length = HEADER as u32;
    let sum = match (local.ip(), remote.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => checksum(&[
            &from.octets(),
            &to.octets(),
            &(libc::IPPROTO_TCP as u16).to_be_bytes(),
            &(length as u16).to_be_bytes(),
            &bytes,
        ]),
        (IpAddr::V6(from), IpAddr::V6(to)) => checksum(&[
            &from.octets(),
            &to.octets(),
            &length.to_be_bytes(),
            &(libc::IPPROTO_TCP as u32).to_be_bytes(),
            &bytes,
        ]),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    bytes[SUM..SUM + 2].copy_from_slice(&sum.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(local: &str, remote: &str) -> Connection {
        let parse = |text: &str| text.parse().expect("an address");
        Connection { local: parse(local), remote: parse(remote) }
    }

    #[test]
    fn a_segment_has_the_ports_the_number_and_a_right_checksum() {
        let connection = between("10.0.0.100:80", "10.0.0.9:40000");
        let bytes = segment(&connection, Turn::Second).expect("of one family");
        assert_eq!(bytes[..4], [0, 80, 0x9c, 0x40]);
        assert_eq!(bytes[4..12], [0x80, 0, 0, 0, 0x80, 0, 0, 0]);
        assert_eq!(bytes[12..14], [0x50, 0x10]);
        let pseudo = [&[10, 0, 0, 100, 10, 0, 0, 9, 0, 6, 0, 20][..], &bytes].concat();
        assert_eq!(checksum(&[&pseudo]), 0, "over data with a right checksum it is zero");
        assert_ne!(bytes[4..8], segment(&connection, Turn::First).expect("as before")[4..8]);
        assert!(segment(&between("10.0.0.100:80", "[fd00::9]:40000"), Turn::First).is_none());
        assert!(segment(&between("[fd00::1]:80", "[fd00::9]:40000"), Turn::First).is_some());
    }
}
