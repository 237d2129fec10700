//! Threads that are there before they are needed.
//!
//! What blocks (a file, a start of a process) is done on threads beside the runtime's own. tokio
//! makes them when they are needed and lets them go after a while; and where the kernel makes no
//! more threads, whoever needs the first one breaks off in the middle: a service's task would be
//! gone for good, and nobody would say why. So some are made at the start, and none ever ends.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Longer than any process runs.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A runtime that always has at least so many threads for what blocks.
///
/// # Errors
/// It can't be made.
pub(crate) fn runtime(builder: &mut Builder, kept: usize) -> std::io::Result<Runtime> {
    let runtime = builder.enable_all().thread_keep_alive(FOR_GOOD).build()?;
    let gate = Arc::new(RwLock::new(()));
    // Nobody passes it before all are made, so none is free to do the work of another.
    let shut = gate.write().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..kept {
        let gate = gate.clone();
        runtime.spawn_blocking(move || drop(gate.read()));
    }
    drop(shut);
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_there_before_anything_asks_for_them() {
        let mut builder = Builder::new_multi_thread();
        let runtime = runtime(builder.worker_threads(1), 3).expect("made");
        assert_eq!(runtime.metrics().num_blocking_threads(), 3);
    }
}
