//! `stead fence history`.

use clap::Args;

use crate::api::message::Request;
use crate::api::report::{FenceHistoryReport, FenceKind, FenceRecord, FenceUnderWay};
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;
use crate::cli::look::{Look, Tone, harmless, wrap};

/// Show what was fenced, what is being fenced, and what came of rehearsals
///
/// All nodes know the same: from which node devices were asked, when, what each said, and what it
/// printed where it failed. The last 32 attempts are kept, and of each node the last rehearsal and
/// the last power cycle.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead fence history\n  stead fence history node2 --json")]
pub(super) struct History {
    /// Only of this node
    node: Option<String>,
    /// How many of the newest attempts
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    last: usize,
    /// Print one JSON object, with all that is kept
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let request = Request::FenceHistory { node: self.node };
        let report: FenceHistoryReport = context.ask(&request)?;
        if self.json {
            print_json(&report)?;
        } else {
            print(&shown(&report, self.last, context.out))?;
        }
        Ok(Exit::Done)
    }
}

fn shown(report: &FenceHistoryReport, last: usize, look: Look) -> String {
    let FenceHistoryReport { v: _, under_way, attempts, rehearsals } = report;
    if under_way.is_empty() && attempts.is_empty() && rehearsals.is_empty() {
        return "Nothing was fenced, and no rehearsal is kept.\n\
                Next: stead fence rehearse NODE\n"
            .to_owned();
    }
    let mut parts = Vec::new();
    if !under_way.is_empty() {
        let lines: String = under_way.iter().map(|it| running(it, look)).collect();
        parts.push(format!("{}\n{lines}", look.paint(Tone::Head, "Under way")));
    }
    if !attempts.is_empty() {
        let left_out = attempts.len().saturating_sub(last);
        let head = match left_out {
            0 => "Fenced, oldest first".to_owned(),
            _ => format!("Fenced, oldest first ({left_out} more with -n {})", attempts.len()),
        };
        let lines: String = attempts.iter().skip(left_out).map(|it| record(it, look)).collect();
        parts.push(format!("{}\n{lines}", look.paint(Tone::Head, &head)));
    }
    if !rehearsals.is_empty() {
        let lines: String = rehearsals.iter().map(|it| record(it, look)).collect();
        parts.push(format!("{}\n{lines}", look.paint(Tone::Head, "Rehearsed, the last of each")));
    }
    parts.join("\n")
}

/// A time without the fraction that nobody measured.
fn clock(time: Option<&str>) -> String {
    let time = time.map(|time| harmless(&time.replace('T', " ").replace(".000Z", "Z")));
    time.unwrap_or_else(|| "(when is not known)".to_owned())
}

fn running(it: &FenceUnderWay, look: Look) -> String {
    let what = match it.kind {
        FenceKind::PowerCycle => "is being switched off and on",
        FenceKind::Fencing | FenceKind::Tie | FenceKind::Status => "is being fenced",
    };
    let since = it.since.as_deref().map(|since| format!(", since {}", clock(Some(since))));
    let (node, by) = (harmless(&it.node), harmless(&it.by));
    let text = format!("{node} {what}, from {by}{}", since.unwrap_or_default());
    format!("  {}\n", look.paint(Tone::Warn, &text))
}

fn record(it: &FenceRecord, look: Look) -> String {
    let what = match it.kind {
        FenceKind::Fencing => "",
        FenceKind::Tie => ", to break a tie",
        FenceKind::Status => ", status",
        FenceKind::PowerCycle => ", power cycle",
    };
    let (word, tone) = match (it.ok, it.given_up) {
        (true, _) => ("", Tone::Good),
        (false, true) => ("", Tone::Warn),
        (false, false) => ("FAILED: ", Tone::Bad),
    };
    let took = match it.given_up {
        true => String::new(),
        false => format!(", {:.1} s", it.took_ms / 1_000.0),
    };
    let (node, by) = (harmless(&it.node), harmless(&it.by));
    let time = look.paint(Tone::Dim, &clock(it.at.as_deref()));
    let mut text = format!("  {time}  {node}, from {by}{what}{took}\n");
    let mut lines = |line: &str, indent: usize, tone: Tone| {
        for line in wrap(&harmless(line), look.width.saturating_sub(indent)) {
            text.push_str(&format!("{}{}\n", " ".repeat(indent), look.paint(tone, &line)));
        }
    };
    lines(&format!("{word}{}", it.outcome), 6, tone);
    if let Some(good) = &it.last_good {
        lines(&format!("it last worked at {}", clock(Some(good))), 6, Tone::Plain);
    }
    for step in &it.steps {
        // What was printed is indented already.
        let indent = if step.starts_with("  ") { 10 } else { 8 };
        lines(step, indent, Tone::Dim);
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    fn record(node: &str, kind: FenceKind, ok: bool, outcome: &str) -> FenceRecord {
        FenceRecord {
            node: node.to_owned(),
            by: "node1".to_owned(),
            kind,
            at: Some("2026-03-01T12:00:00.000Z".to_owned()),
            took_ms: 4_210.0,
            ok,
            given_up: false,
            outcome: outcome.to_owned(),
            steps: Vec::new(),
            last_good: None,
        }
    }

    #[test]
    fn what_was_fenced_and_rehearsed() {
        let texts = |lines: &[&str]| lines.iter().map(|it| (*it).to_owned()).collect();
        let good = "bmc2 says that it is off";
        let steps = ["level 1, bmc2: off: done (2.1 s)", "level 1, bmc2: status: off (0.4 s)"];
        let bad = "bmc2 off: exit status 1, it said: Connection timed out; level 2: pdu-a:3 off: \
                   it did not end within 20 s and was killed";
        let failed = [
            "level 1, bmc2: off: failed: exit status 1, it said: Connection timed out (20.1 s)",
            "  2026-03-01 11:59:01,385 ERROR: Connection \u{1b}[31mtimed out",
            "level 2, pdu-a:3: off: failed: it did not end within 20 s and was killed (20.0 s)",
        ];
        let lost = "given up: node3, which had it done, does not decide any more";
        let attempts = vec![
            record("node2", FenceKind::Fencing, false, "the oldest"),
            FenceRecord {
                steps: texts(&failed),
                ..record("node2", FenceKind::Fencing, false, bad)
            },
            FenceRecord {
                at: None,
                given_up: true,
                ..record("node2", FenceKind::Fencing, false, lost)
            },
            FenceRecord { steps: texts(&steps), ..record("node2", FenceKind::Tie, true, good) },
        ];
        let rehearsals = vec![
            FenceRecord {
                last_good: Some("2026-02-22T03:00:00.000Z".to_owned()),
                ..record("node2", FenceKind::Status, false, "bmc2: it did not end within 20 s")
            },
            record("node3", FenceKind::PowerCycle, true, "level 1 switched it off and on"),
        ];
        let running = |kind, since: Option<&str>| FenceUnderWay {
            node: "node3".to_owned(),
            by: "node1".to_owned(),
            kind,
            since: since.map(str::to_owned),
        };
        let under_way = vec![
            running(FenceKind::Fencing, None),
            running(FenceKind::PowerCycle, Some("2026-03-01T12:00:01.000Z")),
        ];
        let mut report = FenceHistoryReport { v: 1, under_way, attempts, rehearsals };
        let mut text = shown(&report, 3, Look::plain(80));
        report.under_way.clear();
        report.attempts.clear();
        report.rehearsals.clear();
        text.push_str(&shown(&report, 3, Look::plain(80)));
        expect_file!["../golden/fence-history.txt"].assert_eq(&text);
    }
}
