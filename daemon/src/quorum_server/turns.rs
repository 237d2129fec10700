//! Who may use the processor for a handshake.
//!
//! A handshake costs most of a millisecond. When thousands of nodes come back at once, as after a
//! restart, theirs would stand in line before every question of those who are connected already: a
//! half that asks then would wait for seconds. So only as many handshakes as there are threads are
//! ready at a time, and each lets all others pass before it is computed. While many wait, nobody
//! else is accepted: who waits in the kernel costs nothing, and pushes no stranger out.
//!
//! One that gave up while it waited for its turn is not computed for (`server`): else, once peers
//! have less patience than the line is long, every handshake would be in vain.
//!
//! A turn is never held while a peer is waited for, so who is slow takes none from others.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::{Notify, Semaphore};
use tokio::task::yield_now;

use super::limits::{HANDSHAKES, HANDSHAKES_WAITING};

/// The turns.
#[derive(Debug)]
pub(super) struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
    fewer: Notify,
}

/// One that waits for its turn.
struct Waiting<'a>(&'a Turns);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::AcqRel) <= HANDSHAKES_WAITING {
            self.0.fewer.notify_waiters();
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        let (waiting, fewer) = (AtomicUsize::default(), Notify::new());
        Self { free: Semaphore::new(HANDSHAKES), waiting, fewer }
    }
}

impl Turns {
    /// Returns when few enough wait, so that one more may come.
    pub async fn room(&self) {
        loop {
            let mut fewer = pin!(self.fewer.notified());
            // from here on no word is missed
            fewer.as_mut().enable();
            if self.waiting.load(Ordering::Acquire) < HANDSHAKES_WAITING {
                return;
            }
            fewer.await;
        }
    }

    /// Does that work, each piece of it in a turn of its own. While it waits for something it has
    /// none.
    pub async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            self.waiting.fetch_add(1, Ordering::AcqRel);
            let waiting = Waiting(self);
            // It is never closed; without a turn it would be as before there were any.
            let turn = self.free.acquire().await.ok();
            drop(waiting);
            // The questions that are there now come first.
            yield_now().await;
            let piece = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
            drop(turn);
            match piece {
                Poll::Ready(done) => return done,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Gives the thread away until something that this task waits for has happened.
async fn woken() {
    let mut given = false;
    poll_fn(
        |_context| {
            if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    /// What costs the processor for a while, in pieces.
    async fn handshake(running: &AtomicUsize, most: &AtomicUsize) {
        for _ in 0..3 {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_more_are_computed_at_once_and_all_come_to_their_end() {
        let turns = Arc::new(Turns::default());
        let counts = Arc::new((AtomicUsize::default(), AtomicUsize::default()));
        let mut all = JoinSet::new();
        for _ in 0..500 {
            let (turns, counts) = (turns.clone(), counts.clone());
            all.spawn(async move { turns.take(handshake(&counts.0, &counts.1)).await });
        }
        assert_eq!(all.join_all().await.len(), 500);
        assert!((1..=HANDSHAKES).contains(&counts.1.load(Ordering::SeqCst)), "{counts:?}");
        assert_eq!(turns.waiting.load(Ordering::SeqCst), 0);
    }

    /// A thousand handshakes are there before one who is connected has something to do.
    #[tokio::test]
    async fn who_is_connected_does_not_stand_in_line_behind_them() {
        let turns = Arc::new(Turns::default());
        let done = Arc::new(AtomicUsize::default());
        let mut all = JoinSet::new();
        for _ in 0..1_000 {
            let (turns, done) = (turns.clone(), done.clone());
            all.spawn(async move {
                turns.take(async { done.fetch_add(1, Ordering::SeqCst) }).await;
            });
        }
        // As often as one who is connected asks and is answered.
        for _ in 0..10 {
            yield_now().await;
        }
        let before = done.load(Ordering::SeqCst);
        assert!(before < 100, "only a few had a turn meanwhile: {before}");
        all.join_all().await;
    }

    #[tokio::test]
    async fn who_waits_for_a_peer_has_no_turn_and_nobody_is_let_in_while_many_wait() {
        let turns = Arc::new(Turns::default());
        let mut silent = JoinSet::new();
        for _ in 0..2 * HANDSHAKES {
            let turns = turns.clone();
            silent.spawn(async move { turns.take(std::future::pending::<()>()).await });
        }
        yield_now().await;
        turns.take(async {}).await;
        turns.room().await;
        let held = turns.free.acquire_many(HANDSHAKES as u32).await.expect("open");
        let mut waiting = JoinSet::new();
        for _ in 0..HANDSHAKES_WAITING {
            let turns = turns.clone();
            waiting.spawn(async move { turns.take(async {}).await });
        }
        while turns.waiting.load(Ordering::SeqCst) < HANDSHAKES_WAITING {
            yield_now().await;
        }
        let later = tokio::spawn({
            let turns = turns.clone();
            async move { turns.room().await }
        });
        yield_now().await;
        assert!(!later.is_finished(), "there is no room");
        drop(held);
        later.await.expect("there is room again");
        waiting.join_all().await;
    }
}
