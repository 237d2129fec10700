//! Keys and certificates: files of this node, and what strangers show.

use std::os::unix::fs::PermissionsExt;

use stead_fuzz::target;
use stead_log::transport::{Identity, KeyHash};

use crate::raw::Papers;

#[test]
fn a_hash_is_what_it_is_written_as() {
    let samples = || vec![("hash", KeyHash([0xab; 32]).to_string().into_bytes())];
    target!("key-hash").samples(samples).words(&[b"+f", b"-0", b"ff"]).count(60_000).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(hash) = text.parse::<KeyHash>() else { return false };
        assert_eq!(hash.to_string(), text.to_ascii_lowercase());
        true
    });
}

/// The certificate of a peer is read before anything is known about it.
#[test]
fn any_certificate_has_a_key_or_none() {
    let samples = || vec![("certificate", Papers::dated(2000, 2100).certificate)];
    let target = target!("certificate").samples(samples).count(60_000);
    target.run(|bytes| KeyHash::of_certificate(bytes).is_some());
}

#[test]
fn any_key_file_is_a_key_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    let samples = || {
        let folder = tempfile::tempdir().unwrap();
        Identity::generate(folder.path()).unwrap();
        vec![("key", std::fs::read(folder.path().join("node.key")).unwrap())]
    };
    let target = target!("key-file").samples(samples);
    target.words(&[b"-----BEGIN PRIVATE KEY-----\n", b"\n", b"=="]).count(3_000).run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let read = Identity::load(folder.path());
        if let Err(error) = &read {
            assert!(!error.to_string().is_empty());
        }
        read.is_ok()
    });
}
