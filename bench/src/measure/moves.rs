//! Moves of the address that nobody asked for, and whether the machine made them.

use std::time::Duration;

use stead_lab::prober::Report;

use super::StallReport;

/// What a takeover may take beyond three times what the cluster tolerates, for the work itself.
const WORK: Duration = Duration::from_millis(200);

/// The address went from one node to another. In microseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// When the former node answered last.
    pub last_us: u64,
    /// When the new one answered first.
    pub first_us: u64,
    /// The former node.
    pub from: String,
    /// The new one.
    pub to: String,
}

/// How the moves were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The machine gave no reason for these.
    pub counted: usize,
    /// Before these a processor stood still for longer than the cluster tolerates.
    pub excused: usize,
}

/// The moves that a client saw: changes of the node that answers.
#[must_use]
pub fn moves(report: &Report) -> Vec<Move> {
    let name = |node: u16| report.nodes.get(usize::from(node)).cloned().unwrap_or_default();
    let pairs = report.answers.iter().zip(report.answers.iter().skip(1));
    pairs
        .filter(|(before, after)| before.node != after.node)
        .map(|(before, after)| Move {
            last_us: before.answered_us,
            first_us: after.answered_us,
            from: name(before.node),
            to: name(after.node),
        })
        .collect()
}

/// A move is excused if a processor stood still for longer than `tolerated` shortly before: as long
/// before the new node's first answer as a takeover may take.
#[must_use]
pub fn judge(moves: &[Move], stalls: &StallReport, tolerated: Duration) -> Verdict {
    let before = u64::try_from((3 * tolerated + WORK).as_micros()).unwrap_or(u64::MAX);
    let is_excused = |it: &&Move| {
        let from_us = it.first_us.saturating_sub(before);
        stalls.longest_between(from_us, it.first_us) > tolerated
    };
    let excused = moves.iter().filter(is_excused).count();
    Verdict { counted: moves.len() - excused, excused }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Stall;
    use stead_lab::prober::Answer;

    fn report(answers: &[(u64, u16)]) -> Report {
        let answer =
            |&(at, node): &(u64, u16)| Answer { asked_us: at - 100, answered_us: at, node };
        Report {
            started_us: 0,
            ended_us: 1_000_000,
            realtime: true,
            asked: 0,
            abandoned: 0,
            refused: 0,
            nodes: vec!["node1".to_owned(), "node2".to_owned()],
            gaps: Vec::new(),
            answers: answers.iter().map(answer).collect(),
        }
    }

    #[test]
    fn a_change_of_the_answering_node_is_a_move_and_a_gap_alone_is_none() {
        let seen = moves(&report(&[(1_000, 0), (90_000, 0), (190_000, 1), (191_000, 1)]));
        let expected = Move {
            last_us: 90_000,
            first_us: 190_000,
            from: "node1".to_owned(),
            to: "node2".to_owned(),
        };
        assert_eq!(seen, [expected]);
        assert_eq!(moves(&report(&[])), []);
    }

    #[test]
    fn only_a_stall_longer_than_tolerated_and_just_before_excuses_a_move() {
        let seen = moves(&report(&[(900_000, 0), (1_000_000, 1)]));
        let tolerated = Duration::from_millis(50);
        let verdict = |from_us, to_us| {
            let stalls = StallReport { realtime: true, stalls: vec![Stall { from_us, to_us }] };
            judge(&seen, &stalls, tolerated)
        };
        let (counted, excused) =
            (Verdict { counted: 1, excused: 0 }, Verdict { counted: 0, excused: 1 });
        assert_eq!(verdict(900_000, 951_000), excused);
        assert_eq!(verdict(900_000, 950_000), counted, "no longer than tolerated");
        assert_eq!(verdict(500_000, 600_000), counted, "long over");
        assert_eq!(verdict(1_000_000, 1_100_000), counted, "afterwards");
    }
}
