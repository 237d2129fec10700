//! What survives, and what is not believed when it comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::bed::{is_secret, members, until};
use super::{Bed, ask, cluster, granted, hear, refusal, trust};
use crate::cluster::Must;

const DISTRUSTED: &str = "the register does not know what was granted before";
const TAKEN: &str = "the grant was given to the other half";

#[test]
fn what_was_answered_is_there_after_kill_9() {
    let bed = Bed::start("quorum-kill", &[]);
    let (one, two) = bed.pair(cluster(1));
    for number in 1..=5 {
        // Killed as soon as the answer is here.
        let (first, second) = if number % 2 == 0 { (&two, &one) } else { (&one, &two) };
        let (mine, other) = if number % 2 == 0 { (2, 1) } else { (1, 2) };
        assert_eq!(granted(&first.ask(ask(number - 1, &[mine]))), Some(number));
        bed.kill();
        bed.run();
        assert_eq!(refusal(&second.ask(ask(number - 1, &[other]))), TAKEN);
        assert_eq!(granted(&first.ask(ask(number - 1, &[mine]))), Some(number));
        assert_eq!(bed.show(cluster(1))["state"], "trusted");
    }
}

#[test]
fn a_lost_disk_is_a_stranger_and_grants_nothing_until_it_was_told() {
    let bed = Bed::start("quorum-lost", &[]);
    let (one, two) = bed.pair(cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    // The registers are lost, the key is not.
    bed.kill();
    fs::remove_file(bed.folder().join("registers.redb")).must();
    bed.run();
    two.wait_down("does not know this cluster");
    let standing = two.enrol(&bed.token(&[]), cluster(1), "shop", members(2, &[&one, &two]));
    assert!(standing.must().1.distrusted.is_some());
    until("connected", || two.trouble().is_empty());
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), DISTRUSTED);
    // All of it is lost: whoever is there now is another server.
    bed.kill();
    fs::remove_dir_all(bed.folder()).must();
    bed.run();
    one.wait_down("has to be enrolled there again");
}

#[test]
fn a_restored_backup_grants_nothing_until_a_coordinator_has_answered_its_challenge() {
    let bed = Bed::start("quorum-restore", &[]);
    let (one, two) = bed.pair(cluster(1));
    // The backup is made while the register waits for an answer to a challenge.
    one.enrol(&bed.token(&[]), cluster(1), "shop", members(3, &[&one, &two])).must();
    let old_challenge = trust(&one.ask(hear(0)), 0);
    let file = bed.file("backup.json");
    let file = file.to_str().expect("a name");
    assert!(bed.told(&["backup", file]).contains("keep it secret"));
    assert!(is_secret(std::path::Path::new(file)));
    assert!(bed.refused(&["backup", file]).contains("there is no backup"), "never overwritten");
    let open = bed.token(&[]);
    one.ask(old_challenge.clone());
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));

    assert!(bed.refused(&["restore", file]).contains("the quorum server runs"));
    bed.stop();
    assert!(bed.refused(&["restore", file]).contains("--replace"));
    let told = bed.told(&["restore", file, "--replace"]);
    assert!(told.contains("distrusted") && told.contains("stead status"), "{told}");
    bed.run();
    assert!(bed.told(&["list"]).contains("1 distrusted: nothing is granted yet"));
    let shown = bed.told(&["show", "shop"]);
    assert!(shown.contains("Came back from a backup"), "{shown}");

    // The same nodes still talk to it, and get nothing.
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), DISTRUSTED);
    // The answer to the challenge of before, once more and late.
    assert!(two.ask(old_challenge).standing.distrusted.is_some());
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), DISTRUSTED);
    // A token that was open then, or since, is none any more.
    let error = two.enrol(&open, cluster(2), "x", members(1, &[&two])).unwrap_err();
    assert!(error.to_string().contains("none of this server's"), "{error}");
    // The coordinator, which has committed 1, says so.
    let heard = one.ask(hear(1));
    let trusted = one.ask(trust(&heard, 1));
    assert_eq!((trusted.standing.last.0, trusted.standing.distrusted), (1, None));
    assert_eq!(bed.show(cluster(1))["state"], "trusted");
    assert!(two.ask(ask(0, &[2])).grant.expect("an answer").is_err(), "it is behind");
    assert_eq!(granted(&two.ask(ask(1, &[2]))), Some(2));
}

#[test]
fn a_damaged_backup_is_not_taken_and_a_new_machine_gets_the_old_key() {
    let bed = Bed::start("quorum-damaged", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let (good, bad) = (bed.file("good"), bed.file("bad"));
    bed.told(&["backup", good.to_str().expect("a name")]);
    let text = fs::read_to_string(&good).must();
    bed.stop();
    for damaged in [
        text.replace("\\\"name\\\":\\\"shop\\\"", "\\\"name\\\":\\\"sh0p\\\""),
        text[..text.len() / 2].to_owned(),
        text.replace("\"version\":1", "\"version\":2"),
        String::new(),
    ] {
        assert_ne!(damaged, text);
        fs::write(&bad, damaged).must();
        let said = bed.refused(&["restore", bad.to_str().expect("a name"), "--replace"]);
        assert!(said.contains("nothing was changed"), "{said}");
    }
    // The machine is gone, and so is its folder.
    fs::remove_dir_all(bed.folder()).must();
    bed.told(&["restore", good.to_str().expect("a name")]);
    bed.run();
    until("the same server", || one.trouble().is_empty());
    assert_eq!(refusal(&one.ask(ask(0, &[1]))), DISTRUSTED);
}

#[test]
fn an_old_copy_put_in_place_by_hand_is_seen_when_somebody_knows_more() {
    let bed = Bed::start("quorum-rollback", &[]);
    let (one, two) = bed.pair(cluster(1));
    bed.stop();
    let (file, copy) = (bed.folder().join("registers.redb"), bed.file("copy"));
    fs::copy(&file, &copy).must();
    bed.run();
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    one.ask(hear(1));
    bed.stop();
    fs::copy(&copy, &file).must();
    bed.run();
    let heard = one.ask(hear(1));
    assert!(heard.standing.distrusted.is_some());
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), DISTRUSTED);
    assert!(bed.told(&["show", "shop"]).contains("its disk holds an old copy"));
    one.ask(trust(&heard, 1));
    assert_eq!(granted(&two.ask(ask(1, &[2]))), Some(2));
}

#[test]
fn nothing_of_it_is_for_other_eyes_and_two_can_not_share_it() {
    let bed = Bed::start("quorum-folder", &[]);
    let folder = bed.folder();
    assert_eq!(fs::metadata(&folder).must().permissions().mode() & 0o777, 0o700);
    for name in ["registers.redb", "admin.sock", "lock", "keys/node.key"] {
        assert!(is_secret(&folder.join(name)), "{name}");
    }
    let said = bed.refused(&["run"]);
    assert!(said.contains("can't be the only one") && said.contains("end that process"), "{said}");
}

#[test]
fn registers_that_can_not_be_read_are_refused_and_named() {
    let bed = Bed::start("quorum-garbled", &[]);
    drop(bed.pair(cluster(1)));
    bed.stop();
    let file = bed.folder().join("registers.redb");
    let mut bytes = fs::read(&file).must();
    // The header, and every page.
    bytes.iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
    fs::write(&file, bytes).must();
    let said = bed.refused(&["run"]);
    assert!(said.contains("stead quorum-server restore"), "{said}");
}
