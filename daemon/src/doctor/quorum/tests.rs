//! What is found, and how it is taken.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use stead_core::id::Grant;
use stead_core::quorum::register::Challenge;
use stead_core::time::Span;

use super::super::Verdict;
use super::*;
use crate::config::read;
use crate::paths::Paths;
use crate::quorum_server::wire::Refused;

const CLUSTER: ClusterId = ClusterId([7; 16]);
const CONFIGURATION: &str = r#"[cluster]
name = "shop"
[links.lan]
[nodes.node1]
addresses = { lan = "10.0.0.1" }
[nodes.node2]
addresses = { lan = "10.0.0.2" }
"#;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn looked(distrusted: Option<Challenge>) -> Looked {
    let standing = Standing { last: Grant(3), distrusted };
    let [connected, round_trip] = [5, 1].map(Duration::from_millis);
    Looked { connected, round_trip, standing }
}

#[test]
fn a_server_that_answers_is_good_unless_it_was_restored_and_not_told() {
    let good = answer(SERVER, Ok(looked(None)));
    assert_eq!(good.verdict, Verdict::Good);
    assert_eq!(good.seen, "TLS with its key in 5.0 ms, an answer in 1.0 ms; newest grant 3");
    let restored = answer(SERVER, Ok(looked(Some(Challenge(1)))));
    assert_eq!(restored.verdict, Verdict::Warning);
    assert!(restored.seen.contains("came back from a backup"), "{restored:?}");
}

#[test]
fn a_server_that_does_not_answer_is_a_warning_with_the_reason() {
    let address = at("192.0.2.7:7745");
    for (why, words) in [
        (NotConnected::TooSlow(address), "does not answer in time"),
        (NotConnected::WrongKey { address, found: KeyHash([1; 32]) }, "not the quorum server's"),
        (NotConnected::Refused(Refused::Revoked), "this cluster was revoked"),
    ] {
        let found = answer(SERVER, Err(why));
        assert_eq!(found.verdict, Verdict::Warning);
        assert!(found.seen.contains(words) && found.seen.contains(UNBROKEN), "{found:?}");
    }
}

fn breaker(addresses: &[&str], key: Option<&str>) -> BreakerReport {
    BreakerReport {
        module: "quorum-server".to_owned(),
        at: addresses.iter().map(|&it| it.to_owned()).collect(),
        key: key.map(str::to_owned),
        answers: None,
        distrusted: false,
        trouble: None,
        round_trip_us: None,
    }
}

/// What is found of a chain with that table.
fn examined(quorum: &str, breaker: Option<&BreakerReport>) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("{}{quorum}\n", CONFIGURATION);
    let config = read("cluster.toml", &text).expect("it is usable").config;
    let paths = Paths::below(folder.path());
    let (config, cluster) = (Some(&config), Some(CLUSTER));
    examine(&Patient { paths: &paths, config, node: None, others: &[], cluster, breaker })
}

#[test]
fn without_a_register_in_the_chain_there_is_nothing_to_look_at() {
    assert_eq!(examined("", None), []);
    let chain = "[quorum]\nchain = [\"majority\", \"quorum-server\"]";
    let [unknown] = &examined(chain, None)[..] else { panic!("one finding") };
    assert_eq!(unknown.verdict, Verdict::Unknown);
    let [nowhere] = &examined(chain, Some(&breaker(&[], None)))[..] else { panic!("one finding") };
    assert_eq!(nowhere.verdict, Verdict::Warning);
    assert!(nowhere.seen.contains("enrolled at none"), "{nowhere:?}");
    assert_eq!(known(&breaker(&["192.0.2.7:7745"], Some("zz"))), None);
    let key = "ab".repeat(32);
    let all = known(&breaker(&["192.0.2.7:7745", "[2001:db8::7]:7745"], Some(&key)));
    let addresses = vec![at("192.0.2.7:7745"), at("[2001:db8::7]:7745")];
    assert_eq!(all, Some((addresses, [0xab; 32])));
}

/// A program of that text, in a folder of its own.
fn script(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("program");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    (folder, path)
}

fn found(path: &Path, cluster: Option<ClusterId>) -> Finding {
    let (command, timeout) = (vec![path.display().to_string()], Span::from_millis(1_000));
    program(&ExecConfig { command, timeout }, cluster)
}

#[test]
fn a_program_has_to_be_there_to_be_executable_and_to_answer() {
    let absent = found(Path::new("/nowhere/quorum"), Some(CLUSTER));
    assert!(absent.seen.contains("/nowhere/quorum is no file here"), "{absent:?}");
    let (_folder, path) = script("#!/bin/sh\n", 0o644);
    let plain = found(&path, Some(CLUSTER));
    assert!(plain.seen.contains("can't be run"), "{plain:?}");
    let (_folder, path) = script("#!/bin/sh\necho no store >&2\nexit 3\n", 0o755);
    let failing = found(&path, Some(CLUSTER));
    assert!(failing.seen.contains("no store"), "{failing:?}");
    assert_eq!(found(&path, None).verdict, Verdict::Good);
    let (_folder, path) = script("#!/bin/sh\n[ \"$1\" = get ] && [ -n \"$STEAD_KEY\" ]\n", 0o755);
    let empty = found(&path, Some(CLUSTER));
    assert!(empty.seen.contains("nothing is kept there yet"), "{empty:?}");
    for found in [absent, plain, failing, empty] {
        assert_eq!(found.verdict, Verdict::Warning, "{found:?}");
    }
}
