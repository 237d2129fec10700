//! Writing a name, and removing it.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{DNSClass, RData, Record};
use tokio::time::Instant;

use super::state::{Mark, Questions, State};
use super::transport::Connection;
use super::wire::{Request, fault_of};
use super::{Attempt, DnsError, Fault, Kind, Name, Wanted, Writer, Zone};

/// How often an update is made anew when others came first. Each of them has changed the name
/// then, and a writer changes it once: this is for eight at a time.
const TRIES: u32 = 8;
/// How long caches may keep a marker, in seconds. Nobody reads it from one.
const MARKER_TTL: u32 = 60;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updated {
    /// Who took it.
    pub server: SocketAddr,
    /// The zone's serial number before.
    pub before: u32,
    /// The zone's serial number after; `None` if this server passed the update on to its primary
    /// and does not have it yet.
    pub after: Option<u32>,
    /// Something was written. Otherwise all was as wanted already, the epoch included.
    pub changed: bool,
}

/// Makes a name say what is wanted, and nothing else of the kinds in [`Kind::OWNED`]. The same
/// again changes nothing. Also for another time to live alone.
///
/// # Errors
/// See [`DnsError`].
pub async fn update(
    zone: &Zone,
    writer: &Writer,
    wanted: &Wanted,
    deadline: Instant,
) -> Result<Updated, DnsError> {
    let is_alias = wanted.data().iter().any(|it| it.kind() == Kind::Cname);
    if is_alias && *wanted.name() == zone.name {
        return Err(DnsError::Apex(zone.name.clone()));
    }
    carry_out(zone, writer, wanted.name(), Some(wanted), deadline).await
}

/// Removes a name's records and its marker, if they are ours. With the marker goes the memory of
/// its epoch: an older writer that is still about could write it again.
///
/// # Errors
/// See [`DnsError`].
pub async fn remove(
    zone: &Zone,
    writer: &Writer,
    name: &Name,
    deadline: Instant,
) -> Result<Updated, DnsError> {
    carry_out(zone, writer, name, None, deadline).await
}

/// The name is one of that zone.
pub(super) fn belongs(zone: &Zone, name: &Name) -> Result<(), DnsError> {
    if zone.name.holds(name) {
        return Ok(());
    }
    Err(DnsError::NotInZone { name: name.clone(), zone: zone.name.clone() })
}

/// What shall stand at a name; no `wanted`: nothing, not even a marker.
struct Goal<'a> {
    zone: &'a Zone,
    writer: &'a Writer,
    name: &'a Name,
    marker: Name,
    wanted: Option<&'a Wanted>,
    questions: Questions,
}

/// Why one server's attempt ended.
enum Stop {
    /// For all servers.
    Decided(DnsError),
    /// For this one. The flag: an update is under way.
    Fault(Fault, bool),
}

impl From<DnsError> for Stop {
    fn from(error: DnsError) -> Self {
        Self::Decided(error)
    }
}

async fn carry_out(
    zone: &Zone,
    writer: &Writer,
    name: &Name,
    wanted: Option<&Wanted>,
    deadline: Instant,
) -> Result<Updated, DnsError> {
    belongs(zone, name)?;
    let questions = Questions::about(&zone.name, name)?;
    let marker = name.marker()?;
    let goal = Goal { zone, writer, name, marker, wanted, questions };
    let mut attempts = Vec::new();
    for (place, &server) in zone.servers.iter().enumerate() {
        // A silent one leaves time for those behind it.
        let now = Instant::now();
        let behind = u32::try_from(zone.servers.len() - place).unwrap_or(u32::MAX);
        let share = now + deadline.saturating_duration_since(now) / behind;
        match goal.attempt(server, share).await {
            Ok(updated) => return Ok(updated),
            Err(Stop::Decided(error)) => return Err(error),
            Err(Stop::Fault(fault, sent)) => attempts.push(Attempt { server, fault, sent }),
        }
    }
    Err(DnsError::Untaken { name: name.clone(), attempts })
}

impl Goal<'_> {
    async fn attempt(&self, server: SocketAddr, deadline: Instant) -> Result<Updated, Stop> {
        let before_sending = |fault| Stop::Fault(fault, false);
        let opened = Connection::open(server, deadline).await;
        let mut connection = opened.map_err(before_sending)?;
        for _ in 0..TRIES {
            let state = self.read(&mut connection).await.map_err(before_sending)?;
            self.permits(&state)?;
            if self.is_reached(&state) {
                let (before, after) = (state.serial, Some(state.serial));
                return Ok(Updated { server, before, after, changed: false });
            }
            let (prerequisites, changes) = (self.prerequisites(&state), self.changes());
            let key = &self.zone.key;
            let request = Request::change(&self.zone.name, prerequisites, changes, key);
            let request = request.map_err(before_sending)?;
            let answered = connection.ask_all(vec![request]).await;
            let answers = answered.map_err(|fault| Stop::Fault(fault, true))?;
            let Some(answer) = answers.first() else { continue };
            if let Some(fault) = fault_of(answer, &self.zone.name) {
                return Err(before_sending(fault));
            }
            if answer.metadata.response_code != ResponseCode::NoError {
                // Not as it was read: read anew.
                continue;
            }
            let after = self.read(&mut connection).await;
            let after = after.map_err(|fault| Stop::Fault(fault, true))?;
            if let Some(after) = self.confirm(&state, &after)? {
                return Ok(Updated { server, before: state.serial, after, changed: true });
            }
        }
        Err(Stop::Fault(Fault::Contested { tries: TRIES }, false))
    }

    async fn read(&self, connection: &mut Connection) -> Result<State, Fault> {
        let requests = self.questions.requests(&self.zone.key)?;
        self.questions.read(&connection.ask_all(requests).await?)
    }

    /// Whether we may write over that.
    fn permits(&self, state: &State) -> Result<(), DnsError> {
        let (name, ours) = (self.name.clone(), &self.writer.marker);
        match state.mark() {
            Mark::None if state.records.is_empty() => Ok(()),
            Mark::None if self.writer.adopts && self.wanted.is_some() => Ok(()),
            Mark::None => Err(DnsError::Unowned { name, kinds: state.kinds() }),
            Mark::Other(text) => Err(DnsError::Unreadable { name, text }),
            Mark::One(its) if its.cluster != ours.cluster || its.service != ours.service => {
                Err(DnsError::Foreign { name, cluster: its.cluster, service: its.service })
            }
            Mark::One(its) if its.epoch > ours.epoch => Err(DnsError::Superseded {
                name,
                service: its.service,
                by: its.epoch,
                ours: ours.epoch,
            }),
            Mark::One(_) => Ok(()),
        }
    }

    fn is_reached(&self, state: &State) -> bool {
        match self.wanted {
            Some(wanted) => self.is_marked(state) && state.says(wanted),
            None => matches!(state.mark(), Mark::None) && state.records.is_empty(),
        }
    }

    fn is_marked(&self, state: &State) -> bool {
        matches!(state.mark(), Mark::One(its) if its == self.writer.marker)
    }

    /// RFC 2136 section 2.4: the marker is as it was read; where there is none, the records are.
    fn prerequisites(&self, state: &State) -> Vec<Record> {
        let as_read = |record: &Record| {
            let mut record = record.clone();
            record.ttl = 0;
            record
        };
        if !state.markers.is_empty() {
            return state.markers.iter().map(as_read).collect();
        }
        let is_not = |name: &Name, kind: Kind| empty(name, kind, DNSClass::NONE);
        let absent = Kind::OWNED.into_iter();
        let absent = absent
            .filter(|kind| !state.records.iter().any(|it| it.record_type() == kind.wire()))
            .map(|kind| is_not(self.name, kind));
        let present = state.records.iter().map(as_read);
        let mut all = vec![is_not(&self.marker, Kind::Txt)];
        all.extend(absent.chain(present));
        all
    }

    /// RFC 2136 section 2.5, in this order: an address is left out where there is still an alias.
    fn changes(&self) -> Vec<Record> {
        let gone = Kind::OWNED.into_iter().map(|kind| empty(self.name, kind, DNSClass::ANY));
        let mut all: Vec<_> = gone.collect();
        all.push(empty(&self.marker, Kind::Txt, DNSClass::ANY));
        if let Some(wanted) = self.wanted {
            let text = TXT::new(vec![self.writer.marker.to_string()]);
            let marker = self.marker.wire().clone();
            all.push(Record::from_rdata(marker, MARKER_TTL, RData::TXT(text)));
            all.extend(wanted.data().iter().map(|data| {
                Record::from_rdata(self.name.wire().clone(), wanted.ttl(), data.to_wire())
            }));
        }
        all
    }

    /// The serial number after an update that the server took; an inner `None` if it only passed
    /// it on. An outer `None`: somebody else has been here since.
    fn confirm(&self, before: &State, after: &State) -> Result<Option<Option<u32>>, Stop> {
        if self.is_reached(after) {
            return Ok(Some(Some(after.serial)));
        }
        if after.serial == before.serial && after.is_as(before) {
            return Ok(Some(None));
        }
        if self.is_marked(after) {
            let says = after.tell().join("; ");
            let says = if says.is_empty() { "nothing".to_owned() } else { says };
            return Err(Stop::Fault(Fault::NotKept { says }, false));
        }
        Ok(None)
    }
}

/// A record without data: a prerequisite or a change of the whole kind, by its class.
fn empty(name: &Name, kind: Kind, class: DNSClass) -> Record {
    let mut record = Record::update0(name.wire().clone(), 0, kind.wire());
    record.dns_class = class;
    record
}
