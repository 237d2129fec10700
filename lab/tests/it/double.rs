use std::time::Duration;

use stead_lab::Mac;
use stead_lab::prober::{DoubleProber, Question, now};
use stead_linux::netlink::AddressSpec;

use crate::helper::{TwoSites, ip, two_sites, wait_until};

const MS: Duration = Duration::from_millis(1);

fn prober(sites: &TwoSites, v6: bool, question: Question) -> DoubleProber {
    let nodes: Vec<(String, Mac)> =
        sites.nodes.iter().map(|n| (n.name().to_owned(), n.links()[0].mac())).collect();
    let (from, service) = if v6 { ("fd00::100", "fd00::50") } else { ("10.0.0.100", "10.0.0.50") };
    let from = ("eth0", ip(from));
    DoubleProber::start(&sites.client, from, ip(service), &nodes, MS, question).expect("a prober")
}

fn one_holder_then_two(v6: bool, question: Question) {
    let sites = two_sites("double");
    let (service, prefix) = if v6 { ("fd00::50", 64) } else { ("10.0.0.50", 24) };
    let spec = AddressSpec::new(ip(service), prefix);
    let set = |node: usize| {
        let index = sites.nodes[node].links()[0].index();
        let mut netlink = sites.nodes[node].netlink().expect("a socket");
        netlink.add_address(index, &spec).expect("added");
    };
    let prober = prober(&sites, v6, question);
    wait_until("beats", || prober.beats() > 50);
    assert!(prober.holders(1000 * MS).is_empty());
    set(0);
    wait_until("the holder", || prober.holders(1000 * MS) == ["node1"]);
    let beats = prober.beats();
    wait_until("more beats", || prober.beats() > beats + 200);
    assert_eq!(prober.double_ms(0, now()), 0.0, "one holder is none too many");
    assert_eq!(prober.last_answer("node2", 0), None);

    let mark = now();
    set(1);
    wait_until("the second holder", || prober.double_ms(mark, now()) >= 20.0);
    assert_eq!(prober.double_ms(0, mark), 0.0);
    assert!(prober.last_answer("node2", mark).is_some_and(|last| last >= mark));
    assert_eq!(prober.last_answer("node2", u64::MAX), None, "nothing was asked since");
    let runs = prober.answered("node2", 0, 1000 * MS);
    assert!(matches!(runs[..], [(from, to)] if from >= mark && to > from), "{runs:?}");
    assert!(prober.answered("node9", 0, MS).is_empty(), "there is no such node");
    let report = prober.finish().expect("a report");
    assert!(report.double_ms >= 20.0 && report.silent_beats >= 50);
    assert_eq!(report.spans[0].nodes, ["node1", "node2"]);
    assert!(report.spans[0].from_us >= mark);
}

#[test]
fn two_holders_cannot_hide_ipv4() {
    one_holder_then_two(false, Question::Echo);
}

#[test]
fn two_holders_cannot_hide_ipv6() {
    one_holder_then_two(true, Question::Echo);
}

#[test]
fn two_claims_cannot_hide_ipv4() {
    one_holder_then_two(false, Question::Resolve);
}

#[test]
fn two_claims_cannot_hide_ipv6() {
    one_holder_then_two(true, Question::Resolve);
}
