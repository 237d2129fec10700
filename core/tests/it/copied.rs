//! Copies and attributes in the replicated state: who may be given what, what is forgotten when.

use std::collections::BTreeMap;

use stead_core::id::{ClusterId, Incarnation, Index, NodeId, ServiceId};
use stead_core::placement::{Able, Sight};
use stead_core::points::Seen;
use stead_core::state::config::{
    Config, ConfigLater, ConfigNext, CopiesConfig, NodeConfig, ServiceConfig, ServiceMore,
};
use stead_core::state::{
    ATTRIBUTES_KEPT, AttributeScope, Cause, Change, CopyStage, CopyStep, Holder, LONGEST_ATTRIBUTE,
    Maintenance, Outcome, PROTOCOL_0_5, Refusal, Scope, State, score_of,
};
use stead_core::time::Span;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn db() -> ServiceId {
    "db".into()
}

fn config() -> Config {
    let node =
        |name: &str| (name.to_owned(), NodeConfig { site: None, addresses: BTreeMap::new() });
    let service = ServiceConfig {
        addresses: Vec::new(),
        program: None,
        monitor: None,
        prefer: Vec::new(),
        failback: false,
    };
    let nodes = Some(["a".to_owned(), "b".to_owned()].into());
    let copies = CopiesConfig { nodes, promotable: ["pg".to_owned()].into() };
    let more = ServiceMore { copies: Some(copies), ..ServiceMore::default() };
    Config {
        name: "shop".to_owned(),
        ride_out: Span::from_millis(300),
        round_trip: Span::from_millis(2),
        daemon_grace: Span::from_millis(10_000),
        links: BTreeMap::new(),
        nodes: ["a", "b", "c"].map(node).into(),
        services: [(db(), service)].into(),
        more: Default::default(),
        later: ConfigLater {
            next: ConfigNext { services: [(db(), more)].into() },
            ..ConfigLater::default()
        },
    }
}

struct Bed(State, u64);

impl Bed {
    fn new() -> Self {
        let mut bed = Self(State::default(), 0);
        let node = "a".to_owned();
        bed.done(Change::Found {
            cluster: ClusterId([7; 16]),
            config: config(),
            node,
            key: [1; 32],
        });
        for (number, name) in [(2, "b"), (3, "c")] {
            bed.done(Change::AddToken { token: [number; 32], node: name.to_owned() });
            let joined = bed.apply(Change::Join { token: [number; 32], key: [number; 32] });
            assert_eq!(joined, Outcome::Joined(NodeId(u64::from(number))));
        }
        for node in [A, B, NodeId(3)] {
            bed.done(Change::Admit { node, incarnation: Incarnation(1) });
        }
        bed
    }

    fn apply(&mut self, change: Change) -> Outcome {
        self.1 += 1;
        self.0.apply(Index(self.1), change)
    }

    fn done(&mut self, change: Change) {
        let told = format!("{change:?}");
        assert_eq!(self.apply(change), Outcome::Done, "{told}");
    }

    fn refused(&mut self, change: Change, why: Refusal) {
        let before = self.0.clone();
        assert_eq!(self.apply(change), Outcome::Refused(why));
        assert_eq!(State { applied: before.applied, ..self.0.clone() }, before);
    }

    fn step(&mut self, node: NodeId, step: CopyStep) {
        self.done(Change::Copy { service: db(), node, step });
    }

    fn score(node: NodeId, value: &str) -> Change {
        let (scope, name) = (AttributeScope::Transient(node), score_of(&db(), "pg"));
        Change::Attribute { scope, name, value: Some(value.to_owned()) }
    }

    fn assign(&self, node: NodeId) -> Change {
        let base = self.0.assignments[&db()].epoch;
        Change::Assign { service: db(), base, node }
    }

    /// A copy runs there, and says so much of itself.
    fn runs(&mut self, node: NodeId, score: &str) {
        self.step(node, CopyStep::Begins);
        let epoch = self.0.copy(&db(), node).expect("it is entered").epoch;
        assert_eq!(epoch, self.0.epoch, "each has an epoch of its own");
        self.step(node, CopyStep::Runs(epoch));
        self.done(Self::score(node, score));
    }
}

#[test]
fn only_a_copy_that_runs_and_is_fit_is_promoted() {
    let mut bed = Bed::new();
    bed.refused(bed.assign(A), Refusal::NoCopy(A));
    bed.step(A, CopyStep::Begins);
    bed.refused(Change::Copy { service: db(), node: A, step: CopyStep::Begins }, Refusal::Stale);
    bed.done(Bed::score(A, "100"));
    bed.refused(bed.assign(A), Refusal::NoCopy(A));
    let epoch = bed.0.copy(&db(), A).expect("it is entered").epoch;
    bed.step(A, CopyStep::Runs(epoch));
    for unfit in ["0", "-INFINITY", "much"] {
        bed.done(Bed::score(A, unfit));
        bed.refused(bed.assign(A), Refusal::NoCopy(A));
    }
    bed.done(Bed::score(A, "INFINITY"));
    assert_eq!(bed.0.score(&db(), A), Some(1_000_000));
    bed.done(bed.assign(A));
    let assigned = bed.0.assignments[&db()].epoch;
    assert!(assigned > epoch, "what is promoted is newer than its copy (rule K2)");
    assert_eq!(bed.0.more.protocol, PROTOCOL_0_5);

    // An operator moves it to where one is fit only; and what is demoted is promoted no more.
    let stop = |wish| Change::Stop { service: db(), base: assigned, cause: Cause::Planned, wish };
    bed.refused(stop(Some(B)), Refusal::NoCopy(B));
    bed.runs(B, "5");
    bed.step(A, CopyStep::Promoted(epoch));
    bed.done(stop(Some(B)));
    let (cause, took) = (Cause::Planned, Span::ZERO);
    bed.done(Change::Stopped { service: db(), node: A, epoch: assigned, cause, took });
    assert_eq!(bed.0.copy(&db(), A).map(|copy| copy.stage), Some(CopyStage::Runs));
    bed.done(bed.assign(B));
}

#[test]
fn copies_in_maintenance_are_not_described_anew() {
    let mut bed = Bed::new();
    bed.runs(A, "0");
    let maintenance = Maintenance { reason: "work".to_owned(), by: "a".to_owned(), wall: 1 };
    bed.done(Change::Maintain { scope: Scope::Service(db()), maintenance: Some(maintenance) });
    let mut config = config();
    config.services.get_mut(&db()).expect("it is there").failback = true;
    let configure = Change::Configure { base: bed.0.revision, config };
    bed.refused(configure.clone(), Refusal::InMaintenance(db()));
    bed.done(Change::Maintain { scope: Scope::Service(db()), maintenance: None });
    bed.done(configure);
}

#[test]
fn a_node_without_a_place_in_the_list_has_no_copy() {
    let mut bed = Bed::new();
    let begins = |node| Change::Copy { service: db(), node, step: CopyStep::Begins };
    bed.refused(begins(NodeId(3)), Refusal::NoSuchService);
    bed.refused(begins(NodeId(9)), Refusal::NoSuchService);
}

#[test]
fn what_a_copy_said_of_itself_ends_with_it_and_with_its_node() {
    let mut bed = Bed::new();
    bed.runs(A, "10");
    bed.runs(B, "10");
    let other =
        |scope| Change::Attribute { scope, name: "ping".to_owned(), value: Some("1".to_owned()) };
    for scope in [
        AttributeScope::Transient(A),
        AttributeScope::Transient(B),
        AttributeScope::Permanent(B),
        AttributeScope::Cluster,
    ] {
        bed.done(other(scope));
    }
    let epoch = bed.0.copy(&db(), A).expect("it is entered").epoch;
    bed.step(A, CopyStep::Over(epoch));
    assert_eq!((bed.0.copy(&db(), A), bed.0.score(&db(), A)), (None, None));
    assert_eq!(bed.0.attributes().get(AttributeScope::Transient(A), "ping"), Some("1"));
    // Another start of its guard: nothing of the former one is left.
    bed.done(Change::Admit { node: B, incarnation: Incarnation(2) });
    assert_eq!((bed.0.copy(&db(), B), bed.0.score(&db(), B)), (None, None));
    let attributes = bed.0.attributes();
    assert_eq!(attributes.get(AttributeScope::Transient(B), "ping"), None);
    assert_eq!(attributes.get(AttributeScope::Permanent(B), "ping"), Some("1"));
    assert_eq!(attributes.get(AttributeScope::Cluster, "ping"), Some("1"));
}

#[test]
fn what_was_said_of_a_former_copy_is_not_said_of_the_next() {
    let mut bed = Bed::new();
    bed.runs(B, "10");
    let epoch = bed.0.copy(&db(), B).expect("it is entered").epoch;
    bed.step(B, CopyStep::Over(epoch));
    // The agent of another copy may speak of this one, and be late.
    bed.done(Bed::score(B, "100"));
    bed.step(B, CopyStep::Begins);
    let epoch = bed.0.copy(&db(), B).expect("it is entered").epoch;
    bed.step(B, CopyStep::Runs(epoch));
    assert_eq!(bed.0.score(&db(), B), None);
    bed.refused(bed.assign(B), Refusal::NoCopy(B));
}

#[test]
fn a_promotion_that_is_told_late_is_told_in_vain() {
    let mut bed = Bed::new();
    bed.runs(A, "100");
    bed.runs(B, "50");
    bed.done(bed.assign(A));
    let (copy, assigned) =
        (bed.0.copy(&db(), A).expect("it is entered").epoch, bed.0.assignments[&db()].epoch);
    let (cause, took) = (Cause::Failed, Span::ZERO);
    bed.done(Change::Stopped { service: db(), node: A, epoch: assigned, cause, took });
    bed.done(bed.assign(B));
    let step = CopyStep::Promoted(copy);
    bed.refused(Change::Copy { service: db(), node: A, step }, Refusal::Stale);
}

#[test]
fn a_node_that_could_not_serve_gives_way_though_its_score_is_higher() {
    let mut bed = Bed::new();
    bed.runs(A, "100");
    bed.runs(B, "50");
    let able = Able::from(std::collections::BTreeSet::from([A, B]));
    let chosen = |bed: &Bed| {
        let change = super::placed::assignment(Sight::new(&bed.0, &able, &Seen::default()));
        let Some(Change::Assign { node, .. }) = change else { panic!("{change:?}") };
        node
    };
    for time in 0..3 {
        assert_eq!(chosen(&bed), A, "the fitter one, {time}");
        bed.done(bed.assign(A));
        let epoch = bed.0.assignments[&db()].epoch;
        let (cause, took) = (Cause::Failed, Span::ZERO);
        bed.done(Change::Stopped { service: db(), node: A, epoch, cause, took });
    }
    assert_eq!(chosen(&bed), B);
}

#[test]
fn a_new_description_is_another_service() {
    let mut bed = Bed::new();
    bed.runs(A, "10");
    bed.done(bed.assign(A));
    let mut config = config();
    let more = config.later.next.services.get_mut(&db()).expect("it is there");
    let copies = more.copies.as_mut().expect("it has some");
    copies.nodes = None;
    bed.done(Change::Configure { base: bed.0.revision, config });
    assert!(matches!(bed.0.assignments[&db()].holder, Holder::Stopping { .. }));
    assert!(!bed.0.may_be_promoted(&db(), A), "its copy is of the former description");
    assert!(bed.0.copy(&db(), A).expect("it is there still").epoch < bed.0.described(&db()));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut bed = Bed::new();
    let set = |name: String, value: Option<String>| Change::Attribute {
        scope: AttributeScope::Cluster,
        name,
        value,
    };
    let long = "x".repeat(LONGEST_ATTRIBUTE + 1);
    bed.refused(set("a".to_owned(), Some(long.clone())), Refusal::AttributeTooLong);
    bed.refused(set(long, Some(String::new())), Refusal::AttributeTooLong);
    bed.refused(set(String::new(), None), Refusal::AttributeTooLong);
    for number in 0..ATTRIBUTES_KEPT {
        bed.done(set(number.to_string(), Some("1".to_owned())));
    }
    bed.refused(set("more".to_owned(), Some("1".to_owned())), Refusal::TooManyAttributes);
    bed.done(set("0".to_owned(), Some("2".to_owned())));
    bed.done(set("0".to_owned(), None));
    bed.done(set("more".to_owned(), Some("1".to_owned())));
    let scope = AttributeScope::Transient(NodeId(9));
    let gone = Change::Attribute { scope, name: "a".to_owned(), value: Some("1".to_owned()) };
    bed.refused(gone, Refusal::NoSuchNode);
}
