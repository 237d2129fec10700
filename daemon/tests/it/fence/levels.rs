//! Which level proves that a node is off, and which does not.

use std::fs;

use stead::fence::Action;

use super::bed::{Bed, NODE, cutting, reason, short};

#[tokio::test]
async fn a_node_is_off_when_its_device_did_it_and_says_so() {
    let mut bed = Bed::new();
    bed.dummy("bmc");
    bed.levels(&[&["bmc"]]);
    let seen = bed.devices.status_of(&bed.config, NODE).await;
    assert_eq!(short(&seen), ["bmc status on"]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(1), "{attempt:?}");
    assert_eq!(short(&attempt.steps), ["bmc off done", "bmc status off"]);
    assert!(attempt.steps[0].output.contains(&"Success: Powered OFF".to_owned()), "{attempt:?}");
    assert_eq!(bed.read("bmc"), "off");
    // A second time it is off already.
    assert_eq!(bed.fence().await.outcome, Ok(1));
    let on = bed.devices.switch_on(&bed.config, &attempt).await;
    assert_eq!((short(&on), bed.read("bmc")), (vec!["bmc on done".to_owned()], "on".to_owned()));
}

#[tokio::test]
async fn the_next_level_is_tried_when_one_fails() {
    let mut bed = Bed::new();
    bed.failing("bmc").retries = 1;
    bed.dummy("pdu-a");
    bed.dummy("pdu-b");
    bed.levels(&[&["bmc:1"], &["pdu-a", "pdu-b"]]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(2), "{attempt:?}");
    let mut steps = short(&attempt.steps);
    assert_eq!(steps[..2], ["bmc:1 off failed", "bmc:1 off failed"], "tried again once");
    steps[2..4].sort();
    steps[4..].sort();
    let both = ["pdu-a off done", "pdu-b off done", "pdu-a status off", "pdu-b status off"];
    assert_eq!(steps[2..], both, "both off before the first is asked");
    assert_eq!((bed.read("pdu-a"), bed.read("pdu-b")), ("off".to_owned(), "off".to_owned()));
}

#[tokio::test]
async fn one_supply_that_stays_on_is_no_proof() {
    let mut bed = Bed::new();
    bed.dummy("pdu-a");
    bed.failing("pdu-b");
    bed.dummy("bmc");
    bed.levels(&[&["pdu-a", "pdu-b:7"], &["nowhere"], &["bmc"]]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(3), "{attempt:?}");
    // Whichever was first: no status was asked where one off had failed.
    let of_first = attempt.steps.iter().filter(|step| step.level == Some(1));
    assert!(of_first.clone().all(|step| step.action == Action::Off), "{attempt:?}");
    assert_eq!(of_first.count(), 2, "each is on record, answered or not: {attempt:?}");

    bed.levels(&[&["pdu-a", "pdu-b:7"], &["nowhere"]]);
    let why = bed.fence().await.outcome.expect_err("nothing proves it");
    let start = "level 1: pdu-b:7 off: exit status 1, it said: Failed: ";
    assert!(why.starts_with(start), "{why}");
    assert!(why.ends_with("; level 2: there is no device nowhere"), "{why}");
    bed.config.nodes.clear();
    let why = bed.fence().await.outcome.expect_err("nothing is configured");
    assert_eq!(why, "no device is configured for node2");
}

#[tokio::test]
async fn what_one_level_left_off_is_switched_on_with_the_rest() {
    let mut bed = Bed::new();
    bed.dummy("pdu-a");
    bed.script("pdu-b", "until grep -q off $folder/pdu-a; do sleep 0.01; done; exit 1");
    bed.dummy("bmc");
    bed.levels(&[&["pdu-a", "pdu-b"], &["bmc"]]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(2), "{attempt:?}");
    // The file says off a moment before the agent does.
    let was_off = short(&attempt.steps).contains(&"pdu-a off done".to_owned());
    let on = short(&bed.devices.switch_on(&bed.config, &attempt).await);
    let wanted = if was_off { vec!["pdu-a on done", "bmc on done"] } else { vec!["bmc on done"] };
    assert_eq!(on, wanted, "in the order of the levels");
    assert_eq!(bed.read("bmc"), "on");
}

#[tokio::test]
async fn a_device_that_lies_proves_nothing() {
    let mut bed = Bed::new();
    // It reports success, and the machine stays on.
    let lies = "echo $STEAD_FENCE_ACTION >>$folder/asked; exit 0";
    bed.script("liar", lies).timeout = stead_core::time::Span::from_millis(1_000);
    bed.levels(&[&["liar"]]);
    let attempt = bed.fence().await;
    let why = attempt.outcome.expect_err("it is on");
    assert_eq!(why, "liar reported that it is switched off, and says that it is on");
    let asked = bed.read("asked");
    let mut asked = asked.lines();
    assert_eq!(asked.next(), Some("off"));
    let asked: Vec<_> = asked.collect();
    assert!(asked.len() > 1 && asked.iter().all(|it| *it == "status"), "asked anew: {asked:?}");

    // One that contradicts itself.
    let says = "test $STEAD_FENCE_ACTION = off && exit 0; echo Status: ON; exit 2";
    bed.script("muddled", says).timeout = stead_core::time::Span::from_millis(500);
    bed.levels(&[&["muddled"]]);
    let why = bed.fence().await.outcome.expect_err("nobody knows");
    assert!(why.contains("it says that it is on and ends with 2, which is off"), "{why}");
}

#[tokio::test]
async fn a_board_that_takes_a_moment_is_asked_again() {
    let mut bed = Bed::new();
    let slow = "\
        test $STEAD_FENCE_ACTION = off && exit 0\n\
        echo asked >>$folder/count\n\
        case $(grep -c asked $folder/count) in 1) exit 0;; 2) exit 1;; *) exit 2;; esac";
    bed.script("slow", slow);
    bed.levels(&[&["slow"]]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(1));
    let wanted = ["slow off done", "slow status on", "slow status failed", "slow status off"];
    assert_eq!(short(&attempt.steps), wanted);
    assert_eq!(reason(&attempt.steps, Action::Status), "exit status 1, it said nothing");
}

#[tokio::test]
async fn a_status_is_asked_again_as_often_as_its_device_allows() {
    let mut bed = Bed::new();
    let third = "echo asked >>$folder/count; test $(grep -c asked $folder/count) = 3";
    bed.script("shy", third).retries = 2;
    bed.levels(&[&["shy"]]);
    let (devices, config) = (std::sync::Arc::new(bed.devices), bed.config);
    // As a daemon does: on a task of its own.
    let seen = tokio::spawn(async move { devices.status_of(&config, NODE).await });
    assert_eq!(short(&seen.await.expect("answered")), ["shy status on"]);
}

#[tokio::test]
async fn an_attempt_can_be_kept_as_it_is() {
    let mut bed = Bed::new();
    bed.failing("bmc");
    bed.levels(&[&["bmc:1"]]);
    let (devices, config) = (std::sync::Arc::new(bed.devices), bed.config);
    let attempt = tokio::spawn(async move { devices.fence(&config, NODE).await });
    let attempt = attempt.await.expect("over");
    let text = serde_json::to_string(&attempt).expect("written");
    assert_eq!(serde_json::from_str::<stead::fence::Attempt>(&text).expect("read"), attempt);
}

#[tokio::test]
async fn a_level_takes_the_power_if_one_of_its_devices_does() {
    let mut bed = Bed::new();
    cutting(&mut bed, "storage");
    bed.dummy("bmc");
    bed.levels(&[&["storage"], &["storage", "bmc"], &["bmc"]]);
    let of_power = async |bed: &Bed| {
        let config = bed.devices.of_power(bed.config.clone(), NODE).await;
        config.nodes[NODE].levels.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(of_power(&bed).await, [0, 2, 1]);
    let config = bed.devices.of_power(bed.config.clone(), NODE).await;
    let attempt = bed.devices.fence(&config, NODE).await;
    assert!(attempt.outcome == Ok(2) && !attempt.cut_off, "{attempt:?}");
    bed.levels(&[&["storage"]]);
    let config = bed.devices.of_power(bed.config.clone(), NODE).await;
    let attempt = bed.devices.fence(&config, NODE).await;
    assert_eq!(attempt.outcome, Err(format!("no device takes the power of {NODE}")));
    assert_eq!(attempt.steps, []);
}

#[tokio::test]
async fn what_cuts_off_lets_a_node_in_once_it_has_booted() {
    let mut bed = Bed::new();
    cutting(&mut bed, "storage");
    bed.dummy("bmc");
    bed.levels(&[&["storage"], &["bmc"]]);
    let note = bed.path("let-in");
    let let_in = async || {
        let steps = bed.devices.let_in(&bed.config, NODE, &note).await.expect("noted");
        short(&steps)
    };
    // What its agent is can't be known now. It is not passed over, or it would never be asked.
    fs::rename(bed.path("metadata"), bed.path("away")).expect("moved");
    let said = let_in().await;
    assert!(matches!(&said[..], [one] if one.starts_with("storage on failed")), "{said:?}");
    assert_eq!(bed.read("asked"), "");
    fs::rename(bed.path("away"), bed.path("metadata")).expect("moved");
    assert_eq!(let_in().await, ["storage on done"], "bmc leaves nobody on and shut out");
    assert_eq!(let_in().await, [""; 0], "it is in");
    let attempt = bed.fence().await;
    assert!(attempt.outcome == Ok(1) && attempt.cut_off, "{attempt:?}");
    // It has not booted: it may have something left to write.
    assert_eq!(bed.devices.switch_on(&bed.config, &attempt).await, []);
    // Nor is it let in because its daemon has started anew.
    let said = let_in().await;
    assert_eq!(said, ["storage status failed"]);
    assert_eq!(bed.read("asked"), "on\nstatus\noff\nstatus\nstatus\n");
    // As if the note were of another boot.
    let old = fs::read_to_string(&note).expect("there").replace('-', "+");
    fs::write(&note, old).expect("written");
    assert_eq!(let_in().await, ["storage on done"]);
    fs::write(&note, "x".repeat(70_000)).expect("written");
    let error = bed.devices.let_in(&bed.config, NODE, &note).await.expect_err("no note");
    assert!(error.to_string().ends_with(" is no such note"), "{error}");
}
