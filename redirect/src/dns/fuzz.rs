//! Key files, markers and answers, broken in masses.

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{RData, Record};
use stead_fuzz::target;

use super::state::Questions;
use super::wire::Request;
use super::{Key, Kind, Marker, Name, Writer};

const KEY: &[u8] = b"key \"ha\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

#[test]
fn any_bytes_are_a_key_or_refused() {
    let samples = || {
        let other = b"/* */ key ha. { secret \"c2VjcmV0\"; // x\n algorithm HMAC-SHA512; }; # y";
        vec![("generated", KEY.to_vec()), ("by-hand", other.to_vec())]
    };
    let words: &[&[u8]] =
        &[b"key ", b"\"", b"{", b"}", b";", b"/*", b"*/", b"//", b"#", b"secret "];
    target!("dns-key").samples(samples).words(words).count(60_000).run(|bytes| {
        match Key::parse(bytes) {
            Ok(key) => {
                assert!(format!("{key:?}").ends_with("[secret])"));
                true
            }
            Err(what) => {
                assert!(!what.is_empty());
                false
            }
        }
    });
}

#[test]
fn any_bytes_are_a_marker_or_somebody_elses() {
    let samples = || vec![("marker", b"v=1 cluster=lab service=web epoch=17".to_vec())];
    let words: &[&[u8]] = &[b"v=1 ", b"cluster=", b"service=", b"epoch=", b" ", b"0"];
    target!("dns-marker").samples(samples).words(words).count(60_000).run(|bytes| {
        let Some(marker) = Marker::read(bytes) else { return false };
        assert_eq!(marker.to_string().as_bytes(), bytes);
        // Whatever is read can be written.
        let Marker { cluster, service, epoch } = &marker;
        assert_eq!(Writer::new(cluster, service, *epoch).expect("fits").marker, marker);
        true
    });
}

fn answer() -> Vec<u8> {
    let mut answer = Message::query();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = true;
    let www = name("www.example.org");
    answer.add_query(hickory_proto::op::Query::query(www.wire().clone(), Kind::A.wire()));
    let address = RData::A(hickory_proto::rr::rdata::A::new(192, 0, 2, 1));
    answer.add_answer(Record::from_rdata(www.wire().clone(), 60, address));
    answer.to_vec().expect("written")
}

#[test]
fn any_bytes_are_an_answer_or_ignored() {
    let key = Key::parse(KEY).expect("a key");
    let (zone, www) = (name("example.org"), name("www.example.org"));
    let samples = || vec![("answer", answer())];
    target!("dns-answer").samples(samples).count(40_000).run(|bytes| {
        let mut requests = [
            Request::question(&www, Kind::A, true, None).expect("asked"),
            Request::question(&www, Kind::A, false, Some(&key)).expect("asked"),
            Request::change(&zone, Vec::new(), Vec::new(), &key).expect("asked"),
        ];
        let taken = requests.iter_mut().map(|request| {
            // Its number is another one each time.
            let mut bytes = bytes.to_vec();
            bytes.iter_mut().zip(request.bytes().to_vec()).take(2).for_each(|(to, it)| *to = it);
            let Ok(answer) = request.read(&bytes) else { return false };
            let questions = Questions::about(&zone, &www).expect("short");
            let answers = vec![answer; 8];
            if let Ok(state) = questions.read(&answers) {
                let _ = (state.mark(), state.tell(), state.kinds());
            }
            true
        });
        let taken: Vec<_> = taken.collect();
        taken.first() == Some(&true)
    });
}

#[test]
fn what_a_request_asks_is_no_answer_to_it() {
    let key = Key::parse(KEY).expect("a key");
    let mut request = Request::question(&name("a.b"), Kind::A, true, Some(&key)).expect("asked");
    let echo = request.bytes().to_vec();
    assert!(request.read(&echo).is_err());
}
