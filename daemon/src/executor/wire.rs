//! The socket between an executor and whichever daemon runs: lines of JSON one way, a word the
//! other. The folder is root's alone, so the kernel says who may connect.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::Epoch;
use stead_core::resource::Whole;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// What asks for the end.
pub(super) const STOP: &str = "stop";
/// No picture is longer, in bytes: a hundred resources with a reason and ten long lines each fit,
/// however much of them has to be escaped.
const LONGEST: u64 = 8 * 1024 * 1024;
/// How soon a connection is tried again.
const AGAIN: Duration = Duration::from_millis(5);
/// The longest such pause.
const AGAIN_MAX: Duration = Duration::from_millis(200);

/// Where a service's resources are, all together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// They have not all worked yet.
    Starting,
    /// All work.
    Works,
    /// All did, and one is being started again.
    Restarting,
    /// Given up on this node.
    Failed {
        /// Which one could not be had.
        resource: String,
        /// Why.
        reason: String,
    },
    /// They are being stopped.
    Stopping,
    /// Nothing is left.
    Stopped,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceView {
    /// Its name.
    pub name: String,
    /// By what it is looked after: `process`, or an agent's name.
    pub agent: String,
    /// Where it is: a word of `stead_core::resource::Stage`.
    pub stage: String,
    /// How many of its failures count.
    pub failures: u32,
    /// How often it failed since the executor began, forgotten ones included.
    pub all_failures: u64,
    /// Why it failed last.
    pub reason: Option<String>,
    /// The last lines that it or its agent printed when it failed, oldest first.
    #[serde(default)]
    pub lines: Vec<String>,
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The assignment under which this runs.
    pub epoch: Epoch,
    /// All together.
    #[serde(flatten)]
    pub state: State,
    /// Each, in the order of the file.
    pub resources: Vec<ResourceView>,
}

impl Picture {
    /// The same as the machine has it; a resource by its place.
    #[must_use]
    pub fn whole(&self) -> Whole {
        match &self.state {
            State::Starting => Whole::Starting,
            State::Works => Whole::Works,
            State::Restarting => Whole::Restarting,
            State::Failed { resource, reason } => {
                let place = self.resources.iter().position(|it| it.name == *resource);
                Whole::Failed(place.unwrap_or_default(), reason.clone())
            }
            State::Stopping => Whole::Stopping,
            State::Stopped => Whole::Stopped,
        }
    }
}

/// A daemon's end of the socket: connects, and connects again, for as long as it is there.
#[derive(Debug)]
pub struct Line {
    pictures: watch::Receiver<Option<Picture>>,
    stop: watch::Sender<bool>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Begins to connect to the executor at that socket.
    #[must_use]
    pub fn open(socket: PathBuf) -> Self {
        let (told, pictures) = watch::channel(None);
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(talk(socket, told, stopping)).abort_handle();
        Self { pictures, stop, task }
    }

    /// Asks for the end, now and after each new connection.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The next picture that was not seen yet. Waits for ever if the executor is gone.
    pub async fn next(&mut self) -> Picture {
        loop {
            if self.pictures.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let newest = self.pictures.borrow_and_update().clone();
            if let Some(picture) = newest {
                return picture;
            }
        }
    }
}

async fn talk(
    socket: PathBuf,
    told: watch::Sender<Option<Picture>>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut pause = AGAIN;
    loop {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            pause = AGAIN;
            let (from, to) = stream.into_split();
            let from = BufReader::new(from.take(LONGEST));
            // Whatever ends it, another connection is tried.
            let _ = listen(from, to, &told, &mut stopping).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MAX);
    }
}

async fn listen(
    mut from: BufReader<Take<OwnedReadHalf>>,
    mut to: OwnedWriteHalf,
    told: &watch::Sender<Option<Picture>>,
    stopping: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    stopping.mark_changed();
    let mut line = Vec::new();
    loop {
        tokio::select! {
            read = from.read_until(b'\n', &mut line) => {
                if read? == 0 {
                    return Ok(());
                }
                if let Ok(picture) = serde_json::from_slice(&line) {
                    told.send_replace(Some(picture));
                }
                line.clear();
                from.get_mut().set_limit(LONGEST);
            }
            changed = stopping.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                if *stopping.borrow_and_update() {
                    to.write_all(format!("{STOP}\n").as_bytes()).await?;
                }
            }
        }
    }
}
