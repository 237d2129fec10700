//! How nodes are fenced, held against the devices that there are: those of the file, and what they
//! say themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use stead_core::quorum::chain::Chain;
use stead_core::state::config::{DeviceConfig, FenceAgent, Plug, ResourceConfig, Safety};
use toml::Spanned;

use super::draft::{Device, Draft, Node};
use super::keys::nearest;
use super::problem::Findings;
use super::section::shown;
use crate::fence::{self, Listed, Listing};

/// The most outlets of a device that a message lists.
const LISTED: usize = 20;
/// By what an agent parts several outlets in one text, if it is not told otherwise.
const PLUG_SEPARATOR: &str = ",";

/// Holds them against each other.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let devices: BTreeMap<&str, &Device> =
        draft.devices.iter().map(|it| (it.name.get_ref().as_str(), it)).collect();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut owners: BTreeMap<&Plug, (&Node, Range<usize>)> = BTreeMap::new();
    for node in &draft.nodes {
        for level in &node.fenced.levels {
            let mut seen: BTreeMap<&Plug, Range<usize>> = BTreeMap::new();
            for plug in level.get_ref() {
                let (at, plug) = (plug.span(), plug.get_ref());
                used.insert(&plug.device);
                if let Some(first) = seen.insert(plug, at.clone()) {
                    let message =
                        format!("`{}` stands twice in one level", shown(&plug.to_string()));
                    let help = "all of a level are needed, each once: remove one of the two";
                    let problem = findings.error(&at, message, help);
                    problem.compare("again here", &first, "first here");
                    continue;
                }
                match devices.get(plug.device.as_str()) {
                    None => unknown(&devices, &plug.device, &at, findings),
                    Some(device) => {
                        outlet(device, plug, &at, findings);
                        one_owner(device, plug, (node, at), &mut owners, findings);
                    }
                }
            }
        }
    }
    for device in draft.devices.iter().filter(|it| !used.contains(it.name.get_ref().as_str())) {
        let message = format!("no node is fenced by device `{}`", shown(device.name.get_ref()));
        let help = format!("add it to a node's table:  fence = [\"{}\"]", device.name.get_ref());
        findings.warning(&device.name.span(), message, help);
    }
    ties(draft, &devices, findings);
    if findings.errors() == 0 {
        lists(draft, &devices, findings);
    }
}

/// A half that goes on has had all other voters switched off: each has to have something for that
/// which takes its power. What leaves it on and cuts it off from a storage does not keep it from
/// deciding.
fn ties(draft: &Draft, devices: &BTreeMap<&str, &Device>, findings: &mut Findings) {
    let chain = draft.quorum.as_ref().and_then(|quorum| quorum.chain.as_ref());
    if !chain.is_some_and(Chain::fences) {
        return;
    }
    let cuts = |plug: &Spanned<Plug>| {
        let device = devices.get(plug.get_ref().device.as_str());
        device.and_then(|it| it.meta.as_ref()).is_some_and(fence::MetaData::cuts_off)
    };
    let bare = |node: &&Node| {
        !node.is_satellite() && node.fenced.levels.iter().all(|it| it.get_ref().iter().all(cuts))
    };
    for node in draft.nodes.iter().filter(bare) {
        let lacks = match node.fenced.levels[..] {
            [] => "no fence device",
            _ => "no fence device that takes its power",
        };
        let message = format!(
            "{} has {lacks}, and `fence` in the chain breaks a tie by switching it off",
            shown(node.name.get_ref())
        );
        let help =
            "name one in its table:  fence = [\"DEVICE\"]  ; or take `fence` out of the chain";
        findings.error(&node.name.span(), message, help);
    }
}

fn unknown(
    devices: &BTreeMap<&str, &Device>,
    name: &str,
    at: &Range<usize>,
    findings: &mut Findings,
) {
    let names = devices.keys().copied();
    let help = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if devices.is_empty() => {
            format!("say what it is:  [fencing.devices.{}]", super::name::usable_name(name))
        }
        None => format!("the devices are: {}", shown(&names.collect::<Vec<_>>().join(", "))),
    };
    findings.error(at, format!("there is no fence device `{}`", shown(name)), help);
}

/// Whether the device takes an outlet, or needs one.
fn outlet(device: &Device, plug: &Plug, at: &Range<usize>, findings: &mut Findings) {
    let Some(meta) = &device.meta else { return };
    let agent = device.config.as_ref().map(|config| &config.agent);
    let Some(FenceAgent::Agent { parameters, .. }) = agent else { return };
    let told = (plug.device.as_str(), plug.plug.as_deref());
    if let Some((message, help)) = fence::outlet_mistake(meta, parameters, told) {
        findings.error(at, message, help);
    }
}

/// What is switched off is one machine. Programs and servers are told which, agents are not.
fn one_owner<'d>(
    device: &Device,
    plug: &'d Plug,
    (node, at): (&'d Node, Range<usize>),
    owners: &mut BTreeMap<&'d Plug, (&'d Node, Range<usize>)>,
    findings: &mut Findings,
) {
    let agent = device.config.as_ref().map(|config| &config.agent);
    let is_told = match agent {
        Some(FenceAgent::Exec { .. } | FenceAgent::Webhook { .. }) => true,
        Some(FenceAgent::Agent { .. }) | None => false,
    };
    if is_told && plug.plug.is_none() {
        return;
    }
    let (name, at_once) = (node.name.get_ref(), at.clone());
    let first = owners.entry(plug).or_insert((node, at));
    let other = first.0.name.get_ref();
    if other != name {
        let message = format!(
            "`{}` would switch off {} and {} at once",
            shown(&plug.to_string()),
            shown(other),
            shown(name)
        );
        let help = match plug.plug {
            Some(_) => "give each node its own outlet".to_owned(),
            None => format!(
                "give each node its own device, or its own outlet of it:  \"{}:OUTLET\"",
                shown(&plug.device)
            ),
        };
        let there = first.1.clone();
        let problem = findings.error(&at_once, message, help);
        problem.compare("again here", &there, "first here");
    }
}

/// Asks the devices of which outlets are named whether they have those.
fn lists(draft: &Draft, devices: &BTreeMap<&str, &Device>, findings: &mut Findings) {
    let Some(list) = findings.agents.and_then(|asking| asking.lists) else { return };
    let plugs = || {
        let levels = draft.nodes.iter().flat_map(|node| &node.fenced.levels);
        levels.flat_map(|level| level.get_ref()).filter(|plug| plug.get_ref().plug.is_some())
    };
    let named: BTreeSet<&str> = plugs().map(|plug| plug.get_ref().device.as_str()).collect();
    let asked: Vec<(&Device, &DeviceConfig)> = named
        .into_iter()
        .filter_map(|name| devices.get(name).copied())
        .filter_map(|device| Some((device, device.config.as_ref()?)))
        .collect();
    let questions: Vec<_> =
        asked.iter().map(|(device, config)| (device.name.get_ref().as_str(), *config)).collect();
    for ((device, config), listing) in asked.into_iter().zip(list(&questions)) {
        let name = device.name.get_ref();
        match listing {
            Listing::Unknown => {}
            Listing::Failed(reason) => {
                let message =
                    format!("device `{}` was not asked for its outlets: {reason}", shown(name));
                let help = format!(
                    "whether it has those that are named is not known; stead fence test {name}  \
                     says more"
                );
                findings.warning(&device.at, message, help);
            }
            Listing::Outlets(outlets) => {
                for plug in plugs().filter(|plug| plug.get_ref().device == *name) {
                    has_outlet(plug, config, &outlets, findings);
                }
            }
        }
    }
}

fn has_outlet(
    plug: &Spanned<Plug>,
    config: &DeviceConfig,
    outlets: &[Listed],
    findings: &mut Findings,
) {
    let separator = match &config.agent {
        FenceAgent::Agent { parameters, .. } => parameters.get("plug_separator"),
        FenceAgent::Exec { .. } | FenceAgent::Webhook { .. } => None,
    };
    let separator = separator.map_or(PLUG_SEPARATOR, String::as_str);
    let names = || {
        let aliases = outlets.iter().filter_map(|it| it.alias.as_deref());
        outlets.iter().map(|it| it.name.as_str()).chain(aliases)
    };
    let wanted = plug.get_ref().plug.as_deref().unwrap_or_default();
    let is_one = |name: &str| names().any(|known| known == name);
    if is_one(wanted) || (!separator.is_empty() && wanted.split(separator).all(is_one)) {
        return;
    }
    let help = match nearest(wanted, names()) {
        Some(near) => format!("did you mean `{}`?", shown(near)),
        None if outlets.is_empty() => "it lists none".to_owned(),
        None => {
            let all: Vec<_> = outlets.iter().take(LISTED).map(|it| shown(&it.name)).collect();
            let more = if outlets.len() > LISTED { ", and more" } else { "" };
            format!("it lists: {}{more}", all.join(", "))
        }
    };
    let device = shown(&plug.get_ref().device);
    let message = format!("device `{device}` has no outlet `{}`", shown(wanted));
    findings.error(&plug.span(), message, help);
}

/// A service that goes nowhere when its node is lost should not be a surprise.
pub(super) fn bound(
    draft: &Draft,
    service: &str,
    resources: &[Spanned<ResourceConfig>],
    findings: &mut Findings,
) {
    let Some(bound) = resources.iter().find(|it| it.get_ref().safety == Safety::Fence) else {
        return;
    };
    let unfenced = |node: &&Node| node.fenced.levels.is_empty() && !node.fenced.watchdog;
    let unfenced: Vec<_> = draft.nodes.iter().filter(unfenced).collect();
    let names: Vec<_> = unfenced.iter().map(|node| shown(node.name.get_ref())).collect();
    let whose = match names.len() {
        0 => return,
        count if count == draft.nodes.len() => "a node that is lost".to_owned(),
        _ => format!("{}, if that is lost,", names.join(" or ")),
    };
    let name = &bound.get_ref().name;
    let message = format!(
        "service `{service}` stays with {whose} until that is proven to be off, for the sake of \
         `{name}`"
    );
    let help = "let a device switch it off, with  fence = [\"DEVICE\"]  in its table. Else the \
                proof is that the node is back, or your word  stead fence confirm-off NODE \
                --reason TEXT. If two nodes may touch it at once without harm:  safety = \"lease\"";
    findings.warning(&bound.span(), message, help);
}
