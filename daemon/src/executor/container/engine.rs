//! HTTP to an engine's socket: one question for each connection, so that an engine may be restarted
//! between any two.
//!
//! Nothing that it answers is trusted to be short, to be text, or to come at all: each question has
//! its time, and each answer its length.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Where engines listen, in the order in which they are looked for.
pub(super) const SOCKETS: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];
/// How long a question may take that starts and stops nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is longer; what one container is described by has some 10 KiB.
pub(super) const LONGEST: usize = 1024 * 1024;
/// The longest reason of the engine's that is passed on. Characters.
const REASON: usize = 400;

/// The engine can't be asked, or refuses.
#[derive(Debug, Error)]
pub(super) enum EngineError {
    /// Nobody listens: there is no such file.
    #[error("there is no container engine on this node: {} is not there", .0.display())]
    Absent(PathBuf),
    #[error("can't talk to the container engine at {}", .0.display())]
    Connection(PathBuf, #[source] io::Error),
    #[error("the container engine's answer breaks off")]
    Broken(#[source] hyper::Error),
    #[error("the container engine can't be asked that")]
    Question(#[source] hyper::http::Error),
    #[error("the container engine does not answer")]
    Late,
    #[error("the container engine's answer is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the container engine's answer makes no sense")]
    Senseless(#[source] serde_json::Error),
    /// It says no, with that status of HTTP.
    #[error("the container engine says: {1}")]
    Refused(u16, String),
}

impl EngineError {
    /// The status with which it refused.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(status, _) => Some(*status),
            Self::Absent(_)
            | Self::Connection(..)
            | Self::Broken(_)
            | Self::Question(_)
            | Self::Late
            | Self::TooLong
            | Self::Senseless(_) => None,
        }
    }
}

/// What to do with an answer that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Refuse,
    /// Its beginning will do.
    Cut,
}

/// An engine, by its socket.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    socket: PathBuf,
}

impl Engine {
    /// The one that is named, or the first that is there.
    pub(super) fn find(named: Option<&Path>) -> Self {
        let there = || SOCKETS.into_iter().map(Path::new).find(|path| path.exists());
        let socket = named.or_else(there).unwrap_or(Path::new(SOCKETS[0]));
        Self { socket: socket.to_owned() }
    }

    /// Asks, and waits for the whole answer however long that takes.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        excess: Excess,
    ) -> Result<Vec<u8>, EngineError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return EngineError::Absent(self.socket.clone());
            }
            EngineError::Connection(self.socket.clone(), error)
        })?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(EngineError::Broken)?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, "engine");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(EngineError::Question)?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(EngineError::Broken)?;
            let status = answer.status();
            let body = whole(answer.into_body(), excess).await?;
            if status.is_success() || status.as_u16() == NOTHING_TO_DO {
                return Ok(body);
            }
            Err(EngineError::Refused(status.as_u16(), reason(&body)))
        };
        // It moves nothing unless it is run, and is of no use once there is an answer.
        tokio::pin!(connection, answered);
        tokio::select! {
            answer = &mut answered => answer,
            Err(error) = &mut connection => Err(EngineError::Broken(error)),
        }
    }

    /// Asks what is answered at once.
    pub(super) async fn ask_soon(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        excess: Excess,
    ) -> Result<Vec<u8>, EngineError> {
        let asked = self.ask(method, path, body, excess);
        timeout(PATIENCE, asked).await.unwrap_or(Err(EngineError::Late))
    }
}

/// The status that says of a container that it is started or stopped already.
const NOTHING_TO_DO: u16 = 304;

async fn whole(mut body: hyper::body::Incoming, excess: Excess) -> Result<Vec<u8>, EngineError> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(EngineError::Broken)?;
        read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if read.len() > LONGEST {
            match excess {
                Excess::Refuse => return Err(EngineError::TooLong),
                Excess::Cut => {
                    read.truncate(LONGEST);
                    break;
                }
            }
        }
    }
    Ok(read)
}

/// Why it says no, as one line.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.message);
    let said = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    let said: Vec<&str> = said.split_whitespace().collect();
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let line: String = said.join(" ").chars().map(plain).take(REASON).collect();
    if line.is_empty() { "no, without a reason".to_owned() } else { line }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use stead_edge::chain;

    /// An engine that gives these bytes to whoever asks.
    pub(in super::super) fn stand_in(answer: Vec<u8>) -> (tempfile::TempDir, Engine) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 4_096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(&answer).await;
            }
        });
        (folder, Engine::find(Some(&socket)))
    }

    async fn asked(answer: &[u8], excess: Excess) -> Result<Vec<u8>, String> {
        let (_folder, engine) = stand_in(answer.to_vec());
        let told = engine.ask_soon(Method::GET, "/info", None, excess).await;
        told.map_err(|error| chain(&error))
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_or_refused_with_a_reason() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(asked(ok, Excess::Refuse).await.unwrap(), b"{}");
        let parts =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
        assert_eq!(asked(parts, Excess::Refuse).await.unwrap(), b"{}");
        let same = b"HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(asked(same, Excess::Refuse).await.unwrap(), b"");
        let no =
            b"HTTP/1.1 404 No\r\ncontent-length: 31\r\n\r\n{\"message\":\"No such\\nimage: x\"}";
        let told = asked(no, Excess::Refuse).await.unwrap_err();
        assert_eq!(told, "the container engine says: No such image: x");
        let no = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
        let told = asked(no, Excess::Refuse).await.unwrap_err();
        assert_eq!(told, "the container engine says: no, without a reason");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_and_never_more() {
        let broken: [&[u8]; 5] = [
            b"",
            b"\xff\xfe\0",
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/9 1\r\n\r\n",
        ];
        for bytes in broken {
            // A connection that is closed without a word is no answer either.
            let told = asked(bytes, Excess::Refuse).await.unwrap_err();
            assert!(told.starts_with("the container engine's answer breaks off"), "{told}");
        }
        let mut long = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        long.resize(long.len() + LONGEST + 100_000, b'x');
        let told = asked(&long, Excess::Refuse).await.unwrap_err();
        assert!(told.contains("is longer than"), "{told}");
        assert_eq!(asked(&long, Excess::Cut).await.unwrap().len(), LONGEST);
        let nobody = Engine::find(Some(Path::new("/nowhere/sock")));
        let told = nobody.ask_soon(Method::GET, "/info", None, Excess::Refuse).await.unwrap_err();
        assert!(matches!(told, EngineError::Absent(_)), "{told}");
    }
}
