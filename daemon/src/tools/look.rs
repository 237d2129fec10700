//! `crm_node`, `crm_mon`, `crm_resource` and `cibadmin`: who is there, and what runs where.

use super::options::{Known, Takes, flag, long, perhaps, read, value};
use super::{Daemon, Exit, Failed, say, xml};

const CRM_NODE: [Known; 8] = [
    flag("name", 'n', "name"),
    flag("list", 'l', "list"),
    flag("partition", 'p', "partition"),
    flag("quorum", 'q', "quorum"),
    flag("id", 'i', "cluster-id"),
    value("name-of", 'N', "name-for-id"),
    flag("quiet", 'Q', "quiet"),
    flag("verbose", 'V', "verbose"),
];

/// What it may be asked to show.
const CRM_NODE_SHOWS: [&str; 6] = ["name", "list", "partition", "quorum", "id", "name-of"];

const CRM_MON: [Known; 12] = [
    flag("once", '1', "one-shot"),
    flag("xml", 'X', "as-xml"),
    long("output", "output-as", Takes::Value),
    flag("inactive", 'r', "inactive"),
    flag("by-node", 'n', "group-by-node"),
    flag("attributes", 'A', "show-node-attributes"),
    flag("failures", 'f', "failcounts"),
    flag("operations", 'o', "operations"),
    flag("detail", 'R', "show-detail"),
    flag("brief", 'b', "brief"),
    flag("verbose", 'V', "verbose"),
    perhaps("simple", 's', "simple-status"),
];

const CRM_RESOURCE: [Known; 9] = [
    flag("locate", 'W', "locate"),
    value("resource", 'r', "resource"),
    flag("list", 'l', "list-raw"),
    value("node", 'N', "node"),
    flag("quiet", 'Q', "quiet"),
    flag("utilization", 'z', "utilization"),
    value("get", 'g', "get-parameter"),
    flag("meta", 'm', "meta"),
    flag("verbose", 'V', "verbose"),
];

const PACEMAKERD: [Known; 2] = [flag("version", '$', "version"), flag("features", 'F', "features")];

const CIBADMIN: [Known; 4] = [
    flag("query", 'Q', "query"),
    value("xpath", 'A', "xpath"),
    flag("local", 'l', "local"),
    flag("verbose", 'V', "verbose"),
];

/// The version whose tools these stand in for: Debian 12's.
const MIMICKED: &str = "2.1.5";

pub(super) fn crm_node(daemon: &Daemon, args: &[String], out: &mut String) -> Result<(), Failed> {
    let given = read(args, &CRM_NODE)?;
    // Each call of some agents asks that first: a daemon that is away must not fail it.
    let name = daemon.node.as_ref().filter(|_| given.last_of(&CRM_NODE_SHOWS) == Some("name"));
    if let Some(name) = name {
        say(out, format_args!("{name}"));
        return Ok(());
    }
    let all = daemon.look()?;
    match given.last_of(&CRM_NODE_SHOWS) {
        Some("name") => say(out, format_args!("{}", all.node)),
        Some("list") => {
            for node in &all.nodes {
                let what = if node.online { "member" } else { "lost" };
                say(out, format_args!("{} {} {what}", node.number, node.name));
            }
        }
        Some("partition") => {
            let here = all.nodes.iter().filter(|node| node.online).map(|node| node.name.as_str());
            say(out, format_args!("{}", here.collect::<Vec<_>>().join(" ")));
        }
        Some("quorum") => say(out, format_args!("{}", u8::from(all.quorate))),
        Some("id") => {
            let own = all.nodes.iter().find(|node| node.name == all.node);
            say(out, format_args!("{}", own.map_or(0, |node| node.number)));
        }
        Some("name-of") => {
            let number = given.value("name-of").unwrap_or_default();
            let node = all.nodes.iter().find(|node| node.number.to_string() == number);
            let missing = || Failed::new(Exit::NoSuch, format!("there is no node {number}"));
            say(out, format_args!("{}", node.ok_or_else(missing)?.name));
        }
        _ => return Err(Failed::new(Exit::Usage, "say what to show: -n, -l, -p, -q, -i or -N ID")),
    }
    Ok(())
}

pub(super) fn crm_mon(daemon: &Daemon, args: &[String], out: &mut String) -> Result<(), Failed> {
    let given = read(args, &CRM_MON)?;
    let as_xml = match given.value("output") {
        Some("xml") => true,
        Some("text") => false,
        None => given.has("xml"),
        Some(other) => {
            let message = format!("it is shown as text or as xml here, not as {other}");
            return Err(Failed::new(Exit::Unimplemented, message));
        }
    };
    let all = daemon.look()?;
    if as_xml {
        xml::write(&all, given.has("xml") && !given.has("output"), out);
        return Ok(());
    }
    let named = |wanted: bool| {
        let nodes = all.nodes.iter().filter(|node| node.online == wanted);
        nodes.map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    say(out, format_args!("Node List:"));
    for (word, online) in [("Online", true), ("OFFLINE", false)] {
        if !named(online).is_empty() {
            say(out, format_args!("  * {word}: [ {} ]", named(online)));
        }
    }
    say(out, format_args!("Full List of Resources:"));
    for resource in &all.resources {
        for (node, promoted) in &resource.nodes {
            let role = xml::role(resource, *promoted);
            let (instance, agent) = (&resource.instance, &resource.agent);
            say(out, format_args!("  * {instance}\t({agent}):\t {role} {node}"));
        }
    }
    Ok(())
}

pub(super) fn crm_resource(
    daemon: &Daemon,
    args: &[String],
    out: &mut String,
) -> Result<(), Failed> {
    let given = read(args, &CRM_RESOURCE)?;
    let all = daemon.look()?;
    match given.last_of(&["locate", "list", "get"]) {
        Some("list") => {
            all.resources.iter().for_each(|it| say(out, format_args!("{}", it.instance)));
            Ok(())
        }
        Some("locate") => {
            let name = given.value("resource").unwrap_or_default();
            let found = all.resources.iter().find(|it| it.instance == name);
            let missing = || Failed::new(Exit::NoSuch, format!("there is no resource `{name}`"));
            let found = found.ok_or_else(missing)?;
            for (node, promoted) in &found.nodes {
                let role = if *promoted { " Promoted" } else { "" };
                if given.has("quiet") {
                    say(out, format_args!("{node}"));
                } else {
                    say(out, format_args!("resource {name} is running on: {node}{role}"));
                }
            }
            Ok(())
        }
        // Agents of virtual machines take these words for a cluster that keeps no such thing, and
        // leave it at that (`set_util_attr` of VirtualDomain).
        Some("get") if given.has("utilization") => {
            Err(Failed::new(Exit::NoSuch, "not connected: what resources use is not kept here"))
        }
        // Nothing is kept here of what resources are told.
        Some("get") => Err(Failed::new(Exit::NoSuch, "no such parameter is kept")),
        _ => Err(Failed::new(Exit::Unimplemented, "of crm_resource only -W, -l and -g are here")),
    }
}

/// Agents ask `crm_node` for the name of their node only if this says that it is new enough, and
/// take the machine's name for it otherwise (`ocf_local_nodename`).
pub(super) fn pacemakerd(args: &[String], out: &mut String) -> Result<(), Failed> {
    let given = read(args, &PACEMAKERD)?;
    if given.has("version") {
        say(out, format_args!("Pacemaker {MIMICKED}"));
        return Ok(());
    }
    Err(Failed::new(Exit::Unimplemented, "there is no Pacemaker here; only --version is answered"))
}

/// Agents read it to have it checked by nobody (`crm_mon_no_validation`).
pub(super) fn cibadmin(_daemon: &Daemon, args: &[String], out: &mut String) -> Result<(), Failed> {
    let given = read(args, &CIBADMIN)?;
    if given.has("query") && !given.has("xpath") {
        say(out, format_args!("<cib validate-with=\"none\"/>"));
        return Ok(());
    }
    Err(Failed::new(Exit::Unimplemented, "there is no CIB here that could be asked"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_name_of_the_node_is_said_without_the_daemon() {
        let nowhere = PathBuf::from("/nowhere/stead.sock");
        let daemon = Daemon { socket: nowhere, instance: None, node: Some("node1".to_owned()) };
        let mut out = String::new();
        let words = |word: &str| [word.to_owned()];
        assert!(crm_node(&daemon, &words("-n"), &mut out).is_ok());
        assert!(pacemakerd(&words("-$"), &mut out).is_ok());
        assert_eq!(out, "node1\nPacemaker 2.1.5\n");
        assert!(pacemakerd(&words("-F"), &mut out).is_err());
    }
}
