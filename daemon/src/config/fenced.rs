//! `fence`, `fence-after`, `fence-rehearse` and `watchdog` of `[nodes.NAME]`: how a node is
//! switched off, and what comes after that.

use stead_core::state::config::{AfterFence, NodeFencing, Plug};
use stead_core::time::Span;
use toml::Spanned;
use toml::de::DeValue;

use super::draft::Fenced;
use super::duration::{parse_long, say};
use super::problem::Findings;
use super::section::{Section, shown};

/// The most levels of a node: each is tried only when all before have failed.
const MOST_LEVELS: usize = 8;
/// The most plugs of a level: a machine has up to four supplies.
const MOST_PLUGS: usize = 8;
/// The longest name of an outlet, in bytes.
const LONGEST_PLUG: usize = 255;
/// The least and the most time between two rehearsals.
const REHEARSE: (Span, Span) = (Span::from_millis(1_000), Span::from_millis(30 * 86_400_000));

/// Reads them.
pub(super) fn fenced(section: &Section<'_, '_>, findings: &mut Findings) -> Fenced {
    let levels = levels(section, findings).unwrap_or_default();
    let after = after(section, findings);
    let rehearse = rehearse(section, findings);
    for key in ["fence-after", "fence-rehearse"] {
        if section.get(key).is_some() && section.get("fence").is_none() {
            let message = format!("{} has `{key}` and no `fence`", section.place);
            let help = format!("say by which devices it is fenced:  {}", section.example("fence"));
            findings.error(&section.at(key), message, help);
        }
    }
    let watchdog = section.truth("watchdog", findings).is_some_and(Spanned::into_inner);
    Fenced { levels, after, rehearse, watchdog }
}

/// One list of plugs is one level; lists in a list are several.
fn levels(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Option<Vec<Spanned<Vec<Spanned<Plug>>>>> {
    let list = section.list("fence", findings)?;
    let at = section.at("fence");
    let is_list = |entry: &Spanned<DeValue<'_>>| entry.get_ref().as_array().is_some();
    if list.is_empty() {
        let message = format!("`fence` of {} is empty", section.place);
        let help = format!("name a device, or remove the line:  {}", section.example("fence"));
        findings.error(&at, message, help);
        return None;
    }
    if list.len() > MOST_LEVELS && list.iter().any(is_list) {
        let message = format!("{} levels in `fence` of {}", list.len(), section.place);
        let help = format!("{MOST_LEVELS} is the most: each takes its time before the next begins");
        findings.error(&at, message, help);
        return None;
    }
    if !list.iter().any(is_list) {
        return Some(vec![Spanned::new(at, plugs(list, section, findings))]);
    }
    let mut levels = Vec::new();
    for entry in list {
        match entry.get_ref().as_array() {
            Some(level) if level.is_empty() => {
                let message = format!("a level in `fence` of {} is empty", section.place);
                let help = "nothing would be switched off by it: name a device, or remove it";
                findings.error(&entry.span(), message, help);
            }
            Some(level) => {
                levels.push(Spanned::new(entry.span(), plugs(level, section, findings)));
            }
            None => {
                let message = format!("`fence` of {} mixes devices and levels", section.place);
                let help = "write every level as a list of its own:  \
                            fence = [[\"pdu-a:3\", \"pdu-b:7\"], [\"bmc1\"]]";
                findings.error(&entry.span(), message, help);
            }
        }
    }
    Some(levels)
}

fn plugs(
    list: &[Spanned<DeValue<'_>>],
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Vec<Spanned<Plug>> {
    if let Some(entry) = list.get(MOST_PLUGS) {
        let message = format!("{} devices in one level of {}", list.len(), section.place);
        let help = format!(
            "{MOST_PLUGS} is the most, and all of a level are needed; what is to be tried one \
             after the other are levels:  fence = [[\"bmc1\"], [\"pdu-a:3\"]]"
        );
        findings.error(&entry.span(), message, help);
        return Vec::new();
    }
    let mut plugs = Vec::new();
    for entry in list {
        let Some(text) = entry.get_ref().as_str() else {
            section.entry_mismatch("fence", entry, "a device in quotes", findings);
            continue;
        };
        let (device, plug) = match text.split_once(':') {
            Some((device, plug)) => (device, Some(plug)),
            None => (text, None),
        };
        let odd = |plug: &str| {
            plug.is_empty() || plug.len() > LONGEST_PLUG || plug.contains(char::is_control)
        };
        if plug.is_some_and(odd) {
            let message = format!("`{}` names no outlet behind the colon", shown(text));
            let help = format!("write  \"{}:3\"  or the device alone", shown(device));
            findings.error(&entry.span(), message, help);
            continue;
        }
        let plug = Plug { device: device.to_owned(), plug: plug.map(str::to_owned) };
        plugs.push(Spanned::new(entry.span(), plug));
    }
    plugs
}

fn after(section: &Section<'_, '_>, findings: &mut Findings) -> AfterFence {
    let Some(word) = section.text("fence-after", findings) else { return AfterFence::default() };
    match word.get_ref().as_str() {
        "on" => AfterFence::On,
        "stay-off" => AfterFence::StayOff,
        other => {
            let message = format!("`{}` is nothing that can come after", shown(other));
            let help = "write  fence-after = \"on\"  to have it boot, or  fence-after = \
                        \"stay-off\"  to have somebody look at it first";
            findings.error(&word.span(), message, help);
            AfterFence::default()
        }
    }
}

/// A time that may be longer than a day.
fn rehearse(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Span> {
    let text = section.text("fence-rehearse", findings)?;
    let (least, most) = REHEARSE;
    let help = format!(
        "from {} to {} days; write it like this:  {}",
        say(least),
        most.as_micros() / 86_400_000_000,
        section.example("fence-rehearse")
    );
    match parse_long(text.get_ref()) {
        Ok(span) if (least..=most).contains(&span) => Some(span),
        Ok(_) => {
            let message = format!("a rehearsal every `{}`", shown(text.get_ref()));
            findings.error(&text.span(), message, help);
            None
        }
        Err(wrong) => {
            findings.error(&text.span(), wrong.message, help);
            None
        }
    }
}

impl Fenced {
    /// As it is configured, once there are no problems; nothing if nothing is said.
    pub(super) fn config(self) -> Option<NodeFencing> {
        let level = |level: Spanned<Vec<Spanned<Plug>>>| {
            level.into_inner().into_iter().map(Spanned::into_inner).collect()
        };
        let fencing = NodeFencing {
            levels: self.levels.into_iter().map(level).collect(),
            after: self.after,
            rehearse: self.rehearse,
            watchdog: self.watchdog,
        };
        (fencing != NodeFencing::default()).then_some(fencing)
    }
}
