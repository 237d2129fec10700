//! What real daemons show to Prometheus and tell systemd's journal.

#[path = "metrics/parser.rs"]
pub mod parser;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::{Fleet, Part, Plan, PowerStrip, strip_table};
use stead::metrics::family::ALL;
use stead::metrics::notice::KINDS;

use crate::cluster::{
    Must, WEB, assert_taken_over, client, mark, serving, stead, three, wait_for, wait_moved,
    wait_preferred, web, whole,
};
use parser::{Exposition, parse};

const ADDRESS: &str = "127.0.0.1:9817";
const RULES: &str = include_str!("../../../contrib/alerts.yml");

/// What somebody on the node gets over HTTP; nothing if nobody listens.
fn scraped(fleet: &Fleet, node: &str) -> Option<Exposition> {
    let host = fleet.node(node).must().host().clone();
    let answer = host.run(|| {
        let mut stream = TcpStream::connect(ADDRESS).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    });
    let answer = answer.must()?;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Some(parse(body).unwrap_or_else(|error| panic!("{error}\n{body}")))
}

/// What `stead metrics` prints on the node.
fn printed(fleet: &Fleet, node: &str) -> Exposition {
    let text = fleet.node(node).must().stead(&["metrics"]).must().expect_success().must();
    parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn declared() -> BTreeSet<(String, String, Vec<String>)> {
    let row = |it: &stead::metrics::family::Family| {
        let mut labels: Vec<_> = it.labels.iter().map(|&label| label.to_owned()).collect();
        labels.sort();
        (it.name.to_owned(), it.kind.name().to_owned(), labels)
    };
    ALL.iter().map(row).collect()
}

/// A register in a file, for nodes on one machine that ask one at a time.
fn register() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().must();
    let (kept, program) = (folder.path().join("kept"), folder.path().join("register"));
    let kept = kept.display();
    let script = format!(
        "#!/bin/sh\nold=$(cat {kept} 2>/dev/null)\ncase $1 in\nget) echo \"$old\" ;;\n\
         swap) [ \"$old\" = \"$STEAD_OLD\" ] && echo \"$STEAD_NEW\" >{kept} ;;\nesac\n"
    );
    fs::write(&program, script).must();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).must();
    (folder, program.display().to_string())
}

/// Each node has a fence device, which was seen to answer, and a watchdog, which is not there.
fn rely_on_proofs(fleet: &Fleet) {
    let folder = tempfile::tempdir().must();
    PowerStrip::beside(fleet, folder.path(), |_| {
        let mut plan = fleet.plan().clone();
        for node in &mut plan.nodes {
            node.lines = format!("fence = [\"strip:{}\"]\nwatchdog = true\n", node.name);
        }
        plan.cluster.push_str(&strip_table(folder.path()));
        fleet.apply("node1", &plan.configuration()).must();
        let rehearse = ["fence", "rehearse", "node3"];
        fleet.node("node1").must().stead(&rehearse).must().expect_success().must();
    })
    .must();
}

/// Every declared family is really there, with these labels, and no other one.
#[test]
fn a_node_shows_all_that_is_declared_and_a_takeover_in_its_counters() {
    let mut plan = three("metrics").service(web("web", WEB, &["node2"]));
    // Nobody has that address: a point that all ask in vain is shown, and moves nothing.
    let network = "[networks.front]\nprefix = \"10.77.0.0/24\"\naddresses = [\"10.77.0.250\"]\n";
    let (_folder, program) = register();
    let quorum = "[quorum]\nchain = [\"majority\", \"exec\"]\n";
    plan.networks = format!("\n{network}\n{quorum}exec = [\"{program}\"]\n");
    for node in &mut plan.nodes {
        node.variables.push(("STEAD_METRICS".to_owned(), ADDRESS.to_owned()));
        // Never this machine's own.
        node.variables.push(("STEAD_WATCHDOG".to_owned(), "none".to_owned()));
    }
    let fleet = Fleet::start(plan).must();
    let client = client(&fleet, WEB);
    wait_preferred(&fleet, &client, "node2");
    whole(&fleet);
    rely_on_proofs(&fleet);
    let before = scraped(&fleet, "node1").expect("it listens");
    let here = |text: &Exposition| text.value("stead_service_here", &[("service", "web")]);
    assert_eq!(here(&before), Some(0.0));
    assert_eq!(here(&scraped(&fleet, "node2").expect("it listens")), Some(1.0));

    let began = mark();
    fleet.silence_then_kill("node2").must();
    wait_moved(&fleet, &client, "node2");
    wait_for(&fleet, "node1 counted it and knows how long it took", || {
        let after = scraped(&fleet, "node1").expect("it listens");
        let service = [("service", "web")];
        Ok(after.value("stead_moves_total", &[("cause", "silent")]) == Some(1.0)
            && after.value("stead_service_moves_total", &service) == Some(1.0)
            && after.value("stead_service_last_outage_seconds", &service).is_some())
    });
    assert_taken_over(client.seen_since(began));

    let after = scraped(&fleet, "node1").expect("it listens");
    assert_eq!(after.names(), declared());
    assert_eq!(printed(&fleet, "node1").names(), declared());
    assert_eq!(after.value("stead_protected", &[]), Some(0.0));
    assert_eq!(after.value("stead_tie_breaker_up", &[("module", "exec")]), Some(1.0));
    let down = [("node", "node2"), ("state", "down")];
    assert_eq!(after.value("stead_node_state", &down), Some(1.0));
    let total = |text: &Exposition| text.value("stead_incidents_total", &[]).expect("a number");
    assert!(total(&after) > total(&before));
    assert!(
        after.value("stead_log_applied_index", &[]) > before.value("stead_log_applied_index", &[])
    );
}

/// Mistakes in the address cost the metrics, and nothing else.
#[test]
fn an_address_that_can_not_be_used_stops_no_daemon() {
    let mut plan = three("metrics-wrong");
    let wrong = [("0.0.0.0:9817", "false"), ("nonsense", "true"), ("192.0.2.9:9817", "true")];
    for (node, (address, open)) in plan.nodes.iter_mut().zip(wrong) {
        node.variables.push(("STEAD_METRICS".to_owned(), address.to_owned()));
        node.variables.push(("STEAD_METRICS_OPEN".to_owned(), open.to_owned()));
    }
    let fleet = Fleet::start(plan).must();
    whole(&fleet);
    let said = ["allow it with --metrics-open", "is no address with a port", "tried again every"];
    for (node, words) in ["node1", "node2", "node3"].into_iter().zip(said) {
        let log = fleet.node(node).must().log(Part::Daemon);
        wait_for(&fleet, "its log says why", || {
            Ok(fs::read_to_string(&log).unwrap_or_default().contains(words))
        });
        assert!(scraped(&fleet, node).is_none(), "{node} listens");
        assert_eq!(printed(&fleet, node).value("stead_ready", &[]), Some(1.0));
        assert_eq!(fleet.restarts(node, Part::Daemon), 0);
    }
}

#[test]
fn without_a_word_nothing_listens() {
    let fleet = Fleet::start(three("metrics-silent")).must();
    whole(&fleet);
    assert!(scraped(&fleet, "node1").is_none());
    assert_eq!(printed(&fleet, "node1").value("stead_voters", &[]), Some(3.0));
}

/// Folders of a systemd-journald of our own, and the program that sees them in place of the
/// machine's.
struct SystemJournal {
    folder: tempfile::TempDir,
}

impl SystemJournal {
    fn new() -> Self {
        let folder = tempfile::tempdir().must();
        for name in ["systemd/journal", "systemd/journald.conf.d", "log"] {
            fs::create_dir_all(folder.path().join(name)).must();
        }
        // It must not touch the machine's kernel log, audit or disk.
        let settings = "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\n";
        fs::write(folder.path().join("systemd/journald.conf.d/test.conf"), settings).must();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell that sees these folders, and then becomes that program.
    fn within(&self, then: &str) -> Command {
        let (systemd, log) = (self.path("systemd"), self.path("log"));
        let script = format!(
            "mount --bind {} /run/systemd && mkdir -p /run/log && \
             mount --bind {} /run/log && {then}",
            systemd.display(),
            log.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", &script]);
        command
    }

    /// A program that runs `stead` there, as systemd would: what it writes to standard error is
    /// said to go to the journal.
    fn program(&self) -> PathBuf {
        let place = self.path("stead");
        let within = self.within("exec \"$0\" \"$@\"");
        let words = within.get_args().map(|word| format!("'{}'", word.to_string_lossy()));
        let words: Vec<_> = words.collect();
        let script = format!(
            "#!/bin/sh\nJOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)\n\
             export JOURNAL_STREAM\nexec unshare {} {} \"$@\"\n",
            words.join(" "),
            stead().display()
        );
        fs::write(&place, script).must();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).must();
        place
    }

    /// What it has, as `journalctl` reads it.
    fn entries(&self) -> Vec<Value> {
        let folders = fs::read_dir(self.path("log/journal")).into_iter().flatten();
        let Some(Ok(folder)) = folders.into_iter().next() else { return Vec::new() };
        let mut command = Command::new("journalctl");
        command.arg("--directory").arg(folder.path()).args(["--output=json", "--no-pager", "-q"]);
        let output = command.output().must();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| serde_json::from_str(line).must()).collect()
    }
}

/// The real journald has what the daemon noticed, in fields; that it was not there at first did no
/// harm.
#[test]
fn the_systems_journal_gets_notices_with_fields() {
    let journald = Path::new("/usr/lib/systemd/systemd-journald");
    assert!(journald.exists(), "install the package systemd (tests/packages.txt)");
    let journal = SystemJournal::new();
    let mut plan: Plan = three("journald").service(web("web", WEB, &["node2"]));
    plan.nodes[0].program = Some(journal.program());
    let fleet = Fleet::start(plan).must();
    let client = client(&fleet, WEB);
    whole(&fleet);

    let host = fleet.node("node1").must().host().clone();
    let then = format!("exec {}", journald.display());
    host.spawn(journal.within(&then), &journal.path("journald.log")).must();
    let socket = journal.path("systemd/journal/socket");
    wait_for(&fleet, "journald listens", || Ok(socket.exists()));
    fleet.kill("node1", Part::Daemon).must();
    wait_for(&fleet, "a new daemon", || Ok(fleet.restarts("node1", Part::Daemon) >= 1));
    whole(&fleet);

    let node = fleet.node("node1").must();
    node.stead(&["move", "web", "node1"]).must().expect_success().must();
    wait_for(&fleet, "it answers there", || Ok(client.holders() == ["node1"]));
    let mut found = None;
    wait_for(&fleet, "journald has it", || {
        let entries = journal.entries();
        let about = |it: &&Value| it["STEAD_NOTICE"] == "claimed" && it["STEAD_SERVICE"] == "web";
        found = entries.iter().find(about).cloned();
        Ok(found.is_some())
    });
    let entry = found.expect("found");
    let status = node.status().must();
    let epoch = crate::cluster::service(&status, "web")["epoch"].to_string();
    let id = KINDS.iter().find(|it| it.name == "claimed").expect("a kind").id;
    for (field, value) in [
        ("MESSAGE_ID", id),
        ("STEAD_NODE", "node1"),
        ("STEAD_EPOCH", &epoch),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "stead"),
        ("_TRANSPORT", "journal"),
    ] {
        assert_eq!(entry[field], value, "{field} of {entry:#}");
    }
    let message = entry["MESSAGE"].as_str().expect("a sentence");
    assert!(crate::cluster::told(&fleet, "node1", message).must(), "{message}");
    assert!(entry.get("STEAD_TERM").is_none(), "{entry:#}");
}

/// Without systemd no notice is repeated on standard error.
#[test]
fn elsewhere_lines_stay_as_they_were() {
    let (fleet, _client) = serving("no-journald", "node1");
    let log = fs::read_to_string(fleet.node("node1").must().log(Part::Daemon)).must();
    assert!(!log.contains("stead::notice"), "{log}");
}

/// The words of a rule that begin like ours, each with the text behind it.
fn names(rule: &str) -> impl Iterator<Item = (&str, &str)> {
    rule.match_indices("stead_").map(|(at, _)| {
        let rest = &rule[at..];
        let word = |c: char| c.is_ascii_lowercase() || c == '_';
        rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()))
    })
}

/// The example's rules ask for what is there. That Prometheus itself takes them can't be tried in
/// every environment (tests/absent.toml).
#[test]
fn every_alert_asks_for_what_a_node_shows() {
    let rules: Vec<_> = RULES.lines().filter_map(|it| it.trim().strip_prefix("expr: ")).collect();
    assert_eq!(rules.len(), RULES.matches("- alert: Stead").count());
    let mut asked = 0;
    for rule in &rules {
        for (name, rest) in names(rule) {
            let known = ALL.iter().find(|it| it.name == name);
            let known = known.unwrap_or_else(|| panic!("no family `{name}`: {rule}"));
            asked += 1;
            let matchers = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
            for matcher in matchers.iter().flat_map(|(inner, _)| inner.split(',')) {
                let (label, value) = matcher.split_once(['=', '!']).expect("a matcher");
                assert!(known.labels.contains(&label), "{name} has no {label}: {rule}");
                let value = value.trim_matches(['=', '~', '!', '"']);
                if label == "notice" {
                    assert!(KINDS.iter().any(|it| it.name == value), "no notice `{value}`");
                }
            }
        }
    }
    assert!(asked >= rules.len() - 1, "all but `up` are about us: {asked}");
}
