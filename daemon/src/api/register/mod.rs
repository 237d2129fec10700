//! The registers, as operators look at them and change them: which address, prefix, MAC and name is
//! whose.
//!
//! The happy path: a list is the state's own ([`State::used`]) in the form of an answer; what is
//! reserved or released is one committed change, and what is allocated is one as well, of what is
//! found free first ([`allocate`]).
//!
//! Failures: what is taken is refused by the state, with whose it is; then nothing was changed. A
//! daemon that can't ask the segment about an address hands none out.
//!
//! Deliberately absent: anything that writes the configuration. Who has reserved an address for a
//! service still writes it into cluster.toml.

mod allocate;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::id::ServiceId;
use stead_core::state::{Change, Claimed, RegisterChange, Registered, Reservation, State, Used};

use super::Desk;
use super::message::{Failure, PlannedChange};
use super::requests::{Answered, commit, config_of, json, submit};
use crate::config::{Checked, read_registered, service_name};
use crate::driver::handle::Handle;

/// The longest note, in bytes.
const LONGEST_NOTE: usize = 255;

/// What can be asked. On the line its name stands in `act`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RegisterRequest {
    /// What is whose: a [`RegisterAnswer`].
    List,
    /// Keep something for somebody: a [`ReservedAnswer`].
    Reserve {
        /// What: an address, a prefix, a MAC or a name.
        what: String,
        /// For that service, which may not be there yet.
        #[serde(default)]
        service: Option<String>,
        /// What for.
        #[serde(default)]
        note: String,
    },
    /// Keep it no longer: a [`ReservedAnswer`].
    Release {
        /// What.
        what: String,
    },
    /// Keep the lowest address that is free, or a MAC: a [`ReservedAnswer`].
    Allocate {
        /// Of the pool of that network, by name; `mac` for a MAC of the cluster's own range.
        from: String,
        /// For that service, which may not be there yet.
        #[serde(default)]
        service: Option<String>,
        /// What for.
        #[serde(default)]
        note: String,
        /// Nobody is asked first whether it is in use.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unasked: bool,
    },
}

/// What is whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterAnswer {
    /// All that is somebody's: addresses, prefixes, MACs, names, each kind in order.
    pub entries: Vec<RegisterEntry>,
    /// From where addresses are given out.
    pub pools: Vec<PoolReport>,
}

/// Something that is somebody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterEntry {
    /// Which kind of thing it is.
    pub kind: Kind,
    /// What.
    pub what: String,
    /// Whose it is.
    pub owner: Owner,
    /// The services whose it is, or for which it is kept.
    #[serde(default)]
    pub services: Vec<String>,
    /// The node whose own it is.
    #[serde(default)]
    pub node: Option<String>,
    /// What for, in an operator's words.
    #[serde(default)]
    pub note: Option<String>,
    /// On which node it was reserved.
    #[serde(default)]
    pub reserved_on: Option<String>,
}

/// What can be somebody's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Addresses.
    Address,
    /// Prefixes that are announced or kept as a whole.
    Prefix,
    /// MACs.
    Mac,
    /// Names in the domain name system.
    Name,
}

/// Whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// A service's.
    Service,
    /// A node's own.
    Node,
    /// Announced as a whole, for the services in it.
    Announced,
    /// Kept for somebody.
    Reserved,
}

/// A range from which addresses are given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReport {
    /// Of that network.
    pub network: String,
    /// The first and the last address.
    pub range: String,
    /// How many are nobody's, by the register; strangers are found when one is allocated.
    pub free: u64,
}

/// Something was reserved, or released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedAnswer {
    /// Which kind of thing it is.
    pub kind: Kind,
    /// What.
    pub what: String,
    /// Its change's position in the log.
    pub index: u64,
    /// What was passed over: not in the register, and in use by somebody all the same.
    #[serde(default)]
    pub passed_over: Vec<String>,
    /// What the operator should know or do now, if anything.
    #[serde(default)]
    pub next: Option<String>,
}

/// Carries one out.
pub(super) async fn carry_out(desk: &Desk, request: RegisterRequest) -> Answered<Value> {
    let handle = &desk.handle;
    match request {
        RegisterRequest::List => json(&list(&handle.view().state)?),
        RegisterRequest::Reserve { what, service, note } => {
            let what = read(&what)?;
            let reservation = reservation(handle, service.as_deref(), note)?;
            let next = next(&handle.view().state, &what, &reservation);
            let reserve = RegisterChange::Reserve { what: what.clone(), reservation };
            let index = submit(desk, Change::Register(reserve)).await?;
            json(&answer(&what, index.0, next))
        }
        RegisterRequest::Release { what } => {
            let what = read(&what)?;
            releasable(&handle.view().state, &what)?;
            let release = RegisterChange::Release { what: what.clone() };
            let index = submit(desk, Change::Register(release)).await?;
            json(&answer(&what, index.0, None))
        }
        RegisterRequest::Allocate { from, service, note, unasked } => {
            let reservation = reservation(handle, service.as_deref(), note)?;
            json(&allocate::allocate(handle, &from, reservation, unasked).await?)
        }
    }
}

fn answer(what: &Registered, index: u64, next: Option<String>) -> ReservedAnswer {
    let (kind, what) = (Kind::of(what), what.to_string());
    ReservedAnswer { kind, what, index, passed_over: Vec::new(), next }
}

fn read(what: &str) -> Answered<Registered> {
    read_registered(what).map_err(|wrong| {
        Failure::unchanged(format!("{wrong}; nothing was changed"), "`stead register` lists some")
    })
}

fn reservation(handle: &Handle, service: Option<&str>, note: String) -> Answered<Reservation> {
    let wrong = |why: String| Failure::unchanged(format!("{why}; nothing was changed"), "");
    let service = service.map(service_name).transpose().map_err(wrong)?;
    if note.len() > LONGEST_NOTE || note.chars().any(char::is_control) {
        let message =
            format!("a note is one line of up to {LONGEST_NOTE} bytes; nothing was changed");
        return Err(Failure::unchanged(message, "say it shorter"));
    }
    Ok(Reservation { service, note, by: handle.view().identity.name.clone() })
}

/// What is left to do for a service that shall use it.
fn next(state: &State, what: &Registered, reservation: &Reservation) -> Option<String> {
    let service = reservation.service.as_ref()?;
    let known = state.config.as_ref().is_some_and(|it| it.services.contains_key(service));
    let used = state.used().into_iter();
    let mut used = used.filter(|it| it.by == Claimed::Service(service.clone()));
    if used.any(|it| it.what == *what) {
        return None;
    }
    let whose = if known { format!("{service}") } else { format!("{service}, which is new") };
    Some(match what {
        Registered::Address(_) | Registered::Name(_) => {
            format!("write it into cluster.toml for {whose}, then `stead apply`")
        }
        Registered::Mac(_) => format!("{service} gets it with the next MAC that it needs"),
        Registered::Prefix(_) => format!("addresses in it are for {whose} alone"),
    })
}

/// Something that is reserved; else it says whose it is, and so what to do instead.
fn releasable(state: &State, what: &Registered) -> Answered<()> {
    if state.redirect().reservations.contains_key(what) {
        return Ok(());
    }
    let Some(used) = state.claimed(what, None) else {
        return Err(Failure::unchanged(
            format!("{what} is not reserved; nothing was changed"),
            "`stead register` lists what is",
        ));
    };
    let next = match &used.by {
        Claimed::Reserved(_) => format!("release that: stead register release {}", used.what),
        Claimed::Service(_) | Claimed::Node(_) | Claimed::Announced(_) => {
            "take it out of cluster.toml, then `stead apply`".to_owned()
        }
    };
    let part = if used.what == *what { String::new() } else { format!(": {}", used.what) };
    Err(Failure::unchanged(
        format!("{what} is not reserved, but taken ({}{part}); nothing was changed", used.by),
        next,
    ))
}

/// What is whose.
fn list(state: &State) -> Answered<RegisterAnswer> {
    let config = config_of(state)?;
    let mut used = state.used();
    used.sort_by(|one, other| one.what.cmp(&other.what));
    let pools = config.redirect().pools.iter().map(|(network, range)| PoolReport {
        network: network.clone(),
        range: range.to_string(),
        free: u64::try_from(state.free_addresses(range)).unwrap_or(u64::MAX),
    });
    let pools = pools.collect();
    Ok(RegisterAnswer { entries: used.into_iter().map(entry).collect(), pools })
}

fn entry(used: Used) -> RegisterEntry {
    let (kind, what) = (Kind::of(&used.what), used.what.to_string());
    let (mut services, mut node, mut note, mut reserved_on) = (Vec::new(), None, None, None);
    let name = |it: ServiceId| it.0;
    let owner = match used.by {
        Claimed::Service(service) => {
            services.push(service.0);
            Owner::Service
        }
        Claimed::Node(name) => {
            node = Some(name);
            Owner::Node
        }
        Claimed::Announced(all) => {
            services.extend(all.into_iter().map(name));
            Owner::Announced
        }
        Claimed::Reserved(it) => {
            services.extend(it.service.map(name));
            note = Some(it.note).filter(|note| !note.is_empty());
            reserved_on = Some(it.by);
            Owner::Reserved
        }
    };
    RegisterEntry { kind, what, owner, services, node, note, reserved_on }
}

impl Kind {
    fn of(what: &Registered) -> Self {
        match what {
            Registered::Address(_) => Self::Address,
            Registered::Prefix(_) => Self::Prefix,
            Registered::Mac(_) => Self::Mac,
            Registered::Name(_) => Self::Name,
        }
    }
}

/// What a text uses that is kept for somebody else, with its line: it would be refused.
pub(super) fn kept_from(state: &State, text: &Checked) -> Option<PlannedChange> {
    let (used, kept, reservation) = state.kept_from(&text.config)?;
    let line = text.used_lines.iter().find(|(what, _)| *what == used);
    let line = line.map(|(_, line)| format!("line {line}: ")).unwrap_or_default();
    let by = Claimed::Reserved(reservation.clone());
    let part = if kept == used { String::new() } else { format!(" as part of {kept}") };
    Some(PlannedChange {
        what: format!("{line}{used} is used"),
        refused: Some(format!("it is taken{part} ({by}); `stead register` lists what is whose")),
    })
}

/// The pools that there are, as an error names them.
fn pools_there(state: &State) -> String {
    let pools = state.config.iter().flat_map(|it| &it.redirect().pools);
    let pools: Vec<_> = pools.map(|(network, range)| format!("{network} ({range})")).collect();
    pools.join(", ")
}

/// An address that was passed over, and who uses it.
type Stranger = (IpAddr, String);
