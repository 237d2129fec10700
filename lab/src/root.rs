//! Getting the power to build networks.

use std::fs;

use stead_linux::namespace::{enter_user_namespace, user_namespaces_permitted};

use crate::error::{LabError, Step};

/// With which power the lab runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// As root of the machine.
    Root,
    /// As an ordinary user who is root in a user namespace.
    UserNamespace,
}

/// Bits of `CapEff` in /proc/self/status (linux/capability.h).
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;

/// Gives the process the power to build networks: it has it already, or it moves into a user
/// namespace, for good. To be called first thing in `main`, before any thread starts.
pub fn become_root() -> Result<Power, LabError> {
    if capable().step(|| "cannot read the capabilities of this process".to_owned())? {
        return Ok(Power::Root);
    }
    user_namespaces_permitted().map_err(LabError::NotRoot)?;
    enter_user_namespace().step(|| "cannot become root in a user namespace".to_owned())?;
    Ok(Power::UserNamespace)
}

fn capable() -> std::io::Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    let wanted = NET_ADMIN | SYS_ADMIN;
    Ok(effective.unwrap_or(0) & wanted == wanted)
}
