//! Ctrl-C and its kin: the first one asks for a clean end, the second one ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// The exit code after ctrl-C (128 + SIGINT), as shells expect it.
pub(super) const INTERRUPTED: u8 = 130;

/// Sets the flag when the end is asked for.
///
/// # Errors
/// No thread or no signal handler can be had.
pub(crate) fn watch(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = Vec::new();
    {
        let _inside = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            signals.push(signal(kind)?);
        }
    }
    let stop = Arc::clone(stop);
    let body = move || {
        runtime.block_on(async {
            for mut signal in signals {
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    while signal.recv().await.is_some() {
                        if stop.swap(true, Ordering::Relaxed) {
                            // whatever hangs: the kernel ends the bed with this process
                            std::process::exit(i32::from(INTERRUPTED));
                        }
                    }
                });
            }
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(body).map(drop)
}
