//! Waiting for something to come about, without sleeping for luck.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What became of a wait.
#[derive(Debug)]
pub enum Waited<E> {
    /// It came about.
    Held,
    /// The end was asked for.
    Stopped,
    /// It did not come about in time; why it could not be seen, at last.
    Late(Option<E>),
}

/// Waits until a condition holds, the end is asked for, or the time is over. An error of the
/// condition counts as "not yet".
pub fn wait_until<E>(
    stop: &AtomicBool,
    within: Duration,
    mut holds: impl FnMut() -> Result<bool, E>,
) -> Waited<E> {
    let deadline = Instant::now() + within;
    loop {
        let answer = holds();
        if matches!(answer, Ok(true)) {
            return Waited::Held;
        }
        if stop.load(Ordering::Relaxed) {
            return Waited::Stopped;
        }
        if Instant::now() >= deadline {
            return Waited::Late(answer.err());
        }
        std::thread::sleep(LOOK);
    }
}
