//! Envelopes, broken in masses. The seed of all keys is fixed, so that the corpus stays believed.

use std::str::FromStr;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use stead_fuzz::target;

use super::key::from_hex;
use super::tests::document;
use super::{Envelope, Expected, Key, KeyDigest, Novelty, Refusal, Trust};

/// An Ed25519 key in PKCS #8 (RFC 8410), whose seed is all ones.
const PKCS8: &str = "302e020100300506032b657004220420\
                     0101010101010101010101010101010101010101010101010101010101010101";

/// Pieces that mean something to the reader.
const WORDS: &[&[u8]] = &[
    b"stead-where 1\n",
    b"key: ",
    b"algorithm: ed25519\n",
    b"algorithm: rsa-pss-sha256\n",
    b"signature: ",
    b"\n\n",
    b"\r\n",
    b"\"sequence\":18446744073709551615",
    b"\"issued\":\"9999-12-31T23:59:60Z\"",
    b"\"valid_until\":\"-262143-01-01T00:00:00Z\"",
    b"\"state\":\"nowhere\"",
    b"\"node\":null",
    b"\"signers\":[\"sha256:",
    b"\"cluster\":{}",
    b"[[[[[[[[",
];

fn key() -> Key {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(from_hex(PKCS8).unwrap()));
    Key::new(any_supported_type(&der).unwrap()).unwrap()
}

#[test]
fn any_bytes_are_a_document_or_refused() {
    let key = key();
    let trust = Trust::new("shop", [key.digest()]);
    let now = document(1).order.issued;
    let samples = || vec![("web", Envelope::sign(&document(1), &key).unwrap().text().into())];
    let target = target!("envelope").samples(samples).words(WORDS);
    target.count(30_000).run(|bytes| {
        let expected = Expected { service: "web", known: None, now };
        match trust.read(bytes, expected) {
            // Nobody else has the key: whatever is believed is what was signed.
            Ok((envelope, novelty)) => {
                assert_eq!((envelope.document(), novelty), (&document(1), Novelty::New));
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                if let Ok(text) = std::str::from_utf8(bytes)
                    && let Ok(envelope) = Envelope::from_str(text)
                {
                    // What has the form says who is not believed.
                    assert!(!matches!(error, Refusal::Malformed(_)), "{error}");
                    assert!(envelope.document().check().is_ok() && envelope.tag().len() == 32);
                    assert!(!envelope.document().order.to_string().is_empty());
                }
                false
            }
        }
    });
}

#[test]
fn any_text_is_a_digest_or_refused() {
    let samples = || vec![("digest", KeyDigest([7; 32]).to_string().into_bytes())];
    target!("digest").samples(samples).longest(100).count(30_000).run(|bytes| {
        let Ok(digest) = String::from_utf8_lossy(bytes).parse::<KeyDigest>() else { return false };
        assert_eq!(digest.to_string().parse(), Ok(digest));
        true
    });
}
