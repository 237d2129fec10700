//! The server's table, ledger and disk without a socket: what remains if nothing else is in the
//! way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stead::api::token::digest_of;
use stead::quorum_server::Moment;
use stead::quorum_server::ledger::Ledger;
use stead::quorum_server::numbers::Numbers;
use stead::quorum_server::store::{Store, file, make_folder};
use stead::quorum_server::table::Table;
use stead::quorum_server::wire::{Enrol, Members, Refused, Request};
use stead_core::id::{ClusterId, Grant, Index, NodeId};
use stead_core::quorum::ask::{Answer, Question};
use stead_core::quorum::register::{Challenge, Half};
use stead_log::transport::KeyHash;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Scale, mib, octets, timed};
use crate::error::{BenchError, Step};
use crate::measure::rounded;
use crate::report::{Results, Row};
use crate::tools::Folder;

/// Writes that are timed one by one.
const ALONE: usize = 200;
/// Nothing that is written or answered depends on the time.
const NOW: Moment = Moment(1);
const LATER: Moment = Moment(u64::MAX);
const CHALLENGE: Challenge = Challenge(1);

/// The cluster of that number.
fn id(number: usize) -> ClusterId {
    let mut id = [0xff; 16];
    id[8..].copy_from_slice(&(number as u64).to_be_bytes());
    ClusterId(id)
}

fn key(number: usize) -> KeyHash {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(number as u64).to_be_bytes());
    KeyHash(key)
}

fn request(number: usize, question: Question) -> Request {
    Request { nonce: 1, cluster: id(number), members: None, question }
}

fn ask(number: usize, known: u64) -> Request {
    let half = Half { present: [NodeId(1)].into(), voters: [NodeId(1), NodeId(2)].into() };
    request(number, Question::Ask { known: Grant(known), half })
}

/// Takes clusters in as their nodes would, and has them trusted: all in memory, and on its way to
/// the disk.
pub fn enrol(table: &mut Table, numbers: std::ops::Range<usize>) -> Result<(), BenchError> {
    for number in numbers {
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let members = Members { at: Index(1), keys: vec![key(2 * number), key(2 * number + 1)] };
        let (cluster, name) = (id(number), format!("cluster {number}"));
        let wish = Enrol { nonce: 1, secret, cluster, name, members };
        let invited = table.invite(digest_of(&secret), None, LATER, NOW);
        invited.map_err(|error| refused(&error))?;
        let enrolled = table.enrol(key(2 * number), &wish, NOW, CHALLENGE);
        enrolled.answer.map_err(|error| refused(&error))?;
        let trust = Question::Trust { challenge: CHALLENGE, known: Grant(0) };
        let trusted = table.ask(key(2 * number), &request(number, trust), NOW, CHALLENGE);
        trusted.answer.map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// A ledger of its own in a new folder.
pub fn open(folder: &std::path::Path) -> Result<(Ledger, Arc<Numbers>), BenchError> {
    make_folder(folder).map_err(|error| refused(&error))?;
    let (store, loaded) = Store::open(&file(folder)).map_err(|error| refused(&error))?;
    let table = Table::new(loaded.clusters, loaded.tokens);
    let numbers = Arc::new(Numbers::default());
    let ledger = Ledger::start(store, table, numbers.clone());
    Ok((ledger.step(|| "cannot start the thread that writes".to_owned())?, numbers))
}

/// Measures rules, disk, and both together.
pub fn run(
    scale: Scale,
    row: impl Fn(u32) -> Row,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut table = Table::default();
    let began = Instant::now();
    enrol(&mut table, 0..scale.clusters)?;
    table.take_writes();
    let row_of = |run, part: &str| row(run).with("part", part);
    results.add(rate(row_of(1, "rules: enrolment"), scale.clusters, began.elapsed()))?;
    for run in 1..=scale.runs {
        let (mut times, began) = (Vec::new(), Instant::now());
        for number in 0..scale.storm {
            let asked = Instant::now();
            let answer =
                table.ask(key(2 * number), &ask(number, u64::from(run) - 1), NOW, CHALLENGE);
            times.push(micros(asked.elapsed()));
            granted(&answer.answer)?;
        }
        table.take_writes();
        let row = rate(row_of(run, "rules: grant"), scale.storm, began.elapsed());
        results.add(timed(row, times))?;
    }

    let folder = Folder::create()?;
    let runtime = Runtime::new().step(|| "cannot start a runtime".to_owned())?;
    let (ledger, numbers) = open(folder.path())?;
    let began = Instant::now();
    for first in (0..scale.clusters).step_by(scale.storm.max(1)) {
        let last = (first + scale.storm.max(1)).min(scale.clusters);
        let written = ledger.with(|table| enrol(table, first..last).map(|()| table.written()))?;
        runtime.block_on(ledger.on_disk(written)).map_err(|error| refused(&error))?;
    }
    let enrolled = rate(row_of(1, "registers: enrolment"), scale.clusters, began.elapsed());
    results.add(enrolled.with("disk_mib", mib(octets(folder.path()))))?;
    let (ledger, runtime) = (Arc::new(ledger), &runtime);
    let mut grants = vec![0; scale.clusters];
    for run in 1..=scale.runs {
        for (part, count) in [("registers: one alone", 1), ("registers: storm", scale.storm)] {
            let rounds = if count == 1 { ALONE } else { 1 };
            let (before, began, mut times) = (numbers.commits(), Instant::now(), Vec::new());
            for round in 0..rounds {
                let asking = (0..count).map(|at| (round + at) % scale.clusters);
                let asking = asking.map(|number| (number, grants[number]));
                times.extend(runtime.block_on(at_once(&ledger, asking))?);
                (0..count).for_each(|at| grants[(round + at) % scale.clusters] += 1);
            }
            let row = rate(row(run).with("part", part), count * rounds, began.elapsed());
            let row = row.with("commits", numbers.commits() - before);
            results.add(timed(row, times))?;
        }
        results.add(beside_notes(runtime, &ledger, row(run), (scale.clusters, grants[0]))?)?;
        grants[0] += 1;
    }
    ledger.close();
    Ok(())
}

/// Each of them asks in a task of its own, as connections do. How long each waited for its grant.
async fn at_once(
    ledger: &Arc<Ledger>,
    asking: impl Iterator<Item = (usize, u64)>,
) -> Result<Vec<u64>, BenchError> {
    let mut tasks = JoinSet::new();
    for (number, known) in asking {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let asked = Instant::now();
            let (key, request) = (key(2 * number), ask(number, known));
            let outcome = ledger.with(|table| table.ask(key, &request, NOW, CHALLENGE));
            ledger.on_disk(outcome.after).await.map_err(|error| refused(&error))?;
            granted(&outcome.answer)?;
            Ok(micros(asked.elapsed()))
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// One cluster asks just when it is noted of all that they were heard.
fn beside_notes(
    runtime: &Runtime,
    ledger: &Arc<Ledger>,
    row: Row,
    (clusters, known): (usize, u64),
) -> Result<Row, BenchError> {
    for number in 0..clusters {
        let look = |table: &mut Table| table.look(id(number), key(2 * number), NOW).answer;
        ledger.with(look).map_err(|why| refused(&why))?;
    }
    let (began, noting) = (Instant::now(), ledger.clone());
    let noting = runtime.spawn(async move { noting.note_seen().await });
    let before = ledger.with(|table| table.written());
    while ledger.with(|table| table.written()) == before && !noting.is_finished() {
        std::thread::yield_now();
    }
    let times = runtime.block_on(at_once(ledger, std::iter::once((0, known))))?;
    let noted = runtime.block_on(noting).map_err(|error| refused(&error))?;
    noted.map_err(|error| refused(&error))?;
    let row = rate(row.with("part", "registers: one beside notes"), clusters, began.elapsed());
    Ok(timed(row, times))
}

fn refused(why: &dyn std::fmt::Display) -> BenchError {
    BenchError::Nothing(format!("the server's own code refused: {why}"))
}

fn granted(answer: &Result<Answer, Refused>) -> Result<(), BenchError> {
    match answer.as_ref().map(|answer| &answer.grant) {
        Ok(Some(Ok(_))) => Ok(()),
        Ok(other) => Err(refused(&format!("no grant: {other:?}"))),
        Err(why) => Err(refused(why)),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// So many in that time.
pub fn rate(row: Row, count: usize, took: Duration) -> Row {
    let row = row.with("count", count).with("seconds", rounded(took.as_secs_f64()));
    row.with("per_second", rounded(count as f64 / took.as_secs_f64()))
}
