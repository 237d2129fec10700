//! Tables of the bench `quorum`.

use super::tables::{groups, outages, shown, table, three};
use super::{Row, spread};
use crate::bench::quorum::Scenario;

/// The tables: what happened in each scenario, and how many times longer the peer's outages are.
pub(super) fn tables(rows: &[&Row]) -> String {
    format!("{}{}", scenarios(rows), ratios(rows))
}

fn scenario(row: &Row) -> &str {
    row.more.get("scenario").and_then(|it| it.as_str()).unwrap_or_default()
}

fn scenarios(rows: &[&Row]) -> String {
    let mut groups = groups(rows, |row| (scenario(row), &row.subject, &row.config));
    // one scenario below the other; the order of subjects stays
    let order = |name: &str| Scenario::ALL.iter().position(|it| it.name() == name);
    groups.sort_by_key(|((scenario, ..), _)| order(scenario));
    let line = |((scenario, subject, config), rows): ((&str, &String, &String), Vec<&Row>)| {
        let [min, median, max] = three(outages(&rows));
        let silent = spread(rows.iter().filter_map(|row| row.number("silent_ms")));
        let [_, silent, longest] = three(silent);
        let double = spread(rows.iter().filter_map(|row| row.double_ms));
        let double = double.map_or_else(|| "-".to_owned(), |it| shown(it.max));
        let good = rows.iter().filter(|row| row.error.is_none());
        let moved = good.clone().filter(|row| row.more.get("moved") == Some(&true.into()));
        let count = |some: usize| format!("{some} of {}", rows.len());
        let (moved, good) = (count(moved.count()), count(good.count()));
        let (scenario, subject, config) = (scenario.to_owned(), subject.clone(), config.clone());
        vec![scenario, subject, config, moved, min, median, max, silent, longest, double, good]
    };
    let head = [
        "scenario",
        "subject",
        "settings",
        "moved",
        "outage min ms",
        "median",
        "max",
        "loser silent after, median ms",
        "max",
        "two answered, max ms",
        "trials",
    ];
    table(&head, groups.into_iter().map(line).collect())
}

/// What is divided: a scenario, a figure of its rows, and whether of the peer's only those trials
/// count in which the address moved.
type Ratio = (&'static str, Scenario, fn(&Row) -> Option<f64>, bool);

/// Where the peer's server lets the holder keep the address there is nothing to compare. Without
/// its server the holder may answer beside the other one, which is no outage: how long it does
/// counts there.
const RATIOS: [Ratio; 3] = [
    ("outage", Scenario::NodeDead, |row| row.outage_ms, false),
    ("outage where the peer's address moved", Scenario::LinkCut, |row| row.outage_ms, true),
    ("loser silent after", Scenario::LinkCutHolderAlone, |row| row.number("silent_ms"), false),
];

fn ratios(rows: &[&Row]) -> String {
    let subjects = groups(rows, |row| (&row.subject, &row.config));
    let (peers, ours): (Vec<_>, Vec<_>) =
        subjects.into_iter().partition(|((subject, _), _)| *subject == "qdevice");
    let mut lines = Vec::new();
    for (what, name, figure, only_moved) in RATIOS {
        let name = name.name();
        let median = |rows: &[&Row], only_moved: bool| {
            let meant = |row: &&&Row| {
                let moved = row.more.get("moved") == Some(&true.into());
                scenario(row) == name && (moved || !only_moved)
            };
            let figures = rows.iter().filter(meant).filter_map(|row| figure(row));
            spread(figures).map(|spread| spread.median)
        };
        for ((peer, settings), theirs) in &peers {
            for ((subject, config), its) in &ours {
                let (above, below) = (median(theirs, only_moved), median(its, false));
                if let (Some(above), Some(below)) = (above, below) {
                    let what = format!("{name}: {what}, {peer} {settings} / {subject} {config}");
                    lines.push(vec![what, format!("{:.1}", above / below)]);
                }
            }
        }
    }
    table(&["medians", "ratio"], lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &str, scenario: &str, outage: Option<f64>, moved: bool) -> Row {
        let row = Row { bench: "quorum".to_owned(), outage_ms: outage, ..Row::default() };
        let error = outage.is_none().then(|| "nobody took over".to_owned());
        let row = Row { subject: subject.to_owned(), config: "a".to_owned(), error, ..row };
        Row { double_ms: Some(0.0), ..row }.with("scenario", scenario).with("moved", moved)
    }

    #[test]
    fn each_scenario_has_its_line_and_failed_trials_stay_in_it() {
        let cut = |outage| row("stead", "link cut", outage, false);
        let lost = row("stead", "link cut, holder without server", Some(400.0), true);
        let rows = [lost.with("silent_ms", 350.5), cut(Some(10.0)), cut(Some(20.0)), cut(None)];
        let text = super::super::tables("quorum", &rows);
        let stays = "| link cut | stead | a | 0 of 3 | 10 | 15 | 20 | - | - | 0.0 | 2 of 3 |";
        let at = text.find(stays).expect(&text);
        let moves = "without server | stead | a | 1 of 1 | 400 | 400 | 400 | 350 | 350 | 0.0 |";
        assert!(text.find(moves).expect(&text) > at, "{text}");
    }

    #[test]
    fn a_ratio_counts_where_the_peers_address_moved_or_its_loser_was_silent() {
        let of = |subject, name, outage, moved| row(subject, name, Some(outage), moved);
        let lost = "link cut, holder without server";
        let rows = [
            of("stead", "node dead", 400.0, true),
            of("qdevice", "node dead", 8_000.0, true),
            of("stead", "link cut", 10.0, false),
            of("qdevice", "link cut", 1_000.0, true),
            of("qdevice", "link cut", 1.0, false),
            of("stead", lost, 20.0, true).with("silent_ms", 400.0),
            of("qdevice", lost, 10.0, true).with("silent_ms", 8_800.0),
        ];
        let text = super::super::tables("quorum", &rows);
        let ratio = |name: &str, number: &str| {
            let line = format!("{name}, qdevice a / stead a | {number} |");
            assert!(text.contains(&line), "{text}");
        };
        ratio("node dead: outage", "20.0");
        ratio("link cut: outage where the peer's address moved", "100.0");
        ratio("without server: loser silent after", "22.0");
        assert!(!super::super::tables("quorum", &rows[..1]).contains("ratio"));
    }
}
