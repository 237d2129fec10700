//! Files that are written, programs that read them, and both when something is wrong.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use stead_redirect::client::{FileState, Status};
use stead_redirect::knowledge::Key;

use super::{Agent, Machine};
use crate::knowledge::{Node, document, key, signed};

const TEMPLATE: &str = "server {{ service.address }};\n";

fn table(machine: &Machine, more: &str) -> String {
    format!(
        "[[files]]\nservices = [\"web\"]\ntemplate = {:?}\ntarget = {:?}\n{more}",
        machine.path("template"),
        machine.path("target"),
    )
}

async fn says(node: &Node, key: &Key, address: &str, sequence: u64) {
    node.shelf.put(signed(&document("node1", address, sequence), key)).expect("news");
}

fn error(status: &Status) -> &str {
    status.files[0].error.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_file_follows_its_service_and_its_program_reads_it() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    let reload = machine.script("reload", "cat target >> seen");
    let check = machine.script("check", "grep -q server \"$1\"");
    let more =
        format!("mode = \"0640\"\ncheck = [{check:?}, \"{{file}}\"]\nreload = [{reload:?}]\n");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let config = machine.configure(&[node.url()], &[&key], &table(&machine, &more));
    let agent = Agent::start(&config);
    machine.stands(1, FileState::Current).await;
    assert_eq!(machine.read("target"), "server 10.0.0.1;\n");
    let meta = fs::metadata(machine.path("target")).expect("it is there");
    assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
    says(&node, &key, "10.0.0.2", 2).await;
    machine.stands(2, FileState::Current).await;
    // The same address again: there is nothing to read.
    says(&node, &key, "10.0.0.2", 3).await;
    machine.stands(3, FileState::Current).await;
    agent.end().await;
    // Nor is there after a restart.
    let agent = Agent::start(&config);
    machine.stands(3, FileState::Current).await;
    agent.end().await;
    assert_eq!(machine.read("seen"), "server 10.0.0.1;\nserver 10.0.0.2;\n");
    let next = fs::metadata(machine.path("target")).expect("it is there");
    assert_ne!(meta.ino(), next.ino(), "replaced, and never half written");
    assert!(!machine.path(".target.new").exists());
}

#[tokio::test]
async fn a_template_that_does_not_render_leaves_the_old_file_until_it_is_repaired() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", "server {{ service.adress }};\n");
    machine.write("target", "server old;\n");
    let reload = machine.script("reload", "echo x >> seen");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let more = format!("reload = [{reload:?}]\n");
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &table(&machine, &more)));
    let status = machine.stands(1, FileState::Stays).await;
    assert!(error(&status).contains("does not render"), "{status:#?}");
    assert!(error(&status).contains("template:1"), "{status:#?}");
    assert_eq!((machine.read("target").as_str(), machine.read("seen").as_str()), {
        ("server old;\n", "")
    });
    // Nobody says anything new, and it is tried again all the same.
    machine.write("template", TEMPLATE);
    machine.stands(1, FileState::Current).await;
    assert_eq!(machine.read("target"), "server 10.0.0.1;\n");
    agent.end().await;
}

#[tokio::test]
async fn a_file_that_its_check_refuses_is_never_seen() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    let check = machine.script("check", "echo 'not this one' >&2; ! grep -q 10.0.0.2 \"$1\"");
    let reload = machine.script("reload", "cat target >> seen");
    let more = format!("check = [{check:?}, \"{{file}}\"]\nreload = [{reload:?}]\n");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &table(&machine, &more)));
    machine.stands(1, FileState::Current).await;
    says(&node, &key, "10.0.0.2", 2).await;
    let status = machine.stands(2, FileState::Stays).await;
    assert!(error(&status).contains("not this one"), "{status:#?}");
    assert_eq!(machine.read("target"), "server 10.0.0.1;\n");
    assert!(!machine.path(".target.new").exists());
    // The next document is not held up by the pause after the failure.
    says(&node, &key, "10.0.0.3", 3).await;
    machine.stands(3, FileState::Current).await;
    assert_eq!(machine.read("seen"), "server 10.0.0.1;\nserver 10.0.0.3;\n");
    agent.end().await;
}

#[tokio::test]
async fn a_reload_that_fails_brings_the_old_file_back() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    let reload =
        machine.script("reload", "cat target >> seen; grep -q 10.0.0.2 target && exit 7; exit 0");
    let more = format!("mode = \"0644\"\nreload = [{reload:?}]\n");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &table(&machine, &more)));
    machine.stands(1, FileState::Current).await;
    fs::set_permissions(machine.path("target"), PermissionsExt::from_mode(0o600)).expect("mode");
    says(&node, &key, "10.0.0.2", 2).await;
    let status = machine.stands(2, FileState::RolledBack).await;
    assert!(error(&status).contains("was reloaded"), "{status:#?}");
    assert!(error(&status).contains("ended with 7"), "{status:#?}");
    assert_eq!(machine.read("target"), "server 10.0.0.1;\n");
    let mode = fs::metadata(machine.path("target")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "as it was");
    let seen = machine.read("seen");
    assert!(seen.starts_with("server 10.0.0.1;\nserver 10.0.0.2;\nserver 10.0.0.1;\n"), "{seen}");
    says(&node, &key, "10.0.0.3", 3).await;
    machine.stands(3, FileState::Current).await;
    assert_eq!(machine.read("target"), "server 10.0.0.3;\n");
    agent.end().await;
}

#[tokio::test]
async fn a_reload_that_hangs_is_killed_with_all_that_it_started() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    let hangs = "grep -q 10.0.0.1 target && exit 0; sleep 100000 & echo $! > child; wait";
    let reload = machine.script("reload", hangs);
    let more = format!("timeout = \"10s\"\nreload = [{reload:?}]\n");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &table(&machine, &more)));
    machine.stands(1, FileState::Current).await;
    says(&node, &key, "10.0.0.2", 2).await;
    let status = machine.stands(2, FileState::RolledBack).await;
    assert!(error(&status).contains("was killed"), "{status:#?}");
    assert_eq!(machine.read("target"), "server 10.0.0.1;\n");
    let child = machine.read("child");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(!child.is_empty() && (stat.is_empty() || stat.contains(" Z ")), "{stat}");
    agent.end().await;
}

#[tokio::test]
async fn without_an_old_file_the_new_one_stays_and_that_is_said() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    let reload = machine.script("reload", "exit 1");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let more = format!("reload = [{reload:?}]\n");
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &table(&machine, &more)));
    let status = machine.stands(1, FileState::Broken).await;
    assert!(error(&status).contains("there was none before"), "{status:#?}");
    assert_eq!(machine.read("target"), "server 10.0.0.1;\n");
    // The program can do it now, and is asked again.
    machine.script("reload", "cat target > seen");
    machine.stands(1, FileState::Current).await;
    assert_eq!(machine.read("seen"), "server 10.0.0.1;\n");
    agent.end().await;
}

#[tokio::test]
async fn what_was_replaced_and_never_read_is_read_after_a_crash() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    // It hangs at the second file until the agent has died.
    let reload = machine.script(
        "reload",
        "grep -q 10.0.0.1 target && exit 0; test -e healed && { cat target > seen; exit 0; }\n\
         echo x > hangs; exec sleep 100000",
    );
    let more = format!("timeout = \"1h\"\nreload = [{reload:?}]\n");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let config = machine.configure(&[node.url()], &[&key], &table(&machine, &more));
    let agent = Agent::start(&config);
    machine.stands(1, FileState::Current).await;
    says(&node, &key, "10.0.0.2", 2).await;
    machine.until("it hangs", |_| machine.path("hangs").exists()).await;
    agent.abort().await;
    assert_eq!(machine.read("target"), "server 10.0.0.2;\n");
    machine.write("healed", "");
    let agent = Agent::start(&config);
    machine.stands(2, FileState::Current).await;
    assert_eq!(machine.read("seen"), "server 10.0.0.2;\n");
    agent.end().await;
}

#[tokio::test]
async fn a_link_is_not_replaced_by_a_file() {
    let (key, machine) = (key(), Machine::new());
    machine.write("template", TEMPLATE);
    machine.write("real", "old\n");
    std::os::unix::fs::symlink(machine.path("real"), machine.path("target")).expect("a link");
    let node = Node::start(None).await;
    says(&node, &key, "10.0.0.1", 1).await;
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &table(&machine, "")));
    let status = machine.stands(1, FileState::Stays).await;
    assert!(error(&status).contains("a link"), "{status:#?}");
    assert_eq!(machine.read("real"), "old\n");
    agent.end().await;
}
