//! Transports on 127.0.0.1, and what stands between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stead_core::id::{ClusterId, NodeId};
use stead_log::Boxed;
use stead_log::network::Service;
use stead_log::transport::{
    Identity, Join, KeyHash, Member, Members, PROTOCOL, Peers, PeersOptions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::CLUSTER;

/// A daemon that says what it was asked, after as many milliseconds as the request asks for.
pub struct Echo;

impl Service for Echo {
    fn handle(&self, from: NodeId, request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        Box::pin(async move {
            let text = String::from_utf8(request).unwrap();
            if let Some(millis) = text.strip_prefix("wait ") {
                tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
            }
            format!("{from} said {text}").into_bytes()
        })
    }
}

/// Lets everyone in, and says with which key it came.
pub struct Welcome;

impl Join for Welcome {
    fn join(&self, _from: SocketAddr, key: KeyHash, request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        let text = String::from_utf8(request).unwrap();
        Box::pin(async move { format!("{text} {key}").into_bytes() })
    }
}

pub fn identity() -> Identity {
    Identity::generate(tempfile::tempdir().unwrap().path()).unwrap()
}

pub fn local() -> SocketAddr {
    // Not the address that connections come from, so that no connection can take a listening port
    // while its node is restarted.
    "127.77.0.1:0".parse().unwrap()
}

pub fn options(node: u64, identity: Identity, members: Members) -> PeersOptions {
    PeersOptions {
        node: NodeId(node),
        cluster: CLUSTER,
        identity,
        listen: vec![local()],
        members,
        daemon: Arc::new(Echo),
        join: Some(Arc::new(Welcome)),
        software: "stead test".into(),
        versions: PROTOCOL,
    }
}

pub fn foreign() -> ClusterId {
    ClusterId([99; 16])
}

/// Nodes that know each other.
pub struct Nodes {
    pub members: Members,
    pub identities: BTreeMap<NodeId, Identity>,
    pub peers: BTreeMap<NodeId, Arc<Peers>>,
}

impl Nodes {
    pub fn start(count: u64) -> Self {
        let members = Members::new(BTreeMap::new());
        let mut nodes = Self { members, identities: BTreeMap::new(), peers: BTreeMap::new() };
        for node in 1..=count {
            nodes.identities.insert(NodeId(node), identity());
            nodes.open(NodeId(node), local());
        }
        nodes
    }

    /// Starts a node, or starts it again, and tells the others where it listens.
    pub fn open(&mut self, node: NodeId, listen: SocketAddr) {
        let identity = self.identities[&node].clone();
        let key = identity.key();
        let options = PeersOptions {
            listen: vec![listen],
            ..options(node.0, identity, self.members.clone())
        };
        let peers = Peers::start(options).expect("the address is free");
        let addresses = peers.listening().to_vec();
        self.members.insert(node, Member { addresses, key });
        self.peers.insert(node, Arc::new(peers));
    }

    pub async fn stop(&mut self, node: NodeId) {
        self.peers.remove(&node).unwrap().shutdown().await;
    }

    pub fn at(&self, node: u64) -> &Peers {
        &self.peers[&NodeId(node)]
    }

    pub fn address(&self, node: u64) -> SocketAddr {
        self.at(node).listening()[0]
    }

    pub async fn says(&self, from: u64, to: u64, text: &str) -> Option<String> {
        let call = self.at(from).call(NodeId(to), text.into(), Duration::from_secs(2)).await;
        call.ok().map(|answer| String::from_utf8(answer).unwrap())
    }
}

/// A wire that can be cut without anyone being told: bytes simply stop.
pub struct Wire {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Wire {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(local()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let state = cut.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    // While the wire is cut a connection is not even made on the other side.
                    if state.load(Ordering::SeqCst) {
                        return std::future::pending().await;
                    }
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    let there = carry(near_in, far_out, state.clone());
                    let back = carry(far_in, near_out, state);
                    tokio::select! { () = there => {}, () = back => {} }
                });
            }
        });
        Self { address, cut }
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    cut: Arc<AtomicBool>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if cut.load(Ordering::SeqCst) {
            // Not even the end of the connection gets through.
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    if cut.load(Ordering::SeqCst) {
        std::future::pending().await
    }
}
