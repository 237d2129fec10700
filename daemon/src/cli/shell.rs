//! `stead completions` and `stead man`: what the shell and `man` know of the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::context::{Context, print};
use super::exit::Exit;

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead completions bash > /etc/bash_completion.d/stead")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

/// Print a manual page: of the whole, or of one command.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead man status | man -l -")]
pub(super) struct Man {
    /// The command
    command: Option<String>,
}

impl Completions {
    pub(super) fn run(self, _context: &Context) -> anyhow::Result<Exit> {
        let mut out = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "stead", &mut out);
        print(&String::from_utf8_lossy(&out))?;
        Ok(Exit::Done)
    }
}

impl Man {
    pub(super) fn run(self, _context: &Context) -> anyhow::Result<Exit> {
        let mut whole = Cli::command();
        // Gives each command its full name.
        whole.build();
        let page = match &self.command {
            None => whole,
            Some(name) => match whole.find_subcommand(name) {
                Some(command) => command.clone(),
                None => anyhow::bail!("there is no command {name}; see `stead help`"),
            },
        };
        let mut out = Vec::new();
        clap_mangen::Man::new(page).render(&mut out)?;
        print(&String::from_utf8_lossy(&out))?;
        Ok(Exit::Done)
    }
}
