//! keepalived: two nodes, an instance of VRRP for either family. Neither node is preferred, so that
//! nothing moves back by itself.

use std::process::Command;

use ::stead::demo::fleet::Family;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stead_lab::prober::Prober;

use super::{Event, FAMILIES, Pair, Way, address, client, prefix};
use crate::error::{BenchError, Step};
use crate::subject::{FRONT, Failure, PeerBed};
use crate::tools::{PATIENCE, Tools};

const PROGRAM: &str = "keepalived";

/// A running pair.
pub(super) struct Keepalived {
    bed: PeerBed,
    way: Way,
    starts: u32,
}

impl Keepalived {
    pub(super) fn start(tools: &Tools, way: Way) -> Result<Self, BenchError> {
        let bed = PeerBed::build(tools, "layers", 2)?;
        bed.speak_six()?;
        let mut pair = Self { bed, way, starts: 0 };
        for name in ["node1", "node2"] {
            pair.start_node(name)?;
        }
        Ok(pair)
    }

    fn start_node(&mut self, name: &str) -> Result<(), BenchError> {
        self.starts += 1;
        let folder = &self.bed.folder;
        let file = folder.write(&format!("{name}.conf"), &configuration(name, self.way))?;
        // a killed process leaves its file behind, so each start has files of its own
        let pid_file = |part: &str| folder.path().join(format!("{name}.{}.{part}", self.starts));
        let mut command = Command::new(PROGRAM);
        command.args(["--dont-fork", "--log-console", "--log-detail", "--use-file"]).arg(file);
        command.arg("--pid").arg(pid_file("pid")).arg("--vrrp_pid").arg(pid_file("vrrp"));
        command.arg("--checkers_pid").arg(pid_file("check"));
        let log = folder.path().join(format!("{name}.log"));
        self.bed.node(name)?.spawn(command, &log)?;
        Ok(())
    }

    /// The processes of keepalived on that node.
    fn processes(&self, name: &str) -> Result<Vec<i32>, BenchError> {
        let all = self.bed.running(&[PROGRAM])?;
        let of_node = all.into_iter().filter(|it| it.node == name);
        Ok(of_node.flat_map(|it| it.processes).map(|(_, pid)| pid).collect())
    }

    /// Ends keepalived on that node in order: it says to the other one that it leaves.
    fn end(&self, name: &str) -> Result<(), BenchError> {
        // The parent comes first, and ends its children.
        if let Some(first) = self.processes(name)?.into_iter().min() {
            kill(Pid::from_raw(first), Signal::SIGTERM)
                .map_err(std::io::Error::from)
                .step(|| format!("cannot end keepalived on {name}"))?;
        }
        Ok(())
    }
}

impl Pair for Keepalived {
    fn ask(&self, family: Family) -> Result<Prober, BenchError> {
        client(&self.bed.client, address(family))
    }

    fn whole(&self) -> Result<(), BenchError> {
        self.bed.tools.wait_until("keepalived runs on both nodes", PATIENCE, || {
            let both = ["node1", "node2"].map(|name| self.processes(name));
            Ok(both.into_iter().all(|it| it.is_ok_and(|it| !it.is_empty())))
        })
    }

    fn inflict(&mut self, event: Event, node: &str) -> Result<(), BenchError> {
        match event {
            Event::Planned => self.end(node),
            Event::Dead => self.bed.inflict(Failure::Dead, node),
        }
    }

    fn mend(&mut self, event: Event, node: &str) -> Result<(), BenchError> {
        match event {
            Event::Planned => {
                let gone = || Ok(self.processes(node)?.is_empty());
                self.bed.tools.wait_until("keepalived ended", PATIENCE, gone)?;
            }
            Event::Dead => self.bed.mend(Failure::Dead, node)?,
        }
        self.start_node(node)
    }
}

fn configuration(name: &str, way: Way) -> String {
    let instance = |family: Family| {
        let (number, label) = match family {
            Family::V4 => (51, "four"),
            Family::V6 => (52, "six"),
        };
        let vmac = match way {
            Way::Arp | Way::Route | Way::Name | Way::Document => String::new(),
            Way::Mac => format!("    use_vmac v{number}\n    vmac_xmit_base\n"),
        };
        format!(
            "vrrp_instance {label} {{\n    state BACKUP\n    nopreempt\n    interface {FRONT}\n    \
             virtual_router_id {number}\n    priority 100\n    advert_int 0.1\n{vmac}    \
             virtual_ipaddress {{\n        {}/{}\n    }}\n}}\n",
            address(family),
            prefix(family),
        )
    };
    let all = FAMILIES.map(instance).concat();
    // Both go together, as a service's addresses do.
    let group = "vrrp_sync_group both {\n    group {\n        four\n        six\n    }\n}\n";
    format!("global_defs {{\n    router_id {name}\n    vrrp_version 3\n}}\n{all}{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_virtual_mac_differs() {
        let [arp, mac] = [Way::Arp, Way::Mac].map(|way| configuration("node1", way));
        assert!(mac.contains("use_vmac v51\n") && mac.contains("use_vmac v52\n"), "{mac}");
        let without = mac.lines().filter(|line| !line.contains("vmac"));
        assert!(arp.lines().eq(without), "{arp}");
    }
}
