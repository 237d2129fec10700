//! What FRR may announce: two prefix lists, a route-map over both, and a line that redistributes
//! through it.
//!
//! The lists are changed entry by entry, and before the line that uses them: at no moment does
//! anything pass that should not, and what is to stay announced is never withdrawn.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::super::{Announce, Applied, Prefix, Source};
use super::running::{FAMILIES, NAME, Running};
use super::{Vtysh, VtyshError};

/// Entries are numbered in such steps, as FRR does by itself.
const STEP: u32 = 5;
/// As many commands go to one process, so that its arguments stay short.
const MOST_COMMANDS: usize = 200;

/// FRR was not told what it may announce.
#[derive(Debug, Error)]
pub enum ConfigureError {
    /// FRR can't be asked what it has.
    #[error("FRR's configuration can't be read; nothing was changed")]
    Look(#[source] VtyshError),
    /// It has no BGP of the operator's.
    #[error(
        "FRR has no `router bgp` in its default instance; nothing was changed; give it one with \
         the routers next to this node as neighbours"
    )]
    NoRouter,
    /// The place of our line is taken.
    #[error(
        "FRR has `{line}` in address-family {family}, in whose place stead's would stand; nothing \
         was changed; end its route-map with `call {NAME}` in an entry of its own, or take it out"
    )]
    Taken {
        /// Where.
        family: &'static str,
        /// The operator's line.
        line: String,
    },
    /// A command failed.
    #[error(
        "FRR did not take what it may announce; commands before the refused one hold, and do no \
         harm; it is safe to repeat"
    )]
    Change(#[source] VtyshError),
}

/// See [`super::super::Daemon::configure`].
pub(in super::super) async fn configure(
    vtysh: &Vtysh,
    announce: &Announce,
) -> Result<Applied, ConfigureError> {
    let running = vtysh.run(&["show running-config"]).await.map_err(ConfigureError::Look)?;
    let changes = changes(&Running::read(&running), announce)?;
    if changes.is_empty() {
        return Ok(Applied::Unchanged);
    }
    for blocks in changes.chunks(MOST_COMMANDS / LONGEST_BLOCK) {
        let mut commands = vec!["configure terminal"];
        commands.extend(blocks.iter().flatten().map(String::as_str));
        vtysh.run(&commands).await.map_err(ConfigureError::Change)?;
    }
    Ok(Applied::Changed)
}

/// Commands that belong together, from the top of the configuration and back to it.
type Block = Vec<String>;
const LONGEST_BLOCK: usize = 5;

fn changes(running: &Running, announce: &Announce) -> Result<Vec<Block>, ConfigureError> {
    let number = running.bgp.as_ref().ok_or(ConfigureError::NoRouter)?;
    let kind = kind(announce.source());
    let line = format!("redistribute {kind} route-map {NAME}");
    let mut changes = list_changes(running, announce);
    changes.extend(map_changes(running, announce.source()));
    for family in FAMILIES {
        let here = running.redistributed.iter().filter(|(it, _)| *it == family);
        let mut there = false;
        for (_, old) in here {
            let ours = old.ends_with(&format!(" route-map {NAME}"));
            let same = old.split_whitespace().nth(1) == Some(kind);
            if same && !ours {
                return Err(ConfigureError::Taken { family, line: old.clone() });
            }
            there |= same;
            // Of the other source, which is left.
            if ours && !same {
                changes.push(in_family(number, family, format!("no {old}")));
            }
        }
        if !there {
            changes.push(in_family(number, family, line.clone()));
        }
    }
    Ok(changes)
}

fn in_family(number: &str, family: &str, line: String) -> Block {
    let router = format!("router bgp {number}");
    let family = format!("address-family {family}");
    vec![router, family, line, "exit-address-family".to_owned(), "exit".to_owned()]
}

fn kind(source: &Source) -> &'static str {
    match source {
        Source::Interface(_) => "connected",
        Source::Kernel(_) => "kernel",
    }
}

/// Entries that go, then entries that come.
fn list_changes(running: &Running, announce: &Announce) -> Vec<Block> {
    let mut changes = Vec::new();
    for v4 in [true, false] {
        let mut missing: BTreeSet<&Prefix> = announce.of_family(v4).collect();
        let mut numbers = BTreeSet::new();
        let here = running.entries.iter().filter(|((family, _), _)| *family == v4);
        for ((_, number), entry) in here {
            if entry.prefix.as_ref().is_some_and(|prefix| missing.remove(prefix)) {
                numbers.insert(*number);
            } else {
                changes.push(vec![format!("no {}", entry.line)]);
            }
        }
        let word = if v4 { "ip" } else { "ipv6" };
        let mut free = (1..).map(|it| it * STEP).filter(|it| !numbers.contains(it));
        for prefix in missing {
            let Some(number) = free.next() else { break };
            changes.push(vec![format!("{word} prefix-list {NAME} seq {number} permit {prefix}")]);
        }
    }
    changes
}

/// The route-map is put there as a whole where it differs; its blocks are compared as sets, since
/// FRR prints their lines in an order of its own.
fn map_changes(running: &Running, source: &Source) -> Vec<Block> {
    let wanted = map(source);
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut block = "";
    for line in &running.map {
        if line.starts_with("route-map ") {
            block = line;
            found.entry(block).or_default();
        } else {
            found.entry(block).or_default().insert(line);
        }
    }
    let same = |block: &Block| {
        let (first, rest) = match &block[..] {
            [first, rest @ .., _exit] => (first.as_str(), rest),
            _ => return false,
        };
        found.get(first) == Some(&rest.iter().map(String::as_str).collect())
    };
    if found.len() == wanted.len() && wanted.iter().all(same) {
        return Vec::new();
    }
    let gone = found.keys().map(|first| vec![format!("no {first}")]);
    gone.chain(wanted.iter().cloned()).collect()
}

fn map(source: &Source) -> Vec<Block> {
    let families = [("10", "ip"), ("20", "ipv6")];
    let blocks = families.map(|(number, word)| {
        let mut block = vec![format!("route-map {NAME} permit {number}")];
        if let Source::Interface(name) = source {
            block.push(format!("match interface {name}"));
        }
        block.push(format!("match {word} address prefix-list {NAME}"));
        block.push("exit".to_owned());
        block
    });
    blocks.to_vec()
}

/// See [`super::super::Daemon::explain`].
pub(in super::super) fn explain(announce: &Announce) -> String {
    let kind = kind(announce.source());
    format!(
        "! What FRR needs beside stead's lists (bgpd and bfdd turned on in /etc/frr/daemons).\n\
         ! stead adds the prefix lists and the route-map \"{NAME}\", and to each family of the\n\
         ! default instance the line `redistribute {kind} route-map {NAME}`.\n\
         router bgp 65010                         ! this node's\n \
           no bgp ebgp-requires-policy             ! or an outgoing route-map for each neighbour\n \
           neighbor 192.0.2.1 remote-as 65001      ! the router's\n \
           ! Without BFD a silent node is noticed only after the hold time (the last number\n \
           ! below, in seconds). The neighbour needs it too.\n \
           neighbor 192.0.2.1 bfd\n \
           neighbor 192.0.2.1 timers 3 9\n \
           neighbor 192.0.2.1 timers connect 1\n \
           ! Or a router may go on with a silent node's routes for 120 s more.\n \
           neighbor 192.0.2.1 graceful-restart-disable\n \
           address-family ipv6 unicast\n  \
             neighbor 192.0.2.1 activate\n \
           exit-address-family\n\
         exit\n\
         bfd\n \
           peer 192.0.2.1\n  \
             transmit-interval 50\n  \
             receive-interval 50\n  \
             detect-multiplier 3\n \
           exit\n\
         exit\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(prefixes: &[&str]) -> Announce {
        let prefixes = prefixes.iter().map(|it| it.parse().expect("a prefix")).collect();
        Announce::new(prefixes, Source::Interface("stead0".to_owned())).expect("right")
    }

    fn lines(text: &str, announce: &Announce) -> Vec<String> {
        changes(&Running::read(text), announce).expect("possible").concat()
    }

    #[test]
    fn only_what_differs_is_changed() {
        let all = announce(&["10.99.0.1/32", "fd99::1/128"]);
        let first = lines("router bgp 65010\nexit\n", &all);
        assert_eq!(first[0], "ip prefix-list stead seq 5 permit 10.99.0.1/32");
        let line = "redistribute connected route-map stead";
        assert_eq!(first.iter().filter(|it| *it == line).count(), 2);
        let has = "router bgp 65010\n address-family ipv4 unicast\n  redistribute connected \
            route-map stead\n exit-address-family\n address-family ipv6 unicast\n  redistribute \
            connected route-map stead\n exit-address-family\nexit\n\
            ip prefix-list stead seq 5 permit 10.99.0.1/32\n\
            ipv6 prefix-list stead seq 5 permit fd99::1/128\n\
            route-map stead permit 10\n match ip address prefix-list stead\n match interface \
            stead0\nexit\nroute-map stead permit 20\n match interface stead0\n match ipv6 address \
            prefix-list stead\nexit\n";
        assert_eq!(lines(has, &all), Vec::<String>::new());
        let other = announce(&["10.99.0.2/32", "fd99::1/128"]);
        let wanted = [
            "no ip prefix-list stead seq 5 permit 10.99.0.1/32",
            "ip prefix-list stead seq 5 permit 10.99.0.2/32",
        ];
        assert_eq!(lines(has, &other), wanted);
    }

    #[test]
    fn the_operators_own_line_is_left_alone() {
        let text = "router bgp 1\n address-family ipv4 unicast\n  redistribute connected\n";
        let refused = changes(&Running::read(text), &announce(&[]));
        assert!(matches!(refused, Err(ConfigureError::Taken { .. })), "{refused:?}");
        let refused = changes(&Running::default(), &announce(&[]));
        assert!(matches!(refused, Err(ConfigureError::NoRouter)), "{refused:?}");
    }
}
