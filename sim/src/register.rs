//! The quorum server: the core's own register on a machine at a third place.
//!
//! Happy path: a question takes its way there, is answered, and what it changed is on disk before
//! the answer leaves. Rough weather loses, doubles and delays both, in any order.
//!
//! Failures: the server is down for a while (its register survives), can't be reached by some
//! machine, loses its disk, or gets an old copy back. After the last two it says that it can't be
//! relied upon, as the real one does.
//!
//! The judge here: no number is ever given to two halves.
//!
//! Absent on purpose: connections, keys, and limits (`daemon/src/quorum_server`).

use std::collections::BTreeMap;

use stead_core::id::Grant;
use stead_core::node::Event;
use stead_core::quorum::ask::{Answer, Question};
use stead_core::quorum::register::{Challenge, Half, Register};
use stead_core::quorum::vote::TieVote;
use stead_core::time::Span;

use crate::rng::Rng;
use crate::world::{DaemonIn, What, World};

/// How long a daemon waits for an answer, in microseconds.
const DEADLINE: u64 = 1_000_000;

/// What can be done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends, or starts with what its disk has.
    Up(bool),
    /// Its disk is lost, and it has a new one.
    Lost,
    /// A copy of its disk is made.
    Copied,
    /// That copy is put in place.
    Restored,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    register: Register,
    copy: Register,
    /// Whether it runs.
    pub up: bool,
    /// Which machines can reach it.
    pub open: Vec<bool>,
    rng: Rng,
    /// To which half each number was given, or to none, for the judge.
    given: BTreeMap<Grant, Option<Half>>,
}

impl Server {
    /// A new one.
    #[must_use]
    pub fn new(nodes: usize, mut rng: Rng) -> Self {
        let register = Register::new(challenge(&mut rng));
        let copy = register.clone();
        Self { register, copy, up: true, open: vec![true; nodes], rng, given: BTreeMap::new() }
    }

    /// Whether it would grant this to that half of nodes whose state stands at `known`.
    #[must_use]
    pub fn would_grant(&self, known: Grant, half: &Half) -> bool {
        let mut trial = self.register.clone();
        self.up && trial.ask(known, half, Challenge(0)).is_ok()
    }
}

/// A question and its answer, for the trace.
fn words(question: &Question, answer: &Answer) -> String {
    let asked = match question {
        Question::Ask { known, half } => {
            let ids = half.present.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("node {} of {} ask at {known}", ids.join(" "), half.voters.len())
        }
        Question::Hear { known } => format!("hears {known}"),
        Question::Trust { known, .. } => format!("is told to trust {known}"),
        Question::Take { known } => format!("is asked for the number after {known}"),
    };
    let said = match &answer.grant {
        Some(Ok(grant)) => format!("grants {grant}"),
        Some(Err(refusal)) => format!("refuses: {refusal}"),
        None if answer.standing.distrusted.is_some() => "is distrusted".to_string(),
        None => format!("stands at {}", answer.standing.last),
    };
    format!("> server: {asked}: {said}")
}

fn challenge(rng: &mut Rng) -> Challenge {
    Challenge(rng.below(u64::MAX))
}

impl World {
    /// A daemon asks.
    pub(crate) fn ask_register(&mut self, host: usize, number: u64, question: Question) {
        let run = self.hosts[host].daemon_run;
        let silence = Event::Answered { number, answer: None, round_trip: Span(DEADLINE) };
        let silence = DaemonIn::Event(Box::new(silence));
        self.after(DEADLINE, What::Daemon(host, run, Box::new(silence)));
        let Some(times) = self.way_to_register() else { return };
        for late in times {
            let question = Box::new(question.clone());
            self.after(late, What::Register { host, run, number, question, asked: self.now });
        }
    }

    /// How long it takes there, once or twice; nothing if it gets lost.
    fn way_to_register(&mut self) -> Option<Vec<u64>> {
        let (rough, calm) = (self.net.rough, self.net.delay);
        let server = self.register.as_mut()?;
        if !rough {
            return Some(vec![calm]);
        }
        let rng = &mut server.rng;
        let mut late = || if rng.chance(20) { rng.below(2_000_000) } else { rng.below(20_000) };
        let times = [late(), late()];
        match server.rng.below(40) {
            0 => None,
            1 => Some(times.to_vec()),
            _ => Some(vec![times[0]]),
        }
    }

    /// A question reaches the server.
    pub(crate) fn register_asked(
        &mut self,
        (host, run): (usize, u64),
        number: u64,
        question: &Question,
        asked: u64,
    ) {
        let Some(server) = self.register.as_mut().filter(|it| it.up && it.open[host]) else {
            return;
        };
        let challenge = challenge(&mut server.rng);
        let answer = server.register.answer(question, challenge);
        if let Some(Ok(grant)) = &answer.grant {
            let half = if let Question::Ask { half, .. } = question { Some(half) } else { None };
            let again = server.given.insert(*grant, half.cloned());
            // The same half is answered the same; what was taken is never given again.
            if let Some(known) = again.filter(|it| it.is_none() || it.as_ref() != half) {
                let what = format!("grant {grant} was given to {known:?} and to {half:?}");
                self.fail("I2", &what);
                return;
            }
        }
        self.note(Some(host), || words(question, &answer));
        self.send_answer(host, run, number, answer, asked);
    }

    fn send_answer(&mut self, host: usize, run: u64, number: u64, answer: Answer, asked: u64) {
        let Some(times) = self.way_to_register() else { return };
        for late in times {
            let round_trip = Span(self.now + late - asked);
            let answer = Some(answer.clone());
            let event = Event::Answered { number, answer, round_trip };
            self.after(late, What::Daemon(host, run, Box::new(DaemonIn::Event(Box::new(event)))));
        }
    }

    /// A node has its log count one vote more: only if it is in the half that was granted, or an
    /// operator has said there that the others are off.
    pub(crate) fn judge_tie_vote(&mut self, host: usize, vote: &TieVote) {
        let Some(server) = &self.register else { return };
        let given = server.given.get(&vote.grant) == Some(&Some(vote.half.clone()))
            || self.hosts[host].overruled;
        let here = vote.half.present.contains(&self.hosts[host].id);
        if !given || !here || vote.half.present.contains(&vote.absent) {
            let name = self.hosts[host].name;
            self.fail("I2", &format!("{name} counts a vote that nobody gave it: {vote:?}"));
        }
    }

    /// Something is done to the server.
    pub(crate) fn harm_register(&mut self, fault: Fault) {
        let Some(server) = &mut self.register else { return };
        match fault {
            Fault::Up(up) => server.up = up,
            Fault::Lost => server.register = Register::new(challenge(&mut server.rng)),
            Fault::Copied => server.copy = server.register.clone(),
            Fault::Restored => {
                server.register = server.copy.clone();
                let challenge = challenge(&mut server.rng);
                server.register.distrust_anew(challenge);
            }
        }
    }

    /// All is well with it again.
    pub(crate) fn heal_register(&mut self) {
        if let Some(server) = &mut self.register {
            server.up = true;
            server.open.fill(true);
        }
    }
}
