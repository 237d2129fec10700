//! Datagrams that anybody may send: none opens that was not sealed with the cluster's secret.

use std::path::Path;

use stead_core::id::{ClusterId, Incarnation, Index, NodeId, Sequence, Term};
use stead_core::lease::{Echo, Heartbeat, LogTail, Receipt};
use stead_core::time::Span;
use stead_fuzz::{Draw, Sample, target};

use super::seal::{LONGEST, Rejected, Sealer};
use crate::identity::SECRET_LENGTH;

const SECRET: [u8; SECRET_LENGTH] = [9; SECRET_LENGTH];

fn sealer(me: u64) -> Sealer {
    Sealer::new(ClusterId([1; 16]), NodeId(me), Incarnation(7), SECRET).expect("random bytes")
}

fn heartbeat(from: u64) -> Heartbeat {
    let (incarnation, sequence) = (Incarnation(3), Sequence(90));
    Heartbeat {
        from: NodeId(from),
        incarnation: Incarnation(7),
        sequence: Sequence(1_000),
        term: Term(3),
        coordinator: true,
        released: false,
        daemon_alive: true,
        hears_coordinator: true,
        slack: Span::from_millis(10),
        log_tail: LogTail { term: Term(3), index: Index(70) },
        receipt: Some(Receipt { incarnation, sequence, held: Span(300) }),
        echo: Some(Echo { authority: Span::from_millis(300), admission: Index(60) }),
        earlier_coordinator: Span::from_millis(5_000),
        more: Default::default(),
        later: Default::default(),
    }
}

fn sealed() -> Vec<Sample> {
    let seal = |from, link, heartbeat| {
        sealer(from).seal(NodeId(1), link, &heartbeat).expect("it can be sealed")
    };
    let mut short = heartbeat(3);
    (short.receipt, short.echo) = (None, None);
    vec![("from-two", seal(2, 0, heartbeat(2))), ("from-three", seal(3, 1, short))]
}

/// Whose datagram a file of the corpus is; none if it is a find.
fn sealed_by(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_prefix("from-")
}

#[test]
fn only_what_was_sealed_with_the_secret_opens() {
    let target = target!("sealed-heartbeat").samples(sealed).count(60_000);
    // Finds may lie beside them.
    let is_sample = |path: &Path| sealed_by(path).is_some();
    let files = target.files().into_iter();
    let genuine: Vec<_> = files.filter(|(path, _)| is_sample(path)).collect();
    target.run(|bytes| {
        // A sealer that knows the senders already, and one that does not.
        let (mut new, mut known) = (sealer(1), sealer(1));
        for (_, bytes) in &genuine {
            known.open(bytes).expect("the corpus is genuine");
        }
        let opened = new.open(bytes);
        assert_eq!(opened, known.open(bytes), "a known sender makes a difference");
        let is_genuine = genuine.iter().any(|(_, known)| known == bytes);
        assert_eq!(opened.is_ok(), is_genuine, "{opened:?}");
        is_genuine
    });
}

/// What opens is still only what another node wrote: any heartbeat at all, or none.
#[test]
fn whatever_is_under_a_good_seal_is_a_heartbeat_or_refused() {
    let samples = || {
        let plain = postcard::to_allocvec(&heartbeat(2)).expect("it can be encoded");
        vec![("plain", plain)]
    };
    let two = sealer(2);
    target!("heartbeat").samples(samples).count(40_000).run(|bytes| {
        let mut draw = Draw::new(bytes);
        let number = draw.clone().near(1_000);
        let sealed = two.seal_bytes(NodeId(1), 0, Sequence(number), draw.bytes(LONGEST).to_vec());
        let sealed = sealed.expect("it can be sealed");
        match sealer(1).open(&sealed) {
            Ok((link, heartbeat)) => {
                assert_eq!((link, heartbeat.from), (0, NodeId(2)));
                assert_eq!((heartbeat.incarnation, heartbeat.sequence.0), (Incarnation(7), number));
                true
            }
            Err(refused) => {
                let of_its_form = [Rejected::Version, Rejected::Seal, Rejected::Foreign];
                assert!(of_its_form.contains(&refused), "{refused}");
                false
            }
        }
    });
}
