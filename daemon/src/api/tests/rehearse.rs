//! `fence-rehearse` and `fence-history` over the real socket: what is refused, and what is kept.

use std::os::unix::fs::PermissionsExt;

use stead_core::quorum::chain::Module;
use stead_core::state::FenceChange;

use super::super::client::{CallError, Streamed};
use super::super::message::{Rehearse, Request};
use super::super::rehearse::{RehearseNews, RehearseReport};
use super::super::report::{FenceHistoryReport, FenceKind};
use super::socket::Served;
use super::*;

/// A cluster that is fenced by a program of ours, which writes down what it is asked to switch and
/// fails for outlet 3.
fn fenced(folder: &Path) -> String {
    let program = folder.join("power");
    let script = format!(
        "#!/bin/sh\n\
         test $STEAD_FENCE_PLUG = 3 && {{ echo Connection refused >&2; exit 1; }}\n\
         cd {}\n\
         case $STEAD_FENCE_ACTION in\n\
         status) test ! -e off || exit 2;;\n\
         off) touch off; echo off >>story;;\n\
         on) rm -f off; echo on >>story;;\n\
         esac\n",
        folder.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let fence = |text: String, node: u8| {
        let head = format!("[nodes.node{node}]\n");
        text.replace(&head, &format!("{head}fence = [\"rack:{node}\"]\n"))
    };
    let text = [2, 3].into_iter().fold(CLUSTER.to_owned(), fence);
    let program = program.display();
    format!("{text}[fencing.devices.rack]\nexec = [\"{program}\"]\nretries = 0\n")
}

fn story(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("story")).unwrap_or_default()
}

fn rehearse(served: &Served, request: Rehearse) -> Result<Vec<RehearseNews>, CallError> {
    let mut all = Vec::new();
    served.client().stream(&Request::FenceRehearse(request), |item| {
        match item {
            Streamed::Item(news) => all.push(news),
            Streamed::Skipped(count) => panic!("{count} skipped"),
        }
        true
    })?;
    Ok(all)
}

fn ended(news: &[RehearseNews]) -> RehearseReport {
    let report = news.iter().find_map(|it| match it {
        RehearseNews::Ended(report) => Some(report.clone()),
        RehearseNews::Begins(_) | RehearseNews::Way(_) | RehearseNews::Back(_) => None,
    });
    report.unwrap_or_else(|| panic!("it did not end: {news:?}"))
}

fn history(served: &Served) -> FenceHistoryReport {
    served.client().ask(&Request::FenceHistory { node: None }).unwrap()
}

fn power_cycle(node: &str) -> Rehearse {
    Rehearse { node: node.to_owned(), power_cycle: true, ..Rehearse::default() }
}

/// Node2 is on standby and has nothing.
fn drained(view: &mut View) {
    change_state(view, |state| {
        state.standby.insert(NodeId(2));
        let holder = stead_core::state::Holder::Node(NodeId(1));
        state.assignments.get_mut(&ServiceId::from("db")).unwrap().holder = holder;
    });
}

#[test]
fn what_devices_say_is_kept_and_nothing_is_switched() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(picture(&fenced(folder.path()), 3));
    let look = |node: &str| Rehearse { node: node.to_owned(), ..Rehearse::default() };
    let only_said = rehearse(&served, Rehearse { only_say: true, ..look("node2") }).unwrap();
    assert!(matches!(&only_said[..], [RehearseNews::Begins(_)]), "{only_said:?}");
    assert!(history(&served).rehearsals.is_empty());
    let good = rehearse(&served, look("node2")).unwrap();
    assert!(ended(&good).ok && ended(&good).not_kept.is_none(), "{good:?}");
    let bad = rehearse(&served, look("node3")).unwrap();
    let RehearseNews::Way(way) = &bad[1] else { panic!("{bad:?}") };
    assert!(way.hints[0].contains("nobody listens at that port"), "{bad:?}");
    let report = ended(&bad);
    let why = "rack: exit status 1, it said: Connection refused";
    assert_eq!((report.ok, report.outcome.as_str()), (false, why));
    let kept = history(&served).rehearsals;
    let kept: Vec<_> = kept.iter().map(|it| (it.node.as_str(), it.kind, it.ok)).collect();
    assert_eq!(kept, [("node2", FenceKind::Status, true), ("node3", FenceKind::Status, false)]);
    assert_eq!(story(folder.path()), "");
}

#[test]
fn a_machine_that_is_empty_is_switched_off_and_on_and_found_out_if_it_was_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut view = picture(&fenced(folder.path()), 3);
    drained(&mut view);
    // Nothing is heard in this picture, from long ago on: no lie can be seen.
    silence(&mut view, 2, Span::from_millis(60_000));
    // Whatever the clock says, this node has a lease.
    view.report.as_mut().unwrap().lease_until = Instant(u64::MAX);
    let served = Served::new(view);
    let news = rehearse(&served, power_cycle("node2")).unwrap();
    let report = ended(&news);
    assert!(report.ok && report.off && report.on && !report.seen && !report.lie, "{report:?}");
    assert_eq!(report.outcome, "level 1 switched it off and on");
    assert_eq!(story(folder.path()), "off\non\n");
    assert!(matches!(news.last(), Some(RehearseNews::Ended(_))), "nobody waits: {news:?}");
    let history = history(&served);
    let kept = &history.rehearsals[0];
    assert_eq!((kept.kind, kept.by.as_str(), kept.ok), (FenceKind::PowerCycle, "node1", true));
    assert!(history.under_way.is_empty());
}

#[test]
fn what_would_cost_more_than_the_machine_is_refused_before_a_device_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let text = fenced(folder.path());
    let refused = |change: &dyn Fn(&mut View), request: Rehearse| {
        let mut view = picture(&text, 3);
        drained(&mut view);
        change(&mut view);
        match rehearse(&Served::new(view), request) {
            Err(CallError::Failed(failure)) => format!("{}. {}", failure.message, failure.next),
            other => panic!("{other:?}"),
        }
    };
    let state = |change: fn(&mut State)| move |view: &mut View| change_state(view, change);
    let none: &dyn Fn(&mut View) = &|_| {};
    let told = refused(none, power_cycle("node1"));
    assert!(told.starts_with("node1 is fenced by no device; nothing was asked"), "{told}");
    let told = refused(none, Rehearse { level: Some(2), ..power_cycle("node2") });
    assert!(told.starts_with("node2 has no level 2; nothing was asked"), "{told}");
    let told = refused(&state(|it| it.standby.clear()), power_cycle("node2"));
    assert!(told.starts_with("node2 is not on standby"), "{told}");
    let stays = state(|it| {
        let holder = stead_core::state::Holder::Node(NodeId(2));
        it.assignments.get_mut(&ServiceId::from("db")).unwrap().holder = holder;
    });
    let told = refused(&stays, power_cycle("node2"));
    assert!(told.starts_with("node2 still has db; nothing was switched. stead drain"), "{told}");
    let told = refused(&|view| view.report = None, power_cycle("node2"));
    assert!(told.starts_with("node1 takes no part in the cluster just now"), "{told}");
    let coming = state(|it| {
        it.view.remove(&NodeId(2));
    });
    let told = refused(&coming, power_cycle("node2"));
    assert!(told.starts_with("node2 is heard and about to be in the view again"), "{told}");
    // Two voters, and no third that could decide.
    let alone = |view: &mut View| {
        view.log.membership.voters = [NodeId(1), NodeId(2)].into();
    };
    let told = refused(&alone, power_cycle("node2"));
    let few = "without node2 only 1 of 2 voters are left, and what they serve would stop";
    assert!(told.starts_with(few), "{told}");
    let fences = |view: &mut View| {
        alone(view);
        let chain = Chain::new(vec![Module::Majority, Module::Fence]).unwrap();
        change_state(view, |state| {
            state.config.as_mut().unwrap().later.quorum.chain = chain;
        });
    };
    let told = refused(&fences, power_cycle("node2"));
    assert!(told.contains("go on only once they have fenced node2"), "{told}");
    assert!(told.contains("on node2: systemctl stop"), "{told}");
    let under_way = state(|it| {
        let change = FenceChange::CycleBegins { node: NodeId(2), by: NodeId(3), wall: 1 };
        let outcome = it.apply(Index(it.applied.0 + 1), Change::Fence(change));
        assert_eq!(outcome, Outcome::Done);
    });
    let told = refused(&under_way, power_cycle("node2"));
    assert!(told.starts_with("node2 is being switched off and on from node3"), "{told}");
    assert_eq!(story(folder.path()), "");
}
