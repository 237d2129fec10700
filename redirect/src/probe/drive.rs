//! Leads one trial: tells the roles what to do, and collects what they saw.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_linux::netlink::Mac;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::order::{Answer, Held, Order, Phase, Seen};
use super::trial::{Station, Trial, Unfit};

/// Between two looks at the roles. The spans are measured by the observers, not by these looks.
const LOOK: Duration = Duration::from_millis(50);
/// In which the holders know whether the address is free: the time of RFC 5227, and as much again.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// In which every observer has answers from the first holder.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// So many answers of the first holder show that an observer sees it.
const ENOUGH: u32 = 5;
/// How often everybody is asked for the address after the end, and how long answers are waited for.
const QUESTIONS: u32 = 3;
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// A node that takes part, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The node's name.
    pub node: String,
    /// The interface by which it is on the segment.
    pub interface: String,
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// The address moves from the first to the second.
    pub holders: [Place; 2],
    /// Who watches: other nodes, one at least.
    pub observers: Vec<Place>,
}

/// The way to the nodes: carries an order to one, and brings its answer, which [`super::Roles`]
/// gives there. It has a deadline of its own, of a second or so.
pub trait Nodes: Sync {
    /// Carries an order to a node. The error is for people.
    fn ask(&self, node: &str, order: Order) -> impl Future<Output = Result<Answer, String>> + Send;
}

/// How far a trial came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// The observers did not see the first holder already: there was no takeover to be tried.
    First,
    /// The second holder claimed.
    Second,
}

/// What one observer saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its node.
    pub node: String,
    /// What it saw of the takeover.
    pub seen: Seen,
    /// The same after everybody was asked for the address, if that was done.
    pub asked: Option<Seen>,
}

/// All that a trial brought to light.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// What was tried.
    pub trial: Trial,
    /// How far it came.
    pub reached: Reached,
    /// The MAC of each holder's interface.
    pub holders: [Station; 2],
    /// What the holders did and heard; of the first one after it was silent, if it came to that.
    pub held: [Held; 2],
    /// What the observers saw, in the order of [`Cast::observers`].
    pub views: Vec<View>,
}

/// Why a trial brought nothing to light. All roles that could be reached are over; the others end
/// by themselves.
#[derive(Debug, Error)]
pub enum TrialError {
    /// It may not be begun.
    #[error("the trial is refused; nothing was sent")]
    Unfit(#[from] Unfit),
    /// Two holders and at least one observer, each on a node of its own.
    #[error("a trial needs two holders and an observer, all on different nodes; nothing was sent")]
    Cast,
    /// A node did not do its part.
    #[error("{node} did not do its part; the trial was given up: {why}")]
    Node {
        /// Its name.
        node: String,
        /// The reason, in its words.
        why: String,
    },
    /// It gave an answer to another question: it runs another version.
    #[error(
        "{node} gave an answer that does not fit; the trial was given up; compare the versions"
    )]
    Answer {
        /// Its name.
        node: String,
    },
    /// Somebody has the address.
    #[error("{mac} uses the address already; nothing was claimed; choose another")]
    InUse {
        /// Who.
        mac: Mac,
    },
    /// The holders did not get to know in time whether the address is free.
    #[error("whether the address is free was not known in time; nothing was claimed; try again")]
    Late,
}

/// Runs one trial to its end: about ten seconds, and the bound where the takeover is not honoured.
/// Dropped before that, the roles end by themselves within seconds.
///
/// # Errors
/// See [`TrialError`].
pub async fn run(
    trial: &Trial,
    cast: &Cast,
    owned: &[std::net::IpAddr],
    nodes: &impl Nodes,
) -> Result<Findings, TrialError> {
    trial.check(owned)?;
    let mut names: Vec<_> = cast.places().map(|place| place.node.as_str()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    if all != names.len() || cast.observers.is_empty() {
        return Err(TrialError::Cast);
    }
    let lead = Lead { trial, cast, nodes };
    let findings = lead.run().await;
    for place in cast.places() {
        // who can't be told ends by itself
        let _ = nodes.ask(&place.node, Order::End(trial.id)).await;
    }
    findings
}

impl Cast {
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.holders.iter().chain(&self.observers)
    }
}

struct Lead<'a, N> {
    trial: &'a Trial,
    cast: &'a Cast,
    nodes: &'a N,
}

impl<N: Nodes> Lead<'_, N> {
    async fn run(&self) -> Result<Findings, TrialError> {
        let [first, second] = &self.cast.holders;
        let holders = [self.introduce(first).await?, self.introduce(second).await?];
        self.hold(holders).await?;
        let id = self.trial.id;
        self.tell(first, Order::Claim(id)).await?;
        for place in &self.cast.observers {
            let (trial, interface) = (self.trial.clone(), place.interface.clone());
            self.tell(place, Order::Observe { trial, interface, holders }).await?;
        }
        let first_seen = |seen: &Seen| seen.answers[0] >= ENOUGH;
        let reached = match self.watch(SEEN_WITHIN, first_seen).await? {
            false => Reached::First,
            true => {
                self.tell(first, Order::Silence(id)).await?;
                for place in &self.cast.observers {
                    self.tell(place, Order::Mark(id)).await?;
                }
                self.tell(second, Order::Claim(id)).await?;
                let bound = Duration::from_micros(self.trial.bound.as_micros());
                self.watch(bound, |seen| seen.answers[1] > 0).await?;
                Reached::Second
            }
        };
        let mut seen = Vec::new();
        for place in &self.cast.observers {
            seen.push(self.seen(place, true).await?);
        }
        // What arrives at which port is of interest as it was before the questions.
        let held = [self.held(first).await?, self.held(second).await?];
        let asked = self.question().await?;
        let views = self.cast.observers.iter().zip(seen).zip(asked);
        let views = views.map(|((place, seen), asked)| {
            let (node, asked) = (place.node.clone(), Some(asked));
            View { node, seen, asked }
        });
        let mut findings =
            Findings { trial: self.trial.clone(), reached, holders, held, views: views.collect() };
        // Whether a question was heard and answered shows only afterwards.
        for (place, held) in self.cast.holders.iter().zip(&mut findings.held) {
            let after = self.held(place).await?;
            held.questions = after.questions;
            held.answered = after.answered;
            held.phase = after.phase;
        }
        Ok(findings)
    }

    /// Makes both holders, and waits until both know that the address is free.
    async fn hold(&self, holders: [Station; 2]) -> Result<(), TrialError> {
        for (number, place) in (1..).zip(&self.cast.holders) {
            let (trial, interface) = (self.trial.clone(), place.interface.clone());
            self.tell(place, Order::Hold { trial, interface, number, holders }).await?;
        }
        let deadline = Instant::now() + ASKED_WITHIN;
        let [first, second] = &self.cast.holders;
        loop {
            let phases = [self.held(first).await?.phase, self.held(second).await?.phase];
            for phase in &phases {
                if let Phase::InUse(mac) = phase {
                    return Err(TrialError::InUse { mac: mac.0 });
                }
            }
            if phases == [Phase::Ready, Phase::Ready] {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(TrialError::Late);
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until all observers have seen something. `false`: not all of them have, in that time.
    /// Ends at once where somebody else turns out to use the address.
    async fn watch(
        &self,
        within: Duration,
        holds: impl Fn(&Seen) -> bool,
    ) -> Result<bool, TrialError> {
        let deadline = Instant::now() + within;
        loop {
            let late = Instant::now() >= deadline;
            let mut all = true;
            for place in &self.cast.observers {
                all &= holds(&self.seen(place, false).await?);
            }
            for place in &self.cast.holders {
                if let Phase::InUse(mac) = self.held(place).await?.phase {
                    return Err(TrialError::InUse { mac: mac.0 });
                }
            }
            if all || late {
                return Ok(all);
            }
            sleep(LOOK).await;
        }
    }

    /// Asks everybody for the address, some times, and looks again at what the observers see.
    async fn question(&self) -> Result<Vec<Seen>, TrialError> {
        let mut asked = Vec::new();
        for _ in 0..QUESTIONS {
            for place in &self.cast.observers {
                self.tell(place, Order::Question(self.trial.id)).await?;
            }
            let answered = |seen: &Seen| seen.told > 0 && seen.direct > 0;
            if self.watch(ANSWERED_WITHIN, answered).await? {
                break;
            }
        }
        for place in &self.cast.observers {
            asked.push(self.seen(place, true).await?);
        }
        Ok(asked)
    }

    async fn ask(&self, place: &Place, order: Order) -> Result<Answer, TrialError> {
        let answer = self.nodes.ask(&place.node, order).await;
        answer.map_err(|why| TrialError::Node { node: place.node.clone(), why })
    }

    async fn tell(&self, place: &Place, order: Order) -> Result<(), TrialError> {
        match self.ask(place, order).await? {
            Answer::Done => Ok(()),
            Answer::Mac(_) | Answer::Held(_) | Answer::Seen(_) => Err(unfitting(place)),
        }
    }

    async fn introduce(&self, place: &Place) -> Result<Station, TrialError> {
        let interface = place.interface.clone();
        match self.ask(place, Order::Introduce { interface }).await? {
            Answer::Mac(mac) => Ok(mac),
            Answer::Done | Answer::Held(_) | Answer::Seen(_) => Err(unfitting(place)),
        }
    }

    async fn held(&self, place: &Place) -> Result<Held, TrialError> {
        match self.ask(place, Order::Look { id: self.trial.id, entry: false }).await? {
            Answer::Held(held) => Ok(held),
            Answer::Done | Answer::Mac(_) | Answer::Seen(_) => Err(unfitting(place)),
        }
    }

    async fn seen(&self, place: &Place, entry: bool) -> Result<Seen, TrialError> {
        match self.ask(place, Order::Look { id: self.trial.id, entry }).await? {
            Answer::Seen(seen) => Ok(*seen),
            Answer::Done | Answer::Mac(_) | Answer::Held(_) => Err(unfitting(place)),
        }
    }
}

fn unfitting(place: &Place) -> TrialError {
    TrialError::Answer { node: place.node.clone() }
}
