//! What routing daemons might say, and what people write as a prefix.

use stead_fuzz::{Sample, target};

use super::Prefix;
use super::bird::control::Reader;
use super::bird::read as bird;
use super::frr::read as frr;

const PROTOCOLS: &str = "2002-Name       Proto      Table      State  Since         Info\n\
    1002-up         BGP        ---        up     13:11:30.764  Established   \n\
    1006-  BGP state:          Established\n     Neighbor address: 10.20.1.1\n     \
    Last error:       Received: Administrative shutdown\n     Hold timer:       6.648/9\n \n\
    0000 \n";
const SESSIONS: &str = "1020-bfd1:\n IP address                Interface  State      Since         \
    Interval  Timeout\n 10.20.1.1                 a0         Up         13:07:42.261    0.050    \
    0.150\n0000 \n";
const ROUTES: &str = "1007-Table master4:\n 10.99.0.1/32         unicast [stead 13:11:30.004] * \
    (240)\n \tdev vip0\n0000 \n";
const REFUSED: &str = "+0001 log\n9001 syntax error, unexpected CF_SYM_UNDEFINED\n";
const NEIGHBOURS: &str = r#"{"vrfId":0,"10.20.1.1":{"bgpState":"Established",
    "bgpTimerUpString":"00:00:04","bgpTimerHoldTimeMsecs":9000,"lastResetDueTo":
    "BGP Notification received","lastNotificationReason":"Cease","peerBfdInfo":{"status":"Up"}}}"#;
const PEERS: &str = r#"[{"peer":"10.20.1.1","status":"up","transmit-interval":50,
    "detect-multiplier":3,"remote-receive-interval":50}]"#;
const PREFIX: &str = r#"{"prefix":"10.99.0.1/32","advertisedTo":{"10.20.1.1":{}},
    "paths":[{"sourced":true}]}"#;

fn samples(all: &[(&'static str, &str)]) -> Vec<Sample> {
    all.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

#[test]
fn any_answer_of_bird_is_read_or_refused() {
    let all = [
        ("protocols", PROTOCOLS),
        ("sessions", SESSIONS),
        ("routes", ROUTES),
        ("refused", REFUSED),
    ];
    let target = target!("bird").samples(|| samples(&all)).count(60_000);
    target.words(&[b"\n ", b"1002-", b"BGP", b"1006-", b"/", b"nan", b"inf", b"-1"]).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::default();
        let mut done = false;
        for line in text.split('\n') {
            match reader.take(line) {
                Ok(false) => {}
                Ok(true) => {
                    done = true;
                    break;
                }
                Err(reason) => {
                    assert!(!reason.is_empty());
                    return false;
                }
            }
        }
        let lines = reader.finish();
        let _ = (bird::version(&lines), bird::bfd(&lines), bird::number(&lines));
        for speaker in bird::speakers(&lines) {
            assert!(!speaker.address.is_empty());
            let symbol = bird::symbol(&speaker.name).unwrap_or_default();
            assert!(!symbol.contains(['\n', ' ', ';']), "{symbol}");
        }
        if let Ok(prefix) = "10.99.0.1/32".parse() {
            let _ = bird::has_route(&lines, prefix);
        }
        done
    });
}

#[test]
fn any_json_of_frr_is_read_or_refused() {
    let all = [("neighbours", NEIGHBOURS), ("peers", PEERS), ("prefix", PREFIX)];
    let target = target!("frr").samples(|| samples(&all)).count(60_000);
    target.words(&[b"null", b"{}", b"[]", b"99999999999999999999", b"-1", b"\\u0000"]).run(
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _ = frr::version(&text);
            let neighbours = frr::neighbours(&text).map(|it| !it.is_empty()).unwrap_or_default();
            let peers = frr::bfd(&text).is_ok_and(|it| !it.is_empty());
            let prefix = frr::advertised(&text).is_ok_and(|it| it.is_some());
            neighbours || peers || prefix
        },
    );
}

#[test]
fn any_configuration_of_frr_is_read() {
    let text = "router bgp 65010\n address-family ipv4 unicast\n  redistribute connected route-map \
        stead\n exit-address-family\nexit\nip prefix-list stead seq 5 permit 10.99.0.1/32\n\
        route-map stead permit 10\n match interface stead0\nexit\n";
    let all = [("running", text)];
    let target = target!("frr-running").samples(|| samples(&all)).count(60_000);
    target.words(&[b"\n ", b"stead", b"seq 4294967296", b"router bgp"]).run(|bytes| {
        let running = super::frr::running::Running::read(&String::from_utf8_lossy(bytes));
        assert!(running.entries.values().all(|it| !it.line.contains('\n')));
        running.is_configured()
    });
}

#[test]
fn a_prefix_is_what_it_is_written_as() {
    let all = [("v4", "10.98.0.0/24"), ("v6", "fd99::1/128")];
    target!("prefix").samples(|| samples(&all)).words(&[b"/", b"+1", b"::"]).count(60_000).run(
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Ok(prefix) = text.parse::<Prefix>() else { return false };
            assert_eq!(prefix.to_string().parse(), Ok(prefix));
            true
        },
    );
}
