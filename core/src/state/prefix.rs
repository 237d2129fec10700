//! Networks, and ranges of addresses in them.

use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A network: its own address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    /// Its address, host bits zero.
    pub network: IpAddr,
    /// The length of its prefix, in bits.
    pub length: u8,
}

impl Prefix {
    /// The prefix that holds one address alone.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self { network: address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, width) = bits(self.network);
        let (other, _) = bits(address);
        if self.network.is_ipv4() != address.is_ipv4() {
            return false;
        }
        let host_bits = width.saturating_sub(u32::from(self.length));
        (own ^ other).checked_shr(host_bits).unwrap_or(0) == 0
    }

    /// Whether two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    /// How many addresses it has, as far as that can be counted.
    #[must_use]
    pub fn addresses(&self) -> u128 {
        let (_, width) = bits(self.network);
        1_u128.checked_shl(width.saturating_sub(u32::from(self.length))).unwrap_or(u128::MAX)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// Addresses from a first to a last one, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = address.is_ipv4() == self.first.is_ipv4();
        same && (bits(self.first).0..=bits(self.last).0).contains(&bits(address).0)
    }

    /// The lowest of them that is not taken.
    #[must_use]
    pub fn free(&self, taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let mut address = self.first;
        loop {
            if !taken(address) {
                return Some(address);
            }
            if address == self.last {
                return None;
            }
            address = next(address)?;
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The address that follows; nothing behind the last of all.
fn next(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(it) => IpAddr::V4(it.to_bits().checked_add(1)?.into()),
        IpAddr::V6(it) => IpAddr::V6(it.to_bits().checked_add(1)?.into()),
    })
}

/// An address as a number, and how many bits that has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(it) => (u128::from(it.to_bits()), 32),
        IpAddr::V6(it) => (it.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn prefix(network: &str, length: u8) -> Prefix {
        Prefix { network: ip(network), length }
    }

    #[test]
    fn a_prefix_holds_its_own_family_alone() {
        let lan = prefix("10.0.0.0", 24);
        assert!(lan.contains(ip("10.0.0.255")) && !lan.contains(ip("10.0.1.0")));
        assert!(!lan.contains(ip("::a00:1")));
        assert!(prefix("::", 1).contains(ip("7fff::")));
        assert!(lan.overlaps(&prefix("10.0.0.128", 25)) && prefix("10.0.0.128", 25).overlaps(&lan));
        assert!(!lan.overlaps(&prefix("10.0.1.0", 24)));
        assert_eq!((lan.addresses(), Prefix::host(ip("::1")).addresses()), (256, 1));
    }

    #[test]
    fn the_lowest_free_address_of_a_range_is_found_or_none() {
        let range = AddressRange { first: ip("10.0.0.254"), last: ip("10.0.1.1") };
        assert_eq!(range.free(|it| it == ip("10.0.0.254")), Some(ip("10.0.0.255")));
        assert_eq!(range.free(|_| true), None);
        let end = AddressRange { first: ip("255.255.255.255"), last: ip("255.255.255.255") };
        assert_eq!(end.free(|_| true), None);
    }
}
