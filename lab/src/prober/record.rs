//! What a prober wrote down.

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::launcher::lock;

/// A prober that was not scheduled for longer than this says so, in microseconds.
const STALL: u64 = 3_000;
/// Gaps longer than this are in the report.
const NOTEWORTHY: Duration = Duration::from_millis(3);

/// One answered question. Times in microseconds of CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// When it was asked.
    pub asked_us: u64,
    /// When the answer came.
    pub answered_us: u64,
    /// Who answered, as an index into [`Report::nodes`].
    pub node: u16,
}

/// A time without answers. Times in microseconds of CLOCK_BOOTTIME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last answer before it, or the prober's start.
    pub from_us: u64,
    /// The first answer after it, or the time of looking.
    pub to_us: u64,
    /// Who answered last before it.
    pub before: Option<String>,
    /// Who answered first after it; `None`: nobody yet.
    pub after: Option<String>,
    /// How much of it the prober itself was not scheduled.
    pub stalled_us: u64,
}

impl Gap {
    /// Its length.
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.to_us.saturating_sub(self.from_us))
    }
}

/// A piece of time in a strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Answers that came in it.
    pub answers: u32,
    /// Who gave the last of them, as an index into [`Report::nodes`]; nodes are numbered in the
    /// order in which they first answered.
    pub node: Option<u16>,
}

/// All that a prober saw. Times in microseconds of CLOCK_BOOTTIME.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When it began.
    pub started_us: u64,
    /// When it ended.
    pub ended_us: u64,
    /// It ran with real-time priority.
    pub realtime: bool,
    /// Questions asked.
    pub asked: u64,
    /// Questions given up after their time.
    pub abandoned: u64,
    /// Questions that were refused: by the other side or by our own kernel.
    pub refused: u64,
    /// Who answered, in the order of their first answers.
    pub nodes: Vec<String>,
    /// Gaps of more than 3 ms.
    pub gaps: Vec<Gap>,
    /// Every answer, in the order of arrival.
    pub answers: Vec<Answer>,
}

impl Report {
    /// The longest gap that was open between two moments, measured from its true beginning.
    pub fn longest_gap_between(&self, from_us: u64, to_us: u64) -> Duration {
        let meets = |gap: &&Gap| gap.to_us > from_us && gap.from_us < to_us;
        self.gaps.iter().filter(meets).map(Gap::length).max().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Data {
    nodes: Vec<String>,
    answers: Vec<Answer>,
    asked: u64,
    abandoned: u64,
    refused: u64,
    last_beat: u64,
    stalls: Vec<(u64, u64)>,
}

/// Written by the prober's thread, read by everyone.
#[derive(Debug)]
pub(super) struct Record {
    started: u64,
    data: Mutex<Data>,
}

impl Record {
    pub(super) fn new(now: u64) -> Record {
        let data = Data { last_beat: now, ..Data::default() };
        Record { started: now, data: Mutex::new(data) }
    }

    /// A beat: so many questions are asked at `now`.
    pub(super) fn asked(&self, now: u64) {
        let mut data = lock(&self.data);
        if now.saturating_sub(data.last_beat) > STALL {
            let stall = (data.last_beat, now);
            data.stalls.push(stall);
        }
        data.last_beat = now;
        data.asked += 1;
    }

    pub(super) fn abandoned(&self) {
        lock(&self.data).abandoned += 1;
    }

    pub(super) fn refused(&self) {
        lock(&self.data).refused += 1;
    }

    pub(super) fn answered(&self, asked_us: u64, answered_us: u64, node: &str) {
        let mut data = lock(&self.data);
        let known = data.nodes.iter().position(|name| name == node);
        let index = known.unwrap_or_else(|| {
            data.nodes.push(node.to_owned());
            data.nodes.len() - 1
        });
        let node = u16::try_from(index).unwrap_or(u16::MAX);
        data.answers.push(Answer { asked_us, answered_us, node });
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.data).answers.len()
    }

    pub(super) fn node_now(&self) -> Option<String> {
        let data = lock(&self.data);
        let last = data.answers.last()?;
        data.nodes.get(usize::from(last.node)).cloned()
    }

    pub(super) fn strip(&self, now: u64, window: Duration, cells: usize) -> Vec<Cell> {
        let mut strip = vec![Cell { answers: 0, node: None }; cells];
        let window = micros(window).max(1);
        let begin = now.saturating_sub(window);
        let data = lock(&self.data);
        let first = data.answers.partition_point(|answer| answer.answered_us < begin);
        for answer in &data.answers[first..] {
            let at = u128::from(answer.answered_us - begin) * cells as u128 / u128::from(window);
            if let Some(cell) = usize::try_from(at).ok().and_then(|at| strip.get_mut(at)) {
                cell.answers += 1;
                cell.node = Some(answer.node);
            }
        }
        strip
    }

    pub(super) fn longest_gap(&self, mark: u64, now: u64) -> Duration {
        let data = lock(&self.data);
        let first = data.answers.partition_point(|answer| answer.answered_us <= mark);
        let mut last = match first.checked_sub(1) {
            Some(before) => data.answers[before].answered_us,
            None => self.started,
        };
        let mut longest = 0;
        let times = data.answers[first..].iter().map(|answer| answer.answered_us);
        for time in times.chain([now]) {
            longest = longest.max(time.saturating_sub(last));
            last = time;
        }
        Duration::from_micros(longest)
    }

    pub(super) fn gaps(&self, at_least: Duration, now: u64) -> Vec<Gap> {
        self.data_gaps(&lock(&self.data), at_least, now)
    }

    fn data_gaps(&self, data: &Data, at_least: Duration, now: u64) -> Vec<Gap> {
        let at_least = micros(at_least);
        let name = |answer: &Answer| data.nodes.get(usize::from(answer.node)).cloned();
        let mut gaps = Vec::new();
        let mut last: Option<&Answer> = None;
        for next in data.answers.iter().map(Some).chain([None]) {
            let from_us = last.map_or(self.started, |answer| answer.answered_us);
            let to_us = next.map_or(now, |answer| answer.answered_us);
            if to_us.saturating_sub(from_us) > at_least {
                let stalled_us = stalled(&data.stalls, from_us, to_us);
                let (before, after) = (last.and_then(name), next.and_then(name));
                gaps.push(Gap { from_us, to_us, before, after, stalled_us });
            }
            last = next;
        }
        gaps
    }

    pub(super) fn report(&self, ended_us: u64, realtime: bool) -> Report {
        let data = lock(&self.data);
        Report {
            started_us: self.started,
            ended_us,
            realtime,
            asked: data.asked,
            abandoned: data.abandoned,
            refused: data.refused,
            nodes: data.nodes.clone(),
            gaps: self.data_gaps(&data, NOTEWORTHY, ended_us),
            answers: data.answers.clone(),
        }
    }
}

fn stalled(stalls: &[(u64, u64)], from: u64, to: u64) -> u64 {
    let shared = |&(begin, end): &(u64, u64)| end.min(to).saturating_sub(begin.max(from));
    stalls.iter().map(shared).sum()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let record = Record::new(0);
        for at in [1_000, 2_000, 3_000, 300_000, 301_000] {
            record.asked(at);
            record.answered(at - 500, at, if at < 100_000 { "node1" } else { "node2" });
        }
        record
    }

    #[test]
    fn a_gap_begins_before_the_fault_that_makes_it() {
        let record = record();
        let fault = 3_400;
        assert_eq!(record.longest_gap(fault, 302_000), Duration::from_micros(297_000));
        assert_eq!(record.longest_gap(300_500, 302_000), Duration::from_micros(1_000));
        assert_eq!(record.longest_gap(300_500, 900_000), Duration::from_micros(599_000), "open");
    }

    #[test]
    fn gaps_tell_who_was_before_and_after_and_what_was_our_own_fault() {
        let gaps = record().gaps(Duration::from_millis(3), 302_000);
        let [gap] = &gaps[..] else { panic!("{gaps:?}") };
        assert_eq!((gap.from_us, gap.to_us), (3_000, 300_000));
        assert_eq!((gap.before.as_deref(), gap.after.as_deref()), (Some("node1"), Some("node2")));
        assert_eq!(gap.stalled_us, 297_000, "it did not ask in that time");
        let report = record().report(302_000, false);
        assert_eq!(report.longest_gap_between(3_400, 5_000), Duration::from_micros(297_000));
        assert_eq!(report.longest_gap_between(300_500, 302_000), Duration::ZERO);
    }

    #[test]
    fn a_strip_shows_the_last_answer_of_each_cell() {
        let strip = record().strip(302_000, Duration::from_micros(302_000), 3);
        assert_eq!(strip[0], Cell { answers: 3, node: Some(0) });
        assert_eq!(strip[1], Cell { answers: 0, node: None });
        assert_eq!(strip[2], Cell { answers: 2, node: Some(1) });
    }

    #[test]
    fn silence_from_the_start_is_a_gap() {
        let record = Record::new(1_000);
        assert_eq!(record.longest_gap(0, 51_000), Duration::from_millis(50));
        assert_eq!(record.gaps(Duration::ZERO, 51_000)[0].after, None);
    }
}
