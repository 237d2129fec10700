//! Asking as a client would.

use std::net::SocketAddr;

use hickory_proto::rr::RecordData;
use hickory_proto::rr::rdata::SOA;
use tokio::time::Instant;

use super::wire::{Request, rcode};
use super::{Data, Fault, Kind, Name, transport};

/// What a server said to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its records: those of the name, or an alias and what stands at its end.
    pub answers: Vec<Answer>,
    /// It answers from the zone itself. Of a cache's answer the time to live is what is left of it.
    pub authoritative: bool,
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL` and so on. A name without records of that kind has
    /// `NOERROR` and no answers.
    pub rcode: String,
    /// How long it is kept that there is no answer, in seconds (RFC 2308 section 5), where that was
    /// told.
    pub nothing_for: Option<u32>,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose it is.
    pub name: Name,
    /// How long it may be kept, in seconds; from a cache, how long it still will be.
    pub ttl: u32,
    /// The record as in a zone file, its kind first.
    pub text: String,
    /// What is said, if it is of the kinds that we write.
    pub data: Option<Data>,
}

/// Asks one server what a name says; a cache may ask others.
///
/// # Errors
/// It did not answer. Codes that say no are no errors.
pub async fn look(
    server: SocketAddr,
    name: &Name,
    kind: Kind,
    deadline: Instant,
) -> Result<Look, Fault> {
    let make = || Request::question(name, kind, true, None);
    let message = transport::ask(server, deadline, make).await?;
    let answers = message.answers.iter().map(|record| Answer {
        name: Name::from_wire(&record.name),
        ttl: record.ttl,
        text: format!("{} {}", record.record_type(), record.data),
        data: Data::from_wire(&record.data),
    });
    let answers: Vec<_> = answers.collect();
    let nothing = message.authorities.iter().find_map(|record| {
        let soa = SOA::try_borrow(&record.data).filter(|_| answers.is_empty())?;
        Some(record.ttl.min(soa.minimum))
    });
    Ok(Look {
        answers,
        authoritative: message.metadata.authoritative,
        rcode: rcode(message.metadata.response_code),
        nothing_for: nothing,
    })
}
