//! What stands in a zone about one name.

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{SOA, TXT};
use hickory_proto::rr::{Record, RecordData};

use super::wire::{Request, fault_of};
use super::{Data, Fault, Key, Kind, Marker, Name, NameError, Wanted};

/// One name as one server has it.
#[derive(Debug)]
pub(super) struct State {
    /// The TXT records beside it.
    pub(super) markers: Vec<Record>,
    /// Its records of the kinds that we own.
    pub(super) records: Vec<Record>,
    /// The zone's serial number.
    pub(super) serial: u32,
}

/// What stands at the name of the marker.
#[derive(Debug)]
pub(super) enum Mark {
    None,
    One(Marker),
    /// Something else, as it reads.
    Other(String),
}

/// The questions whose answers are a [`State`].
#[derive(Clone, Debug)]
pub(super) struct Questions {
    zone: Name,
    name: Name,
    marker: Name,
}

impl Questions {
    pub(super) fn about(zone: &Name, name: &Name) -> Result<Self, NameError> {
        Ok(Self { zone: zone.clone(), name: name.clone(), marker: name.marker()? })
    }

    /// In an order of their own.
    pub(super) fn list(&self) -> impl Iterator<Item = (&Name, Kind)> {
        let owned = Kind::OWNED.into_iter().map(|kind| (&self.name, kind));
        owned.chain([(&self.marker, Kind::Txt), (&self.zone, Kind::Soa)])
    }

    pub(super) fn requests(&self, key: &Key) -> Result<Vec<Request>, Fault> {
        self.list().map(|(name, kind)| Request::question(name, kind, false, Some(key))).collect()
    }

    /// Reads the answers, in the order of the questions.
    pub(super) fn read(&self, answers: &[Message]) -> Result<State, Fault> {
        let lame = || Fault::NotAuthoritative { zone: self.zone.clone() };
        let mut state = State { markers: Vec::new(), records: Vec::new(), serial: 0 };
        let mut serial = None;
        for ((name, kind), answer) in self.list().zip(answers) {
            if let Some(fault) = fault_of(answer, &self.zone) {
                let refused = matches!(fault, Fault::Refused);
                let zone = self.zone.clone();
                return Err(if refused { Fault::RefusesQuestions { zone } } else { fault });
            }
            if !answer.metadata.authoritative {
                return Err(lame());
            }
            // An alias is followed by the server: what stands elsewhere is not asked for.
            let fits = |it: &&Record| it.name == *name.wire() && it.record_type() == kind.wire();
            let mut found = answer.answers.iter().filter(fits).cloned();
            match kind {
                Kind::Txt => state.markers.extend(found),
                Kind::Soa => {
                    serial = found.find_map(|it| SOA::try_borrow(&it.data).map(|it| it.serial));
                }
                Kind::A | Kind::Aaaa | Kind::Cname | Kind::Srv | Kind::Https | Kind::Svcb => {
                    state.records.extend(found);
                }
            }
        }
        state.serial = serial.ok_or_else(lame)?;
        Ok(state)
    }
}

impl State {
    pub(super) fn mark(&self) -> Mark {
        let [record] = self.markers.as_slice() else {
            let all: Vec<_> = self.markers.iter().map(|it| it.data.to_string()).collect();
            return if all.is_empty() { Mark::None } else { Mark::Other(all.join(" ")) };
        };
        let marker = TXT::try_borrow(&record.data).and_then(|text| match text.txt_data.as_ref() {
            [one] => Marker::read(one),
            _ => None,
        });
        marker.map_or_else(|| Mark::Other(record.data.to_string()), Mark::One)
    }

    /// The name says that, with that time to live, and nothing else of the kinds that we own.
    pub(super) fn says(&self, wanted: &Wanted) -> bool {
        let mut data: Vec<_> = self.records.iter().map(|it| Data::from_wire(&it.data)).collect();
        data.sort();
        let same = data.iter().map(Option::as_ref).eq(wanted.data().iter().map(Some));
        same && self.records.iter().all(|it| it.ttl == wanted.ttl())
    }

    /// The same records and the same marker, whatever their times to live: what a prerequisite can
    /// compare.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let all = |it: &Self| {
            let both = it.markers.iter().chain(&it.records);
            let mut all: Vec<_> = both.map(|it| (it.record_type(), it.data.to_string())).collect();
            all.sort();
            all
        };
        all(self) == all(other)
    }

    /// What it says, for people.
    pub(super) fn tell(&self) -> Vec<String> {
        let tell = |it: &Record| format!("{} {} {}", it.ttl, it.record_type(), it.data);
        self.records.iter().map(tell).collect()
    }

    /// Which kinds of ours it has, for people.
    pub(super) fn kinds(&self) -> String {
        let has = |kind: &Kind| self.records.iter().any(|it| it.record_type() == kind.wire());
        let kinds: Vec<_> = Kind::OWNED.iter().filter(|it| has(it)).map(Kind::to_string).collect();
        kinds.join(", ")
    }
}
