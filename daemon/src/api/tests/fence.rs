//! `fence-test` over the real socket: devices of the configuration in force are asked.

use std::os::unix::fs::PermissionsExt;

use super::super::client::{CallError, Streamed};
use super::super::fence::WayReport;
use super::super::message::Request;
use super::socket::Served;
use super::*;

/// A cluster that is fenced by a program of ours, which fails for outlet 2.
fn fenced(folder: &Path) -> String {
    let program = folder.join("power");
    let script = "#!/bin/sh\n\
                  test $STEAD_FENCE_PLUG = 2 && { echo Connection refused >&2; exit 1; }\n\
                  test $STEAD_FENCE_ACTION = status\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let fence = |text: String, node: u8| {
        let head = format!("[nodes.node{node}]\n");
        text.replace(&head, &format!("{head}fence = [[\"rack:{node}\"], [\"rack:9{node}\"]]\n"))
    };
    let text = [1, 2].into_iter().fold(CLUSTER.to_owned(), fence);
    let program = program.display();
    format!("{text}[fencing.devices.rack]\nexec = [\"{program}\"]\nretries = 0\n")
}

fn tested(served: &Served, name: &str) -> Result<Vec<WayReport>, CallError> {
    let mut reports = Vec::new();
    let request = Request::FenceTest { name: name.to_owned() };
    served.client().stream(&request, |item| {
        match item {
            Streamed::Item(report) => reports.push(report),
            Streamed::Skipped(count) => panic!("{count} skipped"),
        }
        true
    })?;
    Ok(reports)
}

#[test]
fn every_way_to_a_node_and_through_a_device_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(picture(&fenced(folder.path()), 3));
    let reports = tested(&served, "node1").unwrap();
    let short = |it: &WayReport| (it.level, it.plug.clone().unwrap(), it.said.clone());
    let on = |level, plug: &str| (Some(level), plug.to_owned(), "on".to_owned());
    let short = reports.iter().map(short).collect::<Vec<_>>();
    assert_eq!(short, [on(1, "1"), on(2, "91")], "in the order of the levels");
    let reports = tested(&served, "node2").unwrap();
    let answered: Vec<_> = reports.iter().map(|it| it.answered).collect();
    assert_eq!(answered, [false, true]);
    assert_eq!(reports[0].said, "exit status 1, it said: Connection refused");
    assert_eq!(reports[0].output, ["Connection refused"]);
    assert!(reports[0].hints[0].contains("nobody listens at that port"), "{reports:?}");
    let reports = tested(&served, "rack").unwrap();
    let nodes: Vec<_> = reports.iter().filter_map(|it| it.node.as_deref()).collect();
    assert_eq!(nodes, ["node1", "node1", "node2", "node2"]);
}

#[test]
fn what_can_not_be_asked_is_told_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(picture(&fenced(folder.path()), 3));
    let refused = |name| match tested(&served, name) {
        Err(CallError::Failed(failure)) => format!("{}. {}", failure.message, failure.next),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused("nod3"),
        "there is no node and no fence device nod3; nothing was asked. did you mean node3?"
    );
    let other = refused("switch");
    assert!(other.ends_with("nodes: node1, node2, node3; devices: rack"), "{other}");
    let none = refused("node3");
    assert!(none.starts_with("node3 is fenced by no device; nothing was asked."), "{none}");
}

/// Who goes away has no agents run on.
#[test]
fn a_client_that_goes_away_ends_what_it_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let text = fenced(folder.path());
    let begun = folder.path().join("begun");
    let script = format!(
        "#!/bin/sh\ntouch {}\nwhile test -e {}; do sleep 0.01; done\n",
        begun.display(),
        folder.path().display()
    );
    std::fs::write(folder.path().join("power"), script).unwrap();
    let served = Served::new(picture(&text, 3));
    let mut raw = served.raw();
    std::io::Write::write_all(&mut raw, b"{\"v\":1,\"do\":\"fence-test\",\"name\":\"node1\"}\n")
        .unwrap();
    let wait_until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "never came true: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_until("it runs", &|| begun.exists());
    drop(raw);
    let program = folder.path().join("power").display().to_string();
    let runs = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(&program))
    };
    wait_until("it is gone", &|| !runs());
}
