//! The network between the nodes: late, lossy, doubling, out of order, cut one way or both.
//!
//! A request that is late goes on although its sender has given up, and is carried out all the
//! same: a caller's deadline takes nothing back. What leaves a node that has no power goes nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::Boxed;
use stead_log::network::{CallError, Lane, Network, Refused, Service};
use tokio::sync::mpsc;

use super::Records;
use super::drive::Drive;
use super::history::History;
use super::rng::Rng;
use crate::wire::{Answer, Appended, Request, read};

/// What happens to messages. Milliseconds, and chances in a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub delay: (u64, u64),
    pub lost: u64,
    pub doubled: u64,
    /// Held back for longer than any caller waits.
    pub late: u64,
}

pub const CALM: Weather = Weather { delay: (0, 2), lost: 0, doubled: 0, late: 0 };

/// The latest that a message comes, in milliseconds.
const LATEST: u64 = 4_000;

/// Copies are the same network.
#[derive(Clone)]
pub struct Fabric {
    state: Arc<Mutex<State>>,
    records: Records,
}

struct State {
    rng: Rng,
    weather: Weather,
    places: BTreeMap<NodeId, Place>,
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Every request so far, once it is asked for.
    tape: Option<Vec<Sent>>,
}

/// A request that was sent.
pub type Sent = (NodeId, NodeId, Vec<u8>);

/// One running node.
#[derive(Clone)]
struct Place {
    life: u64,
    service: Option<Arc<dyn Service>>,
    drive: Drive,
}

/// A node's way to the others, in one of its lives.
pub struct Port {
    node: NodeId,
    life: u64,
    fabric: Fabric,
}

impl Fabric {
    pub fn new(seed: u64, records: Records) -> Self {
        let state = State {
            rng: Rng::new(seed, 0xfab),
            weather: CALM,
            places: BTreeMap::new(),
            cut: BTreeSet::new(),
            tape: None,
        };
        Self { state: Arc::new(Mutex::new(state)), records }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.records.lock().unwrap()
    }

    /// The place of a node that starts; whatever was there before reaches nothing any more.
    pub fn port(&self, node: NodeId, life: u64, drive: Drive) -> Arc<Port> {
        self.state().places.insert(node, Place { life, service: None, drive });
        Arc::new(Port { node, life, fabric: self.clone() })
    }

    pub fn unplug(&self, node: NodeId) {
        self.state().places.remove(&node);
    }

    pub fn weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.state().cut.insert((from, to));
    }

    /// Cuts all ways between two sets of nodes.
    pub fn split(&self, one: &[NodeId], other: &[NodeId]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    pub fn heal(&self) {
        let services: Vec<_> = {
            let mut state = self.state();
            state.cut.clear();
            let services = state.places.iter().map(|(node, at)| (*node, at.service.clone()));
            services.collect()
        };
        for (node, service) in &services {
            for (other, _) in services.iter().filter(|(other, _)| other != node) {
                if let Some(service) = service {
                    service.connected(*other);
                }
            }
        }
    }

    /// Keeps from now on a copy of every request.
    pub fn record(&self) {
        self.state().tape = Some(Vec::new());
    }

    pub fn recorded(&self) -> Vec<Sent> {
        self.state().tape.take().unwrap_or_default()
    }

    /// Hands a request to `to` as if it came from `from`; `None` if nobody serves there.
    pub async fn deliver(&self, from: NodeId, to: NodeId, request: Vec<u8>) -> Option<Answer> {
        let service = self.state().places.get(&to)?.service.clone()?;
        let answer = read(&service.handle(from, request.clone()).await);
        self.judge_answer(to, &read(&request), &answer);
        Some(answer)
    }

    /// How long one message takes; `None` if it does not arrive.
    fn travel(&self) -> Option<Duration> {
        let mut state = self.state();
        let weather = state.weather;
        if state.rng.chance(weather.lost) {
            return None;
        }
        let (from, to) = weather.delay;
        let (from, to) = if state.rng.chance(weather.late) { (to, LATEST) } else { (from, to) };
        Some(state.rng.millis(from, to))
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.state().cut.contains(&(from, to))
    }

    /// Whether `node` still lives that life, and has power.
    fn lives(&self, node: NodeId, life: u64) -> bool {
        let state = self.state();
        let place = state.places.get(&node);
        place.is_some_and(|place| place.life == life && !place.drive.is_dead())
    }

    /// Carries one copy of a request there, and the answer back.
    async fn carry(
        self,
        from: NodeId,
        to: NodeId,
        request: Vec<u8>,
        reply: mpsc::Sender<Result<Vec<u8>, CallError>>,
    ) -> Option<()> {
        tokio::time::sleep(self.travel()?).await;
        if self.is_cut(from, to) {
            return None;
        }
        let place = self.state().places.get(&to).cloned()?;
        if place.drive.is_dead() {
            return None;
        }
        let answer = match &place.service {
            Some(service) => {
                let answer = service.handle(from, request.clone()).await;
                if !self.lives(to, place.life) {
                    return None;
                }
                self.history().bytes(to, from, &answer);
                self.judge_answer(to, &read(&request), &read(&answer));
                Ok(answer)
            }
            None => Err(CallError::Refused { node: to, reason: Refused::NotServing }),
        };
        tokio::time::sleep(self.travel()?).await;
        if self.is_cut(to, from) {
            return None;
        }
        // The caller has its answer, or has given up.
        drop(reply.send(answer).await);
        Some(())
    }

    /// What `node` has promised must be on its disk already, if disks are looked at.
    fn audit(&self, node: NodeId, term: u64) {
        if !self.history().audit {
            return;
        }
        let drive = self.state().places.get(&node).map(|place| place.drive.clone());
        let on_disk = drive.and_then(|drive| drive.contents().vote).map_or(0, |vote| vote.term);
        if on_disk < term {
            let text = format!("node {node} took part in term {term}, its disk knows {on_disk}");
            self.history().wrong(text);
        }
    }

    fn judge_request(&self, from: NodeId, request: &Request) {
        if let Request::Vote { vote, .. } = request {
            self.audit(from, vote.term);
        }
        let mut history = self.history();
        match request {
            Request::Append { vote, previous, entries, .. } => {
                history.leads(from, vote.term);
                history.promises(from, vote.term);
                history.sends(*previous, entries);
            }
            Request::Snapshot { vote, .. } => history.leads(from, vote.term),
            Request::Vote { vote, transfer, .. } => {
                history.count(if *transfer { "votes asked over leases" } else { "votes asked" });
                history.votes(from, vote.term, vote.candidate);
            }
            Request::PreVote { .. } => history.count("pre-votes asked"),
            Request::Transfer { .. } | Request::ReadIndex { .. } => {}
        }
    }

    fn judge_answer(&self, from: NodeId, request: &Request, answer: &Answer) {
        match (request, answer) {
            (Request::Vote { vote, .. }, Answer::Vote { granted: true, .. })
            | (Request::Append { vote, .. }, Answer::Append(Appended::All)) => {
                self.audit(from, vote.term);
            }
            _ => {}
        }
        let mut history = self.history();
        match (request, answer) {
            (Request::Vote { vote, .. }, Answer::Vote { granted: true, .. }) => {
                history.count("votes given");
                history.votes(from, vote.term, vote.candidate);
            }
            (Request::Append { vote, .. }, Answer::Append(appended)) => match appended {
                Appended::All | Appended::UpTo(_) => history.promises(from, vote.term),
                Appended::Conflict => {
                    history.count("conflicts");
                    history.promises(from, vote.term);
                }
                Appended::HigherVote(_) => history.count("leaders refused"),
            },
            (Request::Snapshot { vote: asked, snapshot }, Answer::Snapshot { vote })
                if asked == vote && snapshot.last.is_some() =>
            {
                history.count("snapshots sent");
                history.promises(from, vote.term);
            }
            _ => {}
        }
    }
}

impl Network for Port {
    fn call(
        &self,
        node: NodeId,
        _lane: Lane,
        request: Vec<u8>,
        ttl: Duration,
    ) -> Boxed<'static, Result<Vec<u8>, CallError>> {
        let (fabric, from) = (self.fabric.clone(), self.node);
        let (reply, mut answers) = mpsc::channel(2);
        if fabric.lives(from, self.life) {
            fabric.history().bytes(from, node, &request);
            fabric.judge_request(from, &read(&request));
            let doubled = {
                let mut state = fabric.state();
                if let Some(tape) = &mut state.tape {
                    tape.push((from, node, request.clone()));
                }
                let chance = state.weather.doubled;
                state.rng.chance(chance)
            };
            for _ in 0..=u64::from(doubled) {
                tokio::spawn(fabric.clone().carry(from, node, request.clone(), reply.clone()));
            }
            if doubled {
                fabric.history().count("messages doubled");
            }
        }
        Box::pin(async move {
            // The sender is kept, so that a lost message is silence and not an error.
            let answer = tokio::time::timeout(ttl, answers.recv()).await;
            drop(reply);
            answer.ok().flatten().unwrap_or(Err(CallError::Deadline { node, waited: ttl }))
        })
    }

    fn serve_log(&self, service: Option<Arc<dyn Service>>) {
        let others: Vec<_> = {
            let mut state = self.fabric.state();
            let Some(place) = state.places.get_mut(&self.node) else { return };
            if place.life != self.life {
                return;
            }
            let starts = service.is_some();
            place.service = service;
            let others = state.places.iter().filter(|(node, _)| starts && **node != self.node);
            others.filter_map(|(_, place)| place.service.clone()).collect()
        };
        for other in others {
            other.connected(self.node);
        }
    }
}
