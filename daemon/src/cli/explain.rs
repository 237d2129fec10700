//! `stead explain`.

use clap::Args;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, Tone, harmless, wrap};
use super::table::{Cell, table};
use crate::api::message::{ExplainAnswer, NodeVerdict, Request, Standing};

/// Say why a service is where it is, and why not on each other node.
///
/// For each node it names the first thing that speaks against it, and what would change that.
/// Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead explain web")]
pub(super) struct Explain {
    /// The service
    service: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: ExplainAnswer = context.ask(&Request::Explain { service: self.service })?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&shown(&answer, context.out))?;
        }
        Ok(Exit::Done)
    }
}

fn shown(answer: &ExplainAnswer, look: Look) -> String {
    let on = answer.on.as_deref().map_or("nowhere".to_owned(), |node| format!("on {node}"));
    let lowered = answer.lowered.as_ref().map(|it| format!(" Its names are {it}."));
    let first =
        format!("{} is {on}: {}.{}", answer.service, answer.why, lowered.unwrap_or_default());
    let mut text = String::new();
    for line in wrap(&harmless(&first), look.width) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    let row = |it: &NodeVerdict| {
        let (tone, standing) = match (it.standing, it.here) {
            (Standing::Best, true) => (Tone::Good, "here"),
            (Standing::Best, false) => (Tone::Good, "the best"),
            (Standing::Worse, true) => (Tone::Good, "here"),
            (Standing::Worse, false) => (Tone::Plain, "could"),
            (Standing::Barred, true) => (Tone::Warn, "here"),
            (Standing::Barred, false) => (Tone::Warn, "may not"),
        };
        let change = it.change.as_ref().map(|change| format!("  [{change}]")).unwrap_or_default();
        vec![
            it.node.as_str().into(),
            Cell::new(tone, standing),
            format!("{}{change}", it.why).into(),
        ]
    };
    let rows: Vec<_> = answer.nodes.iter().map(row).collect();
    text.push_str(&table(look, &["NODE", "", "WHY, AND WHAT WOULD CHANGE IT"], &rows));
    text
}
