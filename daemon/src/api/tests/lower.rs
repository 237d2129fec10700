//! Moves of a service with a name, prepared and not, on paper.

use stead_core::id::ServiceId;
use stead_core::state::{Change, LOWERED_FOR, Lowered, PROTOCOL_0_8, RegisterChange};

use super::socket::Served;
use super::{CLUSTER, change_state, picture};
use crate::api::lower::{LookAnswer, LowerRequest, MoveAnswer, PreparedAnswer};
use crate::api::message::{ChangeAnswer, ExplainAnswer, Request};
use crate::api::report::StatusReport;
use crate::driver::view::View;
use crate::journal::wall;

/// The usual cluster, whose web has another address on each side, and a name.
fn named(clients: &str) -> View {
    let addresses = "addresses = [{ ip = \"192.0.2.100\", prefix = 24, on = [\"node1\"] }, \
                     { ip = \"192.0.2.110\", prefix = 24, on = [\"node2\", \"node3\"] }]\n\
                     names = [\"www.shop.test\", { name = \"web.shop.test\", ttl = \"2s\" }]\n";
    let zone = "[redirect]\ndocuments = 7420\n[zones.shop]\ndomain = \"shop.test\"\n\
                servers = [\"192.0.2.53\"]\nkey = \"/nonexistent/stead.key\"\nttl = \"60s\"\n\
                moving-ttl = \"2s\"\n";
    let text =
        CLUSTER.replace("addresses = [\"192.0.2.100/24\"]\n", &format!("{addresses}{clients}"));
    let mut view = picture(&format!("{text}{zone}"), 3);
    change_state(&mut view, |state| state.more.protocol = PROTOCOL_0_8);
    view
}

fn move_to(node: &str) -> Request {
    Request::Move { service: "web".into(), node: node.into(), for_s: None }
}

fn prepare(service: &str, node: &str) -> Request {
    Request::Lower(LowerRequest::Prepare { service: service.into(), node: node.into() })
}

fn lowered(served: &Served) -> Option<Lowered> {
    match served.submitted().last() {
        Some(Change::Register(RegisterChange::Lower { service, lowered })) => {
            assert_eq!(*service, ServiceId::from("web"));
            lowered.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_move_says_for_how_long_clients_may_be_late() {
    for (clients, seconds, words) in [
        ("", Some(60), "for up to 1 min: so long www.shop.test is kept"),
        ("clients = \"5min\"\n", Some(300), "for at least 5 min"),
        ("clients = \"1s\"\n", Some(60), "for up to 1 min"),
        ("clients = \"until-restart\"\n", None, "until they are restarted"),
    ] {
        let served = Served::new(named(clients));
        let answer: MoveAnswer = served.client().ask(&move_to("node2")).unwrap();
        let late = answer.late.unwrap();
        assert!(answer.late_s == seconds && late.starts_with(words), "{clients}: {late}");
    }
    // Between those two the name says the same, and so it does without a name.
    let mut view = named("");
    change_state(&mut view, |state| {
        let web = state.assignments.get_mut(&ServiceId::from("web")).unwrap();
        web.holder = stead_core::state::Holder::Node(stead_core::id::NodeId(3));
    });
    let answer: MoveAnswer = Served::new(view).client().ask(&move_to("node2")).unwrap();
    assert_eq!((answer.late, answer.late_s), (None, None));
    let answer: MoveAnswer =
        Served::new(picture(CLUSTER, 3)).client().ask(&move_to("node2")).unwrap();
    assert_eq!((answer.late, answer.change.node.as_deref()), (None, Some("node2")));
}

#[test]
fn what_is_prepared_is_shown_and_ended() {
    let served = Served::new(named(""));
    let before = wall();
    let answer: PreparedAnswer = served.client().ask(&prepare("web", "node2")).unwrap();
    assert_eq!(answer.names, ["www.shop.test"], "the other is kept for two seconds anyway");
    assert_eq!((answer.usual_s, answer.lowered_s), (60, 2));
    let first = lowered(&served).unwrap();
    assert!(first.until >= before + 60 + LOWERED_FOR);
    // Everybody who looks at the service is told.
    let until = answer.until.unwrap();
    let status: StatusReport = served.client().ask(&Request::Status { watch: false }).unwrap();
    let web = status.services.iter().find(|it| it.name == "web").unwrap();
    assert!(web.lowered.as_ref().unwrap().contains(&until), "{web:?}");
    let note = status.warnings.iter().find(|it| it.what.contains("for a short time only"));
    assert_eq!(note.unwrap().next, "to end that before: stead move web --unprepare");
    let explain = Request::Explain { service: "web".into() };
    let explained: ExplainAnswer = served.client().ask(&explain).unwrap();
    assert!(explained.lowered.unwrap().contains(&until));
    // No name server says it yet.
    let look = || Request::Lower(LowerRequest::Look { service: "web".into() });
    let looked: LookAnswer = served.client().ask(&look()).unwrap();
    assert!(looked.lowered && !looked.everywhere && looked.trouble.is_some(), "{looked:?}");
    // Until the old time is over somebody may go by it.
    let moved: MoveAnswer = served.client().ask(&move_to("node2")).unwrap();
    assert!(moved.late_s.is_some_and(|it| (2..=60).contains(&it)), "{moved:?}");
    let end = Request::Lower(LowerRequest::End { service: "web".into() });
    let ended: ChangeAnswer = served.client().ask(&end).unwrap();
    assert!(ended.index.is_some() && lowered(&served).is_none());
    let again: ChangeAnswer = served.client().ask(&end).unwrap();
    assert_eq!(again.index, None);
    let looked: LookAnswer = served.client().ask(&look()).unwrap();
    assert_eq!((looked.lowered, looked.everywhere), (false, false));
}

#[test]
fn what_would_not_be_moved_is_not_prepared_and_what_need_not_be_is_not() {
    let served = Served::new(named(""));
    for (request, word) in
        [(prepare("web", "node9"), "node9 is no member"), (prepare("no", "node2"), "no service no")]
    {
        let failure = served.failure(&request);
        assert!(failure.message.contains(word), "{failure}");
    }
    let answer: PreparedAnswer = served.client().ask(&prepare("db", "node1")).unwrap();
    assert!(answer.names.is_empty() && answer.until.is_none());
    assert!(served.submitted().is_empty());
    // Not before every member reads it.
    let mut old = named("");
    change_state(&mut old, |state| state.more.protocol = stead_core::state::PROTOCOL_0_7);
    let failure = Served::new(old).failure(&prepare("web", "node2"));
    assert!(failure.message.contains("new in stead 0.8"), "{failure}");
}
