//! One trial as data: what is tried, with which address and MAC, and for how long.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use stead_core::time::Span;
use stead_linux::netlink::{BadMac, Mac};
use thiserror::Error;

/// How long a takeover is waited for, unless something else is wished: longer than any announcement
/// schedule that is worth the name. A neighbour of Linux that hears no announcement follows after
/// 23 to 53 s (its entry is trusted for 15 to 45 s, then it hesitates for 5 s and asks the old MAC
/// three times; measured: 25 to 49 s): who wants to see that has to wish for a minute.
pub const BOUND: Span = Span::from_millis(30_000);
/// The longest that can be wished: where switches forget a MAC by default (IEEE 802.1D, 7.9.2).
pub const LONGEST: Span = Span::from_millis(300_000);
/// What a trial takes beside: asking whether the address is free, the first holder, the questions
/// after it.
const BESIDE: Span = Span::from_millis(30_000);
/// How many addresses are drawn before a prefix counts as full.
const DRAWS: usize = 256;

/// A MAC that is written as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Station(pub Mac);

impl From<Station> for String {
    fn from(station: Station) -> Self {
        station.0.to_string()
    }
}

impl TryFrom<String> for Station {
    type Error = BadMac;

    fn try_from(text: String) -> Result<Self, BadMac> {
        text.parse().map(Self)
    }
}

/// In which form a gratuitous ARP is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saying {
    /// As a question about oneself (RFC 5227 2.3).
    Request,
    /// As an answer that nobody asked for.
    Reply,
    /// In both forms, as services are announced.
    Both,
}

/// What a takeover consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The IPv4 address moves to another MAC, which gratuitous ARP tells.
    Arp(Saying),
    /// The IPv6 address moves to another MAC, which an unsolicited advertisement tells.
    Nd,
    /// The address keeps its MAC, which moves to another port; a single frame shows it there.
    Mac,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp(Saying::Request) => "ARP (request)",
            Self::Arp(Saying::Reply) => "ARP (reply)",
            Self::Arp(Saying::Both) => "ARP",
            Self::Nd => "neighbour discovery",
            Self::Mac => "MAC",
        })
    }
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Names the trial, on all nodes and in each echo.
    pub id: u64,
    /// What moves.
    pub form: Form,
    /// The throw-away address.
    pub address: IpAddr,
    /// How many bits of it are the network's.
    pub prefix: u8,
    /// The throw-away MAC, in [`Form::Mac`] only.
    pub mac: Option<Station>,
    /// How long the takeover is waited for.
    pub bound: Span,
}

/// Why a trial is not begun. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// The address is none that a service could have.
    #[error("{0}/{1} is no address for one machine; choose another inside the network")]
    Address(IpAddr, u8),
    /// It has an owner.
    #[error("{0} belongs to a node or a service; choose an address that nobody uses")]
    Owned(IpAddr),
    /// ARP is for IPv4, neighbour discovery for IPv6.
    #[error("the form {0} can't move {1}; choose the form of its family, or the MAC")]
    Family(Form, IpAddr),
    /// A throw-away MAC must be locally administered and no group; no other form takes one.
    #[error("a throw-away MAC is needed for the form MAC alone, locally administered and no group")]
    Mac,
    /// Too long, or no time at all.
    #[error("a trial waits for more than nothing and {max} s at most; choose another bound")]
    Bound {
        /// The longest.
        max: u64,
    },
    /// No chance numbers.
    #[error("the kernel gives no random numbers; try again")]
    Chance,
    /// No address was free in the prefix, as far as known.
    #[error("no free address was found in {0}/{1}; name one that nobody uses")]
    Full(IpAddr, u8),
}

impl Trial {
    /// A trial with the usual bound, a number and, where needed, a MAC drawn by chance.
    ///
    /// # Errors
    /// [`Unfit::Chance`]; what else is wrong is found by [`Trial::check`].
    pub fn new(form: Form, address: IpAddr, prefix: u8) -> Result<Self, Unfit> {
        let id = u64::from_be_bytes(random()?);
        let mac = match form {
            Form::Arp(_) | Form::Nd => None,
            Form::Mac => Some(Station(throw_away_mac()?)),
        };
        Ok(Self { id, form, address, prefix, mac, bound: BOUND })
    }

    /// Whether it may be begun. `owned` are the addresses of all nodes and services.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn check(&self, owned: &[IpAddr]) -> Result<(), Unfit> {
        if !is_for_one(self.address, self.prefix) {
            return Err(Unfit::Address(self.address, self.prefix));
        }
        if owned.contains(&self.address) {
            return Err(Unfit::Owned(self.address));
        }
        let (family, with_mac) = match self.form {
            Form::Arp(_) => (self.address.is_ipv4(), false),
            Form::Nd => (self.address.is_ipv6(), false),
            Form::Mac => (true, true),
        };
        if !family {
            return Err(Unfit::Family(self.form, self.address));
        }
        if self.mac.is_some() != with_mac || self.mac.is_some_and(|mac| !is_throw_away(mac.0)) {
            return Err(Unfit::Mac);
        }
        if self.bound == Span::ZERO || self.bound > LONGEST {
            return Err(Unfit::Bound { max: LONGEST.as_micros() / 1_000_000 });
        }
        Ok(())
    }

    /// After which every role ends by itself, whatever it was told or not.
    #[must_use]
    pub fn end(&self) -> Span {
        self.bound + BESIDE
    }
}

/// An address in a network that none of `owned` has, drawn by chance. Whether somebody else uses it
/// is asked by the holders.
///
/// # Errors
/// [`Unfit::Full`] and [`Unfit::Chance`].
pub fn throw_away_address(network: IpAddr, prefix: u8, owned: &[IpAddr]) -> Result<IpAddr, Unfit> {
    for _ in 0..DRAWS {
        let chance = u128::from_be_bytes(random()?);
        let drawn = match network {
            IpAddr::V4(network) => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                Ipv4Addr::from(u32::from(network) & !host | chance as u32 & host).into()
            }
            IpAddr::V6(network) => {
                let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                IpAddr::from(Ipv6Addr::from(u128::from(network) & !host | chance & host))
            }
        };
        if is_for_one(drawn, prefix) && !owned.contains(&drawn) {
            return Ok(drawn);
        }
    }
    Err(Unfit::Full(network, prefix))
}

/// A MAC that no card has: locally administered (IEEE 802, 8.2.2), drawn by chance.
///
/// # Errors
/// [`Unfit::Chance`].
pub fn throw_away_mac() -> Result<Mac, Unfit> {
    let mut octets: [u8; 6] = random()?;
    octets[0] = octets[0] & 0xfc | 0x02;
    Ok(Mac(octets))
}

fn is_throw_away(mac: Mac) -> bool {
    mac.0[0] & 0x03 == 0x02
}

fn is_for_one(address: IpAddr, prefix: u8) -> bool {
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            let part = u32::from(address) & host;
            // below two bits there is neither a network's own address nor one for all
            let edge = prefix < 31 && (part == 0 || part == host);
            let special = address.is_unspecified() || address.is_loopback();
            prefix <= 32 && !edge && !special && address.octets()[0] < 224
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            // all zero belongs to the routers of the network (RFC 4291 2.6.1)
            let routers = prefix < 127 && u128::from(address) & host == 0;
            let special = address.is_unspecified() || address.is_loopback();
            prefix <= 128 && !routers && !special && !address.is_multicast()
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], Unfit> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|_| Unfit::Chance)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_no_throw_away_address_is_refused() {
        let trial = |form, address: &str, prefix| {
            Trial::new(form, ip(address), prefix).expect("chance").check(&[ip("10.0.0.7")])
        };
        let arp = Form::Arp(Saying::Both);
        assert_eq!(trial(arp, "10.0.0.9", 24), Ok(()));
        assert_eq!(trial(Form::Mac, "fd00::9", 64), Ok(()));
        for bad in ["10.0.0.0", "10.0.0.255", "224.0.0.1", "127.0.0.1", "255.255.255.255"] {
            assert!(matches!(trial(arp, bad, 24), Err(Unfit::Address(..))), "{bad}");
        }
        assert_eq!(trial(arp, "10.0.0.7", 24), Err(Unfit::Owned(ip("10.0.0.7"))));
        assert!(matches!(trial(Form::Nd, "10.0.0.9", 24), Err(Unfit::Family(..))));
        assert!(matches!(trial(Form::Nd, "fd00::", 64), Err(Unfit::Address(..))));
        assert!(matches!(trial(Form::Nd, "ff02::1", 64), Err(Unfit::Address(..))));
        assert!(matches!(trial(Form::Nd, "fd00::1", 200), Err(Unfit::Address(..))));
    }

    #[test]
    fn a_card_s_own_mac_and_a_group_are_no_throw_away_macs() {
        let mut trial = Trial::new(Form::Mac, ip("10.0.0.9"), 24).expect("chance");
        for mac in [Mac([0, 1, 2, 3, 4, 5]), Mac::BROADCAST, Mac([3, 0, 0, 0, 0, 1])] {
            trial.mac = Some(Station(mac));
            assert_eq!(trial.check(&[]), Err(Unfit::Mac), "{mac}");
        }
        trial.mac = None;
        assert_eq!(trial.check(&[]), Err(Unfit::Mac));
    }

    #[test]
    fn addresses_are_drawn_inside_their_network_and_are_free() {
        let owned = [ip("10.1.0.1"), ip("10.1.0.2")];
        let drawn = throw_away_address(ip("10.1.0.0"), 29, &owned).expect("there are four");
        assert!((3..=6).any(|last| drawn == ip(&format!("10.1.0.{last}"))), "{drawn}");
        let full = throw_away_address(ip("10.1.0.0"), 30, &owned);
        assert!(matches!(full, Err(Unfit::Full(..))), "{full:?}");
        let IpAddr::V6(drawn) = throw_away_address(ip("fd00::"), 64, &[]).expect("room") else {
            panic!("another family");
        };
        assert_eq!(drawn.segments()[..4], [0xfd00, 0, 0, 0]);
    }

    #[test]
    fn a_trial_is_the_same_after_a_way_as_text() {
        let trial = Trial::new(Form::Mac, ip("fd00::9"), 64).expect("chance");
        let text = serde_json::to_string(&trial).expect("text");
        assert_eq!(serde_json::from_str::<Trial>(&text).expect("a trial"), trial);
    }
}
