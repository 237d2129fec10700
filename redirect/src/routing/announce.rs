//! What a routing daemon may announce for the cluster, and from where it learns it.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{MOST_PREFIXES, Prefix};

/// The longest name of an interface, in bytes (Linux: IFNAMSIZ without its end).
const LONGEST_NAME: usize = 15;
/// Protocol numbers of routes that FRR takes for its own, of a former run, and passes over.
const FRRS_OWN: [u8; 15] =
    [11, 42, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198];
/// The numbers below this one are the kernel's, or anybody's (`boot`, `static`).
const FIRST_FREE: u8 = 5;
/// BIRD's own number, by which it knows the routes that it wrote.
const BIRDS_OWN: u8 = 12;

/// From where the daemon learns that this node has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the address itself, which is on this interface. The form to take: it ends with the
    /// address's lifetime, in both families.
    Interface(String),
    /// From a route of the main table with this protocol number. In IPv6 it outlives its address;
    /// and FRR, to which an address is a route as well, takes that in its place where both have the
    /// same length, and announces nothing. Not tried with FRR.
    Kernel(u8),
}

/// Prefixes that may be announced: those that the cluster's register has for this layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    prefixes: BTreeSet<Prefix>,
    source: Source,
}

/// This can't be told to a routing daemon. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnnounceError {
    /// The name could be none, or would mean something to the daemon.
    #[error(
        "`{0}` is no name for the interface of the addresses: up to 15 letters, digits, dots, \
         dashes and underscores"
    )]
    Interface(String),
    /// The number means something else.
    #[error(
        "routes with protocol number {0} belong to somebody else (the kernel, BIRD or FRR); take \
         one that nobody has, for example 83"
    )]
    Protocol(u8),
    /// Nobody has so many.
    #[error("{0} prefixes are more than the {MOST_PREFIXES} that are announced for one cluster")]
    Many(usize),
    /// It would draw all traffic to this node.
    #[error("a default route is never announced for a service")]
    Default,
}

impl Announce {
    /// The prefixes that may be announced, and from where they come. None is right as well: nothing
    /// is announced then.
    ///
    /// # Errors
    /// See [`AnnounceError`].
    pub fn new(prefixes: BTreeSet<Prefix>, source: Source) -> Result<Self, AnnounceError> {
        if prefixes.len() > MOST_PREFIXES {
            return Err(AnnounceError::Many(prefixes.len()));
        }
        if prefixes.iter().any(|prefix| prefix.length() == 0) {
            return Err(AnnounceError::Default);
        }
        match &source {
            Source::Interface(name) => {
                let fits = (1..=LONGEST_NAME).contains(&name.len());
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                if !fits || !name.bytes().all(plain) || name.starts_with(['.', '-']) {
                    return Err(AnnounceError::Interface(name.clone()));
                }
            }
            Source::Kernel(number) => {
                if *number < FIRST_FREE || *number == BIRDS_OWN || FRRS_OWN.contains(number) {
                    return Err(AnnounceError::Protocol(*number));
                }
            }
        }
        Ok(Self { prefixes, source })
    }

    /// What may be announced.
    #[must_use]
    pub fn prefixes(&self) -> &BTreeSet<Prefix> {
        &self.prefixes
    }

    /// From where it comes.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The prefixes of one family.
    pub(super) fn of_family(&self, v4: bool) -> impl Iterator<Item = &Prefix> {
        self.prefixes.iter().filter(move |prefix| prefix.address().is_ipv4() == v4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_means_something_to_a_daemon_comes_in_as_a_name() {
        for name in ["stead0", "vip-1", "a.b_c"] {
            let source = Source::Interface(name.to_owned());
            assert!(Announce::new(BTreeSet::new(), source).is_ok(), "{name}");
        }
        for name in ["", "a b", "a\"", "a\nb", "vip*", "-a", "..", "sixteen-letters-", "a;"] {
            let source = Source::Interface(name.to_owned());
            assert!(Announce::new(BTreeSet::new(), source).is_err(), "{name}");
        }
    }

    #[test]
    fn routes_of_others_and_the_default_route_are_refused() {
        for number in [0, 2, 4, 12, 188, 196] {
            assert!(Announce::new(BTreeSet::new(), Source::Kernel(number)).is_err(), "{number}");
        }
        assert!(Announce::new(BTreeSet::new(), Source::Kernel(83)).is_ok());
        let all = BTreeSet::from(["::/0".parse().expect("a prefix")]);
        let refused = Announce::new(all, Source::Interface("stead0".to_owned()));
        assert_eq!(refused, Err(AnnounceError::Default));
    }
}
