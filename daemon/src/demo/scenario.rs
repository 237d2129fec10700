//! The scenarios: what is done, what is waited for, how it is undone.

use std::time::Duration;

use serde_json::Value;
use stead_lab::prober::now;

use super::fleet::{FleetError, Part};
use super::outcome::{Evidence, Outcome, stages};
use super::picture::Harm;
use super::show::Ink;
use super::stage::{API, Stage, WEB};

/// A takeover or a rejoin that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is watched after the last change, so that a late blink is not missed.
const AFTERWARDS: Duration = Duration::from_millis(400);

/// What can happen to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// The node that serves loses its power.
    PowerLoss,
    /// It is cut off from the others, and goes on running.
    CutOff,
    /// Its daemon is killed, and the coordinator's.
    DaemonKilled,
    /// All its processes are stopped, and go on later.
    Frozen,
    /// Its guard is killed.
    GuardKilled,
    /// The service is moved on purpose.
    PlannedMove,
    /// A node without services loses its power.
    IdlePowerLoss,
}

impl Scenario {
    pub(super) const ALL: [Self; 7] = [
        Self::PowerLoss,
        Self::CutOff,
        Self::DaemonKilled,
        Self::Frozen,
        Self::GuardKilled,
        Self::PlannedMove,
        Self::IdlePowerLoss,
    ];

    /// Its name for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PowerLoss => "node-killed",
            Self::CutOff => "node-cut-off",
            Self::DaemonKilled => "daemon-killed",
            Self::Frozen => "node-frozen",
            Self::GuardKilled => "guard-killed",
            Self::PlannedMove => "planned-move",
            Self::IdlePowerLoss => "idle-node-killed",
        }
    }

    /// What is done, in the table's words.
    fn what(self, victim: &str, coordinates: bool) -> String {
        let also = if coordinates { ", coordinator" } else { "" };
        match self {
            Self::PowerLoss => format!("{victim} loses power (holder{also})"),
            Self::CutOff => format!("{victim} is cut off, runs on (holder{also})"),
            Self::DaemonKilled if coordinates => {
                format!("{victim}: daemon killed -9 (holder{also})")
            }
            Self::DaemonKilled => format!("{victim}, coordinator: daemons killed -9"),
            Self::Frozen => format!("{victim} is frozen, then thawed (holder{also})"),
            Self::GuardKilled => format!("{victim}: guard killed -9 (holder{also})"),
            Self::PlannedMove => format!("{WEB} is moved away from {victim}"),
            Self::IdlePowerLoss => format!("{victim} loses power (serves nothing{also})"),
        }
    }

    /// What to look for.
    fn hint(self) -> &'static str {
        match self {
            Self::PowerLoss => "Nothing says goodbye. The others wait until its lease is over.",
            Self::CutOff => {
                "The client still reaches it! It must fall silent before another one answers."
            }
            Self::DaemonKilled => "The guard keeps the lease, the program runs on: no gap.",
            Self::Frozen => "The kernel shuts the gate. Thawed, it must not answer once.",
            Self::GuardKilled => "Nobody renews the lease: silence, then a new assignment.",
            Self::PlannedMove => "Stopped there, started here: no lease has to run out.",
            Self::IdlePowerLoss => "Nobody's address may blink.",
        }
    }

    /// Whether the service goes elsewhere.
    fn moves(self) -> bool {
        match self {
            Self::PowerLoss
            | Self::CutOff
            | Self::Frozen
            | Self::GuardKilled
            | Self::PlannedMove => true,
            Self::DaemonKilled | Self::IdlePowerLoss => false,
        }
    }

    fn harm(self) -> Option<Harm> {
        match self {
            Self::PowerLoss | Self::IdlePowerLoss => Some(Harm::Off),
            Self::CutOff => Some(Harm::Cut),
            Self::DaemonKilled => Some(Harm::Daemon),
            Self::Frozen => Some(Harm::Frozen),
            Self::GuardKilled => Some(Harm::Guard),
            Self::PlannedMove => None,
        }
    }

    fn bound(self, stage: &Stage<'_>) -> Duration {
        let bounds = &stage.bounds;
        match self {
            Self::PowerLoss | Self::CutOff | Self::Frozen | Self::GuardKilled => bounds.takeover,
            Self::PlannedMove => bounds.planned,
            Self::DaemonKilled | Self::IdlePowerLoss => bounds.none,
        }
    }
}

/// Who plays which part.
struct Cast {
    /// Who held the service.
    holder: String,
    /// Whom it happens to.
    victim: String,
    /// Who coordinated.
    coordinator: String,
}

impl Stage<'_> {
    /// Plays a scenario to its end, when all is whole again.
    ///
    /// # Errors
    /// The end was asked for, or the scene could not be set; what went wrong in the scenario itself
    /// is in its outcome.
    pub(super) fn play(&self, scenario: Scenario) -> Result<Outcome, FleetError> {
        let cast = self.cast(scenario)?;
        let victim = cast.victim.as_str();
        let what = scenario.what(victim, cast.coordinator == victim);
        self.show.say("");
        self.show.say(&self.show.ink(Ink::Bold, &what));
        self.show.say(&format!("  {}", self.show.ink(Ink::Dim, scenario.hint())));
        let incidents = self.incidents(victim)?;
        let mark = now();
        let played = self.watched(|stage| stage.perform(scenario, &cast));
        self.scene.set_harm(victim, None);
        let complaint = match played {
            Ok(()) => None,
            Err(FleetError::Interrupted) => return Err(FleetError::Interrupted),
            Err(error) => Some(stead_edge::chain(&error)),
        };
        let (seen, other) = (self.web.seen_since(mark), self.api.seen_since(mark));
        let told = scenario.moves() && complaint.is_none();
        let stages = if told { self.stages(incidents) } else { Vec::new() };
        let to = self.web.holders().first().cloned();
        let (scenario, bound, from) = (scenario.name(), scenario.bound(self), Some(cast.holder));
        let other_bound = self.bounds.none;
        let evidence = Evidence {
            scenario,
            what,
            bound,
            from,
            to,
            complaint,
            seen,
            other,
            other_bound,
            stages,
        };
        let outcome = evidence.judge(&self.bounds);
        self.tell(&outcome);
        Ok(outcome)
    }

    fn cast(&self, scenario: Scenario) -> Result<Cast, FleetError> {
        let mut found = None;
        self.fleet.wait_until("one holder and one coordinator", PATIENCE, || {
            let (web, api) = (self.web.holders(), self.api.holders());
            let (Some(coordinator), [holder], [other]) =
                (self.coordinator(None), web.as_slice(), api.as_slice())
            else {
                return Ok(false);
            };
            let idle = |node: &&str| *node != holder && *node != other;
            let names = self.fleet.nodes().iter().map(|node| node.name());
            let mut coordinator_first = std::iter::once(coordinator.as_str()).chain(names);
            let idle = coordinator_first.find(idle).unwrap_or(holder);
            let victim = match scenario {
                Scenario::IdlePowerLoss => idle,
                Scenario::PowerLoss
                | Scenario::CutOff
                | Scenario::DaemonKilled
                | Scenario::Frozen
                | Scenario::GuardKilled
                | Scenario::PlannedMove => holder,
            };
            let (holder, victim) = (holder.clone(), victim.to_owned());
            found = Some(Cast { holder, victim, coordinator });
            Ok(true)
        })?;
        found.ok_or_else(|| FleetError::NoSuchNode("with the service".to_owned()))
    }

    fn perform(&self, scenario: Scenario, cast: &Cast) -> Result<(), FleetError> {
        let (fleet, victim) = (&self.fleet, cast.victim.as_str());
        let epoch = self.epoch()?;
        self.scene.set_harm(victim, scenario.harm());
        match scenario {
            Scenario::PowerLoss | Scenario::IdlePowerLoss => fleet.silence_then_kill(victim)?,
            Scenario::CutOff => fleet.cut_from_nodes(victim)?,
            Scenario::Frozen => fleet.freeze(victim)?,
            Scenario::GuardKilled => fleet.kill(victim, Part::Guard)?,
            Scenario::PlannedMove => self.move_away(&cast.holder)?,
            Scenario::DaemonKilled => {
                fleet.kill(victim, Part::Daemon)?;
                if cast.coordinator != victim {
                    fleet.kill(&cast.coordinator, Part::Daemon)?;
                }
            }
        }
        if scenario == Scenario::GuardKilled {
            self.wait_assigned_after(epoch)?;
        } else if scenario.moves() {
            self.wait_moved(&cast.holder)?;
        } else if scenario == Scenario::IdlePowerLoss {
            self.wait_removed(victim)?;
        } else {
            fleet.pause(2 * self.bounds.wait)?;
        }
        fleet.pause(AFTERWARDS)?;
        match scenario {
            Scenario::PowerLoss | Scenario::IdlePowerLoss => fleet.power_on(victim)?,
            Scenario::CutOff => fleet.heal(victim)?,
            Scenario::Frozen => fleet.thaw(victim)?,
            Scenario::GuardKilled | Scenario::PlannedMove | Scenario::DaemonKilled => {}
        }
        self.scene.set_harm(victim, None);
        fleet.wait_whole(PATIENCE)?;
        fleet.pause(AFTERWARDS)
    }

    /// To the first node that serves nothing.
    fn move_away(&self, holder: &str) -> Result<(), FleetError> {
        let taken = self.api.holders();
        let free = |name: &&str| *name != holder && taken.iter().all(|it| it != name);
        let mut names = self.fleet.nodes().iter().map(|node| node.name());
        let to = names.find(free).unwrap_or(holder).to_owned();
        let from = self.fleet.node(holder)?;
        from.stead(&["move", WEB, &to])?.expect_success().map(drop)
    }

    /// Waits until somebody else answers, every client of it.
    fn wait_moved(&self, from: &str) -> Result<(), FleetError> {
        self.fleet.wait_until("another node answers", PATIENCE, || {
            let holders = self.web.holders();
            let by = self.web.answered_by();
            Ok(by.is_some_and(|by| by != from && holders == [by]))
        })?;
        self.web.wait_served(&self.fleet)
    }

    /// The number of the service's assignment, by the word of the first node that tells.
    fn epoch(&self) -> Result<u64, FleetError> {
        let mut epoch = None;
        self.fleet.wait_until("a node tells the assignment", PATIENCE, || {
            let told = self.fleet.nodes().iter().find_map(|node| {
                let status = node.status().ok()?;
                let services = status["services"].as_array()?;
                services.iter().find(|it| it["name"].as_str() == Some(WEB))?["epoch"].as_u64()
            });
            epoch = told;
            Ok(told.is_some())
        })?;
        Ok(epoch.unwrap_or_default())
    }

    /// Waits until the service answers under a new assignment. A guard is back so soon that it may
    /// be the same node's.
    fn wait_assigned_after(&self, before: u64) -> Result<(), FleetError> {
        self.fleet.wait_until("a new assignment", PATIENCE, || {
            Ok(self.epoch()? > before && self.web.holders().len() == 1)
        })?;
        self.web.wait_served(&self.fleet)
    }

    fn wait_removed(&self, victim: &str) -> Result<(), FleetError> {
        let asked = self.fleet.nodes().iter().find(|node| node.name() != victim);
        let Some(asked) = asked else { return Ok(()) };
        self.fleet.wait_until(&format!("{victim} is out of the view"), PATIENCE, || {
            let status = asked.status()?;
            let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
            let its = nodes.iter().find(|node| node["name"].as_str() == Some(victim));
            Ok(its.is_some_and(|node| node["state"].as_str() == Some("down")))
        })
    }

    /// How many incidents there were.
    fn incidents(&self, except: &str) -> Result<u64, FleetError> {
        let asked = self.fleet.nodes().iter().find(|node| node.name() != except);
        let status = asked.map_or(Ok(Value::Null), |node| node.status())?;
        Ok(status["cluster"]["incidents"].as_u64().unwrap_or(0))
    }

    /// The stages of the first incident after so many that moved the service.
    fn stages(&self, before: u64) -> Vec<super::outcome::StageReached> {
        let Some(node) = self.fleet.nodes().first() else { return Vec::new() };
        for number in before + 1..=before + 5 {
            let Ok(incident) = node.json(&["incident", &number.to_string(), "--json"]) else {
                break;
            };
            let moved = incident["moved"].as_array().cloned().unwrap_or_default();
            if moved.iter().any(|it| it["service"].as_str() == Some(WEB)) {
                return stages(&incident, WEB);
            }
        }
        Vec::new()
    }

    /// What came of it, in a line or two.
    fn tell(&self, outcome: &Outcome) {
        let show = self.show;
        let gap = format!("{:.0} ms", outcome.outage_ms);
        let verdict =
            if outcome.ok { show.ink(Ink::Green, "ok") } else { show.ink(Ink::Red, "NO") };
        let to = outcome.to.as_deref().unwrap_or("nobody");
        show.say(&format!(
            "  {verdict}: longest gap {gap} (allowed {:.0}), of {API} {:.0} ms; two nodes answered \
             for {:.0} ms; now {to} serves",
            outcome.bound_ms, outcome.other_outage_ms, outcome.double_ms
        ));
        if let Some(reason) = &outcome.reason {
            show.say(&show.ink(Ink::Red, &format!("  {reason}")));
        }
        if let Ok(value) = serde_json::to_value(outcome) {
            show.object(&value);
        }
    }
}
