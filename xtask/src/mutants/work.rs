//! The copy of the workspace that the bugs are put into, and the simulator that is built from it.
//!
//! It lies under `target/mutants` and has a target folder of its own, so that only the core and the
//! simulator are built again from bug to bug. Everything is copied from what was read at the
//! beginning: the tree may be edited meanwhile. Cargo's configuration needs no copy; cargo finds
//! the one above.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::tree::{File as Source, Tree};

const SIMULATOR: &str = "sim";
/// How long a scenario may take: they take some milliseconds.
const SCENARIO: Duration = Duration::from_secs(120);
/// How often a run is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How much of a broken run's last words is shown.
const LAST_LINES: usize = 12;

/// How the run of one bug ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A judge saw it.
    Caught { judge: String, seed: u64, what: String },
    /// Every seed held, and a scenario file goes otherwise than it is written.
    Told(String),
    /// Every seed held, and every scenario file goes as written.
    Missed,
    /// It was stopped.
    TooLong,
    /// It came to no verdict; the text says why.
    Broken(String),
}

/// The copy.
#[derive(Debug)]
pub struct Work<'a> {
    folder: PathBuf,
    sources: Vec<&'a Source>,
}

impl<'a> Work<'a> {
    /// A fresh copy below `root`, of the simulator and what it depends on.
    pub fn new(root: &Path, tree: &'a Tree) -> Result<Self> {
        let folder = root.join("target/mutants");
        let copy = folder.join("work");
        if copy.exists() {
            fs::remove_dir_all(&copy).context("the former copy can't be removed")?;
        }
        let top = tree.get("Cargo.toml").context("there is no Cargo.toml")?;
        let crates = needed(tree, &top.text)?;
        let lock = tree.get("Cargo.lock").context("there is no Cargo.lock")?;
        let work = Self {
            folder,
            sources: tree.files.iter().filter(|file| crates.contains(file.top())).collect(),
        };
        work.put("Cargo.toml", &reduced(&top.text, &crates)?)?;
        work.put("Cargo.lock", &lock.text)?;
        Ok(work)
    }

    /// Makes the copy like the source, but for the files given with their text. What is so already
    /// is not touched, so that cargo doesn't build it again.
    pub fn prepare(&self, edited: &[(String, String)]) -> Result<()> {
        for source in &self.sources {
            let edit = edited.iter().find(|(path, _)| *path == source.path);
            self.put(&source.path, edit.map_or(source.text.as_str(), |(_, text)| text.as_str()))?;
        }
        Ok(())
    }

    fn put(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.join("work").join(path);
        if fs::read(&path).is_ok_and(|present| present == text.as_bytes()) {
            return Ok(());
        }
        let parent = path.parent().context("a file stands in a folder")?;
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("{} can't be written", path.display()))
    }

    /// Builds the simulator of the copy.
    pub fn build(&self) -> Result<()> {
        let output = Command::new("cargo")
            .args(["build", "--release", "--offline", "--quiet"])
            .args(["--package", "stead-sim", "--bin", "stead-sim"])
            // Built once for each bug and run for seconds: the build is what takes the time.
            .args(["core", "sim"].iter().flat_map(|name| {
                let profile = format!("profile.release.package.stead-{name}");
                let (level, units) = ("opt-level=1", "codegen-units=16");
                [level, units].map(|it| format!("--config={profile}.{it}"))
            }))
            .current_dir(self.folder.join("work"))
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .output()
            .context("cargo could not be started")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let errors = text.lines().skip_while(|line| !line.starts_with("error"));
            let errors: Vec<_> = errors.take(LAST_LINES).collect();
            bail!("it does not build: {}", errors.join("\n"));
        }
        Ok(())
    }

    /// Runs what was built over that many seeds, until the first that fails.
    pub fn judge(&self, seeds: u64, jobs: usize, patience: Duration) -> Result<Verdict> {
        let (out, err) = (self.folder.join("stdout"), self.folder.join("stderr"));
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("{} can't be written", path.display()))
        };
        let child = Command::new(self.folder.join("target/release/stead-sim"))
            .args(["run", "--seeds", &format!("0..{seeds}"), "--jobs", &jobs.to_string()])
            .arg("--stop-at-first")
            .current_dir(self.folder.join("work"))
            .stdin(Stdio::null())
            .stdout(create(&out)?)
            .stderr(create(&err)?)
            .spawn()
            .context("the simulator could not be started")?;
        let Some(status) = wait(child, patience)? else { return Ok(Verdict::TooLong) };
        let read = |path: &Path| {
            let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(verdict(status.success(), &read(&out)?, &read(&err)?))
    }

    /// The first scenario file that goes otherwise than it is written; nothing if all go so.
    pub fn scenario(&self, folder: &Path) -> Result<Option<String>> {
        let files = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
        let files: Result<Vec<_>, _> = files.map(|file| file.map(|file| file.path())).collect();
        let mut files = files.with_context(|| format!("{}", folder.display()))?;
        files.sort();
        for file in files {
            let child = Command::new(self.folder.join("target/release/stead-sim"))
                .arg("play")
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("the simulator could not be started")?;
            // One that never ends goes otherwise as well.
            let ended = wait(child, SCENARIO)?;
            if !ended.is_some_and(|status| status.success()) {
                let name = file.file_stem().unwrap_or_default();
                return Ok(Some(name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }
}

/// How the program ended; nothing if it had to be stopped.
fn wait(mut child: Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("the simulator can't be waited for")? {
            return Ok(Some(status));
        }
        if begun.elapsed() > patience {
            child.kill().context("the simulator can't be stopped")?;
            child.wait().context("the simulator can't be waited for")?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// What a run says: its exit status and the last line of its output have to agree.
fn verdict(success: bool, out: &str, err: &str) -> Verdict {
    let last = out.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let broken = |why: &str| {
        let lines: Vec<_> = err.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LAST_LINES)..];
        Verdict::Broken(format!("{why}\n{}", tail.join("\n")).trim_end().to_owned())
    };
    let Ok(result) = serde_json::from_str::<Json>(last) else {
        return broken("its last line is no result");
    };
    let Some(failed) = result.get("failed").and_then(Json::as_u64) else {
        return broken("its result does not say how many seeds failed");
    };
    let first = result.get("first_failed").filter(|first| !first.is_null());
    match (success, failed, first) {
        (true, 0, None) => Verdict::Missed,
        (false, 1.., Some(first)) => {
            let text = |key: &str| first.get(key).and_then(Json::as_str).map(str::to_owned);
            let seed = first.get("seed").and_then(Json::as_u64);
            match (text("judge"), seed, text("what")) {
                (Some(judge), Some(seed), Some(what)) => Verdict::Caught { judge, seed, what },
                _ => broken("its result does not name the judge, the seed and what failed"),
            }
        }
        _ => broken("its exit status and its result do not agree"),
    }
}

/// The folders of the simulator and of every crate of ours that it depends on.
fn needed(tree: &Tree, top: &str) -> Result<BTreeSet<String>> {
    let top: Table = top.parse().context("Cargo.toml can't be parsed")?;
    let shared = top.get("workspace").and_then(|it| it.get("dependencies"));
    let folder = |name: &str| {
        let path = shared.and_then(|it| it.get(name)).and_then(|it| it.get("path"));
        path.and_then(Value::as_str).map(str::to_owned)
    };
    let mut crates = BTreeSet::new();
    let mut open = vec![SIMULATOR.to_owned()];
    while let Some(next) = open.pop() {
        let path = format!("{next}/Cargo.toml");
        let manifest = tree.get(&path).with_context(|| format!("there is no {path}"))?;
        let manifest: Table = manifest.text.parse().with_context(|| path.clone())?;
        if !crates.insert(next) {
            continue;
        }
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = manifest.get(section).and_then(Value::as_table);
            let names = names.into_iter().flat_map(Table::keys);
            open.extend(names.filter_map(|name| folder(name)));
        }
    }
    Ok(crates)
}

/// The workspace's manifest with those members alone.
fn reduced(top: &str, crates: &BTreeSet<String>) -> Result<String> {
    let mut top: Table = top.parse().context("Cargo.toml can't be parsed")?;
    // The simulator needs no crate that is put in the place of another, and the copy has none.
    top.remove("patch");
    let members: Vec<_> = crates.iter().cloned().map(Value::String).collect();
    let workspace = top.get_mut("workspace").and_then(Value::as_table_mut);
    let workspace = workspace.context("Cargo.toml has no [workspace]")?;
    workspace.insert("members".to_owned(), Value::Array(members.clone()));
    workspace.insert("default-members".to_owned(), Value::Array(members));
    toml::to_string(&top).context("the reduced Cargo.toml can't be written down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_judge_that_names_what_it_saw_has_caught_a_bug() {
        let out = "seed 3: ...\n{\"seeds\": 4, \"failed\": 1, \"virtual_hours\": 0.1, \"faults\": \
                   9, \"first_failed\": {\"seed\": 3, \"judge\": \"I3\", \"what\": \"two\"}}\n\n";
        let caught = Verdict::Caught { judge: "I3".into(), seed: 3, what: "two".into() };
        assert_eq!(verdict(false, out, ""), caught);
        let held = "{\"seeds\": 4, \"failed\": 0, \"first_failed\": null}";
        assert_eq!(verdict(true, held, ""), Verdict::Missed);
        let broken = [
            (true, out),
            (false, held),
            (false, ""),
            (false, "thread panicked"),
            (true, "{\"seeds\": 4}"),
            (false, "{\"seeds\": 4, \"failed\": 1, \"first_failed\": null}"),
            (false, "{\"seeds\": 4, \"failed\": 1, \"first_failed\": {\"seed\": 3}}"),
        ];
        for (success, out) in broken {
            let got = verdict(success, out, "a\nlast words\n");
            assert!(matches!(&got, Verdict::Broken(text) if text.ends_with("words")), "{got:?}");
        }
    }

    #[test]
    fn what_runs_on_is_stopped() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(wait(child, Duration::ZERO).unwrap(), None);
        let child = Command::new("true").spawn().unwrap();
        assert!(wait(child, Duration::from_secs(60)).unwrap().is_some_and(|it| it.success()));
    }

    #[test]
    fn the_copy_holds_the_simulator_and_what_it_depends_on() {
        let top = "[workspace]\nmembers = [\"core\", \"log\", \"sim\"]\n\
                   [workspace.dependencies]\nstead-core = { path = \"core\" }\n\
                   stead-log = { path = \"log\" }\nclap = \"4\"\n\
                   [patch.crates-io]\nanother = { path = \"ours\" }\n";
        let sim = "[dependencies]\nclap.workspace = true\nstead-core.workspace = true\n";
        let tree = Tree::of(&[
            ("core/Cargo.toml", "[dependencies]\n"),
            ("log/Cargo.toml", "[dependencies]\nstead-core.workspace = true\n"),
            ("sim/Cargo.toml", sim),
        ]);
        let crates = needed(&tree, top).unwrap();
        assert_eq!(crates, BTreeSet::from(["core".to_owned(), "sim".to_owned()]));
        let reduced: Table = reduced(top, &crates).unwrap().parse().unwrap();
        let members = reduced["workspace"]["members"].as_array().unwrap();
        assert_eq!(members.len(), 2);
        assert!(!reduced.contains_key("patch"));
        assert!(needed(&Tree::of(&[]), top).is_err());
    }

    #[test]
    fn edits_come_and_go() {
        let root = std::env::temp_dir().join(format!("stead-mutants-{}", std::process::id()));
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\nmembers = []\n"),
            ("Cargo.lock", "version = 4\n"),
            ("other/src/lib.rs", "other"),
            ("sim/Cargo.toml", ""),
            ("sim/src/main.rs", "good"),
        ]);
        let work = Work::new(&root, &tree).unwrap();
        let read = |path: &str| fs::read_to_string(root.join("target/mutants/work").join(path));
        work.prepare(&[("sim/src/main.rs".to_owned(), "bad".to_owned())]).unwrap();
        let seeded = read("sim/src/main.rs").unwrap();
        work.prepare(&[]).unwrap();
        let (restored, other) = (read("sim/src/main.rs").unwrap(), read("other/src/lib.rs"));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((seeded.as_str(), restored.as_str()), ("bad", "good"));
        assert!(other.is_err(), "a crate that is not needed was copied");
    }
}
