//! `stead maintenance`.

use clap::Args;

use super::context::Context;
use super::exit::Exit;
use crate::api::message::{ChangeAnswer, Request};

/// Leave a service, a node or everything as it is: for work by hand.
///
/// Services stay where they are, and their monitors go on to be shown. Nothing is started, stopped,
/// started again or moved, whatever ends or fails, until --off; then everything is looked at anew.
/// Leases are held as ever: a node that loses its lease still ends what it has.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead maintenance db --reason \"upgrade to 17\"\n  \
                        stead maintenance db --off\n  stead maintenance node2\n  \
                        stead maintenance --cluster")]
pub(super) struct Maintenance {
    /// A service, or a node with all that is there
    #[arg(required_unless_present_any = ["cluster", "node"])]
    name: Option<String>,
    /// A node that has the name of a service
    #[arg(long, value_name = "NODE", conflicts_with = "name")]
    node: Option<String>,
    /// Everything
    #[arg(long, conflicts_with_all = ["name", "node"])]
    cluster: bool,
    /// Why, for whoever looks at `stead status` meanwhile
    #[arg(long, default_value = "", value_name = "TEXT", conflicts_with = "off")]
    #[arg(hide_default_value = true)]
    reason: String,
    /// It is over
    #[arg(long)]
    off: bool,
}

impl Maintenance {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self { name, node, cluster: _, reason, off } = self;
        let is_node = node.is_some();
        let what = name.or(node);
        let words = what.clone().unwrap_or_else(|| "the cluster".to_owned());
        let request = Request::Maintenance { what, node: is_node, on: !off, reason };
        let answer: ChangeAnswer = context.ask(&request)?;
        match (answer.index, off) {
            (None, _) => println!("{words} is not in maintenance; nothing was changed."),
            (Some(_), true) => println!("The maintenance of {words} is over."),
            (Some(_), false) => println!("{words} is in maintenance, and left as it is."),
        }
        if let Some(next) = answer.next {
            println!("{}: {next}", if off { "Next" } else { "Mind" });
        }
        Ok(Exit::Done)
    }
}
