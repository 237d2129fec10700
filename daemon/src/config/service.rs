//! A table `[services.NAME]`: addresses, program, monitor and wishes.

use stead_core::state::config::{Monitor, Program, ServiceAddress};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Service;
use super::keys::{self, Key};
use super::problem::Findings;
use super::section::{Section, shown};
use super::{DEFAULT_MONITOR_INTERVAL, DEFAULT_MONITOR_TIMEOUT, DEFAULT_STOP_TIMEOUT, address};

/// The longest name of an interface, in bytes (IFNAMSIZ of the kernel, less its final zero).
const LONGEST_INTERFACE: usize = 15;

/// Reads the table of one service.
pub(super) fn service(
    name: Spanned<String>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Service {
    Service {
        addresses: addresses(section, findings),
        program: program(section, findings),
        monitor: monitor(section, findings),
        prefer: section.texts("prefer", findings).unwrap_or_default(),
        failback: section.truth("failback", findings),
        name,
    }
}

fn addresses(section: &Section<'_, '_>, findings: &mut Findings) -> Vec<Spanned<ServiceAddress>> {
    if section.get("addresses").is_none() {
        section.missing("addresses", findings);
    }
    let Some(list) = section.list("addresses", findings) else { return Vec::new() };
    if list.is_empty() {
        let message = format!("`addresses` of {} is empty", section.place);
        let help = "a service is reached at its addresses: give it one, or remove the service";
        findings.error(&section.at("addresses"), message, help);
    }
    let mut addresses = Vec::new();
    for entry in list {
        let address = match (entry.get_ref().as_str(), entry.get_ref().as_table()) {
            (Some(text), _) => match address::parse_service(text) {
                Ok((ip, prefix)) => Some(ServiceAddress { ip, prefix, interface: None }),
                Err(wrong) => {
                    findings.error(&entry.span(), wrong.message, wrong.help);
                    None
                }
            },
            (None, Some(table)) => long_address(section, entry, table, findings),
            (None, None) => {
                let wanted = "a text in quotes or a table in { }";
                section.entry_mismatch("addresses", entry, wanted, findings);
                None
            }
        };
        addresses.extend(address.map(|address| Spanned::new(entry.span(), address)));
    }
    addresses
}

/// Reads `{ ip = ..., prefix = ..., interface = ... }`.
fn long_address(
    section: &Section<'_, '_>,
    entry: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    findings: &mut Findings,
) -> Option<ServiceAddress> {
    let place = format!("an address of {}", section.place);
    let table = Section::new(table, entry.span(), place, keys::ADDRESS, findings);
    for key in ["ip", "prefix"] {
        if table.get(key).is_none() {
            table.missing(key, findings);
        }
    }
    let interface = table.text("interface", findings);
    if let Some(interface) = &interface {
        check_interface(interface, findings);
    }
    let ip = table.text("ip", findings);
    let prefix = table.number("prefix", (1, 128), findings);
    let (ip, prefix) = (ip?, prefix?);
    let address = address::parse_ip(ip.get_ref()).map_err(|wrong| (ip.span(), wrong));
    let checked = address.and_then(|ip| {
        let length = address::check_prefix(ip, i64::from(*prefix.get_ref()));
        length.map(|length| (ip, length)).map_err(|wrong| (prefix.span(), wrong))
    });
    match checked {
        Ok((ip, prefix)) => {
            Some(ServiceAddress { ip, prefix, interface: interface.map(Spanned::into_inner) })
        }
        Err((at, wrong)) => {
            findings.error(&at, wrong.message, wrong.help);
            None
        }
    }
}

pub(super) fn check_interface(interface: &Spanned<String>, findings: &mut Findings) {
    let name = interface.get_ref();
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    let fits = (1..=LONGEST_INTERFACE).contains(&name.len());
    if !fits || name.contains(odd) || name == "." || name == ".." {
        let message = format!("no interface can have the name `{}`", shown(name));
        let help = "`ip -brief link` lists the names of this machine's interfaces";
        findings.error(&interface.span(), message, help);
    }
}

fn program(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Program> {
    let table = Command::open(section, "program", keys::PROGRAM, findings)?;
    Some(Program {
        command: table.command(findings),
        stop_timeout: table.duration("stop-timeout", DEFAULT_STOP_TIMEOUT, findings),
    })
}

fn monitor(section: &Section<'_, '_>, findings: &mut Findings) -> Option<Monitor> {
    let table = Command::open(section, "monitor", keys::MONITOR, findings)?;
    Some(Monitor {
        command: table.command(findings),
        interval: table.duration("interval", DEFAULT_MONITOR_INTERVAL, findings),
        timeout: table.duration("timeout", DEFAULT_MONITOR_TIMEOUT, findings),
    })
}

/// A program or monitor: a table with `command` and times, or the command alone.
enum Command<'s, 'a, 'i> {
    Long(Section<'a, 'i>),
    Short(&'s Section<'a, 'i>, &'static str),
}

impl<'s, 'a, 'i> Command<'s, 'a, 'i> {
    fn open(
        section: &'s Section<'a, 'i>,
        key: &'static str,
        keys: &'static [Key],
        findings: &mut Findings,
    ) -> Option<Self> {
        let value = section.get(key)?;
        if let Some(table) = value.get_ref().as_table() {
            let place = format!("`{key}` of {}", section.place);
            let table = Section::new(table, value.span(), place, keys, findings);
            if table.get("command").is_none() {
                table.missing("command", findings);
            }
            return Some(Self::Long(table));
        }
        if value.get_ref().as_array().is_some() {
            return Some(Self::Short(section, key));
        }
        match value.get_ref().as_str() {
            Some(text) => one_text(section, key, text, findings),
            None => section.mismatch(key, value, "a list in [ ] or a table in { }", findings),
        }
        None
    }

    /// The program file and its arguments, checked.
    fn command(&self, findings: &mut Findings) -> Vec<String> {
        let (section, key) = match self {
            Self::Long(table) => (table, "command"),
            Self::Short(section, key) => (*section, *key),
        };
        let text = section.get(key).and_then(|value| value.get_ref().as_str());
        if let Some(text) = text {
            one_text(section, key, text, findings);
            return Vec::new();
        }
        let Some(words) = section.texts(key, findings) else { return Vec::new() };
        match words.first() {
            Some(file) => check_file(file, findings),
            None if section.list(key, findings).is_some_and(|list| list.is_empty()) => {
                let message = format!("`{key}` of {} is empty", section.place);
                let help = format!("write it like this:  {}", section.example(key));
                findings.error(&section.at(key), message, help);
            }
            None => {}
        }
        for word in words.iter().filter(|word| word.get_ref().contains('\0')) {
            let help = "the kernel ends an argument at that character: remove it";
            findings.error(&word.span(), "an argument contains a zero character", help);
        }
        words.into_iter().map(Spanned::into_inner).collect()
    }

    fn duration(
        &self,
        key: &str,
        default: stead_core::time::Span,
        findings: &mut Findings,
    ) -> stead_core::time::Span {
        match self {
            Self::Long(table) => table.duration(key, default, "s", findings),
            Self::Short(..) => default,
        }
    }
}

/// Notes that a command is one text, and shows it as a list.
fn one_text(section: &Section<'_, '_>, key: &str, text: &str, findings: &mut Findings) {
    let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
    let help = if words.is_empty() || text.len() > 200 || text.contains(['"', '\'', '\\', '\0']) {
        section.example(key).to_owned()
    } else {
        format!("{key} = [{}]", words.join(", "))
    };
    findings.error(
        &section.at(key),
        format!("`{key}` of {} must be a list, one entry per argument", section.place),
        format!("no shell splits it; write  {help}"),
    );
}

fn check_file(file: &Spanned<String>, findings: &mut Findings) {
    let path = file.get_ref();
    if path.is_empty() {
        let help = "write the whole path of the program, from the root";
        findings.error(&file.span(), "the program to run has no name", help);
    } else if !path.starts_with('/') {
        let message = format!("`{}` is not an absolute path", shown(path));
        let program = shown(path.rsplit('/').next().unwrap_or(path));
        let help = format!("write the whole path; `command -v {program}` prints it");
        findings.error(&file.span(), message, help);
    } else if path.ends_with('/') {
        let message = format!("`{}` is a folder, not a program", shown(path));
        findings.error(&file.span(), message, "write the whole path of the program file");
    }
}
