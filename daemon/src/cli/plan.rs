//! `stead plan`.

use std::path::{Path, PathBuf};

use clap::Args;
use stead_core::time::Span;

use super::context::{Context, print, print_json};
use super::exit::{Exit, drawn};
use super::look::{Look, Tone, harmless, wrap};
use crate::api::message::{
    Comes, ExpectAnswer, LossAnswer, PlanAnswer, PlannedMove, Request, SharedPrefix,
};
use crate::config::{Ask, read_file_asking};

/// Say what applying a file would change. Changes nothing.
///
/// What the file expects of failures (`[[expect]]`) is asked of the planner, on the cluster's
/// present state.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status 1: applying would be refused, or something would not come that \
                        the file expects.\n\nExample:\n  stead plan /etc/stead/cluster.toml"
)]
pub(super) struct Plan {
    /// The file; if not given, cluster.toml of the folder --etc
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let file = self.file.unwrap_or_else(|| context.paths.configuration());
        let (_, plan) = plan(context, &file)?;
        if self.json {
            print_json(&plan)?;
        } else {
            print(&shown(&plan, context.out))?;
        }
        Ok(if plan.refused() || plan.disappoints() { Exit::Failed } else { Exit::Done })
    }
}

/// The text of a file and what applying it would change. The file's problems are shown in its
/// lines, before the daemon is asked.
pub(super) fn plan(context: &Context, file: &Path) -> anyhow::Result<(String, PlanAnswer)> {
    let (text, checked) = read_file_asking(file, Ask::Devices)?;
    for warning in &checked.warnings {
        eprint!("{}", drawn(warning, context));
    }
    let plan = ask_plan(context, &text)?;
    Ok((text, plan))
}

/// What applying a text would change.
pub(super) fn ask_plan(context: &Context, text: &str) -> anyhow::Result<PlanAnswer> {
    Ok(context.ask(&Request::Plan { text: text.to_owned() })?)
}

pub(super) fn shown(plan: &PlanAnswer, look: Look) -> String {
    if plan.changes.is_empty() {
        let text =
            format!("Nothing would change: this is what is in force (revision {}).\n", plan.base);
        return text + &expected(&plan.expected, look);
    }
    let mut text = format!("Against revision {}:\n", plan.base);
    for change in &plan.changes {
        let what = harmless(&change.what);
        let (mark, tone) = match change.refused {
            Some(_) => ("  ! ", Tone::Bad),
            None => ("  * ", Tone::Plain),
        };
        for (number, line) in wrap(&what, look.width.saturating_sub(4)).iter().enumerate() {
            let head = if number == 0 { mark } else { "    " };
            text.push_str(&look.paint(tone, &format!("{head}{line}")));
            text.push('\n');
        }
        if let Some(reason) = &change.refused {
            let reason = format!("refused: {}", harmless(reason));
            for line in wrap(&reason, look.width.saturating_sub(6)) {
                text.push_str(&format!("      {line}\n"));
            }
        }
    }
    if plan.refused() {
        text.push_str("As long as one change is refused, none is made.\n");
    }
    if !plan.moves.is_empty() {
        text.push_str("\nServices:\n");
        text.push_str(&moves(&plan.moves, look));
        let moving = |it: &&PlannedMove| it.from.is_some() && it.to.is_some();
        if plan.moves.iter().filter(moving).any(|it| it.outage_ms.is_none()) {
            let line = "For how long one is out is known once it was moved as planned.";
            text.push_str(&format!("{}\n", look.paint(Tone::Dim, line)));
        }
    }
    if !plan.losses.is_empty() {
        text.push_str("\nIf one node failed afterwards:\n");
        let each = plan.losses.iter().map(lost);
        each.for_each(|line| text.push_str(&point(look, Tone::Plain, &line)));
    }
    text + &expected(&plan.expected, look)
}

/// What would come of what is expected: each that would not or may not, and how many would.
pub(super) fn expected(all: &[ExpectAnswer], look: Look) -> String {
    if all.is_empty() {
        return String::new();
    }
    let met = all.iter().filter(|it| it.comes == Comes::Met).count();
    let mut text = match all.len() {
        count if met == count => format!("\nExpected: all would come ({count}).\n"),
        count => format!("\nExpected: {met} of {count} would come.\n"),
    };
    for it in all {
        let tone = match it.comes {
            Comes::Unmet => Tone::Bad,
            Comes::Unclear => Tone::Warn,
            Comes::Met if it.note.is_some() => Tone::Plain,
            Comes::Met => continue,
        };
        text.push_str(&point(look, tone, &it.sentence()));
    }
    text
}

/// A line for each service that something becomes of.
pub(super) fn moves(moves: &[PlannedMove], look: Look) -> String {
    let line = |it: &PlannedMove| {
        let (tone, what) = match (&it.from, &it.to) {
            (Some(from), Some(to)) => (Tone::Plain, format!("moves from {from} to {to}")),
            (None, Some(to)) => (Tone::Plain, format!("starts on {to}")),
            (Some(from), None) => (Tone::Bad, format!("stops on {from}, and is nowhere")),
            (None, None) => (Tone::Bad, "has no node".to_owned()),
        };
        let out = it.outage_ms.map(|ms| {
            let span = Span::from_millis(ms);
            format!("; out for about {}, as when it last moved", span.in_words())
        });
        let why = if it.why.is_empty() { String::new() } else { format!(": {}", it.why) };
        let out = out.unwrap_or_default() + &along(&it.prefixes);
        point(look, tone, &format!("{} {what}{why}{out}", it.service))
    };
    moves.iter().map(line).collect()
}

/// What is announced as one with a service, and so goes where it goes.
fn along(prefixes: &[SharedPrefix]) -> String {
    let each = prefixes.iter().map(|it| {
        let plural = if it.addresses == 1 { "" } else { "es" };
        let (count, services) = (it.addresses, it.services.join(", "));
        format!("; {} goes along: {count} address{plural} of {services}", it.prefix)
    });
    each.collect()
}

fn lost(it: &LossAnswer) -> String {
    let all = |services: &[String]| match services {
        [] => "none".to_owned(),
        all => all.join(", "),
    };
    format!("{}: without a place would be {} (now: {})", it.node, all(&it.after), all(&it.before))
}

fn point(look: Look, tone: Tone, line: &str) -> String {
    let mut text = String::new();
    for (number, line) in wrap(&harmless(line), look.width.saturating_sub(4)).iter().enumerate() {
        let head = if number == 0 { "  * " } else { "    " };
        text.push_str(&look.paint(tone, &format!("{head}{line}")));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn answer(then: &str, comes: Comes, instead: Option<&str>, why: Option<&str>) -> ExpectAnswer {
        let [instead, why] = [instead, why].map(|it| it.map(str::to_owned));
        let (fail, then) = ("node1".to_owned(), then.to_owned());
        ExpectAnswer { line: Some(40), fail, then, comes, instead, why, note: None }
    }

    #[test]
    fn what_goes_along_is_shown() {
        let shared = |addresses, services: &[&str]| SharedPrefix {
            prefix: "203.0.113.0/24".to_owned(),
            addresses,
            services: services.iter().map(|it| (*it).to_owned()).collect(),
        };
        let prefixes = vec![shared(2, &["db", "web"])];
        assert_eq!(along(&prefixes), "; 203.0.113.0/24 goes along: 2 addresses of db, web");
        assert_eq!(along(&[shared(1, &["db"])]), "; 203.0.113.0/24 goes along: 1 address of db");
        assert_eq!(along(&[]), "");
    }

    #[test]
    fn what_is_expected_is_shown_where_it_would_not_come() {
        let met = answer("web runs", Comes::Met, None, None);
        let timed = ExpectAnswer { note: Some("without its start".to_owned()), ..met.clone() };
        let down = Some("it needs db, which is nowhere");
        let unmet = answer("web on node2", Comes::Unmet, Some("web nowhere"), down);
        let away = Some("node3 is away or suspected already");
        let unclear = answer("db on node2", Comes::Unclear, Some("db on node4"), away);
        let untold = answer("db runs", Comes::Unclear, None, Some("half of the voters are left"));
        let look = Look::plain(80);
        assert_eq!(expected(&[], look), "");
        expect![[r#"

            Expected: all would come (2).
        "#]]
        .assert_eq(&expected(&[met.clone(), met.clone()], look));
        expect![[r#"

            Expected: 2 of 5 would come.
              * line 40: if node1 fails, web runs: without its start
              * line 40: if node1 fails, not web on node2, but web nowhere: it needs db,
                which is nowhere
              * line 40: if node1 fails, now not db on node2, but db on node4: node3 is away
                or suspected already
              * line 40: if node1 fails, perhaps db runs: half of the voters are left
        "#]]
        .assert_eq(&expected(&[met, timed, unmet, unclear, untold], look));
    }
}
