//! Names of fence agents, and the folders in which they are installed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::alike;
use crate::ocf::name::{is_program, shown};

/// Where agents are looked for, first to last: an administrator's own stand before Debian's.
pub const FOLDERS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];
/// How all names begin. Programs of other names are no fence agents, whatever they would do.
const PREFIX: &str = "fence_";
/// A longer word is no name of an agent, nor a slip of one.
const LONGEST: usize = 100;

/// The name of a fence agent: that of its file, such as `fence_ipmilan`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

/// A text that is no name of a fence agent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not the name of a fence agent: it begins with fence_, and has letters, digits, - and \
     _ only"
)]
pub struct NameError(String);

fn usable(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.len() > PREFIX.len()
        && name.len() <= LONGEST
        && name.starts_with(PREFIX)
        && name.chars().all(allowed)
}

impl FromStr for AgentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if usable(text) { Ok(Self(text.to_owned())) } else { Err(NameError(shown(text))) }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
        name.0
    }
}

impl AgentName {
    /// Its file, in the first folder that has such a program.
    #[must_use]
    pub fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        folders.iter().map(|folder| folder.join(&self.0)).find(|path| is_program(path))
    }
}

/// The folders of a machine as Debian has it.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    FOLDERS.iter().map(PathBuf::from).collect()
}

/// All agents that are installed, sorted.
///
/// # Errors
/// A folder is there and can't be read.
pub fn installed(folders: &[PathBuf]) -> io::Result<Vec<AgentName>> {
    let mut agents = Vec::new();
    for folder in folders {
        agents.extend(agents_in(folder)?);
    }
    agents.sort();
    agents.dedup();
    Ok(agents)
}

fn agents_in(folder: &Path) -> io::Result<Vec<AgentName>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut agents = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && is_program(&entry.path())
        {
            agents.push(name);
        }
    }
    Ok(agents)
}

/// The installed agent that was probably meant by a name that is none, also one without its
/// beginning: `ipmilan`. `None` also if the agents can't be listed.
#[must_use]
pub fn nearest(folders: &[PathBuf], name: &str) -> Option<AgentName> {
    let agents = installed(folders).ok()?;
    let whole = if name.starts_with(PREFIX) { name.to_owned() } else { format!("{PREFIX}{name}") };
    // All begin alike, which makes any two of them alike: only the rest counts.
    let rest = |name: &'_ str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let rests: Vec<String> = agents.iter().map(|agent| rest(&agent.0)).collect();
    let near = alike::nearest(&rest(&whole), rests.iter().map(String::as_str))?;
    agents.iter().find(|agent| rest(&agent.0) == near).cloned()
}
