//! Rules by time, and visits: what hangs on a clock is an event first.

use std::collections::BTreeSet;

use stead_core::id::{Index, ServiceId};
use stead_core::state::config::{During, Place, TimeConfig};
use stead_core::state::{Change, Holder, Outcome, Refusal, Visit, WAY_BACK};

use super::bed::Cluster;

const TWO: &str = "node n1
                   node n2
                   service db at=n1 prefer=n1";

fn db() -> ServiceId {
    "db".into()
}

fn night() -> BTreeSet<String> {
    ["night".to_owned()].into()
}

/// A cluster that exists, and has the time "night".
fn told(story: &str) -> Cluster {
    let mut cluster = Cluster::told(story);
    cluster.state.cluster = Some(stead_core::id::ClusterId([7; 16]));
    let rules = &mut cluster.config().later.fencing.rules;
    rules.times.insert("night".into(), TimeConfig::default());
    cluster
}

fn during(cluster: &mut Cluster, during: During) {
    let rules = &mut cluster.config().later.fencing.rules;
    rules.services.entry(db()).or_default().during.insert("night".into(), during);
}

fn apply(cluster: &mut Cluster, change: Change) {
    let index = Index(cluster.state.applied.0 + 1);
    assert_eq!(cluster.state.apply(index, change), Outcome::Done);
}

/// Carries a plan out, and says what it was.
fn step(cluster: &mut Cluster) -> String {
    let plan = cluster.plan();
    assert_eq!(cluster.broken(&plan), []);
    let told = cluster.tell(&plan);
    *cluster = cluster.carried_out(&plan);
    told
}

#[test]
fn by_night_it_is_elsewhere() {
    let mut cluster = told(TWO);
    let only = vec![Place::Node("n2".into())];
    during(&mut cluster, During { only: Some(only), ..During::default() });
    assert_eq!(step(&mut cluster), "");
    apply(&mut cluster, Change::Times { open: night() });
    assert_eq!(step(&mut cluster), "db: n1 -> n2 (`only` or `never` keeps it from there): Only\n");
    // What works stays where it is when the night is over.
    apply(&mut cluster, Change::Times { open: BTreeSet::new() });
    assert_eq!(step(&mut cluster), "");
}

#[test]
fn what_is_rather_there_by_night_goes_there_with_failback() {
    let mut cluster = told(TWO);
    let prefer = Some(vec!["n2".into()]);
    during(&mut cluster, During { prefer, ..During::default() });
    apply(&mut cluster, Change::Times { open: night() });
    assert_eq!(step(&mut cluster), "", "it works where it is");
    cluster.config().services.get_mut(&db()).expect("there").failback = true;
    let there = "db: n1 -> n2 (it prefers another node, and returns): better than n1 by Rules\n";
    assert_eq!(step(&mut cluster), there);
    apply(&mut cluster, Change::Times { open: BTreeSet::new() });
    let back = "db: n2 -> n1 (it prefers another node, and returns): better than n2 by Rules\n";
    assert_eq!(step(&mut cluster), back);
}

#[test]
fn it_returns_at_night() {
    let mut cluster = told("node n1\nnode n2\nservice db at=n2 prefer=n1");
    let rules = &mut cluster.config().later.fencing.rules;
    rules.services.entry(db()).or_default().failback_at = Some("night".into());
    assert_eq!(step(&mut cluster), "");
    apply(&mut cluster, Change::Times { open: night() });
    let back = "db: n2 -> n1 (it prefers another node, and returns): better than n2 by Rules\n";
    assert_eq!(step(&mut cluster), back);
}

#[test]
fn a_visit_ends_where_it_began() {
    let mut cluster = told(TWO);
    let node = cluster.id("n2");
    let until = 8_200;
    let visit = Visit { node, until, back: Some(cluster.id("n1")), once: false };
    apply(&mut cluster, Change::Visit { service: db(), visit: Some(visit) });
    let there =
        "db: n1 -> n2 (an operator wants it there for a while, or back): better than n1 by Wish\n";
    assert_eq!(step(&mut cluster), there);
    assert_eq!(step(&mut cluster), "");
    assert_eq!(cluster.state.due(until - 1, &BTreeSet::new()), None);
    let over = cluster.state.due(until, &BTreeSet::new()).expect("it is over");
    apply(&mut cluster, over);
    let back =
        "db: n2 -> n1 (an operator wants it there for a while, or back): better than n2 by Wish\n";
    assert_eq!(step(&mut cluster), back);
    let home = cluster.state.due(until + 1, &BTreeSet::new()).expect("it is there");
    apply(&mut cluster, home);
    assert!(cluster.state.times().visits.is_empty());
}

#[test]
fn who_is_there_already_stays_for_that_time_and_a_move_for_good_is_over_once_it_is_there() {
    let mut cluster = told("node n1\nnode n2\nservice db at=n2 prefer=n1 failback");
    let visit = Visit { node: cluster.id("n2"), until: 50, back: None, once: false };
    apply(&mut cluster, Change::Visit { service: db(), visit: Some(visit) });
    assert_eq!(step(&mut cluster), "", "it does not go back meanwhile");
    assert_eq!(cluster.state.due(49, &BTreeSet::new()), None);
    let over = Change::Visit { service: db(), visit: None };
    assert_eq!(cluster.state.due(50, &BTreeSet::new()), Some(over.clone()));
    let once = Visit { once: true, ..visit };
    apply(&mut cluster, Change::Visit { service: db(), visit: Some(once) });
    assert_eq!(cluster.state.due(1, &BTreeSet::new()), Some(over));
}

#[test]
fn who_can_not_go_back_stays_after_an_hour() {
    let mut cluster = told("node n1 lost\nnode n2\nservice db at=n2");
    let (node, back) = (cluster.id("n2"), Some(cluster.id("n1")));
    let visit = Some(Visit { node, until: 50, back, once: false });
    apply(&mut cluster, Change::Visit { service: db(), visit });
    let over = cluster.state.due(50, &BTreeSet::new()).expect("it is over");
    apply(&mut cluster, over);
    assert_eq!(step(&mut cluster), "", "its home is lost");
    assert_eq!(cluster.state.due(50 + WAY_BACK - 1, &BTreeSet::new()), None);
    let end = cluster.state.due(50 + WAY_BACK, &BTreeSet::new()).expect("it stays");
    assert_eq!(end, Change::Visit { service: db(), visit: None });
    apply(&mut cluster, end);
    assert_eq!(cluster.state.due(u64::MAX, &BTreeSet::new()), None);
}

#[test]
fn a_visitor_whose_host_fails_goes_on_elsewhere_and_returns_to_the_visit() {
    let mut cluster = told("node n1\nnode n2\nnode n3\nservice db at=n2 prefer=n1");
    let (node, back) = (cluster.id("n2"), Some(cluster.id("n1")));
    let visit = Some(Visit { node, until: 50, back, once: false });
    apply(&mut cluster, Change::Visit { service: db(), visit });
    let mut lost = cluster.without(node);
    assert_eq!(step(&mut lost), "db: -> n1: better than n3 by Rules\n");
    lost.state.view.clone_from(&cluster.state.view);
    lost.able.nodes.insert(node);
    let there =
        "db: n1 -> n2 (an operator wants it there for a while, or back): better than n1 by Wish\n";
    assert_eq!(step(&mut lost), there);
}

#[test]
fn words_about_what_is_not_there_are_refused() {
    let mut cluster = told(TWO);
    let mut refused = |change| match cluster.state.apply(Index(1), change) {
        Outcome::Refused(refusal) => refusal,
        other @ (Outcome::Done | Outcome::Joined(_)) => panic!("{other:?}"),
    };
    let visit = Visit { node: stead_core::id::NodeId(9), until: 1, back: None, once: false };
    let to_nobody = Change::Visit { service: db(), visit: Some(visit) };
    assert_eq!(refused(to_nobody), Refusal::NoSuchNode);
    let of_nobody = Change::Visit { service: "x".into(), visit: Some(visit) };
    assert_eq!(refused(of_nobody), Refusal::NoSuchService);
    assert_eq!(refused(Change::Visit { service: db(), visit: None }), Refusal::Stale);
    assert_eq!(refused(Change::Times { open: BTreeSet::new() }), Refusal::Stale);
}

#[test]
fn what_is_no_longer_configured_visits_nobody() {
    let mut cluster = told(TWO);
    let visit = Some(Visit { node: cluster.id("n2"), until: 50, back: None, once: false });
    apply(&mut cluster, Change::Visit { service: db(), visit });
    let mut config = cluster.config().clone();
    config.services.clear();
    let base = cluster.state.revision;
    apply(&mut cluster, Change::Configure { base, config });
    assert!(cluster.state.times().visits.is_empty());
}

#[test]
fn where_it_would_rather_be_starts_nothing_anew() {
    let mut cluster = told(TWO);
    let mut config = cluster.config().clone();
    config.services.get_mut(&db()).expect("there").prefer = vec!["n2".into()];
    let base = cluster.state.revision;
    // Members of before 0.7 start it anew, so nobody may do otherwise as long as one may be there.
    let mut older = cluster.clone();
    let mut plain = config.clone();
    plain.later = Default::default();
    apply(&mut older, Change::Configure { base, config: plain });
    let holder = |cluster: &Cluster| cluster.state.assignments[&db()].holder.clone();
    assert!(matches!(holder(&older), Holder::Stopping { .. }));
    apply(&mut cluster, Change::Times { open: night() });
    apply(&mut cluster, Change::Configure { base, config });
    assert_eq!(holder(&cluster), Holder::Node(cluster.id("n1")));
}
