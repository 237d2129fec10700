//! What a failure costs, in virtual time, at the defaults: a ride-out of 300 ms, a round trip of
//! 1 ms, a kernel that shuts 10 ms late at most.

use stead_core::state::Change;
use stead_sim::fault::{Act, Target};
use stead_sim::plan::Plan;
use stead_sim::world::World;

/// A settled cluster with `services` spread over its nodes, at a phase of its heartbeats.
fn at_phase(nodes: usize, services: usize, phase: u64) -> World {
    let mut world = World::settled(Plan::calm(nodes, services));
    world.run_micros(phase * 1_000);
    world
}

/// D, in milliseconds, rounded up.
fn wait(world: &World) -> u64 {
    let timers = world.state().map(|state| state.timers).unwrap_or_default();
    timers.wait(world.hosts[0].slack).0.div_ceil(1_000)
}

/// The longest time that a service's address was silent, in milliseconds, rounded up.
fn gap(world: &World, service: usize) -> u64 {
    world.judges.address.longest_gap(service).div_ceil(1_000)
}

/// The outage of a service whose node dies: from its last packet to the new holder's first.
fn outage(world: &mut World, service: usize, died: u64) -> u64 {
    world.run(2_000);
    let back = world.judges.address.gaps(service).last().map(|(_, to)| to);
    let back = back.expect("nobody took the address over");
    (back - died).div_ceil(1_000)
}

#[test]
fn a_holder_that_dies_costs_the_wait_and_a_few_milliseconds() {
    let mut longest = 0;
    for phase in 0..16 {
        let mut world = at_phase(3, 3, phase);
        let coordinator = world.coordinator();
        let service = (0..3).find(|it| world.server(*it) != coordinator && *it % 2 == 0);
        let service = service.unwrap_or(0);
        let holder = world.server(service).unwrap_or(0);
        let (died, most) = (world.now, wait(&world) + 4);
        world.power_off(holder);
        let outage = outage(&mut world, service, died);
        assert!(outage <= most, "phase {phase}: {outage} ms, at most {most}");
        longest = longest.max(outage);
    }
    println!("a holder's death costs at most {longest} ms");
}

#[test]
fn a_coordinator_that_dies_with_a_service_costs_hardly_more() {
    let mut longest = 0;
    for phase in 0..16 {
        let mut world = at_phase(3, 3, phase);
        let coordinator = world.coordinator().unwrap_or(0);
        let service = (0..3).find(|it| world.server(*it) == Some(coordinator)).unwrap_or(0);
        let (died, most) = (world.now, wait(&world) + 5);
        world.power_off(coordinator);
        let outage = outage(&mut world, service, died);
        assert!(outage <= most, "phase {phase}: {outage} ms, at most {most}");
        longest = longest.max(outage);
        for other in (0..3).filter(|other| *other != service) {
            assert_eq!(gap(&world, other), 0, "phase {phase}: s{other} of another node blinked");
        }
    }
    println!("a coordinator's death costs at most {longest} ms");
}

#[test]
fn a_coordinator_that_dies_holding_nothing_costs_nothing() {
    for nodes in [3, 5] {
        for phase in 0..30 {
            let mut world = at_phase(nodes, nodes, phase);
            let coordinator = world.coordinator().unwrap_or(0);
            let on = Change::Standby { node: world.hosts[coordinator].id, on: true };
            world.operate(coordinator, on);
            world.run(1_000);
            world.judges.address.forget_gaps();
            world.run_micros(phase * 500);
            world.power_off(coordinator);
            world.run(2_000);
            for service in 0..nodes {
                assert_eq!(gap(&world, service), 0, "phase {phase}: s{service} blinked");
            }
        }
    }
}

/// Who is cut off from whom while the network stalls.
enum Stall {
    Holder,
    Coordinator,
    Everybody,
    /// Nothing of the holder's is heard, and it hears all.
    OneWay,
}

fn no_stall_costs_a_lease(stall: &Stall, length: u64) {
    for phase in 0..45 {
        let mut world = at_phase(3, 3, phase);
        world.run_micros(333);
        let coordinator = world.coordinator().unwrap_or(0);
        let holder = (0..3).find(|host| *host != coordinator).unwrap_or(0);
        match stall {
            Stall::Holder => world.net.cut(None, &[holder]),
            Stall::Coordinator => world.net.cut(None, &[coordinator]),
            Stall::Everybody => (0..3).for_each(|host| world.net.cut(None, &[host])),
            Stall::OneWay => {
                world.act(&Act::Mute(Target::Host(holder))).expect("it is there");
            }
        }
        world.run(length);
        world.net.mend();
        world.run(1_500);
        for service in 0..3 {
            assert_eq!(gap(&world, service), 0, "phase {phase}: s{service} blinked");
        }
    }
}

#[test]
fn a_stall_of_a_holder_shorter_than_the_ride_out_costs_nothing() {
    no_stall_costs_a_lease(&Stall::Holder, 299);
}

#[test]
fn a_stall_of_the_coordinator_shorter_than_the_ride_out_costs_nothing() {
    no_stall_costs_a_lease(&Stall::Coordinator, 299);
}

#[test]
fn a_stall_of_the_whole_network_shorter_than_the_ride_out_costs_nothing() {
    no_stall_costs_a_lease(&Stall::Everybody, 299);
}

#[test]
fn a_stall_one_way_shorter_than_the_ride_out_costs_nothing() {
    no_stall_costs_a_lease(&Stall::OneWay, 299);
}

#[test]
fn a_freeze_shorter_than_the_ride_out_costs_nothing() {
    for phase in 0..45 {
        for who in 0..2 {
            let mut world = at_phase(3, 3, phase);
            let coordinator = world.coordinator().unwrap_or(0);
            let other = (0..3).find(|host| *host != coordinator).unwrap_or(0);
            let host = [coordinator, other][who];
            world.hold_up(host, true, true, 299_000);
            world.run(1_800);
            for service in 0..3 {
                assert_eq!(gap(&world, service), 0, "phase {phase}, {who}: s{service} blinked");
            }
        }
    }
}

#[test]
fn a_daemon_that_is_killed_and_comes_back_costs_nothing() {
    for phase in 0..15 {
        for who in 0..2 {
            let mut world = at_phase(3, 3, phase);
            let coordinator = world.coordinator().unwrap_or(0);
            let other = (0..3).find(|host| *host != coordinator).unwrap_or(0);
            let host = [coordinator, other][who];
            world.kill_daemon(host);
            world.run(phase * 100);
            world.start_daemon(host);
            world.run(3_000);
            for service in 0..3 {
                assert_eq!(gap(&world, service), 0, "phase {phase}, {who}: s{service} blinked");
            }
            assert!(world.is_healthy(), "{:?}", world.unhealthy());
        }
    }
}
