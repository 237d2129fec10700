//! `stead doctor`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use stead_core::state::config::Config as Configuration;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, Tone};
use super::table::{Cell, table};
use crate::api::message::{ConfigAnswer, Request};
use crate::api::report::StatusReport;
use crate::config::{read, read_file};
use crate::doctor::{Finding, Patient, Verdict, examine, worst};
use crate::identity::Identity;

/// Look at this machine: whether a node works here, and what would make it safer or faster.
///
/// Before it joins and at any time after: privileges, clock, kernel, disk, links, networks, what
/// leads clients (keys and servers of zones, the routing daemon, the token for documents), and
/// what breaks ties (each address of the quorum server, or the program). Nothing is changed.
/// Without names, all other nodes of the configuration are tried.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stead doctor
  stead doctor --file ./cluster.toml --node node2    before the machine joins
  stead doctor node1 node3                           only these are to be reached

Exit status: 0 if nothing is bad, else 5.")]
pub(super) struct Doctor {
    /// The other nodes to be reached
    #[arg(value_name = "NODE")]
    others: Vec<String>,
    /// The configuration, if not the installed cluster.toml or the one in force
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// This machine's name in it, if it has not joined
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    worst: Verdict,
    findings: &'a [Finding],
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = self.configuration(context)?;
        let unknown = |name: &&String| {
            config.as_ref().is_none_or(|config| !config.nodes.contains_key(name.as_str()))
        };
        if let Some(name) = self.others.iter().find(unknown) {
            anyhow::bail!(
                "{name} is no node of the configuration; nothing was looked at (--file names \
                 another configuration)"
            );
        }
        let identity = Identity::load(&context.paths).ok();
        let node = self.node.as_deref().or(identity.as_ref().map(|it| it.name.as_str()));
        let (paths, others) = (&context.paths, &self.others[..]);
        let cluster = identity.as_ref().map(|it| it.cluster);
        let status = context.ask::<StatusReport>(&Request::Status { watch: false }).ok();
        let breaker = status.as_ref().and_then(|it| it.quorum.breaker.as_ref());
        let config = config.as_ref();
        let findings = examine(&Patient { paths, config, node, others, cluster, breaker });
        let worst = worst(&findings);
        if self.json {
            print_json(&Answer { worst, findings: &findings })?;
        } else {
            print(&shown(&findings, context.out))?;
        }
        Ok(if worst == Verdict::Bad { Exit::NotProtected } else { Exit::Done })
    }

    /// The one in force stands in where no file is installed: most nodes of a cluster have none.
    /// None if this machine has no node that answers, as before it joins.
    fn configuration(&self, context: &Context) -> anyhow::Result<Option<Configuration>> {
        let installed = context.paths.configuration();
        let file = self.file.clone().or_else(|| installed.exists().then_some(installed));
        if let Some(file) = file {
            return Ok(Some(read_file(&file)?.config));
        }
        let Ok(answer) = context.ask::<ConfigAnswer>(&Request::Config) else { return Ok(None) };
        Ok(Some(read("the configuration in force", &answer.text)?.config))
    }
}

pub(super) fn shown(findings: &[Finding], look: Look) -> String {
    let rows: Vec<Vec<Cell>> = findings
        .iter()
        .map(|it| {
            let (tone, word) = match it.verdict {
                Verdict::Good => (Tone::Good, "good"),
                Verdict::Unknown => (Tone::Plain, "unknown"),
                Verdict::Warning => (Tone::Warn, "warning"),
                Verdict::Bad => (Tone::Bad, "bad"),
            };
            let advice =
                if it.advice.is_empty() { String::new() } else { format!("; {}", it.advice) };
            vec![
                it.check.as_str().into(),
                Cell::new(tone, word),
                format!("{}{advice}", it.seen).into(),
            ]
        })
        .collect();
    let mut text = table(look, &["CHECK", "", "SEEN"], &rows);
    let count = |verdict| findings.iter().filter(|it| it.verdict == verdict).count();
    let (bad, warnings) = (count(Verdict::Bad), count(Verdict::Warning));
    text.push_str(&match (bad, warnings) {
        (0, 0) => "Nothing that was seen stands in a node's way.".to_owned(),
        (0, warnings) => format!("A node works here. {warnings} to look at."),
        (bad, warnings) => format!("A node does not work here: {bad} bad, {warnings} to look at."),
    });
    if let unknown @ 1.. = count(Verdict::Unknown) {
        text.push_str(&format!(" {unknown} could not be looked at."));
    }
    text.push('\n');
    text
}
