//! `stead join`.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use stead_core::id::{ClusterId, NodeId};
use stead_log::Boxed;
use stead_log::network::Service;
use stead_log::transport::{
    Identity as Key, JoinError, KeyHash, Members, PROTOCOL, Peers, PeersOptions,
};

use super::context::Context;
use super::exit::{Exit, FateUnknown};
use super::init::{make_folder, own_key};
use crate::api::join::{JoinAnswer, JoinRequest, Welcome, decode, encode};
use crate::api::token::Token;
use crate::config::DEFAULT_PORT;
use crate::identity::IdentityError;
use crate::paths::Paths;

/// How long the answer may take: a little longer than the other side has for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Join a cluster as a new node.
///
/// Run on the new machine what `stead token NODE` printed on a member. The token proves both ways:
/// this machine was invited, and the member is the right one. Nothing is started. If it fails,
/// nothing is left behind; if it is not known whether it succeeded, the same command may be run
/// again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead join 192.0.2.11:7744 stead1-9c41…")]
pub(super) struct Join {
    /// A member's address: the one that made the token
    #[arg(value_name = "ADDRESS[:PORT]")]
    address: String,
    /// The token
    token: String,
}

impl Join {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let paths = &context.paths;
        let token: Token = self.token.parse()?;
        if paths.identity().exists() {
            return Err(IdentityError::Present(paths.identity()).into());
        }
        let addresses = resolve(&self.address)?;
        make_folder(&paths.state, 0o700)?;
        let had_key = paths.keys().exists();
        let key = own_key(paths)?;
        let welcome = match ask(&addresses, &token, &key) {
            Ok(welcome) => welcome,
            Err(error) => {
                // A key whose fate is unknown may be a member's: the next attempt needs it.
                if !had_key && error.downcast_ref::<FateUnknown>().is_none() {
                    remove_key(paths);
                }
                return Err(error);
            }
        };
        let name = &welcome.name;
        welcome.identity().store(paths, &welcome.secret).with_context(|| {
            format!(
                "the cluster knows this machine as {name}, and this machine can't note it; \
                     mend that, then run the same command again"
            )
        })?;
        println!("This machine is {name} now, one of {} members.", welcome.members.len());
        println!("Next: systemctl start stead-guard stead-daemon");
        Ok(Exit::Done)
    }
}

/// The addresses behind what was typed.
fn resolve(text: &str) -> anyhow::Result<Vec<SocketAddr>> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
        return Ok(vec![SocketAddr::new(ip, DEFAULT_PORT)]);
    }
    let with_port = match text.rsplit_once(':') {
        Some(_) => text.to_owned(),
        None => format!("{text}:{DEFAULT_PORT}"),
    };
    let found = with_port.to_socket_addrs().with_context(|| {
        format!("can't find {text}; nothing was changed. Give the address in numbers")
    })?;
    Ok(found.collect())
}

/// Nobody calls a node that is about to join.
struct Nobody;

impl Service for Nobody {
    fn handle(&self, _from: NodeId, _request: Vec<u8>) -> Boxed<'static, Vec<u8>> {
        Box::pin(async { Vec::new() })
    }
}

fn ask(addresses: &[SocketAddr], token: &Token, key: &Key) -> anyhow::Result<Welcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start; nothing was changed")?;
    runtime.block_on(async {
        let peers = Peers::start(PeersOptions {
            node: NodeId(0),
            cluster: ClusterId::default(),
            identity: key.clone(),
            listen: Vec::new(),
            members: Members::new(BTreeMap::new()),
            daemon: Arc::new(Nobody),
            join: None,
            software: concat!("stead ", env!("CARGO_PKG_VERSION")).to_owned(),
            versions: PROTOCOL,
        })
        .context("can't use this node's key; nothing was changed")?;
        let request = encode(&JoinRequest { secret: token.secret })?;
        let mut last = anyhow!("the name has no address; nothing was changed");
        for address in addresses {
            match peers.join(*address, KeyHash(token.key), &request, PATIENCE).await {
                Ok(answer) => return understand(&answer),
                Err(error) => last = failed(*address, &error),
            }
            if last.downcast_ref::<FateUnknown>().is_some() {
                break;
            }
        }
        Err(last)
    })
}

fn understand(answer: &[u8]) -> anyhow::Result<Welcome> {
    match decode::<JoinAnswer>(answer) {
        Ok(Ok(welcome)) => Ok(welcome),
        Ok(Err(reason)) => bail!("not let in: {reason}. Nothing was changed"),
        Err(error) => Err(FateUnknown(format!(
            "the answer can't be understood: {error}; on a member, `stead status` tells whether \
             this machine is in"
        ))
        .into()),
    }
}

fn failed(address: SocketAddr, error: &JoinError) -> anyhow::Error {
    match error {
        JoinError::Unreachable(reason) => anyhow!(
            "can't talk to the member at {address}: {reason}. Nothing was changed. Is it running, \
             is its port open, and is it the node that made the token?"
        ),
        JoinError::TooLong { .. } => anyhow!("{error}; nothing was changed"),
        JoinError::Broken | JoinError::Deadline { .. } => FateUnknown(format!(
            "{address}: {error}; this machine may be a member now: run the same command again"
        ))
        .into(),
    }
}

/// Removes the key that this attempt made. If that fails the next attempt uses it.
fn remove_key(paths: &Paths) {
    if let Err(error) = fs::remove_dir_all(paths.keys()) {
        eprintln!("{} was not removed ({error}); it does no harm", paths.keys().display());
    }
}
