//! What is measured: clusters that keep one address alive, behind one interface.
//!
//! A [`Spec`] says which cluster with which settings. [`Spec::start`] builds a bed for it and lets
//! it come up; from then on it is a [`Cluster`]: it says when it is whole, is broken in one of the
//! ways of [`Failure`], and is mended.
//!
//! All beds are alike: hosts on a network `front`, where the client is, and on one or two networks
//! that only nodes are on. Where a server breaks ties ([`Tied`]) it is on one more. A responder
//! stands ready on every node, so that no program's start is in the figures.
//!
//! Happy path: [`failover`], [`quorum`], [`quiet`], [`idle`] or [`stages`] lists the specs of a
//! bench, without those that the command line leaves out; [`missing`] says what a peer lacks here.
//!
//! Failures: a cluster that does not come up or does not recover is an error, and a row that says
//! so. Deliberately absent: any tuning that the list of settings does not show.

mod keepalived;
mod pacemaker;
mod peer;
mod stead;

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use stead_lab::{Host, Mac};

use crate::error::BenchError;
use crate::measure::Watch;
use crate::tools::Tools;

pub use keepalived::Advert;
pub use pacemaker::{Tuning, live};
pub(crate) use peer::{FRONT, PeerBed};
pub(crate) use stead::SERVICE;
pub use stead::{GATES, Gate, Stead, SteadCluster};

/// From a node to the server that breaks ties, and back.
pub const SERVER_ROUND_TRIP: Duration = Duration::from_millis(5);

/// How far away a server is, for people.
fn server_told(round_trip: Duration) -> String {
    format!("server {} ms away", round_trip.as_millis())
}

/// What happens to the node that holds the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Power loss: nothing leaves it any more, then every process on it is killed.
    Dead,
    /// Its ports at the switches drop everything; its processes live on.
    CutOff,
    /// It and the other nodes don't reach each other; clients reach all of them.
    Apart,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dead, Self::CutOff, Self::Apart];
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dead => "node dead",
            Self::CutOff => "node cut off",
            Self::Apart => "nodes apart",
        })
    }
}

/// A cluster at rest.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Who holds the address.
    pub holder: String,
    /// Whether that node also coordinates the cluster; nothing where there is no such role.
    pub coordinates: Option<bool>,
}

/// A cluster's processes on one node.
#[derive(Clone, Debug)]
pub struct Running {
    /// The node.
    pub node: String,
    /// Their names and numbers.
    pub processes: Vec<(String, i32)>,
}

/// A running cluster. Everything of it ends when it is dropped.
pub trait Cluster {
    /// The host of the client.
    fn client(&self) -> Host;

    /// The nodes' Ethernet addresses on the client's network.
    fn macs(&self) -> Vec<(String, Mac)>;

    /// Waits until all nodes are members and one holds the address. Where a cluster has a
    /// coordinator, the address is moved so that the coordinator holds it, or that it doesn't.
    ///
    /// # Errors
    /// It did not come to rest in time.
    fn settle(&mut self, watch: &Watch, coordinator: bool) -> Result<Settled, BenchError>;

    /// Breaks a node.
    ///
    /// # Errors
    /// It could not be broken.
    fn inflict(&mut self, failure: Failure, node: &str) -> Result<(), BenchError>;

    /// Undoes that, and starts what has to be started.
    ///
    /// # Errors
    /// It could not be mended.
    fn mend(&mut self, failure: Failure, node: &str) -> Result<(), BenchError>;

    /// What the cluster itself says of its settings, for the row.
    ///
    /// # Errors
    /// It doesn't say.
    fn facts(&self) -> Result<Map<String, Value>, BenchError>;

    /// How often the cluster, by its own words, has moved something or changed its membership.
    ///
    /// # Errors
    /// It doesn't say.
    fn changes(&self) -> Result<u64, BenchError>;

    /// The cluster's processes on each node, with their names.
    ///
    /// # Errors
    /// They can't be listed.
    fn processes(&self) -> Result<Vec<Running>, BenchError>;
}

/// A cluster of two nodes and a server that breaks their ties.
pub trait Tied: Cluster {
    /// Waits until all is whole, and lets that node hold the address.
    ///
    /// # Errors
    /// It did not come to rest in time, or the move was refused.
    fn hand(&mut self, watch: &Watch, node: &str) -> Result<Settled, BenchError>;

    /// Cuts the way from a node to the server.
    ///
    /// # Errors
    /// It could not be cut.
    fn lose_server(&mut self, node: &str) -> Result<(), BenchError>;

    /// Kills the server.
    ///
    /// # Errors
    /// It could not be killed.
    fn kill_server(&mut self) -> Result<(), BenchError>;

    /// Starts it again.
    ///
    /// # Errors
    /// It could not be started.
    fn start_server(&mut self) -> Result<(), BenchError>;
}

/// Which cluster, with which settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// stead with three nodes, or with two and a quorum server.
    Stead(Stead),
    /// keepalived with two nodes.
    Keepalived(Advert),
    /// Corosync and Pacemaker with three nodes.
    Pacemaker(Tuning),
    /// The same with two nodes, corosync-qdevice on them, and corosync-qnetd.
    Qdevice(Tuning),
}

impl Spec {
    /// The program's name.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        match self {
            Self::Stead(_) => "stead",
            Self::Keepalived(_) => "keepalived",
            Self::Pacemaker(_) => "pacemaker",
            Self::Qdevice(_) => "qdevice",
        }
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> String {
        match self {
            Self::Stead(stead) => stead.to_string(),
            Self::Keepalived(advert) => advert.to_string(),
            Self::Pacemaker(tuning) => tuning.to_string(),
            Self::Qdevice(tuning) => format!("{tuning}, {}", server_told(SERVER_ROUND_TRIP)),
        }
    }

    /// How long a silence it is meant to tolerate without a move.
    #[must_use]
    pub fn tolerates(&self) -> Duration {
        match self {
            Self::Stead(stead) => stead.ride_out,
            Self::Keepalived(advert) => advert.tolerates(),
            Self::Pacemaker(tuning) | Self::Qdevice(tuning) => tuning.tolerates(),
        }
    }

    /// How long a takeover is waited for before it counts as none.
    #[must_use]
    pub fn limit(&self) -> Duration {
        match self {
            Self::Stead(_) | Self::Keepalived(_) => Duration::from_secs(20),
            Self::Pacemaker(_) | Self::Qdevice(_) => Duration::from_secs(60),
        }
    }

    /// Builds its bed and lets it come up.
    ///
    /// # Errors
    /// See [`BenchError`]. Nothing is left behind.
    pub fn start(&self, tools: &Tools) -> Result<Box<dyn Cluster>, BenchError> {
        Ok(match self {
            Self::Stead(stead) => Box::new(stead.start(tools)?),
            Self::Keepalived(advert) => Box::new(advert.start(tools)?),
            Self::Pacemaker(tuning) => Box::new(tuning.start(tools)?),
            Self::Qdevice(tuning) => Box::new(tuning.start_tied(tools)?),
        })
    }

    /// As [`Spec::start`], where there is a server that breaks ties.
    ///
    /// # Errors
    /// There is none in this cluster, and see [`BenchError`]. Nothing is left behind.
    pub fn start_tied(&self, tools: &Tools) -> Result<Box<dyn Tied>, BenchError> {
        match self {
            Self::Stead(stead) if stead.server.is_some() => Ok(Box::new(stead.start(tools)?)),
            Self::Qdevice(tuning) => Ok(Box::new(tuning.start_tied(tools)?)),
            Self::Stead(_) | Self::Keepalived(_) | Self::Pacemaker(_) => {
                let text = format!("nothing breaks ties of {} {}", self.subject(), self.config());
                Err(BenchError::Nothing(text))
            }
        }
    }
}

/// What the command line lets through.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Peers too.
    pub peers: bool,
    /// Only those with this text in their name and settings.
    pub only: Option<String>,
    /// stead with this form of the gate only.
    pub gate: Option<String>,
}

impl Choice {
    fn of(&self, stead: &[u64], peers: &[Spec]) -> Vec<Spec> {
        let wanted = |gate: &&'static Gate| self.gate.as_ref().is_none_or(|it| it == gate.name);
        let mut specs = Vec::new();
        for &ride_out in stead {
            let of_gate = |gate| Spec::Stead(Stead::with(ride_out, gate));
            specs.extend(GATES.iter().filter(wanted).map(of_gate));
        }
        if self.peers {
            specs.extend_from_slice(peers);
        }
        self.only(specs)
    }

    fn only(&self, mut specs: Vec<Spec>) -> Vec<Spec> {
        specs.retain(|spec| {
            let name = format!("{} {}", spec.subject(), spec.config());
            self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
        });
        specs
    }
}

/// Subjects of the bench `failover`.
#[must_use]
pub fn failover(choice: &Choice) -> Vec<Spec> {
    let peers = [
        Spec::Keepalived(Advert::Hundredth),
        Spec::Keepalived(Advert::Tenth),
        Spec::Keepalived(Advert::Second),
        Spec::Pacemaker(Tuning::Default),
        Spec::Pacemaker(Tuning::Tuned),
    ];
    choice.of(&[36, 50, 100, 300, 1000], &peers)
}

/// Subjects of the bench `quorum`, each with a server [`SERVER_ROUND_TRIP`] away. stead has the
/// form of the gate that a guard takes by itself, unless another one is asked for.
#[must_use]
pub fn quorum(choice: &Choice) -> Vec<Spec> {
    let gate = choice.gate.clone().or_else(|| Some(GATES.first()?.name.to_owned()));
    let of_all = Choice { gate, only: None, ..choice.clone() };
    let mut specs = of_all.of(&[300, 50], &[Spec::Qdevice(Tuning::Default)]);
    for spec in &mut specs {
        if let Spec::Stead(stead) = spec {
            stead.server = Some(SERVER_ROUND_TRIP);
        }
    }
    choice.only(specs)
}

/// Subjects of the bench `false`.
#[must_use]
pub fn quiet(choice: &Choice) -> Vec<Spec> {
    let peers = [Spec::Keepalived(Advert::Hundredth), Spec::Pacemaker(Tuning::Tuned)];
    choice.of(&[50, 36, 100, 300], &peers)
}

/// Subjects of the bench `idle`.
#[must_use]
pub fn idle(choice: &Choice) -> Vec<Spec> {
    let peers = [
        Spec::Keepalived(Advert::Second),
        Spec::Keepalived(Advert::Hundredth),
        Spec::Pacemaker(Tuning::Default),
        Spec::Pacemaker(Tuning::Tuned),
    ];
    choice.of(&[300, 50], &peers)
}

/// Subjects of the bench `stages`: only stead tells its stages.
#[must_use]
pub fn stages(choice: &Choice) -> Vec<Stead> {
    let specs = choice.of(&[300, 50], &[]);
    let of_stead = |spec| match spec {
        Spec::Stead(stead) => Some(stead),
        Spec::Keepalived(_) | Spec::Pacemaker(_) | Spec::Qdevice(_) => None,
    };
    specs.into_iter().filter_map(of_stead).collect()
}

/// Programs of these subjects that are not installed here.
///
/// # Errors
/// [`BenchError::Missing`]: some are, with the packages that bring them.
pub fn missing(specs: &[Spec]) -> Result<(), BenchError> {
    let mut programs: Vec<&str> = Vec::new();
    let mut packages: Vec<&str> = Vec::new();
    for spec in specs {
        let pacemaker = (pacemaker::PROGRAMS, pacemaker::PACKAGES);
        let parts = match spec {
            Spec::Stead(_) => vec![],
            Spec::Keepalived(_) => vec![(keepalived::PROGRAMS, keepalived::PACKAGES)],
            Spec::Pacemaker(_) => vec![pacemaker],
            Spec::Qdevice(_) => {
                vec![pacemaker, (pacemaker::TIED_PROGRAMS, pacemaker::TIED_PACKAGES)]
            }
        };
        for (needs, brought_by) in parts {
            let before = programs.len();
            programs.extend(needs.iter().filter(|program| !is_installed(program)));
            if programs.len() > before {
                packages.extend(brought_by);
            }
        }
    }
    programs.sort_unstable();
    programs.dedup();
    packages.sort_unstable();
    packages.dedup();
    if programs.is_empty() {
        return Ok(());
    }
    Err(BenchError::Missing { programs: programs.join(", "), packages: packages.join(" ") })
}

/// A path is there, or a name is in one of the folders of `PATH` or of the system's administrator.
pub(crate) fn is_installed(program: &str) -> bool {
    if program.starts_with('/') {
        return std::path::Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).any(|file| file.is_file())
}

#[cfg(test)]
mod tests;
