//! Staying on time: memory that is never paged out, a processor that is given at once.
//!
//! Each wish is granted or refused with its reason; a refusal changes nothing and is no failure:
//! the caller says so to the operator and goes on. Both concern the guard alone, and neither is
//! handed down to programs it starts.

use std::hint::black_box;
use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use thiserror::Error;

/// The system did not grant a wish; nothing changed.
#[derive(Debug, Error)]
pub enum Refused {
    /// The limit is so low that a later allocation would fail and end the process.
    #[error(
        "memory is not locked: only {limit} bytes may be (LimitMEMLOCK), and {MEMLOCK} are wanted; \
         under memory pressure the guard may be late"
    )]
    Limit {
        /// The present limit.
        limit: u64,
    },
    /// The kernel refused to lock memory.
    #[error("memory is not locked; under memory pressure the guard may be late")]
    Memory(#[source] io::Error),
    /// The kernel refused the priority.
    #[error(
        "no real-time priority (CAP_SYS_NICE or LimitRTPRIO); under load the guard may be late"
    )]
    Priority(#[source] io::Error),
}

/// Below this limit a process that locks all it ever maps must expect its allocations to fail.
pub const MEMLOCK: u64 = 256 * 1024 * 1024;
const STACK: usize = 256 * 1024;

/// Locks all present and future memory of the process, and touches the stack it will need.
///
/// # Errors
/// [`Refused`]: nothing changed.
pub fn lock_memory() -> Result<(), Refused> {
    let io = |errno: nix::Error| Refused::Memory(errno.into());
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(io)?;
    if soft < hard {
        // If it fails, the lower limit counts below.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(io)?;
    if limit != RLIM_INFINITY && limit < MEMLOCK && !may_exceed_memlock() {
        return Err(Refused::Limit { limit });
    }
    let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
    mlockall(all).map_err(io)?;
    touch_stack();
    Ok(())
}

/// Locks the memory that the process has touched so far and will touch from here on, and changes no
/// limit: for a process that starts programs, which would inherit it.
///
/// # Errors
/// [`Refused::Memory`]: nothing changed.
pub fn lock_touched() -> Result<(), Refused> {
    let touched = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: no pointers; what the process maps stays as it is.
    if unsafe { libc::mlockall(touched) } == 0 {
        Ok(())
    } else {
        Err(Refused::Memory(io::Error::last_os_error()))
    }
}

/// Undoes [`lock_memory`].
///
/// # Errors
/// [`Refused::Memory`]: nothing changed.
pub fn unlock_memory() -> Result<(), Refused> {
    munlockall().map_err(|errno| Refused::Memory(errno.into()))
}

/// Whether the limit does not concern us: CAP_IPC_LOCK in the first user namespace (the one of a
/// user namespace of our own has no weight here).
fn may_exceed_memlock() -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let map = read("/proc/self/uid_map");
    let first = map.split_whitespace().eq(["0", "0", "4294967295"]);
    first && effective.is_some_and(|bits| bits & CAP_IPC_LOCK != 0)
}

#[inline(never)]
fn touch_stack() {
    let mut pages = [0u8; STACK];
    black_box(&mut pages);
}

/// Gives the calling thread `SCHED_FIFO` with this priority (1 to 99, higher goes first). Programs
/// it starts are ordinary again (`SCHED_RESET_ON_FORK`); so are threads it starts.
///
/// # Errors
/// [`Refused::Priority`]: nothing changed.
pub fn set_fifo(priority: i32) -> Result<(), Refused> {
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live `sched_param`; 0 names the calling thread.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const param) } == 0 {
        Ok(())
    } else {
        Err(Refused::Priority(io::Error::last_os_error()))
    }
}
