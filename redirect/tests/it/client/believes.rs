//! Whom an agent believes: the newest of those it trusts, whoever brings it, and nobody older.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stead_redirect::client::SourceState;
use stead_redirect::knowledge::Stamp;

use super::{Agent, Machine, heard_by, refused, sequence_of};
use crate::knowledge::{Node, document, key, signed};

#[tokio::test]
async fn the_newest_of_several_servers_wins_and_old_ones_are_refused_after_a_restart_too() {
    let (key, machine) = (key(), Machine::new());
    let says = |sequence| signed(&document("node1", "10.0.0.1", sequence), &key);
    let left_behind = Node::start(None).await.says(says(1)).await;
    let newest = Node::start(None).await.says(says(2)).await;
    let urls = [left_behind.url(), newest.url()];
    let config = machine.configure(&urls, &[&key], "");
    let agent = Agent::start(&config);
    machine.knows(2).await;
    newest.shelf.put(says(3)).expect("news");
    let status = machine.knows(3).await;
    assert_eq!(heard_by(&status, &urls[1]), Some(SourceState::Stream));
    agent.end().await;

    // Only the one that was left behind is there when it begins again.
    newest.end().await;
    let agent = Agent::start(&config);
    let status = machine
        .until("it refuses", |status| {
            refused(status, &urls[0]).is_some_and(|it| it.contains("older"))
                && heard_by(status, &urls[1]) == Some(SourceState::Away)
        })
        .await;
    assert_eq!(sequence_of(&status), Some(3));
    assert_eq!(status.services["web"].from, "kept");
    // What is newer is heard from it all the same.
    left_behind.shelf.put(says(4)).expect("news");
    machine.knows(4).await;
    // Two agents would quarrel about one folder.
    let (_end, ends) = tokio::sync::watch::channel(false);
    let second = stead_redirect::client::run(&config, ends).await.expect_err("one is there");
    assert!(format!("{second:?}").contains("Lock"), "{second:?}");
    agent.end().await;
}

#[tokio::test]
async fn what_is_foreign_forged_expired_or_of_another_cluster_is_refused() {
    let (known, foreign, machine) = (key(), key(), Machine::new());
    let good = document("node1", "10.0.0.1", 5);
    let of_foreign_key = signed(&document("evil", "10.6.6.6", 9), &foreign);
    let mut elsewhere = document("node1", "10.0.0.7", 9);
    elsewhere.cluster.name = "other".to_owned();
    let mut over = document("node1", "10.0.0.8", 9);
    let hours = i64::from(3 * 3_600 * 1_000);
    over.order.issued = Stamp::from_unix_millis(over.order.issued.unix_millis() - hours).unwrap();
    over.valid_until = over.order.issued.after(Duration::from_secs(3_600));
    let mut early = document("node1", "10.0.0.9", 9);
    early.order.issued = early.order.issued.after(Duration::from_secs(3_600));
    early.valid_until = early.order.issued.after(Duration::from_secs(3_600));
    let servers = [
        (Node::start(None).await.says(of_foreign_key).await, "not trusted"),
        (Node::start(None).await.says(signed(&elsewhere, &known)).await, "cluster"),
        (Node::start(None).await.says(signed(&over, &known)).await, "valid until"),
        (Node::start(None).await.says(signed(&early, &known)).await, "clocks"),
    ];
    let honest = Node::start(None).await;
    let mut urls: Vec<String> = servers.iter().map(|(node, _)| node.url()).collect();
    urls.push(honest.url());
    let agent = Agent::start(&machine.configure(&urls, &[&known], ""));
    for (node, reason) in &servers {
        let refuses = |it: String| it.contains(reason);
        machine.until(reason, |it| refused(it, &node.url()).is_some_and(refuses)).await;
    }
    assert_eq!(machine.status().map(|status| status.services.len()), Some(0));
    honest.shelf.put(signed(&good, &known)).expect("news");
    machine.knows(5).await;
    agent.end().await;
}

#[tokio::test]
async fn trust_rolls_on_to_new_keys_and_leaves_old_ones() {
    let (old, new, machine) = (key(), key(), Machine::new());
    let says = |sequence, key, signers: &[_]| {
        let mut document = document("node1", "10.0.0.1", sequence);
        document.signers = signers.to_vec();
        signed(&document, key)
    };
    let node = Node::start(None).await.says(says(1, &old, &[old.digest(), new.digest()])).await;
    let config = machine.configure(&[node.url()], &[&old], "");
    let agent = Agent::start(&config);
    machine.knows(1).await;
    node.shelf.put(says(2, &new, &[new.digest()])).expect("news");
    machine.knows(2).await;
    agent.end().await;
    // It is kept: the configuration still names the old key.
    let agent = Agent::start(&config);
    node.shelf.put(says(3, &old, &[old.digest()])).expect("news");
    machine.until("it refuses", |it| refused(it, &node.url()).is_some()).await;
    node.shelf.put(says(4, &new, &[])).expect("news");
    let status = machine.knows(4).await;
    assert_eq!(status.trust, [new.digest()]);
    agent.end().await;
    // The operator's word is the last: whom he names anew is believed.
    let config = machine.configure(&[node.url()], &[&old, &new], "");
    node.shelf.put(says(5, &old, &[])).expect("news");
    let agent = Agent::start(&config);
    machine.knows(5).await;
    agent.end().await;
}

/// A web server that knows nothing of any of this. It ends with this.
struct WebServer(Child);

impl WebServer {
    fn start(folder: &std::path::Path, port: u16) -> Self {
        let port = port.to_string();
        let arguments = ["-m", "http.server", &port, "--bind", "127.0.0.1", "--directory"];
        let mut command = Command::new("python3");
        command.args(arguments).arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("python3 is there"))
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn any_web_server_that_has_the_files_is_asked_now_and_then() {
    let (key, machine, folder) = (key(), Machine::new(), tempfile::tempdir().expect("a folder"));
    // An agent beside the web server hands on what it believes, and nothing else.
    let says = |sequence| signed(&document("node1", "10.0.0.1", sequence), &key);
    let (node, publisher) = (Node::start(None).await.says(says(1)).await, Machine::new());
    let publish = format!("publish = {:?}\n", folder.path());
    let handing_on = Agent::start(&publisher.configure(&[node.url()], &[&key], &publish));
    publisher.knows(1).await;
    // Somebody else may take the port before the web server does: then there is no document there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let _server = WebServer::start(folder.path(), port);
    let url = format!("http://127.0.0.1:{port}");
    let agent = Agent::start(&machine.configure(std::slice::from_ref(&url), &[&key], ""));
    let status = machine.knows(1).await;
    assert!(status.services["web"].from.starts_with(&url));
    let second = says(2);
    let signed_text = second.text().to_owned();
    node.shelf.put(second).expect("news");
    machine.knows(2).await;
    machine.until("it polls", |it| heard_by(it, &url) == Some(SourceState::Poll)).await;
    agent.end().await;

    // What it knew it hands on when it begins again, with no node there.
    handing_on.end().await;
    node.end().await;
    let file = folder.path().join("where/web");
    std::fs::remove_file(&file).expect("it was there");
    let config = publisher.path("client.toml");
    let handing_on = Agent::start(&config);
    publisher.knows(2).await;
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), signed_text);
    handing_on.end().await;
}

#[tokio::test]
async fn a_token_is_told_to_those_who_ask_for_it() {
    use std::os::unix::fs::PermissionsExt;
    let (key, machine) = (key(), Machine::new());
    let path = machine.write("token", "open sesame\n");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
    let secret = stead_edge::private::Secret::read(&path).expect("a secret");
    let envelope = signed(&document("node1", "10.0.0.1", 1), &key);
    let node = Node::start(Some(secret)).await.says(envelope).await;
    let without = machine.configure(&[node.url()], &[&key], "");
    let agent = Agent::start(&without);
    let away = |it: &stead_redirect::client::Status| {
        it.sources.iter().any(|it| it.error.as_ref().is_some_and(|it| it.contains("401")))
    };
    machine.until("it is sent away", away).await;
    agent.end().await;
    let text = machine.read("client.toml").replace("poll", &format!("token = {path:?}\npoll"));
    let agent = Agent::start(&machine.write("client.toml", &text));
    machine.knows(1).await;
    agent.end().await;
}
