//! What a device was asked, and said, as a person reads it.

use crate::api::fence::WayReport;
use crate::cli::look::{Look, Tone, harmless, wrap};

/// One way, as a person reads it.
pub(super) fn shown(report: &WayReport, look: Look) -> String {
    let mut device = report.device.clone();
    if let Some(plug) = &report.plug {
        device.push_str(&format!(":{plug}"));
    }
    let mut head = String::new();
    if let Some(node) = &report.node {
        head.push_str(node);
        if let Some(level) = report.level {
            head.push_str(&format!(", level {level}"));
        }
        head.push_str(": ");
    }
    head.push_str(&device);
    let took = format!("{:.1} s", report.took_ms / 1_000.0);
    let looks = report.action == "status" || report.action == "monitor";
    let (said, tone) = match (report.answered, report.said.as_str()) {
        (true, "done") if report.action == "monitor" => ("it works".to_owned(), Tone::Good),
        (true, "done") => ("done".to_owned(), Tone::Good),
        (true, state) => (format!("it is {state}"), Tone::Good),
        (false, reason) if looks => (format!("no answer: {reason}"), Tone::Bad),
        (false, reason) => (format!("failed: {reason}"), Tone::Bad),
    };
    let mut text = look.paint(Tone::Head, &harmless(&head));
    text.push_str(&format!("  ({}, {took})\n", harmless(&report.action)));
    let mut lines = |text_of: &str, first: &str, tone: Tone| {
        let room = look.width.saturating_sub(first.len());
        for (number, line) in wrap(&harmless(text_of), room).iter().enumerate() {
            let start = if number == 0 { first } else { &" ".repeat(first.len()) };
            text.push_str(&format!("{start}{}\n", look.paint(tone, line)));
        }
    };
    lines(&said, "  ", tone);
    if !report.answered {
        for line in &report.output {
            lines(line, "    | ", Tone::Dim);
        }
    }
    for hint in &report.hints {
        lines(hint, "  > ", Tone::Plain);
    }
    text
}
