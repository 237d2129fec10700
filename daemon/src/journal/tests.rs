use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use stead_core::id::Term;

use super::*;

fn notice(n: u64) -> Notice {
    Notice::Coordinator("node1".to_owned(), Term(n))
}

fn terms(entries: &[Arc<Entry>]) -> Vec<u64> {
    let term = |entry: &Arc<Entry>| {
        let notice = entry.notice.clone()?;
        let Notice::Coordinator(_, term) = notice else { panic!("{notice:?}") };
        Some(term.0)
    };
    entries.iter().filter_map(term).collect()
}

#[test]
fn lines_outlive_the_process_and_torn_ones_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let journal = Journal::open(&path, "node1").unwrap();
    (1..=3).for_each(|n| journal.write(Instant(n), &notice(n)));
    drop(journal);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);

    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\xff\xfe garbage\n{\"time\":\"2026-").unwrap();
    let journal = Journal::open(&path, "node1").unwrap();
    journal.write(Instant(4), &notice(4));
    assert_eq!(terms(&journal.tail(10)), [1, 2, 3, 4]);
    assert_eq!(terms(&journal.tail(2)), [3, 4]);
    drop(journal);
    let journal = Journal::open(&path, "node1").unwrap();
    assert_eq!(terms(&journal.tail(10)), [1, 2, 3, 4]);
    let first = &journal.tail(10)[0];
    assert_eq!((first.boot, first.node.as_str()), (1, "node1"));
    assert!(parse(&first.time).is_some());
    assert_eq!(first.text, "node1 coordinates (term 1)");
}

#[test]
fn two_files_of_bounded_size_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let journal = Journal::bounded(&path, "node1", 2_000).unwrap();
    (1..=100).for_each(|n| journal.write(Instant(n), &notice(n)));
    drop(journal);
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(size(&path) <= 2_000 && size(&file::predecessor(&path)) <= 2_000);
    let journal = Journal::bounded(&path, "node1", 2_000).unwrap();
    let back = terms(&journal.tail(1_000));
    assert!(back.len() > 10 && back.last() == Some(&100), "{back:?}");
    assert!(back.is_sorted());
}

fn entry(n: u64) -> Arc<Entry> {
    Arc::new(Entry {
        time: stamp(SystemTime::now()),
        boot: n,
        node: "node1".to_owned(),
        severity: Severity::Info,
        text: "text".to_owned(),
        notice: Some(notice(n)),
    })
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    // Every write to this device fails as on a full disk.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let lines = file::Lines::on(Path::new("unused"), full, 0, FILE_BYTES);
    let lost = Arc::new(AtomicU64::new(0));
    let mut writer = file::Writer::new(lines, "node1".to_owned(), lost.clone());
    let (line, coming) = sync_channel(3);
    (1..=3).for_each(|n| line.send(entry(n)).unwrap());
    drop(line);
    writer.run(&coming);
    assert_eq!(lost.load(Ordering::Relaxed), 3);
}

#[test]
fn lost_lines_are_counted_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let lost = Arc::new(AtomicU64::new(7));
    let lines = file::Lines::open(&path, FILE_BYTES).unwrap();
    let mut writer = file::Writer::new(lines, "node1".to_owned(), lost.clone());
    let (line, coming) = sync_channel(1);
    line.send(entry(1)).unwrap();
    drop(line);
    writer.run(&coming);
    assert_eq!(lost.load(Ordering::Relaxed), 0);
    let back = file::read_back(&path, 10);
    assert_eq!(back.len(), 2);
    assert!(back[0].text.starts_with("7 lines before this one are lost"), "{}", back[0].text);
    assert_eq!((back[0].severity, back[0].notice.clone()), (Severity::Warning, None));
}

#[test]
fn followers_get_the_past_and_the_future_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("events.jsonl"), "node1").unwrap();
    journal.write(Instant(1), &notice(1));
    let (past, mut coming) = journal.follow(10);
    journal.write(Instant(2), &notice(2));
    assert_eq!(terms(&past), [1]);
    assert_eq!(terms(&[coming.try_recv().unwrap()]), [2]);
    // One that never reads is told what it missed, and keeps nobody waiting.
    (3..=5_000).for_each(|n| journal.write(Instant(n), &notice(n)));
    let missed = coming.try_recv();
    assert!(matches!(missed, Err(broadcast::error::TryRecvError::Lagged(_))), "{missed:?}");
}
