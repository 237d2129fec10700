//! When a role ends by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_core::time::Span;
use tokio::time::{Instant, sleep_until};

/// For how long a role goes on without being told or asked anything: whoever leads the trial looks
/// several times a second, and this is longer than any break in which it could come back.
pub(super) const LEASH: Duration = Duration::from_secs(10);

/// The two ends of a role: the trial's, and that of the patience with who leads it.
pub(super) struct Leash {
    hard: Instant,
    asked: Mutex<Instant>,
}

impl Leash {
    pub(super) fn new(end: Span) -> Self {
        let now = Instant::now();
        Self { hard: now + Duration::from_micros(end.as_micros()), asked: Mutex::new(now) }
    }

    /// Somebody still wants to know.
    pub(super) fn renew(&self) {
        *lock(&self.asked) = Instant::now();
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        loop {
            let end = self.hard.min(*lock(&self.asked) + LEASH);
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Nothing that is kept behind a lock here is half changed when its thread dies.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_comes_even_if_somebody_goes_on_asking() {
        let leash = Leash::new(Span::from_millis(50));
        let asking = async {
            loop {
                leash.renew();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = leash.ended() => {}
            () = asking => {}
        }
    }
}
