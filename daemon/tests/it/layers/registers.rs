//! Registers, asked on a real segment: what is handed out is nobody's, whoever asks at once.

use std::collections::BTreeSet;
use std::thread;

use stead::demo::fleet::Fleet;

use super::{cluster, program, said, wait_runs};
use crate::cluster::Must;

const POOL: &str = "10.77.0.150-10.77.0.154";

/// The words of a command that succeeds, on that node.
fn words(fleet: &Fleet, node: &str, words: &[&str]) -> String {
    fleet.node(node).must().stead(words).must().expect_success().must()
}

/// What a command says that fails, on that node.
fn refusal(fleet: &Fleet, node: &str, words: &[&str]) -> String {
    let output = fleet.node(node).must().stead(words).must();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    output.stderr
}

#[test]
fn addresses_are_handed_out_once_and_not_those_of_strangers() {
    let services = format!(
        "\n[services.web]\naddresses = [\"10.77.0.100/24\"]\n{}\n\
         [networks.front]\nprefix = \"10.77.0.0/24\"\npool = \"{POOL}\"\n",
        program("10.77.0.100")
    );
    let fleet = cluster("registers", &services);
    let stranger = ["addr", "add", "10.77.0.150/24", "dev", "front"];
    said(fleet.client(), "ip", &stranger).unwrap_or_else(|error| panic!("{error}"));

    // Two at once, on two nodes: each gets its own, and the stranger keeps his.
    let got: BTreeSet<String> = thread::scope(|scope| {
        let ask = |node: &'static str| {
            let fleet = &fleet;
            scope.spawn(move || {
                let words = ["register", "allocate", "front", "--for", "mail", "--json"];
                let answer = fleet.node(node).must().json(&words).must();
                assert!(
                    answer["passed_over"][0]
                        .as_str()
                        .is_some_and(|it| { it.starts_with("10.77.0.150 is in use by") })
                );
                answer["what"].as_str().unwrap_or_default().to_owned()
            })
        };
        let asked = ["node1", "node2"].map(ask);
        asked.into_iter().map(|it| it.join().expect("it is asked")).collect()
    });
    assert_eq!(got, ["10.77.0.151", "10.77.0.152"].map(str::to_owned).into());

    // What is reserved by hand is passed over too, until none is left.
    words(&fleet, "node3", &["register", "reserve", "10.77.0.153", "--note", "printer"]);
    let taken = refusal(&fleet, "node1", &["register", "reserve", "10.77.0.153", "--for", "mail"]);
    assert!(taken.contains("10.77.0.153 is taken (reserved: printer)"), "{taken}");
    let last = words(&fleet, "node2", &["register", "allocate", "front"]);
    assert!(last.contains("10.77.0.154 is reserved."), "{last}");
    let none = refusal(&fleet, "node1", &["register", "allocate", "front"]);
    assert!(none.contains(POOL) && none.contains("10.77.0.150 is in use by"), "{none}");
    let wrong = refusal(&fleet, "node1", &["register", "allocate", "back"]);
    assert!(wrong.contains("there are pools of: front"), "{wrong}");

    // All nodes say the same of what is whose.
    let list = words(&fleet, "node3", &["register", "--kind", "address"]);
    println!("{list}");
    // The stranger's address is free as far as anybody wrote down.
    for line in ["10.77.0.100", "service web", "reserved for mail", "printer", "1 free"] {
        assert!(list.contains(line), "{line}: {list}");
    }
    let mac = words(&fleet, "node1", &["register", "allocate", "mac", "--note", "a VM"]);
    assert!(mac.starts_with("02:"), "{mac}");

    // A file that uses what is kept for another is refused with its line, and one for mail is not.
    let plain = fleet.plan().configuration() + &services;
    let file = fleet.folder().join("new.toml");
    let path = file.display().to_string();
    let used = |service: &str| {
        let text = format!("{plain}\n[services.{service}]\naddresses = [\"10.77.0.151/24\"]\n");
        std::fs::write(&file, &text).must();
        text.lines().count()
    };
    let line = used("shop");
    let planned = fleet.node("node2").must().stead(&["plan", &path]).must();
    assert_eq!(planned.status.code(), Some(1), "{planned:?}");
    let told = format!("line {line}: 10.77.0.151 is used");
    assert!(planned.stdout.contains(&told), "{told}: {planned:?}");
    let applied = fleet.node("node2").must().stead(&["apply", &path, "--yes"]).must();
    assert_eq!(applied.status.code(), Some(1), "{applied:?}");
    used("mail");
    words(&fleet, "node2", &["apply", &path, "--yes"]);

    // Released it is there for others again; what is used is not to be released.
    words(&fleet, "node1", &["register", "release", "10.77.0.152"]);
    let again = words(&fleet, "node3", &["register", "allocate", "front"]);
    assert!(again.contains("10.77.0.152 is reserved."), "{again}");
    let used = refusal(&fleet, "node1", &["register", "release", "10.77.0.100"]);
    assert!(used.contains("taken (service web)"), "{used}");
    wait_runs(&fleet, "node1");
}
