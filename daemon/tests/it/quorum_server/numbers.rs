//! What Prometheus is shown.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use stead::quorum_server::numbers::ALL;

use super::bed::{members, until};
use super::{Bed, ask, cluster};
use crate::cluster::Must;
use crate::metrics::parser::{Exposition, parse};

/// Where a server of these tests shows its metrics.
pub const METRICS: &str = "127.0.0.1:9818";
const PAGE: &str = include_str!("../../../../docs/how-to/quorum-server.md");

impl Bed {
    /// Everything that is shown, by somebody on the server's machine.
    pub fn numbers(&self) -> Exposition {
        let answer = self.server_host().run(|| {
            let mut stream = TcpStream::connect(METRICS).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        });
        let answer = answer.must().expect("it listens");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        parse(body).unwrap_or_else(|error| panic!("{error}\n{body}"))
    }

    /// One number; zero if it is not shown.
    pub fn number(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let name = format!("stead_quorum_server_{name}");
        self.numbers().value(&name, labels).unwrap_or_default()
    }
}

#[test]
fn all_that_is_declared_is_shown_and_counts() {
    let bed = Bed::start("quorum-metrics", &["--metrics", METRICS]);
    let (one, two) = bed.pair(cluster(1));
    one.ask(ask(0, &[1]));
    two.ask(ask(0, &[2]));
    let stranger = bed.node(7);
    let error = stranger.enrol(&bed.token(&[]), cluster(2), "x", members(1, &[&one]));
    error.expect_err("it lacks the sender");
    two.wait_up();
    let is = |name: &str, labels: &[(&str, &str)], value: f64| {
        until(name, || (bed.number(name, labels) - value).abs() < 0.5);
    };
    is("clusters", &[("state", "trusted")], 1.0);
    is("clusters", &[("state", "distrusted")], 0.0);
    is("open_tokens", &[], 1.0);
    is("grants_total", &[], 1.0);
    is("refusals_total", &[("reason", "taken")], 1.0);
    is("refusals_total", &[("reason", "unfit")], 1.0);
    is("questions_total", &[("kind", "ask")], 2.0);
    is("questions_total", &[("kind", "enrol")], 2.0);
    is("connections", &[], 2.0);
    assert!(bed.number("commits_total", &[]) >= 4.0);
    assert!(bed.number("commit_seconds_total", &[]) > 0.0);
    assert!(bed.number("questions_total", &[("kind", "keep-alive")]) >= 1.0);
    let declared: BTreeSet<_> = ALL.iter().map(|it| it.name.to_owned()).collect();
    let shown: BTreeSet<_> = bed.numbers().names().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(shown, declared);
}

#[test]
fn the_page_names_every_family() {
    for family in ALL {
        let row = format!("| `{}` | {} |", family.name, family.kind.name());
        assert!(PAGE.contains(&row), "the page lacks: {row}");
        assert!(PAGE.contains(family.help), "the page says otherwise: {}", family.help);
    }
}

#[test]
fn without_a_word_nothing_listens_and_a_mistake_costs_the_metrics_only() {
    for arguments in [&[][..], &["--metrics", "0.0.0.0:9818"]] {
        let bed = Bed::start("quorum-no-metrics", arguments);
        drop(bed.pair(cluster(1)));
        let refused = bed.server_host().run(|| TcpStream::connect(METRICS).is_err()).must();
        assert!(refused, "{arguments:?}");
        assert_eq!(bed.log().contains("allow it with --metrics-open"), !arguments.is_empty());
    }
}
