//! Agent and nodes on machines of their own, with a wire between them that breaks.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stead_lab::{Bed, Host, LinkSpec, Switch};
use stead_redirect::knowledge::{Key, Shelf, serve_on};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Machine, heard_by, sequence_of};
use crate::knowledge::{PATIENCE, document, key, signed};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn host(bed: &Bed, switch: &Switch, name: &str, number: u8) -> Host {
    let host = bed.host(name).expect("a host");
    let spec = LinkSpec::new("eth0").addr(ip(&format!("10.0.0.{number}")), 24);
    bed.connect(&host, switch, spec).expect("a cable");
    host
}

/// Serves in a host's namespace, for as long as the test lasts: sockets stay in theirs.
fn serve(host: &Host, address: &str) -> Shelf {
    let at: SocketAddr = format!("{address}:7420").parse().expect("an address");
    let listener = host.run(move || std::net::TcpListener::bind(at)).expect("inside");
    let listener = listener.expect("a port");
    listener.set_nonblocking(true).expect("it can");
    let (shelf, (ending, ends)) = (Shelf::new(), watch::channel(false));
    let listener = TcpListener::from_std(listener).expect("it is one");
    let serves = serve_on(listener, None, shelf.clone(), ends);
    tokio::spawn(async move {
        serves.await;
        drop(ending);
    });
    shelf
}

fn says(shelf: &Shelf, key: &Key, node: &str, sequence: u64) {
    shelf.put(signed(&document(node, "10.0.0.100", sequence), key)).expect("news");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_follows_the_node_that_it_can_reach() {
    let bed = Bed::new("knowledge").expect("these tests need root");
    let switch = bed.switch("switch").expect("a switch");
    let node1 = host(&bed, &switch, "node1", 1);
    let node2 = host(&bed, &switch, "node2", 2);
    let client = host(&bed, &switch, "client", 9);
    let (key, machine) = (key(), Machine::new());
    let (first, second) = (serve(&node1, "10.0.0.1"), serve(&node2, "10.0.0.2"));
    says(&first, &key, "node1", 1);
    says(&second, &key, "node1", 1);
    let urls = ["http://10.0.0.1:7420".to_owned(), "http://10.0.0.2:7420".to_owned()];
    let config = machine.configure(&urls, &[&key], "");
    let (ending, ends) = watch::channel(false);
    // Its connections are made in the client's namespace: a runtime of one thread that is there.
    let works = std::thread::spawn(move || {
        client.run(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let run = async { stead_redirect::client::run(&config, ends).await };
            runtime.expect("a runtime").block_on(run)
        })
    });
    machine
        .until("it hears both", |status| {
            status.sources.iter().all(|it| it.error.is_none()) && sequence_of(status) == Some(1)
        })
        .await;

    // Node 1 is cut off without a word: its stream stays open, and says nothing.
    bed.cut(&node1).expect("cut");
    says(&second, &key, "node2", 2);
    machine.knows(2).await;
    let away = stead_redirect::client::SourceState::Away;
    machine.until("it misses node 1", |it| heard_by(it, &urls[0]) == Some(away)).await;
    // What node 1 still says is old.
    bed.heal(&node1).expect("healed");
    let status = machine
        .until("it refuses", |it| {
            super::refused(it, &urls[0]).is_some_and(|it| it.contains("older"))
        })
        .await;
    assert_eq!(sequence_of(&status), Some(2));
    says(&first, &key, "node1", 3);
    machine.knows(3).await;
    ending.send_replace(true);
    let deadline = Instant::now() + PATIENCE;
    while !works.is_finished() {
        assert!(Instant::now() < deadline, "it ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    works.join().expect("no panic").expect("inside").expect("nothing was wrong");
}
