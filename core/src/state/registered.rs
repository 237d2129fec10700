//! What can be somebody's alone, and whose it is.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::config::Prefix;
use crate::id::ServiceId;

/// A hardware address of 48 bits (EUI-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Whether one card can have it: it is no group's (IEEE 802, section 8.2.2), and not zero.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Something that can be somebody's alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Registered {
    /// An address.
    Address(IpAddr),
    /// A prefix that is announced as a whole, and all in it.
    Prefix(Prefix),
    /// A MAC.
    Mac(MacAddress),
    /// A name in the domain name system, in lower case.
    Name(String),
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Registered {
    /// Whether both can't be different owners'.
    #[must_use]
    pub fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(one), Self::Address(other)) => one == other,
            (Self::Prefix(prefix), Self::Address(address))
            | (Self::Address(address), Self::Prefix(prefix)) => prefix.contains(*address),
            (Self::Prefix(one), Self::Prefix(other)) => one.overlaps(other),
            (Self::Mac(one), Self::Mac(other)) => one == other,
            (Self::Name(one), Self::Name(other)) => one == other,
            (Self::Address(_) | Self::Prefix(_), Self::Mac(_) | Self::Name(_))
            | (Self::Mac(_), Self::Address(_) | Self::Prefix(_) | Self::Name(_))
            | (Self::Name(_), Self::Address(_) | Self::Prefix(_) | Self::Mac(_)) => false,
        }
    }
}

/// That something is kept for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// For that service, which may not be there yet; if none, for nothing that stead knows.
    pub service: Option<ServiceId>,
    /// What for, in an operator's words.
    pub note: String,
    /// On which node that was asked for.
    pub by: String,
}

impl Reservation {
    /// For whom it is, and why.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (&self.service, self.note.as_str()) {
            (Some(service), "") => alloc::format!("for service {service}"),
            (Some(service), note) => alloc::format!("for service {service}: {note}"),
            (None, "") => alloc::format!("by an operator on {}", self.by),
            (None, note) => note.into(),
        }
    }
}

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// A service's, by the configuration.
    Service(ServiceId),
    /// A node's own, by the configuration.
    Node(String),
    /// Announced as a whole, by the configuration: the services in it, which move together. Any
    /// service may come to lie in it, and nothing else.
    Announced(BTreeSet<ServiceId>),
    /// Kept for somebody.
    Reserved(Reservation),
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => write!(f, "service {service}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Announced(services) if services.is_empty() => f.write_str("announced"),
            Self::Announced(services) => {
                let services: Vec<_> = services.iter().map(|it| it.0.as_str()).collect();
                write!(f, "announced for {}", services.join(", "))
            }
            Self::Reserved(Reservation { service: Some(service), .. }) => {
                write!(f, "reserved for service {service}")
            }
            Self::Reserved(reservation) => write!(f, "reserved: {}", reservation.in_words()),
        }
    }
}

/// Something that is in use, or kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// What.
    pub what: Registered,
    /// Whose.
    pub by: Claimed,
}

impl Claimed {
    /// Whose, as an error says it.
    pub(super) fn in_words(&self) -> String {
        alloc::format!("{self}")
    }
}

/// Whether it is that service's.
pub(super) fn is_of(by: &Claimed, service: Option<&ServiceId>) -> bool {
    match by {
        Claimed::Service(owner) => Some(owner) == service,
        Claimed::Node(_) => false,
        Claimed::Announced(_) => service.is_some(),
        Claimed::Reserved(it) => it.service.is_some() && it.service.as_ref() == service,
    }
}

/// Whether who uses something may, though it is kept.
pub(super) fn may_use(user: &Claimed, kept: &Claimed) -> bool {
    match (user, kept) {
        (Claimed::Service(service), kept) => is_of(kept, Some(service)),
        (Claimed::Announced(_), Claimed::Reserved(it)) => it.service.is_some(),
        (
            Claimed::Node(_) | Claimed::Announced(_) | Claimed::Reserved(_),
            Claimed::Service(_) | Claimed::Node(_) | Claimed::Announced(_) | Claimed::Reserved(_),
        ) => false,
    }
}
