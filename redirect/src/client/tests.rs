//! Configurations and streams, read as they are meant.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::Config;
use super::events::{Events, TooMuch};
use super::template::{self, TemplateError};
use crate::knowledge::LONGEST;

const LEAST: &str = r#"cluster = "shop"
trust = ["sha256:0101010101010101010101010101010101010101010101010101010101010101"]
watch = ["http://10.0.0.1:7420"]
state = "/var/lib/stead-client"
services = ["web"]
"#;

fn refused(text: &str) -> String {
    Config::read(text, Path::new("client.toml")).expect_err("refused").to_string()
}

#[test]
fn what_is_wrong_is_shown_with_its_line() {
    Config::read(LEAST, Path::new("client.toml")).expect("it is enough");
    let file = "[[files]]\nservices = [\"web\"]\ntemplate = \"/t\"\ntarget = \"/a/b\"\n";
    for (text, line, said) in [
        (LEAST.replace("http://10.0.0.1:7420", "http://node1"), "line 3", "name"),
        (LEAST.replace("sha256:01", "sha256:1"), "line 2", "digest"),
        (LEAST.replace("\"web\"", "\"Web\""), "line 5", "no name"),
        (LEAST.replace("state", "stat"), "line 4", "unknown field `stat`"),
        (format!("{LEAST}poll = \"5\"\n"), "line 6", "10s"),
        (format!("{LEAST}{file}mode = \"4755\"\n"), "line 10", "mode"),
        (format!("{LEAST}{file}reload = [\"nginx\"]\n"), "line 10", "whole path"),
        (format!("{LEAST}[[notify]]\nsecret = \"/a\"\n"), "line 6", "webhook"),
        (format!("{LEAST}[[notify]]\nprogram = []\n"), "line 7", "a command is a list"),
        (format!("{LEAST}{file}{file}"), "client.toml", "/a/b is written twice"),
        (LEAST.replace("\"web\"", ""), "client.toml", "`services`"),
        (LEAST.replace("\"http://10.0.0.1:7420\"", ""), "client.toml", "`watch`"),
        (format!("{LEAST}{}", file.replace("/a/b", "/")), "client.toml", "no file"),
    ] {
        let error = refused(&text);
        assert!(error.contains(line) && error.contains(said), "{text}\n{error}");
    }
}

#[test]
fn a_mail_says_to_whom_and_keeps_its_password() {
    let mail = |more: &str| {
        let least = "server = \"10.0.0.25\", from = \"a@example.com\", to = [\"b@example.com\"]";
        format!("{LEAST}[[notify]]\nmail = {{ {least}{more} }}\n")
    };
    Config::read(&mail(""), Path::new("client.toml")).expect("it is enough");
    let clear = refused(&mail(", tls = \"none\", user = \"a\", secret = \"/s\""));
    assert!(clear.contains("starttls"), "{clear}");
    let half = refused(&mail(", user = \"a\""));
    assert!(half.contains("go together"), "{half}");
    let nobody = refused(&mail("").replace("\"b@example.com\"", ""));
    assert!(nobody.contains("nobody"), "{nobody}");
}

#[test]
fn events_come_in_any_pieces() {
    let mut events = Events::default();
    assert_eq!(events.add(b":\n\nid: 1\nda"), Ok(vec![]));
    assert_eq!(events.add(b"ta: a\ndata:b\r"), Ok(vec![]));
    assert_eq!(events.add(b"\n\r\n"), Ok(vec![b"a\nb\n".to_vec()]));
    assert_eq!(events.add(&vec![b'x'; 2 * LONGEST]), Err(TooMuch));
    let mut lines = Events::default();
    let many = b"data: 0123456789\n".repeat(LONGEST);
    assert_eq!(lines.add(&many), Err(TooMuch));
}

#[test]
fn what_is_not_there_is_an_error_and_not_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("template");
    let documents = BTreeMap::from([("web".to_owned(), crate::knowledge::sample())]);
    let render = |text: &str| {
        std::fs::write(&path, text).expect("a file");
        template::render(&path, &documents)
    };
    let text = "{% for a in service.addresses %}server {{ a }};\n{% endfor %}";
    assert_eq!(render(text).expect("it renders"), "server 10.0.0.100;\nserver fd00::100;\n");
    let text = "{{ services.web.address }} {{ service.node }} {{ cluster.name }} <&>\n";
    assert_eq!(render(text).expect("it renders"), "10.0.0.100 node1 shop <&>\n");
    for (text, said) in [
        ("{{ service.adress }}", "undefined"),
        ("a\n{{ services.mail.node }}", "line 2"),
        ("{% for %}", "line 1"),
        ("{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}", "fuel"),
        ("{% include '/etc/passwd' %}", "include"),
    ] {
        let error = render(text).expect_err("refused").to_string();
        assert!(error.contains(said) || error.contains(":2") || error.contains(":1"), "{error}");
    }
    assert!(matches!(template::check(&folder.path().join("no")), Err(TemplateError::Read { .. })));
}
