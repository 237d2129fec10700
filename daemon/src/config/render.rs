//! A configuration as text: every value that counts, spelled one way.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use stead_core::state::config::{
    Agent, Config, ContainerHow, ExecConfig, HookConfig, Look, Monitor, NetworkConfig, Probe,
    ProcessHow, Program, QuorumConfig, Ready, ResourceConfig, ResourceTimes, Safety,
    ServiceAddress, ServiceConfig, ServiceMore, Stuck, USUAL_IMPORTANCE,
};

use super::{container, duration, expect_words, fence_words, redirect, rule_words, timed};
use crate::ocf;

/// The text of a configuration. [`super::read`] makes the same configuration of it.
#[must_use]
pub fn render(config: &Config) -> String {
    let mut text = String::new();
    // Writing into a string has no way to fail.
    let written = write_config(&mut text, config);
    debug_assert!(written.is_ok());
    text
}

fn write_config(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(out, "[cluster]")?;
    writeln!(out, "name = {}", quoted(&config.name))?;
    writeln!(out, "ride-out = \"{}\"", duration::write(config.ride_out))?;
    writeln!(out, "round-trip = \"{}\"", duration::write(config.round_trip))?;
    writeln!(out, "daemon-grace = \"{}\"", duration::write(config.daemon_grace))?;
    for (name, link) in &config.links {
        writeln!(out, "\n[links.{name}]\nport = {}", link.port)?;
    }
    write_nodes(out, config)?;
    write_services(out, config)?;
    timed::write_times(out, &config.later.fencing.rules.times)?;
    for (name, network) in &config.more.networks {
        writeln!(out, "\n[networks.{name}]")?;
        write_network(out, network)?;
        redirect::write_pool(out, config.redirect(), name)?;
    }
    if config.later.quorum != QuorumConfig::default() {
        writeln!(out, "\n[quorum]")?;
        write_quorum(out, &config.later.quorum)?;
    }
    fence_words::write_devices(out, &config.later.fencing)?;
    redirect::write_zones(out, config.redirect())?;
    redirect::write_redirect(out, config.redirect())?;
    expect_words::write_expects(out, config)
}

fn write_nodes(out: &mut String, config: &Config) -> fmt::Result {
    for (name, node) in &config.nodes {
        writeln!(out, "\n[nodes.{name}]")?;
        if let Some(site) = &node.site {
            writeln!(out, "site = {}", quoted(site))?;
        }
        if config.later.satellites.contains(name) {
            writeln!(out, "satellite = true")?;
        }
        let addresses = node.addresses.iter().map(|(link, ip)| format!("{link} = \"{ip}\""));
        writeln!(out, "addresses = {{ {} }}", addresses.collect::<Vec<_>>().join(", "))?;
        if let Some(fencing) = config.fencing(name) {
            fence_words::write_node(out, fencing)?;
        }
        if let Some(rules) = config.later.fencing.rules.nodes.get(name) {
            rule_words::write_node(out, rules)?;
        }
    }
    Ok(())
}

fn write_services(out: &mut String, config: &Config) -> fmt::Result {
    for (name, service) in &config.services {
        writeln!(out, "\n[services.{name}]")?;
        let usual = ServiceMore::default();
        let more = config.more_of(name).unwrap_or(&usual);
        write_service(out, config, service, &more.look)?;
        redirect::write_names(out, config, name)?;
        write_more(out, more)?;
        if let Some(rules) = config.rules(name) {
            rule_words::write_service(out, config, name, rules)?;
        }
        let copies = config.copies(name);
        match copies.map(|copies| &copies.nodes) {
            Some(Some(nodes)) => {
                let nodes: Vec<String> = nodes.iter().cloned().collect();
                writeln!(out, "copies = {}", list(&nodes))?;
            }
            Some(None) => writeln!(out, "copies = \"all\"")?,
            None => {}
        }
        if let Some(rules) = config.rules(name) {
            timed::write_during(out, &name.0, &rules.during)?;
        }
        for resource in config.resources(name) {
            writeln!(out, "\n[[services.{name}.resources]]")?;
            write_resource(out, resource)?;
            let can = copies.map(|copies| copies.promotable.contains(&resource.name));
            if let (Some(can), Agent::Ocf { provider, kind, .. }) = (can, &resource.agent)
                && can != ocf::is_promotable(provider, kind)
            {
                writeln!(out, "promotable = {can}")?;
            }
        }
    }
    Ok(())
}

fn write_quorum(out: &mut String, quorum: &QuorumConfig) -> fmt::Result {
    let modules: Vec<_> = quorum.chain.modules().iter().map(|it| it.name().to_owned()).collect();
    writeln!(out, "chain = {}", list(&modules))?;
    if let Some(ExecConfig { command, timeout }) = &quorum.exec {
        let (command, timeout) = (list(command), duration::write(*timeout));
        writeln!(out, "exec = {{ command = {command}, timeout = \"{timeout}\" }}")?;
    }
    if let Some(handicap) = quorum.handicap {
        writeln!(out, "handicap = \"{}\"", duration::write(handicap))?;
    }
    Ok(())
}

fn write_network(out: &mut String, network: &NetworkConfig) -> fmt::Result {
    writeln!(out, "prefix = \"{}/{}\"", network.network, network.prefix)?;
    if network.gateway {
        writeln!(out, "gateway = true")?;
    }
    if !network.addresses.is_empty() {
        let addresses: Vec<_> = network.addresses.iter().map(|it| format!("\"{it}\"")).collect();
        writeln!(out, "addresses = [{}]", addresses.join(", "))?;
    }
    if let Some(interface) = &network.interface {
        writeln!(out, "interface = {}", quoted(interface))?;
    }
    Ok(())
}

fn write_more(out: &mut String, more: &ServiceMore) -> fmt::Result {
    if !more.needs.is_empty() {
        writeln!(
            out,
            "needs = {}",
            list(&more.needs.iter().map(|it| it.0.clone()).collect::<Vec<_>>())
        )?;
    }
    if more.importance != USUAL_IMPORTANCE {
        writeln!(out, "importance = {}", more.importance)?;
    }
    let hooks = [("takeover", &more.hooks.takeover), ("release", &more.hooks.release)];
    let hooks = hooks.into_iter().filter_map(|(key, hook)| Some((key, hook.as_ref()?)));
    let hooks = hooks.map(|(key, HookConfig { command, timeout })| {
        let (command, timeout) = (list(command), duration::write(*timeout));
        format!("{key} = {{ command = {command}, timeout = \"{timeout}\" }}")
    });
    let hooks: Vec<_> = hooks.collect();
    if hooks.is_empty() { Ok(()) } else { writeln!(out, "hooks = {{ {} }}", hooks.join(", ")) }
}

/// What a monitor does, as a key of its table.
fn asks(out: &mut String, command: &[String], probe: Option<&Probe>) -> fmt::Result {
    match probe {
        None => write!(out, "command = {}", list(command)),
        Some(Probe::Tcp(at)) => write!(out, "tcp = \"{at}\""),
        Some(Probe::Http { at: _, host, path, expect, contains }) => {
            write!(out, "http = {}", quoted(&format!("http://{host}{path}")))?;
            if !expect.is_empty() {
                let codes: Vec<_> = expect.iter().map(ToString::to_string).collect();
                write!(out, ", expect = [{}]", codes.join(", "))?;
            }
            contains.as_ref().map_or(Ok(()), |text| write!(out, ", contains = {}", quoted(text)))
        }
    }
}

fn write_service(
    out: &mut String,
    config: &Config,
    service: &ServiceConfig,
    look: &Look,
) -> fmt::Result {
    let addresses = service.addresses.iter().map(|it| address(config, it)).collect::<Vec<_>>();
    writeln!(out, "addresses = [{}]", addresses.join(", "))?;
    if !service.prefer.is_empty() {
        writeln!(out, "prefer = {}", list(&service.prefer))?;
    }
    if service.failback {
        writeln!(out, "failback = true")?;
    }
    if let Some(Program { command, stop_timeout }) = &service.program {
        let (command, stop_timeout) = (list(command), duration::write(*stop_timeout));
        writeln!(out, "program = {{ command = {command}, stop-timeout = \"{stop_timeout}\" }}")?;
    }
    if let Some(Monitor { command, interval, timeout }) = &service.monitor {
        write!(out, "monitor = {{ ")?;
        asks(out, command, look.probe.as_ref())?;
        let (interval, timeout) = (duration::write(*interval), duration::write(*timeout));
        write!(out, ", interval = \"{interval}\", timeout = \"{timeout}\"")?;
        if let Some(span) = look.slower_than {
            write!(out, ", slower-than = \"{}\"", duration::write(span))?;
        }
        if look.failures != 1 {
            write!(out, ", failures = {}", look.failures)?;
        }
        writeln!(out, " }}")?;
    }
    Ok(())
}

fn write_resource(out: &mut String, resource: &ResourceConfig) -> fmt::Result {
    let ResourceConfig { name, agent, needs, times, restarts, forget_after, safety, stuck } =
        resource;
    writeln!(out, "name = {}", quoted(name))?;
    match agent {
        Agent::Process { command, monitor, how } => {
            writeln!(out, "program = {}", list(command))?;
            if let Some(monitor) = monitor {
                writeln!(out, "monitor = {}", list(monitor))?;
            }
            write_how(out, how)?;
        }
        Agent::Unit { unit, monitor } => {
            writeln!(out, "unit = {}", quoted(unit))?;
            if let Some(monitor) = monitor {
                writeln!(out, "monitor = {}", list(monitor))?;
            }
        }
        Agent::Container { image, command, monitor, how } => {
            writeln!(out, "container = {}", quoted(image))?;
            if !command.is_empty() {
                writeln!(out, "command = {}", list(command))?;
            }
            if let Some(monitor) = monitor {
                writeln!(out, "monitor = {}", list(monitor))?;
            }
            write_container(out, how)?;
        }
        Agent::Ocf { provider, kind, parameters } => {
            writeln!(out, "ocf = {}", quoted(&format!("{provider}:{kind}")))?;
            write_texts(out, "parameters", parameters)?;
        }
    }
    writeln!(out, "needs = {}", list(&needs.iter().cloned().collect::<Vec<_>>()))?;
    let ResourceTimes { start, stop, monitor, interval } = *times;
    let times = [
        ("start-timeout", start),
        ("stop-timeout", stop),
        ("monitor-timeout", monitor),
        ("monitor-interval", interval),
    ];
    for (key, span) in times {
        if let Some(span) = span {
            writeln!(out, "{key} = \"{}\"", duration::write(span))?;
        }
    }
    writeln!(out, "restarts = {restarts}")?;
    writeln!(out, "forget-after = \"{}\"", duration::write(*forget_after))?;
    match safety {
        Safety::Lease => writeln!(out, "safety = \"lease\"")?,
        Safety::Fence => writeln!(out, "safety = \"fence\"")?,
    }
    match stuck {
        Stuck::Wait => Ok(()),
        Stuck::Reboot => writeln!(out, "stuck = \"reboot\""),
    }
}

/// A table on one line; none if it is empty. Names that are more than a word stand in quotes.
pub(super) fn write_texts(
    out: &mut String,
    key: &str,
    all: &BTreeMap<String, String>,
) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let one = |(name, value): (&String, &String)| {
        let name = if name.chars().all(plain) { name.clone() } else { quoted(name) };
        format!("{name} = {}", quoted(value))
    };
    let all: Vec<_> = all.iter().map(one).collect();
    writeln!(out, "{key} = {{ {} }}", all.join(", "))
}

fn write_container(out: &mut String, how: &ContainerHow) -> fmt::Result {
    let ContainerHow { socket, environment, mounts, network, stop_signal } = how;
    write_texts(out, "environment", environment)?;
    if !mounts.is_empty() {
        let mounts: Vec<String> = mounts.iter().map(container::written).collect();
        writeln!(out, "mounts = {}", list(&mounts))?;
    }
    for (key, text) in [("network", network), ("socket", socket), ("stop-signal", stop_signal)] {
        if let Some(text) = text {
            writeln!(out, "{key} = {}", quoted(text))?;
        }
    }
    Ok(())
}

fn write_how(out: &mut String, how: &ProcessHow) -> fmt::Result {
    let ProcessHow { ready, user, group, stop_signal } = how;
    match ready {
        Ready::Monitor => {}
        Ready::Notify => writeln!(out, "ready = \"notify\"")?,
        Ready::Tcp(address) => writeln!(out, "ready = {{ tcp = \"{address}\" }}")?,
    }
    for (key, text) in [("user", user), ("group", group), ("stop-signal", stop_signal)] {
        if let Some(text) = text {
            writeln!(out, "{key} = {}", quoted(text))?;
        }
    }
    Ok(())
}

fn address(config: &Config, address: &ServiceAddress) -> String {
    let ServiceAddress { ip, prefix, interface } = address;
    let interface = interface.as_ref().map(|it| format!(", interface = {}", quoted(it)));
    let more = interface.unwrap_or_default() + &redirect::write_address(config, address);
    if more.is_empty() {
        return format!("\"{ip}/{prefix}\"");
    }
    format!("{{ ip = \"{ip}\", prefix = {prefix}{more} }}")
}

pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// The text as a basic string of TOML, on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
