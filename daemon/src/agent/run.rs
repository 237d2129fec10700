//! One run of a command: waited for within a time, and killed if nobody waits any more.

use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use stead_edge::polled::Polled;
use stead_linux::process::{ProcessError, Running, Signal, signal_session};
use tokio::time::{sleep, timeout};

/// How often what a killed command started is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The longest such pause.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(5);

/// A run under way. Dropped, it is killed with all that it started in its session; what has left
/// that is found when the program is stopped.
#[derive(Debug)]
pub(crate) struct Run(Option<Running>);

impl Run {
    pub(crate) fn of(running: Running) -> Self {
        Self(Some(running))
    }

    /// How it ended; `None` if it did not in time.
    pub(crate) async fn status(
        &mut self,
        within: Duration,
    ) -> Option<Result<ExitStatus, ProcessError>> {
        let running = self.0.as_mut()?;
        let end = std::os::fd::AsFd::as_fd(running).try_clone_to_owned().and_then(Polled::new);
        match end {
            Ok(end) => {
                let _ = timeout(within, end.readable()).await.ok()?;
            }
            // No descriptor is left to wait with: it gets its time and is looked at then.
            Err(_) => sleep(within).await,
        }
        running.try_wait().transpose()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Some(mut running) = self.0.take() else { return };
        if matches!(running.try_wait(), Ok(Some(_))) {
            return;
        }
        // Not waited for yet, so the numbers of its group and session are its own.
        let _ = running.signal_group(Signal::SIGKILL);
        // The rest may take a while, and nobody waits for it.
        let rest = move || {
            // One that sits in the kernel (a dead disk) may do so for hours.
            let mut pause = LOOK_AGAIN;
            while signal_session(running.identity().pid, Signal::SIGKILL).is_ok_and(|n| n > 0) {
                thread::sleep(pause);
                pause = (pause * 2).min(LOOK_AGAIN_MAX);
            }
            running.wait()
        };
        let _ = thread::Builder::new().name("run-end".to_owned()).spawn(rest);
    }
}
