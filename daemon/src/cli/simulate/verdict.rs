//! What many seeds came to, in words.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use stead_core::state::config::Config;
use stead_sim::check::{Verdict, Why};
use stead_sim::fault::Kind;
use stead_sim::own::{KindSum, Own, ServiceSum, Sum};

use super::super::look::{Look, Tone, harmless, wrap};
use super::advice::advice;

/// So many kinds of faults are named as those that cost the most.
const COSTLIEST: usize = 6;
/// So many seeds that failed are named.
const NAMED: usize = 5;

/// What is told of, and what came of it.
pub(super) struct Judged<'a> {
    pub(super) file: &'a Path,
    pub(super) from: u64,
    pub(super) last: u64,
    pub(super) config: &'a Config,
    pub(super) own: &'a Own,
    pub(super) sum: &'a Sum,
}

/// What a judge saw, in words.
pub(super) fn words(verdict: &Verdict) -> String {
    let at = verdict.at as f64 / 1e6;
    let (judge, what) = (verdict.judge, &verdict.what);
    match judge {
        "I1" | "I3" => format!("after {at:.1} s something was in two places: {what} ({judge})"),
        "I4" => format!("after {at:.1} s something was not served that could be: {what} ({judge})"),
        _ => format!("after {at:.1} s: {what} ({judge})"),
    }
}

pub(super) fn shown(judged: &Judged<'_>, look: Look) -> String {
    let mut text = Text { look, text: String::new() };
    head(judged, &mut text);
    broken(judged, &mut text);
    text.head("What each service went through");
    for (name, it) in judged.own.services().iter().zip(&judged.sum.services) {
        service(&name.0, it, judged, &mut text);
    }
    costs(judged, &mut text);
    text.head("What could be done");
    let advice = advice(judged.config, judged.sum);
    for line in &advice {
        text.point(Tone::Warn, line);
    }
    if advice.is_empty() {
        text.point(Tone::Good, "Nothing in the file stands out.");
    }
    text.head("Not simulated");
    for line in judged.own.left_out() {
        text.point(Tone::Plain, line);
    }
    text.text
}

fn head(judged: &Judged<'_>, text: &mut Text) {
    let (config, sum) = (judged.config, judged.sum);
    let (nodes, services) = (config.nodes.len(), config.services.len());
    let range = match judged.last - judged.from {
        0 => format!("seed {}", judged.from),
        _ => format!("{} seeds ({} to {})", sum.seeds, judged.from, judged.last),
    };
    text.line(
        Tone::Plain,
        &format!(
            "{}: {} and {} in {range}: {:.1} virtual hours, {} faults.",
            config.name,
            count(nodes as u64, "node"),
            count(services as u64, "service"),
            sum.virtual_hours(),
            sum.faults,
        ),
    );
}

/// Whether what must never be was seen.
fn broken(judged: &Judged<'_>, text: &mut Text) {
    let sum = judged.sum;
    if sum.failed.is_empty() {
        let but = if sum.excused.is_empty() { "" } else { ", but for what is named below" };
        let what = "Never did two nodes answer for one address or run one service";
        let rest = "Nothing acknowledged was lost, and everything healed.";
        text.line(Tone::Good, &format!("{what}{but}. {rest}"));
    } else {
        let all = count(sum.failed.len() as u64, "seed");
        text.line(Tone::Bad, &format!("In {all} the judges saw what must not be:"));
        for (seed, verdict) in sum.failed.iter().take(NAMED) {
            text.point(Tone::Bad, &format!("seed {seed}, {}", words(verdict)));
        }
        if let Some(seed) = sum.failed.keys().next() {
            let file = judged.file.display();
            text.line(Tone::Plain, &format!("Tell it: stead simulate {file} --replay {seed}"));
            let what = "That is a mistake of stead's or of its simulator's, not of the file's: \
                        please report it, with the file and the seed.";
            text.line(Tone::Plain, what);
        }
    }
    for (why, (times, longest)) in &sum.excused {
        let time = match longest.div_ceil(1_000) {
            0 => "for less than 1 ms".to_owned(),
            ms => format!("for at most {ms} ms"),
        };
        let (times, what) = (often(*times), excuse(*why));
        let line = format!("Two were there {times}, {time}, while {what}: no protocol sees that.");
        text.line(Tone::Dim, &line);
    }
}

/// For what the protocol gives no promise, as a clause.
fn excuse(why: Why) -> &'static str {
    match why {
        Why::Paused => "one had been paused by its hypervisor, which none of its clocks shows",
        Why::Suspended => "one had just woken up from a suspend",
        Why::ArmedLate => "one had been held up while it opened its gate",
        Why::Slewed => "the clock of one had left its bound and it had not been told yet",
        Why::Lied => "a fence device had called one off that was on",
    }
}

fn service(name: &str, it: &ServiceSum, judged: &Judged<'_>, text: &mut Text) {
    text.line(Tone::Head, name);
    let singles = format!("{} of {} faults that came alone", it.hit, it.singles);
    let longest = match &it.longest {
        Some((micros, kind, seed)) => format!(
            "{singles} were noticed. The longest time that nobody answered: {}, when {} (seed \
             {seed}).",
            seconds(*micros),
            clause(*kind),
        ),
        None => format!("{singles} were noticed by its clients."),
    };
    text.point(Tone::Plain, &longest);
    for (kind, times) in &it.lasting {
        let all = judged.sum.kinds.get(kind).map_or(*times, |it| it.times);
        let what = clause(*kind);
        text.point(Tone::Warn, &format!("Down as long as it lasted in {times} of {all}: {what}."));
    }
    let (time, down, times) = it.stormy;
    let share = down * 100 / time.max(1);
    let what = "While several faults stood at once nobody answered";
    text.point(Tone::Plain, &format!("{what} for {share} % of the time, in {times} pieces."));
}

/// The kinds of faults that cost the most when they come alone.
fn costs(judged: &Judged<'_>, text: &mut Text) {
    let mut kinds: Vec<(&Kind, &KindSum)> =
        judged.sum.kinds.iter().filter(|(_, it)| it.down > 0).collect();
    let mean = |it: &KindSum| it.down / it.times.max(1);
    kinds.sort_by_key(|(kind, it)| (std::cmp::Reverse(mean(it)), **kind));
    text.head("What cost the most, one fault at a time");
    for (kind, it) in kinds.iter().take(COSTLIEST) {
        let lasting = match it.lasting {
            0 => String::new(),
            times => format!(", {times} for as long as they lasted"),
        };
        let longest = match it.longest {
            0 => String::new(),
            micros => format!(", else {} at most", seconds(micros)),
        };
        let longest = if it.lasting == 0 { longest.replace("else ", "") } else { longest };
        let what = kind.sentence();
        let hit = format!("Noticed {} of {}{lasting}{longest}.", it.hit, it.times);
        let tone = if it.lasting > 0 { Tone::Warn } else { Tone::Plain };
        text.point(tone, &format!("{what} {hit}"));
    }
    if kinds.is_empty() {
        text.point(Tone::Good, "Nothing that clients would have noticed.");
    }
}

/// A kind's sentence within another one.
fn clause(kind: Kind) -> String {
    let text = kind.sentence().trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn seconds(micros: u64) -> String {
    match micros {
        0..1_000_000 => format!("{} ms", micros.div_ceil(1_000)),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn often(times: u64) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

/// Text as it grows.
struct Text {
    look: Look,
    text: String,
}

impl Text {
    fn line(&mut self, tone: Tone, line: &str) {
        for line in wrap(&harmless(line), self.look.width) {
            self.text.push_str(&self.look.paint(tone, &line));
            self.text.push('\n');
        }
    }

    fn head(&mut self, head: &str) {
        self.text.push('\n');
        self.line(Tone::Head, &format!("{head}:"));
    }

    fn point(&mut self, tone: Tone, line: &str) {
        let width = self.look.width.saturating_sub(4);
        for (number, line) in wrap(&harmless(line), width).iter().enumerate() {
            let head = if number == 0 { "  * " } else { "    " };
            self.text.push_str(&self.look.paint(tone, &format!("{head}{line}")));
            self.text.push('\n');
        }
    }
}

/// The same for programs.
#[derive(Serialize)]
pub(super) struct Told {
    seeds: u64,
    from: u64,
    virtual_hours: f64,
    faults: u64,
    failed: Vec<Value>,
    excused: Vec<Value>,
    services: Vec<Value>,
    kinds: Vec<Value>,
    advice: Vec<String>,
    not_simulated: Vec<String>,
}

pub(super) fn of_json(judged: &Judged<'_>) -> Told {
    let sum = judged.sum;
    let failed = sum.failed.iter().map(
        |(seed, verdict)| json!({ "seed": seed, "judge": verdict.judge, "what": words(verdict) }),
    );
    let excused = sum.excused.iter().map(|(why, (times, longest))| {
        json!({ "why": excuse(*why), "times": times, "longest_ms": longest.div_ceil(1_000) })
    });
    let services = judged.own.services().iter().zip(&sum.services).map(|(name, it)| {
        let longest = it.longest.as_ref().map(|(micros, kind, seed)| {
            json!({ "ms": micros.div_ceil(1_000), "fault": kind.name(), "seed": seed })
        });
        let lasting = it.lasting.iter().map(|(kind, times)| (kind.name().to_owned(), *times));
        let (time, down, times) = it.stormy;
        json!({
            "service": name.0, "single_faults": it.singles, "noticed": it.hit, "longest": longest,
            "lasting": lasting.collect::<std::collections::BTreeMap<_, _>>(),
            "under_several": {
                "ms": time / 1_000, "down_ms": down / 1_000, "times": times,
            },
        })
    });
    let kinds = sum.kinds.iter().map(|(kind, it)| {
        json!({
            "fault": kind.name(), "times": it.times, "noticed": it.hit, "lasting": it.lasting,
            "down_ms": it.down / 1_000, "longest_ms": it.longest.div_ceil(1_000),
        })
    });
    Told {
        seeds: sum.seeds,
        from: judged.from,
        virtual_hours: sum.virtual_hours(),
        faults: sum.faults,
        failed: failed.collect(),
        excused: excused.collect(),
        services: services.collect(),
        kinds: kinds.collect(),
        advice: advice(judged.config, sum),
        not_simulated: judged.own.left_out().to_vec(),
    }
}
