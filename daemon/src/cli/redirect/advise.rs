//! `stead redirect advise`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use clap::Args;
use stead_core::redirect::advise::length;
use stead_core::time::Span;

use crate::api::message::Request;
use crate::api::redirect::advise::{
    Advise as Asked, AdviseAnswer, LayerAnswer, OutageAnswer, PartAnswer, Possible,
};
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;
use crate::cli::look::{Look, Tone, harmless, wrap};
use crate::cli::table::{Cell, table};
use crate::config::read_long_duration;

/// Say which layers could lead clients to a service, and what each would cost.
///
/// For each of the five layers: whether it is possible between the nodes that may have the service,
/// and why not; for how long clients would be without it, in parts, when it is moved and when its
/// node fails; what else it brings. Then the order in which to take them, what is wrong with what
/// is configured, and what a permission would buy that somebody refuses ([redirect] not-permitted).
/// What can't be found out is said to be unknown. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stead redirect advise web
  stead redirect advise web --client 192.0.2.10
  stead redirect advise web --reload 2s --json")]
pub(in crate::cli) struct Advise {
    /// The service
    service: String,
    /// Where a client is; without it clients are anywhere
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// How long clients take to take up what `stead client` told them (2s)
    #[arg(long, value_name = "TIME", value_parser = read_long_duration)]
    reload: Option<Span>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Advise {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { service, client, reload, json } = self;
        let reload_ms = reload.map(|it| it.as_micros().div_ceil(1_000));
        let asked = Asked { service, client, reload_ms };
        let answer: AdviseAnswer = context.ask(&Request::RedirectAdvise(asked))?;
        if json {
            print_json(&answer)?;
        } else {
            print(&shown(&answer, context.out))?;
        }
        Ok(Exit::Done)
    }
}

/// The whole of it, as a person reads it.
pub(super) fn shown(answer: &AdviseAnswer, look: Look) -> String {
    let mut text = Text { look, text: String::new(), told: BTreeSet::new() };
    let head =
        format!("{}: what could lead its clients, as {} sees it", answer.service, answer.asked);
    text.lines(Tone::Head, "", &head);
    text.text.push('\n');
    let rows = answer.ranking.iter().filter_map(|ranked| {
        let layer = answer.layers.iter().find(|it| it.layer == ranked.layer)?;
        Some(row(ranked.rank, layer))
    });
    let rows: Vec<_> = rows.collect();
    let heads = ["", "LAYER", "POSSIBLE", "NOW", "PLANNED", "FAILURE", "FOR SOME", "BRINGS"];
    text.text.push_str(&table(look, &heads, &rows));
    if !answer.warnings.is_empty() {
        text.head("Look at this");
        answer.warnings.iter().for_each(|it| text.lines(Tone::Warn, "  ! ", it));
    }
    text.head("In this order, and why");
    for ranked in &answer.ranking {
        let rank = ranked.rank.map_or(" -".to_owned(), |it| format!("{it:2}"));
        text.lines(Tone::Plain, &format!("{rank}  "), &format!("{}: {}", ranked.layer, ranked.why));
        if let Some(layer) = answer.layers.iter().find(|it| it.layer == ranked.layer) {
            text.details(layer, &ranked.why);
        }
    }
    if !answer.permissions.is_empty() {
        text.head("What a permission would buy");
        answer.permissions.iter().for_each(|it| text.lines(Tone::Plain, "  > ", &it.words));
    }
    text.head("What no figure has in it (and + says that something is missing)");
    answer.notes.iter().for_each(|it| text.lines(Tone::Plain, "  - ", it));
    text.head("What this stands on");
    let facts = answer.facts.iter().map(|it| {
        let (from, known) = match &it.value {
            Some(value) => (it.source.as_str(), value.as_str()),
            None => ("", it.source.as_str()),
        };
        vec![Cell::from(it.what.as_str()), from.into(), known.into()]
    });
    let facts: Vec<_> = facts.collect();
    text.text.push_str(&table(look, &["WHAT", "FROM", "KNOWN"], &facts));
    text.text
}

fn row(rank: Option<usize>, layer: &LayerAnswer) -> Vec<Cell> {
    let (tone, possible) = match layer.possible {
        Possible::Yes => (Tone::Good, "yes"),
        Possible::NotPermitted => (Tone::Warn, "not permitted"),
        Possible::Unknown => (Tone::Warn, "unknown"),
        Possible::No => (Tone::Bad, "no"),
    };
    let now = match (layer.used, layer.leads) {
        (true, true) => "leads",
        (true, false) => "used",
        (false, _) => "",
    };
    let total = |it: &Option<OutageAnswer>| match it {
        Some(OutageAnswer { total_ms: Some(ms), open, .. }) => {
            millis(*ms) + if *open { "+" } else { "" }
        }
        Some(OutageAnswer { total_ms: None, .. }) => "never".to_owned(),
        None => String::new(),
    };
    let longest = layer.unplanned.as_ref().filter(|it| !it.some.is_empty());
    let longest = longest.and_then(|it| it.longest_ms).map(millis).unwrap_or_default();
    vec![
        rank.map(|it| it.to_string()).unwrap_or_default().into(),
        layer.layer.as_str().into(),
        Cell::new(tone, possible),
        now.into(),
        total(&layer.planned).into(),
        total(&layer.unplanned).into(),
        longest.into(),
        layer.effects.join("; ").into(),
    ]
}

fn millis(ms: f64) -> String {
    // Lengths come from another process; `as` saturates, and what is no number is zero.
    length(Span((ms * 1_000.0) as u64))
}

/// A text that grows by folded lines.
struct Text {
    look: Look,
    text: String,
    /// Parts that were explained.
    told: BTreeSet<(String, String)>,
}

impl Text {
    fn head(&mut self, head: &str) {
        let head = self.look.paint(Tone::Head, head);
        let _ = writeln!(self.text, "\n{head}");
    }

    fn lines(&mut self, tone: Tone, first: &str, text: &str) {
        let indent = first.chars().count();
        for (number, line) in
            wrap(&harmless(text), self.look.width.saturating_sub(indent)).iter().enumerate()
        {
            let start = if number == 0 { first } else { &" ".repeat(indent) };
            let _ = writeln!(self.text, "{start}{}", self.look.paint(tone, line));
        }
    }

    fn details(&mut self, layer: &LayerAnswer, why: &str) {
        let indent = " ".repeat(6);
        for reason in layer.reasons.iter().filter(|it| *it != why) {
            self.lines(Tone::Plain, &indent, reason);
        }
        if let Some(hint) = &layer.to_have_it {
            self.lines(Tone::Dim, &format!("{indent}to have it: "), hint);
        }
        if let Some(outage) = &layer.unplanned {
            let sum: Vec<_> = outage.parts.iter().map(part).collect();
            self.lines(Tone::Plain, &format!("{indent}failure: "), &sum.join(" + "));
            // What every layer has is explained once.
            for it in outage.parts.iter().filter(|it| !it.reason.is_empty()) {
                if self.told.insert((it.name.clone(), it.reason.clone())) {
                    let first = format!("{indent}  {}: ", it.name);
                    self.lines(Tone::Dim, &first, &it.reason);
                }
            }
            for it in &outage.some {
                let first = format!("{indent}  some {} more: ", millis(it.ms));
                self.lines(Tone::Dim, &first, &it.reason);
            }
            if let Some(never) = &outage.never {
                self.lines(Tone::Warn, &format!("{indent}never: "), never);
            }
        }
    }
}

fn part(it: &PartAnswer) -> String {
    format!("{} {}", it.name, millis(it.ms))
}
