//! A picture of how plans grow with the cluster: time and memory over the number of services, both
//! axes logarithmic, a line for each program and kind of cluster.

use serde_json::Value;

use super::Row;
use super::svg::{Svg, count, wrapped};
use super::tables::groups;

const WIDTH: f64 = 1100.0;
/// The height of the part with axes, and where the two panels begin and end, in pixels.
const FLOOR: f64 = 360.0;
const CEILING: f64 = 60.0;
const PANELS: [(f64, f64); 2] = [(90.0, 520.0), (640.0, 1070.0)];
const LINE: f64 = 22.0;
const NOTE: usize = 190;
/// Colours readable on white, in the order of the series.
const COLOURS: [&str; 6] = ["#1f6f8b", "#6fb1c7", "#6b4c9a", "#b39ad3", "#b5651d", "#555555"];
const LABEL: &str = "How long a plan takes, and how much memory, over the size of the cluster";
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.head{font-weight:bold;font-size:15px}\
    .tick{text-anchor:middle;fill:#666;font-size:12px}.scale{text-anchor:end;fill:#666;\
    font-size:12px}.note{fill:#666;font-size:11px}.grid{stroke:#ddd}";

/// What is drawn of a row: its name in the rows, what stands above, its unit.
const SHOWN: [(&str, &str, &str); 2] = [
    ("change_ms", "a plan after the loss of a node, over services", "ms"),
    ("peak_mib", "memory at its peak, over services", "MiB"),
];

/// One line: its name and its points, by size.
type Series = (String, Vec<(f64, f64)>);

/// The picture of the rows of a bench of plans. Nothing if there is none.
#[must_use]
pub fn growth(rows: &[Row], told: &[String]) -> Option<String> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.more.contains_key("change_ms")).collect();
    let all: Vec<Vec<Series>> = SHOWN.iter().map(|(key, _, _)| series(&rows, key)).collect();
    let names: Vec<&String> = all.first()?.iter().map(|(name, _)| name).collect();
    if names.is_empty() {
        return None;
    }
    let notes: Vec<String> = told.iter().flat_map(|text| wrapped(text, NOTE)).collect();
    let height = FLOOR + LINE * (count(names.len() + notes.len()) + 3.0);
    let mut out = Svg::begin((WIDTH, height), LABEL, STYLE);
    for ((series, (_, head, unit)), panel) in all.iter().zip(SHOWN).zip(PANELS) {
        self::panel(&mut out, series, (head, unit), panel);
    }
    let mut top = FLOOR + 2.0 * LINE;
    for (name, colour) in names.iter().zip(COLOURS.iter().cycle()) {
        out.bar(&format!("fill=\"{colour}\""), (PANELS[0].0, top - 10.0), (24.0, 10.0));
        out.text(PANELS[0].0 + 34.0, top, "name", name);
        top += LINE;
    }
    for text in &notes {
        out.text(12.0, top, "note", text);
        top += LINE;
    }
    Some(out.end())
}

/// The lines of one figure; the mean where a size was measured more than once.
fn series(rows: &[&Row], key: &str) -> Vec<Series> {
    let number = |row: &Row, key: &str| row.more.get(key).and_then(Value::as_f64);
    let variant =
        |row: &Row| row.more.get("variant").and_then(Value::as_str).unwrap_or_default().to_owned();
    let groups = groups(rows, |row| (row.subject.clone(), variant(row)));
    let line = |((subject, variant), rows): ((String, String), Vec<&Row>)| {
        let mut sizes: Vec<(f64, Vec<f64>)> = Vec::new();
        for row in rows {
            let point = number(row, "services").zip(number(row, key));
            let Some((size, figure)) = point.filter(|(size, it)| *size > 0.0 && *it > 0.0) else {
                continue;
            };
            match sizes.iter_mut().find(|(known, _)| *known == size) {
                Some((_, figures)) => figures.push(figure),
                None => sizes.push((size, vec![figure])),
            }
        }
        sizes.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mean =
            |(size, all): (f64, Vec<f64>)| (size, all.iter().sum::<f64>() / count(all.len()));
        (format!("{subject}, {variant}"), sizes.into_iter().map(mean).collect())
    };
    groups.into_iter().map(line).collect()
}

/// The decades that hold all of some figures, as powers of ten.
fn decades(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut from, mut to) = (f64::MAX, f64::MIN);
    for figure in figures {
        (from, to) = (from.min(figure.log10().floor()), to.max(figure.log10().ceil()));
    }
    if from >= to { (from.min(0.0), from.min(0.0) + 1.0) } else { (from, to) }
}

fn panel(out: &mut Svg, all: &[Series], (head, unit): (&str, &str), (left, right): (f64, f64)) {
    let points = || all.iter().flat_map(|(_, points)| points);
    let (across, up) = (decades(points().map(|it| it.0)), decades(points().map(|it| it.1)));
    let x = |size: f64| left + (size.log10() - across.0) / (across.1 - across.0) * (right - left);
    let y = |figure: f64| FLOOR - (figure.log10() - up.0) / (up.1 - up.0) * (FLOOR - CEILING);
    out.text(left, CEILING - 26.0, "head", head);
    for (from, to, upright) in [(across.0, across.1, true), (up.0, up.1, false)] {
        let mut decade = from;
        while decade <= to {
            let figure = 10f64.powf(decade);
            if upright {
                out.line("grid", (x(figure), CEILING), (x(figure), FLOOR));
                out.text(x(figure), FLOOR + 18.0, "tick", &format!("{figure}"));
            } else {
                out.line("grid", (left, y(figure)), (right, y(figure)));
                out.text(left - 8.0, y(figure) + 4.0, "scale", &format!("{figure} {unit}"));
            }
            decade += 1.0;
        }
    }
    for ((_, points), colour) in all.iter().zip(COLOURS.iter().cycle()) {
        let places: Vec<(f64, f64)> = points.iter().map(|(size, it)| (x(*size), y(*it))).collect();
        for pair in places.windows(2) {
            if let [from, to] = pair {
                out.stroke(colour, *from, *to);
            }
        }
        for (across, up) in &places {
            let paint = format!("fill=\"{colour}\"");
            out.bar(&paint, (across - 3.0, up - 3.0), (6.0, 6.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &str, services: u64, change_ms: f64, peak_mib: u64) -> Row {
        let more = serde_json::json!({
            "services": services, "change_ms": change_ms, "peak_mib": peak_mib,
            "variant": "prefer <x>",
        });
        let serde_json::Value::Object(more) = more else { panic!("an object") };
        Row { bench: "plans".to_owned(), subject: subject.to_owned(), more, ..Row::default() }
    }

    #[test]
    fn ten_times_as_many_is_a_decade_further() {
        let rows = [
            row("stead", 100, 1.0, 10),
            row("stead", 1_000, 10.0, 10),
            row("pacemaker", 100, 100.0, 100),
            row("pacemaker", 1_000, 1_000.0, 100),
        ];
        let svg = growth(&rows, &["a machine".to_owned()]).expect("a picture");
        assert!(svg.contains("stead, prefer &lt;x&gt;") && svg.contains("a machine"), "{svg}");
        let strokes: Vec<&str> = svg.lines().filter(|it| it.contains("stroke-width")).collect();
        assert_eq!(strokes.len(), 4, "a line for each program in each panel: {svg}");
        let end = |line: &str, key: &str| -> f64 {
            let value = line.split(&format!("{key}=\"")).nth(1).expect("there");
            value.split('"').next().expect("there").parse().expect("a number")
        };
        let rise = |line: &str| end(line, "y1") - end(line, "y2");
        assert!((rise(strokes[0]) - rise(strokes[1])).abs() < 0.2, "{strokes:?}");
        assert!((rise(strokes[0]) - (FLOOR - CEILING) / 3.0).abs() < 0.2, "{strokes:?}");
        assert!(rise(strokes[2]).abs() < 0.2, "memory stayed: {strokes:?}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn without_figures_there_is_no_picture() {
        assert_eq!(growth(&[], &[]), None);
        assert_eq!(growth(&[Row::default()], &[]), None);
        // One that took longer than its limit has no figure, and no point.
        let svg = growth(&[row("stead", 100, 1.0, 0)], &[]).expect("a picture");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
