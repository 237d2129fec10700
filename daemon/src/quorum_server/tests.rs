//! The rules of the table, without any disk, clock or socket.

use stead_core::id::{ClusterId, Grant, Index, NodeId};
use stead_core::quorum::ask::Question;
use stead_core::quorum::register::{Challenge, Half};
use stead_log::transport::KeyHash;

use super::limits::{NOTES_PER_COMMIT, SPENT, TOKENS};
use super::record::{Cause, Moment, TokenState};
use super::table::{NotDone, Outcome, Table, Write};
use super::wire::{Enrol, Members, Refused, Request, Unfit};
use crate::api::token::digest_of;

const SHOP: ClusterId = ClusterId([1; 16]);
const ONE: KeyHash = KeyHash([1; 32]);
const TWO: KeyHash = KeyHash([2; 32]);
const SECRET: [u8; 16] = [9; 16];

fn members(at: u64, keys: &[KeyHash]) -> Members {
    Members { at: Index(at), keys: keys.to_vec() }
}

fn wish(keys: &[KeyHash]) -> Enrol {
    let (cluster, name) = (SHOP, "shop".to_owned());
    Enrol { nonce: 1, secret: SECRET, cluster, name, members: members(1, keys) }
}

fn request(question: Question, members: Option<Members>) -> Request {
    Request { nonce: 2, cluster: SHOP, members, question }
}

fn ask(known: u64, present: u64) -> Request {
    let half = Half { present: [NodeId(present)].into(), voters: [NodeId(1), NodeId(2)].into() };
    request(Question::Ask { known: Grant(known), half }, None)
}

/// With the cluster enrolled by ONE, and trusted.
fn table() -> Table {
    let mut table = Table::default();
    table.invite(digest_of(&SECRET), None, Moment(100), Moment(1)).expect("there is room");
    let enrolled = table.enrol(ONE, &wish(&[ONE, TWO]), Moment(2), Challenge(7));
    assert_eq!(enrolled.answer.expect("it is good").standing.distrusted, Some(Challenge(7)));
    let trust = Question::Trust { challenge: Challenge(7), known: Grant(0) };
    let trusted = table.ask(ONE, &request(trust, None), Moment(3), Challenge(8));
    assert_eq!(trusted.answer.expect("a member").standing.distrusted, None);
    table
}

fn grant(outcome: &Outcome) -> Option<u64> {
    let answer = outcome.answer.as_ref().expect("it is answered");
    answer.grant.as_ref()?.as_ref().ok().map(|grant| grant.0)
}

/// A change comes with its write, and every answer names the write that it rests on.
#[test]
fn an_answer_rests_on_the_newest_write_of_its_cluster() {
    let mut table = table();
    let (_, written) = table.take_writes();
    let granted = table.ask(ONE, &ask(0, 1), Moment(4), Challenge(0));
    assert_eq!((grant(&granted), granted.after), (Some(1), written + 1));
    let (writes, last) = table.take_writes();
    assert_eq!((writes.len(), last), (1, granted.after));
    let [Write::Cluster(id, Some(record))] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!((*id, record.register.last()), (SHOP, Grant(1)));
    // The refusal, the repetition and a look change nothing, and wait for the same.
    let taken = table.ask(TWO, &ask(0, 2), Moment(5), Challenge(0));
    let again = table.ask(ONE, &ask(0, 1), Moment(5), Challenge(0));
    let look = table.look(SHOP, TWO, Moment(5));
    assert_eq!((grant(&taken), grant(&again)), (None, Some(1)));
    assert_eq!([taken.after, again.after, look.after], [granted.after; 3]);
    assert_eq!(table.take_writes().0, []);
}

#[test]
fn only_a_member_is_answered_and_only_for_its_cluster() {
    let mut table = table();
    let stranger = KeyHash([3; 32]);
    let answer = |outcome: Outcome| outcome.answer.map(|_| ());
    let asked = answer(table.ask(stranger, &ask(0, 1), Moment(4), Challenge(0)));
    assert_eq!(asked, Err(Refused::NotAMember));
    let look = answer(table.look(ClusterId([9; 16]), ONE, Moment(4)));
    assert_eq!(look, Err(Refused::NotEnrolled));
    table.revoke(SHOP).expect("it is known");
    let asked = answer(table.ask(ONE, &ask(0, 1), Moment(4), Challenge(0)));
    assert_eq!(asked, Err(Refused::Revoked));
    assert_eq!(table.revoke(SHOP), Err(NotDone::Already));
    assert!(table.forget(SHOP).is_ok());
    assert_eq!(table.forget(SHOP), Err(NotDone::NoCluster));
}

#[test]
fn a_token_is_used_by_an_enrolment_that_succeeds_and_by_no_other() {
    let mut table = Table::default();
    let digest = digest_of(&SECRET);
    table.invite(digest, Some("till".to_owned()), Moment(100), Moment(1)).expect("room");
    let refused = |table: &mut Table, keys: &[KeyHash], now| {
        table.enrol(ONE, &wish(keys), Moment(now), Challenge(7)).answer.map(|_| ())
    };
    assert_eq!(refused(&mut table, &[TWO], 2), Err(Refused::Unfit(Unfit::WithoutSender)));
    assert_eq!(refused(&mut table, &[ONE], 100), Err(Refused::TokenExpired));
    assert_eq!(refused(&mut table, &[ONE], 99), Ok(()));
    assert_eq!(refused(&mut table, &[ONE], 99), Err(Refused::TokenUsed));
    assert_eq!(table.get(SHOP).expect("it is there").record.name, "till");
    assert_eq!(table.revoke_token(digest), Err(NotDone::NoToken), "it is used");
    // What is spent is remembered for a while, and then makes room.
    let later = Moment(100).after(SPENT);
    table.invite([1; 32], None, later.after(SPENT), later).expect("room");
    assert_eq!(refused(&mut table, &[ONE], later.0), Err(Refused::TokenUnknown));
}

#[test]
fn open_tokens_are_bounded_and_spent_ones_give_way() {
    let mut table = Table::default();
    let digest = |number: usize| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(number as u64).to_be_bytes());
        digest
    };
    for number in 0..TOKENS {
        table.invite(digest(number), None, Moment(100), Moment(1)).expect("there is room");
    }
    let full = table.invite([0xff; 32], None, Moment(100), Moment(1));
    assert_eq!(full, Err(NotDone::TooManyTokens));
    table.revoke_token(digest(0)).expect("it is open");
    table.invite([0xff; 32], None, Moment(100), Moment(1)).expect("the revoked one gave way");
    assert!(table.tokens().all(|(_, token)| token.state == TokenState::Open));
}

#[test]
fn members_of_before_are_not_taken_and_nobody_locks_itself_out() {
    let mut table = table();
    let hear = |list| request(Question::Hear { known: Grant(0) }, Some(list));
    let mut say = |list: Members| table.ask(ONE, &hear(list), Moment(4), Challenge(0));
    assert_eq!(say(members(5, &[ONE])).members, Some(vec![ONE]));
    assert_eq!(say(members(4, &[ONE, TWO])).members, None, "an old list");
    let without = say(members(6, &[TWO])).answer;
    assert_eq!(without.map(|_| ()), Err(Refused::Unfit(Unfit::WithoutSender)));
    assert_eq!(say(members(6, &[ONE, TWO])).members, Some(vec![ONE, TWO]));
}

#[test]
fn once_more_makes_a_new_challenge_even_if_there_was_one() {
    let mut table = table();
    for (number, secret) in [(10, [3; 16]), (11, [4; 16])] {
        table.invite(digest_of(&secret), None, Moment(100), Moment(5)).expect("room");
        let wish = Enrol { secret, ..wish(&[ONE]) };
        let answer = table.enrol(ONE, &wish, Moment(6), Challenge(number)).answer;
        let standing = answer.expect("it is good").standing;
        assert_eq!(standing.distrusted, Some(Challenge(number)));
    }
    let old = Question::Trust { challenge: Challenge(10), known: Grant(0) };
    let answer = table.ask(ONE, &request(old, None), Moment(7), Challenge(0)).answer;
    assert_eq!(answer.expect("a member").standing.distrusted, Some(Challenge(11)));
    assert_eq!(table.get(SHOP).expect("it is there").record.cause, Cause::EnrolledAgain);
}

#[test]
fn that_a_cluster_was_heard_is_noted_once_and_only_if_it_is_news() {
    let mut table = table();
    table.take_writes();
    table.note_seen(9);
    let (writes, _) = table.take_writes();
    assert!(matches!(writes.as_slice(), [Write::Seen(SHOP, Some(_))]), "{writes:?}");
    table.note_seen(9);
    assert_eq!(table.take_writes().0, []);
    table.look(SHOP, ONE, Moment(50));
    table.note_seen(9);
    let (writes, _) = table.take_writes();
    let [Write::Seen(_, Some(seen))] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(seen.last, Some(Moment(50)));
}

/// A grant waits for what was handed to the disk before it: never for notes of all clusters.
#[test]
fn notes_are_made_in_pieces_each_once_and_of_nobody_who_is_gone() {
    let mut table = Table::default();
    let id = |number: usize| {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        ClusterId(id)
    };
    let (many, secret) = (2 * NOTES_PER_COMMIT + 10, |number: usize| id(number).0);
    for number in 0..many {
        let secret = secret(number);
        table.invite(digest_of(&secret), None, Moment(100), Moment(1)).expect("spent ones go");
        let wish = Enrol { secret, cluster: id(number), ..wish(&[ONE]) };
        table.enrol(ONE, &wish, Moment(2), Challenge(7)).answer.expect("it is good");
    }
    table.forget(id(3)).expect("it is known");
    table.take_writes();
    let mut noted = Vec::new();
    loop {
        table.note_seen(NOTES_PER_COMMIT);
        let (writes, _) = table.take_writes();
        if writes.is_empty() {
            break;
        }
        assert!(writes.len() <= NOTES_PER_COMMIT, "{}", writes.len());
        noted.extend(writes.into_iter().map(|write| {
            let Write::Seen(id, Some(_)) = write else { panic!("{write:?}") };
            id
        }));
    }
    noted.sort();
    let wanted: Vec<_> = (0..many).filter(|it| *it != 3).map(id).collect();
    assert_eq!(noted, wanted);
}
