//! From what was done, seen and said to a timeline.

use std::time::Duration;

use stead::journal::Entry;
use stead_core::notice::Notice;
use stead_lab::prober::Report;

use super::marks::{Raw, joined, said};
use crate::report::{About, Bar, Lane, Mark, Shows, Timeline};

/// A silence no longer than this is none: it can hardly be seen in a picture.
pub(super) const APART: Duration = Duration::from_millis(20);
/// So many microseconds are shown before the first fault.
const LEAD: u64 = 200_000;
/// Who still answered so many microseconds before the end did not fall silent.
const LAST: u64 = 50_000;

/// What a lane is of, that is no client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Node(String),
    Line,
    Server,
}

/// All of one scenario. Times are microseconds of CLOCK_BOOTTIME.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Times count from here.
    pub(super) zero: u64,
    pub(super) end: u64,
    faults: Vec<(u64, Thing, &'static str)>,
    /// What did not work from then on, in a word.
    down: Vec<(u64, Thing, &'static str)>,
    pub(super) seen: Vec<Of>,
    pub(super) said: Vec<Entry>,
}

/// What was seen of a service.
#[derive(Debug)]
pub(super) struct Of {
    pub(super) service: &'static str,
    /// Of each node, when it answered for the service at its own Ethernet address.
    pub(super) nodes: Vec<(String, Vec<(u64, u64)>)>,
    pub(super) client: Vec<Spell>,
}

/// A time in which a client was answered by the same node, or by nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spell {
    from: u64,
    to: u64,
    by: Option<String>,
}

/// What a client got from one moment to another. A silence counts from the last answer to the next.
pub(super) fn spells(report: &Report, begin: u64, end: u64) -> Vec<Spell> {
    let apart = u64::try_from(APART.as_micros()).unwrap_or(u64::MAX);
    let mut all: Vec<Spell> = Vec::new();
    let inside = |at: &u64| (begin..=end).contains(at);
    for answer in report.answers.iter().filter(|it| inside(&it.answered_us)) {
        let (at, by) = (answer.answered_us, report.nodes.get(usize::from(answer.node)).cloned());
        let last = all.last().map_or(begin, |spell| spell.to);
        let silent = at.saturating_sub(last) > apart;
        if silent {
            all.push(Spell { from: last, to: at, by: None });
        }
        match all.last_mut() {
            Some(spell) if spell.by == by && !silent => spell.to = at,
            Some(_) | None => all.push(Spell { from: at, to: at, by }),
        }
    }
    let last = all.last().map_or(begin, |spell| spell.to);
    if end.saturating_sub(last) > apart {
        all.push(Spell { from: last, to: end, by: None });
    }
    all
}

impl Record {
    /// One that begins now.
    pub(super) fn begin(now: u64) -> Self {
        Self { zero: now, ..Self::default() }
    }

    pub(super) fn fault(&mut self, at: u64, what: Thing, words: &'static str) {
        self.faults.push((at, what, words));
    }

    pub(super) fn down(&mut self, at: u64, what: Thing, word: &'static str) {
        self.down.push((at, what, word));
    }

    /// From when on it is shown.
    pub(super) fn begin_us(&self) -> u64 {
        let first = self.faults.iter().map(|(at, ..)| *at).min();
        first.unwrap_or(self.zero).min(self.zero).saturating_sub(LEAD)
    }

    /// In milliseconds since the fault, with one place.
    fn ms(&self, at: u64) -> f64 {
        let whole = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e4;
        let after = whole(at.saturating_sub(self.zero)) - whole(self.zero.saturating_sub(at));
        after.round() / 10.0
    }

    /// The timeline, of these sites and their nodes.
    pub(super) fn timeline(&self, title: &str, sites: &[(String, Vec<String>)]) -> Timeline {
        let (mut lanes, mut things) = (Vec::new(), Vec::new());
        for (number, (site, nodes)) in sites.iter().enumerate() {
            if number > 0 {
                lanes.push(self.lane("link", "", Thing::Line));
                things.push(Thing::Line);
            }
            for node in nodes {
                lanes.push(self.node(site, node));
                things.push(Thing::Node(node.clone()));
            }
        }
        lanes.push(self.lane("quorum server", "", Thing::Server));
        things.push(Thing::Server);
        lanes.extend(self.seen.iter().map(|of| self.client(of)));
        Timeline {
            title: title.to_owned(),
            from_ms: self.ms(self.begin_us()),
            to_ms: self.ms(self.end),
            lanes,
            marks: self.marks(&things),
        }
    }

    fn bar(&self, (from, to): (u64, u64), shows: Shows, text: &str) -> Bar {
        let (from_ms, to_ms) = (self.ms(from), self.ms(to));
        Bar { from_ms, to_ms, shows, text: text.to_owned() }
    }

    /// Something that works until it does not.
    fn lane(&self, group: &str, name: &str, thing: Thing) -> Lane {
        let down = self.down_of(&thing);
        let until = down.map_or(self.end, |(at, _)| at);
        let mut bars = vec![self.bar((self.begin_us(), until), Shows::Up, "")];
        bars.extend(down.map(|(at, word)| self.bar((at, self.end), Shows::Down, word)));
        Lane { group: group.to_owned(), name: name.to_owned(), bars }
    }

    fn down_of(&self, thing: &Thing) -> Option<(u64, &'static str)> {
        let down = self.down.iter().find(|(_, it, _)| it == thing);
        down.map(|(at, _, word)| (*at, *word))
    }

    fn node(&self, site: &str, node: &str) -> Lane {
        let down = self.down_of(&Thing::Node(node.to_owned()));
        let mut bars = Vec::new();
        for of in &self.seen {
            let runs = of.nodes.iter().filter(|(name, _)| name == node);
            let answers = || Shows::Answers(of.service.to_owned());
            let bar = |run: &(u64, u64)| self.bar(*run, answers(), of.service);
            bars.extend(runs.flat_map(|(_, runs)| runs.iter().map(bar)));
        }
        bars.extend(down.map(|(at, word)| self.bar((at, self.end), Shows::Down, word)));
        Lane { group: site.to_owned(), name: node.to_owned(), bars }
    }

    fn client(&self, of: &Of) -> Lane {
        let bar = |spell: &Spell| {
            let Spell { from, to, by } = spell;
            let length = self.ms(*to) - self.ms(*from);
            match by {
                Some(node) => self.bar((*from, *to), Shows::Answers(of.service.to_owned()), node),
                None if *to == self.end => self.bar((*from, *to), Shows::Silence, "no answer"),
                None => {
                    let text = format!("no answer for {length:.0} ms");
                    self.bar((*from, *to), Shows::Silence, &text)
                }
            }
        };
        let bars = of.client.iter().map(bar).collect();
        Lane { group: "client of".to_owned(), name: of.service.to_owned(), bars }
    }

    fn marks(&self, things: &[Thing]) -> Vec<Mark> {
        let lane = |thing: &Thing| -> Vec<usize> {
            things.iter().position(|it| it == thing).into_iter().collect()
        };
        let node = |name: &str| lane(&Thing::Node(name.to_owned()));
        let mut raw: Vec<Raw> = Vec::new();
        for (at, what, words) in &self.faults {
            let (words, whom) = ((*words).to_owned(), String::new());
            let (at, lanes, about) = (*at, lane(what), About::Fault);
            raw.push(Raw { at, lanes, about, words, whom, once: false });
        }
        for of in &self.seen {
            for (name, runs) in &of.nodes {
                let mark = |at: u64, words: String, whom: &str| {
                    let (lanes, whom) = (node(name), whom.to_owned());
                    Raw { at, lanes, about: About::Service, words, whom, once: false }
                };
                let begun = runs.iter().filter(|(from, _)| *from > self.zero);
                let words = || format!("{name} answers for {{}}");
                raw.extend(begun.map(|(from, _)| mark(*from, words(), of.service)));
                let off = self.down_of(&Thing::Node(name.clone())).is_some();
                let over = runs.iter().filter(|(_, to)| !off && to + LAST < self.end);
                raw.extend(over.map(|(_, to)| mark(*to, "{} silent".to_owned(), name)));
            }
        }
        for entry in &self.said {
            let mut lanes = node(&entry.node);
            if let Some(Notice::Granted(_) | Notice::NotGranted(_)) = entry.notice {
                // that is what the server has just answered
                lanes.extend(lane(&Thing::Server));
            }
            raw.extend(said(entry, lanes));
        }
        joined(raw, |at| self.ms(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_core::id::Grant;
    use stead_core::notice::Severity;
    use stead_core::time::Span;
    use stead_lab::prober::Answer;

    fn entry(boot: u64, node: &str, notice: Option<Notice>) -> Entry {
        let (time, severity, text) = (String::new(), Severity::Info, String::new());
        Entry { time, boot, node: node.to_owned(), severity, text, notice }
    }

    fn of(service: &'static str, nodes: &[(&str, &[(u64, u64)])]) -> Of {
        let nodes = nodes.iter().map(|(node, runs)| ((*node).to_owned(), runs.to_vec()));
        Of { service, nodes: nodes.collect(), client: Vec::new() }
    }

    /// A cut a second after the machine started, watched for a second.
    fn record() -> Record {
        let mut record = Record::begin(1_000_000);
        record.end = 2_000_000;
        record.fault(1_000_000, Thing::Line, "the link is cut");
        record.down(1_000_000, Thing::Line, "cut");
        record
    }

    fn sites() -> [(String, Vec<String>); 2] {
        [("East", ["node1", "node2"]), ("West", ["node3", "node4"])]
            .map(|(site, nodes)| (site.to_owned(), nodes.map(str::to_owned).to_vec()))
    }

    #[test]
    fn what_was_done_seen_and_said_stands_in_the_order_of_time() {
        let mut record = record();
        record.seen = vec![
            of("web", &[("node1", &[(700_000, 2_000_000)])]),
            of("api", &[("node3", &[(700_000, 1_350_000)]), ("node2", &[(1_400_000, 2_000_000)])]),
        ];
        let tied = |what: &str| Some(Notice::Tied(vec!["node1".to_owned()], what.to_owned()));
        let went_on = || Some(Notice::WentOn(Grant(2), vec!["node3".to_owned()]));
        let suspected = |node: &str| Some(Notice::Suspected(node.to_owned(), Span::ZERO));
        record.said = vec![
            entry(1_317_000, "node1", suspected("node3")),
            entry(1_317_400, "node1", suspected("node4")),
            entry(1_310_000, "node1", Some(Notice::Granted(Grant(2)))),
            entry(1_301_000, "node2", tied("node1 asks for a grant")),
            entry(1_304_000, "node1", tied("a grant is asked for")),
            entry(1_300_040, "node3", tied("a grant is asked for")),
            entry(1_340_000, "node2", went_on()),
            entry(1_440_000, "node1", went_on()),
            entry(1_500_000, "node1", suspected("node3")),
            entry(1_302_000, "node2", None),
            entry(1_303_000, "node2", Some(Notice::LeaseGained)),
        ];
        let timeline = record.timeline("a cut", &sites());
        let told = |mark: &Mark| (mark.ms, mark.lanes.clone(), mark.text.clone());
        let told: Vec<_> = timeline.marks.iter().map(told).collect();
        let expected = [
            (0.0, vec![2], "the link is cut"),
            (300.0, vec![0, 3], "node1, node3: QUORUMTIE"),
            (310.0, vec![0, 5], "node1: HAVEQUORUM"),
            (317.0, vec![0], "node1 suspects node3, node4"),
            (340.0, vec![0, 1], "goes on without the vote of node3"),
            (350.0, vec![3], "node3 silent"),
            (400.0, vec![1], "node2 answers for api"),
            (500.0, vec![0], "node1 suspects node3"),
        ];
        assert_eq!(told, expected.map(|(ms, lanes, text)| (ms, lanes, text.to_owned())));
        assert_eq!((timeline.from_ms, timeline.to_ms), (-200.0, 1_000.0));
        let names: Vec<_> = timeline.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, ["node1", "node2", "", "node3", "node4", "", "web", "api"]);
        let [up, cut] = &timeline.lanes[2].bars[..] else { panic!("{timeline:?}") };
        assert_eq!(
            (&up.shows, up.to_ms, &cut.shows, cut.from_ms),
            (&Shows::Up, 0.0, &Shows::Down, 0.0)
        );
    }

    #[test]
    fn a_node_without_power_is_off_and_not_silent() {
        let mut record = record();
        record.down(1_000_000, Thing::Node("node3".to_owned()), "no power");
        record.seen = vec![of("api", &[("node3", &[(700_000, 1_001_000)])])];
        let timeline = record.timeline("a site", &sites());
        assert_eq!(timeline.marks.len(), 1, "{timeline:?}");
        assert_eq!(timeline.lanes[3].bars[1].text, "no power", "{timeline:?}");
    }

    #[test]
    fn a_scenario_in_which_nobody_said_or_saw_anything_has_its_lanes() {
        let timeline = Record::begin(1_000).timeline("nothing", &[]);
        assert_eq!((timeline.lanes.len(), timeline.marks.len()), (1, 0), "{timeline:?}");
    }

    #[test]
    fn a_clients_silence_counts_from_the_last_answer_to_the_next() {
        let answer = |&(at, node): &(u64, u16)| Answer { asked_us: at, answered_us: at, node };
        let report = |answers: &[(u64, u16)]| Report {
            started_us: 0,
            ended_us: 900_000,
            realtime: true,
            asked: 0,
            abandoned: 0,
            refused: 0,
            nodes: vec!["node1".to_owned(), "node2".to_owned()],
            gaps: Vec::new(),
            answers: answers.iter().map(answer).collect(),
        };
        let seen = report(&[(1_000, 1), (101_000, 0), (105_000, 0), (500_000, 1), (505_000, 0)]);
        let spell = |from, to, by: Option<&str>| Spell { from, to, by: by.map(str::to_owned) };
        let (one, two) = (Some("node1"), Some("node2"));
        let expected = [
            spell(101_000, 105_000, one),
            spell(105_000, 500_000, None),
            spell(500_000, 500_000, two),
            spell(505_000, 505_000, one),
            spell(505_000, 600_000, None),
        ];
        assert_eq!(spells(&seen, 100_000, 600_000), expected);
        assert_eq!(spells(&report(&[]), 100_000, 600_000), [spell(100_000, 600_000, None)]);
    }
}
