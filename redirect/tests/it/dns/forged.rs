//! Somebody else answers, by datagrams, before the server does.

use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name as WireName, RData, Record, RecordType};
use stead_redirect::dns::Kind;
use tokio::net::UdpSocket;

use super::site::{Site, Software, address, ask};

/// What the question's number, its name and the address in the answer are turned into.
fn reply(question: &[u8], number: u16, name: Option<&str>, last: u8) -> Vec<u8> {
    let mut answer = Message::from_vec(question).expect("a question");
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.id ^= number;
    let asked = answer.queries[0].name().clone();
    if let Some(name) = name {
        let name = WireName::from_ascii(name).expect("a name");
        answer.queries = vec![Query::query(name, RecordType::A)];
    }
    answer.add_answer(Record::from_rdata(asked, 30, RData::A(A::new(192, 0, 2, last))));
    answer.to_vec().expect("written")
}

async fn server() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("10.0.0.9:0").await.expect("a socket");
    let at = socket.local_addr().expect("bound");
    (socket, at)
}

#[test]
fn what_answers_no_question_of_ours_is_ignored() {
    let site = Site::new(Software::Bind);
    site.on(async {
        let (socket, at) = server().await;
        let stranger = UdpSocket::bind("10.0.0.9:0").await.expect("a socket");
        let forge = async {
            let mut buffer = [0; 1_500];
            let (length, client) = socket.recv_from(&mut buffer).await.expect("asked");
            let question = buffer[..length].to_vec();
            let elsewhere = reply(&question, 0, None, 66);
            stranger.send_to(&elsewhere, client).await.expect("sent");
            for forged in [
                reply(&question, 1, None, 66),
                reply(&question, 0, Some("other.site.test."), 66),
                question.clone(),
                question[..20].to_vec(),
                b"no message".to_vec(),
                Vec::new(),
                reply(&question, 0, None, 1),
            ] {
                socket.send_to(&forged, client).await.expect("sent");
            }
        };
        let (seen, ()) = tokio::join!(ask(at, "www.site.test", Kind::A), forge);
        let answers = seen.expect("answered").answers;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].data, Some(address(1)));
    });
}

#[test]
fn a_question_that_was_lost_is_asked_again_with_another_number_from_another_port() {
    let site = Site::new(Software::Bind);
    site.on(async {
        let (socket, at) = server().await;
        let deaf_at_first = async {
            let mut seen = Vec::new();
            let mut buffer = [0; 1_500];
            for _ in 0..3 {
                let (length, client) = socket.recv_from(&mut buffer).await.expect("asked");
                seen.push((buffer[..2].to_vec(), client.port()));
                if seen.len() == 3 {
                    let answer = reply(&buffer[..length], 0, None, 1);
                    socket.send_to(&answer, client).await.expect("sent");
                }
            }
            seen
        };
        let (answer, seen) = tokio::join!(ask(at, "www.site.test", Kind::A), deaf_at_first);
        assert_eq!(answer.expect("answered").answers[0].data, Some(address(1)));
        // Two of three numbers may be the same by chance once in tens of thousands of runs; that
        // numbers and ports are all the same is not chance.
        assert!(seen.iter().any(|it| *it != seen[0]), "{seen:?}");
    });
}
