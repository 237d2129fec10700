use std::ffi::c_int;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::armed::{Info, text};
use super::*;

fn list(root: &Path, name: &str, words: &[(&str, &str)]) {
    let folder = root.join(name);
    fs::create_dir(&folder).expect("a folder");
    for (file, word) in words {
        fs::write(folder.join(file), format!("{word}\n")).expect("a file");
    }
}

#[test]
fn hardware_comes_first_and_numbers_count_as_numbers() {
    let root = tempfile::tempdir().expect("a folder");
    list(root.path(), "watchdog0", &[("identity", SOFTWARE), ("nowayout", "0")]);
    list(root.path(), "watchdog10", &[("identity", "a board's"), ("nowayout", "1")]);
    list(root.path(), "watchdog2", &[("identity", "i6300ESB timer"), ("state", "active")]);
    list(root.path(), "other", &[]);
    let found = devices_of(root.path(), Path::new("/dev")).expect("a list");
    let names: Vec<_> = found.iter().map(|it| it.path.to_str().unwrap_or_default()).collect();
    assert_eq!(names, ["/dev/watchdog2", "/dev/watchdog10", "/dev/watchdog0"]);
    assert!(found[0].runs && !found[0].no_way_out && !found[0].is_software());
    assert!(!found[1].runs && found[1].no_way_out);
    assert!(found[2].is_software());
}

#[test]
fn a_machine_without_any_has_an_empty_list() {
    let none = devices_of(Path::new("/sys/class/no-such-class"), Path::new("/dev"));
    assert_eq!(none.expect("a list"), []);
}

#[test]
fn the_kernels_text_ends_at_its_first_zero() {
    assert_eq!(text(b"i6300ESB timer\0\0\0junk"), Some("i6300ESB timer".to_owned()));
    assert_eq!(text(&[b'x'; 32]), Some("x".repeat(32)));
    assert_eq!(text(&[0; 32]), None);
}

#[test]
fn the_requests_have_the_kernels_numbers_and_sizes() {
    assert_eq!(size_of::<Info>(), 40);
    assert_eq!(nix::request_code_read!(b'W', 0, size_of::<Info>()), 0x8028_5700);
    assert_eq!(nix::request_code_readwrite!(b'W', 6, size_of::<c_int>()), 0xC004_5706);
    assert_eq!(nix::request_code_read!(b'W', 7, size_of::<c_int>()), 0x8004_5707);
}

/// What is no watchdog takes none of its requests, and is not written to.
#[test]
fn another_file_is_refused_and_left_as_it_was() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_owned();
    let found = Found { path, identity: "none".into(), no_way_out: true, runs: false, longest: 0 };
    let refused = Watchdog::arm(&found, Duration::from_secs(2)).expect_err("it is none");
    assert!(matches!(refused, WatchdogError::Device { step: "ask", .. }), "{refused}");
    let short = Found { longest: 1, ..found.clone() };
    let refused = Watchdog::arm(&short, Duration::from_millis(1_500)).expect_err("it is short");
    assert!(matches!(refused, WatchdogError::Timeout { least: 2, .. }), "{refused}");
    let missing = Found { path: "/dev/no-such-watchdog".into(), ..found };
    let refused = Watchdog::arm(&missing, Duration::from_secs(2)).expect_err("there is none");
    assert!(matches!(refused, WatchdogError::Device { step: "open", .. }), "{refused}");
    assert_eq!(fs::read(file.path()).expect("it can be read"), b"");
}
