//! `stead simulate`.

use std::path::PathBuf;

use clap::Args;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, Tone, harmless, wrap};
use super::plan;
use crate::api::message::{Request, SimulateAnswer};
use crate::config::{Ask, read_file_asking};

/// Say what would become of everything if nodes, a site or a rack failed. Changes nothing.
///
/// The planner of the cluster is asked, on its present state. What takes how long is not said. What
/// is expected of just that failure (`[[expect]]`) is judged.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stead simulate --fail node1\n  stead simulate --fail site=east \
                        --with new.toml"
)]
pub(super) struct Simulate {
    /// What fails: a node, or all with a label (site=east, rack=r1). May be given again
    #[arg(long, required = true, value_name = "WHAT")]
    fail: Vec<String>,
    /// By that file instead of the configuration in force
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Simulate {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let text = match &self.with {
            Some(file) => Some(read_file_asking(file, Ask::Agents)?.0),
            None => None,
        };
        let answer: SimulateAnswer = context.ask(&Request::Simulate { fail: self.fail, text })?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&shown(&answer, context.out))?;
        }
        Ok(Exit::Done)
    }
}

fn shown(answer: &SimulateAnswer, look: Look) -> String {
    let mut lines = vec![(Tone::Plain, format!("If {} failed:", answer.fails.join(", ")))];
    let (left, all) = (answer.voters_left, answer.voters);
    if left * 2 < all {
        let what = format!("{left} of {all} voters are no majority: everything stops.");
        lines.push((Tone::Bad, what));
    } else if left * 2 == all {
        let what = format!(
            "{left} of {all} voters are half of them: everything stops unless the tie is broken \
             (stead quorum)."
        );
        lines.push((Tone::Warn, what));
    }
    for waits in &answer.waits {
        let what = format!("{waits}: nothing can prove that its node is off.");
        lines.push((Tone::Warn, what));
    }
    let mut text = String::new();
    for (tone, line) in lines {
        for line in wrap(&harmless(&line), look.width) {
            text.push_str(&look.paint(tone, &line));
            text.push('\n');
        }
    }
    if answer.moves.is_empty() {
        text.push_str("No service would start, stop or move.\n");
    }
    text.push_str(&plan::moves(&answer.moves, look));
    text + &plan::expected(&answer.expected, look)
}
