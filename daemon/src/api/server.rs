//! Connections: lines in, lines out, each client on a task of its own.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, watch};

use super::message::{Answer, Failure, LONGEST_REQUEST, Rehearse, Request, decode};
use super::requests::Answered;
use super::{Desk, fence, redirect, rehearse, report, requests};
use crate::journal::{Entry, KEPT};

/// Clients at once; more are told to come later.
const CLIENTS: usize = 64;
/// How long one answer may take to be read; a client slower than that is cut off.
const WRITE: Duration = Duration::from_secs(10);
/// How long a client may say nothing.
const IDLE: Duration = Duration::from_secs(300);
/// The least time between two pictures of a watched status.
const PICTURES: Duration = Duration::from_millis(100);
/// How many lines of the journal a report looks back.
pub(super) const LOOK_BACK: usize = KEPT;

/// Accepts clients until `shutdown` is true or its sender is gone.
pub(super) async fn run(
    listener: UnixListener,
    desk: &Arc<Desk>,
    mut shutdown: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    let closing = shutdown.clone();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let place = places.clone().try_acquire_owned().ok();
                    tokio::spawn(attend(stream, desk.clone(), place, closing.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others have to end first.
                    tracing::warn!(%error, "the API can't accept a client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        // An error means that the sender is gone, which ends the API as well.
        _ = shutdown.wait_for(|ending| *ending) => {}
    }
}

async fn attend(
    stream: UnixStream,
    desk: Arc<Desk>,
    place: Option<OwnedSemaphorePermit>,
    mut closing: watch::Receiver<bool>,
) {
    let (reader, writer) = stream.into_split();
    let mut client = Client { reader: BufReader::new(reader), writer };
    if place.is_none() {
        let busy = Failure::unchanged("too many clients", "try again in a moment");
        // The client may be gone; there is nothing else to tell it.
        let _gone = client.send(&Err(busy).into()).await;
        return;
    }
    tokio::select! {
        _end = client.serve(&desk) => {}
        _ = closing.wait_for(|ending| *ending) => {}
    }
}

/// The connection is over: the client went away, or was cut off.
struct Over;

struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn serve(&mut self, desk: &Desk) -> Result<(), Over> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = u64::try_from(LONGEST_REQUEST).unwrap_or(u64::MAX);
            let mut limited = (&mut self.reader).take(most);
            let read = tokio::time::timeout(IDLE, limited.read_until(b'\n', &mut line)).await;
            if !matches!(read, Ok(Ok(1..))) {
                return Err(Over);
            }
            if line.pop_if(|byte| *byte == b'\n').is_none() && line.len() >= LONGEST_REQUEST {
                let message = format!("a request is longer than {LONGEST_REQUEST} bytes");
                self.send(&Err(Failure::unchanged(message, "send less")).into()).await?;
                return Err(Over);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match decode(&line) {
                Err(failure) => self.send(&Err(failure).into()).await?,
                Ok(request) => self.answer(desk, request).await?,
            }
        }
    }

    async fn answer(&mut self, desk: &Desk, request: Request) -> Result<(), Over> {
        match request {
            Request::Status { watch: true } => self.watch(desk).await,
            Request::Events { last, since, follow } => {
                let last = last.unwrap_or(KEPT);
                self.events(desk, last, since.as_deref(), follow).await
            }
            Request::FenceTest { name } => self.fence_test(desk, &name).await,
            Request::FenceRehearse(request) => self.rehearse(desk, request).await,
            Request::RedirectProbe(request) => {
                self.tell_all(redirect::probe::begin(desk, request)).await
            }
            Request::Status { watch: false }
            | Request::Config
            | Request::Revisions
            | Request::Revision { .. }
            | Request::Plan { .. }
            | Request::Explain { .. }
            | Request::Simulate { .. }
            | Request::Apply { .. }
            | Request::Token { .. }
            | Request::Move { .. }
            | Request::RedirectAdvise(_)
            | Request::RedirectTrace { .. }
            | Request::RedirectClient
            | Request::RedirectRouting
            | Request::Lower(_)
            | Request::Register(_)
            | Request::Standby { .. }
            | Request::Disarm { .. }
            | Request::Arm
            | Request::Enrol { .. }
            | Request::Unenrol
            | Request::Override { .. }
            | Request::Clear { .. }
            | Request::Halt { .. }
            | Request::ConfirmOff { .. }
            | Request::Serve { .. }
            | Request::Maintenance { .. }
            | Request::FenceHistory { .. }
            | Request::Steady { .. }
            | Request::Leave { .. }
            | Request::Incident { .. }
            | Request::Timers
            | Request::Metrics
            | Request::Tools
            | Request::Remember { .. } => {
                let answer = requests::carry_out(desk, request).await;
                self.send(&answer.into()).await
            }
        }
    }

    /// Sends the status whenever the picture changes, and not more often than a person can read.
    async fn watch(&mut self, desk: &Desk) -> Result<(), Over> {
        let mut handle = desk.handle.clone();
        loop {
            let entries = desk.journal.tail(LOOK_BACK);
            let status = report::status(&handle.view(), &entries);
            self.item(serde_json::to_value(&status)).await?;
            tokio::time::sleep(PICTURES).await;
            let changed = tokio::select! {
                changed = handle.changed() => changed,
                () = gone(&mut self.reader) => false,
            };
            if !changed {
                return Err(Over);
            }
        }
    }

    async fn events(
        &mut self,
        desk: &Desk,
        last: usize,
        since: Option<&str>,
        follow: bool,
    ) -> Result<(), Over> {
        let (past, mut coming) = desk.journal.follow(last);
        for entry in past.iter().filter(|it| since.is_none_or(|since| it.time.as_str() >= since)) {
            self.item(serde_json::to_value(entry.as_ref())).await?;
        }
        if follow {
            self.followed(&mut coming).await?;
        }
        self.send(&Answer { end: true, ..Answer::new() }).await
    }

    /// Sends what came of each way, in their order. Who goes away has the rest ended.
    async fn fence_test(&mut self, desk: &Desk, name: &str) -> Result<(), Over> {
        let config = match fence::in_force(desk) {
            Ok(config) => config,
            Err(failure) => return self.send(&Err(failure).into()).await,
        };
        let ways = match fence::ways(&config, name) {
            Ok(ways) => ways,
            Err(failure) => return self.send(&Err(failure).into()).await,
        };
        let fencing = &config.later.fencing;
        let trials = ways.iter().map(|way| desk.rehearsals.devices().try_out(fencing, way));
        let mut trials: FuturesOrdered<_> = trials.collect();
        loop {
            let trial = tokio::select! {
                trial = trials.next() => trial,
                () = gone(&mut self.reader) => return Err(Over),
            };
            match trial {
                Some(Some(trial)) => {
                    self.item(serde_json::to_value(fence::WayReport::from(trial))).await?;
                }
                Some(None) => {}
                None => return self.send(&Answer { end: true, ..Answer::new() }).await,
            }
        }
    }

    /// Sends what happens. Who goes away ends nothing.
    async fn rehearse(&mut self, desk: &Desk, request: Rehearse) -> Result<(), Over> {
        self.tell_all(rehearse::begin(desk, request)).await
    }

    /// Sends all that comes, until nothing more does or it is a failure.
    async fn tell_all<T: Serialize>(
        &mut self,
        mut news: mpsc::Receiver<Answered<T>>,
    ) -> Result<(), Over> {
        loop {
            let next = tokio::select! {
                next = news.recv() => next,
                () = gone(&mut self.reader) => return Err(Over),
            };
            match next {
                Some(Ok(news)) => self.item(serde_json::to_value(&news)).await?,
                Some(Err(failure)) => return self.send(&Err(failure).into()).await,
                None => return self.send(&Answer { end: true, ..Answer::new() }).await,
            }
        }
    }

    /// Sends every line that comes, until the journal ends.
    async fn followed(&mut self, coming: &mut broadcast::Receiver<Arc<Entry>>) -> Result<(), Over> {
        loop {
            let next = tokio::select! {
                next = coming.recv() => next,
                () = gone(&mut self.reader) => return Err(Over),
            };
            match next {
                Ok(entry) => self.item(serde_json::to_value(entry.as_ref())).await?,
                Err(broadcast::error::RecvError::Lagged(skipped)) => {
                    self.send(&Answer { skipped: Some(skipped), ..Answer::new() }).await?;
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            }
        }
    }

    async fn item(&mut self, value: serde_json::Result<Value>) -> Result<(), Over> {
        let item = value.map_err(|_| Over)?;
        self.send(&Answer { item: Some(item), ..Answer::new() }).await
    }

    async fn send(&mut self, answer: &Answer) -> Result<(), Over> {
        let mut line = serde_json::to_vec(answer).map_err(|_| Over)?;
        line.push(b'\n');
        match tokio::time::timeout(WRITE, self.writer.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}

/// Returns when the client of an endless answer goes away, or says something more.
async fn gone(reader: &mut BufReader<OwnedReadHalf>) {
    // Whatever comes, an endless answer ends: its client has nothing to say until then.
    let _said = reader.fill_buf().await;
}
