//! The same out of /proc (proc_pid_net(5)), where the kernel has no lists over netlink.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Connection, Which, canonical};

/// Of the calling thread's network namespace.
const TABLES: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];

pub(super) fn list(which: Which, take: &mut impl FnMut(Connection)) -> io::Result<()> {
    for table in TABLES {
        match fs::read(table) {
            Ok(bytes) => read(&bytes, which, take),
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound && table != TABLES[0] => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read(table: &[u8], which: Which, take: &mut impl FnMut(Connection)) {
    for line in table.split(|&octet| octet == b'\n') {
        if let Some((state, connection)) = told(line)
            && which.takes(state)
        {
            take(connection);
        }
    }
}

/// One connection with its state: `sl: LOCAL REMOTE STATE ...`, all in hexadecimal digits.
pub(super) fn told(line: &[u8]) -> Option<(u8, Connection)> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split_ascii_whitespace().skip(1);
    let local = canonical(end(words.next()?)?);
    let remote = canonical(end(words.next()?)?);
    let state = number(words.next()?, 2)?;
    Some((u8::try_from(state).ok()?, Connection { local, remote }))
}

fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::try_from(number(port, 4)?).ok()?;
    // Words of 32 bits as the processor has them.
    let word = |at: usize| Some(number(address.get(at * 8..at * 8 + 8)?, 8)?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// A number of just so many digits; without a sign, which `from_str_radix` would take.
fn number(text: &str, digits: usize) -> Option<u32> {
    let plain = text.len() == digits && text.bytes().all(|it| it.is_ascii_hexdigit());
    if plain { u32::from_str_radix(text, 16).ok() } else { None }
}
