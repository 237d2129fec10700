//! corosync.conf and the resource.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use super::super::peer::address;

/// The network on which corosync speaks, by its number on the bed: `ring`.
const NETWORK: u8 = 1;

/// How corosync's timers are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// As shipped: a token of 3 s, and 650 ms more with three nodes.
    Default,
    /// A token of 100 ms. Pings of links are made slow: membership follows from the token, and
    /// links that count as down when a node dies only cost time.
    Tuned,
}

/// The lines of `totem` that differ from what is shipped.
const TUNED: &str = "    token: 100
    token_coefficient: 0
    consensus: 120
    join: 30
    token_retransmits_before_loss_const: 2
    interface {
        linknumber: 0
        knet_ping_interval: 200
        knet_ping_timeout: 1000
        knet_pong_count: 2
    }
";

impl Tuning {
    /// The token's time-out.
    pub(in crate::subject) fn tolerates(self) -> Duration {
        Duration::from_millis(match self {
            Self::Default => 3_650,
            Self::Tuned => 100,
        })
    }

    /// The text of corosync.conf for nodes `node1` to `nodeN`, which may ask a server about ties.
    pub(super) fn corosync(self, nodes: u8, server: Option<IpAddr>) -> String {
        let totem = match self {
            Self::Default => "",
            Self::Tuned => TUNED,
        };
        let mut text = format!(
            "totem {{\n    version: 2\n    cluster_name: bench\n    transport: knet\n    \
             crypto_cipher: none\n    crypto_hash: none\n{totem}}}\nlogging {{\n    to_stderr: no\n\
             \x20   to_syslog: no\n    to_logfile: yes\n    \
             logfile: /var/log/corosync/corosync.log\n    timestamp: hires\n    debug: off\n}}\n\
             quorum {{\n    provider: corosync_votequorum\n{}}}\nnodelist {{\n",
            server.map(device).unwrap_or_default()
        );
        for number in 1..=nodes {
            let address = address(NETWORK, number);
            // writing to a text can't fail
            let _ = write!(
                text,
                "    node {{\n        name: node{number}\n        nodeid: {number}\n        \
                 ring0_addr: {address}\n    }}\n"
            );
        }
        text.push_str("}\n");
        text
    }
}

/// The server has a vote, and gives it to one half. Without TLS, as its certificates would cost
/// commands and no time that is measured here.
fn device(server: IpAddr) -> String {
    format!(
        "    device {{\n        model: net\n        votes: 1\n        net {{\n            \
         host: {server}\n            algorithm: ffsplit\n            tls: off\n        }}\n    \
         }}\n"
    )
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "token 3 s (default)",
            Self::Tuned => "token 0.1 s (tuned)",
        })
    }
}

/// The address as a resource.
pub(super) fn resource(name: &str, service: IpAddr, interface: &str) -> String {
    let pair = |key: &str, value: &str| {
        format!("<nvpair id=\"{name}-{key}\" name=\"{key}\" value=\"{value}\"/>")
    };
    let pairs =
        [pair("ip", &service.to_string()), pair("cidr_netmask", "24"), pair("nic", interface)];
    format!(
        "<primitive id=\"{name}\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\">\
         <instance_attributes id=\"{name}-attributes\">{}</instance_attributes>\
         <operations><op id=\"{name}-monitor\" name=\"monitor\" interval=\"10s\"/></operations>\
         </primitive>",
        pairs.concat()
    )
}

/// The number at the end of a line `key (u32) = number`.
pub(super) fn number(line: &str) -> Option<u64> {
    line.lines().find_map(|line| line.rsplit_once('=')?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuned_file_is_the_default_one_with_other_timers() {
        let [default, tuned] = [Tuning::Default, Tuning::Tuned].map(|it| it.corosync(3, None));
        assert_eq!(tuned.replace(TUNED, ""), default);
        assert!(default.contains("        ring0_addr: 10.77.1.3\n    }\n}\n"), "{default}");
        assert_eq!(default.matches('{').count(), default.matches('}').count());
        assert_eq!(tuned.matches('{').count(), tuned.matches('}').count());
    }

    #[test]
    fn a_server_is_a_device_of_the_quorum_and_nothing_else() {
        let server = address(2, 251);
        let with = Tuning::Default.corosync(2, Some(server));
        assert!(with.contains("            host: 10.77.2.251\n"), "{with}");
        assert_eq!(with.matches('{').count(), with.matches('}').count());
        assert_eq!(with.replace(&device(server), ""), Tuning::Default.corosync(2, None));
    }

    #[test]
    fn the_resource_names_address_and_interface() {
        let xml = resource("shared", crate::shared_address(), "front");
        assert!(xml.contains("name=\"ip\" value=\"10.77.0.200\""), "{xml}");
        assert!(xml.contains("name=\"nic\" value=\"front\""), "{xml}");
    }

    #[test]
    fn numbers_are_read_off_the_end_of_a_line() {
        assert_eq!(number("runtime.config.totem.token (u32) = 3650\n"), Some(3650));
        assert_eq!(number("nothing"), None);
    }
}
