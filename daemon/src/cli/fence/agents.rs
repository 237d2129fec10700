//! `stead fence agents`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use stead_edge::chain;

use crate::cli::agents::{PARAMETERS, PATIENCE, paragraph, parameter};
use crate::cli::context::{Context, print, print_json};
use crate::cli::exit::Exit;
use crate::cli::look::{self, Look, Tone};
use crate::cli::table::{Cell, table};
use crate::fence::{
    Ability, AgentName, DescribeError, MetaData, Outlet, describe, folders, installed, nearest,
    unable,
};
use crate::ocf::for_each;

/// Show the fence agents that are installed, or what one of them takes and does
///
/// Fence agents switch machines off, by a management board, a power switch, a hypervisor or a
/// cloud, or cut them off from a storage. Debian has them in the package fence-agents. Each is
/// asked for its meta-data, which changes nothing. No daemon is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stead fence agents
  stead fence agents fence_ipmilan
  stead fence agents apc --json

CAN says what a device of it proves: off, that a machine is off; cut off, that it reaches a storage
or a network no more; nothing, if it can't say whether what it was asked for is done.")]
pub(super) struct Agents {
    /// The agent: fence_NAME, or NAME
    name: Option<String>,
    /// A folder of agents, in place of /usr/local/sbin and /usr/sbin; may be given several times
    #[arg(long, value_name = "DIR")]
    folder: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The list, as `--json` has it.
#[derive(Debug, Serialize)]
struct List {
    agents: Vec<Entry>,
}

/// One line of it.
#[derive(Debug, Serialize)]
struct Entry {
    name: AgentName,
    /// What a device of it proves; nothing if it says nothing that can be read.
    can: Option<Can>,
    shortdesc: Option<String>,
    /// Why what it is is not known.
    error: Option<String>,
}

/// What a device proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Can {
    Off,
    CutOff,
    Nothing,
}

impl Can {
    fn of(meta: &MetaData) -> Self {
        match (unable(meta), meta.cuts_off()) {
            (Some(_), _) => Self::Nothing,
            (None, true) => Self::CutOff,
            (None, false) => Self::Off,
        }
    }

    fn cell(self) -> Cell {
        match self {
            Self::Off => Cell::new(Tone::Good, "off"),
            Self::CutOff => Cell::new(Tone::Good, "cut off"),
            Self::Nothing => Cell::new(Tone::Dim, "nothing"),
        }
    }
}

/// One agent.
#[derive(Debug, Serialize)]
struct Described {
    name: AgentName,
    path: PathBuf,
    can: Can,
    meta_data: MetaData,
}

impl Agents {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let folders = if self.folder.is_empty() { folders() } else { self.folder };
        let shown: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let shown = shown.join(" and ");
        let agents = installed(&folders).with_context(|| format!("can't list {shown}"))?;
        if agents.is_empty() {
            bail!("no fence agents are in {shown}; Debian has them in the package fence-agents");
        }
        let Some(text) = &self.name else { return list(agents, &folders, self.json, context) };
        let name = meant(text, &agents, &folders)?;
        let meta_data = describe(&folders, &name, PATIENCE)?;
        let path = name.find(&folders).unwrap_or_default();
        let described = Described { path, can: Can::of(&meta_data), name, meta_data };
        if self.json {
            print_json(&described)?;
        } else {
            print(&one(&described, context.out))?;
        }
        Ok(Exit::Done)
    }
}

fn list(
    agents: Vec<AgentName>,
    folders: &[PathBuf],
    json: bool,
    context: &Context,
) -> anyhow::Result<Exit> {
    let answers = for_each(&agents, |name| describe(folders, name, PATIENCE));
    let entries = agents.into_iter().zip(answers).map(|(name, answer)| entry(name, &answer));
    let agents: Vec<Entry> = entries.collect();
    if json {
        print_json(&List { agents })?;
    } else {
        print(&all(&agents, context.out))?;
    }
    Ok(Exit::Done)
}

fn entry(name: AgentName, answer: &Result<MetaData, DescribeError>) -> Entry {
    let known = answer.as_ref().ok();
    Entry {
        name,
        can: known.map(Can::of),
        shortdesc: known.map(|meta| meta.shortdesc.clone()),
        error: answer.as_ref().err().map(|error| chain(error)),
    }
}

/// The agent of that name, with its beginning or without.
fn meant(text: &str, agents: &[AgentName], folders: &[PathBuf]) -> anyhow::Result<AgentName> {
    let named = |name: &str| agents.iter().find(|agent| agent.to_string() == name).cloned();
    if let Some(agent) = named(text).or_else(|| named(&format!("fence_{text}"))) {
        return Ok(agent);
    }
    match nearest(folders, text) {
        Some(near) => bail!("no fence agent is called {text}; did you mean {near}?"),
        None => bail!("no fence agent is called {text}; `stead fence agents` lists all"),
    }
}

/// The table of all agents.
fn all(agents: &[Entry], look: Look) -> String {
    let rows: Vec<Vec<Cell>> = agents
        .iter()
        .map(|it| {
            let what = match (&it.error, &it.shortdesc) {
                (Some(error), _) => Cell::new(Tone::Warn, error),
                (None, what) => what.as_deref().unwrap_or_default().into(),
            };
            let can = it.can.map_or_else(|| "".into(), Can::cell);
            vec![it.name.to_string().into(), can, what]
        })
        .collect();
    let mut text = table(look, &["AGENT", "CAN", "WHAT IT IS"], &rows);
    let unknown = agents.iter().filter(|it| it.error.is_some()).count();
    if unknown > 0 {
        text.push_str(&format!("{unknown} of {} can't be used as they are.\n", agents.len()));
    }
    text
}

/// All about one agent.
fn one(it: &Described, look: Look) -> String {
    let meta = &it.meta_data;
    let mut text = look.paint(Tone::Head, &it.name.to_string());
    text.push_str(&format!("  {}\n", look::harmless(&meta.shortdesc)));
    text.push_str(&format!("{}\n", look::harmless(&it.path.display().to_string())));
    let can = match (it.can, unable(meta)) {
        (Can::Nothing, why) => {
            let why = why.map(|(message, _)| message).unwrap_or_default();
            format!("Can't be used by stead: {why}.")
        }
        (Can::CutOff, _) => "Cuts a node off from a storage or a network, and leaves it on. It is \
                             let in again when it has booted."
            .to_owned(),
        (Can::Off, _) => "Switches a machine off.".to_owned(),
    };
    text.push_str(&paragraph(&can, look));
    let outlet = match meta.outlet() {
        Outlet::None => "It is for one machine: a node names the device alone.",
        Outlet::Optional(_) => "It may be told an outlet: \"DEVICE:OUTLET\" in the node's table.",
        Outlet::Required(_) => {
            "It has to be told which outlet is meant: \"DEVICE:OUTLET\" in the node's table."
        }
    };
    text.push_str(&paragraph(outlet, look));
    let lines: Vec<&str> = meta.longdesc.lines().map(str::trim).collect();
    for part in lines.join("\n").split("\n\n").filter(|part| !part.trim().is_empty()) {
        text.push_str(&format!("\n{}", paragraph(part, look)));
    }
    // What stead tells itself is nobody's to write, and what has a newer name need not be known.
    let of_stead = ["action", "plug", "port", "nodename"];
    let shown =
        meta.parameters.iter().filter(|it| !of_stead.contains(&it.name.as_str()) && !it.deprecated);
    let rows: Vec<Vec<Cell>> = shown.map(parameter).collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(look, &PARAMETERS, &rows));
    }
    if !meta.actions.is_empty() {
        let rows: Vec<Vec<Cell>> = meta.actions.iter().map(ability).collect();
        text.push('\n');
        text.push_str(&table(look, &["ACTION", ""], &rows));
    }
    text
}

fn ability(it: &Ability) -> Vec<Cell> {
    let note = match (it.automatic, it.on_target) {
        (_, true) => "on the node itself, when it has booted",
        (true, false) => "when the node has booted",
        (false, false) => "",
    };
    vec![it.name.clone().into(), note.into()]
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    const ODD: &[u8] = br#"<resource-agent name="fence_odd" shortdesc="Cuts &#x9b;31m off">
        <longdesc>The first part is so long that it takes more than one line of the terminal that
        it is shown on.

        The second is not.</longdesc>
        <parameters><parameter name="action" required="1"><content type="string"/></parameter>
        <parameter name="plug" required="1" obsoletes="port"><content type="string"/></parameter>
        <parameter name="port" required="1" deprecated="1"><content type="string"/></parameter>
        <parameter name="ip" required="1"><content type="string"/><shortdesc>Where it is</shortdesc>
        </parameter><parameter name="power_wait"><content type="second" default="0"/>
        <shortdesc>How long it waits</shortdesc></parameter></parameters>
        <actions><action name="on" automatic="1" on_target="1"/><action name="off"/>
        <action name="status"/></actions></resource-agent>"#;

    #[test]
    fn one_agent_with_all_that_it_says() {
        let meta_data = MetaData::read(ODD).unwrap();
        let described = Described {
            name: "fence_odd".parse().unwrap(),
            path: "/usr/sbin/fence_odd".into(),
            can: Can::of(&meta_data),
            meta_data,
        };
        let text = one(&described, Look::plain(80));
        expect_file!["../golden/one-fence-agent.txt"].assert_eq(&text);
    }

    #[test]
    fn agents_in_a_list() {
        let entry = |name: &str, can: Option<Can>, what: &str| Entry {
            name: name.parse().unwrap(),
            can,
            shortdesc: can.map(|_| what.to_owned()),
            error: can.is_none().then(|| what.to_owned()),
        };
        let agents = [
            entry("fence_ipmilan", Some(Can::Off), "Fence agent for IPMI"),
            entry("fence_scsi", Some(Can::CutOff), "Fence agent for SCSI persistent reservation"),
            entry("fence_kdump", Some(Can::Nothing), "Fencing agent for kdump"),
            entry("fence_odd", None, "fence_odd can't be understood: it printed nothing"),
        ];
        expect_file!["../golden/fence-agents.txt"].assert_eq(&all(&agents, Look::plain(80)));
    }
}
