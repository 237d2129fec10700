//! What the operator of the server asks: one line of JSON each, over a Unix socket.
//!
//! The form is that of the daemon's API ([`crate::api`]); the questions are others. The socket's
//! file lets in its owner and root, and whoever connects is looked at once more.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::id::ClusterId;
use stead_core::state::Digest;
use stead_log::transport::KeyHash;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::backup;
use super::limits::NAME_BYTES;
use super::record::{Moment, TokenState};
use super::report::{ClusterReport, ListReport, TokenReport};
use super::server::Server;
use super::table::{Entry, Table};
use super::token::EnrolToken;
use crate::api::message::{Answer, Changed, Failure, decode};
use crate::api::token::Token;

/// Operators at once; more are told to come later.
const CLIENTS: usize = 16;
/// The longest request, in bytes.
const LONGEST: u64 = 64 << 10;
/// How long a client may say nothing, or not read.
const IDLE: Duration = Duration::from_secs(60);
/// The longest life of a token.
pub const LONGEST_TTL: Duration = Duration::from_secs(24 * 3_600);
/// So many digits of a cluster's id are enough, if no other begins with them.
const DIGITS: usize = 4;

/// What can be asked. On the line its name stands in `do`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdminRequest {
    /// A token for one cluster: an [`EnrolAnswer`].
    Enrol {
        /// The name that lists show, in place of the cluster's own.
        #[serde(default)]
        name: Option<String>,
        /// How long it can be used.
        seconds: u64,
        /// Where the server can be reached; where it listens, if empty.
        #[serde(default)]
        addresses: Vec<SocketAddr>,
    },
    /// All clusters and open tokens: a [`ListReport`].
    List,
    /// One cluster: a [`ClusterReport`].
    Show {
        /// Its id, the beginning of it, or its name.
        cluster: String,
    },
    /// Answer a cluster no more, or take an open token back: a [`DoneAnswer`].
    Revoke {
        /// Its id, the beginning of it, or its name; or a token's number.
        what: String,
    },
    /// Remove a cluster with its register: a [`DoneAnswer`].
    Forget {
        /// Its id, the beginning of it, or its name.
        cluster: String,
    },
    /// A copy of everything: a [`BackupAnswer`].
    Backup,
}

/// A token. It is nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// The token.
    pub token: String,
    /// What lists call it.
    pub number: String,
    /// When it ends.
    pub expires: String,
}

/// Something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneAnswer {
    /// The cluster, or the token's number.
    pub what: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// How many connections were ended.
    pub connections: usize,
}

/// A copy of everything, and a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupAnswer {
    /// What to put into a file.
    pub text: String,
    /// How many clusters are in it.
    pub clusters: usize,
}

/// What answering needs.
pub(super) struct Desk {
    pub server: Arc<Server>,
    pub folder: PathBuf,
    pub key: KeyHash,
    /// Where this server listens.
    pub listening: Vec<SocketAddr>,
}

/// Answers until the server ends.
pub(super) async fn serve(
    listener: UnixListener,
    desk: Arc<Desk>,
    mut closing: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely; connections that end give some back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (desk, place) = (desk.clone(), places.clone().try_acquire_owned().ok());
        tokio::spawn(async move {
            let free = place.is_some();
            // Whoever went away needs no answer.
            drop(attend(stream, &desk, free).await);
            drop(place);
        });
    }
}

async fn attend(stream: UnixStream, desk: &Desk, free: bool) -> std::io::Result<()> {
    let who = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let turned_away = if who != 0 && who != geteuid().as_raw() {
        Some(Failure::unchanged("only root may ask this", "run it as root"))
    } else if !free {
        Some(Failure::unchanged("too many ask at once", "try again in a moment"))
    } else {
        None
    };
    if let Some(failure) = turned_away {
        return send(&mut writer, &Err(failure).into()).await;
    }
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut reader).take(LONGEST);
        let read = timeout(IDLE, limited.read_until(b'\n', &mut line)).await;
        if !matches!(read, Ok(Ok(1..))) || line.last() != Some(&b'\n') {
            return Ok(());
        }
        let answer = match decode::<AdminRequest>(&line) {
            Ok(request) => desk.answer(request).await,
            Err(failure) => Err(failure),
        };
        send(&mut writer, &answer.into()).await?;
    }
}

async fn send(writer: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(IDLE, writer.write_all(&line)).await?
}

fn json(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::unchanged(format!("the answer can't be written: {error}"), ""))
}

impl Desk {
    async fn answer(&self, request: AdminRequest) -> Result<Value, Failure> {
        match request {
            AdminRequest::Enrol { name, seconds, addresses } => {
                self.enrol(name, Duration::from_secs(seconds), addresses).await
            }
            AdminRequest::List => json(&self.list()),
            AdminRequest::Show { cluster } => self.show(&cluster),
            AdminRequest::Revoke { what } => self.revoke(&what).await,
            AdminRequest::Forget { cluster } => self.forget(&cluster).await,
            AdminRequest::Backup => self.backup().await,
        }
    }

    async fn enrol(
        &self,
        name: Option<String>,
        ttl: Duration,
        addresses: Vec<SocketAddr>,
    ) -> Result<Value, Failure> {
        let addresses = if addresses.is_empty() {
            // Looked for now: the machine may have got its addresses after the server began.
            self.listening.iter().copied().flat_map(reachable).collect()
        } else {
            addresses
        };
        let usable = |it: &SocketAddr| it.port() != 0 && !it.ip().is_unspecified();
        if addresses.is_empty() || !addresses.iter().all(usable) {
            return Err(Failure::unchanged(
                "no address is known at which clusters can reach this server",
                "name it: --address ADDRESS:PORT",
            ));
        }
        if ttl.is_zero() || ttl > LONGEST_TTL {
            return Err(Failure::unchanged("a token lives for 1 s to 24 h", "choose a --ttl"));
        }
        let fits = |name: &String| {
            !name.trim().is_empty()
                && name.len() <= NAME_BYTES
                && !name.chars().any(char::is_control)
        };
        if !name.as_ref().is_none_or(fits) {
            let message = format!("a name has 1 to {NAME_BYTES} bytes, all of them to be shown");
            return Err(Failure::unchanged(message, "choose another --name"));
        }
        let token = Token::new(self.key.0).map_err(|error| failed(&error))?;
        let (digest, now) = (token.digest(), Moment::now());
        let expires = now.after(ttl);
        let written = self.server.ledger.with(|table| table.invite(digest, name, expires, now));
        self.on_disk(written.map_err(|error| failed(&error))?).await?;
        let token = EnrolToken { token, addresses }.to_string();
        json(&EnrolAnswer { token, number: number(&digest), expires: expires.stamp() })
    }

    /// All clusters as of one moment. Only to copy them holds others up.
    async fn backup(&self) -> Result<Value, Failure> {
        let (clusters, written) = self.server.ledger.with(|table| {
            let copy = |(id, it): (&ClusterId, &Entry)| (*id, it.record.clone(), it.seen);
            (table.clusters().map(copy).collect::<Vec<_>>(), table.written())
        });
        // What is not on the disk may never have been answered.
        self.on_disk(written).await?;
        let (count, folder) = (clusters.len(), self.folder.clone());
        let made = tokio::task::spawn_blocking(move || backup::text(&folder, clusters)).await;
        let text = made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        json(&BackupAnswer { text, clusters: count })
    }

    fn report(&self, id: ClusterId, entry: &Entry) -> ClusterReport {
        ClusterReport::new(id, &entry.record, entry.seen, self.server.registry.connections(id))
    }

    fn list(&self) -> ListReport {
        let now = Moment::now();
        self.server.ledger.with(|table| {
            let mut clusters: Vec<_> =
                table.clusters().map(|(id, entry)| self.report(*id, entry)).collect();
            clusters.sort_by(|a, b| (&a.name, &a.cluster).cmp(&(&b.name, &b.cluster)));
            let open =
                table.tokens().filter(|(_, it)| it.state == TokenState::Open && it.expires > now);
            let tokens = open.map(|(digest, it)| TokenReport {
                number: number(digest),
                name: it.name.clone(),
                expires: it.expires.stamp(),
            });
            ListReport { key: self.key.to_string(), clusters, tokens: tokens.collect() }
        })
    }

    fn show(&self, text: &str) -> Result<Value, Failure> {
        self.server.ledger.with(|table| {
            let id = find(table, text)?;
            let entry = table.get(id).ok_or_else(|| unknown(text))?;
            json(&self.report(id, entry))
        })
    }

    async fn revoke(&self, text: &str) -> Result<Value, Failure> {
        if let Some(digest) = self.server.ledger.with(|table| open_token(table, text)) {
            let written = self.server.ledger.with(|table| table.revoke_token(digest));
            self.on_disk(written.map_err(|error| failed(&error))?).await?;
            let what = number(&digest);
            return json(&DoneAnswer { what, name: None, connections: 0 });
        }
        let (id, name, written) = self.server.ledger.with(|table| {
            let id = find(table, text)?;
            let written = table.revoke(id).map_err(|error| failed(&error))?;
            Ok::<_, Failure>((id, name_of(table, id), written))
        })?;
        let connections = self.server.registry.end_others(id, &[]);
        self.on_disk(written).await?;
        tracing::info!(cluster = %id, "revoked");
        json(&DoneAnswer { what: id.to_string(), name, connections })
    }

    async fn forget(&self, text: &str) -> Result<Value, Failure> {
        let (id, name, written) = self.server.ledger.with(|table| {
            let id = find(table, text)?;
            let name = name_of(table, id);
            let written = table.forget(id).map_err(|error| failed(&error))?;
            Ok::<_, Failure>((id, name, written))
        })?;
        let connections = self.server.registry.end_others(id, &[]);
        self.on_disk(written).await?;
        tracing::info!(cluster = %id, "forgotten");
        json(&DoneAnswer { what: id.to_string(), name, connections })
    }

    async fn on_disk(&self, written: super::table::Written) -> Result<(), Failure> {
        self.server.ledger.on_disk(written).await.map_err(|error| Failure {
            changed: Changed::Unknown,
            next: "look at its log, and at `stead quorum-server list` when it runs again"
                .to_owned(),
            ..failed(&error)
        })
    }
}

/// Where others can reach what listens there, for tokens. The most likely first.
fn reachable(listening: SocketAddr) -> Vec<SocketAddr> {
    /// A machine with more has to be told which of them: `enrol --address`.
    const MOST: usize = 4;
    if !listening.ip().is_unspecified() {
        return vec![listening];
    }
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses = interfaces.filter_map(|it| {
        let address = it.address?;
        let v4 = address.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
    });
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => listening.is_ipv4() && !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => listening.is_ipv6() && !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let port = listening.port();
    addresses.filter(usable).map(|ip| SocketAddr::new(ip, port)).take(MOST).collect()
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::unchanged(stead_edge::chain(error), "")
}

fn name_of(table: &Table, id: ClusterId) -> Option<String> {
    table.get(id).map(|entry| entry.record.name.clone())
}

/// What lists call a token: enough of its secret's digest to tell it from others.
fn number(digest: &Digest) -> String {
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("token-{digits}")
}

fn open_token(table: &Table, text: &str) -> Option<Digest> {
    let open = table.tokens().filter(|(_, it)| it.state == TokenState::Open);
    let mut found = open.filter(|(digest, _)| number(digest) == text).map(|(digest, _)| *digest);
    found.next()
}

fn unknown(text: &str) -> Failure {
    let text: String = text.chars().filter(|it| !it.is_control()).take(NAME_BYTES).collect();
    Failure::unchanged(
        format!("this server knows no cluster {text}"),
        "`stead quorum-server list` shows all of them",
    )
}

/// The one cluster with that id, that beginning of its id, or that name.
fn find(table: &Table, text: &str) -> Result<ClusterId, Failure> {
    let named = table.clusters().filter(|(_, entry)| entry.record.name == text);
    let mut found: Vec<ClusterId> = named.map(|(id, _)| *id).collect();
    if found.is_empty() && text.len() >= DIGITS {
        let text = text.to_ascii_lowercase();
        let begins = table.clusters().map(|(id, _)| *id);
        found = begins.filter(|id| id.to_string().starts_with(&text)).collect();
    }
    match found.as_slice() {
        [] => Err(unknown(text)),
        [id] => Ok(*id),
        [one, two, ..] => Err(Failure::unchanged(
            format!("{} clusters are meant by that, such as {one} and {two}", found.len()),
            "give the id, as `stead quorum-server list` shows it",
        )),
    }
}
