//! What a daemon shows of itself and of the cluster: one consistent picture, renewed at every
//! change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stead_core::id::{NodeId, ServiceId};
use stead_core::lease::Report;
use stead_core::node::{CopyView, LocalView, Node, Overridable, Quarantine};
use stead_core::points::Seen;
use stead_core::quorum::chain::Decision;
use stead_core::redirect::StepView;
use stead_core::state::State;
use stead_core::time::Instant;
use stead_linux::clock::boottime;
use stead_log::transport::{Connected, Refusal};
use stead_log::{Commits, Status};

use crate::executor::Picture;
use crate::guard::ipc::Hello;
use crate::identity::Identity;
use crate::keeper::report::Keeping;
use crate::redirect::Stranger;

/// The picture.
#[derive(Clone, Debug)]
pub struct View {
    /// When it was taken, on this node's clock.
    pub at: Instant,
    /// The same on the wall clock, for people.
    pub wall: SystemTime,
    /// Which node shows it.
    pub identity: Arc<Identity>,
    /// What every member agrees on, as far as this node has applied it.
    pub state: Arc<State>,
    /// The log.
    pub log: Status,
    /// What this node proposed and had committed as the log's leader.
    pub commits: Commits,
    /// This run has applied all that was committed before it began.
    pub ready: bool,
    /// This node coordinates, and may decide.
    pub coordinating: bool,
    /// Until when nothing moves, by this node's count; nothing while the cluster is armed.
    pub disarmed_until: Option<Instant>,
    /// The guard's last report; nothing while it does not answer.
    pub report: Option<Report>,
    /// What the guard said of itself.
    pub guard: Option<Hello>,
    /// What the guard can't do at present, newest last, in words.
    pub guard_troubles: Vec<String>,
    /// The services of this node.
    pub local: BTreeMap<ServiceId, LocalView>,
    /// By which layers clients are led to them, and how far that is.
    pub layers: BTreeMap<ServiceId, Vec<StepView>>,
    /// This node's copies of services.
    pub copies: BTreeMap<ServiceId, CopyView>,
    /// How programs are kept here; nothing before a guard answered.
    pub keeping: Option<Keeping>,
    /// What programs printed last before they failed here, oldest first.
    pub last_words: BTreeMap<ServiceId, Arc<[String]>>,
    /// How long the newest good answers of monitors took here.
    pub answers: BTreeMap<ServiceId, Duration>,
    /// How the resources of services are that consist of several, of those that run here.
    pub pictures: BTreeMap<ServiceId, Arc<Picture>>,
    /// Who else uses an address that this node answers for, and defends.
    pub strangers: Vec<Stranger>,
    /// How many clients' connections this node knows of each service.
    pub clients: BTreeMap<ServiceId, usize>,
    /// Peers that can be reached and not talked to.
    pub refused: Vec<Refusal>,
    /// Datagrams on the links that were not taken: from where, why, how often.
    pub rejected: BTreeMap<(std::net::SocketAddr, crate::guard::Rejected), u64>,
    /// Live connections to other daemons, with their versions.
    pub connected: Vec<Connected>,
    /// Who sees which reference point, as far as this node was told.
    pub seen: Seen,
    /// What the chain says of the voters that are here, module by module.
    pub quorum: Decision,
    /// What this node knows of what breaks ties.
    pub ties: TieView,
    /// What an operator could override here.
    pub overridable: Overridable,
    /// Who comes and goes, and is a last resort for that.
    pub quarantined: BTreeMap<NodeId, Quarantine>,
}

impl View {
    /// The picture before anything happened.
    #[must_use]
    pub fn first(identity: &Arc<Identity>, node: &Node) -> Self {
        Self {
            at: Instant(boottime()),
            wall: SystemTime::now(),
            identity: identity.clone(),
            state: Arc::new(node.state().clone()),
            log: Status::default(),
            commits: Commits::default(),
            ready: false,
            coordinating: false,
            disarmed_until: None,
            report: None,
            guard: None,
            guard_troubles: Vec::new(),
            local: BTreeMap::new(),
            layers: BTreeMap::new(),
            copies: BTreeMap::new(),
            keeping: None,
            last_words: BTreeMap::new(),
            answers: BTreeMap::new(),
            pictures: BTreeMap::new(),
            strangers: Vec::new(),
            clients: BTreeMap::new(),
            refused: Vec::new(),
            rejected: BTreeMap::new(),
            connected: Vec::new(),
            seen: Seen::default(),
            quorum: node.quorum(Instant(boottime())),
            ties: TieView::default(),
            overridable: Overridable::Nothing,
            quarantined: BTreeMap::new(),
        }
    }

    /// Whether this node hears that one, as far as a half of the voters is concerned.
    #[must_use]
    pub fn hears(&self, node: NodeId) -> bool {
        let Some(report) = &self.report else { return false };
        let patience = report.patience(node, self.state.timers.suspect_after);
        let heard = report.peers.get(&node).and_then(|peer| peer.heard);
        heard.is_some_and(|heard| self.at.since(heard) <= patience)
    }
}

/// What a node knows of the register that breaks ties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TieView {
    /// Whether it answers this node; nothing if this node has not asked.
    pub answers: Option<bool>,
    /// It grants nothing, as it does not know what was granted before.
    pub distrusted: bool,
    /// Why it does not answer.
    pub trouble: Option<String>,
    /// How long its newest answer took.
    pub round_trip: Option<Duration>,
}
