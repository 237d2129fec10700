//! `stead rollback`.

use clap::Args;

use super::apply::Way;
use super::context::Context;
use super::exit::{Exit, drawn};
use super::history::before;
use super::plan::ask_plan;
use crate::api::message::{ConfigAnswer, Request};
use crate::config::{Ask, read_asking};

/// Make a configuration the one in force again that was so before.
///
/// Shows what would change and asks first, as `stead apply` does. It becomes a new revision: what
/// was between stays in the history. The file cluster.toml stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead rollback\n  stead rollback 12 --yes")]
pub(super) struct Rollback {
    /// The revision; if not given, the one before that in force
    revision: Option<u64>,
    #[command(flatten)]
    way: Way,
}

impl Rollback {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let old: ConfigAnswer = match self.revision {
            Some(number) => context.ask(&Request::Revision { number })?,
            None => before(context)?,
        };
        let name = format!("revision {}", old.revision);
        let checked = read_asking(&name, &old.text, Ask::Devices)?;
        for warning in &checked.warnings {
            eprint!("{}", drawn(warning, context));
        }
        if !self.way.json {
            println!("Back to revision {}.", old.revision);
        }
        let plan = ask_plan(context, &old.text)?;
        self.way.apply(context, old.text, &plan)
    }
}
