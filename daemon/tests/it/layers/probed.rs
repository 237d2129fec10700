//! Probes of a real segment, with switches that are locked while nobody looks.

use serde_json::Value;
use stead::demo::fleet::Fleet;
use stead_lab::Lock;

use super::{cluster, program, wait_runs};
use crate::cluster::Must;

const AT: &str = "10.77.0.100";

/// The verdicts of a probe, form by form.
fn probed(fleet: &Fleet, words: &[&str]) -> (bool, Vec<Value>) {
    let mut all = vec!["redirect", "probe", "web", "--json"];
    all.extend(words);
    let said = fleet.node("node1").must().stead(&all).must();
    let all = serde_json::Deserializer::from_str(&said.stdout).into_iter::<Value>().flatten();
    let verdicts = { all }.find_map(|it| it["verdicts"].as_array().cloned());
    let verdicts = verdicts.unwrap_or_else(|| panic!("{} {}", said.stdout, said.stderr));
    (said.status.success(), verdicts)
}

fn because(verdicts: &[Value], form: &str) -> String {
    let of_form = |it: &&Value| it["form"].to_string().contains(form);
    let verdict = verdicts.iter().find(of_form).unwrap_or(&Value::Null);
    verdict["because"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_probe_says_what_a_segment_does_with_takeovers() {
    let services = format!(
        "\n[services.web]\nprefer = [\"node1\"]\naddresses = [\"{AT}/24\"]\n{}",
        program(AT)
    );
    let fleet = cluster("probed", &services);
    wait_runs(&fleet, "node1");
    let (works, verdicts) = probed(&fleet, &[]);
    assert!(works, "{verdicts:?}");
    assert_eq!([because(&verdicts, "arp"), because(&verdicts, "mac")], ["nothing", "nothing"]);

    // Its own service's address is refused, and so is a cast that is too small.
    let node = fleet.node("node1").must();
    let refused = node.stead(&["redirect", "probe", "web", "--address", AT]).must();
    assert!(!refused.status.success(), "{}", refused.stdout);
    assert!(refused.stderr.contains("belongs to a node or a service"), "{}", refused.stderr);
    let refused = node.stead(&["redirect", "probe", "web", "--nodes", "node1,node2"]).must();
    assert!(refused.stderr.contains("3 are needed"), "{}", refused.stderr);

    // A port that lets no other MAC in: addresses move, MACs do not.
    let link = fleet.link("node2", "front").must();
    let locked = fleet.bed().lock(&link, &Lock::OnlyMacs(vec![link.mac()])).must();
    let (works, verdicts) = probed(&fleet, &["--wait", "4"]);
    assert!(works, "{verdicts:?}");
    assert_eq!(because(&verdicts, "mac"), "port-security", "{verdicts:?}");
    assert_eq!(because(&verdicts, "arp"), "nothing", "{verdicts:?}");
    fleet.bed().unlock(locked).must();
}
