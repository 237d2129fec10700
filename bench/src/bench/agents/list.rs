//! The list of agents: what each of them needs to be tried.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{BenchError, Step};

/// All agents.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    agent: Vec<Entry>,
}

/// One agent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// PROVIDER:TYPE.
    pub name: String,
    /// Debian packages to be installed first, into the room of the trial.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What is written for the agent.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Files to be written first, by their paths.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, String>,
    /// Commands to be run first.
    #[serde(default)]
    pub prepare: Vec<Vec<String>>,
    /// Programs to be left running beside it: what the agent's own thing talks to.
    #[serde(default)]
    pub beside: Vec<Vec<String>>,
    /// What it leaves running for a moment is not what it looks after: nothing is to be killed.
    #[serde(default)]
    pub no_kill: bool,
    /// Why there is no round.
    #[serde(default)]
    pub none: Option<String>,
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// There is no such file, or it is no list.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let what = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(path).step(what)?;
        let list: Self = toml::from_str(&text).map_err(std::io::Error::other).step(what)?;
        Ok(list)
    }

    /// What an agent needs, by PROVIDER:TYPE.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Entry> {
        self.agent.iter().find(|entry| entry.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> List {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("agents.toml");
        List::read(&path).expect("readable")
    }

    #[test]
    fn every_agent_of_debian_is_in_the_list() {
        let root = Path::new(stead::ocf::ROOT);
        let installed = stead::ocf::installed(root).expect("readable");
        let ours_of = installed.iter().filter(|agent| agent.provider == "heartbeat");
        assert_eq!(ours_of.clone().count(), 141, "package resource-agents is of another version");
        let list = ours();
        for agent in ours_of {
            let name = format!("{}:{}", agent.provider, agent.kind);
            let entry = list.of(&name).expect(&name);
            let has_round = entry.none.is_none();
            assert!(has_round || entry.prepare.is_empty(), "{name}: prepared for nothing");
        }
    }

    #[test]
    fn no_agent_stands_there_twice() {
        let mut names: Vec<_> = ours().agent.into_iter().map(|it| it.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_list_with_a_word_that_means_nothing_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.toml");
        let text = "[[agent]]\nname = \"heartbeat:Dummy\"\npackage = [\"x\"]\n";
        std::fs::write(&path, text).expect("written");
        let error = List::read(&path).expect_err("refused").told();
        assert!(error.contains("line 3") && error.contains("package"), "{error}");
    }
}
