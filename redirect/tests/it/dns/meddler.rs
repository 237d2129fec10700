//! Somebody between client and server who reads along, and meddles with what passes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::site::PATIENCE;

/// What is done to the first update that passes, or to its answer; all else passes as it is.
#[derive(Clone)]
pub(super) enum Deed {
    /// It waits until it is told to go on; that it came is told by the first of the two.
    Hold(Arc<Notify>, Arc<Notify>),
    /// Its answer is swallowed, and the connection ends.
    Swallow,
    /// The last byte of each answer is another one.
    Falsify,
    /// Answers lose what signs them.
    Strip,
}

/// A door of its own to a server, on the client's host, for connections.
pub(super) async fn between(server: SocketAddr, deed: Deed) -> SocketAddr {
    let listener = TcpListener::bind("10.0.0.9:0").await.expect("a door");
    let door = listener.local_addr().expect("bound");
    let first = Arc::new(AtomicBool::new(true));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.expect("reachable");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(requests(from_client, to_server, deed.clone(), first.clone()));
            tokio::spawn(answers(from_server, to_client, deed.clone()));
        }
    });
    door
}

async fn receive(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u16().await.ok()?;
    let mut bytes = vec![0; usize::from(length)];
    from.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn send(to: &mut OwnedWriteHalf, bytes: &[u8]) -> Option<()> {
    to.write_u16(bytes.len().try_into().expect("short")).await.ok()?;
    to.write_all(bytes).await.ok()
}

fn is_update(bytes: &[u8]) -> bool {
    bytes[2] >> 3 & 15 == 5
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    deed: Deed,
    first: Arc<AtomicBool>,
) {
    while let Some(bytes) = receive(&mut from).await {
        if let Deed::Hold(came, go_on) = &deed
            && is_update(&bytes)
            && first.swap(false, Ordering::Relaxed)
        {
            came.notify_one();
            tokio::time::timeout(PATIENCE, go_on.notified()).await.expect("told to go on");
        }
        if send(&mut to, &bytes).await.is_none() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, deed: Deed) {
    while let Some(mut bytes) = receive(&mut from).await {
        match deed {
            Deed::Hold(..) => {}
            Deed::Swallow if is_update(&bytes) => return,
            Deed::Swallow => {}
            Deed::Falsify => {
                // Behind the signature stand its number, its error and no other data: six bytes.
                let place = bytes.len() - 7;
                bytes[place] ^= 1;
            }
            Deed::Strip => strip(&mut bytes),
        }
        if send(&mut to, &bytes).await.is_none() {
            return;
        }
    }
}

/// Takes the last record away, which is the signature.
fn strip(bytes: &mut Vec<u8>) {
    let message = hickory_proto::op::Message::from_vec(bytes).expect("an answer");
    let mut bare = message;
    bare.take_signature();
    *bytes = bare.to_vec().expect("written");
}
