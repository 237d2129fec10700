//! Links, addresses, routes, neighbours and the stations of bridges, asked of and told to the
//! kernel over rtnetlink.
//!
//! Synchronous on purpose: the guard is one thread that must know, when a call returns, whether the
//! address is there or not, and it must not carry an async runtime to learn it. Messages are built
//! and read by `netlink-packet-route`, carried by `netlink-sys`; what is here is the conversation:
//! one request, one answer, and an error that names what was tried.
//!
//! Happy path: [`Netlink::open`] once per thread and network namespace (a socket stays in the
//! namespace in which it was opened, wherever the thread goes), then call after call. A
//! [`Monitor`] beside it tells of changes that someone else made.
//!
//! Failures: [`NetlinkError::Refused`] carries the kernel's errno and sentence, and nothing was
//! changed then. After [`NetlinkError::Transport`] it is unknown whether the kernel acted: read
//! back before deciding. A monitor that could not keep up says [`Event::Overrun`]; its reader then
//! lists everything anew.
//!
//! Deliberately absent: retries, caches, waiting for duplicate address detection, policy routing.
//! Interfaces are named by index; names are looked up by [`Netlink::link_named`].

mod address;
mod bridge;
mod error;
#[cfg(test)]
mod fuzz;
mod link;
mod monitor;
mod neighbour;
mod route;
mod socket;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

pub use address::{Address, AddressSpec, Lifetime};
pub use bridge::Station;
pub use error::NetlinkError;
pub use link::{AddressGeneration, Link, MacvlanMode, PortState, VethPeer};
pub use monitor::{Event, Monitor};
pub use neighbour::{Ages, Neighbour, NeighbourState};
pub use route::{Destination, Route};
pub(crate) use socket::Frames;
pub use socket::Netlink;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of every station on the segment.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Reads the first six octets of a link-layer address; `None` if it is not Ethernet's length.
    pub fn from_slice(octets: &[u8]) -> Option<Mac> {
        <[u8; 6]>::try_from(octets).ok().map(Mac)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was wrong with a text that should have been an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no Ethernet address; it looks like 02:00:00:00:00:01")]
pub struct BadMac(String);

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Mac, BadMac> {
        let bad = || BadMac(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(bad)?;
            // Two digits and nothing else: the conversion below would take a sign for one.
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Mac(octets)) }
    }
}

/// So many of the kernel's clock ticks, as it counts them to us (USER_HZ).
fn ticks(count: u32) -> Duration {
    const PER_SECOND: u64 = 100;
    Duration::from_millis(u64::from(count) * (1_000 / PER_SECOND))
}

/// The address family of an IP address, in the words of the message library.
fn family_of(addr: IpAddr) -> netlink_packet_route::AddressFamily {
    match addr {
        IpAddr::V4(_) => netlink_packet_route::AddressFamily::Inet,
        IpAddr::V6(_) => netlink_packet_route::AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_text_and_back() {
        let mac: Mac = "02:00:5e:00:01:ff".parse().expect("a good address");
        assert_eq!(mac, Mac([2, 0, 0x5e, 0, 1, 0xff]));
        assert_eq!(mac.to_string(), "02:00:5e:00:01:ff");
        for bad in ["", "02:00:5e:00:01", "02:00:5e:00:01:ff:00", "2:0:5e:0:1:f", "02-00-5e"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
