//! `crm_attribute`, `crm_master` and `attrd_updater`: what agents remember.

use stead_core::state::SCORE;

use super::options::{Given, Known, Takes, flag, long, perhaps, read, value};
use super::{Daemon, Exit, Failed, ToolsAnswer, say};
use crate::api::message::{ChangeAnswer, Memory, Request};

const CRM_ATTRIBUTE: [Known; 16] = [
    value("name", 'n', "name"),
    value("value", 'v', "update"),
    flag("delete", 'D', "delete"),
    flag("query", 'G', "query"),
    flag("quiet", 'q', "quiet"),
    flag("quiet", 'Q', "Quiet"),
    value("node", 'N', "node"),
    value("node", 'U', "uname"),
    value("type", 't', "type"),
    value("lifetime", 'l', "lifetime"),
    // Which set of nvpairs it stands in; names are one space here.
    value("set", 's', "set-name"),
    perhaps("promotion", 'p', "promotion"),
    value("default", 'd', "default"),
    flag("utilization", 'z', "utilization"),
    flag("verbose", 'V', "verbose"),
    long("get-value", "get-value", Takes::Nothing),
];

const SCORE_TOOL: [Known; 10] = [
    value("value", 'v', "update"),
    flag("delete", 'D', "delete"),
    flag("query", 'G', "query"),
    flag("quiet", 'q', "quiet"),
    flag("quiet", 'Q', "Quiet"),
    value("node", 'N', "node"),
    value("node", 'U', "uname"),
    value("lifetime", 'l', "lifetime"),
    value("resource", 'r', "resource"),
    flag("verbose", 'V', "verbose"),
];

const ATTRD_UPDATER: [Known; 15] = [
    value("name", 'n', "name"),
    value("value", 'U', "update"),
    value("value", 'v', "value"),
    value("value", 'B', "update-both"),
    flag("delete", 'D', "delete"),
    flag("query", 'Q', "query"),
    flag("all", 'A', "all"),
    value("node", 'N', "node"),
    // Each change is committed as it comes: there is nothing to wait for.
    value("delay", 'd', "delay"),
    value("set", 's', "set"),
    value("set", 'S', "section"),
    flag("private", 'p', "private"),
    flag("quiet", 'q', "quiet"),
    flag("refresh", 'R', "refresh"),
    flag("verbose", 'V', "verbose"),
];

/// One attribute, wherever it stands.
struct Place {
    memory: Memory,
    node: Option<String>,
    name: String,
}

impl Place {
    fn get<'a>(&self, all: &'a ToolsAnswer) -> Option<&'a str> {
        let of = match self.memory {
            Memory::Transient => all.transient.get(self.node(all))?,
            Memory::Permanent => all.permanent.get(self.node(all))?,
            Memory::Cluster => &all.cluster,
        };
        of.get(&self.name).map(String::as_str)
    }

    fn node<'a>(&'a self, all: &'a ToolsAnswer) -> &'a str {
        match self.node.as_deref() {
            None | Some("" | "local") => &all.node,
            Some(node) => node,
        }
    }

    fn set(&self, daemon: &Daemon, value: Option<&str>) -> Result<(), Failed> {
        let node = self.node.clone().filter(|node| !node.is_empty() && node != "local");
        let node = node.filter(|_| self.memory != Memory::Cluster);
        // What stands there already is not written again: agents set scores with every monitor.
        let all = daemon.look()?;
        if self.get(&all) == value {
            return Ok(());
        }
        let (memory, name, value) = (self.memory, self.name.clone(), value.map(str::to_owned));
        let answer: ChangeAnswer = daemon.ask(&Request::Remember { memory, node, name, value })?;
        drop(answer);
        Ok(())
    }
}

fn score_name(daemon: &Daemon, named: Option<&str>) -> Result<String, Failed> {
    let named = named.filter(|name| !name.is_empty()).or(daemon.instance.as_deref());
    let named = named.ok_or_else(|| {
        let message = "which resource? Name it, or set OCF_RESOURCE_INSTANCE";
        Failed::new(Exit::Usage, message)
    })?;
    // Without the number that clones had once.
    Ok(format!("{SCORE}{}", named.split(':').next().unwrap_or(named)))
}

fn new_value(text: &str) -> Result<&str, Failed> {
    if text.ends_with("++") || text.contains("+=") {
        let message = format!("`{text}`: nothing is counted up here; give the value itself");
        return Err(Failed::new(Exit::Unimplemented, message));
    }
    Ok(text)
}

pub(super) fn crm_attribute(
    daemon: &Daemon,
    args: &[String],
    out: &mut String,
) -> Result<(), Failed> {
    let given = read(args, &CRM_ATTRIBUTE)?;
    let node = given.value("node").map(str::to_owned);
    let place = if given.has("promotion") {
        // However long an agent says that a score lasts: it lasts as long as the copy.
        let name = score_name(daemon, given.value("promotion").or(given.value("name")))?;
        Place { memory: Memory::Transient, node, name }
    } else {
        let name = given.value("name").filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| Failed::new(Exit::Usage, "which attribute? Name it with -n"))?;
        let prefix = if given.has("utilization") { "utilization:" } else { "" };
        Place { memory: memory(&given)?, node, name: format!("{prefix}{name}") }
    };
    act(daemon, &given, &place, out)
}

/// `crm_master`.
pub(super) fn score_tool(daemon: &Daemon, args: &[String], out: &mut String) -> Result<(), Failed> {
    let given = read(args, &SCORE_TOOL)?;
    let name = score_name(daemon, given.value("resource"))?;
    let node = given.value("node").map(str::to_owned);
    act(daemon, &given, &Place { memory: Memory::Transient, node, name }, out)
}

/// For how long it is remembered, and of what.
fn memory(given: &Given) -> Result<Memory, Failed> {
    let lifetime = given.value("lifetime");
    match (given.value("type"), lifetime) {
        (Some("status"), _) | (None, Some("reboot")) => Ok(Memory::Transient),
        (Some("nodes"), Some("reboot")) => Ok(Memory::Transient),
        (Some("nodes"), _) | (None, Some("forever")) => Ok(Memory::Permanent),
        (None, None) if given.has("node") => Ok(Memory::Permanent),
        (Some("crm_config"), _) | (None, None) => Ok(Memory::Cluster),
        (Some(other), _) => {
            let message = format!("there are no attributes of type `{other}` here");
            Err(Failed::new(Exit::Unimplemented, message))
        }
        (None, Some(other)) => {
            let message = format!("a lifetime is `reboot` or `forever`, not `{other}`");
            Err(Failed::new(Exit::Usage, message))
        }
    }
}

fn act(daemon: &Daemon, given: &Given, place: &Place, out: &mut String) -> Result<(), Failed> {
    match given.last_of(&["value", "delete", "query", "get-value"]) {
        Some("value") => {
            place.set(daemon, Some(new_value(given.value("value").unwrap_or_default())?))
        }
        Some("delete") => place.set(daemon, None),
        _ => query(&daemon.look()?, given, place, out),
    }
}

fn query(all: &ToolsAnswer, given: &Given, place: &Place, out: &mut String) -> Result<(), Failed> {
    let value = place.get(all).or(given.value("default"));
    let scope = match place.memory {
        Memory::Transient => "status",
        Memory::Permanent => "nodes",
        Memory::Cluster => "crm_config",
    };
    let Some(value) = value else {
        if !given.has("quiet") {
            say(out, format_args!("scope={scope}  name={} value=(null)", place.name));
        }
        let message = "Error performing operation: No such device or address";
        return Err(Failed::new(Exit::NoSuch, message));
    };
    if given.has("quiet") {
        say(out, format_args!("{value}"));
    } else {
        say(out, format_args!("scope={scope}  name={} value={value}", place.name));
    }
    Ok(())
}

pub(super) fn attrd_updater(
    daemon: &Daemon,
    args: &[String],
    out: &mut String,
) -> Result<(), Failed> {
    let given = read(args, &ATTRD_UPDATER)?;
    let action = given.last_of(&["value", "delete", "query", "refresh"]);
    if action == Some("refresh") {
        return Ok(());
    }
    let name = given.value("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failed::new(Exit::Usage, "which attribute? Name it with -n"))?;
    let node = given.value("node").map(str::to_owned);
    let place = Place { memory: Memory::Transient, node, name: name.to_owned() };
    match action {
        Some("value") => {
            place.set(daemon, Some(new_value(given.value("value").unwrap_or_default())?))
        }
        Some("delete") => place.set(daemon, None),
        Some("query") => {
            let all = daemon.look()?;
            let mut found = false;
            let own = place.node(&all).to_owned();
            for (node, attributes) in &all.transient {
                if let Some(value) = attributes.get(name)
                    && (given.has("all") || *node == own)
                {
                    found = true;
                    say(out, format_args!("name=\"{name}\" host=\"{node}\" value=\"{value}\""));
                }
            }
            let message = "Could not query value: no such attribute";
            if found { Ok(()) } else { Err(Failed::new(Exit::NoSuch, message)) }
        }
        _ => Err(Failed::new(Exit::Usage, "say what to do: -U VALUE, -D or -Q")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_lasts_for_how_long_is_told_from_type_and_lifetime() {
        let of = |text: &str| memory(&read(&words(text), &CRM_ATTRIBUTE).expect("understood"));
        for (text, expected) in [
            ("-l reboot -N a -n x -v 1", Memory::Transient),
            ("-l forever -N a -n x -G -q", Memory::Permanent),
            ("--type crm_config --name db_REPL_INFO -s redis_replication -v a -q", Memory::Cluster),
            ("-t nodes --node a -z -n cpu -v 4", Memory::Permanent),
            ("-n x -G", Memory::Cluster),
            ("-N a -n x -G", Memory::Permanent),
        ] {
            assert_eq!(of(text).map_err(|it| it.message), Ok(expected), "{text}");
        }
        assert!(of("-t rsc_defaults -n x -G").is_err());
        assert!(of("-l never -n x -G").is_err());
    }

    #[test]
    fn a_query_says_what_pacemakers_says() {
        let mut all = ToolsAnswer { node: "a".to_owned(), ..ToolsAnswer::default() };
        let scores = [("master-db.pg".to_owned(), "100".to_owned())].into();
        all.transient.insert("a".to_owned(), scores);
        let ask = |text: &str| {
            let given = read(&words(text), &SCORE_TOOL).expect("understood");
            let name = "master-db.pg".to_owned();
            let node = given.value("node").map(str::to_owned);
            let place = Place { memory: Memory::Transient, node, name };
            let mut out = String::new();
            let ended = query(&all, &given, &place, &mut out).map_err(|failed| failed.exit);
            (out, ended)
        };
        assert_eq!(ask("-G -q"), ("100\n".to_owned(), Ok(())));
        let line = "scope=status  name=master-db.pg value=100\n";
        assert_eq!(ask("-G"), (line.to_owned(), Ok(())));
        assert_eq!(ask("-G -q -N b"), (String::new(), Err(Exit::NoSuch)));
        assert!(new_value("value++").is_err() && new_value("-INFINITY").is_ok());
    }
}
