//! `container = "IMAGE"`: a container of an engine on the node.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::state::config::{Agent, ContainerHow, MountConfig, ResourceConfig};
use toml::Spanned;
use toml::de::DeValue;

use super::how;
use super::problem::Findings;
use super::section::{Section, shown};

/// The keys that only a container has, and why others don't.
pub(super) const KEYS: [(&str, &str); 5] = [
    ("command", "only a container is told what to run beside its image"),
    ("environment", "only a container gets an environment from here"),
    ("mounts", "only a container does not see the node's files by itself"),
    ("network", "only a container can be in another network than the node"),
    ("socket", "only a container has an engine"),
];
/// No name of an image is longer. Bytes.
const LONGEST_IMAGE: usize = 255;
/// The kernel's limit of such a path. Bytes.
const LONGEST_SOCKET: usize = 107;
/// The most mounts and variables of one container.
const MOST: usize = 100;
/// How some write a socket.
const SCHEME: &str = "unix://";

/// Reads one.
pub(super) fn container(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Agent> {
    let image = image(section, findings);
    let command = section.texts("command", findings).unwrap_or_default();
    for word in command.iter().filter(|word| word.get_ref().contains('\0')) {
        let help = "the kernel ends an argument at that character: remove it";
        findings.error(&word.span(), "an argument contains a zero character", help);
    }
    let how = ContainerHow {
        socket: socket(section, findings),
        environment: environment(section, findings),
        mounts: mounts(section, findings),
        network: network(section, findings),
        stop_signal: how::stop_signal(section, findings),
    };
    let monitor = super::resource::words(section, "monitor", findings);
    let command = command.into_iter().map(Spanned::into_inner).collect();
    Some(Agent::Container { image: image?, command, monitor, how })
}

fn image(section: &Section<'_, '_>, findings: &mut Findings) -> Option<String> {
    let image = section.text("container", findings)?;
    let text = image.get_ref();
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if text.len() > LONGEST_IMAGE || !begins || !text.chars().all(fits) {
        let message = format!("`{}` can't be the name of an image", shown(text));
        let help = format!(
            "write it as the engine shows it (docker image ls):  {}",
            section.example("container")
        );
        findings.error(&image.span(), message, help);
        return None;
    }
    let name = text.rsplit('/').next().unwrap_or(text);
    let latest = name.ends_with(":latest") || !name.contains([':', '@']);
    if latest {
        let message = format!("image `{text}` may be another one on each node");
        let help = "what `latest` means is what a node fetched last: name a version, such as  \
                    container = \"docker.io/library/nginx:1.27\"";
        findings.warning(&image.span(), message, help);
    }
    Some(text.clone())
}

fn socket(section: &Section<'_, '_>, findings: &mut Findings) -> Option<String> {
    let socket = section.text("socket", findings)?;
    let text = socket.get_ref();
    let is_path = text.starts_with('/') && !text.ends_with('/') && !text.contains('\0');
    if is_path && text.len() <= LONGEST_SOCKET {
        return Some(text.clone());
    }
    let path = text.strip_prefix(SCHEME).filter(|path| path.starts_with('/'));
    let help = match path {
        Some(path) => format!("write its path alone:  socket = \"{}\"", shown(path)),
        None => format!(
            "an engine is asked over a socket of the node, by its whole path of at most \
             {LONGEST_SOCKET} bytes:  {}",
            section.example("socket")
        ),
    };
    let message = format!("`{}` is no path of a socket", shown(text));
    findings.error(&socket.span(), message, help);
    None
}

fn network(section: &Section<'_, '_>, findings: &mut Findings) -> Option<String> {
    let network = section.text("network", findings)?;
    let text = network.get_ref();
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits) {
        // The node's own is what is meant by nothing.
        return Some(text.clone()).filter(|text| text != "host");
    }
    let message = format!("`{}` can't be the name of a network", shown(text));
    let help = "write  network = \"host\"  for the node's own, \"none\", or one of those that the \
                engine has (docker network ls)";
    findings.error(&network.span(), message, help);
    None
}

fn environment(section: &Section<'_, '_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let Some(value) = section.get("environment") else { return BTreeMap::new() };
    let Some(table) = value.get_ref().as_table() else {
        section.mismatch("environment", value, "a table in { }", findings);
        return BTreeMap::new();
    };
    too_many(section, "environment", table.len(), findings);
    let mut all = BTreeMap::new();
    for (key, value) in table.iter() {
        let name = key.get_ref();
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("no variable can have the name `{}`", shown(name));
            let help = format!("write it like this:  {}", section.example("environment"));
            findings.error(&key.span(), message, help);
        } else if let Some(text) = super::resource::parameter(value.get_ref()) {
            all.insert(name.to_string(), text);
        } else {
            let wanted = "a text, a whole number or true or false";
            section.entry_mismatch("environment", value, wanted, findings);
        }
    }
    all
}

fn mounts(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<MountConfig> {
    let mut all = Vec::new();
    let mut targets = BTreeSet::new();
    let Some(list) = section.list("mounts", findings) else { return all };
    too_many(section, "mounts", list.len(), findings);
    for entry in list {
        let Some(text) = entry.get_ref().as_str() else {
            section.entry_mismatch("mounts", entry, "a text in quotes", findings);
            continue;
        };
        let Some(mount) = mount(text) else {
            refuse_mount(entry, text, findings);
            continue;
        };
        if !targets.insert(mount.target.clone()) {
            let message = format!("two mounts at `{}`", shown(&mount.target));
            findings.error(&entry.span(), message, "a container sees one thing there: remove one");
        }
        all.push(mount);
    }
    all
}

/// `SOURCE:TARGET`, or `SOURCE:TARGET:ro`.
fn mount(text: &str) -> Option<MountConfig> {
    let mut parts = text.split(':');
    let (source, target) = (parts.next()?, parts.next()?);
    let read_only = match (parts.next(), parts.next()) {
        (None, _) => false,
        (Some("ro"), None) => true,
        (Some(_), _) => return None,
    };
    let is_path = |path: &str| path.starts_with('/') && !path.contains('\0');
    let plain = !target.split('/').any(|part| part == "..") && target != "/";
    let fits = is_path(source) && is_path(target) && plain;
    fits.then(|| MountConfig { source: source.into(), target: target.into(), read_only })
}

fn refuse_mount(entry: &Spanned<DeValue<'_>>, text: &str, findings: &mut Findings) {
    let message = format!("`{}` is no mount", shown(text));
    let help = "write what is on the node, where the container sees it, both by whole paths, and \
                `ro` if it must not write there:  mounts = [\"/srv/shop:/data\", \
                \"/etc/shop:/etc/shop:ro\"]";
    findings.error(&entry.span(), message, help);
}

fn too_many(section: &Section<'_, '_>, key: &str, count: usize, findings: &mut Findings) {
    if count > MOST {
        let message = format!("`{key}` of {} has {count} entries", section.place);
        findings.error(&section.at(key), message, format!("{MOST} is the most"));
    }
}

/// A mount as the file has it.
pub(super) fn written(mount: &MountConfig) -> String {
    let MountConfig { source, target, read_only } = mount;
    format!("{source}:{target}{}", if *read_only { ":ro" } else { "" })
}

/// Warns of containers that would not see what agents of their service mount.
pub(super) fn check(resources: &[Spanned<ResourceConfig>], findings: &mut Findings) {
    let folder = |resource: &Spanned<ResourceConfig>| match &resource.get_ref().agent {
        Agent::Ocf { kind, parameters, .. } if kind == "Filesystem" => {
            parameters.get("directory").map(|it| it.trim_end_matches('/').to_owned())
        }
        Agent::Ocf { .. }
        | Agent::Process { .. }
        | Agent::Unit { .. }
        | Agent::Container { .. } => None,
    };
    let folders: Vec<String> = resources.iter().filter_map(folder).collect();
    for resource in resources {
        let Agent::Container { how, .. } = &resource.get_ref().agent else { continue };
        let inside = |mount: &&MountConfig| {
            let below = |folder: &String| {
                let rest = mount.source.strip_prefix(folder.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            folders.iter().any(below)
        };
        if let Some(mount) = how.mounts.iter().find(inside) {
            let message = format!(
                "the engine may not see what is mounted at `{}`: agents mount for their own \
                 service alone",
                shown(&mount.source)
            );
            let help = "write  STEAD_KEEPER=group  into /etc/default/stead on each node, or have \
                        the node mount it";
            findings.warning(&resource.span(), message, help);
        }
    }
}
