//! What an advice is made from, and lengths, as a person reads them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::facts::{AddressFacts, Clients, Facts, Known, Segments, listed};
use crate::state::config::Caching;
use crate::time::Span;

/// One thing that is known, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub what: String,
    /// What is known of it; nothing if it isn't.
    pub value: Option<String>,
    /// From whom, or why it isn't known.
    pub source: String,
}

/// A length of time in a unit that fits: "407 ms", "60.4 s", "12 min".
#[must_use]
pub fn length(span: Span) -> String {
    let millis = span.0.div_ceil(1_000);
    if millis < 1_000 {
        return format!("{millis} ms");
    }
    let tenths = millis.div_ceil(100);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if whole >= 600 {
        let tenths = tenths.div_ceil(60);
        let (whole, tenth) = (tenths / 10, tenths % 10);
        return if tenth == 0 { format!("{whole} min") } else { format!("{whole}.{tenth} min") };
    }
    if tenth == 0 { format!("{whole} s") } else { format!("{whole}.{tenth} s") }
}

/// Everything that the advice stands on.
pub(super) fn lines(facts: &Facts) -> Vec<Line> {
    let nodes: Vec<_> = facts.nodes.iter().map(|it| it.name.as_str()).collect();
    let mut lines = Vec::new();
    let declared = |what: String, value: String| Line {
        what,
        value: Some(value),
        source: "declared".to_string(),
    };
    lines.push(declared("nodes".to_string(), listed(&nodes)));
    lines.push(line("clients", &facts.clients, clients));
    lines.push(declared("clients keep a name".to_string(), caching(facts.caching)));
    for address in &facts.addresses {
        let what = format!("segment of {}", address.ip);
        lines.push(line(&what, &address.segments, segments));
        let found = address.segments.value().map(|it| &it.gateways);
        if let Some(gateways) = found.filter(|it| !it.is_empty()) {
            let gateways: Vec<_> = gateways.iter().map(ToString::to_string).collect();
            let value = Some(listed(&gateways));
            let what = format!("gateways of {}", address.ip);
            lines.push(Line { what, value, source: address.segments.source() });
        }
    }
    lines.extend(facts.addresses.iter().filter_map(suppressed));
    for node in &facts.nodes {
        let what = format!("routing on {}", node.name);
        lines.push(line(&what, &node.routing, |it| match it.sessions.as_slice() {
            [] => format!("{}, no session", it.daemon),
            sessions => format!("{}, {}; {}", it.daemon, sessions_with(sessions), it.why),
        }));
    }
    for server in &facts.servers {
        let what = format!("name server {}", server.at);
        lines.push(line(&what, &server.answers, |it| format!("answers within {}", length(*it))));
    }
    lines.push(line("start of the program", &facts.start, |it| length(*it)));
    lines.push(line("reload at clients", &facts.reload, |it| length(*it)));
    lines
}

/// What takeovers have shown of an address's segment.
fn suppressed(address: &AddressFacts) -> Option<Line> {
    let nodes: Vec<_> = address.suppressed_by()?.iter().map(String::as_str).collect();
    Some(Line {
        what: format!("announcements of {}", address.ip),
        value: Some("do not arrive on its segment".to_string()),
        source: listed(&nodes),
    })
}

fn line<T>(what: &str, known: &Known<T>, tell: impl FnOnce(&T) -> String) -> Line {
    Line { what: what.to_string(), value: known.value().map(tell), source: known.source() }
}

fn sessions_with(sessions: &[String]) -> String {
    if sessions.len() == 1 {
        format!("a session with {}", listed(sessions))
    } else {
        format!("sessions with {}", listed(sessions))
    }
}

fn clients(clients: &Clients) -> String {
    match clients {
        Clients::Anywhere => "anywhere".to_string(),
        Clients::Beside(client) => format!("{client}, on the segment"),
        Clients::Behind { client, gateways } if gateways.is_empty() => {
            format!("{client}, which no node has a way to")
        }
        Clients::Behind { client, gateways } => {
            let gateways: Vec<_> = gateways.iter().map(ToString::to_string).collect();
            format!("{client}, behind {}", listed(&gateways))
        }
    }
}

fn caching(caching: Caching) -> String {
    match caching {
        Caching::Ttl => "for its time to live".to_string(),
        Caching::AtLeast(least) => format!("for at least {}", length(least)),
        Caching::UntilRestart => "until they are started anew".to_string(),
    }
}

fn segments(segments: &Segments) -> String {
    let group = |it: &alloc::collections::BTreeSet<String>| {
        let names: Vec<_> = it.iter().map(String::as_str).collect();
        listed(&names)
    };
    let mut groups: Vec<_> = segments.groups.iter().map(group).collect();
    let unclear: Vec<_> = segments.unclear.keys().map(String::as_str).collect();
    if !unclear.is_empty() {
        groups.push(format!("{} unclear", listed(&unclear)));
    }
    groups.join(" | ")
}
