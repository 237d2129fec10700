//! Documents over HTTP.
//!
//! # What it is for
//! `GET /where` lists the services, `GET /where/SERVICE` is one envelope (with an entity tag, so
//! that asking again costs a line), `GET /where/SERVICE/stream` stays open: the envelope as it is,
//! and each new one when it is made, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! # Happy path
//! [`serve`] binds the address and answers each connection with one request. A stream ends when the
//! server does, when its service goes, or after [`STREAM`]; its reader comes back.
//!
//! # Failures
//! An address that can't be bound is told once and tried again, as with the metrics. Each
//! connection has one request, few bytes and little time; streams have places of their own, and
//! whoever finds none is told to ask now and then instead (503). A reader that has gone without a
//! word is noticed by its kernel's silence ([`SILENCE`]).
//!
//! # Deliberately absent
//! TLS, and anything that changes anything. The token keeps strangers from reading, where names
//! and addresses are thought to be worth that; it travels in clear.

mod answer;
mod events;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use stead_edge::listener;
use stead_edge::private::Secret;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::shelf::Shelf;
use answer::Counter;
pub use events::HEARTBEAT;

/// What can be read, for the log.
const WHAT: &str = "where services are";
/// The port that the book proposes.
pub const USUAL_PORT: u16 = 7420;
/// Connections at once that wait for the next document.
const WATCHERS: usize = 256;
/// Connections at once beside those; more wait in the kernel.
const ASKERS: usize = 32;
/// How long a connection that is no stream may take.
const WHOLE: Duration = Duration::from_secs(10);
/// How long a stream lasts: no reader keeps a place for ever.
const STREAM: Duration = Duration::from_secs(60 * 60);
/// For how long a kernel may leave what was sent to it without a word (TCP_USER_TIMEOUT).
const SILENCE: Duration = Duration::from_secs(30);

/// How documents are served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where.
    pub address: SocketAddr,
    /// What a reader has to say, if it has to say anything.
    pub token: Option<Secret>,
}

/// Answers until `ending` is true or its sender is gone.
pub async fn serve(settings: Settings, shelf: Shelf, ending: watch::Receiver<bool>) {
    let mut over = ending.clone();
    let listener = tokio::select! {
        listener = listener::bind(settings.address, WHAT) => listener,
        _ = over.wait_for(|ending| *ending) => return,
    };
    serve_on(listener, settings.token, shelf, ending).await;
}

/// The same, on a socket that listens already.
pub async fn serve_on(
    listener: TcpListener,
    token: Option<Secret>,
    shelf: Shelf,
    ending: watch::Receiver<bool>,
) {
    let mut over = ending.clone();
    let counter = Counter::new(shelf, token, WATCHERS, ending);
    let attend = |stream| attend(stream, counter.clone());
    let accept = listener::accept(listener, WATCHERS + ASKERS, WHAT, attend);
    tokio::select! {
        never = accept => match never {},
        // An error means that the sender is gone, which ends it as well.
        _ = over.wait_for(|ending| *ending) => {}
    }
}

async fn attend(stream: TcpStream, counter: Counter) {
    if let Err(error) = watched_by_the_kernel(&stream) {
        tracing::debug!(%error, "a client's silence will not be noticed");
    }
    let streams = Arc::new(AtomicBool::new(false));
    let says_so = streams.clone();
    let answer = service_fn(move |request| {
        let (counter, says_so) = (counter.clone(), says_so.clone());
        async move {
            let answer = counter.answer(&request);
            says_so.store(answer.body().is_stream(), Ordering::Relaxed);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = listener::one_request().serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let mut ended = tokio::time::timeout(WHOLE, &mut connection).await;
    if ended.is_err() && streams.load(Ordering::Relaxed) {
        ended = tokio::time::timeout(STREAM, &mut connection).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client that asked where services are"),
        Err(_) => tracing::debug!("a client that asked where services are took too long"),
    }
}

fn watched_by_the_kernel(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE))
}
