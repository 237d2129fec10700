//! Whether enough voters are here, and what decides if exactly half of them are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stead_core::node::Overridable;
use stead_core::quorum::chain::Module;
use stead_core::quorum::{Verdict, majority};
use stead_core::state::Override;
use stead_log::transport::KeyHash;

use super::fencing::{FencingReport, FencingState, fencing};
use super::{Concern, Level, Sight};
use crate::journal::stamp_of;

/// Whether enough voters are here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumReport {
    /// `HAVEQUORUM`, `QUORUMTIE` (counts as none) or `NOQUORUM`.
    pub verdict: String,
    /// The divisor: how many vote.
    pub voters: usize,
    /// How many of them this node hears, itself included.
    pub present: usize,
    /// How many are needed.
    pub needed: usize,
    /// How many of those present may fail before that is too few.
    pub spare: usize,
    /// What each module of the chain said that was asked, in order.
    #[serde(default)]
    pub modules: Vec<ModuleReport>,
    /// The number of the newest grant that is used up.
    #[serde(default)]
    pub grant: u64,
    /// Members that a tie was broken without. They vote again once they are back.
    #[serde(default)]
    pub out: Vec<String>,
    /// What breaks ties, if anything does.
    #[serde(default)]
    pub breaker: Option<BreakerReport>,
    /// The newest overrides, oldest first.
    #[serde(default)]
    pub overrides: Vec<OverrideReport>,
}

/// Half of the voters went on by an operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideReport {
    /// Under which number.
    pub grant: u64,
    /// Without these.
    pub without: Vec<String>,
    /// It was said twice.
    pub forced: bool,
    /// Why.
    pub reason: String,
    /// On which node it was said.
    pub by: String,
    /// When, by that node's wall clock.
    pub at: String,
}

/// One module's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleReport {
    /// Its name in the chain.
    pub module: String,
    /// Its answer: `HAVEQUORUM`, `NOQUORUM` or `QUORUMTIE`.
    pub verdict: String,
    /// Why.
    pub reason: String,
}

/// What breaks ties, as this node reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerReport {
    /// The module of the chain.
    pub module: String,
    /// Where it is: addresses, or a program. Empty if the cluster is enrolled nowhere.
    pub at: Vec<String>,
    /// The digest of the quorum server's key, in hexadecimal digits.
    #[serde(default)]
    pub key: Option<String>,
    /// Whether it answers this node; nothing if this node has not asked.
    pub answers: Option<bool>,
    /// It grants nothing, as it does not know what was granted before.
    pub distrusted: bool,
    /// Why it does not answer.
    pub trouble: Option<String>,
    /// How long its newest answer took, in microseconds.
    pub round_trip_us: Option<u64>,
}

impl BreakerReport {
    /// Whether it would break a tie now, as far as this node knows.
    fn is_ready(&self) -> bool {
        !self.at.is_empty() && self.answers != Some(false) && !self.distrusted
    }
}

impl QuorumReport {
    /// Whether the voters can't change before the tie-breaker gives a number (rule G14).
    pub(super) fn waits_for_breaker(&self) -> bool {
        let even = self.voters.is_multiple_of(2);
        // Who has others switched off takes no number.
        let waits = |it: &BreakerReport| it.module != Module::Fence.name() && !it.is_ready();
        even && self.breaker.as_ref().is_some_and(waits)
    }
}

/// The report of a picture.
pub(super) fn quorum(sight: &Sight<'_>) -> QuorumReport {
    let voters = &sight.view.log.membership.voters;
    let present: BTreeSet<_> = voters.iter().copied().filter(|it| sight.hears(*it)).collect();
    let state = &sight.view.state;
    let needed = voters.len() / 2 + 1;
    let breaker = breaker(sight);
    // With a tie-breaker exactly half is enough.
    let ready = breaker.as_ref().is_some_and(BreakerReport::is_ready);
    let enough = if ready { voters.len().div_ceil(2).max(1) } else { needed };
    let plain = majority(&present, voters);
    let verdict = match (plain, breaker.is_some()) {
        (Verdict::QuorumTie, true) => sight.view.quorum.verdict,
        (plain, _) => plain,
    };
    let spare = match verdict {
        Verdict::HaveQuorum => present.len().saturating_sub(enough),
        Verdict::NoQuorum | Verdict::QuorumTie => 0,
    };
    let words = sight.view.quorum.words.iter().map(|word| ModuleReport {
        module: word.module.name().to_owned(),
        verdict: word.verdict.to_string(),
        reason: word.reason.clone(),
    });
    QuorumReport {
        verdict: verdict.to_string(),
        voters: voters.len(),
        present: present.len(),
        needed,
        spare,
        modules: words.collect(),
        grant: state.later.grant.0,
        out: state.later.out.iter().map(|node| state.name(*node)).collect(),
        breaker,
        overrides: state.later.overrides.iter().map(|word| overridden(sight, word)).collect(),
    }
}

fn overridden(sight: &Sight<'_>, word: &Override) -> OverrideReport {
    OverrideReport {
        grant: word.number.0,
        without: word.absent.iter().map(|node| sight.view.state.name(*node)).collect(),
        forced: word.forced,
        reason: word.reason.clone(),
        by: word.by.clone(),
        at: stamp_of(word.wall),
    }
}

fn breaker(sight: &Sight<'_>) -> Option<BreakerReport> {
    let state = &sight.view.state;
    let quorum = &state.config.as_ref()?.later.quorum;
    if quorum.chain.fences() {
        return Some(by_devices(sight));
    }
    let module = quorum.chain.register()?;
    let server = state.later.server.as_ref();
    let at = match module {
        Module::QuorumServer => server.map(|server| &server.addresses).into_iter().flatten(),
        Module::Exec | Module::Majority | Module::Fence => {
            None.map(|none: &Vec<_>| none).into_iter().flatten()
        }
    };
    let mut at: Vec<String> = at.map(ToString::to_string).collect();
    if let (Module::Exec, Some(exec)) = (module, &quorum.exec) {
        at.extend(exec.command.first().cloned());
    }
    let ties = &sight.view.ties;
    let round_trip = ties.round_trip.map(|it| it.as_micros().try_into().unwrap_or(u64::MAX));
    Some(BreakerReport {
        module: module.name().to_owned(),
        at,
        key: server
            .filter(|_| module == Module::QuorumServer)
            .map(|it| KeyHash(it.key).to_string()),
        answers: ties.answers,
        distrusted: ties.distrusted,
        trouble: ties.trouble.clone(),
        round_trip_us: round_trip,
    })
}

/// Ties are broken by having the other half switched off: whether that would work stands with each
/// node.
fn by_devices(sight: &Sight<'_>) -> BreakerReport {
    let state = &sight.view.state;
    let others = sight.view.log.membership.voters.iter().filter(|it| **it != sight.me());
    let ways = others.map(|node| (state.name(*node), fencing(sight, &state.name(*node), *node)));
    let ways: Vec<_> = ways.collect();
    let devices = ways.iter().filter_map(|(name, way)| {
        let levels = way.as_ref()?.levels.iter().map(|level| level.join(" and "));
        Some(format!("{} for {name}", levels.collect::<Vec<_>>().join(", else ")))
    });
    let trouble = ways.iter().find_map(|(name, way)| match way.as_ref().map(|it| it.state) {
        None => Some(format!("{name} has no fence device")),
        Some(FencingState::Failed | FencingState::Doubted) => {
            Some(format!("{name} could not be switched off"))
        }
        Some(_) => None,
    });
    let proven = |(_, way): &(String, Option<FencingReport>)| {
        way.as_ref().is_some_and(|it| it.state == FencingState::Proven)
    };
    let answers = match &trouble {
        Some(_) => Some(false),
        None => ways.iter().all(proven).then_some(true),
    };
    BreakerReport {
        module: Module::Fence.name().to_owned(),
        at: devices.collect(),
        key: None,
        answers,
        distrusted: false,
        trouble,
        round_trip_us: None,
    }
}

/// What is wrong with what breaks ties.
pub(super) fn concerns(sight: &Sight<'_>, quorum: &QuorumReport) -> Option<Concern> {
    // Of nodes that can't be switched off each is named.
    let breaker = quorum.breaker.as_ref().filter(|it| it.module != Module::Fence.name())?;
    let me = &sight.view.identity.name;
    let where_ = breaker.at.join(", ");
    let (what, next) = if breaker.at.is_empty() {
        (
            "the chain names a quorum server, and the cluster is enrolled at none".to_owned(),
            "on the server: stead quorum-server enrol; then here what that prints".to_owned(),
        )
    } else if breaker.answers == Some(false) {
        let why = breaker.trouble.as_deref().unwrap_or("no answer in time");
        (
            format!("{me} has no answer from what breaks ties ({where_}): {why}"),
            "until then the loss of exactly half of the voters stops everything; on the server: \
             systemctl status stead-quorum-server"
                .to_owned(),
        )
    } else if breaker.distrusted {
        (
            format!("what breaks ties ({where_}) does not know what it granted before"),
            "wait a few seconds: a coordinator with quorum tells it".to_owned(),
        )
    } else {
        return None;
    };
    Some(Concern { level: Level::Risk, what, since: None, next })
}

/// What an operator can say instead of bringing the others back, as the end of a sentence.
pub(super) fn overridable(sight: &Sight<'_>) -> String {
    let on = match &sight.view.overridable {
        Overridable::Nothing => return String::new(),
        Overridable::On(node) => format!(" (on {})", sight.view.state.name(*node)),
        Overridable::Here { .. } => String::new(),
    };
    format!(
        ". If all that are missing are off and stay off{on}: stead quorum override --reason ..."
    )
}

/// A node that left still counts.
pub(super) fn left(sight: &Sight<'_>, quorum: &QuorumReport) -> Option<Concern> {
    let members = &sight.view.state.members;
    let voters = &sight.view.log.membership.voters;
    let left = voters.iter().filter(|node| !members.contains_key(node)).count();
    (left > 0 && quorum.waits_for_breaker()).then(|| Concern {
        level: Level::Risk,
        what: "a node that left still has a vote".to_owned(),
        since: None,
        next: "an even number of voters changes with a number of the tie-breaker's: see what \
               `stead quorum` says of it"
            .to_owned(),
    })
}

/// What deserves a look all the same.
pub(super) fn notes(quorum: &QuorumReport) -> Vec<Concern> {
    let out = (!quorum.out.is_empty()).then(|| Concern {
        level: Level::Note,
        what: format!(
            "a tie was broken without {} (grant {})",
            quorum.out.join(", "),
            quorum.grant
        ),
        since: None,
        next: "each votes again by itself once it is back".to_owned(),
    });
    out.into_iter().collect()
}

/// What a half that was refused has to know: what happened, and what can be done.
pub(super) fn refused(quorum: &QuorumReport) -> Option<(String, String)> {
    let refused = quorum.modules.iter().find(|it| it.module != Module::Majority.name())?;
    if refused.verdict != Verdict::NoQuorum.to_string() {
        return None;
    }
    Some((
        refused.reason.clone(),
        "bring the links back, or the nodes of the other half: this side then takes up what was \
         decided there. If they are lost for good, nothing here can know what they decided"
            .to_owned(),
    ))
}
