//! A picture of outages, written by hand as SVG: one bar a subject, on a logarithmic axis.
//!
//! A bar ends at the median; the line through its end goes from the least to the greatest. Every
//! subject that was tried has its line, also one that never took over: that is said in words. So is
//! how long two nodes answered at once.

use std::fmt::Write;

use super::svg::{Svg, count, wrapped};
use super::tables::{DEATH, FAILURES, groups, shown};
use super::{Row, Spread, spread};
use crate::bench::layers::{self as bench, Event};

/// What happens to the subjects of the bench of layers.
const EVENTS: [Event; 2] = [Event::Planned, Event::Dead];
/// The width of the picture, and where its columns are, in pixels.
const WIDTH: f64 = 1100.0;
const AXIS_FROM: f64 = 350.0;
const AXIS_TO: f64 = 730.0;
/// The height of a subject's line, of a heading, and of the axis below each part.
const LINE: f64 = 22.0;
const HEAD: f64 = 40.0;
const FOOT: f64 = 44.0;
/// So many characters of a note stand on one line.
const NOTE: usize = 190;
/// The axis has at least these decades of milliseconds, as powers of ten.
const LEAST_DECADES: (i32, i32) = (1, 4);
/// A colour for each program, readable on white.
const COLOURS: [(&str, &str); 4] = [
    ("stead", "#1f6f8b"),
    ("keepalived", "#b5651d"),
    ("pacemaker", "#6b4c9a"),
    ("exabgp", "#5b7a2e"),
];
const OTHER_COLOUR: &str = "#555555";
const LABEL: &str = "Outages after a failure, by program and settings";
const STYLE: &str = "text{font:13px sans-serif;fill:#222}\
    .head{font-weight:bold;font-size:15px}.label{text-anchor:end}\
    .tick{text-anchor:middle;fill:#666;font-size:12px}.note{fill:#666;font-size:11px}\
    .grid{stroke:#ccc}.whisker{stroke:#222}";

/// One line of the picture.
struct Line {
    subject: String,
    label: String,
    outage: Option<Spread>,
    double: Option<Spread>,
    trials: usize,
}

/// The picture of a failover bench's rows: a part for each failure. Nothing if there is no row.
#[must_use]
pub fn plot(rows: &[Row], told: &[String]) -> Option<String> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.bench == "failover").collect();
    picture(&rows, &FAILURES, told)
}

/// The picture of a layers bench's rows: a part for each event, and in it the lowest layer first.
#[must_use]
pub fn layers(rows: &[Row], told: &[String]) -> Option<String> {
    let mut rows: Vec<&Row> = rows.iter().filter(|row| row.bench == bench::NAME).collect();
    let place = |row: &&Row| {
        let mut words = row.config.split(", ");
        let (way, family) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let way = bench::Way::ALL.iter().position(|it| it.to_string() == way);
        (way, family.to_owned())
    };
    // The order of subjects stays.
    rows.sort_by_key(place);
    picture(&rows, &EVENTS.map(|it| it.to_string()).each_ref().map(String::as_str), told)
}

fn picture(rows: &[&Row], failures: &[&str], told: &[String]) -> Option<String> {
    let parts: Vec<(&str, Vec<Line>)> =
        failures.iter().map(|&failure| (failure, lines(rows, failure))).collect();
    let parts: Vec<_> = parts.into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
    if parts.is_empty() {
        return None;
    }
    let all = parts.iter().flat_map(|(_, lines)| lines).filter_map(|line| line.outage);
    let axis = Axis::over(all);
    let heights = parts.iter().map(|(_, lines)| HEAD + FOOT + LINE * count(lines.len()));
    let notes: Vec<String> = told.iter().flat_map(|text| wrapped(text, NOTE)).collect();
    let height = heights.sum::<f64>() + LINE * count(notes.len() + 1);
    let mut out = Svg::begin((WIDTH, height), LABEL, STYLE);
    let mut top = 0.0;
    for (failure, lines) in &parts {
        top = part(&mut out, &axis, failure, lines, top);
    }
    for text in &notes {
        top += LINE;
        out.text(12.0, top, "note", text);
    }
    Some(out.end())
}

/// Every subject that met the failure, in the order in which they came.
fn lines(rows: &[&Row], failure: &str) -> Vec<Line> {
    // a cluster that did not come up met no failure; it counts where the first one would have been
    let meant = |row: &&Row| row.failure.as_deref().unwrap_or(DEATH) == failure;
    let rows: Vec<&Row> = rows.iter().copied().filter(meant).collect();
    let groups = groups(&rows, |row| (row.subject.clone(), row.config.clone()));
    let line = |((subject, config), rows): ((String, String), Vec<&Row>)| Line {
        label: format!("{subject}, {config}"),
        subject,
        outage: spread(rows.iter().filter_map(|row| row.outage_ms)),
        double: spread(rows.iter().filter_map(|row| row.double_ms)),
        trials: rows.len(),
    };
    groups.into_iter().map(line).collect()
}

/// Draws one failure from `top` on; says where the next one begins.
fn part(out: &mut Svg, axis: &Axis, failure: &str, lines: &[Line], top: f64) -> f64 {
    let first = top + HEAD;
    let foot = first + LINE * count(lines.len());
    let heading = format!("{failure}: how long a client waits");
    out.text(12.0, top + 26.0, "head", &heading);
    for decade in axis.from..=axis.to {
        let x = axis.at(10f64.powi(decade));
        out.line("grid", (x, first - 6.0), (x, foot));
        out.text(x, foot + 16.0, "tick", &scale(decade));
    }
    for (number, line) in lines.iter().enumerate() {
        let middle = first + LINE * (count(number) + 0.5);
        out.text(AXIS_FROM - 10.0, middle + 4.0, "label", &line.label);
        let known = COLOURS.iter().find(|(subject, _)| *subject == line.subject);
        let colour = known.map_or(OTHER_COLOUR, |(_, colour)| colour);
        if let Some(Spread { min, median, max, .. }) = line.outage {
            let paint = format!("fill=\"{colour}\"");
            let size = (axis.at(median) - AXIS_FROM, 14.0);
            out.bar(&paint, (AXIS_FROM, middle - 7.0), size);
            out.line("whisker", (axis.at(min), middle), (axis.at(max), middle));
            for end in [min, max] {
                let x = axis.at(end);
                out.line("whisker", (x, middle - 4.0), (x, middle + 4.0));
            }
        }
        out.text(AXIS_TO + 12.0, middle + 4.0, "value", &value(line));
    }
    foot + FOOT
}

/// A line's figures in words.
fn value(line: &Line) -> String {
    let Some(Spread { count, min, median, max }) = line.outage else {
        return format!("no takeover in {} of {} trials", line.trials, line.trials);
    };
    let mut text = format!("{} ms ({} to {})", shown(median), shown(min), shown(max));
    if count < line.trials {
        // Writing into a string has no way to fail.
        let _ = write!(text, ", {count} of {}", line.trials);
    }
    if let Some(double) = line.double.filter(|double| double.max > 0.0) {
        let _ = write!(text, "; two answered {} ms", shown(double.median));
    }
    text
}

/// From milliseconds to pixels.
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    fn over(spreads: impl Iterator<Item = Spread>) -> Self {
        let (mut from, mut to) = LEAST_DECADES;
        for Spread { min, max, .. } in spreads {
            from = from.min(decade(min).floor().clamp(-3.0, 9.0) as i32);
            to = to.max(decade(max).ceil().clamp(-3.0, 9.0) as i32);
        }
        Self { from, to }
    }

    fn at(&self, ms: f64) -> f64 {
        let (from, to) = (f64::from(self.from), f64::from(self.to));
        let part = ((decade(ms) - from) / (to - from)).clamp(0.0, 1.0);
        AXIS_FROM + part * (AXIS_TO - AXIS_FROM)
    }
}

/// The power of ten. What is no positive number is shown at the beginning of any axis.
fn decade(ms: f64) -> f64 {
    ms.max(1e-3).log10()
}

/// What stands below a line of the grid.
fn scale(decade: i32) -> String {
    match decade {
        3.. => format!("{} s", 10f64.powi(decade - 3)),
        _ => format!("{} ms", 10f64.powi(decade)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &str, failure: &str, outage_ms: Option<f64>, double_ms: f64) -> Row {
        Row {
            bench: "failover".to_owned(),
            subject: subject.to_owned(),
            config: "as <shipped> & tuned".to_owned(),
            run: 1,
            outage_ms,
            double_ms: Some(double_ms),
            failure: Some(failure.to_owned()),
            ..Row::default()
        }
    }

    /// The widths of the bars of a colour.
    fn bars(svg: &str, colour: &str) -> Vec<f64> {
        let bars = svg.lines().filter(|line| line.starts_with("<rect x") && line.contains(colour));
        let width = |line: &str| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok();
        bars.filter_map(width).collect()
    }

    #[test]
    fn ten_times_longer_is_one_decade_further() {
        let rows = [
            row("stead", DEATH, Some(50.0), 0.0),
            row("keepalived", DEATH, Some(500.0), 0.0),
            row("pacemaker", DEATH, Some(5_000.0), 0.0),
        ];
        let svg = plot(&rows, &["a machine".to_owned()]).expect("a picture");
        let width = |colour| bars(&svg, colour)[0];
        let [ours, theirs, others] = ["#1f6f8b", "#b5651d", "#6b4c9a"].map(width);
        let steps = (theirs - ours, others - theirs);
        assert!(ours > 0.0 && (steps.0 - steps.1).abs() < 0.2, "{svg}");
        assert!((steps.0 - (AXIS_TO - AXIS_FROM) / 3.0).abs() < 0.2, "10 ms to 10 s: {svg}");
        assert!(svg.contains("a machine") && svg.contains("50 ms (50 to 50)"), "{svg}");
    }

    #[test]
    fn who_loses_stays_in_the_picture() {
        let rows = [
            row("stead", "nodes apart", Some(400.0), 0.0),
            row("keepalived", "nodes apart", Some(40.0), 3000.0),
            row("keepalived", "nodes apart", None, 0.0),
            row("pacemaker", "nodes apart", None, 0.0),
        ];
        let svg = plot(&rows, &[]).expect("a picture");
        assert!(svg.contains("nodes apart: how long"), "{svg}");
        assert!(!svg.contains("node dead"), "nobody was killed: {svg}");
        assert!(svg.contains(", 1 of 2; two answered 1500 ms"), "{svg}");
        assert!(svg.contains("no takeover in 1 of 1 trials"), "{svg}");
        assert!(bars(&svg, "#1f6f8b")[0] > bars(&svg, "#b5651d")[0], "{svg}");
    }

    #[test]
    fn names_break_out_of_no_element() {
        let svg = plot(&[row("stead", DEATH, Some(0.0), 0.0)], &[]).expect("a picture");
        assert!(svg.contains("stead, as &lt;shipped&gt; &amp; tuned"), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn layers_stand_in_their_order_below_each_event() {
        let of = |subject: &str, event: &str, config: &str, outage| Row {
            bench: bench::NAME.to_owned(),
            config: config.to_owned(),
            ..row(subject, event, Some(outage), 0.0)
        };
        let rows = [
            of("stead", DEATH, "name, IPv4, ride-out 300 ms", 450.0),
            of("stead", "planned", "route, IPv4, ride-out 300 ms", 2.0),
            of("stead", DEATH, "route, IPv6, ride-out 300 ms", 400.0),
            of("stead", DEATH, "route, IPv4, ride-out 300 ms", 400.0),
            of("exabgp", DEATH, "route, IPv4, hold 9 s, no BFD", 8_000.0),
        ];
        let svg = layers(&rows, &[]).expect("a picture");
        let at = |text: &str| svg.find(text).unwrap_or_else(|| panic!("no {text}: {svg}"));
        let dead = at("node dead: how long");
        assert!(at("planned: how long") < dead, "{svg}");
        let of_dead = |text: &str| dead + svg[dead..].find(text).expect(text);
        let order = ["stead, route, IPv4", "exabgp, route, IPv4", "stead, route, IPv6"];
        let order = order.map(of_dead);
        assert!(order.is_sorted() && order[2] < of_dead("stead, name, IPv4"), "{svg}");
        assert!(bars(&svg, "#5b7a2e")[0] > bars(&svg, "#1f6f8b")[1], "{svg}");
        assert_eq!(plot(&rows, &[]), None, "none of them is a failover");
    }

    #[test]
    fn a_long_note_takes_lines_of_its_own() {
        let note = "word ".repeat(100);
        let svg = plot(&[row("stead", DEATH, Some(1.0), 0.0)], &[note]).expect("a picture");
        let notes: Vec<_> = svg.lines().filter(|line| line.contains("class=\"note\"")).collect();
        assert_eq!(notes.len(), 3, "{svg}");
        assert_eq!(svg.matches("word").count(), 100, "{svg}");
    }

    #[test]
    fn without_rows_there_is_no_picture() {
        assert_eq!(plot(&[], &["a machine".to_owned()]), None);
        let other = Row { bench: "idle".to_owned(), ..row("stead", DEATH, Some(1.0), 0.0) };
        assert_eq!(plot(&[other], &[]), None);
    }
}
