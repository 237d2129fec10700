//! The API over a real socket, with a driver on paper.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use proptest::prelude::{Strategy, any, prop};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use stead_core::id::NodeId;
use stead_core::notice::Notice;

use super::super::client::{CallError, Client, Streamed};
use super::super::message::{
    Answer, ApplyAnswer, ChangeAnswer, Changed, ConfigAnswer, PlanAnswer, Request, RevisionsAnswer,
    TokenAnswer,
};
use super::super::report::{IncidentReport, StatusReport, TimersReport};
use super::super::token::Token;
use super::*;
use crate::driver::rehearse::Rehearsals;
use crate::fence::Devices;
use crate::journal::{Entry, Journal};
use crate::layers::observe;
use crate::paths::Paths;

/// A node's key, made for this trial.
fn own_key() -> stead_log::transport::Identity {
    let folder = tempfile::tempdir().unwrap();
    stead_log::transport::Identity::generate(&folder.path().join("key")).unwrap()
}

/// A served API; gone with it.
pub(super) struct Served {
    folder: tempfile::TempDir,
    journal: Journal,
    submitted: Arc<Mutex<Vec<Change>>>,
    shutdown: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    key: [u8; 32],
}

fn rehearsals(handle: &Handle) -> Rehearsals {
    Rehearsals::new(handle.clone(), Arc::new(Devices::of_process()))
}

/// Nobody else.
struct Nobody;

impl observe::Others for Nobody {
    fn look(
        &self,
        _: NodeId,
        _: observe::Question,
        _: tokio::time::Instant,
    ) -> stead_log::Boxed<'static, Option<observe::Sight>> {
        Box::pin(async { None })
    }

    fn able(&self) -> Vec<NodeId> {
        Vec::new()
    }
}

/// What it sees, and nobody beside it.
fn sees() -> (observe::Eyes, observe::Observers) {
    (observe::Eyes::open(), observe::Observers::new(Arc::new(Nobody)))
}

impl Served {
    pub(super) fn new(view: View) -> Self {
        Self::with(|| driver(view))
    }

    fn with(handle: impl FnOnce() -> (Handle, Arc<Mutex<Vec<Change>>>)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::below(folder.path());
        std::fs::create_dir(&paths.run).unwrap();
        let journal = journal(folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (shutdown, ended) = watch::channel(false);
        let key = own_key();
        let digest = key.key().0;
        let submitted = runtime.block_on(async {
            let (handle, submitted) = handle();
            let metrics = crate::metrics::Metrics::start(handle.clone(), journal.clone());
            let rehearsals = rehearsals(&handle);
            let looks = (handle, journal.clone(), metrics);
            super::super::serve(&paths, key, looks, rehearsals, sees(), ended).unwrap();
            submitted
        });
        Self { folder, journal, submitted, shutdown, runtime, key: digest }
    }

    fn socket(&self) -> std::path::PathBuf {
        Paths::below(self.folder.path()).api_socket()
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(&self.socket()).unwrap()
    }

    pub(super) fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// All changes that were submitted so far.
    pub(super) fn submitted(&self) -> Vec<Change> {
        self.submitted.lock().unwrap().clone()
    }

    pub(super) fn failure(&self, request: &Request) -> super::super::message::Failure {
        match self.client().ask::<serde_json::Value>(request) {
            Err(CallError::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }
}

fn line(reader: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn what_can_be_looked_at() {
    let served = Served::new(picture(CLUSTER, 3));
    let mode = std::fs::metadata(served.socket()).unwrap().permissions().mode() & 0o777;
    assert!(mode == 0o600 || mode == 0o660, "{mode:o}");
    let mut client = served.client();
    let status: StatusReport = client.ask(&Request::Status { watch: false }).unwrap();
    assert!(status.protected, "{:?}", status.problems);
    let config: ConfigAnswer = client.ask(&Request::Config).unwrap();
    assert_eq!(config.revision, 1);
    let read = config::read("x", &config.text).unwrap().config;
    assert_eq!(read, config::read("x", CLUSTER).unwrap().config);
    let timers: TimersReport = client.ask(&Request::Timers).unwrap();
    assert_eq!(timers.timers[0].ms, 300.0);
    let none = client.ask::<IncidentReport>(&Request::Incident { number: None });
    assert!(none.is_err_and(|error| error.to_string().contains("no incident yet")));
}

#[test]
fn a_plan_is_made_and_applied_once() {
    let served = Served::new(picture(CLUSTER, 3));
    let text = CLUSTER.replace("[\"node1\", \"node2\"]", "[\"node2\"]");
    let mut client = served.client();
    let plan: PlanAnswer = client.ask(&Request::Plan { text: text.clone() }).unwrap();
    assert_eq!((plan.base, plan.changes.len(), plan.refused()), (1, 1, false));
    assert!(served.submitted.lock().unwrap().is_empty());
    let apply = Request::Apply { text, base: 1, despite_expectations: false };
    let applied: ApplyAnswer = client.ask(&apply).unwrap();
    assert_eq!((applied.revision, applied.changes.len()), (2, 1));
    let config: ConfigAnswer = client.ask(&Request::Config).unwrap();
    assert_eq!(config.revision, 2);
    // Both are kept, and a plan for what is no longer in force is told what has changed since.
    let kept = kept(&served, 2);
    assert_eq!((kept.revision, kept.kept[0].number, kept.kept[1].number), (2, 1, 2));
    let change = "service web: prefers: node1, node2 -> node2";
    assert_eq!(kept.kept[1].changes, [change]);
    let stale = served.failure(&apply);
    let told = "revision 2 now, the plan was made for 1; nothing was changed";
    assert!(stale.message.contains(told) && stale.message.contains(change), "{stale}");
    assert_eq!((stale.changed, served.submitted.lock().unwrap().len()), (Changed::No, 1));
}

/// What is kept: what is in force is among it at once.
fn kept(served: &Served, many: usize) -> RevisionsAnswer {
    let kept: RevisionsAnswer = served.client().ask(&Request::Revisions).unwrap();
    assert_eq!(kept.kept.len(), many);
    kept
}

#[test]
fn what_was_in_force_can_be_had_again() {
    let served = Served::new(picture(CLUSTER, 3));
    kept(&served, 1);
    let mut client = served.client();
    let text = CLUSTER.replace("[\"node1\", \"node2\"]", "[\"node2\"]");
    let _: ApplyAnswer =
        client.ask(&Request::Apply { text, base: 1, despite_expectations: false }).unwrap();
    kept(&served, 2);
    let first: ConfigAnswer = client.ask(&Request::Revision { number: 1 }).unwrap();
    assert_eq!(first.revision, 1);
    let _: ApplyAnswer = client
        .ask(&Request::Apply { text: first.text, base: 2, despite_expectations: false })
        .unwrap();
    let config: ConfigAnswer = client.ask(&Request::Config).unwrap();
    let read = |text: &str| config::read("x", text).unwrap().config;
    assert_eq!((config.revision, read(&config.text)), (3, read(CLUSTER)));
    for number in [0, 9] {
        let none = served.failure(&Request::Revision { number });
        let told = format!("revision {number} is not kept here, but 1 to 3 are");
        assert!(none.message.contains(&told), "{none}");
    }
}

#[test]
fn disarming_is_no_change_that_a_plan_has_to_fear() {
    let mut view = picture(CLUSTER, 3);
    view.report.as_mut().unwrap().more.revision = Some(1);
    for node in [2, 3] {
        let lease = view.state.timers.ordinary_lease();
        let counts = stead_core::lease::Counts { revision: 1, lease };
        change_peer(&mut view, node, |peer| peer.more.counts = Some(counts));
    }
    let served = Served::new(view);
    kept(&served, 1);
    let mut client = served.client();
    let disarm = Request::Disarm { seconds: 60, reason: "switches".into() };
    let _: ChangeAnswer = client.ask(&disarm).unwrap();
    let text = CLUSTER.replace("[\"node1\", \"node2\"]", "[\"node2\"]");
    let applied: ApplyAnswer =
        client.ask(&Request::Apply { text, base: 1, despite_expectations: false }).unwrap();
    assert_eq!(applied.revision, 3);
}

#[test]
fn what_cannot_be_applied_says_why() {
    let served = Served::new(picture(CLUSTER, 3));
    let broken = served.failure(&Request::Apply {
        text: "[cluster]\nnmae = 1\n".into(),
        base: 1,
        despite_expectations: false,
    });
    assert_eq!(broken.problems[0].line, 1);
    assert!(broken.problems.iter().any(|it| it.line == 2), "{:?}", broken.problems);
    let start = CLUSTER.find("[nodes.node3]").unwrap();
    let end = CLUSTER.find("[services.db]").unwrap();
    let without = format!("{}{}", &CLUSTER[..start], &CLUSTER[end..]);
    let plan: PlanAnswer = served.client().ask(&Request::Plan { text: without.clone() }).unwrap();
    assert!(plan.refused());
    let member =
        served.failure(&Request::Apply { text: without, base: 1, despite_expectations: false });
    assert!(member.message.contains("stead leave"), "{member}");
    assert!(served.submitted.lock().unwrap().is_empty());
}

#[test]
fn a_file_that_expects_what_would_not_come_is_applied_only_despite_it() {
    let expect = "[[expect]]\nfail = \"node1\"\nthen = \"web runs\"\n";
    let served = Served::new(picture(&format!("{CLUSTER}{expect}"), 3));
    let text = format!("{CLUSTER}{expect}").replace("web runs", "web on node3");
    let plan: PlanAnswer = served.client().ask(&Request::Plan { text: text.clone() }).unwrap();
    assert!(plan.disappoints() && !plan.refused(), "{plan:?}");
    let apply =
        |despite_expectations| Request::Apply { text: text.clone(), base: 1, despite_expectations };
    let refused = served.failure(&apply(false));
    assert!(refused.message.contains("if node1 fails, not web on node3, but web on"), "{refused}");
    assert!(refused.next.contains("--despite-expectations"), "{refused}");
    assert!(served.submitted.lock().unwrap().is_empty());
    let applied: ApplyAnswer = served.client().ask(&apply(true)).unwrap();
    assert_eq!((applied.revision, applied.changes.len()), (2, 2));
    // What is in force already changes nothing, whatever it expects.
    let again = Request::Apply { text: text.clone(), base: 2, despite_expectations: false };
    let again: ApplyAnswer = served.client().ask(&again).unwrap();
    assert!(again.changes.is_empty());
}

#[test]
fn changes_are_submitted_as_asked() {
    let served = Served::new(picture(CLUSTER, 2));
    let mut client = served.client();
    let token: TokenAnswer = client.ask(&Request::Token { node: "node3".into() }).unwrap();
    let parsed: Token = token.token.parse().unwrap();
    assert_eq!(parsed.key, served.key);
    assert_eq!(token.addresses, ["198.51.100.11:7744", "192.0.2.11:7744"]);
    let expected = Change::AddToken { token: parsed.digest(), node: "node3".to_owned() };
    assert_eq!(served.submitted.lock().unwrap().last(), Some(&expected));

    let standby = Request::Standby { node: "node2".into(), on: true };
    let done: ChangeAnswer = client.ask(&standby).unwrap();
    assert!(done.index.is_some());
    let again: ChangeAnswer = client.ask(&standby).unwrap();
    assert_eq!(again.index, None);
    let there = Request::Move { service: "web".into(), node: "node2".into(), for_s: None };
    assert!(served.failure(&there).message.contains("on standby"));
    let _off: ChangeAnswer =
        client.ask(&Request::Standby { node: "node2".into(), on: false }).unwrap();
    let _moved: ChangeAnswer = client.ask(&there).unwrap();
    let last = served.submitted.lock().unwrap().last().cloned();
    assert!(matches!(last, Some(Change::Stop { wish: Some(NodeId(2)), .. })), "{last:?}");
    let _clear: ChangeAnswer =
        client.ask(&Request::Clear { service: None, resource: None }).unwrap();

    let serves = served.failure(&Request::Leave { node: Some("node2".into()) });
    assert!(serves.message.contains("still serves db"), "{serves}");
    for (request, word) in [
        (Request::Token { node: "node9".into() }, "not in the configuration"),
        (Request::Token { node: "node2".into() }, "joined already"),
        (
            Request::Move { service: "web".into(), node: "node9".into(), for_s: None },
            "is no member",
        ),
        (
            Request::Move { service: "no".into(), node: "node2".into(), for_s: None },
            "no service no",
        ),
        (Request::Clear { service: Some("no".into()), resource: None }, "there is no service no"),
        (Request::Incident { number: Some(3) }, "no incident"),
    ] {
        let failure = served.failure(&request);
        assert!(failure.message.contains(word), "{request:?}: {failure}");
        assert_eq!(failure.changed, Changed::No);
    }
}

#[test]
fn an_unknown_fate_is_said_to_be_unknown() {
    let lost = SubmitError::Unknown("the connection broke".to_owned());
    let served = Served::with(|| {
        let (handle, shown) = stubborn(picture(CLUSTER, 3), lost);
        tokio::spawn(async move { shown.closed().await });
        (handle, Arc::default())
    });
    let failure = served.failure(&Request::Clear { service: None, resource: None });
    assert_eq!(failure.changed, Changed::Unknown);
    assert!(failure.message.contains("may still come"), "{failure}");
}

#[test]
fn events_are_listed_and_followed() {
    let served = Served::new(picture(CLUSTER, 3));
    let notice = |n: u64| Notice::Coordinator("node1".to_owned(), Term(n));
    (1..=5).for_each(|n| served.journal.write(Instant(n), &notice(n)));
    let ask = |last: usize, follow: bool| Request::Events { last: Some(last), since: None, follow };
    let mut listed = Vec::new();
    served
        .client()
        .stream(&ask(3, false), |item: Streamed<Entry>| {
            listed.push(item);
            true
        })
        .unwrap();
    assert_eq!(listed.len(), 3);
    let mut seen = 0;
    served
        .client()
        .stream(&ask(1, true), |item: Streamed<Entry>| {
            assert!(matches!(item, Streamed::Item(_)));
            seen += 1;
            served.journal.write(Instant(9), &notice(9));
            seen < 4
        })
        .unwrap();
    assert_eq!(seen, 4);
}

#[test]
fn a_watched_status_comes_again_when_something_changes() {
    let served = Served::new(picture(CLUSTER, 3));
    let mut other = served.client();
    let mut revisions = Vec::new();
    let watched = served.client().stream(&Request::Status { watch: true }, |item| {
        let Streamed::Item::<StatusReport>(report) = item else { panic!("{item:?}") };
        revisions.push(report.nodes[2].standby);
        if revisions.len() == 1 {
            let request = Request::Standby { node: "node3".into(), on: true };
            let _done: ChangeAnswer = other.ask(&request).unwrap();
        }
        !report.nodes[2].standby
    });
    watched.unwrap();
    assert_eq!(revisions.first(), Some(&false));
    assert_eq!(revisions.last(), Some(&true));
}

#[test]
fn garbage_gets_an_answer_and_harms_nobody() {
    let served = Served::new(picture(CLUSTER, 3));
    let mut runner = TestRunner::deterministic();
    let bytes =
        prop::collection::vec(any::<u8>().prop_filter("no line end", |it| *it != b'\n'), 1..200);
    let words =
        "(\\{|\\}|\\[|\\]|:|,|\"v\"|1|\"do\"|\"status\"|\"events\"|null|-1e999|\"\\\\u0\"){1,20}";
    let stream = served.raw();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |garbage: &[u8]| {
        (&stream).write_all(&[garbage, b"\n"].concat()).unwrap();
        if !garbage.trim_ascii().is_empty() {
            let answer = line(&mut reader);
            assert!(answer.error.is_some(), "{}", String::from_utf8_lossy(garbage));
        }
    };
    for _ in 0..300 {
        ask(&bytes.new_tree(&mut runner).unwrap().current());
        ask(words.new_tree(&mut runner).unwrap().current().as_bytes());
    }
    for garbage in [
        "{\"do\":\"status\"}",
        "{\"v\":2,\"do\":\"status\"}",
        "{\"v\":1,\"do\":\"destroy\"}",
        "{\"v\":1,\"do\":\"standby\",\"node\":\"node1\"}",
        "{\"v\":1,\"do\":\"clear\",\"servise\":\"web\"}",
        "{\"v\":1,\"do\":\"incident\",\"number\":-1}",
        "\u{feff}{}",
        "[[[[[[[[[[[[[[[[",
    ] {
        ask(garbage.as_bytes());
    }
    ask("[".repeat(100_000).as_bytes());
    // The same connection still works.
    (&stream).write_all(b"{\"v\":1,\"do\":\"status\"}\n").unwrap();
    assert!(line(&mut reader).ok.is_some());
}

#[test]
fn too_much_and_too_many_are_cut_off_and_others_are_served() {
    let served = Served::new(picture(CLUSTER, 3));
    // One that never ends its line.
    let endless = served.raw();
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 64 && (&endless).write_all(&block).is_ok() {
        sent += 1;
    }
    assert!(sent < 64, "a line without end was read for ever");
    // One that asks and never reads.
    let deaf = served.raw();
    deaf.set_nonblocking(true).unwrap();
    for _ in 0..10_000 {
        if (&deaf).write_all(b"{\"v\":1,\"do\":\"config\"}\n").is_err() {
            break;
        }
    }
    let status = served.client().ask::<StatusReport>(&Request::Status { watch: false });
    assert!(status.is_ok());
    // More than there are places for: the last are told so.
    let crowd: Vec<UnixStream> = (0..70).map(|_| served.raw()).collect();
    let mut refused = crowd.iter().rev().filter_map(|stream| {
        let mut text = String::new();
        let short = Duration::from_millis(50);
        stream.set_read_timeout(Some(short)).unwrap();
        (&mut &*stream).read_to_string(&mut text).ok().filter(|_| text.contains("too many clients"))
    });
    assert!(refused.next().is_some());
}

#[test]
fn without_a_daemon_the_message_says_so() {
    let served = Served::new(picture(CLUSTER, 3));
    served.shutdown.send_replace(true);
    let path = served.socket();
    served.runtime.shutdown_timeout(Duration::from_secs(10));
    for path in [path, served.folder.path().join("nowhere")] {
        match Client::connect(&path) {
            Err(error @ CallError::NotRunning { .. }) => {
                assert!(error.to_string().contains("systemctl start"), "{error}");
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("connected"),
        }
    }
}

#[test]
fn a_new_daemon_takes_the_socket_over() {
    let served = Served::new(picture(CLUSTER, 3));
    let paths = Paths::below(served.folder.path());
    let (_shutdown, ended) = watch::channel(false);
    let _entered = served.runtime.enter();
    let (handle, _) = driver(picture(CLUSTER, 2));
    let journal = served.journal.clone();
    let metrics = crate::metrics::Metrics::start(handle.clone(), journal.clone());
    let rehearsals = rehearsals(&handle);
    let looks = (handle, journal, metrics);
    let again = super::super::serve(&paths, own_key(), looks, rehearsals, sees(), ended);
    let _task = again.unwrap();
    let status: StatusReport = served.client().ask(&Request::Status { watch: false }).unwrap();
    assert_eq!(status.quorum.voters, 2);
}
