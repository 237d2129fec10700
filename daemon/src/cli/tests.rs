//! What the screens show, situation by situation: one file each in `golden/`. `UPDATE_EXPECT=1`
//! writes them anew; read the difference before it is committed.

use std::sync::Arc;

use clap::CommandFactory;
use expect_test::{ExpectFile, expect_file};
use stead_core::id::{Epoch, Incarnation, Index, NodeId, ServiceId, Term};
use stead_core::lease::{Armed, WatchReport};
use stead_core::node::Phase;
use stead_core::notice::Notice;
use stead_core::state::config::{AfterFence, NodeFencing, Plug};
use stead_core::state::{
    Cause, Change, CycleEnd, FenceChange, FenceEnd, FenceSaid, Holder, Outcome, ProofRecord,
    Reached, Rehearsal, Stage, State, Takeover, WatchdogWord,
};
use stead_core::time::{Instant, Span};
use stead_core::timers::Timers;

use super::look::Look;
use super::status::render;
use super::{Cli, events, incident, timers};
use crate::api::report::{self, FencingState};
use crate::api::tests::{CLUSTER, change_peer, change_state, picture, silence};
use crate::driver::view::View;
use crate::guard::Rejected;
use crate::journal::Entry;

/// A line of the journal, at that time of the day of the pictures.
fn entry(time: &str, notice: Notice) -> Arc<Entry> {
    Arc::new(Entry {
        time: format!("2026-03-01T{time}.000Z"),
        boot: 1,
        node: "node1".to_owned(),
        severity: notice.severity(),
        text: notice.to_string(),
        notice: Some(notice),
    })
}

fn shows(view: &View, entries: &[Arc<Entry>], expected: &ExpectFile) {
    let report = report::status(view, entries);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<report::StatusReport>(&json).unwrap(), report);
    let screen = render(&report, Look::plain(100), false);
    assert_eq!(report.protected, screen.starts_with("Protected. Nothing to do.\n"));
    expected.assert_eq(&timeless(&screen));
}

/// The same in every version: the next one shall not have to touch these files.
fn timeless(screen: &str) -> String {
    screen.replace(env!("CARGO_PKG_VERSION"), "x.y.z")
}

fn service(name: &str) -> ServiceId {
    ServiceId::from(name)
}

/// node3 had `web` and died; node1 took it over three minutes ago.
fn after_takeover() -> View {
    let mut view = picture(CLUSTER, 3);
    change_state(&mut view, |state| {
        let admitted = state.view[&NodeId(3)];
        state.assignments.get_mut(&service("web")).unwrap().holder = Holder::Node(NodeId(3));
        let stage = |reached, ms| Stage {
            node: NodeId(1),
            service: None,
            reached,
            after: Span::from_millis(ms),
            detail: String::new(),
        };
        let takeover = Takeover {
            node: NodeId(3),
            incarnation: admitted.incarnation,
            base: state.epoch,
            term: Term(5),
            proof: ProofRecord::LeaseExpired,
            cause: Cause::Silent,
            assignments: vec![(service("web"), Some(NodeId(1)))],
            stages: vec![stage(Reached::Proven, 392), stage(Reached::Suspected, 317)],
        };
        state.apply(Index(state.applied.0 + 1), Change::Takeover(takeover));
        let epoch = state.assignments[&service("web")].epoch;
        let stages = [(Reached::Claimed, 396), (Reached::Started, 401), (Reached::Verified, 633)]
            .map(|(reached, ms)| Stage { service: Some(service("web")), ..stage(reached, ms) });
        let stages = stages.to_vec();
        let observed = Change::Observe { service: service("web"), epoch, stages };
        state.apply(Index(state.applied.0 + 1), observed);
    });
    let epoch = view.state.assignments[&service("web")].epoch;
    view.local.get_mut(&service("web")).unwrap().epoch = epoch;
    silence(&mut view, 3, Span::from_millis(185_000));
    view
}

#[test]
fn all_is_well() {
    shows(&picture(CLUSTER, 3), &[], &expect_file!["golden/all-is-well.txt"]);
}

#[test]
fn a_node_died_and_another_took_over() {
    let history = [
        entry("11:56:54", Notice::Suspected("node3".to_owned(), Span::from_millis(317))),
        entry(
            "11:56:55",
            Notice::Removed("node3".to_owned(), ProofRecord::LeaseExpired, Cause::Silent),
        ),
    ];
    shows(
        &after_takeover(),
        &history,
        &expect_file!["golden/a-node-died-and-another-took-over.txt"],
    );
}

#[test]
fn two_of_three_are_silent() {
    let mut view = picture(CLUSTER, 3);
    silence(&mut view, 2, Span::from_millis(4_000));
    silence(&mut view, 3, Span::from_millis(4_100));
    view.log.leader = None;
    view.coordinating = false;
    view.local.clear();
    view.report.as_mut().unwrap().lease_until = Instant(97_000_000);
    let history = [
        entry("10:00:00", Notice::CoordinatorSilent("node2".to_owned())),
        entry("10:00:01", Notice::Coordinator("node1".to_owned(), Term(5))),
        entry("11:59:56", Notice::Suspected("node2".to_owned(), Span::from_millis(317))),
    ];
    shows(&view, &history, &expect_file!["golden/two-of-three-are-silent.txt"]);
}

/// Every way in which fencing can stand: this node was never tried, the second's device fails, and
/// the third is lost and being switched off by two levels, with what is bound to it.
#[test]
fn fencing_never_tried_failing_and_under_way() {
    let mut view = fenced_picture();
    shows(&view, &[], &expect_file!["golden/fencing-never-tried-failing-and-under-way.txt"]);
    // The attempt fails, and later one succeeds.
    let end = |outcome: Result<&str, &str>, number, wall| FenceEnd {
        node: NodeId(3),
        number: Some(number),
        term: Term(5),
        by: NodeId(1),
        incarnation: Incarnation(1),
        given_up: false,
        said: said(outcome, wall),
    };
    let number = view.state.later.fencing.under_way[&NodeId(3)].number;
    change_state(&mut view, |state| {
        let failed = end(Err("bmc3: no answer in 20 s"), number, 1_772_366_390);
        apply(state, FenceChange::Ends(failed));
    });
    shows(&view, &[], &expect_file!["golden/fencing-failed-once.txt"]);
    change_state(&mut view, |state| {
        begin(state);
        let number = state.later.fencing.under_way[&NodeId(3)].number;
        apply(state, FenceChange::Ends(end(Ok("pdu says that it is off"), number, 1_772_366_395)));
    });
    shows(&view, &[], &expect_file!["golden/fenced-and-stays-off.txt"]);
    // It is back, without ever having been away.
    change_state(&mut view, |state| {
        let why = "it went on after its devices had called it off".to_owned();
        let (node, incarnation) = (NodeId(3), Incarnation(1));
        apply(state, FenceChange::Doubted { node, incarnation, why });
    });
    shows(&view, &[], &expect_file!["golden/fence-devices-that-lied.txt"]);
}

/// Devices that answer do not take back that they failed to switch a machine off; what switches it
/// off does.
#[test]
fn a_power_cycle_that_failed_is_not_hidden_by_devices_that_answer() {
    let mut view = fenced_picture();
    let mut state_after = |step: &dyn Fn(&mut State)| {
        change_state(&mut view, step);
        let nodes = report::status(&view, &[]).nodes;
        nodes[1].fencing.as_ref().map(|it| (it.state, it.why.clone())).unwrap()
    };
    let rehearse = |state: &mut State, wall| {
        let said = said(Ok("every device answered"), wall);
        let rehearsal = Rehearsal { by: NodeId(1), cycled: false, said, good: None };
        apply(state, FenceChange::Rehearsed { node: NodeId(2), rehearsal });
    };
    let cycle = |state: &mut State, outcome, wall| {
        let (node, by) = (NodeId(2), NodeId(1));
        state.standby.insert(node);
        state.assignments.retain(|_, it| it.holder.node() != Some(node));
        apply(state, FenceChange::CycleBegins { node, by, wall });
        let number = state.applied;
        let said = said(outcome, wall);
        let end = CycleEnd { number, by, said, seen: true, given_up: false };
        apply(state, FenceChange::CycleEnds { node, end });
    };
    let (state, _) = state_after(&|state| rehearse(state, 1_772_366_100));
    assert_eq!(state, FencingState::Proven);
    let failed = Some("bmc2 off: exit status 1".to_owned());
    let after = state_after(&|state| cycle(state, Err("bmc2 off: exit status 1"), 1_772_366_200));
    assert_eq!(after, (FencingState::Failed, failed.clone()));
    let after = state_after(&|state| rehearse(state, 1_772_366_300));
    assert_eq!(after, (FencingState::Failed, failed));
    let after = state_after(&|state| cycle(state, Ok("level 1"), 1_772_366_390));
    assert_eq!(after, (FencingState::Proven, None));
}

fn apply(state: &mut State, change: FenceChange) {
    let said = state.apply(Index(state.applied.0 + 1), Change::Fence(change));
    assert_eq!(said, Outcome::Done);
}

fn begin(state: &mut State) {
    let (node, term, by, incarnation) = (NodeId(3), Term(5), NodeId(1), Incarnation(1));
    apply(state, FenceChange::Begins { node, term, by, incarnation });
}

fn said(outcome: Result<&str, &str>, wall: u64) -> FenceSaid {
    let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
    FenceSaid { outcome, cut_off: false, steps: Vec::new(), took: Span::from_millis(1_500), wall }
}

fn fenced_picture() -> View {
    let mut view = picture(CLUSTER, 3);
    change_state(&mut view, |state| {
        state.term = Term(5);
        let plug = |device: &str, plug: Option<&str>| Plug {
            device: device.to_owned(),
            plug: plug.map(str::to_owned),
        };
        let node = |number: usize| {
            let levels =
                vec![vec![plug(&format!("bmc{number}"), None)], vec![plug("pdu", Some("3"))]];
            let after = AfterFence::StayOff;
            (format!("node{number}"), NodeFencing { levels, after, ..NodeFencing::default() })
        };
        let config = state.config.as_mut().unwrap();
        config.later.fencing.nodes = [1, 2, 3].map(node).into();
        for (node, outcome, wall) in [
            (NodeId(2), Ok("every device answered"), 1_772_000_000),
            (NodeId(2), Err("pdu: it refuses the password"), 1_772_366_000),
            (NodeId(3), Ok("every device answered"), 1_772_366_000),
        ] {
            let said = said(outcome, wall);
            let rehearsal = Rehearsal { by: NodeId(1), cycled: false, said, good: None };
            apply(state, FenceChange::Rehearsed { node, rehearsal });
        }
        state.view.remove(&NodeId(3));
        let db = state.assignments.get_mut(&service("db")).unwrap();
        db.holder = Holder::Stopping { node: NodeId(3), cause: Cause::Silent };
        state.later.next.bound.insert(service("db"));
        begin(state);
    });
    silence(&mut view, 3, Span::from_millis(2_000));
    view
}

/// The watchdogs of three nodes are relied on: this one's can't be armed, the second's is, in a
/// virtual machine, and the third node is lost with what is bound to it.
#[test]
fn watchdogs_one_not_armed_one_relied_on_one_waited_for() {
    let mut view = picture(CLUSTER, 3);
    change_state(&mut view, |state| {
        let fencing = NodeFencing { watchdog: true, ..NodeFencing::default() };
        let config = state.config.as_mut().unwrap();
        let nodes = ["node1", "node2", "node3"].map(|name| (name.to_owned(), fencing.clone()));
        config.later.fencing.nodes = nodes.into();
        for (node, stands_still) in [(2, true), (3, false)] {
            let word = WatchdogWord {
                node: NodeId(node),
                base: 0,
                revision: state.revision,
                incarnation: Incarnation(1),
                timeout: Some(Span::from_millis(2_000)),
                device: "i6300ESB timer (/dev/watchdog0)".to_owned(),
                stands_still,
                failed: false,
            };
            let said = state.apply(Index(state.applied.0 + 1), Change::Watch(word));
            assert_eq!(said, Outcome::Done);
        }
        state.view.remove(&NodeId(3));
        let db = state.assignments.get_mut(&service("db")).unwrap();
        db.holder = Holder::Stopping { node: NodeId(3), cause: Cause::Silent };
        state.later.next.bound.insert(service("db"));
    });
    silence(&mut view, 3, Span::from_millis(2_000));
    let watch = &mut view.report.as_mut().unwrap().later.watch;
    let trouble = Some("this machine has no watchdog".to_owned());
    watch.own = Some(Box::new(WatchReport { trouble, ..WatchReport::default() }));
    let armed = Armed { timeout: Span::from_millis(2_000), bound: true };
    watch.peers = [(NodeId(2), armed), (NodeId(3), armed)].into();
    shows(
        &view,
        &[],
        &expect_file!["golden/watchdogs-one-not-armed-one-relied-on-one-waited-for.txt"],
    );
}

#[test]
fn two_nodes_only() {
    let text = CLUSTER
        .replace("[nodes.node3]\n", "")
        .replace("addresses = { lan = \"192.0.2.13\", back = \"198.51.100.13\" }\n", "");
    shows(&picture(&text, 2), &[], &expect_file!["golden/two-nodes-only.txt"]);
}

#[test]
fn the_first_node_alone_on_one_link_without_real_time() {
    let text = CLUSTER
        .replace("[links.back]\n", "")
        .replace(", back = \"198.51.100.11\"", "")
        .replace(", back = \"198.51.100.12\"", "")
        .replace(", back = \"198.51.100.13\"", "");
    let mut view = picture(&text, 1);
    let hello = view.guard.as_mut().unwrap();
    hello.realtime = Err("the limit of real-time priority is 0".to_owned());
    hello.locked = Err("the limit of locked memory is 8 MiB".to_owned());
    hello.version = "0.0.9".to_owned();
    hello.more.gate_reason = Some("the kernel refuses bpf: operation not permitted".to_owned());
    shows(
        &view,
        &[],
        &expect_file!["golden/the-first-node-alone-on-one-link-without-real-time.txt"],
    );
}

#[test]
fn a_link_is_silent_while_its_nodes_are_heard() {
    let mut view = picture(CLUSTER, 3);
    change_peer(&mut view, 2, |peer| {
        peer.links.insert(0, Instant(40_000_000));
        peer.round_trip = Span::from_millis(3);
    });
    change_peer(&mut view, 3, |peer| {
        peer.links.remove(&0);
    });
    shows(&view, &[], &expect_file!["golden/a-link-is-silent-while-its-nodes-are-heard.txt"]);
    change_peer(&mut view, 3, |peer| {
        peer.links.insert(0, Instant(99_990_000));
        peer.acknowledged = Some(Instant(50_000_000));
    });
    let report = report::status(&view, &[]);
    let deaf = "node3 is heard and does not hear node1: one direction is cut";
    assert_eq!(report.problems[0].what, deaf);
    assert_eq!(report.problems[1].what, "nothing is heard on the link back from node2");
}

#[test]
fn a_service_fails_everywhere() {
    let mut view = picture(CLUSTER, 3);
    change_state(&mut view, |state| {
        let web = state.assignments.get_mut(&service("web")).unwrap();
        let (node, took) = (NodeId(1), Span::ZERO);
        web.holder = Holder::Stopped { node, cause: Cause::Failed, took };
        web.failures = [(NodeId(1), 3), (NodeId(2), 1)].into();
    });
    view.local.clear();
    let failed = || Notice::StartFailed(service("web"), "no such file: /usr/sbin/nginx".to_owned());
    let history = [
        entry("11:58:00", Notice::Claimed(service("web"), Epoch(4))),
        entry("11:58:01", failed()),
        entry("11:58:02", Notice::Stopped(service("web"), "node1".to_owned(), Cause::Failed)),
        entry("11:58:03", Notice::Claimed(service("web"), Epoch(6))),
        entry("11:58:04", failed()),
    ];
    shows(&view, &history, &expect_file!["golden/a-service-fails-everywhere.txt"]);
}

#[test]
fn an_address_is_in_use_by_a_stranger() {
    let mut view = picture(CLUSTER, 3);
    let local = view.local.get_mut(&service("web")).unwrap();
    (local.phase, local.verified) = (Phase::Probing(Some(Instant(101_000_000))), false);
    let conflict = "192.0.2.100 is in use: 02:00:00:00:00:99 answers for it on eth0";
    let history = [entry("11:59:30", Notice::Conflict(service("web"), conflict.to_owned()))];
    shows(&view, &history, &expect_file!["golden/an-address-is-in-use-by-a-stranger.txt"]);
}

#[test]
fn standby_daemon_away_and_not_joined() {
    let mut view = picture(CLUSTER, 2);
    change_state(&mut view, |state| {
        state.standby.insert(NodeId(2));
    });
    change_peer(&mut view, 2, |peer| peer.daemon_alive = false);
    let history = [entry("09:15:00", Notice::Standby("node2".to_owned(), true))];
    shows(&view, &history, &expect_file!["golden/standby-daemon-away-and-not-joined.txt"]);
}

#[test]
fn one_on_standby_of_three_is_still_protected() {
    let mut view = picture(CLUSTER, 3);
    change_state(&mut view, |state| {
        state.standby.insert(NodeId(3));
    });
    let stranger = "203.0.113.9:5000".parse().unwrap();
    let other = "203.0.113.8:5000".parse().unwrap();
    view.rejected =
        [((stranger, Rejected::Seal), 12), ((other, Rejected::Seal), 1)].into_iter().collect();
    view.guard_troubles.push("eth9 does not exist\u{1b}[31m".to_owned());
    shows(&view, &[], &expect_file!["golden/one-on-standby-of-three-is-still-protected.txt"]);
}

#[test]
fn the_guard_is_away() {
    let mut view = picture(CLUSTER, 3);
    (view.report, view.guard) = (None, None);
    view.local.clear();
    shows(
        &view,
        &[entry("11:59:58", Notice::GuardLost)],
        &expect_file!["golden/the-guard-is-away.txt"],
    );
}

#[test]
fn nothing_is_known_yet() {
    let mut view = picture(CLUSTER, 1);
    change_state(&mut view, |state| *state = stead_core::state::State::default());
    view.ready = false;
    view.log = stead_log::Status::default();
    shows(&view, &[], &expect_file!["golden/nothing-is-known-yet.txt"]);
}

#[test]
fn a_narrow_terminal() {
    let report = report::status(&after_takeover(), &[]);
    let screen = timeless(&render(&report, Look::plain(60), false));
    expect_file!["golden/a-narrow-terminal.txt"].assert_eq(&screen);
}

#[test]
fn an_incident_stage_by_stage() {
    let view = after_takeover();
    let assigned = Notice::Assigned(service("web"), "node1".to_owned(), {
        view.state.assignments[&service("web")].epoch
    });
    let history = [entry("11:56:55", assigned)];
    let report = report::incident(&view.state, None, &history).unwrap();
    expect_file!["golden/an-incident-stage-by-stage.txt"]
        .assert_eq(&incident::shown(&report, Look::plain(100)));
    assert_eq!(report::incident(&view.state, Some(1), &[]).unwrap().number, 1);
    assert_eq!(report::incident(&view.state, Some(2), &[]), None);
}

#[test]
fn every_timer_with_its_rule() {
    let view = picture(CLUSTER, 3);
    let config = view.state.config.as_ref().unwrap();
    let slack = Some(Span::from_millis(4));
    let former = Timers::derive(Span::from_millis(1_000), Span::from_millis(2)).unwrap();
    let report = report::timers(config, &view.state.timers, None, slack);
    expect_file!["golden/every-timer-with-its-rule.txt"]
        .assert_eq(&timers::shown(&report, Look::plain(120)));
    let report = report::timers(config, &view.state.timers, Some(&former), slack);
    assert!(report.settling && report.timers[7].ms > 1_000.0);
}

#[test]
fn events_one_a_line() {
    let line = entry("11:59:30", Notice::Conflict(service("web"), "x\u{1b}[2J\ny".to_owned()));
    expect_file!["golden/events-one-a-line.txt"].assert_eq(&events::shown(&line, Look::plain(100)));
    let coloured = events::shown(&line, Look { colour: true, width: 100 });
    assert!(coloured.contains("\x1b[1;31mERROR"));
}

#[test]
fn the_command_line_is_well_formed_and_explained() {
    Cli::command().debug_assert();
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{}: {argument}", command.get_name());
        }
    }
}
