//! What the server's operator does, and what that means for clusters.

use super::bed::{text, until};
use super::{Bed, ask, cluster, granted, hear, refusal, trust};
use crate::cluster::Must;

#[test]
fn revoking_ends_the_connections_and_nothing_is_answered_any_more() {
    let bed = Bed::start("quorum-revoke", &[]);
    let (one, two) = bed.pair(cluster(1));
    for node in [&one, &two] {
        node.wait_up();
    }
    until("two connections", || bed.show(cluster(1))["connections"] == 2);
    let told = bed.told(&["revoke", "shop"]);
    assert!(told.contains("2 connections were ended"), "{told}");
    for node in [&one, &two] {
        node.wait_down("this cluster was revoked at the server");
    }
    // Also after a restart, and an enrolment does not undo it.
    bed.kill();
    bed.run();
    let error = one.try_ask(ask(0, &[1]), None, super::bed::PATIENCE).unwrap_err();
    assert!(error.to_string().contains("revoked at the server"), "{error}");
    let wish = || super::bed::members(9, &[&one, &two]);
    let error = one.enrol(&bed.token(&[]), cluster(1), "shop", wish()).unwrap_err();
    assert!(error.to_string().contains("forget"), "{error}");
    assert!(bed.refused(&["revoke", "shop"]).contains("revoked already"));
    assert!(bed.told(&["show", "shop"]).contains("To let it come back"));

    bed.told(&["forget", "shop"]);
    assert!(bed.refused(&["show", "shop"]).contains("knows no cluster shop"));
    one.wait_down("does not know this cluster");
    one.enrol(&bed.token(&[]), cluster(1), "shop", wish()).must();
    one.wait_up();
    let answer = one.ask(ask(0, &[1]));
    assert_eq!(refusal(&answer), "the register does not know what was granted before");
}

#[test]
fn forgetting_loses_the_register_so_the_next_one_begins_distrusted() {
    let bed = Bed::start("quorum-forget", &[]);
    let (one, two) = bed.pair(cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    bed.told(&["forget", &cluster(1).to_string()]);
    two.wait_down("does not know this cluster");
    let wish = super::bed::members(2, &[&one, &two]);
    two.enrol(&bed.token(&[]), cluster(1), "shop", wish).must();
    two.wait_up();
    // The half that was refused must not be granted what the other one has.
    let distrusted = "the register does not know what was granted before";
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), distrusted);
    let heard = one.ask(hear(1));
    one.ask(trust(&heard, 1));
    assert!(two.ask(ask(0, &[2])).grant.expect("an answer").is_err());
}

#[test]
fn mistakes_are_told_in_words_and_by_the_exit_status() {
    let bed = Bed::start("quorum-mistakes", &[]);
    assert!(bed.told(&["list"]).contains("No cluster is enrolled"));
    for (words, said) in [
        (&["show", "nobody"][..], "stead quorum-server list"),
        (&["revoke", "token-00000000"], "knows no cluster"),
        (&["forget", "\u{1b}[31m"], "knows no cluster"),
        (&["enrol", "--ttl", "2"], "has no unit"),
        (&["enrol", "--ttl", "0s"], "1 s to 24 h"),
        (&["enrol", "--name", " "], "choose another --name"),
        (&["enrol", "--address", "0.0.0.0:7745"], "--address ADDRESS:PORT"),
    ] {
        let error = bed.refused(words);
        assert!(error.contains(said) && !error.contains('\u{1b}'), "{words:?}: {error}");
    }
    let token = bed.token(&["--address", "192.0.2.7:7745", "--address", "[2001:db8::7]:7745"]);
    assert_eq!(token.addresses.len(), 2);
    bed.stop();
    let output = bed.operator(&["list"]);
    assert_eq!(output.status.code(), Some(3));
    let error = text(&output.stderr);
    assert!(error.contains("systemctl start stead-quorum-server"), "{error}");
}

#[test]
fn the_secret_of_a_token_is_nowhere_on_the_server() {
    let bed = Bed::start("quorum-secret", &[]);
    let token = bed.token(&[]);
    let digits: String = token.token.secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = bed.file("backup");
    bed.told(&["backup", file.to_str().expect("a name")]);
    bed.stop();
    for file in [file, bed.folder().join("registers.redb"), bed.file("log")] {
        let bytes = std::fs::read(&file).must();
        let bare = bytes.windows(16).any(|it| it == token.token.secret);
        assert!(!bare && !text(&bytes).contains(&digits), "{}", file.display());
    }
}
