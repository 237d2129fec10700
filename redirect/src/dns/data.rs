//! What a name says.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hickory_proto::rr::rdata::svcb::{Alpn, IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{self, HTTPS, SVCB};
use hickory_proto::rr::{RData, RecordType};
use thiserror::Error;

use super::Name;

/// The longest time to live, in seconds (RFC 2181 section 8).
const LONGEST_TTL: u32 = 0x7fff_ffff;
/// The most records of one name. An update with as many fits into one message by far.
const MOST_RECORDS: usize = 100;
/// The longest name of a protocol in `alpn`, in bytes (RFC 9460 section 7.1.1).
const LONGEST_ALPN: usize = 255;

/// A kind of records that is written or can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is called what it is called in the DNS")]
pub enum Kind {
    A,
    Aaaa,
    Cname,
    Srv,
    Https,
    Svcb,
    Txt,
    Soa,
}

/// A text is no [`Kind`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no kind of records: it is A, AAAA, CNAME, SRV, HTTPS, SVCB, TXT or SOA")]
pub struct KindError(String);

impl Kind {
    /// The kinds that are ours at a name that we own: each of them says where a service is.
    pub const OWNED: [Self; 6] =
        [Self::A, Self::Aaaa, Self::Cname, Self::Srv, Self::Https, Self::Svcb];

    pub(super) fn wire(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Cname => RecordType::CNAME,
            Self::Srv => RecordType::SRV,
            Self::Https => RecordType::HTTPS,
            Self::Svcb => RecordType::SVCB,
            Self::Txt => RecordType::TXT,
            Self::Soa => RecordType::SOA,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.wire().into())
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let mut all = Self::OWNED.into_iter().chain([Self::Txt, Self::Soa]);
        let found = all.find(|kind| kind.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| KindError(text.to_owned()))
    }
}

/// One record: what is said in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name is another name for this one.
    Cname(Name),
    /// Where a protocol is served (RFC 2782).
    Srv {
        /// Lower ones are asked first.
        priority: u16,
        /// Its share of the clients among records of the same priority.
        share: u16,
        /// Where it listens.
        port: u16,
        /// The host.
        target: Name,
    },
    /// How a web site is reached (RFC 9460).
    Https(Binding),
    /// The same of another protocol.
    Svcb(Binding),
}

/// How a service is reached (RFC 9460).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// Lower ones are tried first; 0 is an alias, which has nothing but its target.
    pub priority: u16,
    /// The host; the root for the name itself.
    pub target: Name,
    /// The protocols it speaks, such as `h2`; none for what is usual.
    pub alpn: Vec<String>,
    /// Where it listens, where that is not the usual port.
    pub port: Option<u16>,
    /// Its addresses, so that a client need not ask for them.
    pub ipv4hint: Vec<Ipv4Addr>,
    /// The same for IPv6.
    pub ipv6hint: Vec<Ipv6Addr>,
}

impl Data {
    /// What kind of record it is in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Cname(_) => Kind::Cname,
            Self::Srv { .. } => Kind::Srv,
            Self::Https(_) => Kind::Https,
            Self::Svcb(_) => Kind::Svcb,
        }
    }

    pub(super) fn to_wire(&self) -> RData {
        match self {
            Self::A(address) => RData::A((*address).into()),
            Self::Aaaa(address) => RData::AAAA((*address).into()),
            Self::Cname(name) => RData::CNAME(rdata::CNAME(name.wire().clone())),
            Self::Srv { priority, share, port, target } => {
                RData::SRV(rdata::SRV::new(*priority, *share, *port, target.wire().clone()))
            }
            Self::Https(binding) => RData::HTTPS(HTTPS(binding.to_wire())),
            Self::Svcb(binding) => RData::SVCB(binding.to_wire()),
        }
    }

    /// `None` if it is none of ours, or has parts that we don't know.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the library, which may learn more")]
    pub(super) fn from_wire(data: &RData) -> Option<Self> {
        match data {
            RData::A(address) => Some(Self::A(address.0)),
            RData::AAAA(address) => Some(Self::Aaaa(address.0)),
            RData::CNAME(name) => Some(Self::Cname(Name::from_wire(&name.0))),
            RData::SRV(srv) => Some(Self::Srv {
                priority: srv.priority,
                share: srv.weight,
                port: srv.port,
                target: Name::from_wire(&srv.target),
            }),
            RData::HTTPS(https) => Binding::from_wire(&https.0).map(Self::Https),
            RData::SVCB(svcb) => Binding::from_wire(svcb).map(Self::Svcb),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), WantedError> {
        let (Self::Https(binding) | Self::Svcb(binding)) = self else { return Ok(()) };
        let has_parameters = !binding.alpn.is_empty()
            || binding.port.is_some()
            || !binding.ipv4hint.is_empty()
            || !binding.ipv6hint.is_empty();
        if binding.priority == 0 && has_parameters {
            return Err(WantedError::Alias);
        }
        let fits = |it: &String| (1..=LONGEST_ALPN).contains(&it.len());
        match binding.alpn.iter().find(|it| !fits(it)) {
            Some(protocol) => Err(WantedError::Protocol(protocol.clone())),
            None => Ok(()),
        }
    }
}

/// As in a zone file, its kind first.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.to_wire())
    }
}

impl Binding {
    /// Parameters stand in the order of their numbers (RFC 9460 section 2.2).
    fn to_wire(&self) -> SVCB {
        let mut parameters = Vec::new();
        if !self.alpn.is_empty() {
            let value = SvcParamValue::Alpn(Alpn(self.alpn.clone()));
            parameters.push((SvcParamKey::Alpn, value));
        }
        if let Some(port) = self.port {
            parameters.push((SvcParamKey::Port, SvcParamValue::Port(port)));
        }
        if !self.ipv4hint.is_empty() {
            let all = self.ipv4hint.iter().map(|&address| address.into()).collect();
            parameters.push((SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(all))));
        }
        if !self.ipv6hint.is_empty() {
            let all = self.ipv6hint.iter().map(|&address| address.into()).collect();
            parameters.push((SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(all))));
        }
        SVCB::new(self.priority, self.target.wire().clone(), parameters)
    }

    fn from_wire(svcb: &SVCB) -> Option<Self> {
        let mut binding = Self {
            priority: svcb.svc_priority,
            target: Name::from_wire(&svcb.target_name),
            alpn: Vec::new(),
            port: None,
            ipv4hint: Vec::new(),
            ipv6hint: Vec::new(),
        };
        for (_, value) in &svcb.svc_params {
            #[expect(clippy::wildcard_enum_match_arm, reason = "of the library")]
            match value {
                SvcParamValue::Alpn(all) => binding.alpn.clone_from(&all.0),
                SvcParamValue::Port(port) => binding.port = Some(*port),
                SvcParamValue::Ipv4Hint(all) => {
                    binding.ipv4hint = all.0.iter().map(|it| it.0).collect();
                }
                SvcParamValue::Ipv6Hint(all) => {
                    binding.ipv6hint = all.0.iter().map(|it| it.0).collect();
                }
                _ => return None,
            }
        }
        Some(binding)
    }
}

/// What a name shall say. No data at all withdraws its records, and keeps its marker: who may
/// write it next is still known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    name: Name,
    ttl: u32,
    data: Vec<Data>,
}

/// A name can't say that.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WantedError {
    /// Caches count in 31 bits.
    #[error("{0} seconds are no time to live: it ends at {LONGEST_TTL}")]
    Ttl(u32),
    /// RFC 1034 section 3.6.2.
    #[error("a CNAME stands alone at its name; leave it out, or everything else")]
    NotAlone,
    /// A bound.
    #[error("{0} records are more than one name can have here ({MOST_RECORDS})")]
    TooMany(usize),
    /// RFC 9460 section 2.4.2.
    #[error("an alias (priority 0) has nothing but its target; give it another priority")]
    Alias,
    /// RFC 9460 section 7.1.1.
    #[error("{0:?} is no protocol for alpn: 1 to {LONGEST_ALPN} bytes")]
    Protocol(String),
}

impl Wanted {
    /// `ttl` in seconds: how long caches keep it.
    ///
    /// # Errors
    /// Name servers would refuse that, or leave a part of it out without a word.
    pub fn new(name: Name, ttl: u32, mut data: Vec<Data>) -> Result<Self, WantedError> {
        data.sort();
        data.dedup();
        if ttl > LONGEST_TTL {
            return Err(WantedError::Ttl(ttl));
        }
        if data.len() > MOST_RECORDS {
            return Err(WantedError::TooMany(data.len()));
        }
        if data.len() > 1 && data.iter().any(|it| it.kind() == Kind::Cname) {
            return Err(WantedError::NotAlone);
        }
        data.iter().try_for_each(Data::check)?;
        Ok(Self { name, ttl, data })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How long caches keep it, in seconds.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// What it shall say, in order and each once.
    #[must_use]
    pub fn data(&self) -> &[Data] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn binding(priority: u16) -> Binding {
        Binding {
            priority,
            target: name("web.example.org"),
            alpn: vec!["h2".to_owned(), "h3".to_owned()],
            port: Some(8443),
            ipv4hint: vec![Ipv4Addr::new(192, 0, 2, 1)],
            ipv6hint: vec![Ipv6Addr::LOCALHOST],
        }
    }

    fn all() -> Vec<Data> {
        let target = name("db.example.org");
        vec![
            Data::A(Ipv4Addr::new(192, 0, 2, 1)),
            Data::Aaaa(Ipv6Addr::LOCALHOST),
            Data::Cname(target.clone()),
            Data::Srv { priority: 1, share: 2, port: 3, target },
            Data::Https(binding(1)),
            Data::Svcb(binding(2)),
        ]
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for data in all() {
            assert_eq!(Data::from_wire(&data.to_wire()).as_ref(), Some(&data));
            let kind: Kind = data.kind().to_string().to_lowercase().parse().unwrap();
            assert_eq!(kind.wire(), data.to_wire().record_type());
        }
        let srv = all().remove(3);
        assert_eq!(srv.to_string(), "SRV 1 2 3 db.example.org.");
        assert_eq!("MX".parse::<Kind>(), Err(KindError("MX".to_owned())));
    }

    #[test]
    fn what_servers_would_refuse_is_refused_here() {
        let wanted = |ttl, data| Wanted::new(name("www.example.org"), ttl, data);
        let (one, cname) = (all().remove(0), all().remove(2));
        assert_eq!(wanted(u32::MAX, vec![]), Err(WantedError::Ttl(u32::MAX)));
        assert_eq!(wanted(1, vec![one.clone(), cname]), Err(WantedError::NotAlone));
        assert_eq!(wanted(1, vec![Data::Https(binding(0))]), Err(WantedError::Alias));
        let odd = Binding { alpn: vec![String::new()], ..binding(1) };
        assert_eq!(wanted(1, vec![Data::Svcb(odd)]), Err(WantedError::Protocol(String::new())));
        let many = (0..=100).map(|it| Data::A(Ipv4Addr::from_bits(it))).collect();
        assert_eq!(wanted(1, many), Err(WantedError::TooMany(101)));
        assert_eq!(wanted(1, vec![one.clone(), one.clone()]).unwrap().data(), [one]);
    }
}
