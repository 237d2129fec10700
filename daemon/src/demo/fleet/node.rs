//! One node of a fleet: its host, its folders, its commands.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use stead_lab::Host;
use stead_linux::durable::write_atomically;

use super::PATIENCE;
use super::error::{FleetError, Step};
use super::folder::Folder;
use super::supervisor::Part;
use crate::api::report::UNPROVABLE;
use crate::paths::Paths;

struct Inner {
    name: String,
    host: Host,
    root: PathBuf,
    program: PathBuf,
    commands: AtomicU64,
}

/// A node. Cheap to clone; its processes live as long as the fleet.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The node.
    pub node: String,
    /// What was typed, without the program and the folders.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said about errors.
    pub stderr: String,
}

impl Output {
    /// What it printed, if it ended well.
    ///
    /// # Errors
    /// It didn't.
    pub fn expect_success(self) -> Result<String, FleetError> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(FleetError::Command {
            command: self.command,
            node: self.node,
            status: self.status.to_string(),
            stderr: self.stderr.trim().to_owned(),
        })
    }
}

impl Node {
    pub(super) fn create(
        name: &str,
        host: Host,
        folder: &Folder,
        program: &Path,
    ) -> Result<Self, FleetError> {
        let root = folder.path().join(name);
        let paths = Paths::below(&root);
        for path in [&root, &paths.etc, &paths.state, &paths.run] {
            fs::create_dir(path).step(|| format!("cannot make {}", path.display()))?;
        }
        let (name, program) = (name.to_owned(), program.to_owned());
        Ok(Self(Arc::new(Inner { name, host, root, program, commands: AtomicU64::new(0) })))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// Its folders.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::below(&self.0.root)
    }

    /// What a part of it prints goes there.
    #[must_use]
    pub fn log(&self, part: Part) -> PathBuf {
        self.0.root.join(format!("{}.log", part.name()))
    }

    /// Writes /etc/stead/cluster.toml.
    ///
    /// # Errors
    /// It can't.
    pub fn write_configuration(&self, text: &str) -> Result<(), FleetError> {
        let path = self.paths().configuration();
        write_atomically(&path, text.as_bytes(), 0o600)
            .map_err(std::io::Error::other)
            .step(|| format!("cannot write {}", path.display()))
    }

    /// The program with this node's folders, and these words.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let paths = self.paths();
        let mut command = Command::new(&self.0.program);
        command.arg("--etc").arg(paths.etc).arg("--state").arg(paths.state);
        command.arg("--run").arg(paths.run).args(words);
        command
    }

    /// Types a command of stead on the node, and waits for its end.
    ///
    /// # Errors
    /// It could not be started or did not end. That it ended badly is no error.
    pub fn stead(&self, words: &[&str]) -> Result<Output, FleetError> {
        let node = self.name().to_owned();
        let typed = words.join(" ");
        let number = self.0.commands.fetch_add(1, Ordering::Relaxed);
        let file = |ending: &str| self.0.root.join(format!("command-{number}.{ending}"));
        let (out, err) = (file("out"), file("err"));
        let what = || format!("cannot run `stead {typed}` on {node}");
        let mut command = self.command(words);
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).step(what)?).stderr(File::create(&err).step(what)?);
        let process = self.host().spawn_as_is(command).step(what)?;
        let Some(status) = process.wait(PATIENCE)? else {
            process.kill()?;
            let what = format!("the end of `stead {typed}` on {node}");
            return Err(FleetError::Late { what, within: PATIENCE, last: None });
        };
        let read = |path: &Path| {
            let bytes = fs::read(path).step(what)?;
            fs::remove_file(path).step(what)?;
            Ok::<_, FleetError>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (stdout, stderr) = (read(&out)?, read(&err)?);
        Ok(Output { command: typed.clone(), node: node.clone(), status, stdout, stderr })
    }

    /// Types a command that answers in JSON.
    ///
    /// # Errors
    /// It ended badly, or printed something else.
    pub fn json(&self, words: &[&str]) -> Result<Value, FleetError> {
        let output = self.stead(words)?;
        let command = output.command.clone();
        let text = output.expect_success()?;
        serde_json::from_str(&text).map_err(|error| FleetError::Answer {
            command,
            node: self.name().to_owned(),
            detail: error.to_string(),
        })
    }

    /// `stead status --json`.
    ///
    /// # Errors
    /// It doesn't answer.
    pub fn status(&self) -> Result<Value, FleetError> {
        self.json(&["status", "--json"])
    }

    /// The journal's lines, oldest first, as the file has them.
    ///
    /// # Errors
    /// It can't be read.
    pub fn events(&self) -> Result<Vec<String>, FleetError> {
        let path = self.paths().journal();
        let text = fs::read_to_string(&path).step(|| format!("cannot read {}", path.display()))?;
        let text_of = |line: &str| {
            let entry: Value = serde_json::from_str(line).ok()?;
            Some(entry["text"].as_str()?.to_owned())
        };
        Ok(text.lines().filter_map(text_of).collect())
    }
}

/// Who holds a service by the word of a status.
#[must_use]
pub fn holder(status: &Value, service: &str) -> Option<String> {
    let services = status["services"].as_array()?;
    let found = services.iter().find(|it| it["name"].as_str() == Some(service))?;
    found["node"].as_str().map(str::to_owned)
}

/// What a node complains of; empty if all is well with this many nodes.
pub(super) fn complaint(status: &Value, nodes: usize) -> String {
    let none = Vec::new();
    let in_view = |node: &&Value| node["state"].as_str() == Some("in-view");
    let seen = status["nodes"].as_array().unwrap_or(&none).iter().filter(in_view).count();
    if seen < nodes {
        return format!("{seen} of {nodes} nodes in view");
    }
    let problems = status["problems"].as_array().unwrap_or(&none);
    let texts = problems.iter().filter_map(|it| it["what"].as_str());
    // Of a fleet without fence devices nothing else can be said.
    let (bare, texts): (Vec<&str>, Vec<&str>) = texts.partition(|it| it.ends_with(UNPROVABLE));
    if !bare.is_empty() && texts.is_empty() {
        return String::new();
    }
    if !texts.is_empty() || status["protected"].as_bool() == Some(true) {
        return texts.join("; ");
    }
    "it does not say that all is protected".to_owned()
}
