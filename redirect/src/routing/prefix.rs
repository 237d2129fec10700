//! What is announced.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A network, or one address: no bit is set behind its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// A text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no network; it looks like 192.0.2.1/32 or 2001:db8::/64")]
pub struct PrefixError(String);

impl Prefix {
    /// One address.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        Self { address, length: longest(address) }
    }

    /// The network of that length in which the address is; `None` if there is no such length.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        let hidden = u32::from(longest(address).checked_sub(length)?);
        let address = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(hidden).unwrap_or(0);
                Ipv4Addr::from(u32::from(address) & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(hidden).unwrap_or(0);
                Ipv6Addr::from(u128::from(address) & mask).into()
            }
        };
        Some(Self { address, length })
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits are the network's.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }
}

fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let read = || {
            let (address, length) = text.split_once('/')?;
            // Digits and nothing else: the conversion would take a sign for one.
            if !length.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let address: IpAddr = address.parse().ok()?;
            Self::around(address, length.parse().ok()?).filter(|it| it.address == address)
        };
        read().ok_or_else(|| PrefixError(text.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_it_is_written_as() {
        for good in ["10.99.0.1/32", "0.0.0.0/0", "10.98.0.0/24", "::/0", "fd99::1/128"] {
            assert_eq!(good.parse::<Prefix>().expect(good).to_string(), good);
        }
        let wrong = ["", "10.99.0.1", "10.99.0.1/33", "10.99.0.1/24", "fd99::1/129", "::/+0", "/8"];
        for wrong in wrong {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
        let address: IpAddr = "10.98.7.1".parse().expect("an address");
        assert_eq!(Prefix::around(address, 16), "10.98.0.0/16".parse().ok());
        assert_eq!(Prefix::around(address, 33), None);
        assert_eq!(Prefix::single(address).to_string(), "10.98.7.1/32");
    }
}
