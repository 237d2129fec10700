//! The picture of a timeline: a lane for each node, machine and client, and a mark for each moment.
//!
//! Time goes from left to right, linearly. A mark is a line through all lanes, with a dot on the
//! lane that it happened to and its words above; words step up where they would meet.
//!
//! Happy path: [`draw`]. Failures: there are none. What lies outside the time that is shown is cut
//! off, and what is no number or no lane is left out: whatever a row holds becomes a picture.
//!
//! Deliberately absent: a word that is not in the timeline, and colours of the page around it.

use super::svg::{Svg, count, wrapped};
use super::timeline::{About, Lane, Mark, Shows, Timeline};

/// The width of the picture, and where time begins and ends in it, in pixels.
const WIDTH: f64 = 1000.0;
const AXIS_FROM: f64 = 170.0;
const AXIS_TO: f64 = 900.0;
/// The heights of the heading, of a row of marks' words, of a lane and of the room between groups.
const HEAD: f64 = 34.0;
const ROW: f64 = 15.0;
const LANE: f64 = 28.0;
const BETWEEN: f64 = 8.0;
/// The heights of the axis and of a line of the note.
const FOOT: f64 = 40.0;
const LINE: f64 = 15.0;
/// About the width of a letter of a mark or a bar, and the least height for them.
const LETTER: f64 = 6.2;
const LETTERS: f64 = 11.0;
/// So many characters of a note stand on one line.
const NOTE: usize = 170;
/// What the axis counts.
const UNIT: &str = "milliseconds";
/// At most so many ticks.
const TICKS: f64 = 12.0;
/// A colour for each service, dark enough for white words on it.
const COLOURS: [&str; 4] = ["#1f6f8b", "#a8560f", "#6b4c9a", "#4f6f1f"];
const STYLE: &str = "text{font:12px sans-serif;fill:#222}\
    .head{font-weight:bold;font-size:15px}.group{font-weight:bold}.label{text-anchor:end}\
    .tick{text-anchor:middle;fill:#555;font-size:11px}.note{fill:#555;font-size:11px}\
    .on{fill:#fff;font-size:11px}.mid{text-anchor:middle}\
    .bad{fill:#a11;font-size:11px;paint-order:stroke;stroke:#fbeaea;stroke-width:3px}\
    .fault{fill:#a11}.quorum{fill:#553a80}.service{fill:#17566c}.left{text-anchor:end}\
    .grid{stroke:#ddd}.apart{stroke:#bbb}\
    .up{fill:#d9e6d9}.down{fill:#f2dcdc;stroke:#c99}.silence{fill:#fbeaea;stroke:#a11}\
    line.fault{stroke:#a11}line.quorum{stroke:#553a80}line.service{stroke:#17566c}\
    line.fault,line.quorum,line.service{stroke-dasharray:3 2}";

/// The picture, with a note below it.
#[must_use]
pub fn draw(timeline: &Timeline, note: &str) -> String {
    let axis = Axis::over(timeline.from_ms, timeline.to_ms);
    let marks: Vec<Placed<'_>> = placed(&timeline.marks, &axis);
    let rows = marks.iter().map(|mark| mark.row + 1).max().unwrap_or(0);
    let top = HEAD + ROW * count(rows) + BETWEEN;
    let (tops, foot) = tops(&timeline.lanes, top);
    let notes = wrapped(note, NOTE);
    let height = foot + FOOT + LINE * count(notes.len()) + BETWEEN;
    let mut out = Svg::begin((WIDTH, height), &timeline.title, STYLE);
    out.text(12.0, 22.0, "head", &timeline.title);
    let faults = timeline.marks.iter().any(|mark| mark.about == About::Fault);
    axis.draw(&mut out, (top, foot), if faults { "milliseconds since the fault" } else { UNIT });
    let services = services(timeline);
    let (mut before, mut boxes) = (None, Vec::new());
    for (lane, top) in timeline.lanes.iter().zip(&tops) {
        if before != Some(&lane.group) {
            out.line("apart", (12.0, top - BETWEEN / 2.0), (AXIS_TO, top - BETWEEN / 2.0));
            out.text(12.0, top + LANE / 2.0 + 4.0, "group", &lane.group);
        }
        before = Some(&lane.group);
        out.text(AXIS_FROM - 10.0, top + LANE / 2.0 + 4.0, "label", &lane.name);
        boxes.extend(boxed(&axis, lane, *top, &services));
    }
    for it in &boxes {
        out.bar(&it.paint, it.at, it.size);
    }
    for mark in &marks {
        mark.draw(&mut out, HEAD + ROW * count(rows - mark.row), foot, &tops);
    }
    // after the marks, whose lines would go through them
    for (number, it) in boxes.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &boxes[before]);
        it.tell(&mut out, before.filter(|before| before.at.1 == it.at.1));
    }
    for (number, line) in notes.iter().enumerate() {
        out.text(12.0, foot + FOOT + LINE * count(number + 1), "note", line);
    }
    out.end()
}

/// Where each lane begins, and where the last one ends.
fn tops(lanes: &[Lane], top: f64) -> (Vec<f64>, f64) {
    let (mut tops, mut next, mut before) = (Vec::new(), top, None);
    for lane in lanes {
        if before != Some(&lane.group) {
            next += BETWEEN;
        }
        before = Some(&lane.group);
        tops.push(next);
        next += LANE;
    }
    (tops, next + BETWEEN / 2.0)
}

/// The services in the order in which they are first met.
fn services(timeline: &Timeline) -> Vec<&str> {
    let mut all = Vec::new();
    for bar in timeline.lanes.iter().flat_map(|lane| &lane.bars) {
        if let Shows::Answers(service) = &bar.shows
            && !all.contains(&service.as_str())
        {
            all.push(service.as_str());
        }
    }
    all
}

/// A bar as it is drawn.
struct Boxed<'a> {
    paint: String,
    at: (f64, f64),
    size: (f64, f64),
    class: &'static str,
    words: &'a str,
}

/// A lane's bars. Services that share it have a part of its height each.
fn boxed<'a>(axis: &Axis, lane: &'a Lane, top: f64, services: &[&str]) -> Vec<Boxed<'a>> {
    let is_here = |service: &&&str| {
        lane.bars.iter().any(|bar| matches!(&bar.shows, Shows::Answers(it) if it == **service))
    };
    let here: Vec<&str> = services.iter().filter(is_here).copied().collect();
    let number = |all: &[&str], service: &str| all.iter().position(|it| *it == service);
    let (top, whole) = (top + 2.0, LANE - 4.0);
    let mut boxes = Vec::new();
    for bar in &lane.bars {
        let (from, to) = (axis.at(bar.from_ms), axis.at(bar.to_ms));
        let plain = |class: &str| (top, whole, format!("class=\"{class}\""));
        let ((top, high, paint), class) = match &bar.shows {
            Shows::Answers(service) => {
                let part = whole / count(here.len().max(1));
                let top = top + part * count(number(&here, service).unwrap_or(0));
                let colour = COLOURS[number(services, service).unwrap_or(0) % COLOURS.len()];
                ((top, part - 0.5, format!("fill=\"{colour}\"")), "on")
            }
            Shows::Up => (plain("up"), "tick"),
            Shows::Down => (plain("down"), "bad"),
            Shows::Silence => (plain("silence"), "bad"),
        };
        // what is over in a moment can be seen all the same
        let size = ((to - from).max(1.0), high);
        boxes.push(Boxed { paint, at: (from, top), size, class, words: &bar.text });
    }
    boxes
}

impl Boxed<'_> {
    /// Its words, if they fit in; else the last two of them, such as `51 ms`, if these do; else, if
    /// there is room, they stand at the end of what was before it.
    fn tell(&self, out: &mut Svg, before: Option<&Self>) {
        let Self { at: (x, y), size: (wide, high), class, words, .. } = self;
        let y = y + high / 2.0 + 4.0;
        if words.is_empty() || *high < LETTERS {
            return;
        }
        if wide_of(words) + 8.0 < *wide {
            out.text(x + 5.0, y, class, words);
            return;
        }
        let short = words.rmatch_indices(' ').nth(1).map_or(*words, |(at, _)| &words[at + 1..]);
        if wide_of(short) + 2.0 < *wide {
            out.text(x + wide / 2.0, y, &format!("{class} mid"), short);
            return;
        }
        let room = |it: &&Self| wide_of(it.words) + wide_of(words) + 24.0 < it.size.0;
        if let Some(before) = before.filter(room) {
            out.text(x - 5.0, y, &format!("{} left", before.class), words);
        }
    }
}

/// About how wide some words are.
fn wide_of(text: &str) -> f64 {
    LETTER * count(text.chars().count())
}

/// A mark, where it is drawn.
struct Placed<'a> {
    mark: &'a Mark,
    x: f64,
    /// Its row of words, counted from the lanes upwards.
    row: usize,
    words: String,
    /// The words end at the line, where they would leave the picture else.
    left: bool,
}

/// From the last to the first: words go to the right of their line, and above all marks whose lines
/// they would cross.
fn placed<'a>(marks: &'a [Mark], axis: &Axis) -> Vec<Placed<'a>> {
    let inside = |mark: &&Mark| mark.ms >= axis.from && mark.ms <= axis.to;
    let mut marks: Vec<&Mark> = marks.iter().filter(inside).collect();
    marks.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    let mut all: Vec<Placed<'_>> = Vec::new();
    for mark in marks {
        let (x, words) = (axis.at(mark.ms), format!("{:.0} ms: {}", mark.ms, mark.text));
        let wide = wide_of(&words) + 8.0;
        let left = x + wide > WIDTH;
        let until = if left { x + 8.0 } else { x + wide };
        let met = all.iter().filter(|other| other.x < until || other.left);
        let row = met.map(|other| other.row + 1).max().unwrap_or(0);
        all.push(Placed { mark, x, row, words, left });
    }
    all
}

impl Placed<'_> {
    fn draw(&self, out: &mut Svg, base: f64, foot: f64, tops: &[f64]) {
        let class = match self.mark.about {
            About::Fault => "fault",
            About::Quorum => "quorum",
            About::Service => "service",
        };
        out.line(class, (self.x, base - 11.0), (self.x, foot));
        let (x, side) = if self.left { (self.x - 4.0, " left") } else { (self.x + 4.0, "") };
        out.text(x, base - 2.0, &format!("{class}{side}"), &self.words);
        for top in self.mark.lanes.iter().filter_map(|lane| tops.get(*lane)) {
            out.dot(class, (self.x, top + LANE / 2.0));
        }
    }
}

/// From milliseconds to pixels.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// Over a time that there is, whatever it is told.
    fn over(from: f64, to: f64) -> Self {
        let from = if from.is_finite() { from } else { 0.0 };
        let to = if to.is_finite() { to } else { from };
        Self { from, to: to.max(from + 1.0) }
    }

    fn at(&self, ms: f64) -> f64 {
        let part = ((ms - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        let part = if part.is_nan() { 0.0 } else { part };
        AXIS_FROM + part * (AXIS_TO - AXIS_FROM)
    }

    /// The distance of ticks: 1, 2 or 5 and zeros.
    fn step(&self) -> f64 {
        let least = (self.to - self.from) / TICKS;
        let decade = 10f64.powf(least.log10().floor());
        let fits = |step: &f64| *step >= least;
        [1.0, 2.0, 5.0].map(|it| it * decade).into_iter().find(fits).unwrap_or(10.0 * decade)
    }

    fn draw(&self, out: &mut Svg, (top, foot): (f64, f64), unit: &str) {
        let step = self.step();
        let mut tick = (self.from / step).ceil() * step;
        for _ in 0..=TICKS as usize {
            if tick > self.to {
                break;
            }
            let x = self.at(tick);
            out.line("grid", (x, top), (x, foot));
            // a zero that was rounded to may have a sign, and a sum has none
            out.text(x, foot + 15.0, "tick", &format!("{}", tick.round() + 0.0));
            tick += step;
        }
        let middle = f64::midpoint(AXIS_FROM, AXIS_TO);
        out.text(middle, foot + 32.0, "tick", unit);
    }
}

#[cfg(test)]
mod tests;
