//! What FRR's JSON means. Keys that are not known are passed over: each version has more.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::{Bfd, Neighbour, Session};

/// No timer is longer, in milliseconds (a day).
const LONGEST_TIMER: u64 = 86_400_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    bgp_state: String,
    admin_shut_down: Option<bool>,
    bgp_timer_up_string: Option<String>,
    bgp_timer_hold_time_msecs: Option<u64>,
    last_notification_reason: Option<String>,
    last_reset_due_to: Option<String>,
    peer_bfd_info: Option<Value>,
    #[serde(default)]
    neighbor_capabilities: Value,
    #[serde(default)]
    graceful_restart_info: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BfdPeer {
    peer: String,
    status: String,
    transmit_interval: Option<u64>,
    detect_multiplier: Option<u64>,
    remote_receive_interval: Option<u64>,
}

/// `FRRouting 8.4.4 (name) on Linux`: without what follows.
pub fn version(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().take(2).collect();
    match words[..] {
        ["FRRouting", number] => format!("FRR {}", number.chars().take(20).collect::<String>()),
        _ => "FRR".to_owned(),
    }
}

/// `show bgp neighbors json`: by address or interface; other keys stand between them.
pub fn neighbours(text: &str) -> Result<Vec<Neighbour>, serde_json::Error> {
    let all: BTreeMap<String, Value> = serde_json::from_str(text)?;
    let peers = all.into_iter().filter(|(_, value)| value.get("bgpState").is_some());
    peers.map(|(name, value)| Ok(neighbour(name, serde_json::from_value(value)?))).collect()
}

/// For how long the neighbour may go on with what this daemon announced when the hold time is over.
///
/// By the usual graceful restart (RFC 4724) it drops that at once, unless both ends agreed
/// otherwise (RFC 8538). Where both know the long-lived one (RFC 9494) it may go on, for this
/// daemon's time of the usual one and then of the long one: BIRD does, and FRR only where it was
/// told to. FRR says that it knows it, unless it is told otherwise, and its times are 120 s and 0
/// then.
fn retained(peer: &Peer) -> Option<Duration> {
    let both = |key: &str| {
        let said = peer.neighbor_capabilities.get(key).and_then(Value::as_str);
        said == Some("advertisedAndReceived")
    };
    let info = &peer.graceful_restart_info;
    let mode = info.get("localGrMode").and_then(Value::as_str).unwrap_or_default();
    let notified = info.get("nBit").and_then(Value::as_bool) == Some(true);
    let timer = |key: &str| info.get("timers")?.get(key)?.as_u64()?.checked_mul(1_000);
    let usual = timer("configuredRestartTimer").and_then(milliseconds)?;
    let long = timer("configuredLlgrStaleTime").and_then(milliseconds).unwrap_or_default();
    if !both("gracefulRestart") {
        return None;
    }
    if both("longLivedGracefulRestart") {
        return Some(usual + long);
    }
    (notified && mode.starts_with("Restart")).then_some(usual)
}

fn neighbour(name: String, peer: Peer) -> Neighbour {
    let retained = retained(&peer);
    let off = peer.admin_shut_down == Some(true);
    let session = if off { Session::Off } else { Session::read(&peer.bgp_state) };
    let told = peer.last_reset_due_to.as_deref().is_some_and(|it| it.contains("received"));
    let last_error = match (peer.last_notification_reason, peer.last_reset_due_to) {
        // It was sent by this side otherwise.
        (Some(words), _) if told => Some(format!("Received: {words}")),
        (_, Some(words)) => Some(words),
        (words, None) => words,
    };
    Neighbour {
        address: name.clone(),
        name,
        session,
        since: peer.bgp_timer_up_string.unwrap_or_default(),
        last_error: last_error.map(|words| plain(&words)),
        hold: peer.bgp_timer_hold_time_msecs.and_then(milliseconds),
        retained,
        // Until `show bfd peers` says more.
        bfd: if peer.peer_bfd_info.is_some() { Bfd::Down } else { Bfd::Off },
    }
}

/// `show bfd peers json`, by the neighbour's address.
pub fn bfd(text: &str) -> Result<BTreeMap<String, Bfd>, serde_json::Error> {
    let all: Vec<BfdPeer> = serde_json::from_str(text)?;
    Ok(all.into_iter().map(|peer| (peer.peer.clone(), session(&peer))).collect())
}

/// The other end waits for so many of our packets, which we send no more often than it reads.
fn session(peer: &BfdPeer) -> Bfd {
    if peer.status != "up" {
        return Bfd::Down;
    }
    let ours = peer.transmit_interval.unwrap_or_default();
    let interval = ours.max(peer.remote_receive_interval.unwrap_or_default());
    let whole = interval.saturating_mul(peer.detect_multiplier.unwrap_or(1));
    match (milliseconds(interval), milliseconds(whole)) {
        (Some(interval), Some(detection)) => Bfd::Up { interval, detection },
        _ => Bfd::Down,
    }
}

/// `show bgp FAMILY unicast PREFIX json`: to whom it goes; `None` if this node has not brought it
/// in.
pub fn advertised(text: &str) -> Result<Option<Vec<String>>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        #[serde(default)]
        paths: Vec<Value>,
        #[serde(default)]
        advertised_to: BTreeMap<String, Value>,
    }
    let entry: Entry = serde_json::from_str(text)?;
    let ours = |path: &Value| path.get("sourced") == Some(&Value::Bool(true));
    let learnt = entry.paths.iter().any(ours);
    Ok(learnt.then(|| entry.advertised_to.into_keys().collect()))
}

fn milliseconds(number: u64) -> Option<Duration> {
    (1..=LONGEST_TIMER).contains(&number).then(|| Duration::from_millis(number))
}

fn plain(words: &str) -> String {
    words.chars().filter(|it| !it.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_that_closed_the_session_is_told_from_one_that_was_lost() {
        let closed = r#"{"vrfId":0,"10.1.0.1":{"bgpState":"Idle","peerBfdInfo":{},
            "lastNotificationReason":"Cease/Administrative Shutdown",
            "lastResetDueTo":"BGP Notification received"}}"#;
        let found = neighbours(closed).expect("JSON");
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&one.session, one.bfd), (&Session::Idle, Bfd::Down));
        assert!(one.was_told());
        assert_eq!(one.last_error.as_deref(), Some("Received: Cease/Administrative Shutdown"));
        let lost = closed.replace("BGP Notification received", "BGP Notification send");
        assert!(!neighbours(&lost).expect("JSON")[0].was_told());
    }

    #[test]
    fn a_neighbour_keeps_routes_where_both_know_long_lived_graceful_restart() {
        let text = r#"{"10.1.0.1":{"bgpState":"Established",
            "neighborCapabilities":{"gracefulRestart":"advertisedAndReceived",
            "longLivedGracefulRestart":"advertisedAndReceived"},
            "gracefulRestartInfo":{"localGrMode":"Helper*","nBit":false,
            "timers":{"configuredRestartTimer":120,"receivedRestartTimer":90}}}}"#;
        let retained = |text: &str| neighbours(text).expect("JSON")[0].retained;
        assert_eq!(retained(text), Some(Duration::from_secs(120)));
        let usual = text.replace("longLived", "no");
        assert_eq!(retained(&usual), None);
        let agreed = usual.replace("false", "true");
        assert_eq!(retained(&agreed), None);
        let agreed = agreed.replace("Helper*", "Restart");
        assert_eq!(retained(&agreed), Some(Duration::from_secs(120)));
        let stale = r#""configuredRestartTimer":120,"configuredLlgrStaleTime":30"#;
        let long = text.replace(r#""configuredRestartTimer":120"#, stale);
        assert_eq!(retained(&long), Some(Duration::from_secs(150)));
        assert_eq!(retained(&text.replace("AndReceived", "")), None);
        assert_eq!(retained(r#"{"10.1.0.1":{"bgpState":"Established"}}"#), None);
    }

    #[test]
    fn the_slower_end_of_bfd_says_how_often() {
        let text = r#"[{"peer":"10.1.0.1","status":"up","transmit-interval":50,
            "detect-multiplier":3,"remote-receive-interval":300}]"#;
        let (interval, detection) = (Duration::from_millis(300), Duration::from_millis(900));
        let wanted = BTreeMap::from([("10.1.0.1".to_owned(), Bfd::Up { interval, detection })]);
        assert_eq!(bfd(text).expect("JSON"), wanted);
    }

    #[test]
    fn what_others_announced_is_not_learnt_from_this_node() {
        assert_eq!(advertised("{}").expect("JSON"), None);
        let foreign = r#"{"paths":[{"valid":true}],"advertisedTo":{"a":{}}}"#;
        assert_eq!(advertised(foreign).expect("JSON"), None);
        let ours = r#"{"paths":[{"sourced":true}],"advertisedTo":{"10.1.0.1":{}}}"#;
        assert_eq!(advertised(ours).expect("JSON"), Some(vec!["10.1.0.1".to_owned()]));
        assert_eq!(version("FRRouting 8.4.4 (a) on Linux"), "FRR 8.4.4");
    }
}
