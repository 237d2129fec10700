//! Rehearsals of fencing on a real cluster: devices are asked for their status, and a node is
//! really switched off and on. Its power is a device of kind `exec`, whose orders this trial
//! carries out; the other node's devices are a fence_dummy of Debian's, which switches nothing and
//! says so, and a program that always fails.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use stead::demo::fleet::{Fleet, FleetError, Output, Part};

use super::{Must, WEB, client, mark, service, three, wait_for, wait_moved, wait_preferred, web};
use crate::fence::bed::program;

/// The power switch of all nodes. An order lies in the folder until it is carried out.
struct Power<'a> {
    fleet: &'a Fleet,
    folder: &'a Path,
}

impl Power<'_> {
    /// The program that is the device. `lies` in the folder has it only say that it is done.
    fn device(folder: &Path) -> String {
        let text = format!(
            "#!/bin/sh\n\
             cd {} || exit 1\n\
             node=$STEAD_FENCE_PLUG\n\
             case $STEAD_FENCE_ACTION in\n\
             status) [ ! -e $node.off ] || exit 2;;\n\
             on|off)\n\
             echo $STEAD_FENCE_ACTION >>$node.story\n\
             if [ -e lies ]; then\n\
             case $STEAD_FENCE_ACTION in off) touch $node.off;; on) rm -f $node.off;; esac\n\
             exit 0\n\
             fi\n\
             echo $STEAD_FENCE_ACTION >$node.new && mv $node.new $node.order\n\
             while [ -e $node.order ]; do sleep 0.02; done;;\n\
             *) exit 1;;\n\
             esac\n",
            folder.display()
        );
        program(&folder.join("power"), &text)
    }

    fn order(&self, node: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join(format!("{node}.order"))).ok()?;
        Some(text.trim().to_owned())
    }

    /// All that was ordered, oldest first.
    fn story(&self, node: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join(format!("{node}.story")));
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn wait_ordered(&self, node: &str) {
        wait_for(self.fleet, "an order", || Ok(self.order(node).is_some()));
    }

    /// Carries out what was ordered, if anything was.
    fn carry_out(&self, node: &str) {
        let Some(order) = self.order(node) else { return };
        let off = self.folder.join(format!("{node}.off"));
        match order.as_str() {
            "off" if !off.exists() => {
                self.fleet.silence_then_kill(node).must();
                fs::write(off, "").must();
            }
            "on" if off.exists() => {
                self.fleet.power_on(node).must();
                fs::remove_file(off).must();
            }
            _ => {}
        }
        fs::remove_file(self.folder.join(format!("{node}.order"))).must();
    }

    /// Carries out all orders while somebody does something.
    fn beside<T: Send>(&self, node: &str, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let acting = scope.spawn(act);
            while !acting.is_finished() {
                self.carry_out(node);
                thread::sleep(Duration::from_millis(5));
            }
            acting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// The configuration with devices for all nodes.
fn fenced(text: &str, folder: &Path) -> String {
    let lines = [
        ("node1", "fence = [\"power:node1\"]"),
        ("node2", "fence = [\"power:node2\"]"),
        ("node3", "fence = [[\"dummy\"], [\"broken\"]]"),
    ];
    let mut text = text.to_owned();
    for (node, line) in lines {
        let head = format!("[nodes.{node}]\n");
        text = text.replace(&head, &format!("{head}{line}\n"));
    }
    let power = Power::device(folder);
    let refuses = "#!/bin/sh\necho 'Connection refused' >&2; exit 1\n";
    let broken = program(&folder.join("broken"), refuses);
    text + &format!(
        "\n[fencing.devices.power]\nexec = [{power:?}]\ntimeout = \"60s\"\nretries = 0\n\
         [fencing.devices.dummy]\nagent = \"fence_dummy\"\ntimeout = \"60s\"\nretries = 0\n\
         parameters = {{ type = \"fail\", power_timeout = 1 }}\n\
         [fencing.devices.broken]\nexec = [{broken:?}]\ntimeout = \"60s\"\nretries = 0\n"
    )
}

fn run(fleet: &Fleet, node: &str, words: &str) -> Output {
    let words: Vec<_> = words.split(' ').collect();
    fleet.node(node).must().stead(&words).must()
}

#[track_caller]
fn says(fleet: &Fleet, node: &str, words: &str) -> String {
    run(fleet, node, words).expect_success().must()
}

/// What is printed by a command that fails with that status.
#[track_caller]
fn fails(fleet: &Fleet, node: &str, words: &str, status: i32) -> String {
    let output = run(fleet, node, words);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    format!("{}{}", output.stdout, output.stderr)
}

/// The text has all of these, wherever its lines are broken.
#[track_caller]
fn has(text: &str, words: &[&str]) {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat(text).contains(&flat(word)), "{word}: {text}");
    }
}

fn history(fleet: &Fleet, node: &str) -> Result<Value, FleetError> {
    fleet.node(node)?.json(&["fence", "history", "--json"])
}

/// Waits until a node tells that of the last power cycle of node2.
fn wait_cycle(fleet: &Fleet, by: &str, words: &str) -> Value {
    let mut found = Value::Null;
    wait_for(fleet, &format!("{by} knows: {words}"), || {
        let told = history(fleet, by)?;
        let all = told["rehearsals"].as_array().cloned().unwrap_or_default();
        let cycle = all.iter().find(|it| it["kind"] == "power-cycle" && it["node"] == "node2");
        let is = cycle.is_some_and(|it| it["outcome"].as_str().unwrap_or_default().contains(words));
        found = cycle.cloned().unwrap_or_default();
        Ok(is && told["under_way"] == serde_json::json!([]))
    });
    found
}

fn in_view(fleet: &Fleet, by: &str, node: &str, wanted: &str) {
    wait_for(fleet, &format!("{node} is {wanted} to {by}"), || {
        let status = fleet.node(by)?.status()?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        Ok(nodes.iter().any(|it| it["name"] == node && it["state"] == wanted))
    });
}

#[test]
fn fencing_is_rehearsed_by_status_and_by_a_real_power_cycle() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = three("rehearse").service(web("web", WEB, &["node2"]));
    let text = fenced(&plan.configuration(), folder.path());
    let fleet = Fleet::start(plan).must();
    let web = client(&fleet, WEB);
    wait_preferred(&fleet, &web, "node2");
    fleet.apply("node1", &text).must();
    let power = Power { fleet: &fleet, folder: folder.path() };
    let began = mark();

    asked_for_status(&fleet);
    refused_before_anything_is_asked(&fleet, &power);
    devices_that_fail_leave_it_on(&fleet);
    says(&fleet, "node1", "drain node2");
    wait_moved(&fleet, &web, "node2");
    switched_off_and_on(&fleet, &power);
    switched_off_and_on_while_it_is_lost(&fleet, &power);
    a_device_that_lies_is_found_out(&fleet, &power);
    an_end_of_the_daemon_in_the_middle_is_told(&fleet, &power);
    super::assert_alone(web.seen_since(began));
}

fn asked_for_status(fleet: &Fleet) {
    let none = says(fleet, "node1", "fence history");
    has(&none, &["Nothing was fenced, and no rehearsal is kept", "stead fence rehearse NODE"]);
    let good = says(fleet, "node1", "fence rehearse node2");
    has(&good, &["node1 asks:\n", "node2, level 1: power:node2  (status, ", "  it is on\n"]);
    has(&good, &["The way from node1 to node2 works. Nothing was switched.\n"]);
    // Also of itself, and from every node: each may have to fence it.
    says(fleet, "node2", "fence rehearse node2");
    let bad = fails(fleet, "node1", "fence rehearse node3", 1);
    has(&bad, &["level 1: dummy  (status", "it is on", "level 2: broken  (status", "no answer: "]);
    has(&bad, &["it said: Connection refused", "nobody listens at that port"]);
    has(&bad, &["1 of 2 ways from node1 to node3 did not answer: it might not be fenced"]);
    has(&bad, &["Nothing was switched.", "Next: mend what is named above", "Kept: "]);
    wait_for(fleet, "all of it is known on another node", || {
        let told = history(fleet, "node3")?;
        let all = told["rehearsals"].as_array().cloned().unwrap_or_default();
        let of = |node: &str, by: &str, ok: bool| {
            all.iter().any(|it| it["node"] == node && it["by"] == by && it["ok"] == ok)
        };
        Ok(all.len() == 2 && of("node2", "node2", true) && of("node3", "node1", false))
    });
    let text = says(fleet, "node3", "fence history node3");
    has(
        &text,
        &["Rehearsed, the last of each\n", "Z  node3, from node1, status, ", "FAILED: broken"],
    );
    has(&text, &["level 1, dummy: status: on (", "level 2, broken: status: failed: "]);
    assert!(!text.contains("node2"), "{text}");
}

fn refused_before_anything_is_asked(fleet: &Fleet, power: &Power<'_>) {
    let refused = |by: &str, words: &str| fails(fleet, by, words, 1);
    let no = refused("node1", "fence rehearse node2 --power-cycle");
    has(&no, &["nobody can be asked; nothing was switched", "add --yes"]);
    let no = refused("node1", "fence rehearse node2 --power-cycle --yes");
    has(&no, &["node2 is not on standby", "nothing was switched", "stead drain node2 && stead "]);
    let no = refused("node2", "fence rehearse node2 --power-cycle --yes");
    has(&no, &["node2 would switch itself off", "on another node: stead fence rehearse node2"]);
    let no = refused("node1", "fence rehearse node2 --power-cycle --level 2 --yes");
    has(&no, &["node2 has no level 2; nothing was asked", "its levels are 1 to 1"]);
    let no = refused("node1", "fence rehearse node9");
    has(&no, &["node9 is no member"]);
    // It keeps what no other node can take.
    for node in ["node1", "node3", "node2"] {
        says(fleet, "node1", &format!("standby {node}"));
    }
    let no = refused("node1", "fence rehearse node2 --power-cycle --yes");
    has(&no, &["node2 still has web", "nothing was switched"]);
    // It first, or another one would take what it has.
    for node in ["node2", "node1", "node3"] {
        says(fleet, "node1", &format!("standby {node} --off"));
    }
    let status = fleet.node("node1").must().status().must();
    assert_eq!(service(&status, "web")["node"], "node2", "{status:#}");
    assert_eq!(power.story("node2"), [""; 0], "no device was told anything");
}

/// One answers when it is asked for the status, and fails when it counts.
fn devices_that_fail_leave_it_on(fleet: &Fleet) {
    says(fleet, "node1", "drain node3");
    let bad = fails(fleet, "node1", "fence rehearse node3 --power-cycle --yes", 1);
    has(&bad, &["node3 could not be fenced as it should: level 1: dummy off: exit status 1"]);
    has(&bad, &["level 2: broken off: exit status 1, it said: Connection refused"]);
    has(&bad, &["No device said that it had switched anything off", "Next: mend what is named"]);
    in_view(fleet, "node1", "node3", "in-view");
    says(fleet, "node1", "standby node3 --off");
}

fn switched_off_and_on(fleet: &Fleet, power: &Power<'_>) {
    let cycle = "fence rehearse node2 --power-cycle --yes";
    let done = thread::scope(|scope| {
        let rehearsed = scope.spawn(|| run(fleet, "node1", cycle));
        power.wait_ordered("node2");
        // In the middle of it nobody gives it anything to do, nor has it switched off.
        wait_for(fleet, "others know", || {
            let told = history(fleet, "node3")?;
            Ok(told["under_way"][0]["kind"] == "power-cycle")
        });
        let text = says(fleet, "node3", "fence history");
        has(&text, &["Under way\n", "node2 is being switched off and on, from node1, since 2"]);
        let no = fails(fleet, "node3", "standby node2 --off", 1);
        has(&no, &["is being switched off and on to rehearse its fencing", "nothing was changed"]);
        for words in ["fence rehearse node2", cycle] {
            let no = fails(fleet, "node3", words, 1);
            has(&no, &["node2 is being switched off and on from node1", "nothing was asked"]);
        }
        while !rehearsed.is_finished() {
            power.carry_out("node2");
            thread::sleep(Duration::from_millis(5));
        }
        rehearsed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let text = done.expect_success().must();
    has(&text, &["(off, ", "  done\n", "  it is off\n", "(on, ", "Waiting up to 600 s for node2"]);
    has(&text, &["node2 can be fenced: level 1 switched it off and on in "]);
    has(&text, &["and fell silent when it was to be off", "node2 is back after "]);
    has(&text, &["Next: when it may serve again: stead standby node2 --off"]);
    assert_eq!(power.story("node2"), ["off", "on"]);
    let kept = wait_cycle(fleet, "node3", "level 1 switched it off and on");
    assert_eq!((&kept["ok"], &kept["by"]), (&true.into(), &"node1".into()), "{kept:#}");
    let steps = kept["steps"].to_string();
    has(&steps, &["level 1, power:node2: off: done (", "status: off (", ": on: done ("]);
}

fn switched_off_and_on_while_it_is_lost(fleet: &Fleet, power: &Power<'_>) {
    fleet.silence_then_kill("node2").must();
    in_view(fleet, "node3", "node2", "down");
    let text = power.beside("node2", || {
        // As if its machine were on, and hung.
        says(fleet, "node3", "fence rehearse node2 --power-cycle --yes --json")
    });
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let report = &found["report"];
    assert_eq!((&report["ok"], &found["back"]["back"]), (&true.into(), &true.into()), "{found:#}");
    assert_eq!(report["seen"], false, "it was silent before: {found:#}");
    assert_eq!(found["plan"]["in_view"], false, "{found:#}");
}

fn a_device_that_lies_is_found_out(fleet: &Fleet, power: &Power<'_>) {
    in_view(fleet, "node1", "node2", "in-view");
    fs::write(power.folder.join("lies"), "").must();
    let words = "fence rehearse node2 --power-cycle --yes --wait 0";
    let text = power.beside("node2", || fails(fleet, "node1", words, 1));
    has(&text, &["node2 could not be fenced as it should: its devices say that they switched it"]);
    has(&text, &["they lie, or switch another machine", "look which machine went off"]);
    fs::remove_file(power.folder.join("lies")).must();
    let kept = wait_cycle(fleet, "node3", "they lie");
    assert_eq!(kept["ok"], false, "{kept:#}");
    assert!(kept["last_good"].is_string(), "{kept:#}");
}

fn an_end_of_the_daemon_in_the_middle_is_told(fleet: &Fleet, power: &Power<'_>) {
    let cycle = "fence rehearse node2 --power-cycle --yes";
    let before = fleet.restarts("node1", Part::Daemon);
    let done = thread::scope(|scope| {
        let rehearsed = scope.spawn(|| run(fleet, "node1", cycle));
        power.wait_ordered("node2");
        fleet.kill("node1", Part::Daemon).must();
        rehearsed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    has(&done.stderr, &["will stand in `stead fence history node2`"]);
    wait_for(fleet, "another daemon", || Ok(fleet.restarts("node1", Part::Daemon) > before));
    let kept = wait_cycle(fleet, "node3", "ended in the middle of it");
    assert_eq!((&kept["given_up"], &kept["ok"]), (&true.into(), &false.into()), "{kept:#}");
    // What it had begun is dead, and nothing stands in the way of another.
    fs::remove_file(power.folder.join("node2.order")).must();
    power.beside("node2", || says(fleet, "node3", cycle));
    says(fleet, "node3", "standby node2 --off");
}
