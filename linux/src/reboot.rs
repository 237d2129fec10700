//! The machine boots anew, at once.

use std::io;

use nix::sys::reboot::{RebootMode, reboot};

/// Has the kernel boot the machine anew: nothing is stopped, and nothing written out (reboot(2)).
/// For a process that is not in the first process namespace it is the end of its own namespace.
/// Returns only if it could not, with the reason: it takes CAP_SYS_BOOT.
#[must_use]
pub fn now() -> io::Error {
    match reboot(RebootMode::RB_AUTOBOOT) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}
