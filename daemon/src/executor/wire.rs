//! The socket between an executor and whichever daemon runs: lines of JSON one way, a word the
//! other. The folder is root's alone, so the kernel says who may connect.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::Epoch;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::peers::Peers;

/// What asks for the end.
const STOP: &str = "stop";
/// What has a copy promoted.
const PROMOTE: &str = "promote";
/// What has it demoted.
const DEMOTE: &str = "demote";
/// What tells of the other copies.
const PEERS: &str = "peers";

/// What a daemon says to an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All shall end.
    Stop,
    /// The copy shall be promoted, under that epoch.
    Promote(Epoch),
    /// What was promoted under that epoch or an earlier one shall be demoted.
    Demote(Epoch),
    /// So the copies are now.
    Peers(Peers),
}

impl Order {
    /// Reads a line; nothing if it is none.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_ascii_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let epoch = || rest.parse().ok().map(Epoch);
        match word {
            STOP => Some(Self::Stop),
            PROMOTE => epoch().map(Self::Promote),
            DEMOTE => epoch().map(Self::Demote),
            PEERS => serde_json::from_str(rest).ok().map(Self::Peers),
            _ => None,
        }
    }
}

/// What is wanted of an executor, by the daemon that talks to it. All of it is said anew after
/// each connection.
#[derive(Clone, Debug, Default)]
struct Wishes {
    peers: Option<Peers>,
    promote: Option<Epoch>,
    demote: Option<Epoch>,
    stop: bool,
}

impl Wishes {
    fn lines(&self) -> String {
        let mut lines = String::new();
        let mut say = |word: &str, rest: String| {
            lines.push_str(word);
            lines.push_str(&rest);
            lines.push('\n');
        };
        let peers = self.peers.as_ref().and_then(|peers| serde_json::to_string(peers).ok());
        peers.into_iter().for_each(|peers| say(PEERS, format!(" {peers}")));
        self.promote.into_iter().for_each(|epoch| say(PROMOTE, format!(" {epoch}")));
        self.demote.into_iter().for_each(|epoch| say(DEMOTE, format!(" {epoch}")));
        if self.stop {
            say(STOP, String::new());
        }
        lines
    }
}
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
    /// It is promoted, or may be.
    #[serde(default)]
    pub promoted: bool,
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
    /// All together, as far as it is wanted here.
    #[serde(flatten)]
    pub state: State,
    /// What runs with each copy; nothing if the service has no copies.
    #[serde(default)]
    pub copy: Option<State>,
    /// Under which assignment the copy is promoted, or being promoted.
    #[serde(default)]
    pub promoted: Option<Epoch>,
    /// The newest assignment under which nothing is promoted any more, nor anything there that
    /// belongs to that, by the word of each agent.
    #[serde(default)]
    pub released: Option<Epoch>,
    /// Each, in the order of the file.
    pub resources: Vec<ResourceView>,
}

/// A daemon's end of the socket: connects, and connects again, for as long as it is there.
#[derive(Debug)]
pub struct Line {
    pictures: watch::Receiver<Option<Picture>>,
    wishes: watch::Sender<Wishes>,
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
        let (wishes, wished) = watch::channel(Wishes::default());
        let task = tokio::spawn(talk(socket, told, wished)).abort_handle();
        Self { pictures, wishes, task }
    }

    /// Asks for the end, now and after each new connection.
    pub fn stop(&self) {
        self.wishes.send_modify(|wishes| wishes.stop = true);
    }

    /// Asks for the promotion of the copy.
    pub fn promote(&self, epoch: Epoch) {
        self.wishes.send_modify(|wishes| wishes.promote = Some(epoch));
    }

    /// Asks for its demotion, whatever was asked for before.
    pub fn demote(&self, epoch: Epoch) {
        self.wishes.send_modify(|wishes| {
            wishes.promote = wishes.promote.filter(|promote| *promote > epoch);
            wishes.demote = wishes.demote.max(Some(epoch));
        });
    }

    /// Tells of the other copies.
    pub fn peers(&self, peers: Peers) {
        self.wishes.send_modify(|wishes| wishes.peers = Some(peers));
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
    mut wished: watch::Receiver<Wishes>,
) {
    let mut pause = AGAIN;
    loop {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            pause = AGAIN;
            let (from, to) = stream.into_split();
            let from = BufReader::new(from.take(LONGEST));
            // Whatever ends it, another connection is tried.
            let _ = listen(from, to, &told, &mut wished).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MAX);
    }
}

async fn listen(
    mut from: BufReader<Take<OwnedReadHalf>>,
    mut to: OwnedWriteHalf,
    told: &watch::Sender<Option<Picture>>,
    wished: &mut watch::Receiver<Wishes>,
) -> io::Result<()> {
    wished.mark_changed();
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
            changed = wished.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let lines = wished.borrow_and_update().lines();
                to.write_all(lines.as_bytes()).await?;
            }
        }
    }
}
