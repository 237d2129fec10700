//! The locks that are rules of `nftables`, in its own words.
//!
//! All but ageing stand in the hook `forward`, where the bridge has learned the sender's port
//! already, as switches do that inspect what they have received. An ageing lock is before that:
//! what it refuses must not be learned.

use std::net::IpAddr;
use std::time::Duration;

/// What goes into one table.
pub(super) struct Rules {
    /// Of the lock, for the table's name.
    pub name: &'static str,
    /// Sets and chains.
    pub text: String,
}

fn forward(name: &'static str, rules: &[String]) -> Rules {
    let head = "chain c { type filter hook forward priority 0; policy accept;";
    Rules { name, text: format!("{head}\n{}\n}}\n", rules.join("\n")) }
}

pub(super) fn ageing(port: &str, silence: Duration) -> Rules {
    let silence = silence.as_millis();
    let text = format!(
        "set heard {{ type ether_addr; flags dynamic,timeout; size 1024; }}\n\
         chain c {{ type filter hook prerouting priority -300; policy accept;\n\
         iifname {port} update @heard {{ ether saddr timeout {silence}ms }}\n\
         iifname != {port} ether saddr @heard counter drop\n}}\n"
    );
    Rules { name: "ageing", text }
}

/// What is said about an address in ARP and neighbour discovery. An advertisement may speak for
/// another address than its sender's: its target is looked at too. This nftables has no name for
/// the target, so it is given by place (RFC 4861 4.4).
pub(super) fn inspected(port: &str, addrs: &[IpAddr]) -> Rules {
    let known = Known::of(addrs);
    let (v4, v6, targets) = (known.v4, known.v6, known.targets);
    let nd = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }";
    let target = "icmpv6 type nd-neighbor-advert @th,64,128";
    forward(
        "inspected",
        &[
            format!("iifname {port} arp saddr ip != {{ {v4} }} counter drop"),
            format!("iifname {port} {target} != {{ {targets} }} counter drop"),
            format!("iifname {port} {nd} ip6 saddr != {{ {v6} }} counter drop"),
        ],
    )
}

/// From which addresses packets are sent.
pub(super) fn guarded(port: &str, addrs: &[IpAddr]) -> Rules {
    let Known { v4, v6, .. } = Known::of(addrs);
    forward(
        "guarded",
        &[
            format!("iifname {port} ip saddr != {{ {v4} }} counter drop"),
            format!("iifname {port} ip6 saddr != {{ {v6} }} counter drop"),
        ],
    )
}

/// Addresses as members of sets.
struct Known {
    v4: String,
    v6: String,
    /// The IPv6 ones once more, as numbers.
    targets: String,
}

impl Known {
    fn of(addrs: &[IpAddr]) -> Known {
        // who has no address yet asks whether he may have one, and is always let through
        let mut v4 = vec!["0.0.0.0".to_owned()];
        let mut v6 = vec!["::".to_owned(), "fe80::/10".to_owned()];
        let (first, last) = (0xfe80_u128 << 112, (0xfec0_u128 << 112) - 1);
        let mut targets = vec![format!("0x{first:x}-0x{last:x}")];
        for addr in addrs {
            match addr {
                IpAddr::V4(addr) => v4.push(addr.to_string()),
                IpAddr::V6(addr) => {
                    v6.push(addr.to_string());
                    targets.push(format!("0x{:x}", u128::from(*addr)));
                }
            }
        }
        Known { v4: v4.join(", "), v6: v6.join(", "), targets: targets.join(", ") }
    }
}

/// nftables can't compare two fields of one packet, but it can put "the sender, twice" into a set
/// and look for "the sender, then the target" there. An advertisement that answers somebody has
/// the flag S (RFC 4861 4.4).
pub(super) fn no_gratuitous(port: &str) -> Rules {
    let mut rules = forward(
        "gratuitous",
        &[
            format!("iifname {port} add @twice {{ arp saddr ip . arp saddr ip timeout 1s }}"),
            format!("iifname {port} arp saddr ip . arp daddr ip @twice counter drop"),
            format!("iifname {port} icmpv6 type nd-neighbor-advert @th,32,8 & 0x40 == 0 drop"),
        ],
    );
    let set = "set twice { type ipv4_addr . ipv4_addr; flags dynamic,timeout; size 1024; }\n";
    rules.text.insert_str(0, set);
    rules
}

pub(super) fn arp_rate(port: &str, each_second: u32) -> Rules {
    let over = format!("limit rate over {each_second}/second burst 1 packets counter drop");
    forward(
        "rate",
        &[
            format!("iifname {port} ether type arp {over}"),
            format!(
                "iifname {port} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} {over}"
            ),
        ],
    )
}
