//! Tables in Markdown, out of rows.

use super::{Row, Spread, spread};

/// Which of two medians is divided by which, where a run has both.
const RATIOS: [(&str, &str, &str, &str); 3] = [
    ("pacemaker", "token 3 s (default)", "stead", "ride-out 300 ms"),
    ("keepalived", "advert 1 s (default)", "stead", "ride-out 300 ms"),
    ("stead", "ride-out 36 ms", "keepalived", "advert 0.01 s"),
];
/// The failure whose outages the ratios are about.
pub(super) const DEATH: &str = "node dead";

/// The failures, one below the other.
pub(super) const FAILURES: [&str; 3] = [DEATH, "node cut off", "nodes apart"];

/// The tables of one bench.
#[must_use]
pub fn tables(bench: &str, rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.bench == bench).collect();
    match bench {
        "failover" => format!("{}{}", failover(&rows), ratios(&rows)),
        "quorum" | "fencing" => super::ties::tables(&rows),
        "false" => quiet(&rows),
        "idle" => idle(&rows),
        "stages" => stages(&rows),
        "server" => server(&rows),
        "plans" => crate::bench::plans::tables(&rows),
        "layers" => crate::bench::layers::tables(&rows),
        "operations" => crate::bench::operations::tables(&rows),
        "agents" => crate::bench::agents::tables(&rows),
        "timelines" => super::timeline::tables(&rows),
        _ => String::new(),
    }
}

/// Rows with the same key, in the order in which the keys first came.
pub(crate) fn groups<'a, K: PartialEq>(
    rows: &[&'a Row],
    key: impl Fn(&'a Row) -> K,
) -> Vec<(K, Vec<&'a Row>)> {
    let mut groups: Vec<(K, Vec<&Row>)> = Vec::new();
    for &row in rows {
        let key = key(row);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups
}

pub(crate) fn table(head: &[&str], lines: Vec<Vec<String>>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let dashes = vec!["---"; head.len()].join("|");
    let mut text = format!("| {} |\n|{dashes}|\n", head.join(" | "));
    for line in lines {
        text.push_str(&format!("| {} |\n", line.join(" | ")));
    }
    text + "\n"
}

/// A number for people: no digit that the noise makes.
pub(super) fn shown(number: f64) -> String {
    if number.abs() < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

pub(super) fn three(spread: Option<Spread>) -> [String; 3] {
    spread.map_or_else(
        || ["-", "-", "-"].map(str::to_owned),
        |Spread { min, median, max, .. }| [min, median, max].map(shown),
    )
}

pub(super) fn outages(rows: &[&Row]) -> Option<Spread> {
    spread(rows.iter().filter_map(|row| row.outage_ms))
}

fn failover(rows: &[&Row]) -> String {
    let key = |row: &'_ Row| {
        (row.failure.clone().unwrap_or_default(), row.subject.clone(), row.config.clone())
    };
    let mut groups = groups(rows, key);
    // one failure below the other; the order of subjects stays
    groups.sort_by_key(|(key, _)| FAILURES.iter().position(|it| *it == key.0));
    let line = |((failure, subject, config), rows): ((String, String, String), Vec<&Row>)| {
        let [min, median, max] = three(outages(&rows));
        let double = spread(rows.iter().filter_map(|row| row.double_ms));
        let [_, twice, longest] = three(double);
        let good = rows.iter().filter(|row| row.error.is_none()).count();
        let count = format!("{good} of {}", rows.len());
        vec![failure, subject, config, min, median, max, twice, longest, count]
    };
    let head = [
        "failure",
        "subject",
        "settings",
        "outage min ms",
        "median",
        "max",
        "two answered median ms",
        "max",
        "trials",
    ];
    table(&head, groups.into_iter().map(line).collect())
}

fn ratios(rows: &[&Row]) -> String {
    let median = |subject: &str, config: &str| {
        let meant = |row: &&&Row| {
            row.subject == subject
                && row.config.starts_with(config)
                && row.failure.as_deref() == Some(DEATH)
        };
        let meant: Vec<&Row> = rows.iter().filter(meant).copied().collect();
        outages(&meant).map(|spread| spread.median)
    };
    let line = |&(subject, config, other, settings): &(&str, &str, &str, &str)| {
        let (above, below) = (median(subject, config)?, median(other, settings)?);
        let ratio = format!("{:.2}", above / below);
        Some(vec![format!("{subject} {config} / {other} {settings}"), ratio])
    };
    table(&["medians, node dead", "ratio"], RATIOS.iter().filter_map(line).collect())
}

fn quiet(rows: &[&Row]) -> String {
    let lines = rows.iter().map(|row| {
        let text = |key: &str| row.number(key).map_or_else(|| "-".to_owned(), shown);
        let whole = |key: &str| row.number(key).map_or_else(|| "-".to_owned(), |it| it.to_string());
        vec![
            row.subject.clone(),
            row.config.clone(),
            text("minutes"),
            whole("moves"),
            whole("excused_moves"),
            whole("own_changes"),
            row.outage_ms.map_or_else(|| "-".to_owned(), shown),
            row.double_ms.map_or_else(|| "-".to_owned(), shown),
            text("longest_stall_ms"),
            whole("stalls_longer_than_tolerated"),
        ]
    });
    let head = [
        "subject",
        "settings",
        "minutes",
        "moves that count",
        "moves by the machine's stalls",
        "changes by its own words",
        "client's longest silence ms",
        "two answered ms",
        "machine's longest stall ms",
        "stalls longer than tolerated",
    ];
    table(&head, lines.collect())
}

fn idle(rows: &[&Row]) -> String {
    let key = |row: &'_ Row| {
        let text = |key: &str| row.more.get(key).and_then(|it| it.as_str()).unwrap_or_default();
        (row.subject.clone(), row.config.clone(), text("node").to_owned(), text("part").to_owned())
    };
    let line = |((subject, config, node, part), rows): (_, Vec<&Row>)| {
        let of = |key: &str| spread(rows.iter().filter_map(|row| row.number(key)));
        let cpu =
            of("cpu_percent").map_or_else(|| "-".to_owned(), |it| format!("{:.2}", it.median));
        let [_, rss, _] = three(of("rss_mib"));
        let [_, pss, _] = three(of("pss_mib"));
        vec![subject, config, node, part, cpu, rss, pss]
    };
    let head =
        ["subject", "settings", "node", "process", "CPU % of one core", "RSS MiB", "PSS MiB"];
    table(&head, groups(rows, key).into_iter().map(line).collect())
}

fn stages(rows: &[&Row]) -> String {
    let mut lines = Vec::new();
    for (config, rows) in groups(rows, |row| row.config.clone()) {
        let stages = rows.iter().filter_map(|row| row.more.get("stages")?.as_object());
        let mut names: Vec<&str> = stages.flat_map(|it| it.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        let times = |name: &str| {
            let of_row = |row: &&Row| row.more.get("stages")?.get(name)?.as_f64();
            spread(rows.iter().filter_map(of_row))
        };
        let timed = |name| Some((name, times(name)?));
        let mut reached: Vec<(&str, Spread)> = names.into_iter().filter_map(timed).collect();
        reached.sort_by(|a, b| a.1.median.total_cmp(&b.1.median));
        let mut before = 0.0;
        for (name, spread) in reached {
            let [min, median, max] = three(Some(spread));
            let step = shown(spread.median - before);
            before = spread.median;
            let (name, count) = (name.to_owned(), spread.count.to_string());
            lines.push(vec![config.clone(), name, min, median, max, step, count]);
        }
        let [min, median, max] = three(outages(&rows));
        let name = "the client's outage".to_owned();
        let count = rows.len().to_string();
        lines.push(vec![config, name, min, median, max, String::new(), count]);
    }
    let head =
        ["settings", "reached", "min ms", "median", "max", "after the stage before", "trials"];
    table(&head, lines)
}

fn server(rows: &[&Row]) -> String {
    let key = |row: &'_ Row| {
        let part = row.more.get("part").and_then(|it| it.as_str()).unwrap_or_default();
        (row.config.clone(), part.to_owned())
    };
    let line = |((config, part), rows): (_, Vec<&Row>)| {
        let of = |key: &str| spread(rows.iter().filter_map(|row| row.number(key)));
        let median = |key: &str| of(key).map_or_else(|| "-".to_owned(), |it| shown(it.median));
        let worst = of("max_ms").map_or_else(|| "-".to_owned(), |it| shown(it.max));
        let good = rows.iter().filter(|row| row.error.is_none()).count();
        let count = format!("{good} of {}", rows.len());
        let whole =
            |key: &str| of(key).map_or_else(|| "-".to_owned(), |it| format!("{:.0}", it.median));
        let [many, commits] = ["count", "commits"].map(whole);
        let [p50, p99, rate] = ["p50_ms", "p99_ms", "per_second"].map(median);
        let cpu = median("server_cpu_s");
        let [pss, disk] = ["pss_mib", "disk_mib"].map(median);
        vec![config, part, many, p50, p99, worst, rate, commits, cpu, pss, disk, count]
    };
    let head = [
        "scale",
        "part",
        "count",
        "p50 ms",
        "p99",
        "max",
        "per second",
        "durable writes",
        "server's CPU s",
        "PSS MiB",
        "disk MiB",
        "trials",
    ];
    table(&head, groups(rows, key).into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(bench: &str, subject: &str, config: &str, outage: Option<f64>) -> Row {
        Row {
            bench: bench.to_owned(),
            subject: subject.to_owned(),
            config: config.to_owned(),
            run: 1,
            outage_ms: outage,
            double_ms: outage.map(|_| 0.0),
            ..Row::default()
        }
    }

    fn dead(subject: &str, config: &str, outage: Option<f64>) -> Row {
        let error = outage.is_none().then(|| "nobody took over".to_owned());
        let row = row("failover", subject, config, outage);
        Row { failure: Some(DEATH.to_owned()), error, ..row }
    }

    #[test]
    fn failed_trials_stay_in_the_table() {
        let config = "ride-out 300 ms, rtt 2ms, nftables";
        let rows = [400.0, 420.0, 410.0].map(|outage| dead("stead", config, Some(outage))).to_vec();
        let rows = [rows, vec![dead("stead", config, None)]].concat();
        let text = tables("failover", &rows);
        let line =
            format!("| node dead | stead | {config} | 400 | 410 | 420 | 0.0 | 0.0 | 3 of 4 |");
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn a_ratio_needs_both_of_its_sides() {
        let ours = dead("stead", "ride-out 36 ms, rtt 0.5ms, nftables", Some(66.0));
        assert!(!tables("failover", std::slice::from_ref(&ours)).contains("ratio"));
        let text = tables("failover", &[ours, dead("keepalived", "advert 0.01 s", Some(44.0))]);
        assert!(text.contains("/ keepalived advert 0.01 s | 1.50 |"), "{text}");
    }

    #[test]
    fn both_kinds_of_moves_are_shown() {
        let row = row("false", "stead", "a", Some(31.0)).with("moves", 0).with("excused_moves", 2);
        let row = row.with("minutes", 10.0).with("longest_stall_ms", 71.25);
        let text = tables("false", &[row]);
        assert!(text.contains("| stead | a | 10 | 0 | 2 | - | 31 | 0.0 | 71 | - |"), "{text}");
    }

    #[test]
    fn stages_stand_in_the_order_of_their_medians() {
        let of = |proven: f64, claimed: f64| {
            let stages = json!({ "claimed": claimed, "proven": proven });
            row("stages", "stead", "a", Some(claimed + 1.0)).with("stages", stages)
        };
        let text = tables("stages", &[of(80.0, 84.0), of(82.0, 90.0)]);
        let proven = text.find("| proven | 80 | 81 | 82 | 81 | 2 |").expect(&text);
        let claimed = text.find("| claimed | 84 | 87 | 90 | 6.0 | 2 |").expect(&text);
        assert!(proven < claimed);
    }

    #[test]
    fn idle_shows_each_process_of_each_node() {
        let of = |part: &str, cpu: f64| {
            let row = row("idle", "stead", "a", None).with("node", "node1").with("part", part);
            row.with("cpu_percent", cpu).with("rss_mib", 12.5).with("pss_mib", 7.0)
        };
        let text = tables("idle", &[of("guard", 0.2), of("daemon", 0.1)]);
        assert!(text.contains("| stead | a | node1 | guard | 0.20 | 12 | 7.0 |"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("node1")).count(), 2);
    }
}
