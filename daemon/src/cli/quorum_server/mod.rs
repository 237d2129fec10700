//! `stead quorum-server`: the process on the third machine, and the questions of its operator.
//!
//! `run` is the process. `restore` works on its files while it does not run. All others ask the
//! running process over the socket in its folder ([`crate::quorum_server`]); what they show is put
//! into words in `shown`.
//!
//! Failures: as everywhere in the command line, a message says what failed, whether anything was
//! changed, and what to do next, and the exit status tells scripts the rest.
//!
//! Absent on purpose: a command that trusts a register by hand. Only a coordinator's word can.

mod shown;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::processes::log_lines;
use crate::api::client::{CallError, Client, Whom};
use crate::config::read_duration;
use crate::metrics::listen::Address;
use crate::quorum_server::limits::{CONNECTIONS, CONNECTIONS_PER_ADDRESS};
use crate::quorum_server::report::{ClusterReport, ListReport};
use crate::quorum_server::{
    AdminRequest, BackupAnswer, DEFAULT_FOLDER, DoneAnswer, EnrolAnswer, RunOptions, backup, run,
    socket,
};

/// Break the ties of clusters, from a third machine.
///
/// A cluster whose voters are split into equal halves asks a quorum server which half may go on.
/// One small process serves many clusters, and nothing about them is configured: each is enrolled
/// with a token that is used once.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A first one: systemctl enable --now stead-quorum-server, then stead quorum-server enrol.

Exit status: as of all commands; 3 means that the quorum server does not run.")]
pub(super) enum QuorumServer {
    Run(Run),
    Enrol(Enrol),
    List(List),
    Show(Show),
    Revoke(Revoke),
    Forget(Forget),
    Backup(Backup),
    Restore(Restore),
}

/// Where the server keeps everything.
#[derive(Debug, Args)]
struct Folder {
    /// Folder of the server's registers, key and socket
    #[arg(long, env = "STEAD_QUORUM_SERVER_DIR", value_name = "DIR")]
    #[arg(default_value = DEFAULT_FOLDER, hide_env_values = true)]
    dir: PathBuf,
}

/// Run the quorum server (systemd does it).
///
/// Ends at SIGTERM. What it has answered is on its disk, however it ends. If its disk fails it ends
/// with status 1, and answers nothing any more.
#[derive(Debug, Args)]
#[command(after_help = "What is logged: RUST_LOG, for example RUST_LOG=stead=debug")]
pub(super) struct Run {
    #[command(flatten)]
    folder: Folder,
    /// Where to listen; may be given several times [default: port 7745 of every address]
    #[arg(long, env = "STEAD_QUORUM_SERVER_LISTEN", value_name = "ADDRESS:PORT")]
    #[arg(value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// Let Prometheus read the server's metrics at http://ADDRESS:PORT/metrics
    #[arg(long, env = "STEAD_QUORUM_SERVER_METRICS", value_name = "ADDRESS:PORT")]
    metrics: Option<String>,
    /// Allow an address there that others than this machine can reach; there are no passwords
    #[arg(long, env = "STEAD_QUORUM_SERVER_METRICS_OPEN", value_parser = FalseyValueParser::new())]
    metrics_open: bool,
    /// The most connections in all
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS)]
    connections: usize,
    /// The most connections from one address, or one /64 of IPv6
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS_PER_ADDRESS)]
    connections_per_address: usize,
}

/// Make a token that lets one cluster be enrolled, once.
///
/// Show it on a node of the cluster. It proves both ways: the cluster was invited, and this is the
/// right server. It holds the addresses at which the server can be reached.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead quorum-server enrol --name shop\n  \
                        stead quorum-server enrol --ttl 10min --address 192.0.2.7:7745")]
pub(super) struct Enrol {
    #[command(flatten)]
    folder: Folder,
    /// The name that lists show, in place of the cluster's own
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long the token can be used: up to 24h
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: String,
    /// Where clusters reach this server; may be given several times [default: where it listens]
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Vec<SocketAddr>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Show all clusters and the open tokens.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    folder: Folder,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Show one cluster.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    folder: Folder,
    /// The cluster: its id, the beginning of it, or its name
    cluster: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Answer a cluster no more, or take an open token back.
///
/// Its connections end at once. Its register is kept: `forget` removes it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stead quorum-server revoke shop\n  \
                        stead quorum-server revoke token-1f00ba47")]
pub(super) struct Revoke {
    #[command(flatten)]
    folder: Folder,
    /// The cluster (its id, the beginning of it, or its name), or a token's number
    what: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Remove a cluster with its register.
///
/// It can be enrolled again; until a coordinator with quorum has said where the cluster's state
/// stands, nothing is granted then.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead quorum-server forget 4f1c")]
pub(super) struct Forget {
    #[command(flatten)]
    folder: Folder,
    /// The cluster: its id, the beginning of it, or its name
    cluster: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Write a copy of all registers and the server's key to a file, while it runs.
///
/// The file is a secret: whoever has it can pass for this server. It is not a copy to be put in
/// place by hand: `restore` does that, and distrusts.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead quorum-server backup /var/backups/stead-quorum.json")]
pub(super) struct Backup {
    #[command(flatten)]
    folder: Folder,
    /// The file; it must not exist yet
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Put a backup in place, while the server does not run.
///
/// What was granted since the backup is not known. So every register is distrusted: it grants
/// nothing until a coordinator with quorum has said where its cluster's state stands, which happens
/// by itself.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  systemctl stop stead-quorum-server\n  \
                        stead quorum-server restore /var/backups/stead-quorum.json\n  \
                        systemctl start stead-quorum-server")]
pub(super) struct Restore {
    #[command(flatten)]
    folder: Folder,
    /// The file that `backup` wrote
    file: PathBuf,
    /// Replace the clusters that are there
    #[arg(long)]
    replace: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn ask<T: DeserializeOwned>(folder: &Folder, request: &AdminRequest) -> Result<T, CallError> {
    Client::connect_to(Whom::QuorumServer, &socket(&folder.dir))?.ask(request)
}

impl QuorumServer {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Run(command) => command.run(),
            Self::Enrol(command) => command.run(),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Revoke(command) => command.run(),
            Self::Forget(command) => command.run(),
            Self::Backup(command) => command.run(),
            Self::Restore(command) => command.run(),
        }
    }
}

impl Run {
    fn run(self) -> anyhow::Result<Exit> {
        log_lines(false);
        // An address that can't be used costs the metrics and nothing else, as in the daemon.
        let text = self.metrics.as_deref().filter(|text| !text.trim().is_empty());
        let metrics = text.and_then(|text| {
            let read = Address::read(text, self.metrics_open);
            read.inspect_err(|error| tracing::error!("metrics can't be read: {error}")).ok()
        });
        run(&RunOptions {
            folder: self.folder.dir,
            listen: self.listen,
            metrics,
            connections: self.connections,
            per_address: self.connections_per_address,
        })?;
        Ok(Exit::Done)
    }
}

impl Enrol {
    fn run(self) -> anyhow::Result<Exit> {
        let ttl = read_duration(&self.ttl)
            .map_err(|wrong| anyhow!("--ttl: {wrong}. Nothing was changed"))?;
        let seconds = ttl.as_micros().div_ceil(1_000_000);
        let request = AdminRequest::Enrol { name: self.name, seconds, addresses: self.address };
        let answer: EnrolAnswer = ask(&self.folder, &request)?;
        if self.json {
            print_json(&answer)?;
            return Ok(Exit::Done);
        }
        let EnrolAnswer { token, number, expires } = answer;
        eprintln!("Show this on a node of the cluster. It works once, until {expires} ({number}):");
        print(&format!("{token}\n"))?;
        Ok(Exit::Done)
    }
}

impl List {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let answer: ListReport = ask(&self.folder, &AdminRequest::List)?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&shown::list(&answer, context.out))?;
        }
        Ok(Exit::Done)
    }
}

impl Show {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let request = AdminRequest::Show { cluster: self.cluster };
        let answer: ClusterReport = ask(&self.folder, &request)?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(&shown::cluster(&answer, context.out))?;
        }
        Ok(Exit::Done)
    }
}

impl Revoke {
    fn run(self) -> anyhow::Result<Exit> {
        let request = AdminRequest::Revoke { what: self.what };
        let answer: DoneAnswer = ask(&self.folder, &request)?;
        done(&answer, self.json, "revoked: nothing is answered any more")
    }
}

impl Forget {
    fn run(self) -> anyhow::Result<Exit> {
        let request = AdminRequest::Forget { cluster: self.cluster };
        let answer: DoneAnswer = ask(&self.folder, &request)?;
        done(&answer, self.json, "forgotten, with its register")
    }
}

fn done(answer: &DoneAnswer, json: bool, what: &str) -> anyhow::Result<Exit> {
    if json {
        print_json(answer)?;
    } else {
        print(&shown::done(answer, what))?;
    }
    Ok(Exit::Done)
}

impl Backup {
    fn run(self) -> anyhow::Result<Exit> {
        let answer: BackupAnswer = ask(&self.folder, &AdminRequest::Backup)?;
        write_secret(&self.file, answer.text.as_bytes())?;
        let clusters = answer.clusters;
        if self.json {
            print_json(&serde_json::json!({ "file": self.file, "clusters": clusters }))?;
        } else {
            let file = self.file.display();
            print(&format!(
                "{file} holds the registers of {clusters} clusters and the server's key: keep it \
                 secret.\n"
            ))?;
        }
        Ok(Exit::Done)
    }
}

/// Writes a file that only its owner can read, and that was not there before.
fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file =
        opened.with_context(|| format!("can't make {}; there is no backup", path.display()))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.with_context(|| {
        format!("can't write {}; what is there is no backup: remove it", path.display())
    })
}

impl Restore {
    fn run(self) -> anyhow::Result<Exit> {
        let restored = backup::restore(&self.folder.dir, &self.file, self.replace)?;
        if self.json {
            print_json(&restored)?;
        } else {
            print(&shown::restored(&restored))?;
        }
        Ok(Exit::Done)
    }
}
