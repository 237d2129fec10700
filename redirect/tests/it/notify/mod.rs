//! Messages on their ways: programs, webhooks and mail servers that work, fail and hang.

mod mail;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use stead_redirect::notify::{Message, Notifier, Retries, WaySettings, WayState};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use crate::knowledge::PATIENCE;

/// Attempts that come soon, so that a test need not wait.
pub(crate) const SOON: Retries =
    Retries { first: Duration::from_millis(10), longest: Duration::from_millis(40), attempts: 5 };

#[derive(Deserialize)]
struct File {
    notify: Vec<WaySettings>,
}

pub(crate) fn ways(text: &str) -> Vec<WaySettings> {
    toml::from_str::<File>(text).expect("ways").notify
}

fn message(number: u32) -> Message {
    Message::new("moved", format!("web moved {number}"), "It moved.\nIt is on node2.")
        .with("node", "node2")
        .with("for-whom", "all")
}

async fn until(notifier: &Notifier, what: &str, holds: impl Fn(&[WayState]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = notifier.state();
        if holds(&state) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {state:#?}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn secret(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
    path.display().to_string()
}

fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("tell");
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", folder.display())).expect("a file");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its mode");
    path.display().to_string()
}

/// A server that answers each request as it is told, and the last answer from then on.
async fn server(answers: &'static [&'static str]) -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    let (tells, told) = unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.iter();
        let mut answer = "";
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            answer = answers.next().copied().unwrap_or(answer);
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.is_err() || line.trim().is_empty() {
                    break;
                }
                let lower = line.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            let _ = stream.read_exact(&mut body).await;
            let _ = tells.send(format!("{head}\n{}", String::from_utf8_lossy(&body)));
            if answer == "hang" {
                // For as long as the test lasts.
                tokio::spawn(async move {
                    sleep(PATIENCE).await;
                    drop(stream);
                });
                continue;
            }
            let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (at, told)
}

async fn next(told: &mut UnboundedReceiver<String>) -> String {
    timeout(PATIENCE, told.recv()).await.expect("something comes").expect("it is there")
}

#[tokio::test]
async fn a_program_is_told_by_its_input_and_its_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let tell = script(
        folder.path(),
        "cat > input; all=\"$STEAD_FIELD_NODE|$STEAD_FIELD_FOR_WHOM|$1\"\n\
         echo \"$STEAD_KIND|$STEAD_SUBJECT|$all\" > said",
    );
    let way = format!("[[notify]]\nprogram = [{tell:?}, \"a b\"]\n");
    let notifier = Notifier::start(ways(&way), SOON);
    notifier.send(&message(1));
    assert!(notifier.finish(PATIENCE).await);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a file");
    assert_eq!(read("said"), "moved|web moved 1|node2|all|a b\n");
    let input: serde_json::Value = serde_json::from_str(&read("input")).expect("JSON");
    assert_eq!(input["subject"], "web moved 1");
    assert_eq!(input["fields"]["node"], "node2");
    assert_eq!(input["id"].as_str().map(str::len), Some(32));
}

#[tokio::test]
async fn a_webhook_that_fails_twice_is_told_a_third_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = secret(&folder, "key", "open sesame\n");
    let (at, mut told) = server(&["503 No", "500 No", "204 Yes"]).await;
    let way = format!(
        "[[notify]]\nwebhook = \"http://{at}/hook?a=b\"\nheader = \"X-Key\"\nsecret = {key:?}\n"
    );
    let notifier = Notifier::start(ways(&way), SOON);
    notifier.send(&message(1));
    notifier.send(&message(2));
    let mut ids = Vec::new();
    for number in [1, 1, 1, 2] {
        let request = next(&mut told).await;
        assert!(request.starts_with("POST /hook?a=b HTTP/1.1"), "{request}");
        assert!(request.to_lowercase().contains("x-key: open sesame"), "{request}");
        assert!(request.contains(&format!("web moved {number}")), "{request}");
        let body = request.split_once("\n\n").expect("a body").1.trim();
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        ids.push(body["id"].as_str().expect("an id").to_owned());
    }
    // Who gets a message twice can see that.
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    until(&notifier, "said", |state| state[0].said == 2 && state[0].error.is_none()).await;
    assert!(!format!("{notifier:?}").contains("sesame"));
}

#[tokio::test]
async fn one_that_hangs_holds_up_no_other_and_is_given_up() {
    let (hangs, mut asked) = server(&["hang"]).await;
    let (works, mut told) = server(&["200 Yes"]).await;
    let way = format!(
        "[[notify]]\nname = \"hangs\"\nwebhook = \"http://{hangs}/\"\ntimeout = \"200ms\"\n\
         [[notify]]\nname = \"works\"\nwebhook = \"http://{works}/\"\n\
         [[notify]]\nname = \"other\"\nkinds = [\"expired\"]\nwebhook = \"http://{works}/\"\n"
    );
    let notifier = Notifier::start(ways(&way), SOON);
    notifier.send(&message(1));
    next(&mut asked).await;
    notifier.send(&message(2));
    for number in [1, 2] {
        assert!(next(&mut told).await.contains(&format!("web moved {number}")));
    }
    until(&notifier, "given up", |state| state[0].given_up == 2).await;
    let state = notifier.state();
    assert!(state[0].error.as_ref().is_some_and(|it| it.contains("no answer within")), "{state:?}");
    assert_eq!((state[1].said, state[2].said, state[2].waiting), (2, 0, 0));
}

#[tokio::test]
async fn where_too_many_wait_the_oldest_goes_and_order_stays() {
    let (at, mut told) = server(&["hang", "200 Yes"]).await;
    let way = format!("[[notify]]\nwebhook = \"http://{at}/\"\ntimeout = \"5s\"\n");
    let notifier = Notifier::start(ways(&way), SOON);
    notifier.send(&message(0));
    assert!(next(&mut told).await.contains("web moved 0"));
    for number in 1..=300 {
        notifier.send(&message(number));
    }
    let state = notifier.state();
    assert_eq!((state[0].waiting, state[0].dropped), (256, 45));
    // The first is tried again, as it was being tried already; then those that are left.
    for number in std::iter::once(0).chain(46..=300) {
        let request = next(&mut told).await;
        assert!(request.contains(&format!("\"web moved {number}\"")), "{number}: {request}");
    }
    assert!(notifier.finish(PATIENCE).await);
}
