//! What one failure would do, asked of the cluster that runs.

use std::path::Path;

use super::super::context::{Context, print, print_json};
use super::super::exit::Exit;
use super::super::look::{Look, Tone, harmless, wrap};
use super::super::plan;
use crate::api::message::{GoesOn, LinksAnswer, Request, SimulateAnswer};
use crate::config::{Ask, read_file_asking};

pub(super) fn run(
    context: &Context,
    fail: Vec<String>,
    with: Option<&Path>,
    json: bool,
) -> anyhow::Result<Exit> {
    let text = match with {
        Some(file) => Some(read_file_asking(file, Ask::Agents)?.0),
        None => None,
    };
    let answer: SimulateAnswer = context.ask(&Request::Simulate { fail, text })?;
    if json {
        print_json(&answer)?;
    } else {
        print(&shown(&answer, context.out))?;
    }
    Ok(Exit::Done)
}

pub(super) fn shown(answer: &SimulateAnswer, look: Look) -> String {
    let links = answer.links.iter().flat_map(|it| &it.fail).map(|link| format!("link {link}"));
    let fails: Vec<String> = answer.fails.iter().cloned().chain(links).collect();
    let mut lines = vec![(Tone::Plain, format!("If {} failed:", fails.join(", ")))];
    let goes_on = answer.links.as_ref().map_or(&GoesOn::All, |it| &it.goes_on);
    let (left, all) = (answer.voters_left, answer.voters);
    if left * 2 < all {
        let what = format!("{left} of {all} voters are no majority: everything stops.");
        lines.push((Tone::Bad, what));
    } else if left * 2 == all && *goes_on == GoesOn::All {
        let what = format!(
            "{left} of {all} voters are half of them: everything stops unless the tie is broken \
             (stead quorum)."
        );
        lines.push((Tone::Warn, what));
    }
    lines.extend(answer.links.iter().flat_map(|links| of_links(links, all)));
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
    if answer.moves.is_empty() && !matches!(goes_on, GoesOn::OneOf(_) | GoesOn::Nobody) {
        text.push_str("No service would start, stop or move.\n");
    }
    text.push_str(&plan::moves(&answer.moves, look));
    text + &plan::expected(&answer.expected, look)
}

/// Who still hears whom, and what follows.
fn of_links(links: &LinksAnswer, voters: usize) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    lines.push(match &links.goes_on {
        GoesOn::All if links.left.is_empty() => {
            (Tone::Plain, "There is nobody whom a node would have to hear.".to_owned())
        }
        GoesOn::All => {
            let left = links.left.join(", ");
            (Tone::Good, format!("All nodes still hear each other by {left}."))
        }
        GoesOn::Node(name) => {
            let what = "No node would hear another one";
            (Tone::Warn, format!("{what}. {name} has the only vote and goes on; all others stop."))
        }
        GoesOn::OneOf(names) => {
            let names = names.join(" or ");
            let what = "No node would hear another one";
            let then = "and what the other one has goes to it where rules let it";
            (
                Tone::Warn,
                format!("{what}. {names} goes on, whichever is let (stead quorum), {then}."),
            )
        }
        GoesOn::Nobody => {
            let what = "No node would hear another one";
            let then = format!("and each is one of {voters} voters: everything stops");
            (Tone::Bad, format!("{what}, {then}. One more link would prevent that."))
        }
    });
    if !links.unreached.is_empty() {
        let (services, fail) = (links.unreached.join(", "), links.fail.join(", "));
        let what = format!("{services}: their addresses lie in the network of {fail}");
        lines.push((Tone::Warn, format!("{what}. Clients there reach nobody until it is back.")));
    }
    lines
}
