//! A planned move of a service that clients know by name: prepared, interrupted, made.

use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead::demo::fleet::{Fleet, PATIENCE};

use super::names::{KEY, PRIMARY, bind, dig, secret, services, ttl};
use super::names_bed::{cache, kept};
use super::{wait_runs, wait_seen};
use crate::cluster::{Must, wait_for};

const NAME: &str = "www.shop.test";

fn wait_ttl(fleet: &Fleet, wanted: &str) {
    wait_for(fleet, &format!("the name is kept for {wanted} s"), || Ok(ttl(fleet, NAME) == wanted));
}

#[test]
fn a_prepared_move_lowers_waits_moves_and_restores() {
    let fleet = Fleet::start(crate::cluster::three("prepared")).must();
    let server = bind(&fleet, PRIMARY);
    let key = server.folder.join("ha.key");
    secret(&key, KEY);
    let text = |usual: &str| {
        let services = services(&key, &format!("\"{NAME}\""));
        let zone = services.replace("ttl = \"60s\"\n", &format!("ttl = \"{usual}\"\n"));
        fleet.plan().configuration() + &zone
    };
    fleet.apply("node1", &text("10min")).must();
    wait_runs(&fleet, "node1");
    wait_ttl(&fleet, "600");
    wait_seen(&fleet, "node1", "dns");
    let node = fleet.node("node3").must();

    // Nobody waits ten minutes: it is interrupted, and says what holds.
    let (out, log) = (fleet.folder().join("move.out"), fleet.folder().join("move.err"));
    let mut command = node.command(&["move", "web", "node2", "--prepare"]);
    command.stdout(std::fs::File::create(&out).must());
    command.stderr(std::fs::File::create(&log).must());
    let process = node.host().spawn_as_is(command).must();
    wait_ttl(&fleet, "2");
    wait_for(&fleet, "it waits for those who looked before", || {
        Ok(std::fs::read_to_string(&out).unwrap_or_default().contains("All name servers say so"))
    });
    let status = node.stead(&["status"]).must().stdout;
    assert!(status.contains("for a short time only"), "{status}");
    kill(Pid::from_raw(process.pid()), Signal::SIGINT).must();
    let ended = process.wait(PATIENCE).must().expect("it ends");
    assert_eq!(ended.code(), Some(4));
    let said = std::fs::read_to_string(&log).must();
    assert!(said.contains("interrupted: web was not moved"), "{said}");
    assert_eq!(fleet.holder("web", "node1").must().as_deref(), Some("node1"));
    node.stead(&["move", "web", "--unprepare"]).must().expect_success().must();
    wait_ttl(&fleet, "600");

    // With a time that one can wait for it is moved, and then as usual again.
    fleet.apply("node1", &text("4s")).must();
    wait_ttl(&fleet, "4");
    let moved = node.stead(&["move", "web", "node2", "--prepare"]).must().expect_success().must();
    println!("{moved}");
    assert!(moved.contains(&format!("{NAME}: kept for 2 s from now on instead of 4 s")), "{moved}");
    assert!(moved.contains("may be late for up to 2 s"), "{moved}");
    wait_for(&fleet, "the name leads there", || Ok(dig(&fleet, NAME) == ["10.77.0.102"]));
    wait_ttl(&fleet, "4");
    let status = fleet.node("node2").must().status().must();
    let web = crate::cluster::service(&status, "web");
    assert!(web["lowered"].is_null(), "{web}");

    // Without it clients are told to be late for as long as usual; and no later than that they are.
    let _cache = cache(&fleet);
    wait_for(&fleet, "a client has looked it up", || Ok(kept(&fleet, NAME).0 == "10.77.0.102"));
    let moved = node.stead(&["move", "web", "node1"]).must().expect_success().must();
    assert!(moved.contains("may be late for up to 4 s"), "{moved}");
    wait_for(&fleet, "the name leads there", || Ok(dig(&fleet, NAME) == ["10.77.0.101"]));
    let led = Instant::now();
    wait_for(&fleet, "the client follows", || {
        let since = led.elapsed().as_secs();
        let (address, left) = kept(&fleet, NAME);
        // However late this trial looks: what is kept ends in time. Caches count whole seconds.
        assert!(address != "10.77.0.102" || since + left <= 4 + 1, "{since} s, {left} s more");
        Ok(address == "10.77.0.101")
    });
    println!("late for up to 4 s, as computed; a client saw it after {:?}", led.elapsed());
}
