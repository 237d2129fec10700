//! Names of agents, and the folder in which they are installed.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::alike::likeness;

/// The root of the OCF folders, as Debian has it.
pub const ROOT: &str = "/usr/lib/ocf";

/// A longer word is no name of an agent or a parameter, nor a slip of one.
const LONGEST: usize = 100;

/// The name of an agent: `ocf:heartbeat:nginx`. Providers keep their agents apart: the agent Dummy
/// of `heartbeat` is not that of `pacemaker` (OCF Resource Agent API 1.0, "Filesystem location").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName {
    /// Who provides it: the name of its folder.
    pub provider: String,
    /// The type of resource: the name of its file.
    pub kind: String,
}

/// Why a text is no name of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It doesn't have three parts, or doesn't begin with `ocf`.
    #[error(
        "`{0}` is not the name of a resource agent; write ocf:PROVIDER:TYPE, such as \
         ocf:heartbeat:nginx (`stead agents` lists those that are installed)"
    )]
    Form(String),
    /// Another class of agents.
    #[error("agents of class `{0}` are not run; write ocf:PROVIDER:TYPE, such as {USUAL}")]
    Class(String),
    /// A part can't be the name of a file or folder of agents.
    #[error(
        "`{part}` in `{name}` is not the name of a provider or a type; write letters, digits and \
         -_+. only, and no dot first, as in {USUAL}"
    )]
    Part {
        /// The part.
        part: String,
        /// The whole.
        name: String,
    },
}

const USUAL: &str = "ocf:heartbeat:nginx";

/// The classes that Pacemaker knows beside `ocf`.
const OTHER_CLASSES: [&str; 6] = ["systemd", "service", "lsb", "stonith", "upstart", "nagios"];

/// Whether it can be a file or folder of agents, and leaves the folder that it is in by no means.
fn usable(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
    !part.is_empty() && part.len() <= LONGEST && !part.starts_with('.') && part.chars().all(allowed)
}

/// What an error shows of a text: the beginning, without what a terminal could take for orders.
pub(crate) fn shown(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = text.chars().take(LONGEST).map(harmless).collect();
    if shown.len() < text.len() {
        shown.push('\u{2026}');
    }
    shown
}

impl FromStr for AgentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parts: Vec<&str> = text.split(':').take(4).collect();
        match parts[..] {
            ["ocf", provider, kind] => {
                for part in [provider, kind] {
                    if !usable(part) {
                        return Err(NameError::Part { part: shown(part), name: shown(text) });
                    }
                }
                Ok(Self { provider: provider.to_owned(), kind: kind.to_owned() })
            }
            [class, ..] if OTHER_CLASSES.contains(&class) => {
                Err(NameError::Class(class.to_owned()))
            }
            _ => Err(NameError::Form(shown(text))),
        }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ocf:{}:{}", self.provider, self.kind)
    }
}

impl TryFrom<String> for AgentName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.to_string()
    }
}

impl AgentName {
    /// Where its program is: ROOT/resource.d/PROVIDER/TYPE (OCF Resource Agent API 1.0).
    #[must_use]
    pub fn path(&self, root: &Path) -> PathBuf {
        folder(root).join(&self.provider).join(&self.kind)
    }
}

fn folder(root: &Path) -> PathBuf {
    root.join("resource.d")
}

/// Whether there is a file that can be run.
pub(crate) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// All agents that are installed, sorted. None if there is no folder of agents.
///
/// # Errors
/// The folder is there and can't be read.
pub fn installed(root: &Path) -> io::Result<Vec<AgentName>> {
    let mut agents = Vec::new();
    for provider in names(&folder(root))? {
        let path = folder(root).join(&provider);
        if !path.is_dir() {
            continue;
        }
        for kind in names(&path)? {
            let name = AgentName { provider: provider.clone(), kind };
            if is_program(&name.path(root)) {
                agents.push(name);
            }
        }
    }
    agents.sort();
    Ok(agents)
}

/// The entries of a folder that can be a provider or an agent.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && usable(&name)
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// The installed agent that was probably meant by a name that is none. `None` also if the agents
/// can't be listed: there is nothing to propose then.
#[must_use]
pub fn nearest(root: &Path, name: &AgentName) -> Option<AgentName> {
    let agents = installed(root).ok()?;
    let alike = |agent: &AgentName| {
        let kind = likeness(&name.kind, &agent.kind)?;
        // Of two that are equally alike the one with the likelier provider.
        Some((kind, likeness(&name.provider, &agent.provider).unwrap_or(0.0)))
    };
    let candidates = agents.into_iter().filter_map(|agent| Some((alike(&agent)?, agent)));
    let best = candidates.max_by(|((kind, provider), _), ((other, theirs), _)| {
        kind.total_cmp(other).then(provider.total_cmp(theirs))
    });
    best.map(|(_, agent)| agent)
}
