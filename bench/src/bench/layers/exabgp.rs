//! ExaBGP: two nodes that announce the same address to the router, the usual way beside a service
//! that has no routing daemon.
//!
//! Both hold the address on their loopback all the time, and ExaBGP's own `healthcheck` announces
//! it by a session for either family. The first node's metric (MED) is the lower one, so it has the
//! clients as long as the router hears it. Planned: the file appears that disables the first node,
//! and its metric becomes the highest. Dead: nobody tells the router, which waits until the hold
//! time is over, as ExaBGP speaks no BFD.
//!
//! Unlike the other subjects it promises nothing about how many nodes answer: both do at any time,
//! so a planned move costs nothing. Deliberately absent: a command for the check, since no service
//! fails here.

use std::path::PathBuf;
use std::process::Command;

use ::stead::demo::fleet::{Family, client_address, service_address};
use stead_lab::prober::Prober;

use super::routes::{ROUTER_AS, Router, Session, announced, length};
use super::{Event, FAMILIES, Pair, number, prefix};
use crate::error::{BenchError, Step};
use crate::subject::{FRONT, Failure, PeerBed};
use crate::tools::{PATIENCE, Tools, said};

/// The program, and the Debian package that brings it.
pub(super) const PROGRAM: &str = "/usr/sbin/exabgp";
pub(super) const PACKAGE: &str = "exabgp";
/// Hold times in seconds: what data centres use, with a keepalive every 3 s, and the least that
/// BGP allows (RFC 4271, 4.2).
pub(super) const HOLDS: [u32; 2] = [9, 3];
/// The nodes' number: metrics are compared between routes of one neighbour only.
const NODE_AS: u32 = 65_010;
/// Metrics: of the first node, of the second one, and of one that is disabled.
const METRICS: [u32; 2] = [100, 200];
const DISABLED: u32 = 1_000;
const COUNT: u8 = 2;

/// A running pair.
pub(super) struct ExaBgp {
    bed: PeerBed,
    router: Router,
    hold: u32,
}

impl ExaBgp {
    pub(super) fn start(tools: &Tools, hold: u32) -> Result<Self, BenchError> {
        let bed = PeerBed::build(tools, "layers", COUNT)?;
        bed.speak_six()?;
        let sessions: Vec<Session> = (1..=COUNT)
            .flat_map(|node| FAMILIES.iter().map(move |family| (node, family)))
            .map(|(node, family)| Session {
                name: format!("{}{node}", word(*family)),
                over: *family,
                node,
                number: NODE_AS,
                families: std::slice::from_ref(family),
                hold,
                bfd: false,
            })
            .collect();
        let router = Router::build(&bed.bed, &bed.client, bed.folder.path(), &sessions)?;
        let pair = Self { bed, router, hold };
        for number in 1..=COUNT {
            pair.start_node(number)?;
        }
        Ok(pair)
    }

    /// Everything outside of its network is behind the router.
    fn start_node(&self, number: u8) -> Result<(), BenchError> {
        let name = format!("node{number}");
        let host = self.bed.node(&name)?;
        for (family, flag) in FAMILIES.into_iter().zip(["-4", "-6"]) {
            let via = client_address(family).to_string();
            said(host, "ip", &[flag, "route", "add", "default", "via", &via])?;
        }
        let text = configuration(number, self.hold, &self.switch(&name));
        let file = self.bed.folder.write(&format!("{name}.conf"), &text)?;
        let mut command = Command::new(PROGRAM);
        // The packaged settings are the machine's, and its user can't put addresses on a loopback.
        command.env("exabgp.daemon.user", "root").env("exabgp.daemon.drop", "false");
        command.env("exabgp.api.cli", "false");
        command.args(["--env", "/nonexistent"]).arg(file);
        host.spawn(command, &self.bed.folder.path().join(format!("{name}.log")))?;
        Ok(())
    }

    /// While this file is there, the node is disabled.
    fn switch(&self, name: &str) -> PathBuf {
        self.bed.folder.path().join(format!("{name}.disabled"))
    }
}

impl Pair for ExaBgp {
    fn ask(&self, family: Family) -> Result<Prober, BenchError> {
        self.router.ask(family)
    }

    /// The router has both nodes' routes with their own metrics: the first one has the clients.
    fn whole(&self) -> Result<(), BenchError> {
        self.bed.tools.wait_until("the router hears both nodes", PATIENCE, || {
            let heard = self.router.heard()?;
            let all = METRICS.map(|metric| {
                let lines = heard.lines().map(str::trim);
                lines.filter(|line| *line == format!("BGP.med: {metric}")).count()
            });
            Ok(all == [FAMILIES.len(); 2])
        })
    }

    fn inflict(&mut self, event: Event, node: &str) -> Result<(), BenchError> {
        match event {
            Event::Planned => {
                let switch = self.switch(node);
                std::fs::write(&switch, "").step(|| format!("cannot write {}", switch.display()))
            }
            Event::Dead => self.bed.inflict(Failure::Dead, node),
        }
    }

    fn mend(&mut self, event: Event, node: &str) -> Result<(), BenchError> {
        match event {
            Event::Planned => {
                let switch = self.switch(node);
                let removed = std::fs::remove_file(&switch);
                removed.step(|| format!("cannot remove {}", switch.display()))
            }
            Event::Dead => {
                self.bed.mend(Failure::Dead, node)?;
                let number = number(node)?;
                // an empty host has what its cables were laid with, and that is IPv4
                let (six, length) = (service_address(Family::V6, number), prefix(Family::V6));
                let six = format!("{six}/{length}");
                let words = ["addr", "add", &six, "dev", FRONT, "nodad"];
                said(self.bed.node(node)?, "ip", &words)?;
                self.start_node(number)
            }
        }
    }
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "four",
        Family::V6 => "six",
    }
}

fn configuration(number: u8, hold: u32, switch: &std::path::Path) -> String {
    let metric = METRICS[usize::from(number != 1)];
    let part = |family: Family| {
        let (name, own) = (word(family), service_address(family, number));
        let (router, ip, length) = (client_address(family), announced(family), length(family));
        let channel = match family {
            Family::V4 => "ipv4 unicast",
            Family::V6 => "ipv6 unicast",
        };
        format!(
            "process {name} {{\n    run /usr/bin/python3 -m exabgp healthcheck --no-syslog --name \
             {name} --ip {ip}/{length} --next-hop {own} --interval 1 --fast-interval 0.2 \
             --up-metric {metric} --down-metric {DISABLED} --disabled-metric {DISABLED} --disable \
             {};\n    encoder text;\n}}\n\
             neighbor {router} {{\n    router-id {};\n    local-address {own};\n    local-as \
             {NODE_AS};\n    peer-as {ROUTER_AS};\n    hold-time {hold};\n    family {{\n        \
             {channel};\n    }}\n    api {{\n        processes [ {name} ];\n    }}\n}}\n",
            switch.display(),
            service_address(Family::V4, number),
        )
    };
    FAMILIES.map(part).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_is_the_better_one_and_else_they_differ_in_addresses_only() {
        let [one, two] = [1, 2].map(|it| configuration(it, 9, std::path::Path::new("/x")));
        assert!(one.contains("--up-metric 100 ") && two.contains("--up-metric 200 "), "{one}{two}");
        let same = one
            .replace("10.77.0.1;", "10.77.0.2;")
            .replace("--next-hop 10.77.0.1 ", "--next-hop 10.77.0.2 ")
            .replace("fd77::1", "fd77::2")
            .replace("--up-metric 100", "--up-metric 200");
        assert_eq!(same, two);
        assert_eq!(one.matches("hold-time 9;").count(), 2, "{one}");
    }
}
