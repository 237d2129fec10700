use std::process::Command;

use stead_lab::Power;

use crate::helper::{start_service, two_sites, wait_until};

fn shell(line: &str) -> (bool, String) {
    let ran = Command::new("sh").args(["-c", line]).output().expect("a shell");
    (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned())
}

#[test]
fn a_kept_bed_can_be_entered_and_ended() {
    let sites = two_sites("keep");
    let node = sites.nodes[0].clone();
    let service = start_service(&node);
    let kept = sites.bed.keep(Power::Root).expect("kept");
    assert_eq!(kept.enter.len(), 6, "four hosts and two switches");
    let (_, enter) = kept.enter.iter().find(|(name, _)| name == "node1").expect("node1");
    let (entered, seen) = shell(&format!("{enter} cat /proc/net/fib_trie"));
    assert!(entered && seen.contains("10.0.0.1"), "{enter}: {seen}");
    assert!(service.ended().expect("asked").is_none(), "programs go on");
    assert!(shell(&kept.end).0, "{}", kept.end);
    wait_until("its end", || node.processes().is_ok_and(|all| all.is_empty()));
}
