//! `stead lint`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::{Context, print, print_json};
use super::exit::{Exit, drawn};
use super::look::{Look, harmless, wrap};
use super::plan;
use crate::api::expected;
use crate::api::message::ExpectAnswer;
use crate::config::{Ask, FileError, Linted, Problem, Rejected, lint_file};

/// Say what is wrong with a file, and what in it is of no use. Needs no cluster and no daemon, and
/// changes nothing.
///
/// Agents that are installed on this machine are asked whether they take what is written for them,
/// systemd's files whether the units are there, and fence devices whether they have the outlets
/// that are named. Nothing is switched; a device that does not answer is a warning.
///
/// Of rules it is said which change nothing, and which services hang on one node: the planner is
/// asked, from the file alone, with every node up, and for the failure of each. Labels and
/// quantities without effect are named, and whether what the file expects of failures
/// (`[[expect]]`) would come if all were started from nothing.
#[derive(Debug, Args)]
#[command(after_help = "Exit status 1: the file can't be used. Warnings and advice alone are no \
                        failure.\n\nExamples:\n  stead lint cluster.toml\n  stead lint --json")]
pub(super) struct Lint {
    /// The file; if not given, cluster.toml of the folder --etc
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was found, for programs.
#[derive(Debug, Default, Serialize)]
struct Found<'a> {
    usable: bool,
    problems: &'a [Problem],
    /// What is of no use, or hangs on one node.
    advice: &'a [Problem],
    /// What was not looked at or is not listed.
    left_out: &'a [String],
    /// What is expected of failures, and whether it would come.
    expected: &'a [ExpectAnswer],
}

impl Lint {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let file = self.file.unwrap_or_else(|| context.paths.configuration());
        let linted = match lint_file(&file, Ask::Devices) {
            Ok(linted) => linted,
            Err(FileError::Rejected(rejected)) if self.json => {
                let problems = Rejected::problems(&rejected);
                print_json(&Found { problems, ..Found::default() })?;
                return Ok(Exit::Failed);
            }
            Err(error) => return Err(error.into()),
        };
        let expected = expected::on_paper(&linted.checked);
        if self.json {
            print_json(&Found {
                usable: true,
                problems: &linted.checked.warnings,
                advice: &linted.advice,
                left_out: &linted.left_out,
                expected: &expected,
            })?;
            return Ok(Exit::Done);
        }
        for problem in linted.checked.warnings.iter().chain(&linted.advice) {
            eprint!("{}", drawn(problem, context));
        }
        let summary = summary(&file.display().to_string(), &linted, context.out);
        print(&(summary + &plan::expected(&expected, context.out)))?;
        Ok(Exit::Done)
    }
}

/// How it came out, and what was not looked at.
fn summary(file: &str, linted: &Linted, look: Look) -> String {
    let warnings = match linted.checked.warnings.len() {
        0 => "nothing is wrong with it".to_owned(),
        1 => "it can be used; there is one warning".to_owned(),
        count => format!("it can be used; there are {count} warnings"),
    };
    let advice = match linted.advice.len() {
        0 => String::new(),
        1 => ", and one piece of advice".to_owned(),
        count => format!(", and {count} pieces of advice"),
    };
    let mut text = format!("{}: {warnings}{advice}.\n", harmless(file));
    for line in &linted.left_out {
        for line in wrap(&format!("Left out: {}.", harmless(line)), look.width) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::api::tests::CLUSTER;
    use crate::config::lint;

    #[test]
    fn a_summary_counts_and_says_what_was_left_out() {
        let mut linted = lint("cluster.toml", CLUSTER, None).unwrap();
        let mut told = summary("cluster.toml", &linted, Look::plain(80));
        let mut more = CLUSTER.to_owned();
        more += "only = [\"node1\"]\n[[expect]]\nfail = \"node1\"\nthen = \"web on node2\"\n";
        linted = lint("cluster.toml", &more, None).unwrap();
        linted.left_out.push("12 rules were not tried, it would take too long".to_owned());
        told += &summary("cluster.toml", &linted, Look::plain(80));
        told += &plan::expected(&expected::on_paper(&linted.checked), Look::plain(80));
        expect![[r#"
            cluster.toml: nothing is wrong with it.
            cluster.toml: nothing is wrong with it, and 2 pieces of advice.
            Left out: 12 rules were not tried, it would take too long.

            Expected: 0 of 1 would come.
              * line 24: if node1 fails, not web on node2, but web nowhere: no node may have
                it; not on node2: `only` or `never` keeps it from there
        "#]]
        .assert_eq(&told);
    }
}
