//! Leaving a bed standing after us.

use std::process::{Command, Stdio};

use stead_linux::namespace::NetNs;

use crate::bed::Bed;
use crate::error::{LabError, Step};
use crate::launcher::lock;
use crate::root::Power;

/// A bed that outlives us: how to enter it and how to end it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Kept {
    /// Name of each host and switch, and what to type to enter it.
    pub enter: Vec<(String, String)>,
    /// What to type to end it all.
    pub end: String,
}

impl Bed {
    /// Leaves everything standing, programs included, when this process ends. In each namespace a
    /// `sleep` holds it open, so nothing has to be bound to a file and an ordinary user can do it
    /// too. Relays and probers are threads of this process: they end, and a relayed cable with
    /// them.
    pub fn keep(self, power: Power) -> Result<Kept, LabError> {
        if !self.launcher.contained() {
            let cause = "this system allows no process namespace with a /proc of its own";
            return Err(std::io::Error::other(cause))
                .step(|| "the bed's programs can't outlive us; nothing was changed".to_owned());
        }
        let mut enter = Vec::new();
        let rooms = self.hosts().into_iter().map(|host| (host.name().to_owned(), host.namespace()));
        let switches = self.switches();
        let switches = switches.iter().map(|s| (s.name().to_owned(), s.namespace().clone()));
        for (name, namespace) in rooms.chain(switches) {
            let pid = self.hold(&name, namespace)?;
            enter.push((name, entry(power, pid)));
        }
        let tree = self.launcher.release();
        let kept = tree.map(stead_linux::namespace::ProcessTree::keep).transpose();
        let first = kept.step(|| "cannot leave the bed's programs running".to_owned())?;
        let end = first.map_or_else(String::new, |first| format!("kill -KILL {first}"));
        // its end would end the programs
        std::mem::forget(self);
        Ok(Kept { enter, end })
    }

    fn hold(&self, name: &str, namespace: NetNs) -> Result<u32, LabError> {
        let mut sleep = Command::new("sleep");
        sleep.arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.launcher.start(sleep, namespace);
        child.map(|child| lock(&child).id()).step(|| format!("cannot hold {name} open"))
    }
}

fn entry(power: Power, pid: u32) -> String {
    match power {
        Power::Root => format!("nsenter --target {pid} --net --pid --mount"),
        Power::UserNamespace => {
            format!("nsenter --target {pid} --user --preserve-credentials --net --pid --mount")
        }
    }
}
