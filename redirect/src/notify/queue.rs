//! A queue for each way, and what goes from it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_edge::chain;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::message::Message;
use super::way::WaySettings;
use crate::growing::Growing;
use crate::knowledge::Stamp;

/// Messages that wait at one way.
const WAITING: usize = 256;

/// How often a message is tried, and with which pauses: each twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The first pause.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// Attempts in all.
    pub attempts: u32,
}

impl Default for Retries {
    /// From a second to five minutes, for an hour in all: longer than most servers are restarted.
    fn default() -> Self {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(300));
        Self { first, longest, attempts: 20 }
    }
}

/// How it stands with one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayState {
    /// Its name.
    pub name: String,
    /// Messages that went.
    pub said: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// Messages for which there was no room.
    pub dropped: u64,
    /// Messages that wait, with the one that is being tried.
    pub waiting: usize,
    /// What was wrong at the last attempt, if it failed.
    pub error: Option<String>,
    /// When the last attempt ended.
    pub at: Option<Stamp>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Message>,
    /// The first of them is being tried.
    busy: bool,
    state: WayState,
}

#[derive(Debug)]
struct Queue {
    settings: WaySettings,
    inner: Mutex<Inner>,
    /// Told when there is something new, and when there is nothing any more.
    news: Notify,
    empty: Notify,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: Message) {
        let mut inner = self.inner();
        if inner.waiting.len() >= WAITING {
            let first = usize::from(inner.busy);
            if let Some(dropped) = inner.waiting.remove(first) {
                inner.state.dropped += 1;
                tracing::error!(
                    way = self.settings.name,
                    kind = dropped.kind,
                    subject = dropped.line(),
                    "a message is dropped, as {WAITING} wait already"
                );
            }
        }
        inner.waiting.push_back(message);
        drop(inner);
        self.news.notify_one();
    }

    async fn next(&self) -> Message {
        loop {
            {
                let mut inner = self.inner();
                if let Some(message) = inner.waiting.front().cloned() {
                    inner.busy = true;
                    return message;
                }
            }
            self.news.notified().await;
        }
    }

    fn done(&self, said: bool) {
        let mut inner = self.inner();
        if said {
            inner.state.said += 1;
        } else {
            inner.state.given_up += 1;
        }
        inner.busy = false;
        inner.waiting.pop_front();
        if inner.waiting.is_empty() {
            self.empty.notify_waiters();
        }
    }

    /// Takes one after the other, for ever.
    async fn work(&self, retries: Retries) {
        loop {
            let message = self.next().await;
            let said = self.say(&message, retries).await;
            self.done(said);
        }
    }

    /// Whether it was said at last.
    async fn say(&self, message: &Message, retries: Retries) -> bool {
        let mut pauses = Growing::new(retries.first, retries.longest);
        for attempt in 1..=retries.attempts.max(1) {
            let said = self.settings.tell(message).await;
            let error = said.err().map(|error| chain(&error));
            self.note(error.clone());
            let Some(error) = error else { return true };
            let (way, subject) = (&self.settings.name, message.line());
            if attempt >= retries.attempts {
                tracing::error!(way, kind = message.kind, subject, attempt, error, "given up");
                return false;
            }
            tracing::warn!(way, kind = message.kind, subject, attempt, error, "not said yet");
            sleep(pauses.next()).await;
        }
        false
    }

    fn note(&self, error: Option<String>) {
        let state = &mut self.inner().state;
        state.at = Some(Stamp::now());
        state.error = error;
    }
}

/// Says messages on all ways. It ends what it does when it goes.
#[derive(Debug)]
pub struct Notifier {
    ways: Vec<(Arc<Queue>, JoinHandle<()>)>,
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.ways.iter().for_each(|(_, work)| work.abort());
    }
}

impl Notifier {
    /// Begins, inside a tokio runtime.
    #[must_use]
    pub fn start(ways: Vec<WaySettings>, retries: Retries) -> Self {
        let begin = |settings: WaySettings| {
            let name = settings.name.clone();
            let inner =
                Inner { state: WayState { name, ..WayState::default() }, ..Inner::default() };
            let queue = Arc::new(Queue {
                settings,
                inner: Mutex::new(inner),
                news: Notify::new(),
                empty: Notify::new(),
            });
            let works = queue.clone();
            (queue, tokio::spawn(async move { works.work(retries).await }))
        };
        Self { ways: ways.into_iter().map(begin).collect() }
    }

    /// Has it said on all ways that take its kind, and returns at once.
    pub fn send(&self, message: &Message) {
        for (queue, _) in &self.ways {
            if queue.settings.takes(message) {
                queue.push(message.clone());
            }
        }
    }

    /// How it stands with each way.
    #[must_use]
    pub fn state(&self) -> Vec<WayState> {
        let state = |(queue, _): &(Arc<Queue>, JoinHandle<()>)| {
            let inner = queue.inner();
            WayState { waiting: inner.waiting.len(), ..inner.state.clone() }
        };
        self.ways.iter().map(state).collect()
    }

    /// Waits until nothing waits any more, but not longer than that. Whether all was said or given
    /// up.
    pub async fn finish(self, within: Duration) -> bool {
        let until = Instant::now() + within;
        for (queue, _) in &self.ways {
            loop {
                let empty = queue.empty.notified();
                tokio::pin!(empty);
                // Whatever ends from here on is heard.
                empty.as_mut().enable();
                if queue.inner().waiting.is_empty() {
                    break;
                }
                if timeout_at(until, empty).await.is_err() {
                    return false;
                }
            }
        }
        true
    }
}
