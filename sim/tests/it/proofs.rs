//! When a lease is proven expired, in a cluster.

use stead_core::fencing::Proof;
use stead_core::state::State;
use stead_core::time::Span;
use stead_sim::plan::Plan;
use stead_sim::world::World;

/// The coordinator of a settled cluster, with its state and its guard's report.
fn coordinator(world: &World) -> Option<(&State, &stead_core::lease::Report)> {
    let node = world.node(world.coordinator()?)?;
    Some((node.state(), node.report()?))
}

#[test]
fn no_lease_is_proven_expired_before_the_wait_is_over() {
    let mut world = World::settled(Plan::calm(3, 2));
    let leader = world.coordinator().expect("somebody coordinates");
    let other = (leader + 1) % 3;
    let node = world.hosts[other].id;
    let (state, report) = coordinator(&world).expect("it reports");
    assert_eq!(Proof::due(state, report, node), None, "it is not revoked");
    world.power_off(other);
    let died = world.local(leader);
    let mut proven = None;
    while proven.is_none() && world.local(leader) < died + Span::from_millis(1_000) {
        world.run_micros(100);
        if world.state().is_some_and(|state| !state.view.contains_key(&node)) {
            break;
        }
        let now = world.local(leader);
        let Some((state, report)) = coordinator(&world) else { continue };
        if Proof::lease_expired(now, state, report, node).is_some() {
            proven = Some(now);
        }
        let heard = report.peers[&node].heard.expect("it was heard");
        let wait = state.timers.wait(Span::from_millis(10));
        if proven.is_some() {
            assert!(
                now > heard + wait,
                "proven {:?} after the last sign of life",
                now.since(heard)
            );
        }
        assert!(Proof::released(state, report, node).is_none());
    }
    let gone = world.state().is_some_and(|state| !state.view.contains_key(&node));
    assert!(proven.is_some() || gone, "never proven");
}
