//! What is said of one service: where it is, since when, and until when that may be believed.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::key::KeyDigest;

/// The version of the documents that are written here, and the newest that is read.
pub const VERSION: u32 = 1;
/// The longest name of a cluster, service, node or site (a label of DNS, RFC 1035 section 2.3.4).
const NAME: usize = 63;
/// The longest name in DNS (RFC 1035 section 2.3.4).
const DNS_NAME: usize = 253;
/// The digits of a cluster's identity.
const CLUSTER_DIGITS: usize = 32;
/// Addresses of one service, and names of it.
const ADDRESSES: usize = 256;
/// Members that may sign.
const SIGNERS: usize = 1_000;

/// An instant of the wall clock, in milliseconds since 1970. Written as in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i64);

impl Stamp {
    /// The present.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(0).after(since)
    }

    /// That many milliseconds after 1970, if a calendar has that day.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(millis).map(|_| Self(millis))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// So much later, or as late as can be said.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let latest = DateTime::<Utc>::MAX_UTC.timestamp_millis();
        Self(self.0.saturating_add(millis).min(latest))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(at.timestamp_millis()))
    }
}

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whereabouts {
    /// It runs on the node that is named.
    Here,
    /// It is on its way to the node that is named; there is nobody to talk to yet.
    Moving,
    /// It runs nowhere.
    Nowhere,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "here",
            Self::Moving => "moving",
            Self::Nowhere => "nowhere",
        })
    }
}

/// What orders the documents of a service: the epoch of its assignment, the index of the log when
/// the document was made, and when that was. The first that differs decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// The epoch of the assignment.
    pub epoch: u64,
    /// The index of the log.
    pub sequence: u64,
    /// When it was made, which decides only between documents that say the same anew.
    pub issued: Stamp,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, sequence {}, issued {}", self.epoch, self.sequence, self.issued)
    }
}

/// A cluster in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its random identity, in 32 hexadecimal digits.
    pub id: String,
    /// Its name, which is only a label.
    pub name: String,
}

/// What is said of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`VERSION`]. Fields that a reader does not know are nothing to it.
    pub version: u32,
    /// Whose service it is.
    pub cluster: Cluster,
    /// The service.
    pub service: String,
    /// What orders it among those of its service.
    #[serde(flatten)]
    pub order: Order,
    /// What the service does.
    pub state: Whereabouts,
    /// The node that has it or that it moves to; none if it is nowhere.
    #[serde(default)]
    pub node: Option<String>,
    /// That node's site, where sites have names.
    #[serde(default)]
    pub site: Option<String>,
    /// Where it is reached; none if it is nowhere.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Its names in DNS.
    #[serde(default)]
    pub names: Vec<String>,
    /// Until when it may be believed.
    pub valid_until: Stamp,
    /// The keys that may sign from now on. An empty list says nothing about them.
    #[serde(default)]
    pub signers: Vec<KeyDigest>,
}

impl Document {
    /// Why nobody should say or believe this, if so. Whoever makes a document learns it before he
    /// signs it, whoever reads one after he has seen who signed it.
    ///
    /// # Errors
    /// In words: the field, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.version == 0 || self.version > VERSION {
            return Err(format!("its version is {}, and only {VERSION} is known", self.version));
        }
        let id = &self.cluster.id;
        if id.len() != CLUSTER_DIGITS || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(format!("`cluster.id` is not {CLUSTER_DIGITS} hexadecimal digits"));
        }
        let names = [("cluster.name", Some(&self.cluster.name)), ("service", Some(&self.service))];
        let places = [("node", self.node.as_ref()), ("site", self.site.as_ref())];
        for (field, name) in names.into_iter().chain(places) {
            if name.is_some_and(|name| !is_name(name)) {
                return Err(format!("`{field}` is no name: a to z, 0 to 9 and -, at most {NAME}"));
            }
        }
        match (self.state, &self.node) {
            (Whereabouts::Here | Whereabouts::Moving, None) => {
                return Err(format!("it is {} without a `node`", self.state));
            }
            (Whereabouts::Nowhere, Some(_)) => {
                return Err("it is nowhere, and yet on a `node`".to_owned());
            }
            (Whereabouts::Here | Whereabouts::Moving, Some(_)) | (Whereabouts::Nowhere, None) => {}
        }
        if !self.names.iter().all(|name| is_dns_name(name)) {
            return Err("one of its `names` is none of DNS".to_owned());
        }
        let count = self.addresses.len().max(self.names.len());
        if count > ADDRESSES || self.signers.len() > SIGNERS {
            return Err(format!(
                "at most {ADDRESSES} `addresses` and `names` and {SIGNERS} `signers` are read"
            ));
        }
        if self.valid_until <= self.order.issued {
            return Err("`valid_until` is not after `issued`".to_owned());
        }
        Ok(())
    }
}

/// Whether that may be the name of a cluster, service, node or site. Such a name is also one of a
/// file, and of a part of a path in a URL.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = name.starts_with('-') || name.ends_with('-');
    !name.is_empty() && name.len() <= NAME && name.bytes().all(allowed) && !ends
}

fn is_dns_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*');
    !name.is_empty() && name.len() <= DNS_NAME && name.bytes().all(allowed)
}
