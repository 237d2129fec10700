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

/// Of the trials in which the address moved: where it stays there is no outage to compare.
fn ratios(rows: &[&Row]) -> String {
    let median = |subject: &str, config: &str, name: &str| {
        let meant = |row: &&&Row| {
            row.subject == subject
                && row.config == config
                && scenario(row) == name
                && row.more.get("moved") == Some(&true.into())
        };
        let meant: Vec<&Row> = rows.iter().filter(meant).copied().collect();
        outages(&meant).map(|spread| spread.median)
    };
    let mut lines = Vec::new();
    let subjects = groups(rows, |row| (&row.subject, &row.config));
    let (peers, ours): (Vec<_>, Vec<_>) =
        subjects.iter().map(|(key, _)| *key).partition(|(subject, _)| *subject == "qdevice");
    for name in [Scenario::NodeDead, Scenario::LinkCutHolderAlone].map(Scenario::name) {
        for (peer, settings) in &peers {
            for (subject, config) in &ours {
                let (above, below) = (median(peer, settings, name), median(subject, config, name));
                if let (Some(above), Some(below)) = (above, below) {
                    let what = format!("{name}: {peer} {settings} / {subject} {config}");
                    lines.push(vec![what, format!("{:.1}", above / below)]);
                }
            }
        }
    }
    table(&["medians of trials in which the address moved", "ratio"], lines)
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
    fn a_ratio_counts_only_where_the_address_moved() {
        let dead = |subject, outage, moved| row(subject, "node dead", Some(outage), moved);
        let rows = [
            dead("stead", 400.0, true),
            dead("qdevice", 8_000.0, true),
            dead("qdevice", 1.0, false),
        ];
        let text = super::super::tables("quorum", &rows);
        assert!(text.contains("| node dead: qdevice a / stead a | 20.0 |"), "{text}");
        assert!(!super::super::tables("quorum", &rows[..1]).contains("ratio"));
    }
}
