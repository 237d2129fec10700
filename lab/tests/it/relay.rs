use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use stead_lab::prober::{Prober, Target};
use stead_lab::relay::{Direction, Impairment, Relay};
use stead_lab::{Bed, Host, LinkSpec};

use crate::helper::{PORT, ip, start_service, wait_until};

const MS: Duration = Duration::from_millis(1);

struct Relayed {
    // dropped last: it ends everything else
    client: Host,
    server: Host,
    relay: Relay,
    bed: Bed,
}

fn relayed(name: &str) -> Relayed {
    let bed = Bed::new(name).expect("these tests need root");
    let switch = bed.switch("s").expect("a switch");
    let (client, server) = (bed.host("client").expect("made"), bed.host("server").expect("made"));
    let spec = LinkSpec::new("eth0").addr(ip("10.0.0.100"), 24);
    bed.connect(&client, &switch, spec).expect("a cable");
    let spec = LinkSpec::new("eth0").addr(ip("10.0.0.1"), 24);
    let link = bed.connect_by_relay(&server, &switch, spec, 42).expect("a cable");
    let relay = link.relay().expect("a relay");
    Relayed { client, server, relay, bed }
}

#[test]
fn delay_and_one_sided_loss() {
    let lab = relayed("delay");
    start_service(&lab.server);
    let target = Target {
        timeout: 10_000 * MS,
        ..Target::every_millisecond(SocketAddr::new(ip("10.0.0.1"), PORT))
    };
    let prober = Prober::udp(&lab.client, target).expect("a prober");
    wait_until("answers", || prober.answers() > 100);
    lab.relay.set_both(Impairment { delay: 20 * MS, jitter: 5 * MS, ..Impairment::default() });
    let mark = stead_lab::prober::now();
    wait_until("slow answers", || prober.answers() > 500);
    let report = prober.finish().expect("a report");
    let late = report.answers.iter().filter(|answer| answer.asked_us > mark);
    let trips: Vec<u64> = late.map(|answer| answer.answered_us - answer.asked_us).collect();
    assert!(trips.len() > 100 && trips.iter().all(|&trip| trip >= 30_000), "{trips:?}");

    lab.relay.set_both(Impairment::default());
    lab.relay.set(Direction::FromHost, Impairment { loss: 0.3, ..Impairment::default() });
    let before = lab.relay.counts(Direction::FromHost);
    let prober = Prober::udp(&lab.client, target).expect("a prober");
    wait_until("answers", || prober.answers() > 500);
    let report = prober.finish().expect("a report");
    let (from, to) = (lab.relay.counts(Direction::FromHost), lab.relay.counts(Direction::ToHost));
    assert!(from.lost > before.lost + 50, "{from:?}");
    assert_eq!(to.lost, 0, "the other direction is whole");
    assert!(report.answers.len() < usize::try_from(report.asked).expect("small") - 50);
    assert_eq!(lab.relay.failure(), None);
}

#[test]
fn reordering_lets_others_overtake() {
    let lab = relayed("reorder");
    let receiver = lab.client.run(|| UdpSocket::bind("10.0.0.100:9").expect("a socket"));
    let receiver = receiver.expect("inside");
    receiver.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let sender = lab.server.run(|| UdpSocket::bind("10.0.0.1:9").expect("a socket"));
    let sender = sender.expect("inside");
    let how = Impairment { reorder: 0.2, held: 30 * MS, ..Impairment::default() };
    lab.relay.set(Direction::FromHost, how);
    for number in 0..200_u8 {
        sender.send_to(&[number], "10.0.0.100:9").expect("sent");
        // bursts would overflow the neighbour queue while the address is being resolved
        std::thread::sleep(MS);
    }
    let mut order = Vec::new();
    let mut buffer = [0];
    while order.len() < 200 {
        receiver.recv(&mut buffer).expect("all arrive");
        order.push(buffer[0]);
    }
    let counts = lab.relay.counts(Direction::FromHost);
    assert!(counts.reordered > 10 && counts.lost == 0, "{counts:?}");
    assert!(!order.is_sorted(), "{order:?}");
}

#[test]
fn bulk_data_arrives_whole() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let lab = relayed("bulk");
    let listener = lab.server.run(|| TcpListener::bind("10.0.0.1:9").expect("a listener"));
    let listener = listener.expect("inside");
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let data: Vec<u8> = (0..LENGTH).map(|at| (at / 7 % 251) as u8).collect();
        stream.write_all(&data).expect("sent");
    });
    let stream = lab.client.run(|| TcpStream::connect("10.0.0.1:9").expect("connected"));
    let mut data = Vec::new();
    stream.expect("inside").read_to_end(&mut data).expect("received");
    serving.join().expect("served");
    assert_eq!(data.len(), LENGTH);
    assert!(data.iter().enumerate().all(|(at, &octet)| octet == (at / 7 % 251) as u8));
}

#[test]
fn a_relayed_host_can_be_cut_and_unplugged() {
    let lab = relayed("cut-relay");
    let link = &lab.server.links()[0];
    lab.bed.cut(&lab.server).expect("cut");
    let mut netlink = lab.server.netlink().expect("a socket");
    assert!(netlink.link(link.index()).expect("there").carrier);
    lab.bed.unplug(link).expect("pulled");
    assert!(!netlink.link(link.index()).expect("there").carrier);
    lab.bed.plug_in(link).expect("plugged");
    lab.bed.heal(&lab.server).expect("healed");
    lab.bed.power_on(&lab.server).expect("power cycle");
    start_service(&lab.server);
    let target = Target::every_millisecond(SocketAddr::new(ip("10.0.0.1"), PORT));
    let prober = Prober::http(&lab.client, target).expect("a prober");
    wait_until("answers by way of a new relay", || prober.answers() > 10);
}
