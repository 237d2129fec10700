//! What breaks ties, as this node reaches it: the module of the configured chain that keeps a
//! register.
//!
//! ```text
//!   Command::Ask ──▶ TieBreaker ─┬─▶ quorum_client   module quorum-server
//!                                └─▶ exec            module exec: a store of the operator's
//!   Event::Answered ◀── an answer, or none in time
//! ```
//!
//! **Happy path.** [`TieBreaker::follow`] keeps a connection to the quorum server that the state
//! names, on every node, so that a half that has to ask needs one round trip.
//!
//! **Failures.** Whatever goes wrong is no answer, by a deadline. Why stands in
//! [`TieBreaker::trouble`], for people.
//!
//! **Absent on purpose:** what an answer means, and when to ask (`core/node/tie.rs`).

pub mod exec;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stead_core::id::ClusterId;
use stead_core::node::{ANSWER_PATIENCE, Event};
use stead_core::quorum::ask::{Answer, Question};
use stead_core::quorum::chain::Module;
use stead_core::state::config::{ExecConfig, QuorumConfig};
use stead_core::state::{QuorumServer, State};
use stead_core::time::Span;
use stead_log::transport::{Identity, KeyHash};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use crate::quorum_client::{ClientOptions, Link, QuorumClient};
use crate::quorum_server::wire::Members;

/// How long an answer of the quorum server may take.
const DEADLINE: Duration = Duration::from_millis(1_000);

/// This node's way to the register.
pub struct TieBreaker {
    identity: Identity,
    cluster: ClusterId,
    results: UnboundedSender<Event>,
    client: Option<(QuorumServer, Arc<QuorumClient>)>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl TieBreaker {
    /// None yet. Results go to `results`.
    #[must_use]
    pub fn new(identity: Identity, cluster: ClusterId, results: UnboundedSender<Event>) -> Self {
        Self { identity, cluster, results, client: None, trouble: Arc::default() }
    }

    /// Keeps to what the state says now. Must be called inside a tokio runtime.
    pub fn follow(&mut self, state: &State) {
        let wanted = match module(state) {
            Some((Module::QuorumServer, _)) => state.later.server.as_ref(),
            Some((Module::Exec | Module::Majority | Module::Fence, _)) | None => None,
        };
        if self.client.as_ref().map(|(server, _)| server) == wanted {
            return;
        }
        self.client = wanted.and_then(|server| {
            let options = ClientOptions {
                identity: self.identity.clone(),
                server: server.clone(),
                cluster: self.cluster,
            };
            match QuorumClient::start(options) {
                Ok(client) => Some((server.clone(), Arc::new(client))),
                Err(error) => {
                    self.note(Some(error.to_string()));
                    None
                }
            }
        });
    }

    /// Asks the register; the answer, or that there is none, comes as an event.
    pub fn ask(&mut self, state: &State, number: u64, question: Question) {
        self.follow(state);
        let began = Instant::now();
        let (results, trouble) = (self.results.clone(), self.trouble.clone());
        let answered = move |answer: Result<Answer, String>| {
            let round_trip = Span(began.elapsed().as_micros().try_into().unwrap_or(u64::MAX));
            let (answer, why) = match answer {
                Ok(answer) => (Some(answer), None),
                Err(why) => {
                    tracing::debug!("no answer from what breaks ties: {why}");
                    (None, Some(why))
                }
            };
            *trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
            drop(results.send(Event::Answered { number, answer, round_trip }));
        };
        match module(state) {
            Some((Module::QuorumServer, _)) => self.ask_server(state, question, answered),
            Some((Module::Exec, Some(exec))) => {
                let (exec, cluster) = (exec.clone(), self.cluster);
                tokio::spawn(async move {
                    // What still runs when nobody waits any more is killed with all it started.
                    let patience = Duration::from_micros(ANSWER_PATIENCE.as_micros());
                    let asked = timeout(patience, exec::ask(&exec, cluster, &question)).await;
                    let late = || format!("no answer within {} ms", patience.as_millis());
                    let answer = asked.map_err(|_elapsed| late());
                    answered(answer.and_then(|it| it.map_err(|error| error.to_string())));
                });
            }
            Some((Module::Exec | Module::Majority | Module::Fence, _)) | None => {
                answered(Err("nothing breaks ties".to_owned()));
            }
        }
    }

    fn ask_server(
        &self,
        state: &State,
        question: Question,
        answered: impl FnOnce(Result<Answer, String>) + Send + 'static,
    ) {
        let Some((_, client)) = &self.client else {
            return answered(Err("the cluster is enrolled at no quorum server".to_owned()));
        };
        let (client, members) = (client.clone(), members(state, &question));
        tokio::spawn(async move {
            let answer = client.ask(question, members, DEADLINE).await;
            answered(answer.map_err(|error| error.to_string()));
        });
    }

    fn note(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why the register does not answer, if it does not, in words.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.client.as_ref().map(|(_, client)| client.link()) {
            Some(Link::Down { why, .. }) => Some(why.to_string()),
            Some(Link::Up { .. }) | None => known,
        }
    }

    /// Whether there is a connection to the quorum server; nothing if another module breaks ties.
    #[must_use]
    pub fn reached(&self) -> Option<bool> {
        match self.client.as_ref().map(|(_, client)| client.link())? {
            Link::Up { .. } => Some(true),
            Link::Down { .. } => Some(false),
        }
    }

    /// How long the quorum server's newest answer took, if there is a connection.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        match self.client.as_ref().map(|(_, client)| client.link())? {
            Link::Up { round_trip, .. } => Some(round_trip),
            Link::Down { .. } => None,
        }
    }
}

/// The module of the chain that keeps a register, and the command of module `exec`.
fn module(state: &State) -> Option<(Module, Option<&ExecConfig>)> {
    let quorum: &QuorumConfig = &state.config.as_ref()?.later.quorum;
    Some((quorum.chain.register()?, quorum.exec.as_ref()))
}

/// A coordinator says who the members are; a half that asks can't know.
fn members(state: &State, question: &Question) -> Option<Members> {
    match question {
        Question::Ask { .. } => None,
        Question::Hear { .. } | Question::Trust { .. } | Question::Take { .. } => {
            let keys = state.members.values().map(|member| KeyHash(member.key)).collect();
            Some(Members { at: state.applied, keys })
        }
    }
}
