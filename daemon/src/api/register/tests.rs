//! Registers on paper: a cluster, and a driver that applies every change at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use stead_core::state::{PROTOCOL_0_8, RegisterChange, State};

use super::allocate::{Asked, allocate, an_address};
use super::*;
use crate::api::tests::{CLUSTER, change_state, driver, picture};
use crate::config;
use crate::driver::view::View;

/// The usual cluster, with a pool of three addresses of which one is a service's.
fn text() -> String {
    format!(
        "{CLUSTER}\n[networks.front]\nprefix = \"192.0.2.0/24\"\n\
         pool = \"192.0.2.101-192.0.2.103\"\n"
    )
}

fn view() -> View {
    let mut view = picture(&text(), 3);
    change_state(&mut view, |state| state.more.protocol = PROTOCOL_0_8);
    view
}

fn on<T>(test: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(test())
}

fn for_service(service: Option<&str>) -> Reservation {
    let service = service.map(ServiceId::from);
    Reservation { service, note: "printer".to_owned(), by: "node1".to_owned() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Nobody else uses anything, and it takes a while to know that.
async fn nobody(_state: Arc<State>, some: Vec<IpAddr>) -> Answered<Asked> {
    tokio::task::yield_now().await;
    Ok(some.into_iter().map(|it| (it, None)).collect())
}

#[test]
fn two_at_once_never_get_the_same_and_then_none_is_left() {
    on(async || {
        let (handle, submitted) = driver(view());
        let pool = handle.view().state.config.as_ref().unwrap().redirect().pools["front"];
        let ask = || an_address(&handle, ("front", &pool), for_service(Some("web")), nobody);
        let (one, other) = tokio::join!(ask(), ask());
        let got: BTreeSet<_> = [one.unwrap().what, other.unwrap().what].into();
        assert_eq!(got, ["192.0.2.102".to_owned(), "192.0.2.103".to_owned()].into());
        // Both had found the first one free.
        assert_eq!(submitted.lock().unwrap().len(), 3);
        let none = ask().await.unwrap_err();
        assert!(none.message.contains("192.0.2.101-192.0.2.103, the pool of front"), "{none:?}");
        assert_eq!(list(&handle.view().state).unwrap().pools[0].free, 0);
    });
}

#[test]
fn what_a_stranger_uses_is_passed_over_and_named() {
    on(async || {
        let (handle, _) = driver(view());
        let pool = handle.view().state.config.as_ref().unwrap().redirect().pools["front"];
        let strangers = |_: Arc<State>, some: Vec<IpAddr>| async move {
            let taken = |it: &IpAddr| {
                (*it == ip("192.0.2.102")).then(|| format!("{it} is in use by 02:00:00:00:00:66"))
            };
            Ok(some.into_iter().map(|it| (it, taken(&it))).collect())
        };
        let ask = || an_address(&handle, ("front", &pool), for_service(None), strangers);
        let answer = ask().await.unwrap();
        assert_eq!(answer.what, "192.0.2.103");
        assert_eq!(answer.passed_over, ["192.0.2.102 is in use by 02:00:00:00:00:66"]);
        let none = ask().await.unwrap_err();
        assert!(none.next.contains("not in the register: 192.0.2.102"), "{none:?}");
        // Who can't ask hands nothing out.
        let blind =
            |_: Arc<State>, _: Vec<IpAddr>| async { Err(Failure::unchanged("no cable", "")) };
        let failed = an_address(&handle, ("front", &pool), for_service(None), blind).await;
        assert_eq!(failed.unwrap_err().message, "no cable");
    });
}

#[test]
fn macs_are_given_out_once_and_unknown_pools_are_named() {
    on(async || {
        let mut view = view();
        change_state(&mut view, |state| {
            let network = state.config.as_mut().unwrap().more.networks.get_mut("front").unwrap();
            network.interface = Some("stead-nowhere".to_owned());
        });
        let (handle, _) = driver(view);
        let first = allocate(&handle, "mac", for_service(None), false).await.unwrap();
        let second = allocate(&handle, "mac", for_service(None), false).await.unwrap();
        assert_ne!(first.what, second.what);
        assert!(first.kind == Kind::Mac && first.what.starts_with("02:07:07:07:"), "{first:?}");
        let wrong = allocate(&handle, "frnt", for_service(None), true).await.unwrap_err();
        assert!(wrong.message.contains("frnt is no network"), "{wrong:?}");
        assert_eq!(wrong.next, "did you mean front?");
        // No machine has that interface, so it can't ask; told not to, it needs none.
        let blind = allocate(&handle, "front", for_service(None), false).await.unwrap_err();
        assert!(blind.message.contains("node1 can't ask on front"), "{blind:?}");
        let answer = allocate(&handle, "front", for_service(Some("new")), true).await.unwrap();
        assert_eq!(answer.what, "192.0.2.102");
        assert!(answer.next.unwrap().contains("cluster.toml for new, which is new"));
    });
}

fn reserve(view: &mut View, what: &str, service: Option<&str>) {
    let reserve =
        RegisterChange::Reserve { what: read(what).unwrap(), reservation: for_service(service) };
    change_state(view, |state| {
        let index = stead_core::id::Index(state.applied.0 + 1);
        let outcome = state.apply(index, Change::Register(reserve));
        assert_eq!(outcome, stead_core::state::Outcome::Done, "{what}");
    });
}

#[test]
fn the_list_is_in_order_and_says_whose() {
    let mut view = view();
    reserve(&mut view, "192.0.2.50", None);
    reserve(&mut view, "www.shop.example", Some("new"));
    let answer = list(&view.state).unwrap();
    let told: Vec<_> = answer.entries.iter().map(|it| (it.what.as_str(), it.owner)).collect();
    assert_eq!(
        told[..5],
        [
            ("192.0.2.11", Owner::Node),
            ("192.0.2.12", Owner::Node),
            ("192.0.2.13", Owner::Node),
            ("192.0.2.50", Owner::Reserved),
            ("192.0.2.100", Owner::Service),
        ]
    );
    assert_eq!(told.last().unwrap(), &("www.shop.example", Owner::Reserved));
    assert_eq!(answer.entries[3].note.as_deref(), Some("printer"));
    assert_eq!(answer.pools[0].free, 2);
    let releasable = |what| releasable(&view.state, &read(what).unwrap());
    assert!(releasable("192.0.2.50").is_ok());
    let used = releasable("192.0.2.100").unwrap_err();
    assert!(used.message.contains("taken (service web)") && used.next.contains("cluster.toml"));
    let part = releasable("192.0.2.48/29").unwrap_err();
    assert_eq!(part.next, "release that: stead register release 192.0.2.50");
    assert!(releasable("192.0.2.60").unwrap_err().message.contains("is not reserved"));
}

#[test]
fn a_file_that_uses_what_is_kept_is_told_its_line() {
    let mut view = view();
    reserve(&mut view, "192.0.2.160/27", Some("new"));
    let text = text().replace(
        "[services.db]\naddresses = [",
        "[services.db]\naddresses = [\n\"192.0.2.170/24\", ",
    );
    let checked = config::read("cluster.toml", &text).unwrap();
    let change = kept_from(&view.state, &checked).unwrap();
    let line = text.lines().position(|it| it.contains("192.0.2.170")).unwrap() + 1;
    assert_eq!(change.what, format!("line {line}: 192.0.2.170 is used"));
    let refused = change.refused.unwrap();
    assert!(refused.contains("192.0.2.160/27 (reserved for service new)"), "{refused}");
    let fine = config::read("cluster.toml", &text.replace("services.db", "services.new")).unwrap();
    assert_eq!(kept_from(&view.state, &fine), None);
}
