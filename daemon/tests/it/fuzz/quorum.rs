//! What a node and a quorum server say to each other, and the token that introduces them.

use stead::api::token::Token;
use stead::quorum_server::limits::{MEMBERS, NAME_BYTES, VOTERS};
use stead::quorum_server::token::EnrolToken;
use stead::quorum_server::wire::{Enrol, Members, Refused, Reply, Request, ToServer};
use stead_core::id::{ClusterId, Grant, Index, NodeId};
use stead_core::quorum::ask::{Answer, Question, Standing};
use stead_core::quorum::register::{Challenge, Half, Refusal};
use stead_fuzz::{Sample, target};
use stead_log::transport::KeyHash;

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn half() -> Half {
    Half { present: [NodeId(1)].into(), voters: [NodeId(1), NodeId(2)].into() }
}

fn members() -> Members {
    Members { at: Index(9), keys: vec![KeyHash([1; 32]), KeyHash([2; 32])] }
}

fn questions() -> Vec<Sample> {
    let request = |members, question| {
        ToServer::Request(Request { nonce: 3, cluster: CLUSTER, members, question }).write()
    };
    let enrol = Enrol {
        nonce: 1,
        secret: [5; 16],
        cluster: CLUSTER,
        name: "shop".to_owned(),
        members: members(),
    };
    let (challenge, known) = (Challenge(0x1234_5678), Grant(7));
    vec![
        ("enrol", ToServer::Enrol(enrol).write()),
        ("keep-alive", ToServer::KeepAlive { nonce: 2, cluster: CLUSTER }.write()),
        ("ask", request(None, Question::Ask { known, half: half() })),
        ("hear", request(Some(members()), Question::Hear { known })),
        ("trust", request(None, Question::Trust { challenge, known })),
        ("take", request(None, Question::Take { known })),
    ]
}

/// What is accepted keeps the bounds, and comes back as it was; all else has a reason.
#[test]
fn any_frame_of_a_node_is_a_question_within_bounds_or_refused() {
    target!("quorum-question").samples(questions).count(60_000).run(|bytes| {
        match ToServer::read(bytes) {
            Ok(asked) => {
                assert_eq!(ToServer::read(&asked.write()), Ok(asked.clone()));
                let within = |members: &Members| members.keys.len() <= MEMBERS;
                match &asked {
                    ToServer::Enrol(wish) => {
                        assert!(wish.name.len() <= NAME_BYTES && within(&wish.members));
                    }
                    ToServer::Request(request) => {
                        assert!(request.members.as_ref().is_none_or(within));
                        if let Question::Ask { half, .. } = &request.question {
                            assert!(half.voters.len() <= VOTERS && half.present.len() <= VOTERS);
                        }
                    }
                    ToServer::KeepAlive { .. } => {}
                }
                true
            }
            Err((_, refused)) => {
                assert!(!refused.to_string().is_empty());
                false
            }
        }
    });
}

fn answers() -> Vec<Sample> {
    let standing = Standing { last: Grant(8), distrusted: None };
    let reply = |answer| Reply { nonce: 3, answer }.write();
    let taken = Some(Err(Refusal::Taken(half())));
    let distrusted = Standing { distrusted: Some(Challenge(9)), ..standing };
    vec![
        ("granted", reply(Ok(Answer { standing, grant: Some(Ok(Grant(8))) }))),
        ("taken", reply(Ok(Answer { standing, grant: taken }))),
        ("stands", reply(Ok(Answer { standing: distrusted, grant: None }))),
        ("refused", reply(Err(Refused::TokenUsed))),
    ]
}

#[test]
fn any_frame_of_a_server_is_an_answer_or_an_error() {
    target!("quorum-answer").samples(answers).count(60_000).run(|bytes| {
        let Ok(reply) = Reply::read(bytes) else { return false };
        assert_eq!(Reply::read(&reply.write()).expect("what was written can be read"), reply);
        true
    });
}

#[test]
fn an_enrolment_token_is_what_it_is_written_as() {
    let samples = || {
        let token = Token { key: [0xab; 32], secret: [0x1f; 16] };
        let addresses = ["192.0.2.7:7745", "[2001:db8::7]:7745"];
        let addresses = addresses.map(|it| it.parse().expect("an address")).to_vec();
        vec![("token", EnrolToken { token, addresses }.to_string().into_bytes())]
    };
    let target =
        target!("quorum-token").samples(samples).words(&[b"steadq1-", b"@", b",", b"[::]:1"]);
    target.count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        match text.parse::<EnrolToken>() {
            Ok(token) => {
                assert!((1..=8).contains(&token.addresses.len()));
                assert_eq!(token.to_string().parse(), Ok(token));
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    });
}
