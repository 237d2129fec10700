//! `stead client`: the agent on clients' machines.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use stead_redirect::client::{self, FileState, Status};
use tokio::sync::watch;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::processes::log_lines;
use super::table::{Cell, table};
use crate::ending::asked_to_end;
use crate::layers::trace::{Wanted, trace};

/// Where the agent's configuration is.
const CONFIG: &str = "/etc/stead/client.toml";

/// Follow a cluster from a client's machine: files, programs and messages that go with its services
#[derive(Debug, Subcommand)]
pub(super) enum Client {
    Run(Run),
    Check(Check),
    Status(StatusOf),
    Trace(Trace),
}

#[derive(Debug, Args)]
pub(super) struct At {
    /// The agent's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// Run the agent (systemd does it)
///
/// It watches several nodes or web servers at once, believes the newest document that a member of
/// the cluster signed, writes files out of templates, checks and reloads, and goes back where that
/// fails. It needs no other part of stead on its machine.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    at: At,
}

/// Look at the configuration and its templates; ask nobody
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    at: At,
}

/// What the running agent knows, and what came of each file
#[derive(Debug, Args)]
pub(super) struct StatusOf {
    #[command(flatten)]
    at: At,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What each place between this machine and a service says now
///
/// The document that the agent knows, this machine's resolvers, its routes, its neighbour table.
#[derive(Debug, Args)]
pub(super) struct Trace {
    #[command(flatten)]
    at: At,
    /// The service
    service: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Client {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Run(command) => command.run(),
            Self::Check(command) => command.run(),
            Self::Status(command) => command.run(context),
            Self::Trace(command) => command.run(context),
        }
    }
}

impl Run {
    fn run(self) -> anyhow::Result<Exit> {
        log_lines(false);
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let (end, ending) = watch::channel(false);
            let asked = tokio::spawn(async move {
                asked_to_end().await;
                end.send_replace(true);
            });
            let ended = client::run(&self.at.config, ending).await;
            asked.abort();
            ended
        })?;
        Ok(Exit::Done)
    }
}

impl Check {
    fn run(self) -> anyhow::Result<Exit> {
        let config = client::check(&self.at.config)?;
        print(&format!(
            "{} can be used: {} services, {} servers, {} files.\n",
            self.at.config.display(),
            config.services.len(),
            config.watch.len(),
            config.files.len()
        ))?;
        Ok(Exit::Done)
    }
}

fn status(config: &Path) -> anyhow::Result<Status> {
    let config = client::Config::load(config)?;
    Ok(client::status(&config.state)?)
}

/// How it stands with a file, in a word.
const fn word(state: FileState) -> &'static str {
    match state {
        FileState::Waiting => "waiting for its services",
        FileState::Current => "current",
        FileState::Stays => "the old one stays",
        FileState::RolledBack => "rolled back",
        FileState::Broken => "broken",
    }
}

impl StatusOf {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let status = status(&self.at.config)?;
        if self.json {
            print_json(&status)?;
            return Ok(Exit::Done);
        }
        let services = status.services.iter().map(|(name, service)| -> Vec<Cell> {
            let document = &service.document;
            let at = document.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
            let until = document.valid_until.to_string();
            vec![
                name.as_str().into(),
                document.state.to_string().into(),
                document.node.clone().unwrap_or_default().into(),
                at.join(" ").into(),
                if service.expired { format!("{until}, which is over") } else { until }.into(),
            ]
        });
        let services: Vec<_> = services.collect();
        let files = status.files.iter().map(|file| -> Vec<Cell> {
            vec![
                file.target.display().to_string().into(),
                word(file.state).into(),
                file.error.clone().unwrap_or_default().into(),
            ]
        });
        let files: Vec<_> = files.collect();
        let silent = status.sources.iter().filter_map(|source| -> Option<Vec<Cell>> {
            let why = source.error.clone().or_else(|| source.refused.clone())?;
            Some(vec![source.url.as_str().into(), source.service.as_str().into(), why.into()])
        });
        let silent: Vec<_> = silent.collect();
        let heads = ["SERVICE", "STATE", "NODE", "ADDRESSES", "BELIEVED UNTIL"];
        let mut text = table(context.out, &heads, &services);
        if !files.is_empty() {
            text += "\n";
            text += &table(context.out, &["FILE", "STATE", "WHY"], &files);
        }
        if !silent.is_empty() {
            text += "\n";
            text +=
                &table(context.out, &["SERVER", "OF", "WHY NOTHING OF IT IS BELIEVED"], &silent);
        }
        print(&text)?;
        Ok(Exit::Done)
    }
}

impl Trace {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let status = status(&self.at.config)?;
        let document = status.services.get(&self.service).map(|it| &it.document);
        let wanted = Wanted {
            names: document.map(|it| it.names.clone()).unwrap_or_default(),
            addresses: document.map(|it| it.addresses.clone()).unwrap_or_default(),
            node: document.and_then(|it| it.node.clone()),
            macs: Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let places = runtime.block_on(trace(&wanted, document));
        if self.json {
            print_json(&places)?;
        } else {
            print(&super::redirect::shown(&places, context))?;
        }
        Ok(Exit::Done)
    }
}
