//! `stead leave`.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, bail};
use clap::Args;
use stead_linux::lock::Lock;

use super::context::Context;
use super::exit::Exit;
use crate::api::message::{ChangeAnswer, Request};
use crate::identity::Identity;
use crate::paths::Paths;

/// Let a node leave the cluster for good.
///
/// It must serve nothing: put it on standby first. A node that will never run again can be let go
/// from any other one. To serve again it has to join anew.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead standby node3 && stead leave node3\n  \
                        stead leave --forget      on node3, once its services are stopped")]
pub(super) struct Leave {
    /// The node; if not given, this one
    node: Option<String>,
    /// Delete this machine's identity, keys and log, after it has left
    #[arg(long, conflicts_with = "node")]
    forget: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

impl Leave {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.forget {
            return self.forget(context);
        }
        let whom = self.node.clone().unwrap_or_else(|| "this node".to_owned());
        let ask = !self.yes && context.interactive;
        if ask && !context.confirms(&format!("Let {whom} leave the cluster for good?"))? {
            println!("Nothing was changed.");
            return Ok(Exit::Failed);
        }
        let answer: ChangeAnswer = context.ask(&Request::Leave { node: self.node })?;
        println!("{} has left the cluster.", answer.node.unwrap_or(whom));
        if let Some(next) = answer.next {
            println!("Next: {next}");
        }
        Ok(Exit::Done)
    }

    fn forget(&self, context: &Context) -> anyhow::Result<Exit> {
        let paths = &context.paths;
        let identity = Identity::load(paths);
        let stopped = "nothing was changed. First: systemctl stop stead-guard stead-daemon";
        make_run(paths)?;
        let _guard = Lock::acquire(&paths.guard_lock()).context(stopped)?;
        let _daemon = Lock::acquire(&paths.daemon_lock()).context(stopped)?;
        let name = identity.map_or_else(|_| "this machine".to_owned(), |it| it.name);
        let question = format!("Delete what {name} knows of its cluster, its log included?");
        if !self.yes {
            if !context.interactive {
                bail!("nobody can be asked; nothing was changed. If you mean it, add --yes");
            }
            if !context.confirms(&question)? {
                println!("Nothing was changed.");
                return Ok(Exit::Failed);
            }
        }
        forget(paths)?;
        println!("{name} is in no cluster any more. If it is still a member, on another node:");
        println!("  stead leave {name}");
        Ok(Exit::Done)
    }
}

fn make_run(paths: &Paths) -> anyhow::Result<()> {
    fs::create_dir_all(&paths.run)
        .with_context(|| format!("can't make {}; nothing was changed", paths.run.display()))
}

/// Deletes the identity first: without it nothing else is used. The journal stays.
fn forget(paths: &Paths) -> anyhow::Result<()> {
    let files = [
        paths.identity(),
        paths.founding(),
        paths.heartbeat_secret(),
        paths.incarnation(),
        // Else the next node of this machine would be told that it has lost a log.
        paths.log_began(),
    ];
    for file in files {
        absent(fs::remove_file(&file))
            .with_context(|| format!("can't delete {}", file.display()))?;
    }
    for folder in [paths.keys(), paths.log()] {
        absent(fs::remove_dir_all(&folder))
            .with_context(|| format!("can't delete {}", folder.display()))?;
    }
    Ok(())
}

fn absent(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
