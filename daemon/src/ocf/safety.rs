//! What has to be known of a node before what an agent ran there may be started elsewhere.
//!
//! The end of a lease ends programs. It does not undo all that agents do: a mount, a volume, an
//! address or a session on a storage stays until somebody takes it away. So, unless it is known to
//! be harmless that the former node keeps what it has, that node has to be fenced. Known to be
//! harmless is what stands in the list here, each with its reason; everything else is not.

use stead_core::state::config::Safety;

use super::name::AgentName;

/// The agents of which two may run. What a service is safe with is the strictest of its agents: an
/// address before a database does not make the database harmless.
pub(super) const HARMLESS: [(&str, &str, &str); 14] = [
    ("heartbeat", "Delay", "does nothing"),
    ("heartbeat", "Dummy", "remembers in a local file that it was started"),
    ("pacemaker", "Dummy", "remembers in a local file that it was started"),
    // Of this node's own packets. Agents that add an address to be reached at are not here: no gate
    // is before it, and two nodes would answer.
    ("heartbeat", "IPsrcaddr", "sets the source address of this node's own packets"),
    ("heartbeat", "Route", "adds a route of this node alone"),
    ("heartbeat", "SendArp", "announces an address; the newest announcement wins"),
    // Servers that keep nothing that clients wrote. What is served from a shared disk is mounted by
    // an agent of its own (Filesystem), which is not in this list.
    ("heartbeat", "nginx", "serves files or passes on; a cache of it is local and made anew"),
    ("heartbeat", "apache", "serves files; applications keep their data in a database or a mount"),
    ("heartbeat", "Squid", "keeps a local cache that is made anew from the origin"),
    ("heartbeat", "varnish", "keeps a cache in memory that is made anew from the origin"),
    ("heartbeat", "pound", "passes on and keeps nothing"),
    // They measure the node on which they run and say so to the cluster.
    ("heartbeat", "ethmonitor", "watches this node's interface"),
    ("pacemaker", "ping", "watches what this node reaches"),
    // Mail about a takeover may come twice.
    ("heartbeat", "MailTo", "sends a mail when it starts and stops"),
];

/// What has to be known before that agent's resource may be started elsewhere.
#[must_use]
pub fn safety(name: &AgentName) -> Safety {
    match harmless(name) {
        Some(_) => Safety::Lease,
        None => Safety::Fence,
    }
}

/// Why two of it are harmless; `None` if that is not known.
#[must_use]
pub fn harmless(name: &AgentName) -> Option<&'static str> {
    let line = HARMLESS
        .iter()
        .find(|(provider, kind, _)| *provider == name.provider && *kind == name.kind);
    line.map(|(_, _, reason)| *reason)
}

/// The parameter of an agent that asks a cloud to lead an address here, and has that on the card
/// itself; `None` of any other.
#[must_use]
pub fn address_of_cloud(name: &AgentName) -> Option<&'static str> {
    match name.kind.as_str() {
        _ if name.provider != "heartbeat" => None,
        "aws-vpc-move-ip" | "gcp-vpc-move-ip" | "gcp-vpc-move-route" => Some("ip"),
        "aliyun-vpc-move-ip" => Some("address"),
        _ => None,
    }
}

/// Whether it adds an address that clients reach. Those belong into `addresses`, behind the gate.
#[must_use]
pub fn adds_address(name: &AgentName) -> bool {
    name.provider == "heartbeat" && ["IPaddr", "IPaddr2", "IPv6addr"].contains(&&*name.kind)
}
