//! `stead agents`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use stead_core::time::Span;

use super::context::{Context, print, print_json};
use super::exit::Exit;
use super::look::{Look, Tone, wrap};
use super::table::{Cell, table};
use crate::ocf::{
    Action, AgentName, Kind, MetaData, Parameter, ROOT, Safety, describe, describe_all, harmless,
    installed, nearest, safety,
};

/// The heads of a table of parameters.
pub(super) const PARAMETERS: [&str; 5] = ["PARAMETER", "TAKES", "", "DEFAULT", "WHAT IT IS"];
/// How long one agent may take to say what it is. They take 20 to 200 ms; a busy machine longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// A default that is longer than this stands in the text.
const LONG_DEFAULT: usize = 24;

/// Show the resource agents that are installed, or what one of them takes and does.
///
/// Resource agents (OCF) start, stop and watch nginx, file systems, databases and much else; Debian
/// has them in the package resource-agents. Each is asked for its meta-data, which changes nothing.
/// No daemon is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stead agents
  stead agents nginx
  stead agents ocf:pacemaker:Dummy --json

SAFETY says what has to be known of a lost node before its resource may be started elsewhere:
lease, that its lease has ended; fence, that it stopped it itself, or is off by a fence device or
an operator's word. See docs/reference/agents.md.")]
pub(super) struct Agents {
    /// The agent: ocf:PROVIDER:TYPE, or TYPE if only one provider has it
    name: Option<String>,
    /// The folder of resource.d, in which they are installed
    #[arg(long, env = "OCF_ROOT", value_name = "DIR", default_value = ROOT)]
    #[arg(hide_env_values = true)]
    root: PathBuf,
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
pub(super) struct Entry {
    pub(super) name: AgentName,
    pub(super) safety: Safety,
    /// Not known if it said nothing that can be read.
    pub(super) promotable: Option<bool>,
    pub(super) shortdesc: Option<String>,
    /// Why what it is is not known.
    pub(super) error: Option<String>,
}

/// One agent.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    pub(super) name: AgentName,
    pub(super) path: PathBuf,
    pub(super) safety: Safety,
    /// Why it is harmless that two of it run, if it is known to be.
    pub(super) harmless: Option<&'static str>,
    pub(super) promotable: bool,
    pub(super) meta_data: MetaData,
}

impl Agents {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let agents = installed(&self.root).with_context(|| {
            format!("can't list {}; nothing was changed", self.root.join("resource.d").display())
        })?;
        if agents.is_empty() {
            bail!(
                "no resource agents are in {}; Debian has them in the package resource-agents",
                self.root.join("resource.d").display()
            );
        }
        let Some(text) = &self.name else { return self.list(agents, context) };
        let name = meant(&self.root, text, &agents)?;
        let meta_data = describe(&self.root, &name, PATIENCE)?;
        let described = Described {
            path: name.path(&self.root),
            safety: safety(&name),
            harmless: harmless(&name),
            promotable: meta_data.is_promotable(),
            name,
            meta_data,
        };
        if self.json {
            print_json(&described)?;
        } else {
            print(&one(&described, context.out))?;
        }
        Ok(Exit::Done)
    }

    fn list(&self, agents: Vec<AgentName>, context: &Context) -> anyhow::Result<Exit> {
        let answers = describe_all(&self.root, &agents, PATIENCE);
        let agents: Vec<Entry> = agents
            .into_iter()
            .zip(answers)
            .map(|(name, answer)| {
                let error = answer.as_ref().err().map(|error| {
                    let error = anyhow::Chain::new(error).map(ToString::to_string);
                    error.collect::<Vec<_>>().join(": ")
                });
                let known = answer.ok();
                let promotable = known.as_ref().map(MetaData::is_promotable);
                let shortdesc = known.map(|meta| meta.shortdesc);
                Entry { safety: safety(&name), name, promotable, shortdesc, error }
            })
            .collect();
        if self.json {
            print_json(&List { agents })?;
        } else {
            print(&all(&agents, context.out))?;
        }
        Ok(Exit::Done)
    }
}

/// The agent of that name, or the only one of that type.
pub(super) fn meant(root: &Path, text: &str, agents: &[AgentName]) -> anyhow::Result<AgentName> {
    if text.contains(':') {
        return Ok(text.parse()?);
    }
    let same: Vec<&AgentName> = agents.iter().filter(|agent| agent.kind == text).collect();
    match same[..] {
        [one] => Ok(one.clone()),
        [] => {
            let wanted = AgentName { provider: "heartbeat".to_owned(), kind: text.to_owned() };
            match nearest(root, &wanted) {
                Some(near) => bail!("no agent is called {text}; did you mean {near}?"),
                None => bail!("no agent is called {text}; `stead agents` lists all"),
            }
        }
        [..] => {
            let names: Vec<String> = same.iter().map(ToString::to_string).collect();
            bail!("several agents are called {text}; write one of: {}", names.join(", "))
        }
    }
}

fn safety_cell(safety: Safety) -> Cell {
    match safety {
        Safety::Lease => Cell::new(Tone::Good, "lease"),
        Safety::Fence => Cell::new(Tone::Plain, "fence"),
    }
}

/// The table of all agents.
pub(super) fn all(agents: &[Entry], look: Look) -> String {
    let rows: Vec<Vec<Cell>> = agents
        .iter()
        .map(|it| {
            let promotable = if it.promotable == Some(true) { "promotable" } else { "" };
            let what = match (&it.error, &it.shortdesc) {
                (Some(error), _) => Cell::new(Tone::Warn, error),
                (None, what) => what.as_deref().unwrap_or_default().into(),
            };
            let name = it.name.to_string();
            vec![name.into(), safety_cell(it.safety), promotable.into(), what]
        })
        .collect();
    let mut text = table(look, &["AGENT", "SAFETY", "", "WHAT IT IS"], &rows);
    let unknown = agents.iter().filter(|it| it.error.is_some()).count();
    if unknown > 0 {
        text.push_str(&format!("{unknown} of {} can't be used as they are.\n", agents.len()));
    }
    text
}

/// All about one agent.
pub(super) fn one(it: &Described, look: Look) -> String {
    let meta = &it.meta_data;
    let mut text = look.paint(Tone::Head, &it.name.to_string());
    text.push_str(&format!("  {}\n", super::look::harmless(&meta.shortdesc)));
    let versions = [("version", &meta.version), ("OCF API", &meta.api_version)];
    let versions = versions.into_iter().filter(|(_, it)| !it.is_empty());
    let mut facts: Vec<String> = versions.map(|(what, it)| format!("{what} {it}")).collect();
    facts.push(it.path.display().to_string());
    if it.promotable {
        facts.push("promotable".to_owned());
    }
    text.push_str(&format!("{}\n", super::look::harmless(&facts.join(", "))));
    let safety = match (it.safety, it.harmless) {
        (Safety::Lease, Some(reason)) => {
            format!("Safety: lease. Two of it do no harm: it {reason}.")
        }
        (Safety::Lease, None) => "Safety: lease.".to_owned(),
        (Safety::Fence, _) => {
            "Safety: fence. It is started elsewhere only once the former node is \
                               known to do no more harm."
                .to_owned()
        }
    };
    text.push_str(&paragraph(&safety, look));
    // A line of blanks parts paragraphs, too.
    let lines: Vec<&str> = meta.longdesc.lines().map(str::trim).collect();
    for part in lines.join("\n").split("\n\n").filter(|part| !part.trim().is_empty()) {
        text.push_str(&format!("\n{}", paragraph(part, look)));
    }
    if !meta.parameters.is_empty() {
        let rows: Vec<Vec<Cell>> = meta.parameters.iter().map(parameter).collect();
        text.push('\n');
        text.push_str(&table(look, &PARAMETERS, &rows));
    }
    if !meta.actions.is_empty() {
        let rows: Vec<Vec<Cell>> = meta.actions.iter().map(action).collect();
        text.push('\n');
        text.push_str(&table(look, &["ACTION", "TIMEOUT", "EVERY", "ROLE", "DEPTH"], &rows));
    }
    text
}

pub(super) fn paragraph(text: &str, look: Look) -> String {
    let lines = wrap(text, look.width);
    lines.iter().map(|line| format!("{}\n", super::look::harmless(line))).collect()
}

/// A row about a parameter, under [`PARAMETERS`].
pub(super) fn parameter(it: &Parameter) -> Vec<Cell> {
    let takes = match &it.kind {
        Kind::String => "text".to_owned(),
        Kind::Integer => "number".to_owned(),
        Kind::Boolean => "yes or no".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Seconds => "seconds".to_owned(),
        Kind::Select(values) => values.join(" | "),
        Kind::Other(word) => word.clone(),
    };
    let mark = match (it.deprecated, it.required) {
        (true, _) => Cell::new(Tone::Dim, "deprecated"),
        (false, true) => Cell::new(Tone::Head, "required"),
        (false, false) => "".into(),
    };
    let long = if it.longdesc.is_empty() { &it.shortdesc } else { &it.longdesc };
    let mut what = long.split_whitespace().collect::<Vec<_>>().join(" ");
    if !it.replaced_with.is_empty() {
        what = format!("Use {} instead. {what}", it.replaced_with.join(" or "));
    }
    let default = it.default.clone().unwrap_or_default();
    let default = if default.chars().count() > LONG_DEFAULT {
        what.push_str(&format!(" Default: {default}"));
        String::new()
    } else {
        default
    };
    vec![it.name.clone().into(), takes.into(), mark, default.into(), what.into()]
}

fn action(it: &Action) -> Vec<Cell> {
    let time =
        |span: Option<Span>| span.map(|span| span.in_words().to_string()).unwrap_or_default();
    let depth = it.depth.filter(|depth| *depth > 0).map(|it| it.to_string()).unwrap_or_default();
    vec![
        it.name.clone().into(),
        time(it.timeout).into(),
        time(it.interval).into(),
        it.role.clone().unwrap_or_default().into(),
        depth.into(),
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    const ODD: &[u8] = br#"<resource-agent name="odd" version="2.1"><version>1.1</version>
        <shortdesc>Serves &#x9b;31m odd things</shortdesc>
        <longdesc>The first part is so long that it takes more than one line of the terminal that
        it is shown on.

        The second is not.</longdesc>
        <parameters><parameter name="file" required="1"><longdesc>Where it is</longdesc></parameter>
        <parameter name="port"><shortdesc>The port</shortdesc>
        <content type="integer" default="80"/></parameter>
        <parameter name="old"><deprecated><replaced-with name="mode"/></deprecated>
        <content type="boolean"/></parameter>
        <parameter name="mode"><content type="select" default="fast"><option value="fast"/>
        <option value="safe"/></content></parameter>
        <parameter name="match"><longdesc>What to look for.</longdesc>
        <content type="regex" default="a regular expression that takes much room"/></parameter>
        </parameters><actions><action name="promote" timeout="2m"/><action name="demote"/>
        <action name="monitor" depth="10" timeout="20" interval="10s" role="Promoted"/>
        </actions></resource-agent>"#;

    #[test]
    fn one_agent_with_all_that_it_says() {
        let meta_data = MetaData::read(ODD).unwrap();
        let described = Described {
            name: "ocf:mine:odd".parse().unwrap(),
            path: "/usr/lib/ocf/resource.d/mine/odd".into(),
            safety: Safety::Fence,
            harmless: None,
            promotable: meta_data.is_promotable(),
            meta_data,
        };
        expect_file!["golden/one-resource-agent.txt"].assert_eq(&one(&described, Look::plain(80)));
    }

    #[test]
    fn agents_in_a_list() {
        let entry = |name: &str, what: Result<(bool, &str), &str>| {
            let name: AgentName = name.parse().unwrap();
            let known = what.ok();
            Entry {
                safety: safety(&name),
                name,
                promotable: known.map(|it| it.0),
                shortdesc: known.map(|it| it.1.to_owned()),
                error: what.err().map(str::to_owned),
            }
        };
        let agents = [
            entry("ocf:heartbeat:nginx", Ok((false, "Manages an nginx"))),
            entry("ocf:heartbeat:pgsql", Ok((true, "Manages a PostgreSQL database instance"))),
            entry("ocf:mine:odd", Err("ocf:mine:odd can't be understood: it printed nothing")),
        ];
        expect_file!["golden/resource-agents.txt"].assert_eq(&all(&agents, Look::plain(80)));
    }
}
