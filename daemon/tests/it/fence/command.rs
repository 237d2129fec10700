//! `stead fence agents`, `stead fence test` and what `stead lint` finds about fence devices.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::bed::program;

/// Runs the command where an administrator's agents are those of that folder.
fn stead(agents: &Path, args: &[&str]) -> Output {
    let mounted = "mount --bind \"$1\" /usr/local/sbin && shift && exec \"$@\"";
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", mounted, "sh"])
        .arg(agents)
        .arg(env!("CARGO_BIN_EXE_stead"))
        .args(["--run", "/nowhere"])
        .args(args)
        .output()
        .expect("these tests need root")
}

/// An agent of ours with three outlets, of which the third is always off; `broken` in the folder
/// has it fail.
fn with_rack() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display();
    let text = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = -o ]; then cat {at}/metadata; exit; fi\n\
         while IFS== read -r name value; do eval \"$name='$value'\"; done\n\
         [ ! -e {at}/broken ] || {{ echo 'ERROR: Connection refused' >&2; exit 1; }}\n\
         [ $ip = 10.9.0.7 ] || exit 1\n\
         case $action-$plug in\n\
         list-*) echo 1,web; echo 2,db; echo 3,;;\n\
         status-3) exit 2;;\n\
         status-[12]) exit 0;;\n\
         monitor-*) exit 0;;\n\
         *) echo 'Unable to obtain correct plug status or plug is not available' >&2; exit 1;;\n\
         esac\n"
    );
    program(&folder.path().join("fence_rack"), &text);
    let xml = r#"<resource-agent name="fence_rack" shortdesc="A rack"><parameters>
        <parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
        <parameter name="plug" required="1" obsoletes="port"><content type="string"/></parameter>
        <parameter name="ip" required="1"><content type="string"/></parameter>
        <parameter name="power_wait"><content type="second" default="0"/></parameter>
        </parameters><actions><action name="on"/><action name="off"/><action name="status"/>
        <action name="list"/><action name="monitor"/></actions></resource-agent>"#;
    fs::write(folder.path().join("metadata"), xml).expect("written");
    folder
}

/// A file whose nodes have these keys, with these tables behind.
fn file(folder: &TempDir, nodes: [&str; 2], tables: &str) -> String {
    let path = folder.path().join("cluster.toml");
    let node = |number: usize, keys: &str| {
        format!(
            "[nodes.node{number}]\naddresses = {{ lan = \"10.0.0.{number}\", back = \
             \"10.1.0.{number}\" }}\n{keys}\n"
        )
    };
    let (first, second) = (node(1, nodes[0]), node(2, nodes[1]));
    let head = "[cluster]\nname = \"shop\"\n[links.lan]\n[links.back]\n";
    let third = node(3, "");
    fs::write(&path, format!("{head}{first}{second}{third}{tables}")).expect("written");
    path.display().to_string()
}

const RACK: &str = "[fencing.devices.rack]\nagent = \"fence_rack\"\n\
                    parameters = { ip = \"10.9.0.7\" }\n";

/// What `lint` says: its status, and message and help of each problem with its line.
fn lint(folder: &TempDir, nodes: [&str; 2], tables: &str) -> (Option<i32>, Vec<String>) {
    let path = file(folder, nodes, tables);
    let output = stead(folder.path(), &["lint", &path, "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{output:?}");
    });
    let problems = found["problems"].as_array().expect("a list");
    let line = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}. {}", it["line"], text("message"), text("help"))
    };
    (output.status.code(), problems.iter().map(line).collect())
}

#[test]
fn a_file_is_held_against_the_agents_and_devices_of_this_machine() {
    let folder = with_rack();
    let both = ["fence = [\"rack:1\"]", "fence = [\"rack:db\"]"];
    assert_eq!(lint(&folder, both, RACK), (Some(0), vec![]), "by name or by what it is called");
    // What the agent says that it takes.
    let wrong = RACK.replace("ip =", "power_wait = \"2s\", ipp =");
    let (status, told) = lint(&folder, ["fence = [\"rack:1\"]", "fence = [\"rack\"]"], &wrong);
    assert_eq!(status, Some(1), "{told:?}");
    let starts = [
        "10: device `rack` has to be told which outlet is the node's. write it behind",
        "16: `power_wait` should be a number of seconds, says the agent, not `2s`. write a whole",
        "16: the agent has no parameter `ipp`. did you mean `ip`?",
        "16: the agent needs the parameter `ip`.",
    ];
    for start in starts {
        assert!(told.iter().any(|it| it.starts_with(start)), "{start}: {told:?}");
    }
    assert_eq!(told.len(), starts.len(), "{told:?}");
    // What the device says that it has.
    let (status, told) = lint(&folder, ["fence = [\"rack:1\"]", "fence = [\"rack:4\"]"], RACK);
    let lists = "10: device `rack` has no outlet `4`. it lists: 1, 2, 3";
    assert_eq!((status, told), (Some(1), vec![lists.to_owned()]));
    fs::write(folder.path().join("broken"), "").expect("written");
    let (status, told) = lint(&folder, both, RACK);
    assert_eq!((status, told.len()), (Some(0), 1), "it may be reached later: {told:?}");
    let start = "15: device `rack` was not asked for its outlets: exit status 1, it said: \
                 Connection refused. ";
    assert!(told[0].starts_with(start), "{told:?}");
}

#[test]
fn agents_that_are_none_or_prove_nothing_are_refused() {
    let folder = with_rack();
    let agent = |name: &str| {
        let table = format!("[fencing.devices.d]\nagent = \"{name}\"\n");
        lint(&folder, ["fence = [\"d\"]", ""], &table)
    };
    let (status, told) = agent("fence_rakc");
    let near = "15: no fence agent fence_rakc is installed. did you mean `fence_rack`?";
    assert_eq!((status, told), (Some(1), vec![near.to_owned()]));
    let (status, told) = agent("fence_xxxxxxxxxxxx");
    assert_eq!((status, told.len()), (Some(0), 1), "it may be where it is needed: {told:?}");
    let (status, told) = agent("fence_heuristics_ping");
    let nothing = "15: fence_heuristics_ping proves nothing: it can't say whether something is off";
    assert!(status == Some(1) && told[0].starts_with(nothing), "{told:?}");
    let (status, told) = agent("ipmilan");
    assert!(status == Some(1) && told[0].ends_with("did you mean `fence_ipmilan`?"), "{told:?}");
}

#[test]
fn what_leaves_a_machine_on_breaks_no_tie() {
    let folder = with_rack();
    let lun = "[fencing.devices.lun]\nagent = \"fence_scsi\"\n\
               parameters = { devices = \"/dev/sda\", key = \"a1\" }\n";
    let ties = "[quorum]\nchain = [\"majority\", \"fence\"]\n";
    // The third node has no device at all.
    let lacks = |nodes: [&str; 2]| {
        let (status, told) = lint(&folder, nodes, &format!("{lun}{RACK}{ties}"));
        assert_eq!(status, Some(1), "{told:?}");
        let lacks: Vec<_> = told.iter().filter(|it| it.contains("breaks a tie")).collect();
        lacks.iter().map(|it| it.split(" and ").next().unwrap_or_default().to_owned()).collect()
    };
    let told: Vec<String> = lacks(["fence = [\"lun\", \"rack:1\"]", "fence = [\"lun\"]"]);
    let power = "node2 has no fence device that takes its power,";
    assert!(told.len() == 2 && told[0].ends_with(power), "{told:?}");
    let told: Vec<String> = lacks(["fence = [[\"lun\", \"rack:1\"]]", "fence = [\"rack:2\"]"]);
    assert!(told.len() == 1 && told[0].ends_with("node3 has no fence device,"), "{told:?}");
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_agents_are_shown_all_and_one() {
    let folder = with_rack();
    let run = |args: &[&str]| stead(folder.path(), &[&["fence", "agents"], args].concat());
    let list = text(run(&[]));
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).expect(name);
    assert!(line("fence_ipmilan ").contains(" off "), "{list}");
    assert!(line("fence_scsi ").contains(" cut off "), "{list}");
    assert!(line("fence_kdump ").contains(" nothing "), "{list}");
    assert!(line("fence_rack ").ends_with(" A rack"), "{list}");
    let one = text(run(&["ipmilan"]));
    assert!(one.lines().any(|line| line.starts_with("cipher ")), "{one}");
    assert!(!one.lines().any(|line| line.starts_with("action ") || line.starts_with("port ")));
    let json: Value = serde_json::from_str(&text(run(&["fence_scsi", "--json"]))).expect("JSON");
    assert_eq!(json["can"], "cut-off", "{json}");
    let refused = run(&["rakc"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("mean fence_rack?"), "{told}");
}

#[test]
fn a_test_asks_every_way_of_a_file_and_explains_what_fails() {
    let folder = with_rack();
    let nodes = ["fence = [[\"rack:1\"], [\"rack:9\"]]", "fence = [\"rack:3\"]"];
    let path = file(&folder, nodes, RACK);
    let run = |name: &str, more: &[&str]| {
        stead(folder.path(), &[&["fence", "test", name, "--file", &path], more].concat())
    };
    let good = text(run("node2", &[]));
    assert!(good.starts_with("node2, level 1: rack:3  (status, "), "{good}");
    assert!(good.ends_with("it is off\nThe way works. Nothing was switched.\n"), "{good}");
    let bad = run("node1", &["--json"]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let json: Value = serde_json::from_slice(&bad.stdout).expect("JSON");
    assert_eq!(
        (&json["answered"], json["ways"].as_array().map(Vec::len)),
        (&false.into(), Some(2))
    );
    let way = &json["ways"][1];
    assert_eq!((&way["level"], &way["answered"]), (&2.into(), &false.into()), "{json}");
    let hints = way["hints"].to_string();
    assert!(hints.contains("the agent got no status out of the device"), "{hints}");
    assert!(hints.contains("the device lists these outlets: 1 (web), 2 (db), 3"), "{hints}");
    let through = run("rack", &["--json"]);
    let json: Value = serde_json::from_slice(&through.stdout).expect("JSON");
    let nodes: Vec<_> = json["ways"].as_array().expect("a list").iter().collect();
    assert_eq!(nodes.iter().map(|it| &it["node"]).collect::<Vec<_>>(), ["node1", "node1", "node2"]);
    let none = run("node3", &[]);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(told.contains("node3 is fenced by no device; nothing was asked"), "{told}");
    // Without a daemon a file has to be named.
    let lost = stead(folder.path(), &["fence", "test", "node1"]);
    let told = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert_eq!(lost.status.code(), Some(3), "{told}");
    assert!(told.contains("--file cluster.toml") && told.contains("systemctl start"), "{told}");
}
