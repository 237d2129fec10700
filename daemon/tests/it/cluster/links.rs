//! Links that come and go, and addresses that change, while the cluster serves.

use stead::demo::fleet::{Fleet, FleetError, Part};

use super::{Must, assert_untouched, mark, run, serving, wait_for, whole};

/// The address of a node on the link that comes.
fn at(subnet: u8, number: usize) -> String {
    format!("10.88.{subnet}.{}", number + 1)
}

/// The configuration of the fleet with a link more, whose name comes before all others.
fn with_alpha(text: &str, subnet: u8) -> String {
    let mut number = 0;
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("addresses = { ring") {
            lines.push(format!("addresses = {{ alpha = \"{}\", ring{rest}", at(subnet, number)));
            number += 1;
        } else {
            lines.push(line.to_owned());
        }
    }
    assert_eq!(number, 3, "{text}");
    format!("{}\n[links.alpha]\nport = 7801\n", lines.join("\n"))
}

/// Gives every node an address of that subnet on the interface `ring`.
fn give(fleet: &Fleet, subnet: u8) {
    for (number, node) in fleet.nodes().iter().enumerate() {
        run(node.host(), &format!("ip address add {}/24 dev ring", at(subnet, number)));
    }
}

/// Every node hears every other on these links, and has no others.
fn hear_on(fleet: &Fleet, links: &[&str]) -> Result<bool, FleetError> {
    for node in fleet.nodes() {
        let status = node.status()?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let hears = nodes.iter().all(|it| {
            let known = it["links"].as_array().cloned().unwrap_or_default();
            let names: Vec<_> = known.iter().map(|link| link["name"].as_str()).collect();
            names.len() == links.len()
                && names.iter().zip(links).all(|(known, link)| *known == Some(*link))
                && known.iter().all(|link| link["up"] == true)
        });
        if nodes.len() != fleet.nodes().len() || !hears {
            return Ok(false);
        }
    }
    Ok(true)
}

#[test]
fn links_come_and_go_and_addresses_change_while_it_serves() {
    let (fleet, client) = serving("links", "node2");
    let began = mark();
    let plain = fleet.plan().configuration();
    give(&fleet, 1);

    // a link more; its name comes first, so that all others get another number
    fleet.apply("node1", &with_alpha(&plain, 1)).must();
    wait_for(&fleet, "all hear each other on alpha", || {
        hear_on(&fleet, &["alpha", "back", "ring"])
    });
    whole(&fleet);

    // other addresses of all nodes on it
    give(&fleet, 2);
    fleet.apply("node2", &with_alpha(&plain, 2)).must();
    wait_for(&fleet, "they do at the new ones", || hear_on(&fleet, &["alpha", "back", "ring"]));
    for (number, node) in fleet.nodes().iter().enumerate() {
        run(node.host(), &format!("ip address del {}/24 dev ring", at(1, number)));
    }
    whole(&fleet);

    // a daemon that starts now listens where it is said now, not where it joined
    fleet.kill("node3", Part::Daemon).must();
    whole(&fleet);
    let three = fleet.nodes()[2].host();
    let listens = run(three, "ss -Hltn");
    assert!(listens.contains("10.88.2.3:7801"), "{listens}");
    assert!(!listens.contains("10.88.1.3"), "{listens}");

    // everything at once is refused, and nothing has changed
    let all = with_alpha(&plain, 1).replace("[links.ring]", "[links.ring]\nport = 7901");
    let all = all.replace("[links.back]", "[links.back]\nport = 7902");
    let node1 = fleet.node("node1").must();
    node1.write_configuration(&all).must();
    let refused = node1.stead(&["apply", "--yes"]).must();
    assert!(!refused.status.success(), "no link would stay");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("change one link at a time"), "{said}");

    // and a link less
    fleet.apply("node3", &plain).must();
    wait_for(&fleet, "alpha is gone", || hear_on(&fleet, &["back", "ring"]));
    whole(&fleet);
    assert_untouched(client.seen_since(began));
}
