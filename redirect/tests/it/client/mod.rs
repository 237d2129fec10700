//! Agents on clients' machines, with real servers and real programs.

mod believes;
mod files;
mod machines;
mod proxy;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stead_redirect::client::{FileState, RunError, SourceState, Status, run, status};
use stead_redirect::knowledge::Key;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::knowledge::PATIENCE;

/// A machine's folder: the configuration, the state, templates and files.
pub(crate) struct Machine(TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A program that is a script of the shell's; `$0` is in this folder.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path =
            self.write(name, &format!("#!/bin/sh\ncd {}\n{text}\n", self.0.path().display()));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its mode");
        path.display().to_string()
    }

    /// A configuration that follows `web`.
    pub(crate) fn configure(&self, watch: &[String], trust: &[&Key], more: &str) -> PathBuf {
        let trust = trust.iter().map(|key| format!("\"{}\"", key.digest()));
        let trust: Vec<String> = trust.collect();
        let text = format!(
            "cluster = \"shop\"\ntrust = [{}]\nwatch = {watch:?}\nstate = {:?}\npoll = \"100ms\"\n\
             services = [\"web\"]\n{more}",
            trust.join(", "),
            self.path("state"),
        );
        self.write("client.toml", &text)
    }

    pub(crate) fn status(&self) -> Option<Status> {
        status(&self.path("state")).ok()
    }

    /// Waits until the agent says that of itself.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            match status {
                Some(status) if holds(&status) => return status,
                other => assert!(Instant::now() < deadline, "{what}: {other:#?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the newest document that is known has this sequence.
    pub(crate) async fn knows(&self, sequence: u64) -> Status {
        self.until("it knows", |status| sequence_of(status) == Some(sequence)).await
    }

    /// Waits until the only file stands like this, after an attempt with that document.
    pub(crate) async fn stands(&self, sequence: u64, state: FileState) -> Status {
        self.until("the file stands", |status| {
            status.files.first().is_some_and(|file| {
                let tried = file.tried.get("web").map(|order| order.sequence);
                tried == Some(sequence) && file.state == state
            })
        })
        .await
    }
}

pub(crate) fn sequence_of(status: &Status) -> Option<u64> {
    status.services.get("web").map(|it| it.document.order.sequence)
}

pub(crate) fn refused(status: &Status, url: &str) -> Option<String> {
    status.sources.iter().find(|it| it.url.starts_with(url))?.refused.clone()
}

pub(crate) fn heard_by(status: &Status, url: &str) -> Option<SourceState> {
    status.sources.iter().find(|it| it.url.starts_with(url)).map(|it| it.state)
}

/// An agent at work.
pub(crate) struct Agent {
    ending: watch::Sender<bool>,
    works: JoinHandle<Result<(), RunError>>,
}

impl Agent {
    pub(crate) fn start(config: &Path) -> Self {
        let (ending, ends) = watch::channel(false);
        let config = config.to_owned();
        // What another one said before would be taken for this one's word.
        let _ = fs::remove_file(config.with_file_name("state").join("status.json"));
        let works = tokio::spawn(async move { run(&config, ends).await });
        Self { ending, works }
    }

    pub(crate) async fn end(self) {
        self.ending.send_replace(true);
        self.works.await.expect("it ends").expect("nothing was wrong");
    }

    /// Ends as by a crash: nothing is written any more.
    pub(crate) async fn abort(self) {
        self.works.abort();
        assert!(self.works.await.is_err(), "it was at work");
    }
}
