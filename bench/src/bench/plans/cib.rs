//! Such a cluster as Pacemaker reads it: every resource runs on the node that it prefers, and node1
//! was just lost.

use std::io::{self, Write};

use super::Variant;
use super::cluster::{QUANTITIES, has, preferred, uses};

/// The feature set of the oldest Pacemaker that reads it.
const FEATURES: &str = "3.16.2";
/// The digests of an operation without parameters, of a start and of a monitor: with another value
/// every resource would be restarted.
const DIGESTS: [&str; 2] = ["f2317cad3d54cec5d7d7aa7d0bf35cf8", "4811cef7f7f94e3a35a70be7916cb2fd"];
const TRANSITION: &str = "00000000-0000-4000-8000-000000000000";

/// Writes it.
pub(super) fn write(
    out: &mut impl Write,
    nodes: usize,
    services: usize,
    variant: Variant,
) -> io::Result<()> {
    writeln!(
        out,
        "<cib validate-with=\"pacemaker-3.9\" epoch=\"9\" num_updates=\"1\" admin_epoch=\"0\" \
         crm_feature_set=\"{FEATURES}\" have-quorum=\"1\" dc-uuid=\"2\">\n<configuration>"
    )?;
    options(out, variant)?;
    writeln!(out, "<nodes>")?;
    for node in 1..=nodes {
        let room =
            utilization(variant, &format!("n{node}"), |(_, _, most)| has(nodes, services, most));
        writeln!(out, "<node id=\"{node}\" uname=\"node{node}\">{room}</node>")?;
    }
    writeln!(out, "</nodes>\n<resources>")?;
    for service in 0..services {
        let room = utilization(variant, &format!("r{service}"), |(_, least, most)| {
            uses(service, (least, most))
        });
        writeln!(
            out,
            "<primitive id=\"r{service}\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\">\
             <operations><op id=\"r{service}-m\" name=\"monitor\" interval=\"10s\" \
             timeout=\"20s\"/></operations>{room}</primitive>"
        )?;
    }
    writeln!(out, "</resources>\n<constraints>")?;
    for service in 0..services {
        for (node, score) in preferred(service, nodes).into_iter().zip([200, 100]) {
            writeln!(
                out,
                "<rsc_location id=\"l{service}-{score}\" rsc=\"r{service}\" node=\"node{}\" \
                 score=\"{score}\"/>",
                node + 1
            )?;
        }
    }
    writeln!(
        out,
        "</constraints>\n<rsc_defaults><meta_attributes id=\"d\"><nvpair id=\"d-s\" \
         name=\"resource-stickiness\" value=\"100\"/></meta_attributes></rsc_defaults>\n\
         </configuration>\n<status>"
    )?;
    for node in 1..=nodes {
        status(out, node, nodes, services)?;
    }
    writeln!(out, "</status>\n</cib>")
}

fn options(out: &mut impl Write, variant: Variant) -> io::Result<()> {
    let strategy = match variant {
        Variant::Room => "balanced",
        Variant::Preferences => "default",
    };
    writeln!(out, "<crm_config><cluster_property_set id=\"o\">")?;
    let all = [
        ("stonith-enabled", "false"),
        ("no-quorum-policy", "stop"),
        ("cluster-infrastructure", "corosync"),
        ("placement-strategy", strategy),
        ("enable-startup-probes", "false"),
    ];
    for (name, value) in all {
        writeln!(out, "<nvpair id=\"o-{name}\" name=\"{name}\" value=\"{value}\"/>")?;
    }
    writeln!(out, "</cluster_property_set></crm_config>")
}

fn utilization(
    variant: Variant,
    id: &str,
    amount: impl Fn((&'static str, u64, u64)) -> u64,
) -> String {
    if variant != Variant::Room {
        return String::new();
    }
    let pairs = QUANTITIES.map(|it| {
        let (name, value) = (it.0, amount(it));
        format!("<nvpair id=\"u{id}-{name}\" name=\"{name}\" value=\"{value}\"/>")
    });
    format!("<utilization id=\"u{id}\">{}</utilization>", pairs.concat())
}

fn status(out: &mut impl Write, node: usize, nodes: usize, services: usize) -> io::Result<()> {
    let [member, crmd, join] = match node {
        1 => ["false", "offline", "down"],
        _ => ["true", "online", "member"],
    };
    writeln!(
        out,
        "<node_state id=\"{node}\" uname=\"node{node}\" in_ccm=\"{member}\" crmd=\"{crmd}\" \
         join=\"{join}\" expected=\"member\" crm-debug-origin=\"bench\">\n<lrm id=\"{node}\">\
         <lrm_resources>"
    )?;
    for service in (0..services).filter(|service| preferred(*service, nodes)[0] + 1 == node) {
        writeln!(
            out,
            "<lrm_resource id=\"r{service}\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\">\
             {}{}</lrm_resource>",
            operation(service, node, false),
            operation(service, node, true)
        )?;
    }
    writeln!(out, "</lrm_resources></lrm></node_state>")
}

fn operation(service: usize, node: usize, monitor: bool) -> String {
    let (name, interval) = if monitor { ("monitor", 10_000) } else { ("start", 0) };
    let id = if monitor { "monitor" } else { "last" };
    let call = 2 * service + 1 + usize::from(monitor);
    let digest = DIGESTS[usize::from(monitor)];
    format!(
        "<lrm_rsc_op id=\"r{service}_{id}_{interval}\" \
         operation_key=\"r{service}_{name}_{interval}\" \
         operation=\"{name}\" crm-debug-origin=\"bench\" crm_feature_set=\"{FEATURES}\" \
         transition-key=\"{key}:1:0:{TRANSITION}\" transition-magic=\"0:0;{key}:1:0:{TRANSITION}\" \
         exit-reason=\"\" on_node=\"node{node}\" call-id=\"{call}\" rc-code=\"0\" op-status=\"0\" \
         interval=\"{interval}\" last-rc-change=\"1700000000\" exec-time=\"20\" queue-time=\"0\" \
         op-digest=\"{digest}\"/>",
        key = service + 1
    )
}
