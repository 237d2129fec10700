//! The end of a program, and of all that it started.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stead_core::id::ServiceId;
use stead_edge::polled::Polled;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use super::held::Held;
use super::proc::Stat;

/// The pause between two looks at what is left, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How often it is told that something does not end.
const COMPLAIN: Duration = Duration::from_secs(10);

/// Ends a program: asks all of it, waits until its patience is over, kills what is left. Returns
/// when nothing is left, however long that takes: a process in an uninterruptible wait for its disk
/// can still write to it.
pub(super) async fn stop(service: &ServiceId, held: Held) {
    let deadline = Instant::now() + held.patience;
    let held = Arc::new(held);
    let by_session = held.leads();
    let asked = on_side(&held, move |held| held.ask_to_end(by_session)).await;
    if let Err(error) = asked {
        tracing::warn!("{service}: can't list what to stop: {error}");
    }
    wait_for_main(&held, deadline).await;
    let mut pause = FIRST_PAUSE;
    let mut complain = deadline + COMPLAIN;
    loop {
        let left = on_side(&held, move |held| held.left(by_session)).await;
        if left.as_ref().is_ok_and(Vec::is_empty) {
            // A manager that was asked to start something may only now come to it.
            match on_side(&held, Held::seal).await {
                Ok(()) => break,
                Err(error) => tracing::debug!("{service}: {error}"),
            }
        }
        let now = Instant::now();
        if now >= complain {
            complain = now + COMPLAIN;
            tracing::warn!("{service} does not end: {}", told(&left));
        }
        if now >= deadline {
            let left = left.unwrap_or_default();
            let killed = on_side(&held, move |held| {
                held.kill(&left);
                Ok(())
            });
            let _ = killed.await;
            sleep(pause).await;
        } else {
            sleep(pause.min(deadline - now)).await;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    if let Some(held) = Arc::into_inner(held) {
        held.forget();
    }
}

/// Returns early, within the deadline, where the end can't be waited for: then it is looked for.
async fn wait_for_main(held: &Held, deadline: Instant) {
    if let Ok(Some(end)) = held.end()
        && let Ok(end) = Polled::new(end)
    {
        let _ = timeout_at(deadline, end.readable()).await;
    }
}

/// Looks through /proc on a thread that may block.
async fn on_side<T: Send + 'static>(
    held: &Arc<Held>,
    act: impl FnOnce(&Held) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let held = held.clone();
    // The answer must not come before the copy is gone: the caller takes the last one apart.
    let done = spawn_blocking(move || {
        let result = act(&held);
        drop(held);
        result
    });
    done.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn told(left: &io::Result<Vec<Stat>>) -> String {
    match left {
        Ok(left) => {
            let pids: Vec<_> = left.iter().map(|stat| stat.identity.pid.to_string()).collect();
            format!("process {} is left", pids.join(", "))
        }
        Err(error) => format!("can't see what is left: {error}"),
    }
}
