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

/// What asks for the end.
const STOP: &str = "stop";
/// What says what may be done about resources; a word of [`care_word`] follows.
const CARE: &str = "care ";
/// What has failures forgotten; the name of a resource follows, or nothing.
const FORGET: &str = "forget ";

/// What an executor is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Stop everything and end.
    Stop,
    /// From here on no more than that may be done about resources.
    Care(Care),
    /// Forget the failures of one, or of all.
    Forget(Option<String>),
}

impl Order {
    /// It as a line, without its end.
    fn line(&self) -> String {
        match self {
            Self::Stop => STOP.to_owned(),
            Self::Care(care) => format!("{CARE}{}", care_word(*care)),
            Self::Forget(which) => format!("{FORGET}{}", which.as_deref().unwrap_or_default()),
        }
    }

    /// Reads a line; nothing if it is no order.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_end_matches(['\n', '\r']);
        if line == STOP {
            return Some(Self::Stop);
        }
        if let Some(word) = line.strip_prefix(CARE) {
            let all = [Care::Full, Care::Ended, Care::Nothing];
            return all.into_iter().find(|care| care_word(*care) == word).map(Self::Care);
        }
        let which = line.strip_prefix(FORGET)?;
        Some(Self::Forget((!which.is_empty()).then(|| which.to_owned())))
    }
}

const fn care_word(care: Care) -> &'static str {
    match care {
        Care::Full => "full",
        Care::Ended => "ended",
        Care::Nothing => "nothing",
    }
}

/// What a daemon wants of an executor, whichever connection it is told by.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    stop: bool,
    /// Nothing as long as it is not known: what a former daemon said stays so.
    care: Option<Care>,
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
    standing: watch::Sender<Standing>,
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
        let (standing, wanted) = watch::channel(Standing::default());
        let (once, orders) = unbounded_channel();
        let task = tokio::spawn(talk(socket, told, wanted, orders)).abort_handle();
        Self { pictures, standing, once, task }
    }

    /// Asks for the end, now and after each new connection.
    pub fn stop(&self) {
        self.standing.send_modify(|it| it.stop = true);
    }

    /// Says what may be done about resources, now and after each new connection.
    pub fn care(&self, care: Care) {
        self.standing.send_modify(|it| it.care = Some(care));
    }

    /// Has the failures of one resource forgotten, or of all.
    pub fn forget(&self, which: Option<String>) {
        // The other end is there for as long as this is.
        let _ = self.once.send(Order::Forget(which));
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
    mut wanted: watch::Receiver<Standing>,
    mut orders: UnboundedReceiver<Order>,
) {
    let mut pause = AGAIN;
    loop {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            pause = AGAIN;
            let (from, to) = stream.into_split();
            let from = BufReader::new(from.take(LONGEST));
            // Whatever ends it, another connection is tried.
            let _ = listen(from, to, &told, &mut wanted, &mut orders).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MAX);
    }
}

async fn listen(
    mut from: BufReader<Take<OwnedReadHalf>>,
    mut to: OwnedWriteHalf,
    told: &watch::Sender<Option<Picture>>,
    wanted: &mut watch::Receiver<Standing>,
    orders: &mut UnboundedReceiver<Order>,
) -> io::Result<()> {
    wanted.mark_changed();
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
            changed = wanted.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let Standing { stop, care } = *wanted.borrow_and_update();
                let care = care.map(Order::Care);
                for order in care.into_iter().chain(stop.then_some(Order::Stop)) {
                    to.write_all(format!("{}\n", order.line()).as_bytes()).await?;
                }
            }
            Some(order) = orders.recv() => {
                to.write_all(format!("{}\n", order.line()).as_bytes()).await?;
            }
        }
    }
}
