//! Documents, signed and looked at.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

pub(super) const CLUSTER: &str = "00112233445566778899aabbccddeeff";

pub(super) fn key(kind: &'static rcgen::SignatureAlgorithm) -> Key {
    let pair = rcgen::KeyPair::generate_for(kind).unwrap();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    Key::new(any_supported_type(&der).unwrap()).unwrap()
}

fn at(seconds: i64) -> Stamp {
    Stamp::from_unix_millis(1_785_000_000_000 + seconds * 1_000).unwrap()
}

pub(super) fn document(sequence: u64) -> Document {
    Document {
        version: VERSION,
        cluster: Cluster { id: CLUSTER.to_owned(), name: "shop".to_owned() },
        service: "web".to_owned(),
        order: Order { epoch: 7, sequence, issued: at(0) },
        state: Whereabouts::Here,
        node: Some("node1".to_owned()),
        site: None,
        addresses: vec!["10.0.0.100".parse().unwrap(), "fd00::100".parse().unwrap()],
        names: vec!["web.example.com".to_owned()],
        valid_until: at(3_600),
        signers: Vec::new(),
    }
}

pub(super) fn envelope(sequence: u64) -> Envelope {
    Envelope::sign(&document(sequence), &ed25519()).unwrap()
}

fn expected(known: Option<Order>, seconds: i64) -> Expected<'static> {
    Expected { service: "web", known, now: at(seconds) }
}

fn ed25519() -> Key {
    key(&rcgen::PKCS_ED25519)
}

#[test]
fn what_any_kind_of_key_signs_is_believed() {
    for kind in
        [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384]
    {
        let key = key(kind);
        let envelope = Envelope::sign(&document(1), &key).unwrap();
        let trust = Trust::new("shop", [key.digest()]);
        let (read, novelty) = trust.read(envelope.text().as_bytes(), expected(None, 1)).unwrap();
        assert_eq!((&read, novelty), (&envelope, Novelty::New));
        assert_eq!(read.document(), &document(1));
        let again = trust.read(envelope.text().as_bytes(), expected(Some(document(1).order), 1));
        assert_eq!(again.unwrap().1, Novelty::Same);
    }
}

#[test]
fn a_document_reads_as_it_is_written() {
    let envelope = Envelope::sign(&document(1), &ed25519()).unwrap();
    let body = envelope.text().lines().last().unwrap();
    assert_eq!(
        body,
        "{\"version\":1,\
         \"cluster\":{\"id\":\"00112233445566778899aabbccddeeff\",\"name\":\"shop\"},\
         \"service\":\"web\",\"epoch\":7,\"sequence\":1,\"issued\":\"2026-07-25T17:20:00.000Z\",\
         \"state\":\"here\",\"node\":\"node1\",\"site\":null,\
         \"addresses\":[\"10.0.0.100\",\"fd00::100\"],\"names\":[\"web.example.com\"],\
         \"valid_until\":\"2026-07-25T18:20:00.000Z\",\"signers\":[]}"
    );
}

#[test]
fn each_reason_to_refuse_has_a_name() {
    let (key, foreign) = (ed25519(), ed25519());
    let trust = Trust::new(CLUSTER, [key.digest()]);
    let read = |text: &str, known, now| {
        trust.read(text.as_bytes(), expected(known, now)).map(|(_, novelty)| novelty)
    };
    let text = |document: &Document| Envelope::sign(document, &key).unwrap().text().to_owned();
    let good = text(&document(5));
    assert_eq!(read(&good, None, 0), Ok(Novelty::New));

    let other = Envelope::sign(&document(5), &foreign).unwrap();
    let refused = read(other.text(), None, 0).unwrap_err();
    assert_eq!(refused, Refusal::Untrusted { key: foreign.digest() });
    // Another one's document under a trusted key's name.
    let theirs = other.text().replace(&hex(foreign.public()), &hex(key.public()));
    assert_eq!(read(&theirs, None, 0), Err(Refusal::BadSignature));
    let changed = good.replace("10.0.0.100", "10.0.0.101");
    assert_eq!(read(&changed, None, 0), Err(Refusal::BadSignature));
    let algorithm = good.replace("ed25519", "ecdsa-p256-sha256");
    assert_eq!(read(&algorithm, None, 0), Err(Refusal::BadSignature));

    let mut elsewhere = document(5);
    elsewhere.cluster.id = "f".repeat(32);
    let refused = read(&text(&elsewhere), None, 0);
    assert!(matches!(refused, Err(Refusal::OtherCluster { .. })), "{refused:?}");
    let mut another = document(5);
    another.service = "mail".to_owned();
    let refused = read(&text(&another), None, 0);
    assert!(matches!(refused, Err(Refusal::OtherService { .. })), "{refused:?}");

    let tolerance = i64::try_from(CLOCK_TOLERANCE.as_secs()).unwrap();
    assert_eq!(read(&good, None, -tolerance), Ok(Novelty::New));
    let refused = read(&good, None, -tolerance - 1);
    assert!(matches!(refused, Err(Refusal::NotYet { .. })), "{refused:?}");
    assert_eq!(read(&good, None, 3_600 + tolerance), Ok(Novelty::New));
    let refused = read(&good, None, 3_601 + tolerance);
    assert!(matches!(refused, Err(Refusal::Expired { .. })), "{refused:?}");

    // The epoch before the sequence, this before the time.
    let order = document(5).order;
    let same = Order { issued: at(1), ..order };
    let later = Order { sequence: 6, issued: at(-9), ..order };
    let epoch = Order { epoch: 8, sequence: 0, issued: at(-9) };
    for known in [same, later, epoch] {
        let older = Refusal::Older { known, found: order };
        assert_eq!(read(&good, Some(known), 1), Err(older));
    }
    let before = Order { epoch: 6, sequence: 99, ..order };
    assert_eq!(read(&good, Some(before), 1), Ok(Novelty::New));
    let long = " ".repeat(LONGEST + 1);
    assert!(matches!(read(&long, None, 0), Err(Refusal::Malformed(_))));
}

#[test]
fn what_no_document_may_say_is_not_signed() {
    let key = ed25519();
    type Change = fn(&mut Document);
    let changes: [(Change, &str); 9] = [
        (|it| it.version = 2, "version"),
        (|it| it.cluster.id = "F".repeat(32), "cluster.id"),
        (|it| it.service = "../web".to_owned(), "service"),
        (|it| it.node = Some("a\nb".to_owned()), "node"),
        (|it| it.node = None, "without a `node`"),
        (|it| it.state = Whereabouts::Nowhere, "nowhere"),
        (|it| it.names.push("a b".to_owned()), "names"),
        (|it| it.valid_until = it.order.issued, "valid_until"),
        (|it| it.signers = vec![KeyDigest([0; 32]); 1_001], "signers"),
    ];
    for (change, said) in changes {
        let mut document = document(1);
        change(&mut document);
        let error = Envelope::sign(&document, &key).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let mut most = document(1);
    most.signers = vec![KeyDigest([0; 32]); 1_000];
    Envelope::sign(&most, &key).expect("it has room");
}

#[test]
fn trust_rolls_on_and_forgets() {
    let (old, new) = (ed25519(), ed25519());
    let mut trust = Trust::new("shop", [old.digest()]);
    let says = |sequence, key: &Key, signers: &[&Key]| {
        let mut document = document(sequence);
        document.signers = signers.iter().map(|key| key.digest()).collect();
        Envelope::sign(&document, key).unwrap()
    };
    let both = says(10, &old, &[&old, &new]);
    assert!(trust.verify(&both, expected(None, 0)).is_ok() && trust.roll_on(&both));
    assert!(!trust.roll_on(&both), "nothing new");
    let only = says(20, &new, &[&new]);
    assert!(trust.verify(&only, expected(None, 0)).is_ok() && trust.roll_on(&only));
    assert_eq!(trust.keys().collect::<Vec<_>>(), [new.digest()]);
    // Neither an old list nor a document without one brings the old key back.
    assert!(!trust.roll_on(&both) && !trust.roll_on(&says(30, &new, &[])));
    let late = says(40, &old, &[&old]);
    let refused = Refusal::Untrusted { key: old.digest() };
    assert_eq!(trust.verify(&late, expected(None, 0)), Err(refused));
    // What was kept goes on; what the operator wrote since is the last word.
    let kept = Trust::new("shop", [old.digest()]).or_kept(trust.clone());
    assert_eq!(kept, trust);
    let anew = Trust::new("shop", [old.digest(), new.digest()]).or_kept(trust);
    assert!(anew.has(old.digest()) && anew.has(new.digest()));
}

#[test]
fn a_shelf_keeps_the_newest_and_wakes_its_watchers() {
    let key = ed25519();
    let sign = |sequence| Envelope::sign(&document(sequence), &key).unwrap();
    let shelf = Shelf::new();
    assert!(shelf.watch("web").is_none() && shelf.get("web").is_none());
    assert_eq!(shelf.put(sign(2)), Ok(true));
    let mut watch = shelf.watch("web").unwrap();
    assert_eq!(shelf.put(sign(2)), Ok(false));
    assert!(!watch.has_changed().unwrap());
    assert_eq!(shelf.put(sign(1)), Err(ShelfError::Older(document(2).order)));
    assert_eq!(shelf.put(sign(3)), Ok(true));
    assert!(watch.has_changed().unwrap());
    assert_eq!(watch.borrow_and_update().document().order.sequence, 3);
    assert!(shelf.remove("web") && !shelf.remove("web"));
    assert!(watch.has_changed().is_err(), "its watchers hear that it is no more");
}

#[test]
fn files_are_written_when_they_differ() {
    let folder = tempfile::tempdir().unwrap();
    let envelope = Envelope::sign(&document(1), &Arc::new(ed25519())).unwrap();
    assert!(write_file(&envelope, folder.path()).unwrap());
    assert!(!write_file(&envelope, folder.path()).unwrap());
    let file = folder.path().join("where/web");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), envelope.text());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let error = write_file(&envelope, folder.path()).unwrap_err();
    assert!(error.to_string().contains("web"), "{error}");
}

#[test]
fn stamps_are_those_of_calendars() {
    assert!(Stamp::from_unix_millis(i64::MAX).is_none());
    let last = Stamp::now().after(Duration::MAX);
    assert!(last > Stamp::now() && !last.to_string().is_empty());
    let text = serde_json::to_string(&at(0)).unwrap();
    assert_eq!(serde_json::from_str::<Stamp>(&text).unwrap(), at(0));
    for bad in ["\"\"", "\"2026-02-30T00:00:00Z\"", "0", "\"2026-07-25 17:20:00\""] {
        // RFC 3339 permits a space for the T.
        let read = serde_json::from_str::<Stamp>(bad);
        assert!(read.is_err() || bad.contains(' '), "{bad}");
    }
}
