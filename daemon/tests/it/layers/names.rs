//! Names: written into zones of real servers by who holds the service, and by nobody else.

use std::path::Path;

use stead::demo::fleet::{Fleet, PATIENCE};
use stead_lab::wait_until;

use super::names_bed::marked;
pub(super) use super::names_bed::{KEY, PRIMARY, bind, dig, secret, ttl};
use super::{layer, wait_elsewhere, wait_runs, wait_seen};
use crate::cluster::{Must, wait_for};

pub(super) fn services(key: &Path, names: &str) -> String {
    let address = |octet: u8, node: &str| {
        format!("{{ ip = \"10.77.0.{octet}\", prefix = 24, on = [\"{node}\"] }}")
    };
    let addresses =
        [address(101, "node1"), address(102, "node2"), address(103, "node3")].join(", ");
    format!(
        "\n[services.web]\nprefer = [\"node1\"]\naddresses = [{addresses}]\nnames = [{names}]\n{}\
         \n[zones.shop]\ndomain = \"shop.test\"\nservers = [\"{PRIMARY}\"]\nkey = {:?}\n\
         ttl = \"60s\"\nmoving-ttl = \"2s\"\n",
        super::program_alone(),
        key.display().to_string(),
    )
}

#[test]
fn a_name_follows_its_service_and_nobody_elses_is_touched() {
    let fleet = crate::cluster::three("names");
    let fleet = Fleet::start(fleet).must();
    let server = bind(&fleet, PRIMARY);
    let key = server.folder.join("ha.key");
    secret(&key, KEY);
    let plain = fleet.plan().configuration();
    let text = plain.clone() + &services(&key, "\"www.shop.test\"");
    fleet.apply("node1", &text).must();
    wait_runs(&fleet, "node1");
    wait_for(&fleet, "the name is written", || Ok(dig(&fleet, "www.shop.test") == ["10.77.0.101"]));
    assert_eq!(ttl(&fleet, "www.shop.test"), "60");
    wait_seen(&fleet, "node1", "dns");

    // It is lost: the name is the new holder's, once that serves.
    fleet.silence_then_kill("node1").must();
    let by = wait_elsewhere(&fleet, "node1");
    let wanted = format!("10.77.0.10{}", by.trim_start_matches("node"));
    wait_for(&fleet, "the name leads there", || Ok(dig(&fleet, "www.shop.test") == [&*wanted]));
    wait_seen(&fleet, &by, "dns");
    fleet.power_on("node1").must();
    fleet.wait_whole(PATIENCE).must();
    assert_eq!(dig(&fleet, "www.shop.test"), [&*wanted]);

    // What a person made is left alone, and said so; the service runs all the same.
    let text = plain + &services(&key, "\"old.shop.test\"");
    fleet.apply("node2", &text).must();
    let waited = wait_until(&Default::default(), PATIENCE, || {
        let trouble = layer(&fleet, &by, "dns")["trouble"].as_str().unwrap_or_default().to_owned();
        Ok::<_, std::io::Error>(trouble.contains("did not write"))
    });
    assert!(matches!(waited, stead_lab::Waited::Held), "{}", layer(&fleet, &by, "dns"));
    assert_eq!(dig(&fleet, "old.shop.test"), ["192.0.2.1"]);
    let status = fleet.node(&by).must().stead(&["status"]).must().stdout;
    assert!(status.contains("not all clients are led there by dns"), "{status}");
    let adopted = text.replace(
        "names = [\"old.shop.test\"]",
        "names = [{ name = \"old.shop.test\", adopt = true }]",
    );
    fleet.apply("node2", &adopted).must();
    wait_for(&fleet, "it is adopted", || Ok(dig(&fleet, "old.shop.test") == [&*wanted]));

    // What it is called no more is out of the zone, with its marker.
    fleet.apply("node2", &text.replace("old.shop.test", "new.shop.test")).must();
    wait_for(&fleet, "the new name leads there", || Ok(dig(&fleet, "new.shop.test") == [&*wanted]));
    wait_for(&fleet, "nothing is left of the others", || {
        let names = ["www.shop.test", "old.shop.test"];
        let left = names.iter().any(|name| !dig(&fleet, name).is_empty() || marked(&fleet, name));
        Ok(!left)
    });
    assert!(marked(&fleet, "new.shop.test"));
}
