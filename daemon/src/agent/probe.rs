//! What a monitor asks without a program: a connection, or an answer of HTTP, as a client would get
//! it.

use std::net::SocketAddr;

use hyper::{Request, StatusCode};
use stead_core::state::config::Probe;
use stead_edge::chain;
use stead_edge::http::{self, Answer, HttpError, Url};
use tokio::net::TcpStream;

/// How much of an answer is looked through, in bytes.
const LONGEST: usize = 1 << 20;

/// Asks once. It takes as long as it takes; the error says why the service does not work.
pub(super) async fn ask(probe: &Probe) -> Result<(), String> {
    match probe {
        Probe::Tcp(at) => connect(*at).await,
        Probe::Http { at, host, path, expect, contains } => {
            let good = |status: StatusCode| {
                let code = status.as_u16();
                expect.contains(&code) || expect.is_empty() && (200..400).contains(&code)
            };
            let url = Url::at(*at, host.clone(), path.clone());
            get(&url, good, contains.as_deref()).await
        }
    }
}

async fn connect(at: SocketAddr) -> Result<(), String> {
    let connected = TcpStream::connect(at).await.map(drop);
    connected.map_err(|error| format!("no connection to {at}: {error}"))
}

async fn get(
    url: &Url,
    good: impl Fn(StatusCode) -> bool,
    contains: Option<&str>,
) -> Result<(), String> {
    let asked = http::ask(url, Request::builder(), "".into()).await;
    let answer = asked.map_err(|error: HttpError| chain(&error))?;
    let status = answer.status();
    if !good(status) {
        return Err(format!("{url} answers {status}"));
    }
    match contains {
        Some(text) => look_for(answer, text, url).await,
        None => Ok(()),
    }
}

/// Whether the text stands in the answer, as far as that is looked through.
async fn look_for(mut answer: Answer, text: &str, url: &Url) -> Result<(), String> {
    let mut read = Vec::new();
    let broken = |error: HttpError| format!("the answer of {url} breaks off: {}", chain(&error));
    while let Some(part) = answer.part().await.map_err(broken)? {
        // What was read before is looked at again only as far as the text may begin there.
        let from = read.len().saturating_sub(text.len());
        read.extend_from_slice(&part);
        if read.get(from..).is_some_and(|new| holds(new, text.as_bytes())) {
            return Ok(());
        }
        if read.len() > LONGEST {
            break;
        }
    }
    Err(format!("the answer of {url} does not contain {text:?}"))
}

fn holds(read: &[u8], text: &[u8]) -> bool {
    text.is_empty() || read.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives that answer to whoever asks.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 4_096];
                let length = stream.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                assert!(asked.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{asked}");
                assert!(asked.to_lowercase().contains("host: 127.0.0.1"), "{asked}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        at
    }

    async fn asked(answer: &'static str, expect: &[u16], contains: Option<&str>) -> String {
        let at = server(answer).await;
        let probe = Probe::Http {
            at,
            host: at.to_string(),
            path: "/health?deep=1".to_owned(),
            expect: expect.iter().copied().collect::<BTreeSet<_>>(),
            contains: contains.map(str::to_owned),
        };
        let answer = ask(&probe).await.err().unwrap_or_else(|| "good".to_owned());
        answer.replace(&at.to_string(), "HOST")
    }

    #[tokio::test]
    async fn an_answer_is_judged_by_its_code_and_its_text() {
        const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nall is well";
        assert_eq!(asked(OK, &[], None).await, "good");
        assert_eq!(asked(OK, &[], Some("is well")).await, "good");
        assert_eq!(
            asked(OK, &[], Some("ready")).await,
            "the answer of http://HOST/health?deep=1 does not contain \"ready\""
        );
        assert_eq!(asked(OK, &[204, 503], None).await, "http://HOST/health?deep=1 answers 200 OK");
        const MOVED: &str = "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(asked(MOVED, &[], None).await, "good");
        const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(
            asked(BROKEN, &[], None).await,
            "http://HOST/health?deep=1 answers 503 Service Unavailable"
        );
        assert_eq!(asked(BROKEN, &[503], None).await, "good");
        // An answer that breaks off before the text came, and one that is none.
        const SHORT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nall";
        assert!(asked(SHORT, &[], Some("well")).await.contains("HOST"));
        let told = asked("SSH-2.0-OpenSSH\r\n\r\n", &[], None).await;
        assert!(told.starts_with("HOST was reached, and gave no answer"), "{told}");
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_at_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(ask(&Probe::Tcp(at)).await, Ok(()));
        drop(listener);
        let told = ask(&Probe::Tcp(at)).await.unwrap_err();
        assert!(told.starts_with(&format!("no connection to {at}: ")), "{told}");
    }
}
