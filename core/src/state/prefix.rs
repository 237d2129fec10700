//! Networks, and ranges of addresses in them.

use alloc::vec::Vec;
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

    /// All its addresses.
    #[must_use]
    pub fn range(&self) -> AddressRange {
        let (first, width) = bits(self.network);
        let host_bits = width.saturating_sub(u32::from(self.length));
        let hosts = u128::MAX.checked_shr(128_u32.saturating_sub(host_bits)).unwrap_or(0);
        AddressRange { first: self.network, last: like(self.network, first | hosts) }
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

    /// One address alone.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// The lowest of them that is not taken. It takes as long as there are others, however large
    /// they are.
    #[must_use]
    pub fn free(&self, taken: &[Self]) -> Option<IpAddr> {
        self.gaps(taken).next().map(|(first, _)| like(self.first, first))
    }

    /// How many of them are not taken, as far as that can be counted.
    #[must_use]
    pub fn count_free(&self, taken: &[Self]) -> u128 {
        let count = |(first, last): (u128, u128)| (last - first).saturating_add(1);
        self.gaps(taken).map(count).fold(0, u128::saturating_add)
    }

    /// What lies between those that are taken: each first and last one, in order.
    fn gaps(&self, taken: &[Self]) -> impl Iterator<Item = (u128, u128)> {
        let family = self.first.is_ipv4();
        let (first, last) = (bits(self.first).0, bits(self.last).0);
        let same = taken.iter().filter(|it| it.first.is_ipv4() == family);
        let mut taken: Vec<_> = same.map(|it| (bits(it.first).0, bits(it.last).0)).collect();
        taken.sort_unstable();
        let mut next = Some(first);
        // Behind the last one that is taken everything is free.
        taken.into_iter().map(Some).chain([None]).filter_map(move |taken| {
            let from = next?;
            let until = match taken {
                Some((begins, ends)) => {
                    next = ends.checked_add(1).map(|it| it.max(from));
                    begins.checked_sub(1)?.min(last)
                }
                None => last,
            };
            (from <= until).then_some((from, until))
        })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// An address as a number, and how many bits that has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(it) => (u128::from(it.to_bits()), 32),
        IpAddr::V6(it) => (it.to_bits(), 128),
    }
}

/// The address of that number, of the family of another one.
fn like(family: IpAddr, number: u128) -> IpAddr {
    match family {
        // What is larger than any of that family has no bits of its own there.
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
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
        let one = |text| AddressRange::one(ip(text));
        let range = AddressRange { first: ip("10.0.0.254"), last: ip("10.0.1.1") };
        assert_eq!(range.free(&[]), Some(ip("10.0.0.254")));
        assert_eq!(range.free(&[one("10.0.0.254"), one("::1")]), Some(ip("10.0.0.255")));
        let some = [one("10.0.1.1"), one("10.0.0.254"), prefix("10.0.0.255", 32).range()];
        assert_eq!((range.free(&some), range.count_free(&some)), (Some(ip("10.0.1.0")), 1));
        assert_eq!(range.free(&[prefix("10.0.0.0", 15).range()]), None);
        assert_eq!(range.free(&[range, one("10.0.0.255")]), None);
        assert_eq!((range.count_free(&[]), range.count_free(&[range])), (4, 0));
        let end = one("255.255.255.255");
        assert_eq!((end.free(&[end]), end.free(&[])), (None, Some(end.first)));
    }

    #[test]
    fn what_is_taken_may_be_larger_than_can_be_counted() {
        let all = prefix("::", 0).range();
        let last = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert_eq!((all.last, all.free(&[all]), all.count_free(&[])), (last, None, u128::MAX));
        assert_eq!(prefix("0.0.0.0", 0).range().last, ip("255.255.255.255"));
        let pool = AddressRange { first: ip("fd00::1"), last: ip("fd01::") };
        let taken = [prefix("fd00::", 16).range()];
        assert_eq!((pool.free(&taken), pool.count_free(&taken)), (Some(ip("fd01::")), 1));
        let but_one =
            AddressRange { first: ip("::"), last: ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe") };
        assert_eq!((all.free(&[but_one]), all.count_free(&[but_one])), (Some(last), 1));
    }
}
