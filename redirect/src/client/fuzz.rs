//! Configurations, streams and templates, broken in masses.

use std::collections::BTreeMap;
use std::path::Path;

use stead_fuzz::target;

use super::config::Config;
use super::events::Events;
use super::template;
use crate::knowledge::Document;

/// One of everything that is read.
const EVERYTHING: &str = r#"
cluster = "shop"
trust = ["sha256:0101010101010101010101010101010101010101010101010101010101010101"]
watch = ["http://10.0.0.1:7420", "http://[fd00::1]:80/a"]
token = "/etc/token"
state = "/var/lib/a"
poll = "5s"
services = ["mail"]
[[files]]
services = ["web"]
template = "/etc/a.j2"
target = "/etc/a"
mode = "0640"
owner = "root:root"
check = ["/bin/true", "{file}"]
reload = ["/bin/true"]
timeout = "30s"
[[notify]]
webhook = "http://10.0.0.9/"
"#;

const WORDS: &[&[u8]] = &[
    b"[[files]]",
    b"[[notify]]",
    b"services = []",
    b"target = \"/\"",
    b"target = \"a\"",
    b"mode = \"4755\"",
    b"owner = \":\"",
    b"check = []",
    b"\"http://a/\"",
    b"poll = \"0s\"",
    b"trust = []",
    b"{file}",
    b"\"\"\"",
];

#[test]
fn any_text_is_a_configuration_or_refused() {
    let samples = || vec![("everything", EVERYTHING.as_bytes().to_vec())];
    target!("client").samples(samples).words(WORDS).count(20_000).run(|bytes| {
        match Config::read(&String::from_utf8_lossy(bytes), Path::new("client.toml")) {
            Ok(config) => {
                assert!(!config.services.is_empty() && !config.watch.is_empty());
                assert!(config.files.iter().all(|file| file.target.is_absolute()));
                true
            }
            Err(error) => {
                assert!(error.to_string().contains("client.toml"), "{error}");
                false
            }
        }
    });
}

#[test]
fn any_stream_gives_the_same_events_in_any_pieces() {
    let words: &[&[u8]] = &[b"data: ", b"data:", b"\r\n", b"\r", b"\n\n", b":", b"id: 1\n"];
    let samples = || vec![("stream", b":\n\nid: 1\ndata: a\ndata: b\n\ndata: c\r\n\r\n".to_vec())];
    target!("events").samples(samples).words(words).count(40_000).run(|bytes| {
        let whole = Events::default().add(bytes).expect("it is short");
        for length in [1, 3] {
            let (mut events, mut pieces) = (Events::default(), Vec::new());
            for piece in bytes.chunks(length) {
                pieces.extend(events.add(piece).expect("it is short"));
            }
            assert_eq!(whole, pieces);
        }
        assert!(whole.iter().all(|event| event.ends_with(b"\n")));
        !whole.is_empty()
    });
}

#[test]
fn any_template_renders_or_is_refused() {
    const SAMPLE: &str = "{% for a in service.addresses %}server {{ a }};\n{% endfor %}\
                          {% if services.web.state == 'here' %}{{ service.address }}{% endif %}";
    let words: &[&[u8]] = &[
        b"{% for a in range(100000) %}",
        b"{% endfor %}",
        b"{{ ",
        b" }}",
        b"{% macro a() %}{{ a() }}{% endmacro %}",
        b"{% include 'a' %}",
        b"{% set a = a ~ a %}",
        b"|join",
        b"**9999",
        b"'x' * 99999999",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("template");
    let document: Document = crate::knowledge::sample();
    let documents = BTreeMap::from([("web".to_owned(), document)]);
    let samples = || vec![("sample", SAMPLE.as_bytes().to_vec())];
    target!("template").samples(samples).words(words).longest(400).count(3_000).run(|bytes| {
        std::fs::write(&path, bytes).expect("a file");
        template::render(&path, &documents).is_ok()
    });
}
