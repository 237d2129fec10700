//! What BIRD's answers mean. They are made for people, and read leniently: what is not understood
//! is passed over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Bfd, Prefix};
use super::control::Line;

/// "1000-BIRD 2.0.12".
const VERSION: u16 = 1000;
/// A protocol's line in `show protocols`.
const PROTOCOL: u16 = 1002;
/// What `show protocols all` says of it.
const DETAILS: u16 = 1006;
/// No timer of BFD or BGP is longer, in seconds (BGP: two bytes).
const LONGEST_TIMER: f64 = 65_535.0;
/// A stale time has three octets (RFC 9494, 3.1), in seconds.
const LONGEST_STALE: u32 = 0xff_ffff;

/// A BGP session as BIRD has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Its name in `bird.conf`.
    pub name: String,
    /// Its state: BGP's own if it is told, the protocol's otherwise.
    pub state: String,
    /// Since when.
    pub since: String,
    /// The neighbour's address.
    pub address: String,
    /// Why it was down last.
    pub last_error: Option<String>,
    /// The agreed hold time.
    pub hold: Option<Duration>,
    /// For how long the neighbour goes on with our routes after that; known while the session is
    /// up.
    pub retained: Option<Duration>,
    /// Whose capabilities the lines are about: ours, the neighbour's, or nobody's.
    side: Option<Side>,
    /// Our own time for the usual graceful restart.
    restart: Duration,
    /// The one for the long-lived, in seconds, if we ask for that.
    long: Option<u32>,
    /// The neighbour knows the long-lived one.
    theirs_long: bool,
}

/// Whose capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

/// BIRD's name and version.
pub fn version(lines: &[Line]) -> String {
    let line = lines.iter().find(|line| line.code == VERSION && line.text.starts_with("BIRD"));
    let text = line.map_or("BIRD", |line| &line.text);
    text.chars().filter(|it| !it.is_control()).take(40).collect()
}

/// The BGP sessions of `show protocols all`.
pub fn speakers(lines: &[Line]) -> Vec<Speaker> {
    let mut found: Vec<Speaker> = Vec::new();
    let mut inside = false;
    for line in lines {
        if line.code == PROTOCOL {
            let speaker = headline(&line.text);
            inside = speaker.is_some();
            found.extend(speaker);
        } else if let (true, DETAILS, Some(speaker)) = (inside, line.code, found.last_mut()) {
            detail(speaker, &line.text);
        }
    }
    // Templates and dynamic listeners have no neighbour.
    found.retain(|speaker| !speaker.address.is_empty());
    found
}

/// `up  BGP  ---  up  13:07:42.312  Established`.
fn headline(text: &str) -> Option<Speaker> {
    let mut words = text.split_whitespace();
    let name = words.next()?.to_owned();
    if words.next()? != "BGP" {
        return None;
    }
    let (_table, state, mut since) = (words.next()?, words.next()?, words.next()?.to_owned());
    // A day and a time, where the operator's `timeformat` has both.
    if let Some(time) = words.next().filter(|it| since.contains('-') && it.contains(':')) {
        since = format!("{since} {time}");
    }
    Some(Speaker {
        name,
        state: state.to_owned(),
        since,
        address: String::new(),
        last_error: None,
        hold: None,
        retained: None,
        side: None,
        restart: Duration::ZERO,
        long: None,
        theirs_long: false,
    })
}

/// What becomes of our routes when the hold time is over: where we ask for long-lived graceful
/// restart (RFC 9494), a neighbour that knows it goes on with them for the time of the usual one
/// and then for that of the long one. All other neighbours drop them at once (RFC 4724, 4.2). A
/// BIRD that nobody told to knows of it, and asks for nothing: it says no time.
fn capability(speaker: &mut Speaker, text: &str) {
    let text = text.trim();
    match text {
        "Local capabilities" => speaker.side = Some(Side::Ours),
        "Neighbor capabilities" => speaker.side = Some(Side::Theirs),
        "Long-lived graceful restart" if speaker.side == Some(Side::Theirs) => {
            speaker.theirs_long = true;
        }
        _ if speaker.side == Some(Side::Ours) => {
            if let Some(time) = text.strip_prefix("Restart time:") {
                speaker.restart = seconds(time).unwrap_or_default();
            } else if let Some(time) = text.strip_prefix("LL stale time:") {
                speaker.long = time.trim().parse().ok().filter(|it| *it <= LONGEST_STALE);
            }
        }
        _ => {}
    }
    let long = speaker.long.filter(|_| speaker.theirs_long);
    let whole = long.map(|long| speaker.restart + Duration::from_secs(long.into()));
    speaker.retained = whole.filter(|it| !it.is_zero());
}

fn detail(speaker: &mut Speaker, text: &str) {
    capability(speaker, text);
    let Some((key, value)) = text.split_once(':') else { return };
    let value = value.trim();
    match key.trim() {
        "BGP state" => speaker.state = value.to_owned(),
        "Neighbor address" => speaker.address = value.to_owned(),
        "Last error" => {
            let words = value.chars().filter(|it| !it.is_control()).take(200);
            speaker.last_error = Some(words.collect());
        }
        // What is left of how much; 0 is without end.
        "Hold timer" => {
            let whole = value.rsplit('/').next().unwrap_or_default();
            speaker.hold = seconds(whole).filter(|it| !it.is_zero());
        }
        _ => {}
    }
}

/// The sessions of `show bfd sessions`, by the neighbour's address.
pub fn bfd(lines: &[Line]) -> BTreeMap<String, Bfd> {
    lines.iter().filter_map(|line| session(&line.text)).collect()
}

/// `10.20.1.1  a0  Up  13:07:42.261  0.050  0.150`: its state, and seconds.
fn session(text: &str) -> Option<(String, Bfd)> {
    let words: Vec<_> = text.split_whitespace().collect();
    let [address, _interface, state, .., interval, detection] = words[..] else { return None };
    let address = address.split('%').next().unwrap_or(address);
    address.parse::<std::net::IpAddr>().ok()?;
    let bfd = match (state, seconds(interval), seconds(detection)) {
        ("Up", Some(interval), Some(detection)) => Bfd::Up { interval, detection },
        _ => Bfd::Down,
    };
    Some((address.to_owned(), bfd))
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (0.0..=LONGEST_TIMER).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// Whether `show route` has a line for that prefix.
pub fn has_route(lines: &[Line], prefix: Prefix) -> bool {
    let is_it = |line: &Line| {
        let first = line.text.split_whitespace().next();
        !line.text.starts_with(char::is_whitespace)
            && first.and_then(|word| word.parse::<Prefix>().ok()) == Some(prefix)
    };
    lines.iter().any(is_it)
}

/// What `eval` printed, if it is a number.
pub fn number(lines: &[Line]) -> Option<u32> {
    lines.last()?.text.trim().parse().ok()
}

/// The name of a protocol, in the form in which it may be asked for.
pub fn symbol(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let quoted = |byte: u8| plain(byte) || b"-.:".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(quoted) {
        return None;
    }
    let bare = name.bytes().all(plain) && !name.starts_with(|it: char| it.is_ascii_digit());
    Some(if bare { name.to_owned() } else { format!("'{name}'") })
}

#[cfg(test)]
mod tests {
    use super::super::control::Reader;
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.take(line).expect("a line of BIRD's");
        }
        reader.finish()
    }

    #[test]
    fn a_session_that_the_neighbour_closed() {
        let text = "2002-Name       Proto      Table      State  Since         Info\n\
            1002-device1    Device     ---        up     13:08:56.819  \n\
            1006-\n\
            1002-up         BGP        ---        start  2026-11-30 13:11:42  Active    Received\n\
            1006-  BGP state:          Active\n \
                Neighbor address: fe80::1%eth0\n \
                Last error:       Received: Administrative shutdown\n \
                Hold timer:       7.575/9\n0000 \n";
        let found = speakers(&lines(text));
        let [speaker] = &found[..] else { panic!("{found:?}") };
        assert_eq!((speaker.name.as_str(), speaker.state.as_str()), ("up", "Active"));
        assert_eq!(speaker.since, "2026-11-30 13:11:42");
        assert_eq!(speaker.address, "fe80::1%eth0");
        assert_eq!(speaker.last_error.as_deref(), Some("Received: Administrative shutdown"));
        assert_eq!(speaker.hold, Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_neighbour_keeps_routes_where_both_know_long_lived_graceful_restart() {
        let said = |ours: &[&str], theirs: &str| {
            let ours: Vec<_> = ours.iter().map(|it| format!("1006-      {it}\n")).collect();
            let text = format!(
                "1002-up         BGP        ---        up     13:07:42.312  Established   \n\
                 1006-  BGP state:          Established\n\
                 1006-    Neighbor address: 10.1.0.1\n\
                 1006-    Local capabilities\n{}\
                 1006-    Neighbor capabilities\n\
                 1006-      {theirs}\n\
                 1006-    Hold timer:       7.575/9\n0000 \n",
                ours.concat()
            );
            let found = speakers(&lines(&text));
            found.first().expect("one").retained.map(|it| it.as_secs())
        };
        const LONG: &str = "Long-lived graceful restart";
        let on = ["Graceful restart", "  Restart time: 120", LONG, "  LL stale time: 86400"];
        assert_eq!(said(&on, LONG), Some(86_520));
        // That it is known is not that it is asked for.
        assert_eq!(said(&on[..3], LONG), None);
        assert_eq!(said(&on[..2], LONG), None);
        assert_eq!(said(&on, "Graceful restart"), None);
        assert_eq!(said(&["Graceful restart", LONG], LONG), None, "as BIRD is without a word");
    }

    #[test]
    fn sessions_of_bfd_have_their_timers() {
        let text = "1020-bfd1:\n \
            IP address                Interface  State      Since         Interval  Timeout\n \
            10.20.1.1                 a0         Up         13:07:42.261    0.050    0.150\n \
            fe80::1%a0                a0         Down       13:07:42.261    1.000    0.000\n\
            0000 \n";
        let found = bfd(&lines(text));
        let (interval, detection) = (Duration::from_millis(50), Duration::from_millis(150));
        let up = Bfd::Up { interval, detection };
        let wanted = [("10.20.1.1".to_owned(), up), ("fe80::1".to_owned(), Bfd::Down)];
        assert_eq!(found, BTreeMap::from(wanted));
    }

    #[test]
    fn names_are_asked_for_as_bird_writes_them() {
        assert_eq!(symbol("up_1").as_deref(), Some("up_1"));
        assert_eq!(symbol("to-r1.b").as_deref(), Some("'to-r1.b'"));
        for wrong in ["", "a b", "a'", "a\nconfigure"] {
            assert_eq!(symbol(wrong), None, "{wrong}");
        }
    }
}
