//! The replicated state: any change on any state, and any bytes in their place.

use std::collections::BTreeMap;

use stead_core::id::{ClusterId, Epoch, Incarnation, Index, NodeId, Term};
use stead_core::lease::Admission;
use stead_core::state::{
    AttributeScope, Cause, Change, CopyStep, Holder, Maintenance, Outcome, ProofRecord, Reached,
    Scope, Stage, State, Takeover, Visit,
};
use stead_fuzz::{Draw, Sample, target};

use super::values;

const CAUSES: [Cause; 4] = [Cause::Silent, Cause::Planned, Cause::Failed, Cause::Lost];

/// A cluster of three with two services that nobody has yet.
pub fn founded() -> State {
    let mut state = State::default();
    let config = values::config(&mut Draw::new(&[0; 64]));
    let (node, key, cluster) = ("node1".to_owned(), [1; 32], ClusterId([7; 16]));
    state.apply(Index(1), Change::Found { cluster, config, node, key });
    for number in 2..=3_u8 {
        let (token, node) = ([number; 32], format!("node{number}"));
        state.apply(Index(2), Change::AddToken { token, node });
        state.apply(Index(3), Change::Join { token, key: [number; 32] });
    }
    assert_eq!(state.members.len(), 3);
    state
}

fn stage(draw: &mut Draw<'_>) -> Stage {
    Stage {
        node: values::node(draw),
        service: Some(values::service(draw)),
        reached: *draw.pick(&[Reached::Stopped, Reached::Suspected]),
        after: values::span(draw),
        detail: String::new(),
    }
}

fn epoch_of(state: &State, draw: &mut Draw<'_>, service: &stead_core::id::ServiceId) -> Epoch {
    let epoch = state.assignments.get(service).map(|it| it.epoch).unwrap_or_default();
    Epoch(draw.near(epoch.0))
}

fn takeover(draw: &mut Draw<'_>, state: &State) -> Takeover {
    let node = values::node(draw);
    let admitted = state.view.get(&node).map(|it| it.incarnation).unwrap_or_default();
    let mut assignments = Vec::new();
    for _ in 0..draw.below(3) {
        let to = draw.flag().then(|| values::node(draw));
        assignments.push((values::service(draw), to));
    }
    Takeover {
        node,
        term: Term(draw.near(state.term.0)),
        incarnation: Incarnation(draw.near(admitted.0)),
        base: Epoch(draw.near(state.epoch.0)),
        proof: ProofRecord::LeaseExpired,
        cause: *draw.pick(&CAUSES),
        assignments,
        stages: vec![stage(draw)],
    }
}

/// A change that may well fit the state.
pub fn change(draw: &mut Draw<'_>, state: &State) -> Change {
    let (node, service) = (values::node(draw), values::service(draw));
    let epoch = epoch_of(state, draw, &service);
    let cause = *draw.pick(&CAUSES);
    match draw.below(16) {
        0 => Change::Configure { base: draw.near(state.revision), config: values::config(draw) },
        1 => Change::Settle { revision: draw.near(state.revision) },
        2 => Change::AddToken { token: [draw.byte(); 32], node: format!("node{node}") },
        3 => Change::Join { token: [draw.byte(); 32], key: [draw.byte(); 32] },
        4 => Change::Leave { node },
        5..8 => {
            let known = state.view.get(&node).map(|it| it.incarnation).unwrap_or_default();
            Change::Admit { node, incarnation: Incarnation(draw.near(known.0.wrapping_add(1))) }
        }
        8 => Change::Takeover(takeover(draw, state)),
        9 | 10 => Change::Assign { service, base: epoch, node },
        11 => {
            let wish = draw.flag().then(|| values::node(draw));
            Change::Stop { service, base: epoch, cause, wish }
        }
        12 => {
            let holder = state.assignments.get(&service).and_then(|it| it.holder.node());
            let took = values::span(draw);
            Change::Stopped { service, node: holder.unwrap_or(node), epoch, cause, took }
        }
        13 => Change::Standby { node, on: draw.flag() },
        14 => Change::Lead { term: Term(draw.near(state.term.0.wrapping_add(1))) },
        _ if draw.byte() < 16 => Change::Steady { node },
        _ if draw.byte() < 16 => {
            Change::StopServices { services: [service].into(), on: draw.flag() }
        }
        _ if draw.byte() < 32 => Change::Maintain {
            scope: match draw.below(3) {
                0 => Scope::Cluster,
                1 => Scope::Node(node),
                _ => Scope::Service(service),
            },
            maintenance: values::maybe(draw, |draw| Maintenance {
                reason: "work".into(),
                by: "node1".into(),
                wall: draw.number(),
            }),
        },
        _ if draw.byte() < 32 => Change::Works { service, epoch },
        _ if draw.byte() < 16 => Change::ClearResource { service, resource: "r0".into() },
        _ if draw.byte() < 16 => Change::Times { open: [format!("t{}", draw.below(3))].into() },
        _ if draw.byte() < 16 => {
            let (until, back) = (draw.number(), draw.flag().then_some(node));
            let visit = draw.flag().then_some(Visit { node, until, back, once: draw.flag() });
            Change::Visit { service, visit }
        }
        _ if draw.byte() < 16 => Change::Register(super::layers::change(draw, epoch)),
        _ if draw.byte() < 16 => Change::Halt { nodes: [node].into(), on: draw.flag() },
        _ if draw.byte() < 16 => {
            let known = state.copy(&service, node).map_or(epoch, |copy| copy.epoch);
            let steps = [CopyStep::Begins, CopyStep::Runs(known), CopyStep::Over(known)];
            let step = steps.get(usize::from(draw.byte() % 4)).copied();
            Change::Copy { service, node, step: step.unwrap_or(CopyStep::Promoted(known)) }
        }
        _ if draw.byte() < 16 => {
            let scope = match draw.below(3) {
                0 => AttributeScope::Transient(node),
                1 => AttributeScope::Permanent(node),
                _ => AttributeScope::Cluster,
            };
            let value = draw.flag().then(|| draw.number().to_string());
            Change::Attribute { scope, name: format!("master-web.r{}", draw.below(3)), value }
        }
        _ if draw.flag() => Change::Clear { service: draw.flag().then_some(service) },
        _ => Change::Observe { service, epoch, stages: vec![stage(draw), stage(draw)] },
    }
}

/// Invariant 5, and what a refusal promises. Says whether the change was taken.
fn apply(state: &mut State, index: Index, change: Change) -> bool {
    let before = state.clone();
    let outcome = state.apply(index, change);
    assert!(state.epoch >= before.epoch, "the view's epoch went back");
    assert!(state.term >= before.term && state.revision >= before.revision);
    assert!(state.next_node >= before.next_node, "a node's number may be given again");
    for (service, assignment) in &state.assignments {
        assert!(assignment.epoch <= state.epoch, "an epoch is ahead of all");
        let Some(old) = before.assignments.get(service) else { continue };
        assert!(assignment.epoch >= old.epoch, "the epoch of {service} went back");
        let moved = assignment.holder.node() != old.holder.node();
        let given = matches!(assignment.holder, Holder::Node(_));
        assert!(!(moved && given) || assignment.epoch > old.epoch, "moved under an old epoch");
    }
    if let Outcome::Refused(_) = outcome {
        assert_eq!(State { applied: before.applied, ..state.clone() }, before);
        return false;
    }
    true
}

/// A state with numbers of its own, as a snapshot may hold it.
fn odd(draw: &mut Draw<'_>) -> State {
    let mut state = founded();
    state.epoch = Epoch(draw.near(state.epoch.0));
    state.next_node = draw.near(state.next_node);
    state.revision = draw.near(state.revision);
    state.incident_count = draw.near(0);
    state.term = Term(draw.near(0));
    if draw.byte() > 200 {
        state.timers = values::timers(draw);
    }
    if draw.byte() > 200 {
        let at = Admission { incarnation: Incarnation(draw.number()), index: Index(0) };
        state.view = BTreeMap::from([(NodeId(1), at), (NodeId(2), at)]);
    }
    for assignment in state.assignments.values_mut() {
        assignment.epoch = Epoch(draw.near(0));
        if draw.byte() > 128 {
            assignment.holder = Holder::Node(values::node(draw));
        }
        if draw.byte() > 200 {
            let failures = u32::try_from(draw.number()).unwrap_or(u32::MAX);
            assignment.failures = (1..4).map(|node| (NodeId(node), failures)).collect();
        }
    }
    state
}

fn stories() -> Vec<Sample> {
    // An odd state of nothing odd; then admissions, an assignment, a takeover.
    let plain = vec![0; 16];
    let admit = |node: u8| [node - 1, 0, 0, 0, 5, 0];
    let assign = |node: u8, service: u8| [node - 1, service, 0, 0, 9];
    let mut story = plain.clone();
    for node in 1..=3 {
        story.extend(admit(node));
    }
    story.extend(assign(1, 0));
    story.extend(assign(2, 1));
    story.extend([0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 5]);
    vec![("plain", plain), ("takeover", story)]
}

#[test]
fn any_change_fits_any_sound_state_or_is_refused() {
    target!("state").samples(stories).count(20_000).run(|bytes| {
        let mut draw = Draw::new(bytes);
        let mut state = odd(&mut draw);
        // What is not sound is refused where snapshots are read.
        if state.check().is_err() {
            return false;
        }
        let mut taken = false;
        for index in 10..74 {
            if draw.is_empty() {
                break;
            }
            let change = change(&mut draw, &state);
            taken |= apply(&mut state, Index(index), change);
        }
        // How late a kernel may be is what its node says.
        let slack = values::span(&mut draw);
        assert!(state.wait(slack) >= state.timers.lease.max(slack));
        taken
    });
}
