//! The command line: one command a file, its help text is the comment of its arguments.
//!
//! The happy path: [`main`] reads the arguments, runs the command, and ends with its status. Most
//! commands ask the daemon over its socket ([`crate::api`]); `init`, `join` and `leave --forget`
//! work on this machine's files while no daemon runs; `lint`, `timers FILE` and `agents` need
//! neither.
//! `quorum-server` is about another process, on a machine of its own.
//!
//! Failures: a message says what failed, whether anything changed, and what to do next; mistakes in
//! a configuration are shown in the file's own lines. The exit status tells scripts the rest
//! ([`Exit`]).
//!
//! Deliberately absent: anything that decides. What a command may change is decided by the state
//! that all members agree on.

mod agents;
mod apply;
mod clear;
mod client;
mod config;
mod context;
mod demo;
mod disarm;
mod doctor;
mod drain;
mod events;
mod exit;
mod explain;
mod fence;
mod history;
mod incident;
mod init;
mod join;
mod leave;
mod lint;
mod look;
mod maintenance;
mod metrics;
mod moves;
mod plan;
mod prepare;
mod processes;
mod quorum;
mod quorum_server;
mod redirect;
mod register;
mod rollback;
mod shell;
mod simulate;
mod standby;
mod start_stop;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod timers;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::paths::Paths;
use context::Context;
pub use exit::Exit;

const AFTER: &str = "\
Exit status: 0 done; 1 failed or refused, nothing was changed; 2 the command line is wrong; \
3 the daemon does not answer; 4 the fate of a change is not known; 5 not protected (status --check).

A first cluster: stead init, systemctl start stead-guard stead-daemon, stead token NODE, and on \
NODE stead join. To see one without any machine: stead demo.";

/// Keeps services available: when a machine fails, another takes its stead.
#[derive(Debug, Parser)]
#[command(name = "stead", version, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    folders: Folders,
    #[command(subcommand)]
    command: Command,
}

/// Where this node keeps what.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Folders")]
struct Folders {
    /// Folder of cluster.toml
    #[arg(long, global = true, env = "STEAD_ETC", value_name = "DIR")]
    #[arg(default_value = "/etc/stead", hide_env_values = true)]
    etc: PathBuf,
    /// Folder of identity, keys and the cluster's log
    #[arg(long, global = true, env = "STEAD_STATE", value_name = "DIR")]
    #[arg(default_value = "/var/lib/stead", hide_env_values = true)]
    state: PathBuf,
    /// Folder of sockets and locks
    #[arg(long, global = true, env = "STEAD_RUN", value_name = "DIR")]
    #[arg(default_value = "/run/stead", hide_env_values = true)]
    run: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Status),
    Init(init::Init),
    Token(token::Token),
    Join(join::Join),
    Leave(leave::Leave),
    Lint(lint::Lint),
    Plan(plan::Plan),
    Apply(apply::Apply),
    History(history::History),
    Diff(history::Diff),
    Rollback(rollback::Rollback),
    Explain(explain::Explain),
    Simulate(simulate::Simulate),
    Config(config::Config),
    Timers(timers::Timers),
    Quorum(quorum::Quorum),
    #[command(subcommand)]
    Redirect(redirect::Redirect),
    Move(moves::Move),
    Register(register::Register),
    Standby(standby::Standby),
    Drain(drain::Drain),
    Stop(start_stop::Stop),
    Start(start_stop::Start),
    Maintenance(maintenance::Maintenance),
    Disarm(disarm::Disarm),
    Clear(clear::Clear),
    Fence(fence::Fence),
    Events(events::Events),
    Incident(incident::Incident),
    Doctor(doctor::Doctor),
    Agents(agents::Agents),
    Metrics(metrics::Metrics),
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoWeb(demo::DemoWeb),
    #[command(hide = true)]
    DemoCheck(demo::DemoCheck),
    Guard(processes::Guard),
    Daemon(processes::Daemon),
    #[command(subcommand)]
    QuorumServer(quorum_server::QuorumServer),
    #[command(subcommand)]
    Client(client::Client),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Runs the command that this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    crate::keeper::run_if_asked();
    crate::executor::run_if_asked();
    crate::tools::run_if_asked();
    let Cli { folders: Folders { etc, state, run }, command } = Cli::parse();
    let context = Context::of_process(Paths { etc, state, run });
    match command.run(&context) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprint!("{}", exit::explain(&error, &context));
            exit::of(&error).into()
        }
    }
}

impl Command {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Status(command) => command.run(context),
            Self::Init(command) => command.run(context),
            Self::Token(command) => command.run(context),
            Self::Join(command) => command.run(context),
            Self::Leave(command) => command.run(context),
            Self::Lint(command) => command.run(context),
            Self::Plan(command) => command.run(context),
            Self::Apply(command) => command.run(context),
            Self::History(command) => command.run(context),
            Self::Diff(command) => command.run(context),
            Self::Rollback(command) => command.run(context),
            Self::Explain(command) => command.run(context),
            Self::Simulate(command) => command.run(context),
            Self::Config(command) => command.run(context),
            Self::Timers(command) => command.run(context),
            Self::Move(command) => command.run(context),
            Self::Register(command) => command.run(context),
            Self::Standby(command) => command.run(context),
            Self::Drain(command) => command.run(context),
            Self::Maintenance(command) => command.run(context),
            Self::Stop(command) => command.run(context),
            Self::Start(command) => command.run(context),
            Self::Disarm(command) => command.run(context),
            Self::Clear(command) => command.run(context),
            Self::Fence(command) => command.run(context),
            Self::Events(command) => command.run(context),
            Self::Incident(command) => command.run(context),
            Self::Doctor(command) => command.run(context),
            Self::Agents(command) => command.run(context),
            Self::Metrics(command) => command.run(context),
            Self::Demo(command) => command.run(),
            Self::DemoWeb(command) => command.run(),
            Self::DemoCheck(command) => command.run(),
            Self::Guard(command) => command.run(context),
            Self::Daemon(command) => command.run(context),
            Self::Quorum(command) => command.run(context),
            Self::QuorumServer(command) => command.run(context),
            Self::Redirect(command) => command.run(context),
            Self::Client(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
        }
    }
}
