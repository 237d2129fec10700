use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_lab::prober::{How, LongProber, Prober, Seek, Target, now};

use crate::helper::{PORT, TwoSites, ip, start_service, two_sites, wait_until};

const CUT: Duration = Duration::from_millis(300);

fn sees_the_cut(sites: &TwoSites, prober: Prober) {
    wait_until("answers", || prober.answers() > 200);
    assert_eq!(prober.node_now().as_deref(), Some("node1"));
    let node = &sites.nodes[0];
    let mark = now();
    sites.bed.cut(node).expect("cut");
    let cut_at = now();
    // the fault itself has to last; nothing is concluded from the time that passes
    std::thread::sleep(CUT);
    let heal_at = now();
    sites.bed.heal(node).expect("healed");
    let before = prober.answers();
    wait_until("answers again", || prober.answers() > before + 100);
    let outage = Duration::from_micros(heal_at - cut_at);
    assert!(prober.longest_gap_since(mark) >= outage);
    let strip = prober.strip(Duration::from_secs(120), 60);
    assert_eq!(strip.iter().map(|cell| cell.answers as usize).sum::<usize>(), prober.answers());

    let report = prober.finish().expect("a report");
    assert!(report.longest_gap_between(mark, heal_at) >= outage);
    let gap = report.gaps.iter().max_by_key(|gap| gap.length()).expect("a gap");
    assert!(gap.from_us <= heal_at && gap.to_us > cut_at);
    assert_eq!(gap.after.as_deref(), Some("node1"));
    assert_eq!(report.nodes, ["node1"]);
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["gaps"][0]["from_us"], report.gaps[0].from_us);
    assert!(report.asked as usize >= report.answers.len());
}

#[test]
fn http_sees_an_outage_as_long_as_the_cut() {
    for service in ["10.0.0.1", "fd00::1"] {
        let sites = two_sites("http");
        start_service(&sites.nodes[0]);
        let target = Target::every_millisecond(SocketAddr::new(ip(service), PORT));
        let prober = Prober::http(&sites.client, target).expect("a prober");
        sees_the_cut(&sites, prober);
    }
}

#[test]
fn udp_sees_an_outage_as_long_as_the_cut() {
    for service in ["10.0.0.1", "fd00::1"] {
        let sites = two_sites("udp");
        start_service(&sites.nodes[0]);
        let target = Target::every_millisecond(SocketAddr::new(ip(service), PORT));
        let prober = Prober::udp(&sites.client, target).expect("a prober");
        sees_the_cut(&sites, prober);
    }
}

/// Finds what a trial says.
struct Said(Arc<Mutex<SocketAddr>>, bool);

impl Seek for Said {
    const EVERY: Duration = Duration::from_millis(1);

    fn begin(&mut self) -> std::io::Result<()> {
        self.1 = true;
        Ok(())
    }

    fn found(&mut self) -> Option<SocketAddr> {
        std::mem::take(&mut self.1).then(|| *self.0.lock().unwrap())
    }
}

#[test]
fn who_looks_up_first_sees_an_outage_as_long_as_the_cut_and_follows_what_is_found() {
    for (one, two) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let sites = two_sites("seek");
        sites.nodes.iter().take(2).for_each(|node| drop(start_service(node)));
        let place = |text| SocketAddr::new(ip(text), PORT);
        let at = Arc::new(Mutex::new(place(two)));
        let seek = Said(Arc::clone(&at), false);
        let v4 = ip(one).is_ipv4();
        let patience = Duration::from_millis(250);
        let seeking = Prober::seeking(&sites.client, v4, patience, move || Ok(seek));
        let prober = seeking.expect("a prober");
        wait_until("node2 answers", || prober.node_now().as_deref() == Some("node2"));
        *at.lock().unwrap() = place(one);
        wait_until("node1 answers", || prober.node_now().as_deref() == Some("node1"));
        drop(prober);
        let seek = Said(at, false);
        let seeking = Prober::seeking(&sites.client, v4, patience, move || Ok(seek));
        sees_the_cut(&sites, seeking.expect("a prober"));
    }
}

#[test]
fn a_long_connection_outlives_a_cut_and_is_told_of_a_killed_service() {
    let sites = two_sites("long");
    let node = &sites.nodes[0];
    let service = start_service(node);
    let to = SocketAddr::new(ip("10.0.0.1"), PORT);
    let prober = LongProber::start(&sites.client, to, Duration::from_millis(5)).expect("a prober");
    wait_until("answers", || prober.answers() > 20);
    let mark = now();
    sites.bed.cut(node).expect("cut");
    let cut_at = now();
    std::thread::sleep(CUT);
    let outage = Duration::from_micros(now() - cut_at);
    sites.bed.heal(node).expect("healed");
    let before = prober.answers();
    wait_until("answers on the same connection", || prober.answers() > before + 20);
    assert!(prober.longest_gap_since(mark) >= outage);
    assert!(prober.ends().is_empty(), "{:?}", prober.ends());

    service.kill().expect("killed");
    wait_until("the client is told", || !prober.ends().is_empty());
    start_service(node);
    let before = prober.answers();
    wait_until("answers on a new connection", || prober.answers() > before + 20);
    let report = prober.finish().expect("a report");
    assert!(matches!(report.ends[0].how, How::Reset | How::Closed), "{:?}", report.ends);
    assert!(report.ends[0].told_us >= report.ends[0].last_answer_us);
}
