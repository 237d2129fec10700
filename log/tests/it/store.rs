//! Disks that fail, tear and fill up; stores that belong to someone else.

use std::sync::Arc;
use std::time::Duration;

use stead_core::id::{ClusterId, NodeId};
use stead_log::network::inproc::Hub;
use stead_log::{
    DecodeError, Disk, Event, Failure, Log, NoListener, OpenError, Options, ProposeError, Role,
    Snapshots, StoreError, Timers,
};

use crate::disk::{Fault, Memory, Step, perform};
use crate::support::{
    ATTEMPT, Book, CLUSTER, Cluster, Member, PATIENCE, Recipe, open, quick, wait,
};

async fn single(disk: Disk) -> Member {
    let recipe = Recipe { disk, ..Recipe::new("unused".into()) };
    open(NodeId(1), Hub::new().port(NodeId(1)), recipe).await
}

async fn led(disk: Disk) -> Member {
    let member = single(disk).await;
    member.log.initialize([NodeId(1)]).await.unwrap();
    leads(&member).await;
    member
}

async fn leads(member: &Member) {
    wait("the only voter to lead", || async { (member.role() == Role::Leader).then_some(()) })
        .await;
}

/// Nothing is acknowledged after the failure, the driver is told once, and nothing hangs.
async fn stops_honestly(fault: Fault) {
    let memory = Memory::default();
    let member = led(memory.disk()).await;
    member.log.propose(b"kept".to_vec(), PATIENCE).await.unwrap();
    memory.fail(fault);
    // Large enough that a full disk must show.
    for number in 0..200u32 {
        let mut change = format!("lost-{number}-").into_bytes();
        change.resize(64 << 10, b'.');
        if let Err(error) = member.log.propose(change, PATIENCE).await {
            assert!(matches!(error, ProposeError::Stopped), "{error}");
            break;
        }
        assert_ne!(fault, Fault::Sync, "acknowledged although the disk does not sync");
    }
    wait("the failure to be told", || async { member.failed().then_some(()) }).await;
    wait("the log to stop", || async { (member.role() == Role::Stopped).then_some(()) }).await;
    let told: Vec<Event> = member.told.lock().unwrap().clone();
    let failures: Vec<_> = told.iter().filter(|event| matches!(event, Event::Failed(_))).collect();
    let [Event::Failed(Failure::Store(error))] = failures[..] else {
        panic!("one failure of the store was expected: {failures:?}");
    };
    assert!(matches!(**error, StoreError::Disk(_)), "{error}");
    let after = member.log.propose(b"after".to_vec(), ATTEMPT).await;
    assert!(matches!(after, Err(ProposeError::Stopped)), "{after:?}");
    member.log.shutdown().await;

    let again = single(Memory::with(memory.bytes()).disk()).await;
    wait("the kept change", || async { again.book.contains(b"kept").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_sync_stops_the_log() {
    stops_honestly(Fault::Sync).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_log() {
    stops_honestly(Fault::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_go_on_without_the_member_whose_disk_failed() {
    let mut cluster = Cluster::empty();
    let disks: Vec<Memory> = (0..3).map(|_| Memory::default()).collect();
    for (disk, node) in disks.iter().zip([1, 2, 3].map(NodeId)) {
        let recipe = Recipe { disk: disk.disk(), ..Recipe::new("unused".into()) };
        cluster.start_with(node, recipe).await;
    }
    cluster.member(1).log.initialize([1, 2, 3].map(NodeId)).await.unwrap();
    cluster.put("before").await;
    let leader = cluster.leader().await;
    disks[usize::try_from(leader.0).unwrap() - 1].fail(Fault::Sync);
    cluster.put("after").await;
    assert!(cluster.members.values().any(|member| member.book.contains(b"after")));
    wait("the failure to be told", || async { cluster.members[&leader].failed().then_some(()) })
        .await;
}

/// The images that a power cut may leave: each number of steps, the writes since the last sync each
/// there, torn or missing.
fn images(start: &[u8], steps: &[Step], cut: usize) -> Vec<Vec<u8>> {
    let synced = steps[..cut].iter().rposition(|step| matches!(step, Step::Sync));
    let synced = synced.map_or(0, |at| at + 1);
    let mut base = start.to_vec();
    for step in &steps[..synced] {
        perform(&mut base, step, usize::MAX);
    }
    let open = &steps[synced..cut];
    let build = |keep: &dyn Fn(usize, usize) -> usize| {
        let mut image = base.clone();
        for (at, step) in open.iter().enumerate() {
            let len = if let Step::Write(_, data) = step { data.len() } else { 0 };
            perform(&mut image, step, keep(at, len));
        }
        image
    };
    let last = open.len().saturating_sub(1);
    vec![
        // All of it; the last one torn; every second one; all but the first; only the last.
        build(&|_, len| len),
        build(&|at, len| if at == last { len / 2 } else { len }),
        build(&|at, len| if at % 2 == 0 { len } else { 0 }),
        build(&|at, len| if at == 0 { 0 } else { len }),
        build(&|at, len| if at == last { len } else { 0 }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_write_loses_nothing_that_was_acknowledged() {
    let memory = Memory::default();
    let member = led(memory.disk()).await;
    member.log.propose(b"first".to_vec(), PATIENCE).await.unwrap();
    let start = memory.record();
    let mut acknowledged = vec![(0, "first".to_string())];
    for number in 0..6 {
        let change = format!("change-{number}");
        member.log.propose(change.clone().into(), PATIENCE).await.unwrap();
        acknowledged.push((memory.steps().len(), change));
    }
    let steps = memory.steps();
    let mut tried = 0;
    for cut in 0..=steps.len() {
        for image in images(&start, &steps, cut) {
            let again = single(Memory::with(image).disk()).await;
            leads(&again).await;
            again.log.read_index(PATIENCE).await.unwrap();
            let due: Vec<&String> = acknowledged
                .iter()
                .filter(|(at, _)| *at <= cut)
                .map(|(_, change)| change)
                .collect();
            wait(&format!("what was acknowledged before step {cut}"), || async {
                let have = again.book.changes();
                let have: Vec<String> =
                    have.into_iter().map(|change| String::from_utf8(change).unwrap()).collect();
                let all: Vec<String> =
                    acknowledged.iter().map(|(_, change)| change.clone()).collect();
                assert!(all.starts_with(&have), "step {cut}: {have:?} was never the log");
                (have.len() >= due.len()).then_some(())
            })
            .await;
            again.log.shutdown().await;
            tried += 1;
        }
    }
    assert!(tried > 50, "only {tried} cuts were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_another_node_or_cluster_is_refused() {
    let memory = Memory::default();
    led(memory.disk()).await.log.shutdown().await;
    for (node, cluster) in [(NodeId(2), CLUSTER), (NodeId(1), ClusterId([8; 16]))] {
        let options = Options {
            node,
            cluster,
            disk: Memory::with(memory.bytes()).disk(),
            timers: quick(),
            snapshots: Snapshots::default(),
            machine: Box::new(Book::default()),
            listener: Arc::new(NoListener),
            network: Hub::new().port(node),
        };
        let error = Log::open(options).await.err().expect("it must be refused");
        assert!(
            matches!(error, OpenError::Store(StoreError::Foreign { node: NodeId(1), .. })),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_and_contradictory_timers_are_refused_without_a_panic() {
    let memory = Memory::default();
    led(memory.disk()).await.log.shutdown().await;
    let whole = memory.bytes();
    let options = |disk: Disk, timers: Timers| Options {
        node: NodeId(1),
        cluster: CLUSTER,
        disk,
        timers,
        snapshots: Snapshots::default(),
        machine: Box::new(Book::default()),
        listener: Arc::new(NoListener),
        network: Hub::new().port(NodeId(1)),
    };
    for length in [1, 17, 4096, whole.len() / 2] {
        let disk = Memory::with(whole[..length].to_vec()).disk();
        let error = Log::open(options(disk, quick())).await.err();
        assert!(matches!(error, Some(OpenError::Store(_))), "cut to {length}: {error:?}");
    }
    let garbage = Memory::with(vec![0xa5; 8192]).disk();
    assert!(Log::open(options(garbage, quick())).await.is_err());
    let backwards = Timers { election_max: Duration::from_millis(1), ..quick() };
    let error = Log::open(options(Memory::default().disk(), backwards)).await.err();
    assert!(matches!(error, Some(OpenError::Timers(_))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_can_not_open_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = led(Disk::Directory(dir.path().into())).await;
    let options = Options {
        node: NodeId(1),
        cluster: CLUSTER,
        disk: Disk::Directory(dir.path().into()),
        timers: quick(),
        snapshots: Snapshots::default(),
        machine: Box::new(Book::default()),
        listener: Arc::new(NoListener),
        network: Hub::new().port(NodeId(1)),
    };
    let error = Log::open(options).await.err();
    assert!(matches!(error, Some(OpenError::Store(StoreError::Open(_)))), "{error:?}");
    first.log.propose(b"still mine".to_vec(), PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_a_thread_does_the_same() {
    let memory = Memory::default();
    let member = led(memory.inline()).await;
    member.log.propose(b"inline".to_vec(), PATIENCE).await.unwrap();
    member.log.shutdown().await;
    let again = single(Memory::with(memory.bytes()).inline()).await;
    wait("the change", || async { again.book.contains(b"inline").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_release_is_refused_by_name() {
    let memory = Memory::default();
    led(memory.disk()).await.log.shutdown().await;
    let database = redb::Builder::new().create_with_backend(memory.clone()).unwrap();
    let write = database.begin_write().unwrap();
    let table: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("meta");
    write.open_table(table).unwrap().insert("vote", [9, 1, 1, 1].as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    let options = Options {
        node: NodeId(1),
        cluster: CLUSTER,
        disk: memory.disk(),
        timers: quick(),
        snapshots: Snapshots::default(),
        machine: Box::new(Book::default()),
        listener: Arc::new(NoListener),
        network: Hub::new().port(NodeId(1)),
    };
    let error = Log::open(options).await.err();
    let Some(OpenError::Store(StoreError::Decode { what: "the vote", source })) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(source, DecodeError::Version { found: 9, known: 1 }), "{source}");
}
