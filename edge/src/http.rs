//! Asking over HTTP/1: where a URL leads, one request, and an answer within bounds.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri, http};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The port of HTTP.
const HTTP: u16 = 80;
/// How much of a head hyper keeps, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// A URL that can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It is none.
    #[error("it is no URL like http://10.0.0.9:8080/path")]
    Form,
    /// It asks for TLS.
    #[error("only http is asked: what is said proves itself, and secrets belong on inner networks")]
    Https,
    /// It has a name in it.
    #[error("its host is a name, and names are looked up over a network that has to be outlived")]
    Name,
}

/// A URL that leads to an address without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Url {
    at: SocketAddr,
    host: String,
    path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

impl TryFrom<String> for Url {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(UrlError::Https),
            Some(_) | None => return Err(UrlError::Form),
        }
        let authority = uri.authority().filter(|it| !it.as_str().contains('@'));
        let authority = authority.ok_or(UrlError::Form)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ip: IpAddr = host.parse().map_err(|_| UrlError::Name)?;
        let port = match authority.port() {
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or(UrlError::Form)?,
            None => HTTP,
        };
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        let at = SocketAddr::new(ip, port);
        Ok(Self { at, host: authority.as_str().to_owned(), path: path.to_owned() })
    }
}

impl Url {
    /// That path at that address; `host` is what the request names (its header `Host`).
    #[must_use]
    pub fn at(at: SocketAddr, host: String, path: String) -> Self {
        Self { at, host, path }
    }

    /// The address, the host with its port, and the path with what is asked for there.
    #[must_use]
    pub fn into_parts(self) -> (SocketAddr, String, String) {
        (self.at, self.host, self.path)
    }

    /// The same place, and there what lies below.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let path = format!("{}/{path}", self.path.trim_end_matches('/'));
        Self { path, ..self.clone() }
    }
}

/// There is no answer. Whether the other end did what was asked is unknown, unless it says so.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Nobody was reached, so nothing was asked.
    #[error("no connection to {0}, so nothing was asked")]
    Connect(SocketAddr, #[source] io::Error),
    /// It can't be written as a request.
    #[error("nothing was asked: the request can't be written")]
    Request(#[source] http::Error),
    /// The conversation broke off.
    #[error("{0} was reached, and gave no answer")]
    Talk(SocketAddr, #[source] hyper::Error),
    /// The answer is longer than anything that is wanted.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// The beginning of an answer, and what is still to come. Its connection ends with it.
#[derive(Debug)]
pub struct Answer {
    at: SocketAddr,
    response: Response<Incoming>,
    connection: JoinHandle<()>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Asks; takes as long as it takes.
///
/// # Errors
/// See [`HttpError`].
pub async fn ask(
    url: &Url,
    mut request: http::request::Builder,
    body: Bytes,
) -> Result<Answer, HttpError> {
    let at = url.at;
    let talk = |error| HttpError::Talk(at, error);
    request = request
        .uri(&url.path)
        .header(HOST, &url.host)
        .header(USER_AGENT, concat!("stead/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    let request: Request<Full<Bytes>> =
        request.body(Full::new(body)).map_err(HttpError::Request)?;
    let stream = TcpStream::connect(at).await.map_err(|error| HttpError::Connect(at, error))?;
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(talk)?;
    let connection = tokio::spawn(async move {
        // What is wrong with it is told to the one who reads the answer.
        let _ = connection.await;
    });
    match sender.send_request(request).await {
        Ok(response) => Ok(Answer { at, response, connection }),
        Err(error) => {
            connection.abort();
            Err(talk(error))
        }
    }
}

impl Answer {
    /// How it went.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// What stands before the body.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body; `None` after the last.
    ///
    /// # Errors
    /// [`HttpError::Talk`]
    pub async fn part(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|error| HttpError::Talk(self.at, error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All of the body.
    ///
    /// # Errors
    /// [`HttpError::Talk`] and [`HttpError::TooLong`]
    pub async fn whole(mut self, longest: usize) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        while let Some(part) = self.part().await? {
            bytes.extend_from_slice(&part);
            if bytes.len() > longest {
                return Err(HttpError::TooLong(longest));
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_an_address() {
        for (text, at, below) in [
            ("http://10.0.0.1", "10.0.0.1:80", "http://10.0.0.1/where/web"),
            ("http://10.0.0.1:7420/a/", "10.0.0.1:7420", "http://10.0.0.1:7420/a/where/web"),
            ("http://[fd00::1]:1", "[fd00::1]:1", "http://[fd00::1]:1/where/web"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.at.to_string().as_str(), url.below("where/web").to_string().as_str()),
                { (at, below) }
            );
        }
        for (bad, why) in [
            ("https://10.0.0.1", UrlError::Https),
            ("http://node1/", UrlError::Name),
            ("http://a@10.0.0.1/", UrlError::Form),
            ("http://10.0.0.1:0/", UrlError::Form),
            ("ftp://10.0.0.1/", UrlError::Form),
            ("10.0.0.1", UrlError::Form),
            ("", UrlError::Form),
        ] {
            assert_eq!(bad.parse::<Url>(), Err(why), "{bad}");
        }
    }
}
