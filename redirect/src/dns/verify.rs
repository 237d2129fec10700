//! What each server says by now.

use std::net::SocketAddr;

use hickory_proto::op::Message;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::state::Questions;
use super::wire::Request;
use super::{DnsError, Fault, Wanted, Zone, transport};

/// What one server says about a name.
#[derive(Debug)]
pub enum Seen {
    /// What is wanted, with that time to live.
    Converged {
        /// The records' time to live, in seconds: what caches take from here on.
        ttl: u32,
        /// The zone's serial number.
        serial: u32,
    },
    /// Something else: an update has not come here yet, or never will.
    Old {
        /// Its records of the kinds that we own: time to live, kind and data. None: no records.
        says: Vec<String>,
        /// The zone's serial number.
        serial: u32,
    },
    /// It did not answer.
    Unreachable(Fault),
    /// It answered, but not for that zone: REFUSED, SERVFAIL, or without authority.
    Refused(Fault),
}

/// Asks each of the zone's servers what a name says, all at once.
///
/// # Errors
/// The name is not one of that zone. What is wrong with a server is what is [`Seen`] of it.
pub async fn verify(
    zone: &Zone,
    wanted: &Wanted,
    deadline: Instant,
) -> Result<Vec<(SocketAddr, Seen)>, DnsError> {
    super::update::belongs(zone, wanted.name())?;
    let questions = Questions::about(&zone.name, wanted.name())?;
    let mut asked = JoinSet::new();
    for (place, &server) in zone.servers.iter().enumerate() {
        let (questions, wanted) = (questions.clone(), wanted.clone());
        asked.spawn(
            async move { (place, server, see(server, &questions, &wanted, deadline).await) },
        );
    }
    let mut all = Vec::new();
    while let Some(seen) = asked.join_next().await {
        // Only a task that panicked can't be joined; it told that already.
        all.extend(seen);
    }
    all.sort_by_key(|(place, ..)| *place);
    Ok(all.into_iter().map(|(_, server, seen)| (server, seen)).collect())
}

async fn see(
    server: SocketAddr,
    questions: &Questions,
    wanted: &Wanted,
    deadline: Instant,
) -> Seen {
    let answers = match answers(server, questions, deadline).await {
        Ok(answers) => answers,
        Err(fault) => return Seen::Unreachable(fault),
    };
    match questions.read(&answers) {
        Ok(state) if state.says(wanted) => {
            Seen::Converged { ttl: wanted.ttl(), serial: state.serial }
        }
        Ok(state) => Seen::Old { says: state.tell(), serial: state.serial },
        Err(fault) => Seen::Refused(fault),
    }
}

/// In the order of the questions.
async fn answers(
    server: SocketAddr,
    questions: &Questions,
    deadline: Instant,
) -> Result<Vec<Message>, Fault> {
    let mut asked = JoinSet::new();
    for (place, (name, kind)) in questions.list().enumerate() {
        let name = name.clone();
        asked.spawn(async move {
            let make = || Request::question(&name, kind, false, None);
            transport::ask(server, deadline, make).await.map(|answer| (place, answer))
        });
    }
    let mut all = Vec::new();
    while let Some(answer) = asked.join_next().await {
        all.push(answer.map_err(|_| Fault::NoAnswer)??);
    }
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, answer)| answer).collect())
}
