//! A table `[services.NAME]`: addresses, program, monitor and wishes.

use stead_core::state::config::{Program, ServiceAddress};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::command::Command;
use super::draft::Service;
use super::keys;
use super::problem::Findings;
use super::redirect::{self, Named, OfAddress};
use super::section::{Section, shown};
use super::{DEFAULT_STOP_TIMEOUT, address, copies, hooks, monitor, resource, rules, timed};

/// The longest name of an interface, in bytes (IFNAMSIZ of the kernel, less its final zero).
const LONGEST_INTERFACE: usize = 15;

/// From the least to the most important.
const MOST_IMPORTANT: (u16, u16) = (1, 100);

/// Reads the table of one service.
pub(super) fn service(
    name: Spanned<String>,
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> Service {
    let (monitor, look) = monitor::monitor(section, findings);
    let importance = section.number("importance", MOST_IMPORTANT, findings);
    let (resources, promotable) = parts(section, findings);
    let (addresses, said) = addresses(section, findings);
    let names = redirect::names(section, findings);
    let clients = redirect::clients(section, findings);
    Service {
        copies: copies::copies(section, findings),
        promotable,
        addresses,
        said,
        named: Named { names, clients },
        program: program(section, findings),
        monitor,
        look,
        needs: section.texts("needs", findings).unwrap_or_default(),
        importance,
        hooks: hooks::hooks(section, findings),
        prefer: rules::places("prefer", section, findings).unwrap_or_default(),
        failback: timed::failback(section, findings),
        resources,
        rules: rules::of_service(section, findings),
        name,
    }
}

/// The addresses, and what is said of each beside where it is.
fn addresses(
    section: &Section<'_, '_>,
    findings: &mut Findings,
) -> (Vec<Spanned<ServiceAddress>>, Vec<OfAddress>) {
    if section.get("addresses").is_none() {
        section.missing("addresses", findings);
    }
    let Some(list) = section.list("addresses", findings) else { return Default::default() };
    if list.is_empty() {
        let message = format!("`addresses` of {} is empty", section.place);
        let help = "a service is reached at its addresses: give it one, or remove the service";
        findings.error(&section.at("addresses"), message, help);
    }
    let (mut addresses, mut all_said) = (Vec::new(), Vec::new());
    for entry in list {
        let address = match (entry.get_ref().as_str(), entry.get_ref().as_table()) {
            (Some(text), _) => match address::parse_service(text) {
                Ok((ip, prefix)) => {
                    let address = ServiceAddress { ip, prefix, interface: None };
                    Some((address, OfAddress::default()))
                }
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
        if let Some((address, said)) = address {
            addresses.push(Spanned::new(entry.span(), address));
            all_said.push(said);
        }
    }
    (addresses, all_said)
}

/// Reads `{ ip = ..., prefix = ..., interface = ... }`, and by which layers it is found.
fn long_address(
    section: &Section<'_, '_>,
    entry: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    findings: &mut Findings,
) -> Option<(ServiceAddress, OfAddress)> {
    let place = format!("an address of {}", section.place);
    let table = Section::new(table, entry.span(), place, keys::ADDRESS, findings);
    for key in ["ip", "prefix"] {
        if table.get(key).is_none() {
            table.missing(key, findings);
        }
    }
    let said = redirect::of_address(&table, findings);
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
            let interface = interface.map(Spanned::into_inner);
            Some((ServiceAddress { ip, prefix, interface }, said))
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

/// What it consists of, if it is more than one program.
fn parts(section: &Section<'_, '_>, findings: &mut Findings) -> resource::Resources {
    if section.get("resources").is_some() && section.get("program").is_some() {
        let message = format!("{} has both `program` and `resources`", section.place);
        let help = "make the program one of the resources: it can then need others";
        findings.error(&section.at("program"), message, help);
    }
    resource::resources(section, findings)
}
