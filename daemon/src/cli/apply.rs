//! `stead apply`.

use std::path::PathBuf;

use clap::Args;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::plan::{plan, shown};
use crate::api::message::{ApplyAnswer, PlanAnswer, Request};

/// Make a file the configuration in force, on all nodes at once.
///
/// Shows what would change and asks first. A file by which something would not come that it expects
/// of failures (`[[expect]]`) is refused. The file stays as it is; what is in force is printed by
/// `stead config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead apply /etc/stead/cluster.toml --yes\n  stead apply \
                        new.toml --despite-expectations")]
pub(super) struct Apply {
    /// The file; if not given, cluster.toml of the folder --etc
    file: Option<PathBuf>,
    #[command(flatten)]
    way: Way,
}

/// How a text is applied.
#[derive(Debug, Args)]
pub(super) struct Way {
    /// Apply it though something would not come that it expects of failures
    #[arg(long)]
    despite_expectations: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON object; asks nothing
    #[arg(long)]
    pub(super) json: bool,
}

impl Apply {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let file = self.file.unwrap_or_else(|| context.paths.configuration());
        let (text, plan) = plan(context, &file)?;
        self.way.apply(context, text, &plan)
    }
}

impl Way {
    /// Shows what would change, asks, and applies it.
    pub(super) fn apply(
        self,
        context: &Context,
        text: String,
        plan: &PlanAnswer,
    ) -> anyhow::Result<Exit> {
        if !self.json {
            print(&shown(plan, context.out))?;
        }
        let disappoints = plan.disappoints() && !plan.changes.is_empty();
        if plan.refused() || disappoints && !self.despite_expectations {
            if !self.json && !plan.refused() {
                eprintln!(
                    "Nothing was changed: not all would come that the file expects. Change the \
                     rules or what is expected, or apply it with --despite-expectations."
                );
            }
            if self.json {
                print_json(plan)?;
            }
            return Ok(Exit::Failed);
        }
        let ask = !self.yes && !self.json && context.interactive && !plan.changes.is_empty();
        if ask && !context.confirms("Apply this?")? {
            println!("Nothing was changed.");
            return Ok(Exit::Failed);
        }
        let answer: ApplyAnswer = context.ask(&Request::Apply {
            text,
            base: plan.base,
            despite_expectations: self.despite_expectations,
        })?;
        if self.json {
            print_json(&answer)?;
        } else if !plan.changes.is_empty() {
            println!("Applied: revision {} is in force.", answer.revision);
        }
        Ok(Exit::Done)
    }
}
