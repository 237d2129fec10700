//! The node's machine: reports, committed changes and results in any order, with any values.

use stead_core::id::{Epoch, Index, NodeId, Term};
use stead_core::lease::LogTail;
use stead_core::node::{Command, Event, Fate, LogView, Node};
use stead_core::state::{Change, Outcome, Refusal};
use stead_core::time::{Instant, Span};
use stead_fuzz::{Draw, Sample, target};

use super::{state, values};

/// The longest story.
const EVENTS: usize = 150;

struct Daemon {
    node: Node,
    now: Instant,
    index: u64,
    tickets: Vec<(u64, Change)>,
    /// What it did that nothing but events could have made it do.
    acts: usize,
}

impl Daemon {
    fn new() -> Self {
        let node = Node::new(NodeId(1), state::founded());
        Self { node, now: Instant(1_000_000), index: 10, tickets: Vec::new(), acts: 0 }
    }

    fn take(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(command) = self.node.poll() {
            match command {
                Command::Propose { ticket, change } => {
                    assert!(self.tickets.iter().all(|(old, _)| *old != ticket), "given twice");
                    // It has to fit into the log.
                    assert!(postcard::to_allocvec(&change).is_ok());
                    self.tickets.push((ticket, change));
                    self.acts += 1;
                }
                Command::Start { service, epoch } => {
                    let assignment = self.node.state().assignments.get(&service);
                    let mine = assignment
                        .is_some_and(|it| it.epoch == epoch && it.holder.node() == Some(NodeId(1)));
                    assert!(mine, "{service} is started under an epoch that is not this node's");
                    self.acts += 1;
                }
                Command::Notice(notice) => assert!(!notice.to_string().is_empty()),
                Command::Guard(_) => {}
                Command::ReadIndex
                | Command::Campaign(_)
                | Command::HandOver(_)
                | Command::AddLearner(_)
                | Command::AddVoter { .. }
                | Command::RemoveVoter { .. }
                | Command::Ask { .. }
                | Command::TieVote(_)
                | Command::Shrink { .. }
                | Command::Probe { .. }
                | Command::Announce { .. }
                | Command::Redirect { .. }
                | Command::Quiet { .. }
                | Command::Care { .. }
                | Command::Forget { .. }
                | Command::Hook { .. }
                | Command::Copy { .. }
                | Command::EndCopy { .. }
                | Command::Fence { .. }
                | Command::StopFence { .. }
                | Command::Stop { .. } => self.acts += 1,
            }
        }
        assert!(self.node.next_deadline(self.now) >= self.now);
    }

    fn applied(&mut self, draw: &mut Draw<'_>) -> Event {
        self.index += 1;
        let change = if self.tickets.is_empty() || draw.flag() {
            Some(state::change(draw, self.node.state()))
        } else {
            let at = draw.below(self.tickets.len());
            Some(self.tickets[at].1.clone())
        };
        let term = Term(draw.near(self.node.log().term.0));
        Event::Applied {
            index: Index(self.index),
            term,
            change: change.filter(|_| draw.byte() < 250),
        }
    }

    fn proposed(&mut self, draw: &mut Draw<'_>) -> Event {
        let ticket = match self.tickets.len() {
            0 => draw.number(),
            count => self.tickets[draw.below(count)].0,
        };
        let fate = match draw.below(4) {
            0 => Fate::Unknown,
            1 => Fate::Lost,
            2 => Fate::Committed(Index(draw.near(self.index)), Outcome::Done),
            _ => {
                let refused = Outcome::Refused(Refusal::Unsettled);
                Fate::Committed(Index(draw.near(self.index)), refused)
            }
        };
        Event::Proposed { ticket, fate }
    }

    fn view(&self, draw: &mut Draw<'_>) -> LogView {
        let term = Term(draw.near(self.node.log().term.0.max(1)));
        let leader = match draw.byte() {
            0..160 => Some(NodeId(1)),
            160..240 => Some(values::node(draw)),
            240..=255 => None,
        };
        let tail = LogTail { term: Term(draw.number()), index: Index(draw.number()) };
        let voters = vec![(1..=3).map(NodeId).collect()];
        let learners = values::nodes(draw);
        LogView { term, leader, voters, learners, tail }
    }

    /// What its hands say.
    fn performed(&mut self, draw: &mut Draw<'_>) -> Event {
        let service = values::service(draw);
        let epoch = self.node.state().assignments.get(&service).map(|it| it.epoch);
        let epoch = Epoch(draw.near(epoch.unwrap_or_default().0));
        let failed = (draw.byte() > 160).then(|| "it fails".to_owned());
        match draw.below(9) {
            8 => {
                let (layer, verb) = super::layers::step(draw);
                let seen = failed.map_or_else(|| Seen::Yes("node2".to_owned()), Seen::No);
                Event::Redirected { service, epoch, layer, verb, seen }
            }
            0 => Event::Probed { service, epoch, conflict: failed },
            1 => Event::Announced { service, epoch },
            2 => Event::Started { service, epoch, failed },
            3 => Event::Ended { service, epoch, detail: "it ended".to_owned() },
            4 => Event::Stopped { service, epoch },
            5 => Event::Monitored { service, epoch, failed },
            6 => {
                let (resource, reason) = ("data".to_owned(), "it fails".to_owned());
                Event::Restarting { service, epoch, resource, reason }
            }
            _ if draw.byte() > 250 => Event::CopyFound { service, epoch },
            _ if draw.byte() > 250 => Event::CopyStarted { service, epoch, failed },
            _ if draw.byte() > 250 => Event::CopyEnded { service, epoch },
            _ => Event::Found { service, epoch },
        }
    }

    fn step(&mut self, draw: &mut Draw<'_>) {
        let event = match draw.below(16) {
            0 => Event::Tick,
            1..5 => {
                let term = self.node.log().term;
                Event::Report(values::report(draw, self.now, term))
            }
            5 if draw.flag() => Event::GuardLost,
            5 | 6 => Event::Log(self.view(draw)),
            7 => Event::Current(Index(draw.near(0))),
            8..12 => self.applied(draw),
            12 => self.proposed(draw),
            13 if draw.byte() > 250 => Event::Retire,
            14 if draw.byte() > 250 => Event::StoreFailed("the disk".to_owned()),
            _ => self.performed(draw),
        };
        self.now += match draw.byte() {
            byte @ 0..250 => Span(u64::from(byte) * 500),
            250..=255 => values::span(draw),
        };
        self.take(event);
    }
}

/// It leads, is current, its guard reports a majority, everybody is admitted, and one falls silent.
fn stories() -> Vec<Sample> {
    let log = [6, 0, 0, 1, 1, 10];
    let current = [7, 0, 10];
    // Heard when, revoked or not.
    let peer = |ago: u8, revoked: u8| [0, 1, ago, 1, ago, 0, 1, revoked, ago, 4, 1, 1, 1];
    let alive = [0, 1, 0, 1, 0, 0, 1, 0, 4, 1, 1, 1];
    let report = |last: &[u8]| {
        let own = [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 150, 150, 1, 99, 0, 0, 0, 0, 0];
        [&own[..], &alive, &alive, last, &[10]].concat()
    };
    let admit = |node: u8| [8, 1, node - 1, 0, 0, 0, 5, 0, 0, 0, 10];
    let begin = [8, 1, 0, 0, 0, 0, 14, 0, 0, 0, 10];
    let assign = [8, 1, 2, 0, 0, 0, 9, 0, 0, 10];
    let leads = [&log[..], &current, &report(&alive), &begin].concat();
    let mut serves = leads.clone();
    for node in 1..=3 {
        serves.extend(admit(node));
    }
    serves.extend(assign);
    serves.extend(report(&alive));
    let mut silent = serves.clone();
    for _ in 0..3 {
        silent.extend(report(&peer(99, 1)));
    }
    vec![("leads", leads), ("serves", serves), ("silent", silent)]
}

#[test]
fn the_nodes_machine_takes_everything_in_any_order() {
    let target = target!("node").samples(stories).count(12_000).longest(3_000);
    target.run(|bytes| {
        let (mut draw, mut daemon) = (Draw::new(bytes), Daemon::new());
        for _ in 0..EVENTS {
            if draw.is_empty() {
                break;
            }
            daemon.step(&mut draw);
        }
        daemon.now = daemon.node.next_deadline(daemon.now);
        daemon.take(Event::Tick);
        daemon.acts > 0
    });
}
