//! The journal's file after whatever happened to it, and times as people write them.

use std::path::Path;

use stead_fuzz::target;

use super::file::read_back;
use super::{parse, stamp};

#[test]
fn any_file_is_read_back_as_far_as_it_goes() {
    let samples = || {
        let line = |text: &str| {
            format!(
                "{{\"time\":\"2026-03-01T12:00:00.250Z\",\"boot\":7,\"node\":\"node1\",\
                 \"severity\":\"info\",\"text\":\"{text}\",\"notice\":null}}\n"
            )
        };
        let torn = line("torn by a power loss").replace("}\n", "");
        let lines = [line("one"), torn, "\n".to_owned(), line("two")].concat();
        vec![("lines", lines.into_bytes())]
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let read = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).expect("written");
        read_back(path, 100)
    };
    target!("journal").samples(samples).count(400).run(|bytes| {
        let entries = read(&path, bytes);
        assert!(entries.len() <= bytes.split(|byte| *byte == b'\n').count());
        // What was read is what is read when it is written once more.
        let lines = entries.iter().map(|entry| serde_json::to_vec(&**entry));
        let lines: Vec<_> = lines.map(|line| line.expect("what was read can be written")).collect();
        assert_eq!(read(&path, &lines.join(&b'\n')), entries);
        !entries.is_empty()
    });
}

#[test]
fn a_time_is_what_it_is_written_as() {
    let samples = || vec![("time", b"2026-03-01T12:00:00.250Z".to_vec())];
    let target = target!("time").samples(samples).words(&[b"-", b":", b"T", b".", b"+1", b"9999"]);
    target.count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Some(at) = parse(&text) else { return false };
        assert_eq!(parse(&stamp(at)), Some(at), "{text}");
        true
    });
}
