//! `GET /metrics` over HTTP, where the operator asked for it.
//!
//! Happy path: [`Address`] is read from the command line or the environment, [`serve`] binds it and
//! answers each connection with one text. Failures: an address that can't be bound (it is in use,
//! or not of this machine yet) is told once and tried again; meanwhile everything else goes on.
//! Each connection has one request, few bytes and little time, and there are few at once, so that
//! nobody who may connect can keep the daemon from its work.
//!
//! Deliberately absent: TLS and passwords. Whoever can reach the address may read names and states
//! of nodes and services, and nothing else: there is no request that changes anything. So the
//! address is one of the loopback, unless the operator says expressly that it is open to others.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use stead_edge::listener;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What can be read, for the log.
const WHAT: &str = "metrics";
/// The port that the book proposes.
pub const USUAL_PORT: u16 = 9817;
/// Connections at once; more wait in the kernel.
const CLIENTS: usize = 8;
/// How long a connection may take, from its first byte to the last of the answer.
const WHOLE: Duration = Duration::from_secs(10);

/// What is read there.
pub trait Exposed: Clone + Send + Sync + 'static {
    /// All of it, in version 0.0.4 of Prometheus' format.
    fn text(&self) -> String;
}

/// Where metrics may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(SocketAddr);

/// Why an address is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address with a port.
    #[error(
        "`{0}` is no address with a port; write for example 127.0.0.1:{USUAL_PORT} or \
         [::1]:{USUAL_PORT} (names are not looked up)"
    )]
    Unreadable(String),
    /// It has no port.
    #[error("port 0 is any port, so nobody would find it; write for example {0}:{USUAL_PORT}")]
    AnyPort(std::net::IpAddr),
    /// Others could read it.
    #[error(
        "whoever reaches {0} could read the metrics, as there are no passwords; name a loopback \
         address such as 127.0.0.1:{USUAL_PORT}, or allow it with --metrics-open \
         (STEAD_METRICS_OPEN=true)"
    )]
    Open(SocketAddr),
}

impl Address {
    /// Reads an address. `open` allows one that others can reach.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn read(text: &str, open: bool) -> Result<Self, AddressError> {
        let text = text.trim();
        let unreadable = |_| AddressError::Unreadable(text.escape_debug().to_string());
        let address: SocketAddr = text.parse().map_err(unreadable)?;
        if address.port() == 0 {
            return Err(AddressError::AnyPort(address.ip()));
        }
        if !address.ip().to_canonical().is_loopback() && !open {
            return Err(AddressError::Open(address));
        }
        Ok(Self(address))
    }
}

/// Answers until `ending` is true or its sender is gone.
pub async fn serve(address: Address, metrics: impl Exposed, mut ending: watch::Receiver<bool>) {
    tokio::select! {
        never = answer_all(address.0, metrics) => match never {},
        // An error means that the sender is gone, which ends it as well.
        _ = ending.wait_for(|ending| *ending) => {}
    }
}

async fn answer_all(address: SocketAddr, metrics: impl Exposed) -> Infallible {
    let bound = listener::bind(address, WHAT).await;
    listener::accept(bound, CLIENTS, WHAT, |stream| attend(stream, metrics.clone())).await
}

async fn attend(stream: TcpStream, metrics: impl Exposed) {
    let answer = service_fn(move |request| {
        let metrics = metrics.clone();
        async move { Ok::<_, Infallible>(answer(&request, metrics).await) }
    });
    let connection = listener::one_request().serve_connection(TokioIo::new(stream), answer);
    match tokio::time::timeout(WHOLE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client of the metrics"),
        Err(_) => tracing::debug!("a client of the metrics took too long"),
    }
}

async fn answer(request: &Request<Incoming>, metrics: impl Exposed) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return said(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = said(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    // It takes some milliseconds of processor time, which the driver's threads need.
    let Ok(text) = tokio::task::spawn_blocking(move || metrics.text()).await else {
        return said(StatusCode::INTERNAL_SERVER_ERROR, "a bug; see the daemon's log\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let kind = HeaderValue::from_static(super::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_needs_no_further_word() {
        for good in ["127.0.0.1:9817", "127.9.9.9:1", "[::1]:9817", " 127.0.0.1:9817\n"] {
            assert!(Address::read(good, false).is_ok(), "{good}");
        }
    }

    #[test]
    fn others_are_let_in_only_by_name() {
        for open in ["0.0.0.0:9817", "10.0.0.1:9817", "[::]:9817", "[fd00::1]:9817"] {
            let refused = Address::read(open, false);
            assert!(matches!(refused, Err(AddressError::Open(_))), "{open}: {refused:?}");
            assert!(Address::read(open, true).is_ok(), "{open}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_any_case() {
        for bad in ["", "9817", "127.0.0.1", "localhost:9817", "127.0.0.1:0", "::1:x", "1\x1b:2"] {
            for open in [false, true] {
                let error = Address::read(bad, open).unwrap_err().to_string();
                assert!(error.contains("9817") && !error.contains('\x1b'), "{bad:?}: {error}");
            }
        }
    }
}
