//! The folder of a fleet: for its owner only, and gone at the end.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{FleetError, Step};

/// How much of each file is shown when a test fails.
const LAST_WORDS: usize = 40;

/// A folder that vanishes with this value.
pub(super) struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    /// A new folder below the usual place for temporary ones, mode 0700.
    pub(super) fn create() -> Result<Self, FleetError> {
        // Short: the path of a socket must fit into 107 bytes.
        let template = std::env::temp_dir().join("stead-XXXXXX");
        let path = nix::unistd::mkdtemp(&template)
            .step(|| format!("cannot make a folder like {}", template.display()))?;
        Ok(Self { path, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    fn remove(&mut self) {
        if self.kept {
            return;
        }
        if std::thread::panicking() {
            self.last_words();
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }

    /// What the processes of every node printed last.
    fn last_words(&self) {
        let Ok(nodes) = fs::read_dir(&self.path) else { return };
        let mut nodes: Vec<PathBuf> = nodes.flatten().map(|node| node.path()).collect();
        nodes.sort();
        for node in nodes {
            for file in ["guard.log", "daemon.log", "state/events.jsonl"] {
                let path = node.join(file);
                let Ok(text) = fs::read(&path) else { continue };
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<&str> = text.lines().collect();
                let from = lines.len().saturating_sub(LAST_WORDS);
                eprintln!("--- {}", path.display());
                for line in &lines[from..] {
                    eprintln!("{}", event(line).as_deref().unwrap_or(line));
                }
            }
        }
    }
}

/// A line of the journal as people read it.
fn event(line: &str) -> Option<String> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(format!("{} {}", entry["time"].as_str()?, entry["text"].as_str()?))
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}
