//! Becoming root of a namespace of one's own without being root.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

use super::{NamespaceError, file, system};

/// Why this system gives an ordinary user no user namespace, and what the administrator can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this system lets no ordinary user make a user namespace ({errno}): {cause}")]
pub struct UserNamespaceRefused {
    /// The kernel's reason.
    pub errno: Errno,
    /// The setting that is most likely behind it.
    pub cause: String,
}

/// No system call that a child makes here fails with it: it stands for "all went well".
const WENT_WELL: i32 = libc::EXFULL;

/// Tries, in a child that never runs anything, whether an ordinary process may make user, network
/// and mount namespaces. Nothing is left behind.
pub fn user_namespaces_permitted() -> Result<(), UserNamespaceRefused> {
    let mut attempt = Command::new("/proc/self/exe");
    // SAFETY: two system calls between fork and exec, no lock, no allocation.
    unsafe {
        attempt.pre_exec(|| {
            unshare(CloneFlags::CLONE_NEWUSER)?;
            // some systems give the user namespace but no power inside it
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
            Err(io::Error::from_raw_os_error(WENT_WELL))
        });
    }
    let errno = match attempt.spawn() {
        Err(error) if error.raw_os_error() == Some(WENT_WELL) => return Ok(()),
        Err(error) => Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
        Ok(mut child) => {
            // cannot happen: the closure always fails. Should it, the copy of us must not go on.
            let _ = child.kill();
            let _ = child.wait();
            Errno::EPROTO
        }
    };
    Err(UserNamespaceRefused { errno, cause: likely_cause() })
}

fn likely_cause() -> String {
    let says =
        |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if says("/proc/sys/user/max_user_namespaces", "0") {
        "/proc/sys/user/max_user_namespaces is 0".to_owned()
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "/proc/sys/kernel/unprivileged_userns_clone is 0".to_owned()
    } else if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1".to_owned()
    } else {
        "no setting that is known for it is in the way; a container's or sandbox's rules may be"
            .to_owned()
    }
}

/// Moves the whole process into user, network and mount namespaces of its own, where its user is
/// root. To be called at the very start, while the process has one thread: the kernel refuses it
/// later (EINVAL). Files keep their owners: what this root creates belongs to the ordinary user.
pub fn enter_user_namespace() -> Result<(), NamespaceError> {
    let (uid, gid) = (getuid(), getgid());
    let rooms = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(rooms).map_err(system("enter a user namespace"))?;
    // an ordinary user may set the group map only after giving up setgroups (user_namespaces(7))
    for (path, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(path, text).map_err(file("write", path.as_ref()))?;
    }
    Ok(())
}
