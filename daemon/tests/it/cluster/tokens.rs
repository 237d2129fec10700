//! Who may join, and who may not.

use std::sync::Arc;

use stead::demo::fleet::Fleet;

use super::{Must, three, whole};

#[test]
fn a_token_lets_one_node_in_once() {
    let fleet = Fleet::build(three("tokens"), Arc::default()).must();
    fleet.found().must();
    let node2 = fleet.node("node2").must();
    let node3 = fleet.node("node3").must();
    let no_trace = |node: &stead::demo::fleet::Node| !node.paths().identity().exists();

    // made up
    let (address, token) = fleet.token("node1", "node2").must();
    let turned: String = token.chars().rev().collect();
    for wrong in [turned.as_str(), "stead1-0", "", &token[..token.len() - 2]] {
        let refused = node2.stead(&["join", &address, wrong]).must();
        assert!(!refused.status.success(), "{wrong}");
        assert!(no_trace(node2), "{wrong}");
    }
    // a character of the secret is wrong: the node is reached, and says no
    let last = token.chars().last().unwrap_or_default();
    let other = if last == '0' { '1' } else { '0' };
    let almost = format!("{}{other}", &token[..token.len() - last.len_utf8()]);
    let refused = node2.stead(&["join", &address, &almost]).must();
    assert!(!refused.status.success());
    assert!(no_trace(node2));

    // replaced by a newer one
    let (_, newer) = fleet.token("node1", "node2").must();
    let refused = node2.stead(&["join", &address, &token]).must();
    assert!(!refused.status.success());
    assert!(no_trace(node2));
    node2.stead(&["join", &address, &newer]).must().expect_success().must();
    fleet.start_node("node2").must();

    // used
    let refused = node3.stead(&["join", &address, &newer]).must();
    assert!(!refused.status.success());
    assert!(no_trace(node3));

    // for nobody in the configuration
    let refused = fleet.node("node1").must().stead(&["token", "node9"]).must();
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("node9"), "{}", refused.stderr);

    fleet.join("node1", "node3").must();
    whole(&fleet);
    // in already
    let (_, again) = match fleet.token("node1", "node3") {
        Ok(token) => token,
        Err(_) => return,
    };
    let refused = node3.stead(&["join", &address, &again]).must();
    assert!(!refused.status.success());
}
