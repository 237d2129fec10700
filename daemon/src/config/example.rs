//! The first file of a cluster.

use std::net::IpAddr;

/// What is known when a cluster is made.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The name of the cluster; see [`super::usable_name`].
    pub cluster: &'a str,
    /// The name of this machine; see [`super::usable_name`].
    pub node: &'a str,
    /// The links by name, each with the address of this machine there.
    pub links: &'a [(&'a str, IpAddr)],
}

/// The text that `stead init` writes where there is no file: one node, usable as it is, with
/// comments that say what to add next.
#[must_use]
pub fn example(names: &Example<'_>) -> String {
    let links: Vec<String> =
        names.links.iter().map(|(link, _)| format!("[links.{link}]\n")).collect();
    let own = names.links.iter().map(|(link, ip)| format!("{link} = \"{ip}\""));
    let other = names.links.iter().map(|(link, _)| format!("{link} = \"...\""));
    let second = if names.links.len() > 1 { "" } else { SECOND_LINK };
    TEXT.replace("{cluster}", names.cluster)
        .replace("{node}", names.node)
        .replace("{links}", &links.concat())
        .replace("{second}", second)
        .replace("{own}", &own.collect::<Vec<_>>().join(", "))
        .replace("{other}", &other.collect::<Vec<_>>().join(", "))
}

const TEXT: &str = r#"# The cluster, as every node sees it. After a change:
#   stead plan FILE     says what would change
#   stead apply FILE    changes it on all nodes at once

[cluster]
name = "{cluster}"
# How long a stall of the network or of a processor is survived without a failover.
# A service whose node dies stays away a little longer than this.
ride-out = "300ms"

# A link is a network on which every node has an address. Heartbeats use all of them.
{links}{second}
[nodes.{node}]
addresses = { {own} }

# What switches this machine off when it is lost, so that its file systems and databases may
# start elsewhere. Agents: stead fence agents. To try it: stead fence test {node}
# fence = ["bmc-{node}"]
# [fencing.devices.bmc-{node}]
# agent = "fence_ipmilan"
# parameters = { ip = "...", username = "...", lanplus = true, cipher = 3 }
# secrets = { password = "/etc/stead/secrets/bmc-{node}" }

# Three nodes survive the loss of any one. With two, the survivor of a failure stops.
# [nodes.OTHER]
# addresses = { {other} }

# A service is one or more addresses that move together, and the program behind them.
# The addresses belong to no machine; behind the / is the prefix of their network.
# [services.web]
# addresses = ["10.0.0.100/24"]
# The program stays in the foreground; its arguments pass through no shell.
# program = ["/usr/sbin/nginx", "-g", "daemon off;"]
# The service works as long as this ends with status 0.
# monitor = ["/usr/bin/curl", "-fsS", "http://10.0.0.100/"]

# Who is asked whether the services' network works. A node that has no answers while others
# have them gives its services up. Here: each node's own gateway.
# [networks.front]
# prefix = "10.0.0.0/24"
# gateway = true
"#;

const SECOND_LINK: &str =
    "# A second link on other cables keeps the nodes together when this one breaks.
# [links.backup]
";
