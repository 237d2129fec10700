//! `stead history` and `stead diff`.

use clap::Args;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, Tone, harmless, wrap};
use super::table::{Cell, table};
use crate::api::message::{ConfigAnswer, Request, RevisionAnswer, RevisionsAnswer};
use crate::config::{self, differences};

/// How many changes of a revision are listed.
const LISTED: usize = 4;

/// List the configurations that were in force, or print one of them.
///
/// Each node keeps those that it has seen, with the time at which it learned of them: the newest
/// hundred.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead history\n  stead history 12 > cluster.toml")]
pub(super) struct History {
    /// Print this one
    revision: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.revision {
            None => {
                let answer: RevisionsAnswer = context.ask(&Request::Revisions)?;
                if self.json {
                    print_json(&answer)?;
                } else {
                    print(&list(&answer, context.out))?;
                }
            }
            Some(number) => {
                let answer: ConfigAnswer = context.ask(&Request::Revision { number })?;
                if self.json {
                    print_json(&answer)?;
                } else {
                    let head = format!("# Revision {}.\n\n", answer.revision);
                    print(&format!("{head}{}", answer.text))?;
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// The newest first: that is what is looked for.
fn list(answer: &RevisionsAnswer, look: Look) -> String {
    if answer.kept.is_empty() {
        return "No configuration is kept here yet.\n".to_owned();
    }
    let row = |(age, it): (usize, &RevisionAnswer)| {
        let mut what: Vec<String> = it.changes.iter().take(LISTED).cloned().collect();
        let rest = it.changes.len().saturating_sub(LISTED) + it.more;
        if rest > 0 {
            what.push(format!("and {rest} more"));
        }
        if what.is_empty() {
            what.push("the first that this node knew".to_owned());
        }
        let tone = if age == 0 { Tone::Good } else { Tone::Plain };
        let number = it.number.to_string() + if age == 0 { " (in force)" } else { "" };
        vec![Cell::new(tone, number), it.since.clone().into(), what.join("; ").into()]
    };
    let rows: Vec<Vec<Cell>> = answer.kept.iter().rev().enumerate().map(row).collect();
    table(look, &["REVISION", "KNOWN SINCE", "CHANGES"], &rows)
}

/// Say what changed from one configuration that was in force to another.
///
/// Without arguments: what the newest change was. With one revision: what has changed since.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead diff\n  stead diff 12\n  stead diff 12 14")]
pub(super) struct Diff {
    /// From this revision; if not given, the one before that in force
    from: Option<u64>,
    /// To this revision; if not given, what is in force
    to: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let old = match self.from {
            Some(number) => context.ask(&Request::Revision { number })?,
            None => before(context)?,
        };
        let new: ConfigAnswer = match self.to {
            Some(number) => context.ask(&Request::Revision { number })?,
            None => context.ask(&Request::Config)?,
        };
        let read = |it: &ConfigAnswer| {
            config::read(&format!("revision {}", it.revision), &it.text).map(|it| it.config)
        };
        let changes: Vec<String> =
            differences(&read(&old)?, &read(&new)?).into_iter().map(|it| it.what).collect();
        if self.json {
            let (from, to) = (old.revision, new.revision);
            print_json(&serde_json::json!({ "from": from, "to": to, "changes": changes }))?;
        } else {
            print(&shown(old.revision, new.revision, &changes, context.out))?;
        }
        Ok(Exit::Done)
    }
}

fn shown(from: u64, to: u64, changes: &[String], look: Look) -> String {
    if changes.is_empty() {
        return format!("Revisions {from} and {to} say the same.\n");
    }
    let mut text = format!("From revision {from} to {to}:\n");
    for change in changes {
        for (number, line) in
            wrap(&harmless(change), look.width.saturating_sub(4)).iter().enumerate()
        {
            text.push_str(if number == 0 { "  * " } else { "    " });
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The configuration before that in force.
///
/// # Errors
/// There is none here.
pub(super) fn before(context: &Context) -> anyhow::Result<ConfigAnswer> {
    let answer: RevisionsAnswer = context.ask(&Request::Revisions)?;
    let Some(number) = answer.kept.iter().rev().nth(1).map(|it| it.number) else {
        anyhow::bail!(
            "this node has seen no other configuration than that in force; nothing was changed. \
             Look on another node: stead history"
        );
    };
    Ok(context.ask(&Request::Revision { number })?)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn what_was_in_force_and_what_changed() {
        let revision = |number, changes: &[&str], more| RevisionAnswer {
            number,
            since: format!("2026-03-0{number}T09:30:00.000Z"),
            changes: changes.iter().map(ToString::to_string).collect(),
            more,
        };
        let changes = ["service web: importance: 50 -> 80", "new service mail", "new service wiki"];
        let kept = vec![
            revision(1, &[], 0),
            revision(3, &changes, 0),
            revision(4, &["ride-out: 300 ms -> 1 s", "service a is new", "b", "c", "d", "e"], 2),
        ];
        let answer = RevisionsAnswer { revision: 4, kept };
        let screens = [
            list(&answer, Look::plain(80)),
            list(&RevisionsAnswer { revision: 4, kept: Vec::new() }, Look::plain(80)),
            shown(1, 3, &changes.map(str::to_owned), Look::plain(40)),
            shown(1, 2, &[], Look::plain(40)),
        ];
        expect_file!["golden/what-was-in-force-and-what-changed.txt"]
            .assert_eq(&screens.join("\n"));
    }
}
