//! The ten defects for which the former Linux-HA quorum server (`quorumd`, 2006) was given up, each
//! as something that must not happen here. What is the cluster's side of one is said there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stead::quorum_client::{Link, Unanswered};
use stead::quorum_server::wire::{Reply, ToServer};
use stead_core::quorum::ask::{Answer, Standing};
use stead_core::state::QuorumServer;
use stead_log::transport::{Identity, Tls, read_bytes, write_bytes};

use super::bed::{PATIENCE, members, until};
use super::{Bed, ask, cluster, granted, half, hear, refusal, trust};
use crate::cluster::Must;

const TAKEN: &str = "the grant was given to the other half";

/// It freed a grant by time, while its holder, which did not look at the time, went on. Here time
/// frees nothing: only a coordinator's word that the grant is used up does. (That the half which
/// was not granted stops in time is its guard's lease, which the cluster's own trials show.)
#[test]
fn defect_1_a_grant_is_not_freed_because_its_holder_is_silent() {
    let bed = Bed::start("quorum-defect-1", &[]);
    let (one, two) = bed.pair(cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    bed.cut(&one.host, true);
    until("its connection is gone", || bed.show(cluster(1))["connections"] == 1);
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), TAKEN);
    bed.stop();
    bed.run();
    assert_eq!(refusal(&two.ask(ask(0, &[2]))), TAKEN);
}

/// Its client waited without a bound, in the loop of the membership. Here each call has its
/// deadline, and whatever else runs in the same runtime goes on.
#[test]
fn defect_2_a_server_in_a_black_hole_holds_nobody_up() {
    let bed = Bed::start("quorum-defect-2", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let ticks = Arc::new(AtomicU32::new(0));
    let counted = ticks.clone();
    one.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    bed.cut(&one.host, true);
    for _ in 0..3 {
        let before = ticks.load(Ordering::Relaxed);
        let error = one.try_ask(ask(0, &[1]), None, Duration::from_millis(400)).unwrap_err();
        assert!(
            matches!(error, Unanswered::Deadline { .. } | Unanswered::NotConnected { .. }),
            "{error}"
        );
        assert!(ticks.load(Ordering::Relaxed) > before, "the runtime stood still");
    }
}

/// Its client did not tell when the connection was lost. Here the loss is an event of its own.
/// (What the cluster does with it is its driver's.)
#[test]
fn defect_3_a_lost_connection_is_told_though_nobody_asks() {
    let bed = Bed::start("quorum-defect-3", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let mut changes = one.client().changes();
    bed.kill();
    let why = one.on_host(async move {
        let down = |link: &Link| matches!(link, Link::Down { .. });
        let link = changes.wait_for(down).await.must().clone();
        match link {
            Link::Down { why, .. } => why.to_string(),
            Link::Up { .. } => String::new(),
        }
    });
    assert!(why.contains("the connection broke") || why.contains("can't be reached"), "{why}");
}

/// It accepted, shook hands and read in its one loop: a slow client stalled every cluster.
#[test]
fn defect_4_a_client_that_stops_in_its_handshake_stalls_nobody() {
    use std::io::Write as _;
    let bed = Bed::start("quorum-defect-4", &[]);
    let (one, _two) = bed.pair(cluster(1));
    let stranger = bed.host("stranger", 66);
    let connect = || {
        let mut stream = std::net::TcpStream::connect(super::bed::server()).must();
        // A record of a handshake, of which nothing more comes.
        stream.write_all(&[0x16, 3, 1, 2, 0]).must();
        stream
    };
    let stalled: Vec<_> = (0..50).map(|_| stranger.run(connect).must()).collect();
    // Longer than one of them may take: each question has its answer before the next is asked.
    for _ in 0..20 {
        one.ask(hear(0));
    }
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    drop(stalled);
}

/// Certificates were checked by a function whose answer was not looked at, so anybody could pass
/// for the server, and grant. Here another server, in every other way as good, is not believed.
#[test]
fn defect_5_another_server_can_not_grant_in_the_place_of_the_true_one() {
    let bed = Bed::start("quorum-defect-5", &[]);
    let (one, _two) = bed.pair(cluster(1));
    bed.kill();
    std::fs::rename(bed.folder().join("keys"), bed.file("keys")).must();
    // The same registers, at the same address, with another key.
    bed.run();
    one.wait_down("which is not the quorum server's");
    let error = one.try_ask(ask(0, &[1]), None, Duration::from_secs(3)).unwrap_err();
    assert!(matches!(error, Unanswered::NotConnected { .. }), "{error}");
    assert_eq!(bed.show(cluster(1))["granted"], 0);
}

/// An answer had no number, so a late "yes" was taken for one of now. Here one that does not repeat
/// the number of the question ends the connection, even from the true server.
#[test]
fn defect_6_an_answer_of_before_is_not_taken_for_one_of_now() {
    let bed = Bed::start("quorum-defect-6", &[]);
    let (node, fake) = (bed.node(1), bed.node(5));
    let (identity, key): (Identity, _) = (fake.identity.clone(), fake.identity.key());
    let (ready, listening) = std::sync::mpsc::channel();
    fake.spawn(async move {
        let tls = Tls::new(&identity).must();
        let listener = tokio::net::TcpListener::bind("10.78.0.5:7745").await.must();
        ready.send(()).must();
        loop {
            let (tcp, _) = listener.accept().await.must();
            let Ok((mut stream, _)) = tls.accept(tcp).await else { continue };
            let mut old = None;
            while let Ok(frame) = read_bytes(&mut stream, 16 << 10).await {
                let asked = ToServer::read(&frame).must_be();
                let last = stead_core::id::Grant(1);
                let grant = matches!(asked, ToServer::Request(_)).then_some(Ok(last));
                let standing = Standing { last, distrusted: None };
                let answer = Ok(Answer { standing, grant });
                // A grant, with the number of the first question for ever.
                let nonce = *old.get_or_insert(asked.nonce());
                let reply = Reply { nonce, answer };
                if write_bytes(&mut stream, &reply.write()).await.is_err() {
                    break;
                }
            }
        }
    });
    listening.recv().must();
    let addresses = vec!["10.78.0.5:7745".parse().must()];
    node.connect(QuorumServer { addresses, key: key.0 }, cluster(1));
    node.wait_up();
    let answer = node.try_ask(ask(0, &[1]), None, Duration::from_secs(4));
    assert!(answer.is_err(), "{answer:?}");
    node.wait_down("an answer to what was not asked");
}

/// What ToServer::read gives is good here: the client is our own.
trait MustBe<T> {
    fn must_be(self) -> T;
}

impl<T> MustBe<T> for Result<T, (u64, stead::quorum_server::wire::Refused)> {
    fn must_be(self) -> T {
        self.unwrap_or_else(|(_, refused)| panic!("{refused}"))
    }
}

/// Who held the grant was a connection: a new one lost it, and a first one that failed was never
/// tried again. Here the half is the holder, whichever of its nodes asks, over whichever
/// connection.
#[test]
fn defect_7_connections_come_and_go_and_the_half_keeps_its_grant() {
    let bed = Bed::start("quorum-defect-7", &[]);
    let nodes = [bed.node(1), bed.node(2), bed.node(3)];
    let [one, two, three] = &nodes;
    let wish = members(1, &[one, two, three]);
    let (server, _) = one.enrol(&bed.token(&[]), cluster(1), "shop", wish).must();
    // The server is away when they begin.
    bed.stop();
    for node in &nodes {
        node.connect(server.clone(), cluster(1));
    }
    one.wait_down("can't be reached");
    bed.run();
    for node in &nodes {
        node.wait_up();
    }
    let heard = one.ask(hear(0));
    one.ask(trust(&heard, 0));
    let voters = [1, 2, 3, 4];
    let asks = |present: &[u64]| stead_core::quorum::ask::Question::Ask {
        known: stead_core::id::Grant(0),
        half: half(present, &voters),
    };
    assert_eq!(granted(&one.ask(asks(&[1, 2]))), Some(1));
    for _ in 0..3 {
        bed.kill();
        bed.run();
        assert_eq!(granted(&two.ask(asks(&[1, 2]))), Some(1), "by another node of the half");
        assert_eq!(refusal(&three.ask(asks(&[3, 4]))), TAKEN);
    }
    // No connection was left over by that.
    for node in &nodes {
        node.wait_up();
    }
    until("one for each", || bed.show(cluster(1))["connections"] == 3);
}

/// A heavier half, or one first in a list, took the quorum from a healthy holder. Here nobody does.
#[test]
fn defect_8_no_other_half_takes_a_grant_away_whatever_it_says() {
    let bed = Bed::start("quorum-defect-8", &[]);
    let (one, two) = bed.pair(cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    for voters in [&[1, 2][..], &[2, 3], &[2, 3, 4, 5], &[0, 2]] {
        let present = &voters[voters.len() / 2..];
        let question = stead_core::quorum::ask::Question::Ask {
            known: stead_core::id::Grant(0),
            half: half(present, voters),
        };
        assert_eq!(refusal(&two.ask(question)), TAKEN, "{voters:?}");
    }
    // Not even the same nodes of other voters: that is another half.
    let other = stead_core::quorum::ask::Question::Ask {
        known: stead_core::id::Grant(0),
        half: half(&[1], &[1, 3]),
    };
    assert_eq!(refusal(&one.ask(other)), TAKEN);
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1), "still its own");
}

/// It fell over questions with nothing in them. (Bytes in masses: the fuzz target
/// `quorum-question`.)
#[test]
fn defect_9_questions_with_nothing_in_them_are_answered() {
    let bed = Bed::start("quorum-defect-9", &[]);
    let (one, _two) = bed.pair(cluster(1));
    for (present, voters) in [(&[][..], &[][..]), (&[], &[1, 2]), (&[1], &[]), (&[1], &[1])] {
        let question = stead_core::quorum::ask::Question::Ask {
            known: stead_core::id::Grant(u64::MAX),
            half: half(present, voters),
        };
        let answer = one.ask(question);
        assert_eq!(refusal(&answer), "what asks is not exactly half of the voters");
    }
    let none = members(9, &[]);
    let error = one.try_ask(hear(0), Some(none), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("lacks the key"), "{error}");
    assert_eq!(bed.show(cluster(1))["state"], "trusted");
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
}

/// It needed the whole cluster software, a section for each cluster, an authority and certificates
/// made by hand. Here an empty folder and one token are enough.
#[test]
fn defect_10_an_empty_folder_and_a_token_are_all_that_is_needed() {
    let bed = Bed::start("quorum-defect-10", &[]);
    let mut before: Vec<_> = std::fs::read_dir(bed.folder()).must().collect();
    let (one, _two) = bed.pair(cluster(1));
    assert_eq!(granted(&one.ask(ask(0, &[1]))), Some(1));
    let after: Vec<_> = std::fs::read_dir(bed.folder()).must().collect();
    assert_eq!(before.len(), after.len(), "no file for each cluster");
    before.retain(|it| it.as_ref().is_ok_and(|it| it.path().extension() == Some("toml".as_ref())));
    assert!(before.is_empty(), "no configuration");
}
