//! `stead guard` and `stead daemon`: the two processes of a node, which systemd starts.

use std::io::IsTerminal;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::context::Context;
use super::exit::Exit;

/// Run the guard of this node (systemd does it).
///
/// It holds the lease: sends and judges heartbeats, and keeps the kernel's gate. Ends at SIGTERM,
/// after everything that stood on the lease is stopped.
#[derive(Debug, Args)]
#[command(after_help = "What is logged: RUST_LOG, for example RUST_LOG=stead=debug")]
pub(super) struct Guard {}

/// Run the daemon of this node (systemd does it).
///
/// It decides and serves the local API. Its end stops nothing: the guard keeps the lease and
/// programs go on, for the daemon-grace.
#[derive(Debug, Args)]
#[command(after_help = "What is logged: RUST_LOG, for example RUST_LOG=stead=debug")]
pub(super) struct Daemon {}

impl Guard {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        log_lines();
        crate::guard::run(&context.paths)?;
        Ok(Exit::Done)
    }
}

impl Daemon {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        log_lines();
        crate::driver::run(&context.paths)?;
        Ok(Exit::Done)
    }
}

/// Log lines go to standard error; the journal of the system adds time and process.
fn log_lines() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,openraft=warn"));
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started =
        if terminal { lines.try_init() } else { lines.without_time().with_ansi(false).try_init() };
    if let Err(error) = started {
        eprintln!("no log lines: {error}");
    }
}
