//! How a process is asked to end.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when this process is asked to end: SIGTERM or SIGINT.
pub(crate) async fn asked_to_end() {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
