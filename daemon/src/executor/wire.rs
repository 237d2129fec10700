//! The socket between an executor and whichever daemon runs: lines of JSON one way, a word the
//! other. The folder is root's alone, so the kernel says who may connect.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::id::Epoch;
use stead_core::resource::{Care, Whole};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::others::Others;

/// What asks for the end.
const STOP: &str = "stop";
/// What says what may be done about resources; a word of [`care_word`] follows.
const CARE: &str = "care";
/// What has failures forgotten; the name of a resource follows, or nothing.
const FORGET: &str = "forget";
/// What has a copy promoted.
const PROMOTE: &str = "promote";
/// What has it demoted.
const DEMOTE: &str = "demote";
/// What tells of the other copies.
const OTHERS: &str = "others";

/// What a daemon says to an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All shall end.
    Stop,
    /// From here on no more than that may be done about resources.
    Care(Care),
    /// Forget the failures of one, or of all.
    Forget(Option<String>),
    /// The copy shall be promoted, under that epoch.
    Promote(Epoch),
    /// What was promoted under that epoch or an earlier one shall be demoted.
    Demote(Epoch),
    /// So the copies are now.
    Others(Others),
}

impl Order {
    /// It as a line, with its end.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Stop => format!("{STOP}\n"),
            Self::Care(care) => format!("{CARE} {}\n", care_word(*care)),
            Self::Forget(which) => format!("{FORGET} {}\n", which.as_deref().unwrap_or_default()),
            Self::Promote(epoch) => format!("{PROMOTE} {epoch}\n"),
            Self::Demote(epoch) => format!("{DEMOTE} {epoch}\n"),
            Self::Others(others) => {
                // Names and numbers can always be written.
                format!("{OTHERS} {}\n", serde_json::to_string(others).unwrap_or_default())
            }
        }
    }

    /// Reads a line; nothing if it is none.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_ascii_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let epoch = || rest.parse().ok().map(Epoch);
        match word {
            STOP => Some(Self::Stop),
            CARE => {
                let all = [Care::Full, Care::Ended, Care::Nothing];
                all.into_iter().find(|care| care_word(*care) == rest).map(Self::Care)
            }
            FORGET => Some(Self::Forget((!rest.is_empty()).then(|| rest.to_owned()))),
            PROMOTE => epoch().map(Self::Promote),
            DEMOTE => epoch().map(Self::Demote),
            OTHERS => serde_json::from_str(rest).ok().map(Self::Others),
            _ => None,
        }
    }
}

pub(super) const fn care_word(care: Care) -> &'static str {
    match care {
        Care::Full => "full",
        Care::Ended => "ended",
        Care::Nothing => "nothing",
    }
}

/// What is wanted of an executor, by the daemon that talks to it. All of it is said anew after
/// each connection.
#[derive(Clone, Debug, Default)]
struct Wishes {
    others: Option<Others>,
    /// Nothing as long as it is not known: what a former daemon said stays so.
    care: Option<Care>,
    promote: Option<Epoch>,
    demote: Option<Epoch>,
    stop: bool,
}

impl Wishes {
    fn lines(&self) -> String {
        let others = self.others.clone().map(Order::Others);
        let care = self.care.map(Order::Care);
        let promote = self.promote.map(Order::Promote);
        let demote = self.demote.map(Order::Demote);
        let stop = self.stop.then_some(Order::Stop);
        let all = [others, care, promote, demote, stop];
        all.iter().flatten().map(Order::line).collect()
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
    /// By what it is looked after: `process`, an agent's name, or `unit:` and that of a unit.
    pub agent: String,
    /// Where it is: a word of `stead_core::resource::Stage`.
    pub stage: String,
    /// It is promoted, or may be.
    #[serde(default)]
    pub promoted: bool,
    /// It can't be stopped, and its node is to boot itself anew for that.
    #[serde(default)]
    pub reboots: bool,
    /// How many of its failures count.
    pub failures: u32,
    /// How often it failed since the executor began, forgotten ones included.
    pub all_failures: u64,
    /// Why it failed last.
    pub reason: Option<String>,
    /// It fails, and nothing is done about it for now.
    #[serde(default)]
    pub unwell: bool,
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
    /// What may be done about them, by the newest word that was heard; nothing from an executor of
    /// before.
    #[serde(default)]
    pub care: String,
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
    wishes: watch::Sender<Wishes>,
    once: UnboundedSender<Order>,
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
        let (once, orders) = unbounded_channel();
        let task = tokio::spawn(talk(socket, told, wished, orders)).abort_handle();
        Self { pictures, wishes, once, task }
    }

    /// Asks for the end, now and after each new connection.
    pub fn stop(&self) {
        self.wishes.send_modify(|wishes| wishes.stop = true);
    }

    /// Says what may be done about resources, now and after each new connection.
    pub fn care(&self, care: Care) {
        self.wishes.send_modify(|wishes| wishes.care = Some(care));
    }

    /// Has the failures of one resource forgotten, or of all.
    pub fn forget(&self, which: Option<String>) {
        // The other end is there for as long as this is.
        let _ = self.once.send(Order::Forget(which));
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
    pub fn others(&self, others: Others) {
        self.wishes.send_modify(|wishes| wishes.others = Some(others));
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
    mut orders: UnboundedReceiver<Order>,
) {
    let mut pause = AGAIN;
    loop {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            pause = AGAIN;
            let (from, to) = stream.into_split();
            let from = BufReader::new(from.take(LONGEST));
            // Whatever ends it, another connection is tried.
            let _ = listen(from, to, &told, &mut wished, &mut orders).await;
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
    orders: &mut UnboundedReceiver<Order>,
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
            Some(order) = orders.recv() => {
                to.write_all(order.line().as_bytes()).await?;
            }
        }
    }
}
