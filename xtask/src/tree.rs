//! The text of the tree, read once and given to every check.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders that hold no source of ours.
const SKIPPED: [&str; 2] = ["target", ".git"];
/// A file larger than this is data, not source.
const LARGEST_BYTES: u64 = 4 << 20;

/// One file of the tree.
#[derive(Debug)]
pub struct File {
    /// Relative to the root of the workspace, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl File {
    /// Whether this is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The crate's folder: the first part of the path.
    pub fn top(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

/// All files that are text.
#[derive(Debug, Default)]
pub struct Tree {
    /// Sorted by path.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads everything below `root` that is text.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries = fs::read_dir(folder)
            .with_context(|| format!("the folder `{prefix}` could not be read"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("the folder `{prefix}` changed"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().with_context(|| path.clone())?;
            if kind.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.walk(&entry.path(), &path)?;
                }
            } else if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() <= LARGEST_BYTES) {
                // A file that is not UTF-8 is data; one that vanished is being edited.
                if let Ok(text) = fs::read_to_string(entry.path()) {
                    self.files.push(File { path, text });
                }
            }
        }
        Ok(())
    }

    /// The file at exactly this path.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// A tree for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        Self { files }
    }
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, relative to the root.
    pub path: String,
    /// Counted from 1; 0 is the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl Finding {
    /// A finding in `path`.
    pub fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}
