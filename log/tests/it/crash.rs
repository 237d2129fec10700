//! `kill -9` at random moments: a child process writes in a loop, and what it said it has must be
//! there when the file is opened again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use stead_core::id::NodeId;
use stead_log::network::inproc::Hub;
use stead_log::{Disk, Role};

use crate::support::{Member, PATIENCE, Recipe, open, wait};

/// Where the child finds its directory; set, it is the child.
const CHILD: &str = "STEAD_LOG_CRASH_CHILD";
const ROUNDS: u64 = 20;

async fn single(dir: &Path) -> Member {
    let recipe = Recipe {
        snapshots: stead_log::Snapshots { every: 64, keep: 16 },
        disk: Disk::Directory(dir.into()),
        ..Recipe::new("unused".into())
    };
    let member = open(NodeId(1), Hub::new().port(NodeId(1)), recipe).await;
    if member.log.status().borrow().membership.voters.is_empty() {
        // Refused if the membership is only not shown yet.
        drop(member.log.initialize([NodeId(1)]).await);
    }
    wait("the only voter to lead", || async { (member.role() == Role::Leader).then_some(()) })
        .await;
    member.log.read_index(PATIENCE).await.unwrap();
    member
}

/// Writes without end, and says after each write that it has it.
async fn write_without_end(dir: &Path) {
    let member = single(dir).await;
    let index = member.log.read_index(PATIENCE).await.unwrap();
    wait("the old changes", || async {
        (member.log.status().borrow().applied >= Some(index)).then_some(())
    })
    .await;
    let mut number = member.book.changes().len();
    let mut out = std::io::stdout();
    loop {
        member.log.propose(number.to_string().into(), PATIENCE).await.unwrap();
        writeln!(out, "acknowledged {number}").unwrap();
        out.flush().unwrap();
        number += 1;
    }
}

fn child(dir: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::killed_at_random_it_keeps_what_it_acknowledged", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets the child write for a while of its own choosing, kills it, and returns the last change it
/// acknowledged in this round.
fn round(dir: &Path, number: u64) -> Option<usize> {
    let mut child = child(dir);
    let pid = child.id();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<usize>().ok());
    // Some rounds end while the file is still being opened, others after many writes. The moment
    // within a write is chance.
    let many = usize::try_from(number * number % 37).unwrap();
    let chance = Duration::from_micros(u64::from(pid) * 7919 % 3000);
    let mut last = None;
    for (count, change) in acknowledged.enumerate() {
        last = Some(change);
        if count == many {
            std::thread::sleep(chance);
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_it_keeps_what_it_acknowledged() {
    if let Some(dir) = std::env::var_os(CHILD) {
        write_without_end(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut last = None;
    for number in 0..ROUNDS {
        let path = dir.path().to_path_buf();
        let written = tokio::task::spawn_blocking(move || round(&path, number)).await.unwrap();
        last = written.max(last);
        let member = single(dir.path()).await;
        let due = last.expect("the child acknowledged nothing") + 1;
        wait("what was acknowledged", || async {
            (member.book.changes().len() >= due).then_some(())
        })
        .await;
        for (number, change) in member.book.changes().iter().enumerate() {
            assert_eq!(change, number.to_string().as_bytes(), "round {number}");
        }
        member.log.shutdown().await;
    }
}
