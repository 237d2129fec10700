//! Lock files, files that are replaced as a whole, and the counter.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use stead_linux::durable::{Counter, CounterError, WriteError, write_atomically};
use stead_linux::lock::{Lock, LockError, holder};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_lock_has_one_holder_who_is_named() {
    let folder = folder();
    let path = folder.path().join("guard.lock");
    assert_eq!(holder(&path).expect("readable"), None);
    let lock = Lock::acquire(&path).expect("free");
    let own = i32::try_from(std::process::id()).ok();
    assert_eq!(holder(&path).expect("readable"), Some(own));
    match Lock::acquire(&path) {
        Err(LockError::Held { pid, .. }) => assert_eq!(pid, own),
        other => panic!("taken twice: {other:?}"),
    }
    drop(lock);
    assert_eq!(holder(&path).expect("readable"), None);
    let again = Lock::acquire(&path).expect("free again");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    // A program that was started meanwhile does not keep it.
    let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
    drop(again);
    assert!(Lock::acquire(&path).is_ok());
    child.kill().expect("killed");
    child.wait().expect("ended");
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let folder = folder();
    let path = folder.path().join("state");
    write_atomically(&path, b"first", 0o640).expect("written");
    fs::write(folder.path().join(".state.new"), b"left by a crash").expect("written");
    write_atomically(&path, b"second", 0o600).expect("written");
    assert_eq!(fs::read(&path).expect("readable"), b"second");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left over");
    let missing = write_atomically(&folder.path().join("no/where"), b"", 0o600);
    assert!(matches!(missing, Err(WriteError::Unchanged { .. })));
}

#[test]
fn a_counter_goes_on_where_it_stood() {
    let folder = folder();
    let path = folder.path().join("incarnation");
    let mut counter = Counter::create(&path).expect("made");
    assert!(matches!(Counter::open(&path), Err(CounterError::InUse { .. })));
    assert_eq!((counter.value().expect("0"), counter.increment().expect("1")), (0, 1));
    drop(counter);
    for wanted in 2..10 {
        let mut counter = Counter::open(&path).expect("there");
        assert_eq!(counter.increment().expect("counted"), wanted);
    }
    assert!(matches!(Counter::create(&path), Err(CounterError::File { .. })), "never over it");
    assert!(Counter::open(&folder.path().join("none")).is_err(), "never from zero again");
}

#[test]
fn a_torn_slot_never_brings_a_number_back() {
    for slot in [0, 4096] {
        for octet in 0..24 {
            let folder = folder();
            let path = folder.path().join("incarnation");
            let mut counter = Counter::create(&path).expect("made");
            let used = (0..3).map(|_| counter.increment().expect("counted")).max().expect("3");
            drop(counter);
            let file = fs::OpenOptions::new().write(true).open(&path).expect("there");
            file.write_all_at(&[0xaa], slot + octet).expect("damaged");
            let mut counter = Counter::open(&path).expect("there");
            assert!(counter.increment().expect("counted") > used);
            let last = counter.increment().expect("counted");
            assert_eq!(counter.value().expect("readable"), last, "both slots are good again");
        }
    }
}

#[test]
fn two_torn_slots_are_told() {
    let folder = folder();
    let path = folder.path().join("incarnation");
    drop(Counter::create(&path).expect("made"));
    fs::write(&path, vec![0; 8192]).expect("damaged");
    let mut counter = Counter::open(&path).expect("there");
    assert!(matches!(counter.increment(), Err(CounterError::Damaged { .. })));
    fs::write(&path, b"").expect("cut");
    assert!(matches!(counter.value(), Err(CounterError::Damaged { .. })));
}

#[test]
fn on_a_full_disk_it_counts_and_the_old_file_stands() {
    let folder = folder();
    let inside = std::thread::scope(|scope| {
        let act = || full_disk(folder.path());
        scope.spawn(act).join()
    });
    inside.expect("the thread inside");
}

/// In a mount namespace of its own, which goes with the thread.
fn full_disk(folder: &Path) {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).expect("these tests need root");
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private");
    let size = Some("size=64k");
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), size).expect("a small disk");
    let mut counter = Counter::create(&folder.join("incarnation")).expect("made");
    let state = folder.join("state");
    write_atomically(&state, b"old", 0o600).expect("written");
    let filled = fs::write(folder.join("filler"), vec![1; 1 << 20]);
    assert!(filled.is_err(), "the disk is full");
    assert_eq!(counter.increment().expect("counted"), 1);
    assert_eq!(counter.increment().expect("counted"), 2);
    let refused = write_atomically(&state, &[2; 8192], 0o600);
    assert!(matches!(refused, Err(WriteError::Unchanged { .. })), "{refused:?}");
    assert_eq!(fs::read(&state).expect("readable"), b"old");
}
