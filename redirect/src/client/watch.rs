//! One server and one service: a stream, or questions now and then.

use std::path::PathBuf;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use hyper::{Request, StatusCode, http};
use stead_edge::chain;
use stead_edge::http::{Answer, HttpError, Url, ask};
use stead_edge::private::{Secret, SecretError};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::events::{Events, TooMuch};
use super::status::SourceState;
use crate::growing::Growing;
use crate::knowledge::{HEARTBEAT, LONGEST};

/// The first pause after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a server may take to begin its answer, and to end one that is no stream.
const ANSWER: Duration = Duration::from_secs(10);
/// A stream without a word for so long is cut: three heartbeats.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());
/// How long a server without streams is asked before a stream is tried again.
const STREAM_AGAIN: Duration = Duration::from_secs(60);
const EVENT_STREAM: &str = "text/event-stream";

/// What is heard.
#[derive(Debug)]
pub(super) struct Heard {
    /// Which of the sources.
    pub(super) number: usize,
    /// What it is.
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// The server says this about the service.
    Said(Vec<u8>),
    /// It is heard like this from now on.
    State(SourceState, Option<String>),
}

/// A server and a service, and how the server is asked.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) number: usize,
    pub(super) url: Url,
    pub(super) service: String,
    pub(super) token: Option<PathBuf>,
    pub(super) poll: Duration,
}

/// A server that says nothing of use.
#[derive(Debug, Error)]
enum WatchError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the token can't stand in a header")]
    Token,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("it answers {0}")]
    Refused(StatusCode),
    #[error("it does not answer")]
    Late,
    #[error("its stream is silent")]
    Silent,
    #[error("its stream has ended")]
    Ended,
    #[error("what it streams is longer than any document")]
    TooMuch,
    #[error("the agent ends")]
    NobodyListens,
}

/// Listens until nobody wants to hear any more.
pub(super) async fn listen(source: Source, heard: mpsc::Sender<Heard>) {
    let mut pauses = Growing::new(FIRST, LONGEST_PAUSE);
    loop {
        let error = match once(&source, &heard, &mut pauses).await {
            Ok(()) => continue,
            Err(WatchError::NobodyListens) => return,
            Err(error) => error,
        };
        let state = What::State(SourceState::Away, Some(chain(&error)));
        if heard.send(Heard { number: source.number, what: state }).await.is_err() {
            return;
        }
        sleep(pauses.next_scattered()).await;
    }
}

/// A stream until it ends; or questions, until it is time to ask for a stream again.
async fn once(
    source: &Source,
    heard: &mpsc::Sender<Heard>,
    pauses: &mut Growing,
) -> Result<(), WatchError> {
    let url = source.url.below(&format!("where/{}/stream", source.service));
    let request = request(source)?.header(ACCEPT, EVENT_STREAM);
    let asked = ask(&url, request, Bytes::new());
    let answer = timeout(ANSWER, asked).await.map_err(|_| WatchError::Late)??;
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if answer.status() == StatusCode::UNAUTHORIZED {
        return Err(WatchError::Refused(answer.status()));
    }
    if answer.status() == StatusCode::OK && kind.is_some_and(|it| it.starts_with(EVENT_STREAM)) {
        return stream(source, answer, heard, pauses).await;
    }
    drop(answer);
    poll(source, heard, pauses).await
}

fn request(source: &Source) -> Result<http::request::Builder, WatchError> {
    let request = Request::get("/");
    let Some(path) = &source.token else { return Ok(request) };
    let secret = Secret::read(path)?;
    let value = HeaderValue::from_str(&format!("Bearer {}", secret.tell()));
    let mut value = value.map_err(|_| WatchError::Token)?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

async fn tell(source: &Source, heard: &mpsc::Sender<Heard>, what: What) -> Result<(), WatchError> {
    let told = heard.send(Heard { number: source.number, what }).await;
    told.map_err(|_| WatchError::NobodyListens)
}

async fn stream(
    source: &Source,
    mut answer: Answer,
    heard: &mpsc::Sender<Heard>,
    pauses: &mut Growing,
) -> Result<(), WatchError> {
    tell(source, heard, What::State(SourceState::Stream, None)).await?;
    let mut events = Events::default();
    loop {
        let part = timeout(SILENCE, answer.part()).await.map_err(|_| WatchError::Silent)??;
        let Some(part) = part else { return Err(WatchError::Ended) };
        for event in events.add(&part).map_err(|TooMuch| WatchError::TooMuch)? {
            pauses.reset();
            tell(source, heard, What::Said(event)).await?;
        }
    }
}

async fn poll(
    source: &Source,
    heard: &mpsc::Sender<Heard>,
    pauses: &mut Growing,
) -> Result<(), WatchError> {
    let url = source.url.below(&format!("where/{}", source.service));
    let until = Instant::now() + STREAM_AGAIN;
    let mut known = Vec::new();
    let mut told = false;
    loop {
        let mut request = request(source)?;
        for (name, value) in &known {
            request = request.header(name, value);
        }
        let asked = async {
            let answer = ask(&url, request, Bytes::new()).await?;
            let (status, validators) = (answer.status(), validators(&answer));
            Ok::<_, HttpError>((status, validators, answer.whole(LONGEST).await?))
        };
        let answered = timeout(ANSWER, asked).await.map_err(|_| WatchError::Late)??;
        let (status, validators, body) = answered;
        match status {
            StatusCode::OK => {
                known = validators;
                tell(source, heard, What::Said(body)).await?;
            }
            StatusCode::NOT_MODIFIED => {}
            other => return Err(WatchError::Refused(other)),
        }
        if !std::mem::replace(&mut told, true) {
            tell(source, heard, What::State(SourceState::Poll, None)).await?;
        }
        pauses.reset();
        if Instant::now() >= until {
            return Ok(());
        }
        sleep(source.poll).await;
    }
}

/// What the next question says of the answer that is known.
fn validators(answer: &Answer) -> Vec<(http::HeaderName, HeaderValue)> {
    let pair = |from, to| Some((to, answer.headers().get(from)?.clone()));
    // An entity tag alone, where there is one: times of files have a second's grain.
    let tag = pair(ETAG, IF_NONE_MATCH);
    tag.or_else(|| pair(LAST_MODIFIED, IF_MODIFIED_SINCE)).into_iter().collect()
}
