//! Mail: a server that anybody has, and one that asks for TLS and a password.

use std::io::{BufRead, BufReader as Lines};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use stead_redirect::notify::Notifier;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use super::{SOON, message, next, secret, until, ways};
use crate::knowledge::PATIENCE;

/// Python's mail server, which prints what it gets. It ends with this.
struct MailServer(Child);

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_mail_goes_to_a_server_as_people_have_it() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = free.local_addr().expect("its address");
    drop(free);
    let mut command = Command::new("python3");
    command.args(["-u", "-W", "ignore", "-m", "smtpd", "-n", "-c", "DebuggingServer"]);
    command.arg(at.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = MailServer(command.spawn().expect("python3 is there"));
    let output = server.0.stdout.take().expect("its output");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(at).await.is_err() {
        let ended = server.0.try_wait().expect("it can be asked");
        assert!(ended.is_none(), "module smtpd of python 3.11: {ended:?}");
        assert!(Instant::now() < deadline, "it listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let way = format!(
        "[[notify]]\nmail = {{ server = \"127.0.0.1\", port = {}, tls = \"none\", \
         from = \"Stead <stead@example.com>\", \
         to = [\"a@example.com\", \"B <b@example.com>\"] }}\n",
        at.port()
    );
    let notifier = Notifier::start(ways(&way), SOON);
    notifier.send(&message(1));
    let printed = tokio::task::spawn_blocking(move || {
        let lines = Lines::new(output).lines().map_while(Result::ok);
        let mut text = String::new();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
            if line.contains("END MESSAGE") {
                break;
            }
        }
        text
    });
    let mail = tokio::time::timeout(PATIENCE, printed).await.expect("it comes").expect("text");
    for part in [
        "Subject: web moved 1",
        "From: Stead <stead@example.com>",
        "To: a@example.com, B <b@example.com>",
        "It is on node2.",
        "node: node2",
        "@example.com>",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    until(&notifier, "said", |state| state[0].said == 1).await;
}

/// Says what a mail server says, and tells what it hears.
struct Talk<S> {
    stream: BufReader<S>,
    tells: UnboundedSender<String>,
}

enum End {
    Over,
    StartTls,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn say(&mut self, text: &str) -> Option<()> {
        self.stream.write_all(text.as_bytes()).await.ok()?;
        self.stream.flush().await.ok()
    }

    async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).await.ok()?;
        let _ = self.tells.send(line.trim_end().to_owned());
        (length > 0).then_some(line)
    }

    async fn go_on(&mut self, secure: bool) -> Option<End> {
        loop {
            let line = self.hear().await?;
            match line.split_whitespace().next().unwrap_or_default() {
                "EHLO" if secure => self.say("250-sink\r\n250 AUTH PLAIN\r\n").await?,
                "EHLO" => self.say("250-sink\r\n250 STARTTLS\r\n").await?,
                "STARTTLS" => {
                    self.say("220 go on\r\n").await?;
                    return Some(End::StartTls);
                }
                // In base 64: zero, user, zero, "open sesame".
                "AUTH" if line.contains("AHVzZXIAb3BlbiBzZXNhbWU=") => {
                    self.say("235 yes\r\n").await?;
                }
                "AUTH" => self.say("535 no\r\n").await?,
                "DATA" => {
                    self.say("354 go on\r\n").await?;
                    while self.hear().await?.trim_end() != "." {}
                    self.say("250 taken\r\n").await?;
                }
                "QUIT" => {
                    self.say("221 bye\r\n").await?;
                    return Some(End::Over);
                }
                _ => self.say("250 yes\r\n").await?,
            }
        }
    }
}

/// A server whose certificate is for `mail.example.com`, in a file that is returned.
async fn sink(
    folder: &tempfile::TempDir,
    at_once: bool,
) -> (SocketAddr, String, UnboundedReceiver<String>) {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["mail.example.com".to_owned()])
        .and_then(|it| it.self_signed(&pair))
        .expect("a certificate");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, certificate.pem()).expect("a file");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("it fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    let (tells, told) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (acceptor, tells) = (acceptor.clone(), tells.clone());
            tokio::spawn(async move {
                let mut stream = stream;
                if !at_once {
                    let mut talk = Talk { stream: BufReader::new(stream), tells: tells.clone() };
                    talk.say("220 sink\r\n").await?;
                    match talk.go_on(false).await? {
                        End::Over => return Some(()),
                        End::StartTls => stream = talk.stream.into_inner(),
                    }
                }
                let stream = acceptor.accept(stream).await.ok()?;
                let _ = tells.send("(secure)".to_owned());
                let mut talk = Talk { stream: BufReader::new(stream), tells };
                if at_once {
                    talk.say("220 sink\r\n").await?;
                }
                talk.go_on(true).await.map(drop)
            });
        }
    });
    (at, path.display().to_string(), told)
}

fn way(at: SocketAddr, tls: &str, more: &str) -> String {
    format!(
        "[[notify]]\nmail = {{ server = \"127.0.0.1\", port = {}, tls = \"{tls}\", \
         from = \"stead@example.com\", to = [\"a@example.com\"], {more} }}\n",
        at.port()
    )
}

#[tokio::test]
async fn a_password_is_told_to_the_right_server_only_and_in_secret() {
    for (tls, at_once) in [("starttls", false), ("tls", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let password = secret(&folder, "password", "open sesame\n");
        let (at, authority, mut told) = sink(&folder, at_once).await;
        let more = format!(
            "certificate = \"mail.example.com\", authority = {authority:?}, user = \"user\", \
             secret = {password:?}"
        );
        let notifier = Notifier::start(ways(&way(at, tls, &more)), SOON);
        notifier.send(&message(1));
        let mut heard = Vec::new();
        while heard.last().is_none_or(|line| line != ".") {
            heard.push(next(&mut told).await);
        }
        let place = |wanted: &str| heard.iter().position(|line| line.starts_with(wanted));
        let (secure, auth) = (place("(secure)"), place("AUTH"));
        assert!(secure.is_some() && secure < auth && auth < place("MAIL"), "{heard:#?}");
        assert!(place("It is on node2.").is_some(), "{heard:#?}");
        until(&notifier, "said", |state| state[0].said == 1).await;
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = secret(&folder, "password", "open sesame\n");
    let (at, authority, mut told) = sink(&folder, false).await;
    let user = format!("user = \"user\", secret = {password:?}");
    for more in [
        // A certificate for another name, and one that nobody knows.
        format!("certificate = \"other.example.com\", authority = {authority:?}, {user}"),
        format!("certificate = \"mail.example.com\", {user}"),
    ] {
        let notifier = Notifier::start(ways(&way(at, "starttls", &more)), SOON);
        notifier.send(&message(1));
        until(&notifier, "given up", |state| state[0].given_up == 1).await;
        let error = notifier.state()[0].error.clone().unwrap_or_default();
        assert!(error.contains("did not take it") && error.contains("ertificate"), "{error}");
    }
    while let Ok(line) = told.try_recv() {
        assert!(!line.starts_with("AUTH") && !line.starts_with("MAIL"), "{line}");
    }
    // Nor does one that does not speak TLS at all.
    let more = format!("certificate = \"mail.example.com\", authority = {authority:?}, {user}");
    let notifier = Notifier::start(ways(&way(at, "tls", &more)), SOON);
    notifier.send(&message(1));
    until(&notifier, "given up", |state| state[0].given_up == 1).await;
}
