//! A process full of nodes: the product's own client for each, and nothing of a daemon besides.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use stead::quorum_client::{ClientOptions, EnrolError, Link, QuorumClient, enrol};
use stead::quorum_server::token::EnrolToken;
use stead::quorum_server::wire::Members;
use stead_core::id::{ClusterId, Grant, Index, NodeId};
use stead_core::quorum::ask::Question;
use stead_core::quorum::register::Half;
use stead_log::transport::Identity;
use tokio::task::JoinSet;

use super::NODES;
use super::orders::{Done, Order, read_line, until, write_line};
use crate::error::{BenchError, Step};
use crate::tools::PATIENCE;

/// Enrolments of one process at once.
const AT_ONCE: usize = 8;
/// So much of what went wrong is told.
const TOLD: usize = 3;
/// Where keys are made: they are nothing that is measured, so no disk need have them.
const MEMORY: &str = "/dev/shm";

type Wrong = String;

/// One cluster of two nodes.
struct Pair {
    options: [ClientOptions; NODES],
    clients: [QuorumClient; NODES],
    grant: Grant,
}

/// Obeys orders until nobody gives any.
///
/// # Errors
/// The socket can't be used.
pub fn attend(socket: &Path) -> Result<(), BenchError> {
    let what = || format!("cannot hear orders at {}", socket.display());
    let mut writer = UnixStream::connect(socket).step(what)?;
    let mut reader = BufReader::new(writer.try_clone().step(what)?);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().step(what)?;
    let mut pairs = Vec::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    // reading blocks; the connections have to be kept meanwhile
    std::thread::spawn(move || {
        while let Ok(Some(order)) = read_line::<Order>(&mut reader) {
            if tell.send(order).is_err() {
                return;
            }
        }
    });
    runtime.block_on(async {
        while let Some(order) = told.recv().await {
            let done = obey(&mut pairs, order).await;
            let done = done.unwrap_or_else(|wrong| Done { wrong: vec![wrong], ..Done::default() });
            write_line(&mut writer, &done).step(what)?;
        }
        Ok(())
    })
}

async fn obey(pairs: &mut Vec<Pair>, order: Order) -> Result<Done, Wrong> {
    match order {
        Order::Enrol { invited } => take_in(pairs, invited).await,
        Order::Ask { clusters, at } => {
            tokio::time::sleep(until(at)).await;
            Ok(ask_at_once(pairs, clusters).await)
        }
        Order::AskInTurn { clusters } => {
            let mut done = Done::default();
            for pair in pairs.iter_mut().take(clusters) {
                let [first, _] = &pair.clients;
                let asked = ask(first, pair.grant, 1).await;
                note(&mut done, &mut pair.grant, &[asked]);
            }
            Ok(done)
        }
        Order::Reconnect { at } => {
            tokio::time::sleep(until(at)).await;
            let began = Instant::now();
            for pair in pairs.iter_mut() {
                pair.clients = connect(&pair.options)?;
            }
            all_up(pairs).await;
            let done = pairs.iter().flat_map(|pair| &pair.clients).filter_map(|client| {
                let Link::Up { since, .. } = client.link() else { return None };
                Some(micros(since.saturating_duration_since(began)))
            });
            Ok(Done { micros: done.collect(), ..Done::default() })
        }
        Order::RoundTrips => {
            let links = pairs.iter().flat_map(|pair| &pair.clients).map(QuorumClient::link);
            let trips = links.filter_map(|link| match link {
                Link::Up { round_trip, .. } => Some(micros(round_trip)),
                Link::Down { .. } => None,
            });
            Ok(Done { micros: trips.collect(), ..Done::default() })
        }
        Order::Count => {
            let links = pairs.iter().flat_map(|pair| &pair.clients);
            let count = links.filter(|client| matches!(client.link(), Link::Up { .. })).count();
            Ok(Done { count, ..Done::default() })
        }
        Order::Connected => {
            all_up(pairs).await;
            Ok(Done { count: pairs.len() * NODES, ..Done::default() })
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn connect(options: &[ClientOptions; NODES]) -> Result<[QuorumClient; NODES], Wrong> {
    let start = |options: &ClientOptions| {
        QuorumClient::start(options.clone()).map_err(|error| error.to_string())
    };
    let [first, second] = options;
    Ok([start(first)?, start(second)?])
}

/// Waits until every node is connected.
async fn all_up(pairs: &[Pair]) {
    for client in pairs.iter().flat_map(|pair| &pair.clients) {
        let mut changes = client.changes();
        // an error means that the client is gone, and its link down for good
        let _last = changes.wait_for(|link| matches!(link, Link::Up { .. })).await;
    }
}

async fn take_in(pairs: &mut Vec<Pair>, invited: Vec<(u32, String)>) -> Result<Done, Wrong> {
    let (mut done, mut tasks, before) = (Done::default(), JoinSet::new(), pairs.len());
    let mut invited = invited.into_iter();
    loop {
        while tasks.len() < AT_ONCE
            && let Some((number, token)) = invited.next()
        {
            tasks.spawn(enrol_one(number, token));
        }
        let Some(enrolled) = tasks.join_next().await else { break };
        let (pair, took) = enrolled.map_err(|error| error.to_string())??;
        pairs.push(pair);
        done.micros.push(micros(took));
    }
    all_up(pairs.get(before..).unwrap_or_default()).await;
    Ok(done)
}

fn identity() -> Result<Identity, Wrong> {
    let template = if Path::new(MEMORY).is_dir() { MEMORY.into() } else { std::env::temp_dir() };
    let folder = nix::unistd::mkdtemp(&template.join("stead-bench-key-XXXXXX"));
    let folder = folder.map_err(|errno| format!("no folder for a key: {errno}"))?;
    let made = Identity::generate(&folder).map_err(|error| error.to_string());
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    made
}

/// Enrols one cluster, has its register trusted, and begins to keep its nodes connected.
async fn enrol_one(number: u32, token: String) -> Result<(Pair, Duration), Wrong> {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let cluster = ClusterId(id);
    let identities = [identity()?, identity()?];
    let keys = identities.iter().map(Identity::key).collect();
    let members = Members { at: Index(1), keys };
    let token: EnrolToken = token.parse().map_err(|error| format!("{error}"))?;
    let (began, name) = (Instant::now(), format!("cluster {number}"));
    let enrolled = loop {
        let members = members.clone();
        match enrol(&token, &identities[0], cluster, &name, members, PATIENCE).await {
            // as its words say: nothing was changed, and the token can be used again
            Err(EnrolError::NotConnected(_)) if began.elapsed() < PATIENCE => {}
            other => break other,
        }
    };
    let (server, standing) = enrolled.map_err(|error| error.to_string())?;
    let took = began.elapsed();
    let options =
        identities.map(|identity| ClientOptions { identity, server: server.clone(), cluster });
    let clients = connect(&options)?;
    if let Some(challenge) = standing.distrusted {
        let trust = Question::Trust { challenge, known: standing.last };
        let [first, _] = &clients;
        let trusted = first.ask(trust, None, PATIENCE).await.map_err(|error| error.to_string())?;
        if trusted.standing.distrusted.is_some() {
            return Err(format!("cluster {number} is not trusted"));
        }
    }
    Ok((Pair { options, clients, grant: standing.last }, took))
}

/// What one half was answered: a grant or none, and how long it took.
type Asked = Result<(Option<Grant>, Duration), Wrong>;

async fn ask(client: &QuorumClient, known: Grant, node: u64) -> Asked {
    let half = Half { present: [NodeId(node)].into(), voters: [NodeId(1), NodeId(2)].into() };
    let began = Instant::now();
    let answer = client.ask(Question::Ask { known, half }, None, PATIENCE).await;
    let answer = answer.map_err(|error| error.to_string())?;
    Ok((answer.grant.and_then(Result::ok), began.elapsed()))
}

async fn ask_at_once(pairs: &mut [Pair], clusters: usize) -> Done {
    let mut done = Done::default();
    let both = pairs.iter_mut().take(clusters).map(|pair| async {
        let [first, second] = &pair.clients;
        let (first, second) = (ask(first, pair.grant, 1), ask(second, pair.grant, 2));
        let (first, second) = tokio::join!(first, second);
        (pair, [first, second])
    });
    for (pair, asked) in futures::future::join_all(both).await {
        note(&mut done, &mut pair.grant, &asked);
    }
    done
}

/// Exactly one of those who asked has the next number.
fn note(done: &mut Done, grant: &mut Grant, asked: &[Asked]) {
    let mut granted = 0;
    for it in asked {
        match it {
            Ok((Some(number), took)) if *number == grant.next() => {
                granted += 1;
                done.micros.push(micros(*took));
            }
            Ok((Some(number), _)) => done.wrong.push(format!("{number} was granted")),
            Ok((None, _)) => {}
            Err(wrong) => done.wrong.push(wrong.clone()),
        }
    }
    if granted != 1 {
        done.wrong.push(format!("{granted} halves of one cluster were granted the same number"));
    }
    *grant = grant.next();
    done.wrong.truncate(TOLD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_both_halves_is_granted_or_it_is_told() {
        let judged = |asked: &[Asked]| {
            let (mut done, mut grant) = (Done::default(), Grant(4));
            note(&mut done, &mut grant, asked);
            assert_eq!(grant, Grant(5));
            done
        };
        let took = Duration::from_micros(30);
        let yes = || Ok((Some(Grant(5)), took));
        let no = || Ok((None, took));
        let good = judged(&[yes(), no()]);
        assert_eq!((good.micros, good.wrong), (vec![30], vec![]));
        assert!(judged(&[yes(), yes()]).wrong[0].starts_with("2 halves"));
        assert!(judged(&[no(), no()]).wrong[0].starts_with("0 halves"));
        assert!(judged(&[Ok((Some(Grant(9)), took)), yes()]).wrong[0].starts_with('9'));
        assert_eq!(judged(&[yes(), Err("late".to_owned())]).wrong, ["late"]);
    }
}
